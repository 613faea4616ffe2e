package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/tipmesh/tipmesh/node"
)

// backup answers GET /v1/backup: the copy of the store as it is now. Where it
// breaks off the copy is not whole, which its reader notices.
func (s *Server) backup(w http.ResponseWriter, r *http.Request) error {
	s.untimed(w)
	w.Header().Set("Content-Type", "application/octet-stream")
	out := &flushed{w: w}
	err := s.n.Copy(r.Context(), out)
	if err != nil && out.begun {
		s.log.Error("back up", "err", err)
		panic(http.ErrAbortHandler)
	}
	return err
}

// untimed lifts the time limits of a call that may take long.
func (s *Server) untimed(w http.ResponseWriter) {
	control := http.NewResponseController(w)
	if err := errors.Join(control.SetReadDeadline(time.Time{}), control.SetWriteDeadline(time.Time{})); err != nil {
		s.log.Debug("lift deadlines", "err", err)
	}
}

// limitRead bounds how long a body may take to come. A call without one has no
// such limit: net/http reads on, to see whether the caller goes, and would take a
// limit that passes for that.
func limitRead(r *http.Request, w http.ResponseWriter, patience time.Duration) error {
	if r.ContentLength == 0 {
		return nil
	}
	return http.NewResponseController(w).SetReadDeadline(time.Now().Add(patience))
}

// flushed sends the first bytes at once: they tell the other side that the answer
// is of this moment.
type flushed struct {
	w     http.ResponseWriter
	begun bool
}

// Write passes bytes on.
func (f *flushed) Write(b []byte) (int, error) {
	n, err := f.w.Write(b)
	if !f.begun && err == nil {
		f.begun = true
		err = http.NewResponseController(f.w).Flush()
	}
	return n, err
}

// Backup gives a copy of the node's store as it is when this returns. The caller
// reads it to its end and closes it.
func (c *Client) Backup(ctx context.Context) (io.ReadCloser, error) {
	return c.stream(ctx, http.MethodGet, "/v1/backup", nil)
}

// Verified says what reading a whole store again found.
type Verified struct {
	Kind       string   `json:"kind"` // verify
	Mesh       MeshName `json:"mesh"`
	Feeds      int      `json:"feeds"`
	Entries    uint64   `json:"entries"`
	Payloads   uint64   `json:"payloads"`
	Absent     uint64   `json:"absent"` // payloads that are not held, for a reason
	Statements int      `json:"statements"`
	Members    int      `json:"members"`
	RosterHead string   `json:"roster_head"`
	Faults     int      `json:"faults"`
	Damaged    []Damage `json:"damaged"` // the first 1,000
	Forks      []Fork   `json:"forks"`
	Intact     bool     `json:"intact"`
	TookS      float64  `json:"took_s"`
}

// Damage is one thing that is not as it must be.
type Damage struct {
	What string `json:"what"` // entry, payload, feed, statement, roster
	Feed string `json:"feed,omitempty"`
	Seq  uint64 `json:"seq,omitempty"`
	Text string `json:"text"`
}

// Verify verifies the store of a home, whether its node runs elsewhere or not.
func Verify(ctx context.Context, n *node.Node, now func() time.Time) (*Verified, error) {
	began := now()
	v, err := n.Verify(ctx, nil)
	if err != nil {
		return nil, err
	}
	mesh := n.Mesh().String()
	out := &Verified{Kind: "verify", Mesh: MeshName{ID: mesh, Ref: refOf("mesh", mesh), Name: n.Roster().Name}, Feeds: v.Feeds, Entries: v.Entries,
		Payloads: v.Payloads, Absent: v.Absent, Statements: v.Statements, Members: v.Members, RosterHead: v.Digest.String(), Faults: v.Faults,
		Damaged: []Damage{}, Forks: []Fork{}, Intact: v.Faults == 0, TookS: now().Sub(began).Seconds()}
	for _, d := range v.Damaged {
		line := Damage{What: d.What, Seq: d.Seq, Text: d.Text}
		if !d.Feed.IsZero() {
			line.Feed = d.Feed.String()
		}
		out.Damaged = append(out.Damaged, line)
	}
	s := &Server{n: n}
	for _, f := range v.Forks {
		out.Forks = append(out.Forks, s.fork(f))
	}
	return out, nil
}

// verify answers GET /v1/verify.
func (s *Server) verify(w http.ResponseWriter, r *http.Request) error {
	s.untimed(w)
	v, err := Verify(r.Context(), s.n, s.now)
	if err != nil {
		return err
	}
	return s.answer(w, v)
}

// Verify reads the node's whole store again.
func (c *Client) Verify(ctx context.Context) (*Verified, error) {
	out := new(Verified)
	return out, c.call(ctx, http.MethodGet, "/v1/verify", nil, out)
}

package api

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/tipmesh/tipmesh/internal/carry"
	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/node/transport"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// Limits of what is carried in at a time.
const (
	carryRun       = 256      // entries or statements taken together,
	carryRunBytes  = 16 << 20 // and their bytes
	carryLeft      = 8192     // statements that wait for others,
	carryLeftBytes = 32 << 20 // and their bytes
	carryQuestion  = 16 << 20 // what the other side holds
)

// CarryOut says what to carry out. The zero value is everything.
type CarryOut struct {
	Since time.Time         `json:"since,omitzero"` // entries from then on, by their writers' clocks
	Held  map[string]uint64 `json:"held,omitempty"` // by feed: what the other side holds already
}

// carryOut answers POST /v1/carry/out: a carry file.
func (s *Server) carryOut(w http.ResponseWriter, r *http.Request) error {
	var q CarryOut
	if err := read(r, &q); err != nil {
		return err
	}
	s.untimed(w)
	w.Header().Set("Content-Type", "application/octet-stream")
	out := carry.NewWriter(w, s.n.Mesh(), s.now().UnixMilli())
	if err := s.writeCarry(r.Context(), out, &q); err != nil {
		s.log.Error("carry out", "err", err)
		panic(http.ErrAbortHandler) // whoever reads it sees that its end is missing
	}
	return nil
}

func (s *Server) writeCarry(ctx context.Context, out *carry.Writer, q *CarryOut) error {
	feeds := s.n.Shown()
	var heads []carry.Head
	for _, f := range feeds {
		heads = append(heads, carry.Head{Feed: f.Feed, Seq: f.Whole})
	}
	out.Heads(heads)
	if err := s.writeStatements(out); err != nil {
		return err
	}
	for _, f := range feeds {
		from := q.Held[f.Feed.String()] + 1
		if !q.Since.IsZero() {
			from = max(from, s.n.Since(f, q.Since.UnixMilli()))
		}
		err := s.n.Carry(ctx, f, from, func(e node.RawEntry) error { return out.Entry(e.Header, e.Payload) })
		if err != nil {
			return err
		}
	}
	return out.Close()
}

func (s *Server) writeStatements(out *carry.Writer) error {
	for _, st := range s.n.Statements() {
		if err := out.Statement(st.Raw()); err != nil {
			return err
		}
	}
	return nil
}

// CarryOut gives a carry file. The caller reads it to its end and closes it.
func (c *Client) CarryOut(ctx context.Context, q CarryOut) (io.ReadCloser, error) {
	return c.stream(ctx, http.MethodPost, "/v1/carry/out", q)
}

// showEntry answers GET /v1/object/{ref}/entry: a carry file of the entries that
// hold a share or an object, and of the statements that say who wrote them.
func (s *Server) showEntry(w http.ResponseWriter, r *http.Request) error {
	if err := s.n.CatchUp(r.Context()); err != nil {
		return err
	}
	list, asShare, err := s.resolve(r.PathValue("ref"))
	if err != nil {
		return err
	}
	places, err := s.placesOf(&list[0], asShare)
	if err != nil {
		return err
	}
	var entries []store.Entry
	for _, p := range places {
		e, err := s.n.Store().Entry(p)
		if err != nil {
			return err
		}
		entries = append(entries, e)
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	out := carry.NewWriter(w, s.n.Mesh(), s.now().UnixMilli())
	err = s.writeStatements(out)
	for i := 0; i < len(entries) && err == nil; i++ {
		err = out.Entry(entries[i].Header.Raw(), entries[i].Payload)
	}
	if err == nil {
		err = out.Close()
	}
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}

// placesOf gives the entries that hold an object, or the parts of a share.
func (s *Server) placesOf(first *store.Object, asShare bool) (places []store.Place, err error) {
	if !asShare && (first.Type != "grouping" || first.Summary.Share != first.ID) {
		p, err := s.n.PlaceOf(first.Arrival)
		return []store.Place{p}, err
	}
	for part := range mostParts {
		o, err := s.part(first, part)
		if err != nil || o == nil {
			return places, err
		}
		p, err := s.n.PlaceOf(o.Arrival)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(places, p) {
			places = append(places, p)
		}
	}
	return places, nil
}

// ShowEntry gives a carry file of the entries that hold what a short name or a
// STIX ID means.
func (c *Client) ShowEntry(ctx context.Context, ref string) (io.ReadCloser, error) {
	return c.stream(ctx, http.MethodGet, "/v1/object/"+url.PathEscape(ref)+"/entry", nil)
}

// Carried says what became of a carry file.
type Carried struct {
	Kind       string      `json:"kind"` // carried
	Mesh       MeshName    `json:"mesh"`
	Time       time.Time   `json:"time,omitzero"` // of the file, by its writer's clock
	Statements CarriedOf   `json:"statements"`
	Entries    CarriedOf   `json:"entries"`
	Skipped    []Skipped   `json:"skipped"`
	Gaps       []CarriedBy `json:"gaps"`  // entries that are missing before ones that came
	Whole      bool        `json:"whole"` // the file was read to its end, and its checksum fits
	Fault      string      `json:"fault,omitempty"`
}

// CarriedOf counts what was taken.
type CarriedOf struct {
	New  int `json:"new"`
	Held int `json:"held"` // here already
}

// CarriedBy is a run of entries of a feed.
type CarriedBy struct {
	Feed   string `json:"feed"`
	Node   string `json:"node,omitempty"`
	Member *Name  `json:"member,omitempty"`
	First  uint64 `json:"first"`
	Last   uint64 `json:"last"`
}

// Exit is the exit code of the answer.
func (c *Carried) Exit() int {
	if !c.Whole || len(c.Skipped) > 0 || len(c.Gaps) > 0 {
		return exitOf(CodePartial)
	}
	return ExitDone
}

// carryIn answers POST /v1/carry/in.
func (s *Server) carryIn(w http.ResponseWriter, r *http.Request) error {
	s.untimed(w)
	if err := s.enter(r.Context()); err != nil {
		return err
	}
	defer s.leave()
	file, err := carry.NewReader(r.Body)
	if err != nil {
		return Errorf(CodeInvalid, "%v", err)
	}
	if file.Mesh != s.n.Mesh() {
		return Errorf(CodeDenied, "this file is of another mesh, %s; this node is in %s", refOf("mesh", file.Mesh.String()), refOf("mesh", s.n.Mesh().String()))
	}
	in := &carrying{n: s.n, gaps: map[protocol.FeedID]store.Range{}}
	end := in.file(r.Context(), file)
	if err := in.flush(true); err != nil {
		return err
	}
	out := s.carried(in)
	out.Time, out.Whole = at(file.Time), errors.Is(end, io.EOF)
	switch {
	case out.Whole:
	case errors.Is(end, carry.ErrCut), errors.Is(end, carry.ErrDamaged), errors.Is(end, carry.ErrSum):
		out.Fault = end.Error()
	default:
		return end
	}
	return s.answer(w, out)
}

// carrying is a file on its way in.
type carrying struct {
	n                   *node.Node
	raws                [][]byte
	list                []node.RawEntry
	bytes               int
	left                [][]byte // statements that may need others first
	leftBytes           int
	dropped             int // of these, for want of room
	statements, entries node.Taken
	gaps                map[protocol.FeedID]store.Range
}

func (c *carrying) file(ctx context.Context, file *carry.Reader) error {
	for {
		item, err := file.Next()
		if err != nil {
			return err
		}
		switch {
		case item.Statement != nil:
			c.raws = append(c.raws, item.Statement)
		case item.Header != nil:
			c.list = append(c.list, node.RawEntry{Header: item.Header, Payload: item.Payload})
		}
		c.bytes += len(item.Statement) + len(item.Header) + len(item.Payload)
		if len(c.raws)+len(c.list) >= carryRun || c.bytes >= carryRunBytes {
			if err := c.flush(false); err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// flush takes what has been read. Statements come first; those that had to wait
// are tried again before any entry, and at the end for the last time.
func (c *carrying) flush(last bool) error {
	if err := c.takeStatements(c.raws, last || len(c.list) > 0); err != nil {
		return err
	}
	if len(c.list) > 0 {
		t, gaps, err := c.n.TakeEntries(c.list)
		c.entries.Add(t)
		maps.Copy(c.gaps, gaps)
		if err != nil {
			return err
		}
	}
	if last && len(c.left)+c.dropped > 0 {
		c.statements.Add(node.Taken{Refused: map[string]int{node.ReasonNotAdmitted: len(c.left) + c.dropped}})
	}
	c.raws, c.list, c.bytes = nil, nil, 0
	return nil
}

func (c *carrying) takeStatements(raws [][]byte, again bool) error {
	for {
		t, left, err := c.n.TakeStatements(raws)
		c.statements.Add(t)
		for _, raw := range left {
			if len(c.left) >= carryLeft || c.leftBytes+len(raw) > carryLeftBytes {
				c.dropped++
				continue
			}
			c.left, c.leftBytes = append(c.left, raw), c.leftBytes+len(raw)
		}
		// Each round must bring something new.
		if err != nil || !again || len(c.left) == 0 || t.New == 0 {
			return err
		}
		raws, c.left, c.leftBytes = c.left, nil, 0
	}
}

// whyCarried says in words why something was not taken, in the order told.
var whyCarried = []struct{ reason, as, text string }{
	{node.ReasonMalformed, node.ReasonMalformed, "broken, or not what the signature says"},
	{node.ReasonForeign, node.ReasonNotAdmitted, "of another mesh"},
	{node.ReasonNotAdmitted, node.ReasonNotAdmitted, "by who may not, or beyond where the feed ends"},
	{node.ReasonHeld, node.ReasonHeld, "of a node whose feed has forked"},
	{node.ReasonFork, node.ReasonHeld, "contradicts an entry held here: a fork"},
	{node.ReasonQuota, node.ReasonQuota, "more than one node or member may have here"},
	{node.ReasonGap, node.ReasonGap, "entries before it are missing"},
}

func (s *Server) carried(in *carrying) *Carried {
	mesh := s.n.Mesh().String()
	out := &Carried{Kind: "carried", Mesh: MeshName{ID: mesh, Ref: refOf("mesh", mesh), Name: s.n.Roster().Name},
		Statements: CarriedOf{in.statements.New, in.statements.Held}, Entries: CarriedOf{in.entries.New, in.entries.Held},
		Skipped: []Skipped{}, Gaps: []CarriedBy{}}
	for _, kind := range []struct {
		name string
		t    *node.Taken
	}{{"statements", &in.statements}, {"entries", &in.entries}} {
		for _, why := range whyCarried {
			if n := kind.t.Refused[why.reason]; n > 0 {
				out.Skipped = append(out.Skipped, Skipped{Reason: why.as, Count: n, Text: kind.name + " " + why.text})
			}
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(in.gaps), protocol.FeedID.Compare) {
		g := CarriedBy{Feed: hex.EncodeToString(id[:]), First: in.gaps[id].First, Last: in.gaps[id].Last}
		f, ok := s.n.Store().Feed(id)
		if ok && f.Head >= g.Last {
			continue // it has come since
		}
		if ok {
			g.Node = transport.PeerID(f.Node)
			if m, ok := s.n.Roster().Author(f.Node); ok {
				g.Member = &Name{ID: m.ID.String(), Name: m.Handle}
			}
		}
		out.Gaps = append(out.Gaps, g)
	}
	return out
}

// CarryIn takes in a carry file.
func (c *Client) CarryIn(ctx context.Context, file io.Reader) (*Carried, error) {
	out := new(Carried)
	return out, c.call(ctx, http.MethodPost, "/v1/carry/in", file, out)
}

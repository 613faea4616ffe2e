package carry

import (
	"errors"
	"io"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

// mostListed is how many entries a report lists; it counts them all.
const mostListed = 1000

// Report is what a file shows of itself, without any node: whoever writes a file
// chooses its statements, so it proves who signed in the mesh of that charter,
// and nothing about who is in that mesh now.
type Report struct {
	Mesh       protocol.MeshID
	Name       string // of the mesh, by its charter; empty where that is not in the file
	Time       int64  // of the file
	Statements int
	Members    int // active, by these statements
	Entries    int
	Unattached int // entries of nodes that no card in the file names
	Beyond     int // entries after the end of their feed
	Damaged    int
	Whole      bool
	Fault      error // why it is not whole
	List       []Signed
}

// Intact reports whether nothing in the file is broken and nothing is missing
// from it.
func (r *Report) Intact() bool {
	return r.Whole && r.Damaged == 0 && r.Unattached == 0 && r.Beyond == 0 && r.Name != ""
}

// Signed is one entry and who signed it.
type Signed struct {
	Header  *protocol.Header
	Size    int     // of the payload; -1 where it is not in the file
	Member  *Signer // nil where no card in the file names the node
	Beyond  bool    // after the end of its feed
	Ordinal int     // its place among the entries of the file, from 1
	Fault   error   // nil where it is what its signature says
}

// Signer is the member whose node signed.
type Signer struct {
	ID     protocol.MemberID
	Handle string
	Name   string
	State  string
}

// Verify reads a file to its end and checks everything in it: signatures,
// payloads, and who the writers are by the statements in the file.
func Verify(file io.Reader) (*Report, error) {
	r, err := NewReader(file)
	if err != nil {
		return nil, err
	}
	out := &Report{Mesh: r.Mesh, Time: r.Time}
	var statements []*protocol.Statement
	var roster *trust.Roster
	for {
		item, err := r.Next()
		if err != nil {
			if out.Whole = errors.Is(err, io.EOF); !out.Whole {
				out.Fault = err
			}
			break
		}
		switch {
		case item.Statement != nil:
			s, err := protocol.ParseStatement(item.Statement)
			if errors.Is(err, protocol.ErrVersion) {
				continue
			} else if err != nil {
				out.Damaged++
				continue
			}
			statements, roster = append(statements, s), nil
		case item.Header != nil:
			if roster == nil {
				roster = trust.Fold(r.Mesh, statements)
			}
			out.entry(roster, item)
		}
	}
	if roster == nil {
		roster = trust.Fold(r.Mesh, statements)
	}
	out.Name, out.Statements, out.Members = roster.Name, len(statements), len(roster.Active())
	return out, nil
}

func (r *Report) entry(roster *trust.Roster, item *Item) {
	r.Entries++
	s := Signed{Size: -1, Ordinal: r.Entries}
	if item.Payload != nil {
		s.Size = len(item.Payload)
	}
	s.Header, s.Fault = protocol.ParseHeader(item.Header)
	switch {
	case s.Fault != nil:
	case s.Header.Mesh != r.Mesh:
		s.Fault = errors.New("it is of another mesh than the file")
	case item.Payload != nil && !s.Header.Fits(item.Payload):
		s.Fault = errors.New("its payload is not the one that its header names")
	}
	if s.Fault != nil {
		r.Damaged++
	} else {
		if m, ok := roster.Author(s.Header.Node); ok {
			s.Member = &Signer{ID: m.ID, Handle: m.Handle, Name: m.Card.Name, State: string(m.State)}
		} else {
			r.Unattached++
		}
		if last, ended := roster.Limit(s.Header.Node, s.Header.Feed); ended && s.Header.Seq > last && s.Member != nil {
			s.Beyond = true
			r.Beyond++
		}
	}
	if len(r.List) < mostListed || s.Fault != nil && len(r.List) < 2*mostListed {
		r.List = append(r.List, s)
	}
}

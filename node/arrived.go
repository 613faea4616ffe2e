package node

import (
	"errors"
	"fmt"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// Why an arrival has nothing to tell any more.
const (
	GapDropped     = "dropped"      // its entry was of a void branch of its feed
	GapErased      = "erased"       // its payload has gone, since it was withdrawn or has expired
	GapUnreadable  = "unreadable"   // its payload cannot be opened
	GapMalformed   = "malformed"    // it is no STIX bundle
	GapNotAdmitted = "not_admitted" // it lies beyond a cut, or its writer is not admitted
)

// Arrived is one arrival, opened: what came with it, or why nothing is told of it.
type Arrived struct {
	Number  uint64
	Place   store.Place
	Member  protocol.MemberID // zero where that is not known
	Time    int64             // milliseconds since 1970 by its writer's clock; 0 where the entry has gone
	Objects []store.Object
	Bundle  []byte
	Gap     string // empty: Objects and Bundle are there
}

// Arrived opens an arrival. It counts nothing as refused: the index has. It fails
// where the store does.
func (n *Node) Arrived(a store.Arrival) (*Arrived, error) {
	out := &Arrived{Number: a.Number, Place: a.Place}
	gap := func(why string) (*Arrived, error) {
		out.Gap, out.Objects, out.Bundle = why, nil, nil
		return out, nil
	}
	if a.Place == (store.Place{}) {
		return gap(GapDropped)
	}
	e, err := n.store.Entry(a.Place)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return gap(GapDropped)
	case err != nil:
		return nil, fmt.Errorf("read arrival %d: %w", a.Number, err)
	}
	out.Time = e.Header.Time
	author, ok := n.Roster().Author(e.Header.Node)
	if !ok {
		return gap(GapNotAdmitted)
	}
	out.Member = author.ID
	if n.anyCut() && !n.counts(a.Number) {
		return gap(GapNotAdmitted)
	}
	if e.Payload == nil && n.erased(a.Place) {
		return gap(GapErased)
	}
	if out.Bundle, err = n.openEntry(e); err != nil {
		return gap(GapUnreadable)
	}
	out.Objects, err = Objects(out.Bundle, author.ID, author.Card.Identity, author.ID == n.cfg.Member, a.Number, out.Time)
	if err != nil && len(out.Objects) == 0 {
		return gap(GapMalformed)
	}
	if to := n.audienceOf(a.Place); !to.IsZero() {
		for i := range out.Objects {
			out.Objects[i].Summary.Audience = to
		}
		if len(out.Objects) > 0 && !n.stands(&out.Objects[0]) {
			return gap(GapNotAdmitted)
		}
	}
	return out, nil
}

// Changed gives a channel that closes when something changes in what this node
// holds or knows. Take it before looking, then wait.
func (n *Node) Changed() <-chan struct{} { return n.pulse.wait() }

// Refused counts what was refused, dropped or left out since the node started, by
// reason.
func (n *Node) Refused() map[string]uint64 { return n.refused.all() }

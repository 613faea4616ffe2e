package node

import (
	"slices"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// Learn keeps statements that were heard from others, as a joiner's inviter
// sends them. What the roster does not let a node keep is left out and counted.
func (n *Node) Learn(list ...*protocol.Statement) error {
	_, err := n.learn(list...)
	return err
}

// Statements gives all statements held, in ascending order of their IDs.
func (n *Node) Statements() []*protocol.Statement { return n.ledger.statements() }

// Statement finds a statement by its ID; nil where it is not held.
func (n *Node) Statement(id protocol.StatementID) *protocol.Statement { return n.ledger.get(id) }

// Visible leaves out the objects that lie beyond a cut.
func (n *Node) Visible(list []store.Object) []store.Object { return n.visible(list) }

// PlaceOf finds the entry that an arrival was about.
func (n *Node) PlaceOf(arrival uint64) (store.Place, error) {
	place, found := store.Place{}, false
	err := n.store.Arrivals(arrival-1, func(a store.Arrival) bool {
		place, found = a.Place, a.Number == arrival
		return false
	})
	if err == nil && !found {
		err = store.ErrNotFound
	}
	return place, err
}

// ReadersOf gives the members that can read an entry, as far as this node has its
// epoch: those it was made for, and, unless a trust list narrowed it, whoever is in
// the audience now and may have what is older.
func (n *Node) ReadersOf(p store.Place) []protocol.MemberID {
	h, err := n.store.Header(p)
	if err != nil {
		return nil
	}
	e := n.keys.find(h.Feed, h.Tag)
	if e == nil {
		return nil
	}
	readers := slices.Clone(e.Readers)
	if e.Narrow {
		return protocol.Sorted(readers)
	}
	if e.Audience == protocol.Everyone(n.mesh) {
		for _, m := range n.Roster().Active() {
			readers = append(readers, m.ID)
		}
	} else if g, ok := n.Group(e.Audience); ok {
		for _, m := range g.Members {
			if g.Entitled(m, e.Epoch) {
				readers = append(readers, m)
			}
		}
	}
	return protocol.Sorted(readers)
}

// TicketOf finds the ticket made here that a card has used.
func (n *Node) TicketOf(card protocol.StatementID) (*protocol.Ticket, bool) {
	n.tickets.mu.Lock()
	defer n.tickets.mu.Unlock()
	for _, t := range n.tickets.open {
		if t.Card == card {
			return t.ticket, true
		}
	}
	return nil, false
}

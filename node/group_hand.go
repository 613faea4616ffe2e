package node

import (
	"bytes"
	"crypto/rand"
	"slices"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/audience"
	"github.com/tipmesh/tipmesh/protocol/replica"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

// Limits of handing on states of groups to a neighbour.
const (
	maxHandStates = 128     // states in one answer
	maxHandBytes  = 1 << 20 // and their bytes, more only by the last of them
	leastMarks    = 64      // in one request, so that they tell nothing of how much is held
	marksAtLeast  = 4096    // that may be told to all every askLeast
)

// marksFor is how many marks a request has where so much is held.
func marksFor(held int) int {
	size := leastMarks
	for size < held && size < replica.MaxMarks {
		size *= 2
	}
	return size
}

// askWithin is after how long all neighbours are asked at least: the longer the
// more has to be named, so that it costs an idle mesh little.
func (n *Node) askWithin() time.Duration {
	held := n.keys.held()
	n.groups.mu.Lock()
	for _, b := range n.groups.by {
		held += len(b.states)
	}
	n.groups.mu.Unlock()
	return askLeast * time.Duration(max(1, marksFor(held)/marksAtLeast))
}

// markHeld names the epochs and states held in a request, so that only who has
// them too knows which: their identifiers would tell who is in a group together. It
// fills up with random marks to a power of two, for their number would tell too.
func (n *Node) markHeld(get *replica.GetEpochs) {
	rand.Read(get.Salt[:])
	var marks []replica.Mark
	for _, e := range n.keys.all() {
		marks = append(marks, replica.MarkOf(get.Salt, protocol.Hash(e.ID())))
	}
	n.groups.mu.Lock()
	for _, b := range n.groups.by {
		for id := range b.states {
			marks = append(marks, replica.MarkOf(get.Salt, id))
		}
	}
	n.groups.mu.Unlock()
	size := marksFor(len(marks))
	for len(marks) < size {
		var m replica.Mark
		rand.Read(m[:])
		marks = append(marks, m)
	}
	// In this order others are left out in each request, if there are too many.
	slices.SortFunc(marks, func(a, b replica.Mark) int { return bytes.Compare(a[:], b[:]) })
	for _, m := range marks[:size] {
		get.Held = append(get.Held, m[:]...)
	}
}

// statesFor gives states of groups that a member may have and its node does not
// hold, each after the one that it follows. Letters bring a state once, to those
// who were active then, and not beyond the cut of who wrote it.
func (n *Node) statesFor(r *trust.Roster, m protocol.MemberID, held func(protocol.Hash) bool) (out []any) {
	size := 0
	for _, g := range n.groups.all(r) {
		may := n.toldTo(g, m)
		for _, p := range n.statesOf(g.ID) {
			s := p.(*protocol.AudienceState)
			if !may(s) || held(s.ID()) {
				continue
			}
			if len(out) == maxHandStates || size >= maxHandBytes {
				return out
			}
			out, size = append(out, p), size+len(s.Raw())
		}
	}
	return out
}

// toldTo says which states of a group a member may have: all if it is in; if it
// was, those up to the one that took it out, as it would have been told then.
func (n *Node) toldTo(g *audience.Group, m protocol.MemberID) func(*protocol.AudienceState) bool {
	if g.In(m) {
		return func(*protocol.AudienceState) bool { return true }
	}
	n.groups.mu.Lock()
	defer n.groups.mu.Unlock()
	b, was := n.groups.by[g.ID], map[protocol.Hash]bool{}
	for s := g.Head; s.Number > 1; {
		prev := b.states[s.Prev]
		if prev == nil {
			break
		}
		if len(was) > 0 || slices.Contains(prev.Members, m) {
			was[s.ID()], was[prev.ID()] = true, true
		}
		s = prev.AudienceState
	}
	return func(s *protocol.AudienceState) bool { return was[s.ID()] }
}

// hearStates keeps states that a neighbour handed over.
func (n *Node) hearStates(from protocol.Key, states []*protocol.AudienceState) (fresh bool) {
	if len(states) == 0 {
		return false
	}
	n.gate.Lock()
	fresh = n.takeGroups(&protocol.Header{Node: from}, states, nil)
	n.gate.Unlock()
	if fresh {
		n.groupsChanged()
	}
	return fresh
}

package node

import (
	"slices"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/audience"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

// Limits of handing on states of groups to a neighbour.
const (
	maxHandStates = 128     // states in one answer
	maxHandBytes  = 1 << 20 // and their bytes, more only by the last of them
	maxStateMarks = 512     // states that one request names as held
)

// stateMark names a state that an asking node holds, so that only who has the
// state too knows which: its ID must not tell who is in a group together.
func stateMark(asker protocol.Key, state protocol.Hash) protocol.EpochID {
	return protocol.EpochID(protocol.DomainDigest.Sum([]byte("held state\x00"), asker[:], state[:]))
}

// stateMarks names the states held, for a request.
func (n *Node) stateMarks() (out []protocol.EpochID) {
	n.groups.mu.Lock()
	defer n.groups.mu.Unlock()
	for _, b := range n.groups.by {
		for id := range b.states {
			out = append(out, stateMark(n.key, id))
		}
	}
	protocol.Sorted(out)
	return out[:min(len(out), maxStateMarks)]
}

// statesFor gives states of groups that a member may have and its node does not
// hold, each after the one that it follows. Letters bring a state once, to those
// who were active then, and not beyond the cut of who wrote it.
func (n *Node) statesFor(r *trust.Roster, m protocol.MemberID, node protocol.Key, held map[protocol.EpochID]bool) (out []any) {
	size := 0
	for _, g := range n.groups.all(r) {
		may := n.toldTo(g, m)
		for _, p := range n.statesOf(g.ID) {
			s := p.(*protocol.AudienceState)
			if !may(s) || held[stateMark(node, s.ID())] {
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

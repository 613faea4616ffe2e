package node

import (
	"cmp"
	"slices"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/audience"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
)

// hearGroups keeps the states and leaves in a letter. Nothing of this node's own
// is written meanwhile: see Node.gate. What must not be kept is counted.
func (n *Node) hearGroups(h *protocol.Header, l *protocol.Letter) {
	states, leaves := l.States(), l.Leaves()
	if len(states) == 0 && len(leaves) == 0 {
		return
	}
	n.gate.Lock()
	fresh := n.takeGroups(h, states, leaves)
	n.gate.Unlock()
	if fresh {
		n.groupsChanged()
	}
}

func (n *Node) takeGroups(h *protocol.Header, states []*protocol.AudienceState, leaves []protocol.Leave) (fresh bool) {
	r := n.Roster()
	from, ok := r.Author(h.Node)
	if !ok {
		n.refused.add(ReasonNotAdmitted, len(states)+len(leaves))
		return false
	}
	n.groups.mu.Lock()
	defer n.groups.mu.Unlock()
	c := &store.Commit{Settings: map[string][]byte{}}
	var took []*toldState
	left := map[protocol.AudienceID][]audience.Leave{}
	slices.SortStableFunc(states, func(a, b *protocol.AudienceState) int { return cmp.Compare(a.Number, b.Number) })
	for _, s := range states {
		t := &toldState{AudienceState: s, from: from.ID}
		if s.Signer == h.Node {
			t.place = store.Place{Feed: h.Feed, Seq: h.Seq}
		}
		if s.Mesh != n.mesh {
			n.refused.add(ReasonMalformed, 1)
			continue
		}
		had := n.groups.held(t)
		if had != nil && (!had.place.Feed.IsZero() || t.place.Feed.IsZero()) {
			continue
		}
		if had != nil {
			t.from = had.from
		} else if !n.groups.room(t, r) {
			reason := ReasonQuota
			if _, known := r.Author(t.Signer); !known {
				reason = ReasonNotAdmitted // yet: it is handed over in sync once the roster knows
			}
			n.refused.add(reason, 1)
			continue
		}
		took = append(took, t)
		name, value := t.setting()
		c.Settings[name] = value
		n.groups.book(groupOf(s)).keep(n.groups, t) // the next may follow it
	}
	known := slices.Clone(n.groups.early) // a state may be known by now that lists them
	n.groups.early = nil
	for _, l := range leaves {
		known = append(known, earlyLeave{l.Audience, leaveKey{from.ID, l.State}})
	}
	for _, l := range known {
		leave := audience.Leave{Member: l.member, State: l.state}
		b := n.groups.by[l.group]
		if b == nil || !b.lists(l.member) {
			if n.groups.await(l) {
				n.unkept.Add(1)
			} else {
				n.refused.add(ReasonQuota, 1)
			}
			continue
		}
		if !b.mayLeave(leave) {
			continue
		}
		leave.Cuts = n.groupHeads(l.group, l.member)
		left[l.group] = append(left[l.group], leave)
		name, value := leaveSetting(l.group, leave)
		c.Settings[name] = value
	}
	if len(c.Settings) == 0 {
		return false
	}
	if _, err := n.store.Commit(n.context(), c); err != nil {
		// They bite all the same; the letter is read again at the next start.
		n.unkept.Add(1)
		n.log.Error("keep what was told of groups", "err", err)
	}
	for id, list := range left {
		for _, l := range list {
			n.groups.by[id].leave(l)
		}
	}
	return len(took) > 0 || len(left) > 0
}

// held gives a state that is known already.
func (g *groups) held(t *toldState) *toldState {
	if b := g.by[groupOf(t.AudienceState)]; b != nil {
		return b.states[t.ID()]
	}
	return nil
}

// room reports whether one more state may be kept. The caller holds the lock.
func (g *groups) room(t *toldState, r *trust.Roster) bool {
	b := g.by[groupOf(t.AudienceState)]
	if g.bytes[t.from]+len(t.Raw()) > maxGroupBytes || b == nil && (len(g.by) >= maxGroups || g.first[t.from] >= maxGroupsOf) {
		return false
	}
	if b == nil {
		return true
	}
	signer, ok := r.Author(t.Signer)
	if !ok {
		return false
	}
	firm, loose, turns := b.census(r, signer.ID)
	if !b.firm(t.AudienceState, signer.ID) {
		return loose < maxLooseStates
	}
	return firm < audience.MaxStates && (turns < maxDeputyTurns || signer.ID == t.Owner)
}

// firm reports whether a member may have signed a state, as far as its predecessor
// says.
func (b *groupBook) firm(s *protocol.AudienceState, signer protocol.MemberID) bool {
	if s.Number == 1 {
		return signer == s.Owner
	}
	prev := b.states[s.Prev]
	return prev != nil && prev.Owner == s.Owner && (signer == s.Owner || slices.Contains(prev.Deputies, signer))
}

// census counts the states that are firm, and those by a member: that are not
// firm, and that are. One member's must not keep out what another signed after a
// state that is still on its way, such as the removal of the first.
func (b *groupBook) census(r *trust.Roster, of protocol.MemberID) (firm, loose, turns int) {
	for _, t := range b.states {
		signer, ok := r.Author(t.Signer)
		switch {
		case !ok:
		case !b.firm(t.AudienceState, signer.ID):
			if signer.ID == of {
				loose++
			}
		case signer.ID == of:
			turns++
			fallthrough
		default:
			firm++
		}
	}
	return firm, loose, turns
}

// mayLeave reports whether a leave is new, and not one too many.
func (b *groupBook) mayLeave(l audience.Leave) bool {
	if _, had := b.leaves[leaveKey{l.Member, l.State}]; had || len(b.leaves) >= audience.MaxLeaves {
		return false
	}
	of := 0
	for k := range b.leaves {
		if k.member == l.Member {
			of++
		}
	}
	return of < maxLeavesOf
}

// lists reports whether a state lists a member.
func (b *groupBook) lists(m protocol.MemberID) bool {
	for _, t := range b.states {
		if slices.Contains(t.Members, m) {
			return true
		}
	}
	return false
}

// await remembers a leave that came before any state that lists its member; false
// where there are too many. The caller holds the lock.
func (g *groups) await(l earlyLeave) bool {
	of := 0
	for _, x := range g.early {
		if x == l {
			return true
		}
		if x.member == l.member {
			of++
		}
	}
	if len(g.early) >= maxEarlyLeaves || of >= maxLeavesOf {
		return false
	}
	g.early = append(g.early, l)
	return true
}

func (b *groupBook) leave(l audience.Leave) {
	b.leaves[leaveKey{l.Member, l.State}] = l
	b.fold = nil
}

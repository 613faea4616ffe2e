package nodetest

import (
	"fmt"
	"slices"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/audience"
	"github.com/tipmesh/tipmesh/store"
)

// checkGroups checks that all who are in a group see the same, that they know what
// was shared with it, and that nobody reads what was written in view of its being
// out, unless it was let in later.
func (h *History) checkGroups(in []int) {
	h.T.Helper()
	last := h.checkGroupsAgree(in)
	states := h.groupStates(in)
	for _, s := range h.inside {
		at := h.payload(in, s.Acked)
		g := last[s.group.ID]
		if at == nil || g == nil {
			continue // of a home that was put back, or a group that nobody is in
		}
		lower := map[protocol.MemberID]bool{}
		for _, p := range h.Members {
			if lower[p.ID] || s.group.In(p.ID) || g.In(p.ID) || slices.ContainsFunc(states[g.ID], func(x *protocol.AudienceState) bool {
				return x.Number > s.group.Head.Number && slices.Contains(x.Members, p.ID)
			}) {
				continue
			}
			h.tried++
			if h.opens(p, at) {
				h.T.Errorf("seed %d: node %d reads %s, which node %d shared with group %s in view of its being out",
					h.opt.Seed, p.Index, s.Values[0].Text, s.By, g.ID.Short())
			}
		}
	}
	h.sum("%d groups, %d shares with them, %d times somebody who was out tried to read one", len(last), len(h.inside), h.tried)
}

// checkGroupsAgree gives the groups as those who are in see them.
func (h *History) checkGroupsAgree(in []int) map[protocol.AudienceID]*audience.Group {
	h.T.Helper()
	groups, rivals := h.groupsSeen(in)
	for _, r := range rivals {
		h.T.Errorf("seed %d: %s", h.opt.Seed, r)
	}
	return groups
}

// groupsSeen gives the groups as those who are in see them, and where they do not
// see the same.
func (h *History) groupsSeen(in []int) (last map[protocol.AudienceID]*audience.Group, rivals []string) {
	last, by := map[protocol.AudienceID]*audience.Group{}, map[protocol.AudienceID]int{}
	for _, i := range in {
		for _, g := range h.Members[i].Node.Groups() {
			if g.In(h.Members[i].ID) && last[g.ID] == nil {
				last[g.ID], by[g.ID] = g, i
			}
		}
	}
	for id, g := range last {
		for _, i := range in {
			if !g.In(h.Members[i].ID) {
				continue
			}
			other, ok := h.Members[i].Node.Group(id)
			if !ok {
				rivals = append(rivals, fmt.Sprintf("node %d sees member %d in group %s, which does not know of it", by[id], i, id.Short()))
			} else if other.Head.ID() != g.Head.ID() || !slices.Equal(other.Members, g.Members) || !slices.Equal(other.Departures, g.Departures) {
				rivals = append(rivals, fmt.Sprintf("group %s at node %d: state %d, %d in, %d departures; at node %d: state %d, %d in, %d departures", id.Short(),
					by[id], g.Head.Number, len(g.Members), len(g.Departures), i, other.Head.Number, len(other.Members), len(other.Departures)))
			}
		}
	}
	return last, rivals
}

// beforeState is where in a setting a state begins, after where it was told and by
// whom.
const beforeState = 32 + 32 + 8

// groupStates gives every state of a group that anybody keeps.
func (h *History) groupStates(in []int) map[protocol.AudienceID][]*protocol.AudienceState {
	out := map[protocol.AudienceID][]*protocol.AudienceState{}
	for _, i := range in {
		h.must(h.held(h.Members[i]).Settings("group/", func(name string, raw []byte) error {
			s, err := protocol.ParseAudienceState(raw[beforeState:])
			if err != nil {
				return err
			}
			id := s.Audience
			if s.Number == 1 {
				id = protocol.AudienceID(s.ID())
			}
			out[id] = append(out[id], s)
			return nil
		}))
	}
	return out
}

// payload gives the entry of a share as anybody who is in holds it.
func (h *History) payload(in []int, a Acked) *store.Entry {
	for _, i := range in {
		e, err := h.held(h.Members[i]).Entry(a.Places[0])
		if err == nil && e.Payload != nil && e.Header.Payload == a.Payload {
			return &e
		}
	}
	return nil
}

// opens reports whether any epoch that a node has or had opens an entry.
func (h *History) opens(p *Member, e *store.Entry) bool {
	for _, x := range h.epochs[p.Index] {
		if x.opens(e) {
			return true
		}
	}
	return false
}

// expectGroups has the checks look for the shares with groups at those who are in
// still, as long as their author is.
func (h *History) expectGroups(in []int) {
	for _, s := range h.inside {
		a := s.Acked
		a.For = []protocol.MemberID{}
		for _, i := range in {
			g, ok := h.Members[i].Node.Group(s.group.ID)
			id := h.Members[i].ID
			if ok && g.In(id) && slices.Contains(s.readers, id) && g.In(h.Members[a.By].ID) {
				a.For = append(a.For, id)
			}
		}
		h.acknowledge(a)
	}
}

// checkLowered: who was not sent something, by its author's trust list, does not
// read it.
func (h *History) checkLowered(in []int) {
	h.T.Helper()
	tried := 0
	for _, a := range h.acked {
		if len(a.Never) == 0 {
			continue
		}
		e := h.payload(in, a)
		for _, p := range h.Members {
			if e == nil || !slices.Contains(a.Never, p.ID) {
				continue
			}
			tried++
			if h.opens(p, e) {
				h.T.Errorf("seed %d: node %d reads %s of node %d, whose trust list did not send it there", h.opt.Seed, p.Index, a.Values[0].Text, a.By)
			}
		}
	}
	h.sum("%d times somebody whom a trust list left out tried to read", tried)
}

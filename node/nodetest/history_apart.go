package nodetest

import (
	"slices"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

// writeOn removes a member while its node hears of nothing.
func (h *History) writeOn(i int) {
	g, p := h.governor(), h.Members[i]
	if g == nil || g == p || p.Node == nil || p.key == nil || i == 0 || h.copied[i] || h.away[i] {
		return
	}
	if m := h.removable(g, i); m != nil {
		h.apart(i, g.Index, func() {
			h.say("%d is removed and writes on", i)
			h.expel(g, m)
		})
	}
}

// apart does what ends a node's time while neither that node nor one neighbour of
// it, which is not the one given, hears anything else. The node writes on, and the
// neighbour passes that on to those who know better. It reports whether that could be.
func (h *History) apart(i, but int, end func()) bool {
	between := h.neighbour(i, but)
	if between < 0 {
		return false
	}
	h.sum("%d hears %d alone, which passes on what it hears of it", i, between)
	h.mend(0)
	h.writes.Wait()
	h.set(func() {
		for j := range h.Members {
			h.mute[[2]int{j, i}] = j != between
			h.mute[[2]int{j, between}] = j != i
		}
	})
	end()
	for range 3 {
		h.govern()
		time.Sleep(time.Second)
	}
	h.note()
	h.shareSome(i, 3)
	time.Sleep(4 * time.Second)
	h.mend(0)
	time.Sleep(2 * time.Second)
	return true
}

// removable gives a member if a governor may remove it: it is none itself, and not
// too many are out already.
func (h *History) removable(g *Member, i int) *trust.Member {
	r := g.Node.Roster()
	m, ok := r.Member(h.Members[i].ID)
	if !ok || m.State != trust.StateActive || m.Governor || len(r.DepartedMembers()) >= len(h.Members)/3 {
		return nil
	}
	return m
}

func (h *History) expel(g *Member, m *trust.Member) {
	h.propose(g, &protocol.Removal{Member: m.ID, Admission: m.Admission, Line: g.Node.Roster().Line, Why: "test", Cuts: g.Node.Heads(m.ID)})
}

// neighbour chooses a node that is connected to another one and is not the one
// given; -1: there is none.
func (h *History) neighbour(of, but int) int {
	var list []int
	for _, p := range h.Members[of].Node.Status(time.Time{}).Peers {
		j := slices.IndexFunc(h.Members, func(q *Member) bool { return protocol.KeyOf(q.nodeKey) == p.Node })
		if p.Up && j >= 0 && j != but && h.Members[j].Node != nil {
			list = append(list, j)
		}
	}
	if len(list) == 0 {
		return -1
	}
	return list[h.rng.IntN(len(list))]
}

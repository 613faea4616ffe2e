package nodetest

import (
	"slices"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

// suspend has a governor suspend a member for a minute or two, and others share
// meanwhile. Sometimes it is lifted before it ends.
func (h *History) suspend(i int) {
	g, p := h.governor(), h.Members[i]
	if !h.opt.Exact || g == nil || i == 0 {
		return
	}
	n := g.Node
	m, ok := n.Roster().Member(p.ID)
	if !ok || m.State != trust.StateActive || m.Governor || slices.Contains(h.suspended, p.ID) {
		return
	}
	lasts := time.Duration(60+h.rng.IntN(60)) * time.Second
	s, err := n.State(&protocol.Suspension{Member: p.ID, Line: n.Roster().Line, Seconds: uint64(lasts.Seconds())})
	h.say("%d suspends %d for %v: %v", g.Index, i, lasts, err)
	if err != nil {
		return
	}
	begun := time.Now()
	h.suspended = append(h.suspended, p.ID) // once in seven days
	h.until = begun.Add(lasts)
	time.Sleep(4 * time.Second)
	for _, j := range h.rng.Perm(len(h.Members))[:3] {
		h.shareSome(j, 1)
	}
	time.Sleep(15 * time.Second)
	h.checkSuspended(begun, p.ID)
	if h.rng.IntN(2) == 0 && g.Node == n {
		h.sum("%d wants to lift that", g.Index)
		h.propose(g, &protocol.Dismissal{Subject: s.ID(), Line: n.Roster().Line})
	}
}

// checkSuspended: as long as a member is suspended, none of its nodes reads what
// was written by one that knew.
func (h *History) checkSuspended(since time.Time, m protocol.MemberID) {
	tried := 0
	h.Mesh.mu.Lock()
	acked := slices.Clone(h.acked)
	h.Mesh.mu.Unlock()
	for i, p := range h.Members {
		if p.ID != m || p.disk == nil || p.Node == nil && h.opt.Open != nil {
			continue
		}
		h.keep(i)
		for _, a := range acked {
			if a.At.Before(since) || !slices.Contains(a.Without, m) {
				continue
			}
			if e := h.payload(h.All(), a); e != nil {
				tried++
				if h.opens(p, e) {
					h.T.Errorf("seed %d: node %d reads %s of node %d, which knew that its member was suspended", h.opt.Seed, i, a.Values[0].Text, a.By)
				}
			}
		}
	}
	h.sum("%d times a suspended member tried to read", tried)
}

// without gives the members that a node sees as suspended for a time.
func without(r *trust.Roster) (out []protocol.MemberID) {
	for _, m := range r.Members {
		if m.Until != 0 {
			out = append(out, m.ID)
		}
	}
	return out
}

// rules changes the house rules.
func (h *History) rules(int) {
	g := h.governor()
	if g == nil {
		return
	}
	r := g.Node.Roster()
	next := r.Rules
	next.EpochWaitMillis = uint64(1000 * (2 + h.rng.IntN(10)))
	h.say("%d proposes other house rules", g.Index)
	h.propose(g, &protocol.HouseRules{Prev: r.RulesAt, Line: r.Line, Rules: next})
}

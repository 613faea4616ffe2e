package nodetest

import (
	"crypto/ed25519"
	"slices"
	"strings"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

// rescue is a change of governors that recovery keys approved.
type rescue struct {
	change *protocol.Statement
	by     []*protocol.Statement // their approvals
}

// recoveryKey is the private key of one of Options.Recovery.
func (m *Mesh) recoveryKey(k int) ed25519.PrivateKey { return seeded(m.opt.Seed, "recovery", k) }

func (m *Mesh) recoveryKeys() (out []protocol.Key) {
	for k := range m.opt.Recovery {
		out = append(out, protocol.KeyOf(m.recoveryKey(k)))
	}
	return protocol.Sorted(out)
}

// accepts are the decisions that a change of governors has to name to keep them.
func accepts(r *trust.Roster) (out []protocol.StatementID) {
	for _, p := range r.Proposals {
		if p.Kind != protocol.KindGovernors && (p.State == trust.ProposalDone || p.State == trust.ProposalSuspends) {
			out = append(out, p.ID)
		}
	}
	return protocol.Sorted(out)
}

// recover has so many governors lose their keys for good that those who are left
// decide nothing, and has recovery keys replace them: one key too few at first.
func (h *History) recover(i int) {
	p, m := h.Members[i], h.steady(i)
	if h.opt.Recovery == 0 || h.rescued != nil || m == nil || m.Governor || !h.agreedLine() {
		return
	}
	h.mend(0)
	h.writes.Wait()
	time.Sleep(20 * time.Second)
	if m = h.steady(i); m == nil || m.Governor || !h.agreedLine() {
		return
	}
	r, in := p.Node.Roster(), h.In() // who is out may not know it
	if !slices.Contains(in, i) {
		return
	}
	list := []protocol.MemberID{m.ID}
	for _, j := range h.rng.Perm(len(h.Members))[:2] {
		if x := h.steady(j); x != nil && !x.Governor && slices.Contains(in, j) && !slices.Contains(list, x.ID) {
			list = append(list, x.ID)
		}
	}
	s, err := p.Node.State(&protocol.Governors{Prev: r.Line, Governors: protocol.Sorted(list), Threshold: uint64(len(list)/2 + 1), Accepts: accepts(r)})
	if err != nil {
		h.say("%d cannot propose other governors: %v", i, err)
		return
	}
	h.sum("%d proposes %d governors in place of those who lost their keys: %s", i, len(list), s.ID().Short())
	lost := len(r.Governors) - r.Threshold + 1
	for _, j := range h.rng.Perm(len(h.Members)) {
		if q := h.Members[j]; lost > 0 && q.first == nil && slices.Contains(r.Governors, q.ID) {
			h.sum("%d loses its key", j)
			q.key, lost = nil, lost-1
			q.present.Store(nil)
		}
	}
	x := &rescue{change: s}
	h.rescued = x
	keys := h.rng.Perm(h.opt.Recovery)[:h.opt.Recovery/2+1]
	for k, key := range keys {
		for range 3 {
			time.Sleep(5 * time.Second)
			h.govern()
			h.note()
		}
		for j, q := range h.Members {
			if q.Node != nil && q.Node.Roster().Line == s.ID() {
				h.T.Errorf("seed %d: node %d follows the new governors by %d of %d recovery keys", h.opt.Seed, j, k, h.opt.Recovery)
			}
		}
		a, err := protocol.NewStatement(h.ID, &protocol.Approval{Subject: s.ID()}, time.Now().UnixMilli(), h.recoveryKey(key))
		h.must(err)
		x.by = append(x.by, a)
		h.handIn(in[h.rng.IntN(len(in))], a)
	}
}

// agreedLine reports whether all who are in see the same governors, and no change
// of them under way.
func (h *History) agreedLine() bool {
	if h.Members[0].Node == nil {
		return false
	}
	first := h.Members[0].Node.Roster()
	return !slices.ContainsFunc(h.In(), func(i int) bool {
		r := h.Members[i].Node.Roster()
		return r.Line != first.Line || slices.ContainsFunc(r.Proposals, func(p *trust.Proposal) bool {
			return p.Kind == protocol.KindGovernors && (p.State == trust.ProposalOpen || p.State == trust.ProposalRival)
		})
	})
}

// handIn brings statements that were signed elsewhere to a running node: from the
// i-th on the first.
func (h *History) handIn(i int, list ...*protocol.Statement) {
	for k := range h.Members {
		if p := h.Members[(i+k)%len(h.Members)]; p.Node != nil {
			h.must(p.Node.Submit(list...))
			return
		}
	}
}

// checkRecovered: a change of governors that enough recovery keys and the new
// governors approved is done at all who are in.
func (h *History) checkRecovered(in []int) {
	h.T.Helper()
	if h.rescued == nil {
		return
	}
	id := h.rescued.change.ID()
	for _, i := range in {
		p, ok := h.Members[i].Node.Roster().Proposal(id)
		if !ok || p.State != trust.ProposalDone {
			h.T.Errorf("seed %d: node %d does not follow the governors that recovery keys approved\n%s", h.opt.Seed, i, h.Members[i].Node.Roster())
		}
	}
	h.sum("recovery keys changed the governors at %d nodes", len(in))
}

// stale has governors be apart from the others for longer than marks are fresh,
// and back. Their side may remove a member meanwhile, of which the others do not
// hear.
func (h *History) stale(i int) {
	if h.opt.Rules.FreshSeconds == 0 || !h.opt.Exact || h.staled || !h.agreedLine() {
		return
	}
	h.mend(0)
	h.writes.Wait()
	time.Sleep(30 * time.Second)
	if !h.agreedLine() {
		return
	}
	r := h.Members[0].Node.Roster()
	// The governors who stay with the others are one too few at most.
	stay := r.Governors[:h.rng.IntN(r.Threshold)]
	away := func(j int) bool {
		m := h.Members[j].ID
		return slices.Contains(r.Governors, m) && !slices.Contains(stay, m)
	}
	var left []int
	given := map[int]bool{} // before
	for _, j := range h.In() {
		p := h.Members[j]
		if !away(j) && h.steady(j) != nil && !p.Node.Freshness().Stale && len(p.Node.Roster().Marks) > 0 {
			left = append(left, j)
			given[j] = h.gives(j, left[0])
		}
	}
	if len(left) < 2 {
		return
	}
	h.staled = true
	h.sum("%d of %d governors are apart", len(r.Governors)-len(stay), len(r.Governors))
	h.set(func() {
		for j := range h.Members {
			h.groups[j] = 0
			if away(j) {
				h.groups[j] = 1
			}
		}
	})
	h.remove(i)
	end := time.Now().Add(time.Duration(r.Rules.Fresh())*time.Second + time.Minute)
	for time.Now().Before(end) {
		time.Sleep(time.Minute)
		h.govern()
		h.note()
		h.shareSome(h.rng.IntN(len(h.Members)), 1)
	}
	h.writes.Wait()
	stale, gave := 0, 0
	for _, j := range left {
		p := h.Members[j]
		f, alerts := p.Node.Freshness(), p.Node.Status(time.Time{}).Alerts
		if !f.Stale || !slices.ContainsFunc(alerts, isStale) {
			h.T.Errorf("seed %d: node %d has heard of too few governors and is %+v: %q", h.opt.Seed, j, f, alerts)
		}
		if h.gives(j, left[0]) {
			h.T.Errorf("seed %d: node %d is stale and hands epochs on", h.opt.Seed, j)
		}
		if given[j] {
			gave++
		}
		stale++
		a, err := h.writeNarrow(p, p.Node, h.confidedName())
		if err != nil {
			h.T.Errorf("seed %d: node %d is stale and takes no share: %v", h.opt.Seed, j, err)
			continue
		}
		h.acknowledge(a)
	}
	h.mend(0)
	for range 3 {
		time.Sleep(time.Minute)
		h.govern()
		h.let()
		h.note()
	}
	h.sum("%d nodes were stale, of which %d gave epochs before", stale, gave)
}

// isStale reports whether a node's alert says that it is stale.
func isStale(alert string) bool { return strings.HasPrefix(alert, "STALE") }

// gives reports whether a node hands epochs to another that holds none.
func (h *History) gives(i, as int) bool {
	answer := h.askEpochs(h.Members[i].Node, protocol.KeyOf(h.Members[as].nodeKey))
	return answer != nil && len(answer.Sealed) > 0
}

// checkFresh: once enough governors are back, all who are in are fresh and hand
// epochs on.
func (h *History) checkFresh(in []int) {
	h.T.Helper()
	if !h.staled {
		return
	}
	r, back := h.Members[in[0]].Node.Roster(), h.governorsIn(in)
	for _, i := range h.staleStill(in) {
		h.T.Errorf("seed %d: %d governors are back, and node %d is %+v", h.opt.Seed, back, i, h.Members[i].Node.Freshness())
	}
	given := 0
	for _, i := range in {
		if h.gives(i, in[0]) {
			given++
		}
	}
	h.sum("%d of %d governors are back, %d of %d nodes hand epochs on", back, r.Threshold, given, len(in))
	if back >= r.Threshold && given == 0 {
		h.T.Errorf("seed %d: nobody hands epochs on after governors are back", h.opt.Seed)
	}
}

// governorsIn counts the governors with a node that is in and signs.
func (h *History) governorsIn(in []int) (count int) {
	for _, m := range h.Members[in[0]].Node.Roster().Governors {
		if slices.ContainsFunc(in, func(i int) bool {
			return h.Members[i].ID == m && h.Members[i].Node.Status(time.Time{}).Halted == ""
		}) {
			count++
		}
	}
	return count
}

// staleStill gives the nodes that are stale though enough governors are back. A
// change of the roster may make one stale until the next mark, a minute later.
func (h *History) staleStill(in []int) (list []int) {
	if !h.staled || len(in) == 0 || h.governorsIn(in) < h.Members[in[0]].Node.Roster().Threshold {
		return nil
	}
	for _, i := range in {
		if h.Members[i].Node.Freshness().Stale {
			list = append(list, i)
		}
	}
	return list
}

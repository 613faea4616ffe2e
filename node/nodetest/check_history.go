package nodetest

import (
	"errors"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
	"github.com/tipmesh/tipmesh/protocol/seal"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
)

// Check checks everything there is to check.
func (h *History) Check() {
	h.T.Helper()
	in := h.In()
	for i, p := range h.Members {
		if p.disk != nil && (p.Node != nil || h.opt.Open == nil) {
			h.keep(i)
		}
	}
	h.expectGroups(in)
	h.forgetSpoilt(in)
	h.Mesh.Check(in...)
	h.checkGroups(in)
	h.checkWithdrawn(in)
	h.checkLowered(in)
	h.checkForksAreReported(in)
	h.checkOnlySpoiltHomesStop(in)
	h.checkNothingIsCountedMalformed(in)
	h.checkRemovalsHold(in)
	h.checkRecovered(in)
	h.checkFresh(in)
	h.checkEveryRosterIsKnown()
	for i, p := range h.Members {
		if !slices.Contains(in, i) {
			h.checkRemovedIsCutOff(p, in)
			h.checkRemovedReadsNothingNew(i, in)
		}
	}
}

// forgetSpoilt forgets what spoilt homes acknowledged and nobody who is in holds:
// whoever threw a disk away, or wrote on one twice, lost it.
func (h *History) forgetSpoilt(in []int) {
	at := map[store.Place]*known{}
	for _, k := range h.everything(in) {
		at[k.place] = k
	}
	h.Mesh.mu.Lock()
	defer h.Mesh.mu.Unlock()
	h.acked = slices.DeleteFunc(h.acked, func(a Acked) bool {
		k := at[a.Places[0]]
		return h.copied[a.By] && (k == nil || !slices.ContainsFunc(k.entries, func(e store.Entry) bool { return e.Header.Payload == a.Payload }))
	})
}

// checkForksAreReported looks for two different entries at one place, in the
// stores of all who are in. Everybody must know of a fork of that node; and
// nobody may claim one of a node whose home was used once only.
func (h *History) checkForksAreReported(in []int) {
	h.T.Helper()
	forked := map[protocol.Key]*known{}
	for _, k := range h.everything(in) {
		if len(k.entries) > 1 && forked[k.author] == nil {
			forked[k.author] = k
		}
	}
	honest := maps.Clone(h.keys)
	maps.DeleteFunc(honest, func(_ protocol.Key, i int) bool { return h.copied[i] })
	for _, i := range in {
		r := h.Members[i].Node.Roster()
		for key, k := range forked {
			if _, ok := r.Fork(key); !ok && counts(r, k) {
				h.T.Errorf("seed %d: feed %s of node %s parts at %d, as nodes %v hold it, and node %d knows of no fork",
					h.opt.Seed, k.place.Feed.Short(), key.Short(), k.place.Seq, k.by, i)
			}
		}
		for key, j := range honest {
			if fork, ok := r.Fork(key); ok {
				h.T.Errorf("seed %d: node %d knows of a fork at %d by node %d, whose home was used once", h.opt.Seed, i, fork.Seq, j)
			}
		}
	}
}

// counts reports whether a place counts: beyond a cut nobody looks.
func counts(r *trust.Roster, k *known) bool {
	last, ended := r.Limit(k.author, k.place.Feed)
	return !ended || k.place.Seq <= last
}

// checkOnlySpoiltHomesStop looks for nodes that write no more.
func (h *History) checkOnlySpoiltHomesStop(in []int) {
	h.T.Helper()
	for _, i := range in {
		if s := h.Members[i].Node.Status(time.Time{}); s.Halted != "" && !h.copied[i] {
			h.T.Errorf("seed %d: node %d writes no more, though its home was used once: %s", h.opt.Seed, i, s.Halted)
		}
	}
}

// checkNothingIsCountedMalformed: every node here keeps to the protocol. Only of
// fork proofs there may be more than anybody keeps.
func (h *History) checkNothingIsCountedMalformed(in []int) {
	h.T.Helper()
	for _, i := range in {
		refused := h.Members[i].Node.Status(time.Time{}).Refused
		for _, reason := range []string{node.ReasonMalformed, node.ReasonTooLarge, node.ReasonQuota, node.ReasonUnreadable} {
			if refused[reason] > 0 && (reason != node.ReasonQuota || len(h.copied) == 0) {
				h.T.Errorf("seed %d: node %d refused %v, though nobody sent anything of the kind", h.opt.Seed, i, refused)
			}
		}
		h.say("node %d refused %v", i, refused)
	}
}

// checkRemovalsHold: a member that a removal ended is out, unless a later
// admission names that removal.
func (h *History) checkRemovalsHold(in []int) {
	h.T.Helper()
	for _, i := range in {
		n := h.Members[i].Node
		for _, p := range n.Roster().Proposals {
			m, ok := n.Roster().Member(p.Subject)
			if p.Kind != protocol.KindRemoval || p.State != trust.ProposalDone || !ok || m.State != trust.StateActive {
				continue
			}
			again, ok := n.Statement(m.Admission).Doc().(*protocol.Admission)
			if !ok || !slices.Contains(again.Removed, p.ID) {
				h.T.Errorf("seed %d: node %d takes %s for a member, though removal %s ended that", h.opt.Seed, i, m.Handle, p.ID.Short())
			}
		}
	}
}

// checkRemovedIsCutOff: nobody who is in is connected to a removed member's
// node, or answers it.
func (h *History) checkRemovedIsCutOff(gone *Member, in []int) {
	h.T.Helper()
	key := protocol.KeyOf(gone.nodeKey)
	for _, i := range in {
		// Who is out may take itself for connected a while: it does not see at once that it is refused.
		if slices.Contains(h.Members[i].wire.Connected(), key) {
			h.T.Errorf("seed %d: node %d is connected to node %d, whose member is out", h.opt.Seed, i, gone.Index)
		}
		if epochs := h.askEpochs(h.Members[i].Node, key); epochs != nil {
			h.T.Errorf("seed %d: node %d hands epochs to node %d, whose member is out", h.opt.Seed, i, gone.Index)
		}
	}
}

// askEpochs asks a node for epochs as another would; nil where it answers
// nothing.
func (h *History) askEpochs(n *node.Node, as protocol.Key) *replica.Epochs {
	near, far := net.Pipe()
	defer near.Close()
	go n.Serve(as, line{far})
	h.must(near.SetDeadline(time.Now().Add(10 * time.Second)))
	if _, err := near.Write(replica.Encode(&replica.GetEpochs{})); err != nil {
		return nil
	}
	frame, err := replica.ReadFrame(near, replica.MaxFrame)
	if err != nil {
		return nil
	}
	msg, err := replica.Decode(frame)
	h.must(err)
	return msg.(*replica.Epochs)
}

// checkEveryRosterIsKnown: the checks of secrecy go by what a writer's roster
// said, so none may be missing.
func (h *History) checkEveryRosterIsKnown() {
	h.T.Helper()
	h.each(func(e store.Entry) {
		if e.Header.Kind == protocol.EntrySealed && h.before[e.Header.Roster] == nil {
			h.T.Errorf("seed %d: nobody has seen the roster that entry %s/%d of node %s was written by",
				h.opt.Seed, e.Header.Feed.Short(), e.Header.Seq, e.Header.Node.Short())
		}
	})
}

// checkRemovedReadsNothingNew tries every key that a node which is out ever had,
// or could get out of anything any node holds, on every entry: none may open one
// whose writer saw the removal that ended its member's time, or its retirement.
func (h *History) checkRemovedReadsNothingNew(i int, in []int) {
	h.T.Helper()
	p := h.Members[i]
	last, ok := h.Members[in[0]].Node.Roster().Member(p.ID)
	if !ok {
		return // it never was in
	}
	key, by := protocol.KeyOf(p.nodeKey), h.lastRemovals(in[0], p.ID)
	after := func(e store.Entry) bool {
		s := h.before[e.Header.Roster]
		if e.Header.Kind != protocol.EntrySealed || e.Payload == nil || s == nil {
			return false
		}
		if last.State == trust.StateActive {
			return p.first != nil && s.ended[key]
		}
		if _, out := s.out[p.ID]; len(by) > 0 {
			return out && slices.ContainsFunc(by, func(id protocol.StatementID) bool { return s.removals[id] })
		}
		// Where an admission came after the removal and is void by now, it was let in
		// meanwhile: what ended that time is no removal.
		end := h.Members[in[0]].Node.Statement(last.Removal)
		return s.out[p.ID] == last.Removal && end.Kind != protocol.KindRemoval
	}
	sealed := 0
	h.each(func(e store.Entry) {
		if after(e) {
			sealed++
		}
	})
	ids := h.reach(p)
	h.sum("node %d is out, its member %s by %s: %d epochs tried on %d entries", i, last.State, last.Removal.Short(), len(ids), sealed)
	h.each(func(e store.Entry) {
		if !after(e) {
			return
		}
		for _, x := range ids {
			if x.opens(&e) {
				h.T.Errorf("seed %d: node %d reads entry %s/%d of node %s, written in view of its end",
					h.opt.Seed, i, e.Header.Feed.Short(), e.Header.Seq, e.Header.Node.Short())
			}
		}
	})
}

// lastRemovals gives the removals of a member that no admission came after.
func (h *History) lastRemovals(i int, m protocol.MemberID) (out []protocol.StatementID) {
	n := h.Members[i].Node
	for _, p := range n.Roster().Proposals {
		if p.Subject == m && removes(p) {
			out = append(out, p.ID)
		}
	}
	for _, s := range n.Statements() {
		if a, ok := s.Doc().(*protocol.Admission); ok && a.Member == m {
			out = slices.DeleteFunc(out, func(id protocol.StatementID) bool { return slices.Contains(a.Removed, id) })
		}
	}
	return out
}

// reach gives the epochs that a node had or can get out of any letter, with the
// identities it had and those that letters tell it.
func (h *History) reach(p *Member) epochSet {
	out := maps.Clone(h.epochs[p.Index])
	if out == nil {
		out = epochSet{}
	}
	fresh := append(slices.Concat(p.former, h.ids[p.Index]), p.age, p.nodeAge)
	for had := map[string]bool{}; len(fresh) > 0; {
		now := fresh
		fresh = nil
		h.each(func(e store.Entry) {
			if e.Header.Kind != protocol.EntryDirect || e.Payload == nil {
				return
			}
			plain, err := seal.OpenDirect(e.Payload, now...)
			if errors.Is(err, seal.ErrNotForUs) {
				return
			}
			h.must(err)
			letter, err := protocol.ParseLetter(plain)
			h.must(err)
			for _, e := range letter.Epochs() {
				h.must(out.add(e))
			}
			for _, o := range letter.Owns() {
				id, err := seal.ParseIdentity(string(o.Value))
				if err == nil && strings.HasPrefix(o.Name, "age/") && !had[o.Name] {
					had[o.Name] = true
					fresh = append(fresh, id)
				}
			}
		})
	}
	return out
}

// each visits every distinct entry that any open store holds.
func (h *History) each(f func(store.Entry)) {
	seen := map[protocol.EntryID]bool{}
	for _, p := range h.Members {
		if p.Node == nil {
			continue
		}
		for _, feed := range h.held(p).Feeds() {
			h.must(h.held(p).Range(feed.ID, 1, func(e store.Entry) bool {
				if !seen[e.Header.ID()] {
					seen[e.Header.ID()] = true
					f(e)
				}
				return true
			}))
		}
	}
}

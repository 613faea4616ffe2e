package trust_test

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

// check compares all nodes with each other and with the model.
func (s *sim) check() (sum tally) {
	m := newModel(s)
	want := s.answers(s.nodes[0].roster)
	for i, n := range s.nodes {
		if got := s.answers(n.roster); got != want {
			s.t.Errorf("seed %d: node %d has another roster than node 0\n%s\ninstead of\n%s", s.seed, i, got, want)
		}
		s.bounded(n)
		for id, st := range n.kept {
			// What a member proposed before it was removed stays with those who heard it then.
			if err := s.nodes[0].roster.Accept(st); s.nodes[0].kept[id] == nil && !errors.Is(err, trust.ErrUnknownSigner) {
				s.t.Errorf("seed %d: a %s that node %d keeps is not kept by node 0: %v", s.seed, st.Kind, i, err)
			}
		}
		sum[10] += n.dropped
	}
	if got := s.answers(s.nodes[0].fold()); got != want {
		s.t.Errorf("seed %d: another order gives another roster\n%s\ninstead of\n%s", s.seed, got, want)
	}
	r := s.nodes[0].roster
	s.governors(m, r)
	s.governed(m, r, &sum)
	for i, o := range s.people {
		s.member(m, r, o)
		s.ends(m, r, i)
		sum.count(m, r, o)
	}
	s.forks(m, r, &sum)
	sum[0] += len(s.all)
	sum[5] += len(m.lines) - 1
	for _, a := range r.Alarms {
		if a.Kind == trust.AlarmRivalChanges {
			sum[6]++
		}
	}
	return sum
}

func (sum *tally) count(m *model, r *trust.Roster, o *simOrg) {
	got, ok := r.Member(o.id)
	if !ok {
		return
	}
	switch got.State {
	case trust.StateActive:
		sum[1]++
		if made, _ := m.decided(protocol.KindRemoval, o.id); len(made) > 0 {
			sum[4]++
		}
	case trust.StateRemoved:
		sum[2]++
	case trust.StateSuspended:
		sum[3]++
	}
	if len(m.path(o.id).keys) > 1 {
		sum[7]++
	}
	if slices.ContainsFunc(r.Alarms, func(a trust.Alarm) bool { return a.Kind == trust.AlarmRivalCards && a.Member == o.id }) {
		sum[8]++
	}
}

// answers is all that nodes must agree on.
func (s *sim) answers(r *trust.Roster) string {
	out := fmt.Sprintln(r.Digest(), r.Departures(), r.Line, r.Governors, r.Threshold, r.RulesAt, r.Marks)
	for _, x := range r.Suspended {
		out += fmt.Sprintln(*x)
	}
	for _, m := range r.Members {
		out += fmt.Sprintln(m.ID.Short(), m.Handle, m.Key.Short(), m.CardID.Short(), m.State, m.Admission.Short(), m.Removal.Short(), m.Nodes)
	}
	for who := range s.people {
		for which := range 2 {
			node := nodeKey(who, which)
			author, _ := r.Author(node)
			if author != nil {
				out += author.Handle
			}
			for _, f := range simFeeds {
				last, ended := r.Limit(node, f)
				seq, entry, ok := r.Survivor(node, f)
				out += fmt.Sprintln(node.Short(), f.Short(), last, ended, seq, entry.Short(), ok)
			}
			for _, k := range r.Forks(node) {
				out += fmt.Sprintln("fork", k.Feed.Short(), k.Seq, k.Statement.Short(), k.Resolved)
			}
		}
	}
	return out
}

func (s *sim) governors(m *model, r *trust.Roster) {
	head := m.lines[len(m.lines)-1]
	if r.Line != head || r.Threshold != m.threshold(head) {
		s.t.Errorf("seed %d: the line ends with %s, threshold %d; want %s, %d", s.seed, r.Line.Short(), r.Threshold, head.Short(), m.threshold(head))
	}
	want := slices.Clone(m.seats(head))
	if slices.SortFunc(want, protocol.MemberID.Compare); !slices.Equal(r.Governors, want) {
		s.t.Errorf("seed %d: governors %v, want %v", s.seed, r.Governors, want)
	}
}

// member compares a member's state, key and card.
func (s *sim) member(m *model, r *trust.Roster, o *simOrg) {
	got, ok := r.Member(o.id)
	want := m.state(o.id)
	if !ok {
		got = &trust.Member{}
	}
	if got.State != want {
		s.t.Errorf("seed %d: %s is %q, want %q\n%s", s.seed, o.name, got.State, want, r)
	}
	if !ok {
		return
	}
	p := m.path(o.id)
	if got.Key != p.keys[len(p.keys)-1] || got.CardID != p.cards[len(p.cards)-1].ID() {
		s.t.Errorf("seed %d: %s has card %s, version %d, and key %s; want card %s of %d", s.seed, o.name, got.CardID.Short(), got.Card.Version,
			got.Key.Short(), p.cards[len(p.cards)-1].ID().Short(), len(p.cards))
	}
}

// ends checks that nobody writes past a cut, and that nothing ends without one.
func (s *sim) ends(m *model, r *trust.Roster, who int) {
	for which := range 2 {
		node := nodeKey(who, which)
		author, ok := r.Author(node)
		if !ok {
			if _, acts := r.ByNode(node); acts {
				s.t.Errorf("seed %d: a node of nobody acts", s.seed)
			}
			continue
		}
		card := author.Card
		named := slices.ContainsFunc(card.Nodes, func(n protocol.CardNode) bool { return n.Key == node })
		made, hard := m.decided(protocol.KindRemoval, author.ID)
		if _, acts := r.ByNode(node); acts && (!named || m.state(author.ID) != trust.StateActive) {
			s.t.Errorf("seed %d: node %d of %s acts", s.seed, which, s.people[who].name)
		}
		for _, f := range simFeeds {
			last, ended := r.Limit(node, f)
			most, why := protocol.MaxSeq+uint64(1), ""
			at := func(seq uint64, reason string) {
				if seq < most {
					most, why = seq, reason
				}
			}
			for _, st := range m.cuts(author.ID) {
				if doc := st.Doc().(*protocol.Cut); doc.Node == node {
					if i := slices.IndexFunc(doc.Cuts, func(c protocol.FeedCut) bool { return c.Feed == f }); i >= 0 {
						at(doc.Cuts[i].Seq, "cut")
					}
				}
			}
			active := m.state(author.ID) == trust.StateActive
			for _, st := range made {
				if !active {
					at(endOf(st.Doc().(*protocol.Removal).Cuts, f), "removal")
				}
			}
			retired := false
			for _, st := range m.path(author.ID).cards {
				retired = retired || slices.ContainsFunc(st.Doc().(*protocol.Card).Retired, func(x protocol.RetiredNode) bool { return x.Node == node })
			}
			for _, x := range card.Retired {
				if x.Node == node {
					at(endOf(x.Cuts, f), "retired")
				}
			}
			if most <= protocol.MaxSeq && (!ended || last > most) {
				s.t.Errorf("seed %d: feed %s of node %d of %s ends at %d, %v, though by %s at %d", s.seed, f.Short(), which, s.people[who].name, last, ended, why, most)
			}
			if free := active && named && !retired && len(hard) == 0; free && ended != (most <= protocol.MaxSeq) || free && ended && last != most {
				s.t.Errorf("seed %d: feed %s of node %d of %s ends at %d, %v, without reason", s.seed, f.Short(), which, s.people[who].name, last, ended)
			}
		}
	}
}

func endOf(cuts []protocol.FeedCut, f protocol.FeedID) uint64 {
	for _, c := range cuts {
		if c.Feed == f {
			return c.Seq
		}
	}
	return 0
}

// forks checks that a fork is resolved by nothing but an end at 0 or one with a
// name, and that every node with a proof against it is known to have forked.
func (s *sim) forks(m *model, r *trust.Roster, sum *tally) {
	for _, st := range m.kind[protocol.KindForkProof] {
		h, err := protocol.ReadHeader(st.Doc().(*protocol.ForkProof).A)
		if err != nil {
			s.t.Fatal(err)
		}
		author, ok := r.Author(h.Node)
		if !ok {
			continue
		}
		if len(r.Forks(h.Node)) == 0 {
			s.t.Errorf("seed %d: a fork of %s is forgotten", s.seed, author.Handle)
		}
		for _, k := range r.Forks(h.Node) {
			sum[9]++
			if k.Feed == h.Feed && (h.Seq < k.Seq || h.Seq == k.Seq && st.ID().Compare(k.Statement) < 0) {
				s.t.Errorf("seed %d: the proof of a fork at %d is kept, not that at %d", s.seed, k.Seq, h.Seq)
			}
			last, ended := r.Limit(h.Node, k.Feed)
			_, _, named := r.Survivor(h.Node, k.Feed)
			if k.Resolved != (ended && (last == 0 || named)) {
				s.t.Errorf("seed %d: fork at %d resolved %v, though it ends at %d, %v, named %v", s.seed, k.Seq, k.Resolved, last, ended, named)
			}
		}
	}
}

// bounded checks the limits on what a node keeps.
func (s *sim) bounded(n *simNode) {
	open, void, cuts, proofs := map[protocol.MemberID]int{}, map[protocol.MemberID]int{}, map[protocol.MemberID]int{}, map[string]int{}
	seconded := map[protocol.StatementID]bool{}
	for _, st := range n.kept {
		if doc, ok := st.Doc().(*protocol.Approval); ok {
			seconded[doc.Subject] = true
		}
	}
	for _, p := range n.roster.Proposals {
		switch {
		case seconded[p.ID] || p.By.IsZero():
		case p.State == trust.ProposalOpen:
			open[p.By]++
		case p.State == trust.ProposalVoid || p.State == trust.ProposalSuperseded:
			void[p.By]++
		}
	}
	for _, st := range n.kept {
		switch doc := st.Doc().(type) {
		case *protocol.Cut:
			if m, ok := n.roster.Member(doc.Member); ok && m.Key == st.Signer && !seconded[st.ID()] {
				cuts[m.ID]++
			}
		case *protocol.ForkProof:
			h, err := protocol.ReadHeader(doc.A)
			if err != nil {
				s.t.Fatal(err)
			}
			proofs[fmt.Sprint(h.Node, h.Feed)]++
		}
	}
	for _, x := range []struct {
		what string
		most int
		by   map[protocol.MemberID]int
	}{{"open proposals", protocol.MaxOpenProposals, open}, {"void proposals", protocol.MaxOpenProposals, void}, {"own cuts", trust.MaxOwnCuts, cuts}} {
		for id, count := range x.by {
			if count > x.most {
				s.t.Errorf("seed %d: %d %s of %s are kept", s.seed, count, x.what, id.Short())
			}
		}
	}
	for of, count := range proofs {
		if count > 1 {
			s.t.Errorf("seed %d: %d proofs of one feed are kept: %s", s.seed, count, of)
		}
	}
	if over := n.roster.Surplus(); len(over) > 0 {
		s.t.Errorf("seed %d: %d statements over the bounds are kept", s.seed, len(over))
	}
}

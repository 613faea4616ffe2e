package trust_test

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

// govern has a member do what governors do beside deciding who is in. Others try,
// too, and liars do it under any list and at any time.
func (s *sim) govern(o *simOrg) {
	r := o.home.roster
	other, line := s.people[s.rng.IntN(len(s.people))], r.Line
	if o.liar && s.chance(2) {
		line = s.lines[s.rng.IntN(len(s.lines))]
	}
	var made *protocol.Statement
	switch s.rng.IntN(7) {
	case 0, 1, 2:
		now := s.now
		if o.liar {
			s.now += int64(s.rng.IntN(20*24*hour)) - 10*24*hour
		}
		s.tell(o, &protocol.Suspension{Member: other.id, Line: line, Seconds: uint64(1 + s.rng.IntN(protocol.MaxSuspension))})
		s.now = max(s.now, now)
		return
	case 3:
		h := &protocol.HouseRules{Prev: r.RulesAt, Line: line, Rules: protocol.Rules{FreshSeconds: uint64(1 + s.rng.IntN(1000))}}
		if o.liar {
			h.Prev = s.charter.ID()
		}
		made = s.tell(o, h)
	case 4:
		for _, st := range slices.Backward(s.all) { // one that its node has
			if (st.Kind == protocol.KindSuspension || st.Kind == protocol.KindRemoval) && o.home.kept[st.ID()] != nil && s.chance(2) {
				made = s.tell(o, &protocol.Dismissal{Subject: st.ID(), Line: line})
				break
			}
		}
	case 5:
		who := slices.Index(s.people, o)
		if o.liar {
			who = s.rng.IntN(len(s.people))
		}
		s.send(o, s.state(&protocol.Mark{Member: other.id, Roster: r.Digest()}, simKeys[who][2+s.rng.IntN(2)]))
		s.send(o, s.state(&protocol.Mark{Member: o.id, Roster: r.Digest()}, simKeys[who][2+s.rng.IntN(2)]))
	default:
		s.rescueBy(o, r)
	}
	if made != nil && slices.Contains(r.Governors, o.id) {
		s.tell(o, &protocol.Approval{Subject: made.ID()})
	}
}

// rescueBy has recovery keys approve a change of governors, mostly a new one.
func (s *sim) rescueBy(o *simOrg, r *trust.Roster) {
	if len(s.rescue) == 0 {
		return
	}
	change := s.lines[s.rng.IntN(len(s.lines))]
	if !o.liar {
		change = s.change(o, r, nil)
	}
	for _, k := range simRescue {
		if !s.chance(3) {
			s.send(o, s.state(&protocol.Approval{Subject: change}, k))
		}
	}
}

// keeps checks that a node still has every suspension that counted: what was
// sealed meanwhile names it.
func (n *simNode) keeps(before *trust.Roster) {
	for _, x := range before.Suspended {
		if n.kept[x.ID] == nil && n.roster.InLine(before.Line) {
			n.sim.t.Errorf("seed %d: suspension %s is forgotten", n.sim.seed, x.ID.Short())
		}
	}
}

// recovered reports whether more than half of the recovery keys approved.
func (m *model) recovered(st protocol.StatementID) bool {
	keys := m.charter.Doc().(*protocol.Charter).Recovery
	count := 0
	for _, k := range keys {
		if slices.Contains(m.yes[st], k) {
			count++
		}
	}
	return 2*count > len(keys)
}

// accepted reports whether what is made under a line element counts.
func (m *model) accepted(line, st protocol.StatementID) bool {
	at := slices.Index(m.lines, line)
	return at >= 0 && (at == len(m.lines)-1 || slices.ContainsFunc(m.lines[at+1:], func(later protocol.StatementID) bool {
		return slices.Contains(m.by[later].Doc().(*protocol.Governors).Accepts, st)
	}))
}

// rules gives the house rules in force, or the charter.
func (m *model) rules() protocol.StatementID {
	at := m.charter.ID()
	for more := true; more; {
		more = false
		for _, st := range m.kind[protocol.KindRules] { // ascending
			doc := st.Doc().(*protocol.HouseRules)
			if doc.Prev == at && m.accepted(doc.Line, st.ID()) && m.enough(doc.Line, st.ID(), protocol.MemberID{}) {
				at, more = st.ID(), true
				break
			}
		}
	}
	return at
}

// dismissal gives the dismissal of the lowest ID of something that counts.
func (m *model) dismissal(of protocol.StatementID) protocol.StatementID {
	for _, st := range m.kind[protocol.KindDismissal] {
		doc := st.Doc().(*protocol.Dismissal)
		about := protocol.MemberID{}
		if doc.Subject != of {
			continue
		}
		if removal, ok := m.by[of].Doc().(*protocol.Removal); ok {
			about = removal.Member
		}
		if m.accepted(doc.Line, st.ID()) && m.enough(doc.Line, st.ID(), about) {
			return st.ID()
		}
	}
	return protocol.StatementID{}
}

// suspensions gives those that count: in the order of their times each that none
// before it forbids.
func (m *model) suspensions() (out []*protocol.Statement) {
	list := slices.Clone(m.kind[protocol.KindSuspension])
	slices.SortStableFunc(list, func(a, b *protocol.Statement) int { return cmp.Compare(a.Time, b.Time) })
	signer := func(st *protocol.Statement) (by protocol.MemberID, ok bool) {
		for _, id := range m.seats(st.Doc().(*protocol.Suspension).Line) {
			if slices.Contains(m.path(id).keys, st.Signer) {
				return id, true
			}
		}
		return by, false
	}
	for _, st := range list {
		doc := st.Doc().(*protocol.Suspension)
		if st.Time < m.charter.Time || !m.accepted(doc.Line, st.ID()) || m.state(doc.Member) == "" {
			continue
		}
		by, ok := signer(st)
		if !ok || by == doc.Member || slices.ContainsFunc(out, func(x *protocol.Statement) bool {
			old := x.Doc().(*protocol.Suspension)
			other, _ := signer(x)
			return old.Member == doc.Member && st.Time-x.Time < trust.SuspensionGap ||
				other == by && x.Time+int64(old.Seconds)*1000 > st.Time
		}) {
			continue
		}
		out = append(out, st)
	}
	return out
}

// governed compares house rules, suspensions and marks.
func (s *sim) governed(m *model, r *trust.Roster, sum *tally) {
	if want := m.rules(); r.RulesAt != want {
		s.t.Errorf("seed %d: the rules are %s, want %s", s.seed, r.RulesAt.Short(), want.Short())
	}
	if r.RulesAt != s.charter.ID() {
		sum[11]++
	}
	for _, line := range m.lines[1:] {
		if prev := m.by[line].Doc().(*protocol.Governors).Prev; !m.enough(prev, line, protocol.MemberID{}) {
			sum[14]++
		}
	}
	want := m.suspensions()
	if len(r.Suspended) != len(want) {
		s.t.Errorf("seed %d: %d suspensions count, want %d\n%s", s.seed, len(r.Suspended), len(want), r)
		return
	}
	for i, x := range r.Suspended {
		lifted := m.dismissal(want[i].ID())
		if x.ID != want[i].ID() || x.Lifted != lifted {
			s.t.Errorf("seed %d: suspension %s lifted by %s, want %s by %s", s.seed, x.ID.Short(), x.Lifted.Short(), want[i].ID().Short(), lifted.Short())
		}
		if sum[12]++; !lifted.IsZero() {
			sum[13]++
		}
		doc := want[i].Doc().(*protocol.Suspension)
		for _, now := range []int64{x.From - 1, x.From, x.Until - 1, x.Until} {
			state := m.state(doc.Member)
			if in := now >= want[i].Time && now < want[i].Time+int64(doc.Seconds)*1000; in && lifted.IsZero() && state == trust.StateActive {
				state = trust.StateSuspended
			}
			if got, ok := r.At(now).Member(doc.Member); !ok || got.State != state {
				s.t.Errorf("seed %d: at %d %s is %v, want %s", s.seed, now, doc.Member.Short(), got, state)
			}
		}
	}
	s.marked(m, r, sum)
}

func (s *sim) marked(m *model, r *trust.Roster, sum *tally) {
	var want []string
	for _, id := range protocol.Sorted(slices.Clone(m.seats(m.lines[len(m.lines)-1]))) {
		var best *protocol.Statement
		for _, st := range m.kind[protocol.KindMark] { // ascending
			owner, acts := r.ByNode(st.Signer)
			if acts && owner.ID == id && st.Doc().(*protocol.Mark).Member == id && (best == nil || st.Time >= best.Time) {
				best = st
			}
		}
		if best != nil {
			want = append(want, best.ID().String())
			sum[15]++
		}
	}
	var got []string
	for _, x := range r.Marks {
		got = append(got, x.ID.String())
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		s.t.Errorf("seed %d: marks %v, want %v", s.seed, got, want)
	}
}

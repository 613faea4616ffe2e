package trust_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

const hour = 3600 * 1000

// suspend states a suspension by a governor at a time.
func (s *story) suspend(name, by string, at int64, hours uint64) *protocol.Statement {
	s.now = at - 1
	return s.say(&protocol.Suspension{Member: s.org[name].id, Line: s.line, Seconds: hours * 3600}, s.org[by].key)
}

// at checks a member's state at a time.
func (s *story) at(t *testing.T, now int64, name, want string) {
	t.Helper()
	if m, ok := s.fold().At(now).Member(s.org[name].id); !ok || string(m.State) != want {
		t.Errorf("at %d h %s is %v, want %s\n%s", now/hour, name, m, want, s.fold())
	}
}

func four(t *testing.T) *story {
	s := found(t, 2, "ann", "bob", "cat")
	s.newcomer("dan", "dan/1")
	s.admit("dan", "ann", "bob")
	return s
}

func TestSuspensionEndsByItself(t *testing.T) {
	s := four(t)
	before := s.fold()
	s.suspend("dan", "ann", 10*hour, 5)
	s.at(t, 10*hour-1, "dan", "active")
	s.at(t, 10*hour, "dan", "suspended")
	s.at(t, 15*hour-1, "dan", "suspended")
	s.at(t, 15*hour, "dan", "active")
	r := s.fold()
	in := r.At(12 * hour)
	if in.Digest() != r.Digest() || r.Digest() == before.Digest() || slices.Equal(r.Departures(), before.Departures()) ||
		!slices.Equal(r.Departures(), in.Departures()) {
		t.Error("a suspension is a departure from when it is known, and time changes no digest")
	}
	if r.Next(0) != 10*hour || r.Next(10*hour) != 15*hour || r.Next(15*hour) != 0 {
		t.Errorf("next %d %d %d", r.Next(0), r.Next(10*hour), r.Next(15*hour))
	}
	if id := s.org["dan"].id; !r.Awaited(id, 9*hour) || r.Awaited(id, 10*hour) || r.Awaited(s.org["ann"].id, 0) {
		t.Error("who is to be suspended is not known")
	}
	node := pub("dan/1")
	if _, acts := in.ByNode(node); acts || !in.Paused(node) || r.Paused(node) || in.At(20*hour).Paused(node) {
		t.Error("the suspended member's node acts, or a free one's does not")
	}
	if m, ok := in.ByHandle("dan"); !ok || m.Until != 15*hour {
		t.Errorf("by handle: %+v", m)
	}
	limit(t, in, "dan/1", "f", 0, false) // nothing is cut
	if len(in.Active()) != 3 || len(r.Active()) != 4 {
		t.Error("the roster at a time shares members with the whole one")
	}
}

// Governors who take turns cannot keep a member out, and one governor cannot
// keep out many.
func TestSuspensionsInTurn(t *testing.T) {
	s := four(t)
	s.newcomer("eve", "eve/1")
	s.admit("eve", "ann", "bob")
	s.suspend("dan", "ann", 100*hour, 72)
	s.suspend("dan", "bob", 172*hour, 72)
	s.suspend("dan", "cat", 244*hour, 72)
	s.suspend("eve", "ann", 120*hour, 72) // still busy with dan
	s.suspend("dan", "bob", 268*hour, 72) // seven days later
	s.suspend("dan", "cat", 268*hour-1, 1)
	for _, x := range []struct {
		at   int64
		want string
	}{{150, "suspended"}, {173, "active"}, {245, "active"}, {267, "active"}, {268, "suspended"}, {340, "active"}} {
		s.at(t, x.at*hour, "dan", x.want)
	}
	s.at(t, 121*hour, "eve", "active")
	if n := len(s.fold().Suspended); n != 2 {
		t.Errorf("%d suspensions count", n)
	}
}

func TestWhoMaySuspend(t *testing.T) {
	s := four(t)
	s.suspend("ann", "dan", 10*hour, 72) // no governor
	s.suspend("bob", "bob", 10*hour, 72) // itself, so that nobody else can
	s.suspend("cat", "ann", -10*hour, 72)
	for _, n := range []string{"ann", "bob", "cat"} {
		s.at(t, 11*hour, n, "active")
	}
	if r := s.fold(); len(r.Surplus()) != 3 || len(r.Suspended) != 0 {
		t.Errorf("surplus %d", len(r.Surplus()))
	}
	s.suspend("cat", "ann", 20*hour, 1)
	s.at(t, 20*hour, "cat", "suspended")
	// A governor that is suspended still decides.
	s.newcomer("eve", "eve/1")
	s.admit("eve", "bob", "cat")
	s.at(t, 20*hour, "eve", "active")
	// Another list of governors ends it unless it names it.
	charter, all := s.line, slices.Clone(s.all)
	s.change(2, []string{"bob", "cat"}, nil, "bob", "cat")
	s.at(t, 20*hour, "cat", "active")
	s.line, s.all = charter, all
	s.change(2, []string{"bob", "cat"}, s.all, "bob", "cat")
	s.at(t, 20*hour, "cat", "suspended")
}

// What was sealed while a suspension counted can be handed on for ever, although
// an older one that comes late takes its place.
func TestDisplacedSuspensionIsStillKnown(t *testing.T) {
	s := four(t)
	s.suspend("dan", "ann", 50*hour, 72)
	before := s.fold().Departures()
	s.suspend("dan", "bob", 40*hour, 1)
	r := s.fold()
	if s.at(t, 60*hour, "dan", "active"); !r.Knows(before) || slices.Equal(r.Departures(), before) {
		t.Error("departures of before are not known any more")
	}
	if len(r.Surplus()) != 0 {
		t.Error("the displaced one is dropped")
	}
}

func TestDismissals(t *testing.T) {
	s := four(t)
	st := s.suspend("cat", "ann", 10*hour, 72)
	lift := s.propose(&protocol.Dismissal{Subject: st.ID(), Line: s.line}, "cat")
	s.at(t, 11*hour, "cat", "suspended")
	r := s.fold()
	if p := proposal(t, r, lift, trust.ProposalOpen); len(p.Signed) != 1 || p.Subject != s.org["cat"].id || len(r.Signers(p)) != 2 {
		t.Errorf("signed %v, may sign %v", p.Signed, r.Signers(p))
	}
	departures := s.fold().Departures()
	s.approve(lift, "bob") // bob and cat are enough: ann alone must not take cat's vote
	s.at(t, 11*hour, "cat", "active")
	r = s.fold()
	if proposal(t, r, lift, trust.ProposalDone); !slices.Equal(r.Departures(), departures) || r.Next(0) != 0 {
		t.Error("what was lifted is no departure any more, or still to come")
	}
	again := s.propose(&protocol.Dismissal{Subject: st.ID(), Line: s.line}, "bob")
	proposal(t, s.fold(), again, trust.ProposalSuperseded)
	// It counts as the one of seven days all the same.
	s.suspend("cat", "bob", 20*hour, 72)
	s.at(t, 21*hour, "cat", "active")

	// A removal that only suspends is dropped, one that counts is not.
	rm := s.remove("dan", nil, "ann", "bob")
	drop := s.propose(&protocol.Dismissal{Subject: rm.ID(), Line: s.line}, "ann", "bob")
	s.is(t, "dan", "removed")
	s.line = s.change(2, []string{"ann", "bob", "cat"}, slices.DeleteFunc(slices.Clone(s.all), func(x *protocol.Statement) bool { return x == rm }), "ann", "bob", "cat").ID()
	s.is(t, "dan", "active")
	proposal(t, s.fold(), rm, trust.ProposalSuperseded)
	limit(t, s.fold(), "dan/1", "f", 0, false)
	if !slices.Contains(s.fold().Surplus(), drop.ID()) && len(s.fold().Surplus()) > 0 {
		t.Error("what decides is dropped")
	}
	// Confirmed later, it removes in spite of the dismissal.
	s.line = s.change(2, []string{"ann", "bob", "cat"}, s.all, "ann", "bob", "cat").ID()
	s.is(t, "dan", "removed")
}

func TestHouseRules(t *testing.T) {
	s := four(t)
	rules := func(prev protocol.StatementID, tlp string, by ...string) *protocol.Statement {
		return s.propose(&protocol.HouseRules{Prev: prev, Line: s.line, Rules: protocol.Rules{TLP: tlp}}, by...)
	}
	before := s.fold()
	a := rules(s.charter.ID(), "amber", "ann")
	if r := s.fold(); r.Rules.TLP != "" || r.Digest() != before.Digest() {
		t.Error("one governor changes the rules")
	}
	s.approve(a, "bob")
	if r := s.fold(); r.Rules.TLP != "amber" || r.RulesAt != a.ID() || r.Digest() == before.Digest() || !slices.Equal(r.Departures(), before.Departures()) {
		t.Errorf("rules %+v at %s", r.Rules, r.RulesAt.Short())
	}
	b := rules(a.ID(), "red", "ann", "cat")
	c := rules(a.ID(), "clear", "bob", "cat")
	low, high := b, c
	if c.ID().Compare(b.ID()) < 0 {
		low, high = c, b
	}
	r := s.fold()
	if r.RulesAt != low.ID() {
		t.Errorf("of two the one of the higher ID counts\n%s", r)
	}
	proposal(t, r, low, trust.ProposalDone)
	proposal(t, r, high, trust.ProposalSuperseded)
	for i := range 4 { // of others that follow the same, one has a lower ID
		rules(a.ID(), fmt.Sprint(i), "bob", "cat")
	}
	least := slices.MinFunc(slices.DeleteFunc(slices.Clone(s.all), func(x *protocol.Statement) bool {
		doc, ok := x.Doc().(*protocol.HouseRules)
		return !ok || doc.Prev != a.ID()
	}), func(a, b *protocol.Statement) int { return a.ID().Compare(b.ID()) })
	if r := s.fold(); r.RulesAt != least.ID() {
		t.Error("of several the lowest ID does not count")
	}
	late := rules(s.charter.ID(), "green", "ann")
	proposal(t, s.fold(), late, trust.ProposalSuperseded)
	// Under other governors they hold if they are named.
	s.line = s.change(2, []string{"ann", "bob", "cat"}, []*protocol.Statement{a}, "ann", "bob").ID()
	if r := s.fold(); r.RulesAt != a.ID() {
		t.Errorf("rules at %s\n%s", r.RulesAt.Short(), r)
	}
}

func TestRecoveryKeys(t *testing.T) {
	keys := protocol.Sorted([]protocol.Key{pub("r1"), pub("r2"), pub("r3")})
	s := foundAs(t, protocol.Charter{Name: "m", Threshold: 2, Recovery: keys}, "ann", "bob")
	s.newcomer("dan", "dan/1")
	ad := s.admit("dan", "ann", "bob")
	rm := s.remove("bob", nil, "ann")
	if p := proposal(t, s.fold(), rm, trust.ProposalOpen); !p.Stuck {
		t.Error("bob can be removed without recovery keys")
	}
	g := s.change(2, []string{"ann", "dan"}, []*protocol.Statement{ad}, "ann", "dan")
	s.say(&protocol.Approval{Subject: g.ID()}, key("r1"))
	r := s.fold()
	if p := proposal(t, r, g, trust.ProposalOpen); len(p.Recovery) != 1 || p.NeedsKeys != 2 {
		t.Errorf("recovery %v needs %d", p.Recovery, p.NeedsKeys)
	}
	if err := r.Accept(s.say(&protocol.Approval{Subject: g.ID()}, key("r4"))); err == nil {
		t.Error("an approval by a stranger is kept")
	}
	s.say(&protocol.Approval{Subject: g.ID()}, key("r1")) // twice the same
	if r := s.fold(); r.Line == g.ID() {
		t.Error("one recovery key is enough")
	}
	third := s.say(&protocol.Approval{Subject: g.ID()}, key("r3"))
	if r.Accept(third) != nil || s.fold().Line != g.ID() {
		t.Error("two recovery keys of three are not enough")
	}
	// They do not speak for the new list, nor decide anything else.
	s.line = g.ID()
	g2 := s.change(2, []string{"bob", "dan"}, nil, "dan")
	s.newcomer("eve", "eve/1")
	a := s.admit("eve", "ann")
	for _, k := range []string{"r1", "r2", "r3"} {
		s.say(&protocol.Approval{Subject: g2.ID()}, key(k))
		s.say(&protocol.Approval{Subject: a.ID()}, key(k))
	}
	if r := s.fold(); r.Line != g.ID() {
		t.Error("recovery keys alone make governors")
	}
	proposal(t, s.fold(), a, trust.ProposalOpen)
}

// More than half of two keys are both.
func TestTwoRecoveryKeys(t *testing.T) {
	s := foundAs(t, protocol.Charter{Name: "m", Threshold: 2, Recovery: protocol.Sorted([]protocol.Key{pub("r1"), pub("r2")})}, "ann", "bob")
	g := s.change(1, []string{"ann"}, nil, "ann")
	s.say(&protocol.Approval{Subject: g.ID()}, key("r1"))
	if r := s.fold(); r.Line == g.ID() {
		t.Error("half of the recovery keys is enough")
	}
	s.say(&protocol.Approval{Subject: g.ID()}, key("r2"))
	if r := s.fold(); r.Line != g.ID() {
		t.Error("both recovery keys are not enough")
	}
}

func TestMarks(t *testing.T) {
	s := four(t)
	mark := func(of, node string, at int64) *protocol.Statement {
		s.now = at - 1
		return s.say(&protocol.Mark{Member: s.org[of].id, Roster: protocol.Hash{byte(at)}}, key(node))
	}
	before := s.fold()
	old := mark("ann", "ann/1", 100)
	best := mark("ann", "ann/1", 200)
	strange := []*protocol.Statement{mark("dan", "dan/1", 300), mark("bob", "ann/1", 300), mark("bob", "mal", 300), mark("bob", "bob", 300)}
	mark("cat", "cat/1", 150)
	r := s.fold()
	if len(r.Marks) != 2 || r.Digest() != before.Digest() || !slices.Equal(r.Departures(), before.Departures()) {
		t.Fatalf("%d marks\n%s", len(r.Marks), r)
	}
	for _, m := range r.Marks {
		if m.Member == s.org["ann"].id && m.ID != best.ID() {
			t.Error("the older mark is kept")
		}
	}
	if over := r.Surplus(); len(over) != 1+len(strange) || !slices.Contains(over, old.ID()) {
		t.Errorf("%d over", len(over))
	}
	if s.all = []*protocol.Statement{s.all[0]}; r.Accept(old) != nil { // it holds it
		t.Error("what is held is refused")
	}
	for _, st := range strange {
		if before.Accept(st) == nil {
			t.Error("a mark by none of a governor's nodes is kept")
		}
	}
}

// Of one governor's suspensions no more count, and of those that do not no more are
// kept, than the bounds say, and nodes that heard them in other orders keep the
// same.
func TestSuspensionsAreBounded(t *testing.T) {
	s := four(t)
	before := len(s.all)
	for i := range trust.MaxSuspensions + 5 {
		s.suspend("dan", "ann", int64(i)*7*24*hour+hour, 1)
		for j := range 1 + i%2 {
			s.suspend("dan", "ann", int64(i)*7*24*hour+2*hour+int64(j), 1)
		}
	}
	want := ""
	for order := range 3 {
		base, heard := slices.Clone(s.all[:before]), slices.Clone(s.all[before:])
		if order == 1 {
			slices.Reverse(heard)
		} else if order == 2 {
			slices.SortFunc(heard, func(a, b *protocol.Statement) int { return a.ID().Compare(b.ID()) })
		}
		kept := base
		for more := true; more; {
			more = false
			for part := range slices.Chunk(heard, 10) { // as they come from neighbours
				r := trust.Fold(s.mesh, kept)
				for _, st := range part {
					if r.Accept(st) == nil && !slices.Contains(kept, st) {
						kept, more = append(kept, st), true
					}
				}
				over := trust.Fold(s.mesh, kept).Surplus()
				kept = slices.DeleteFunc(kept, func(x *protocol.Statement) bool { return slices.Contains(over, x.ID()) })
			}
		}
		r := trust.Fold(s.mesh, kept)
		if len(r.Suspended) != trust.MaxSuspensions || len(kept)-before != trust.MaxSuspensions+protocol.MaxOpenProposals {
			t.Errorf("%d count, %d are kept", len(r.Suspended), len(kept)-before)
		}
		if got := r.String(); want != "" && got != want {
			t.Errorf("order %d keeps others", order)
		} else {
			want = got
		}
	}
}

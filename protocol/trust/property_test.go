package trust_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

// people of random histories: the first three are founders.
var cast = []string{"ann", "bob", "cat", "dan", "eve", "fay"}

// history draws a history in which anybody says anything.
func history(t *rapid.T, plain bool) *story {
	s := found(t, uint64(rapid.IntRange(2, 3).Draw(t, "k")), cast[:3]...)
	for _, n := range cast[3:] {
		s.newcomer(n, n+"/1")
	}
	var props []*protocol.Statement
	lines := ids{s.line}
	who := rapid.SampledFrom(cast)
	for i := range rapid.IntRange(1, 40).Draw(t, "steps") {
		s.line = rapid.SampledFrom(lines).Draw(t, "line")
		by := rapid.SliceOfNDistinct(who, 1, 4, rapid.ID[string]).Draw(t, "by")
		about := who.Draw(t, "about")
		switch what := rapid.IntRange(0, 12).Draw(t, "what"); {
		case what <= 1:
			props = append(props, s.admit(about, by...))
		case what <= 3:
			cut := []protocol.FeedCut{{Feed: feed("f"), Seq: uint64(i), Entry: entry(fmt.Sprint(i))}}
			props = append(props, s.remove(about, cut, by...))
		case what == 4 && len(props) > 0:
			s.approve(rapid.SampledFrom(props).Draw(t, "of"), by[0])
		case what == 5 && !plain:
			list := rapid.SliceOfNDistinct(who, 1, 4, rapid.ID[string]).Draw(t, "list")
			accepts := props[:rapid.IntRange(0, len(props)).Draw(t, "accepts")]
			g := s.change(uint64(len(list)/2+1), list, accepts, by...)
			lines, props = append(lines, g.ID()), append(props, g)
		case what == 6 && !plain:
			var removed ids
			for _, p := range props {
				if p.Kind == protocol.KindRemoval {
					removed = append(removed, p.ID())
				}
			}
			props = append(props, s.readmit(about, s.org[about].last, removed, by...))
		case what == 7:
			s.propose(&protocol.Cut{Member: s.org[about].id, Line: s.line, Node: pub(about + "/1"),
				Cuts: []protocol.FeedCut{{Feed: feed("g"), Seq: uint64(i)}}}, by...)
		case what == 10:
			s.now += rapid.Int64Range(-4*24*hour, 4*24*hour).Draw(t, "later")
			hours := rapid.Uint64Range(1, 72).Draw(t, "hours")
			props = append(props, s.say(&protocol.Suspension{Member: s.org[about].id, Line: s.line, Seconds: hours * 3600}, s.org[by[0]].key))
		case what == 11 && len(props) > 0:
			props = append(props, s.propose(&protocol.Dismissal{Subject: rapid.SampledFrom(props).Draw(t, "of").ID(), Line: s.line}, by...))
		case what == 12:
			prev := s.charter
			if len(props) > 0 && rapid.Bool().Draw(t, "after") {
				prev = rapid.SampledFrom(props).Draw(t, "prev")
			}
			props = append(props, s.propose(&protocol.HouseRules{Prev: prev.ID(), Line: s.line, Rules: protocol.Rules{TLP: about}}, by...))
			s.say(&protocol.Mark{Member: s.org[about].id, Roster: protocol.Hash{byte(i)}}, key(by[0]+"/1"))
		default:
			s.card(t, about)
		}
	}
	if len(lines) > 1 && rapid.Bool().Draw(t, "pin") {
		s.pins = ids{rapid.SampledFrom(lines).Draw(t, "pinned")}
	}
	return s
}

// card draws a next card, now and then beside the newest one or by the next key.
func (s *story) card(t *rapid.T, name string) {
	o := s.org[name]
	was := *o
	change := func(c *protocol.Card) {
		c.Nodes = cardNodes([]string{name + "/1", rapid.SampledFrom(cast).Draw(t, "node") + "/2"})
		c.Recipient = fmt.Sprint("age1", rapid.IntRange(0, 2).Draw(t, "recipient"))
		c.Handle = rapid.SampledFrom(cast).Draw(t, "handle")
	}
	if rapid.IntRange(0, 5).Draw(t, "rotate") == 0 {
		s.rotate(name, o.last, o.card.Version)
	} else {
		s.update(name, change)
	}
	if rapid.IntRange(0, 4).Draw(t, "fork") == 0 {
		*o = was
	}
}

// seen is all that a roster answers.
func seen(r *trust.Roster) string {
	out := fmt.Sprintln(r, r.Digest(), r.Departures(), r.Surplus())
	for _, n := range cast {
		for _, suffix := range []string{"/1", "/2"} {
			node := pub(n + suffix)
			author, _ := r.Author(node)
			if author != nil {
				out += author.Handle
			}
			for _, fd := range []string{"f", "g", "h"} {
				last, ended := r.Limit(node, feed(fd))
				seq, e, ok := r.Survivor(node, feed(fd))
				out += fmt.Sprintln(n, suffix, fd, last, ended, seq, e.Short(), ok)
			}
		}
	}
	return out
}

func shuffled(t *rapid.T, list []*protocol.Statement, repeat bool) []*protocol.Statement {
	out := slices.Clone(list)
	rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "order"), 1))
	if repeat {
		for range len(list) / 2 {
			again, err := protocol.ParseStatement(list[rnd.IntN(len(list))].Raw())
			if err != nil {
				t.Fatalf("parse: %v", err)
			}
			out = append(out, again)
		}
	}
	rnd.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

func TestAnyOrderAndRepetitionGiveOneState(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := history(t, false)
		all := shuffled(t, s.all, false)
		all = all[:rapid.IntRange(0, len(all)).Draw(t, "held")] // any part of the set
		want := seen(trust.Fold(s.mesh, all, s.pins...))
		for range 3 {
			if got := seen(trust.Fold(s.mesh, shuffled(t, all, true), s.pins...)); got != want {
				t.Fatalf("another order gives\n%s\ninstead of\n%s", got, want)
			}
		}
	})
}

func TestRemovalIsMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := history(t, true)
		gone := map[protocol.MemberID]bool{}
		all := shuffled(t, s.all, false)
		// Start from the cards and the charter: without a card nobody is seen.
		slices.SortStableFunc(all, func(a, b *protocol.Statement) int { return int(min(a.Kind, 3)) - int(min(b.Kind, 3)) })
		for i := range all {
			r := trust.Fold(s.mesh, all[:i+1])
			for _, m := range r.Members {
				if gone[m.ID] && m.State == trust.StateActive {
					t.Fatalf("%s came back with a %s\n%s", m.Handle, all[i].Kind, r)
				}
				gone[m.ID] = gone[m.ID] || m.State == trust.StateRemoved
			}
		}
	})
}

func TestOthersCannotChangeTheRoster(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := history(t, false)
		// Whoever ever had a seat may act; the outsiders never did.
		for _, n := range []string{"out", "mal"} {
			s.newcomer(n, n+"/1")
		}
		before := s.fold()
		props := slices.DeleteFunc(slices.Clone(s.all), func(p *protocol.Statement) bool {
			return p.Kind == protocol.KindCard || p.Kind == protocol.KindCharter || p.Kind == protocol.KindApproval
		})
		// A stranger's statement must not be one that an insider signed already,
		// so only new ones are made.
		for range rapid.IntRange(1, 12).Draw(t, "attempts") {
			s.line = before.Line
			by := []string{"out", "mal"}[:rapid.IntRange(1, 2).Draw(t, "by")]
			about := rapid.SampledFrom(append([]string{"out"}, cast...)).Draw(t, "about")
			switch rapid.IntRange(0, 8).Draw(t, "what") {
			case 0:
				s.admit(about, by...)
			case 1:
				s.remove(about, nil, by...)
			case 2:
				s.change(uint64(len(by)/2+1), by, nil, by...)
			case 3:
				if len(props) > 0 {
					s.approve(rapid.SampledFrom(props).Draw(t, "of"), by[0])
				}
			case 4:
				s.propose(&protocol.Cut{Member: s.org[about].id, Line: s.line, Node: pub(about + "/1"),
					Cuts: []protocol.FeedCut{{Feed: feed("g")}}}, by...)
			case 5: // a card in another's name
				o := s.org[about]
				was := *o
				o.key = key("mal")
				s.update(about, nodes("mal/1"))
				*o = was
			case 6:
				s.readmit("out", s.org["out"].last, nil, by...)
			case 7:
				s.suspend(about, by[0], s.now, 72)
				s.say(&protocol.Mark{Member: s.org[about].id, Roster: protocol.Hash{1}}, key(by[0]+"/1"))
			case 8:
				s.propose(&protocol.HouseRules{Prev: before.RulesAt, Line: s.line}, by...)
				if len(before.Suspended) > 0 {
					s.propose(&protocol.Dismissal{Subject: before.Suspended[0].ID, Line: s.line}, by...)
				}
			}
		}
		after := s.fold()
		if after.Digest() != before.Digest() || !slices.Equal(after.Departures(), before.Departures()) || after.Line != before.Line ||
			fmt.Sprint(after.Next(0), len(after.Suspended), after.Marks) != fmt.Sprint(before.Next(0), len(before.Suspended), before.Marks) {
			t.Fatalf("outsiders changed\n%s\ninto\n%s", before, after)
		}
		for _, n := range cast {
			for _, fd := range []string{"f", "g"} {
				a, x := before.Limit(pub(n+"/1"), feed(fd))
				b, y := after.Limit(pub(n+"/1"), feed(fd))
				if a != b || x != y {
					t.Fatalf("outsiders moved the end of a feed of %s", n)
				}
			}
		}
	})
}

// Nodes that hear in different orders, keep what Accept lets them and drop the
// surplus end with one roster once each has heard all of it again and again.
func TestBoundedNodesConverge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := history(t, false)
		s.pins = nil
		want := ""
		for range 2 {
			heard := shuffled(t, s.all, false)
			kept := []*protocol.Statement{s.charter}
			for range 6 {
				for _, st := range heard {
					r := trust.Fold(s.mesh, kept)
					if r.Accept(st) == nil && !slices.ContainsFunc(kept, func(k *protocol.Statement) bool { return k.ID() == st.ID() }) {
						kept = append(kept, st)
					}
				}
			}
			r := trust.Fold(s.mesh, kept)
			got := fmt.Sprintln(r.Digest(), r.Departures())
			if want != "" && got != want {
				t.Fatalf("nodes part ways\n%s", r)
			}
			want = got
		}
	})
}

// What was sealed in view of some departures stays to be handed on: whoever
// hears more knows of them still, in whatever order it hears.
func TestDeparturesStay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := history(t, false)
		var heard []*protocol.Statement
		before := trust.Fold(s.mesh, nil)
		for _, st := range append([]*protocol.Statement{s.charter}, shuffled(t, s.all, false)...) {
			heard = append(heard, st)
			after := trust.Fold(s.mesh, heard)
			if !after.Knows(before.Departures()) {
				t.Fatalf("%s makes\n%s\nof\n%s", st.Kind, after, before)
			}
			before = after
		}
	})
}

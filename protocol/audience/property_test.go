package audience_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/audience"
)

// history is a random run of a group: the owner and deputies change it, each in
// view of what it has heard.
type history struct {
	*world
	rng    *rand.Rand
	views  [3]map[protocol.Hash]bool
	order  []*protocol.AudienceState
	leaves []audience.Leave
}

func (h *history) view(i int) (out []*protocol.AudienceState) {
	for _, s := range h.order {
		if h.views[i][s.ID()] {
			out = append(out, s)
		}
	}
	return out
}

func play(seed uint64, steps int, hostile bool) *history {
	h := &history{world: newWorld(), rng: rand.New(rand.NewPCG(seed, 3))}
	a := h.first(0, 1, 2, 3, 4, 5)
	h.order = append(h.order, a)
	for i := range h.views {
		h.views[i] = map[protocol.Hash]bool{a.ID(): true}
	}
	for range steps {
		i := h.rng.IntN(3)
		if h.rng.IntN(3) == 0 { // hears from another
			for id := range h.views[h.rng.IntN(3)] {
				h.views[i][id] = true
			}
			continue
		}
		g := audience.Fold(h.id, told(h.view(i)...), h.leaves, h)
		prev := g.Head
		if hostile && h.rng.IntN(4) == 0 { // goes back, as if it had heard nothing since
			list := h.view(i)
			prev = list[h.rng.IntN(len(list))]
		} else if !g.MayChange(member(i)) {
			continue
		}
		var change func(*protocol.AudienceState)
		switch who := 1 + h.rng.IntN(9); {
		case h.rng.IntN(8) == 0:
			h.leaves = append(h.leaves, audience.Leave{Member: member(who), State: g.Head.ID()})
			continue
		case h.rng.IntN(40) == 0:
			change = end
		case h.rng.IntN(4) == 0:
			change = func(s *protocol.AudienceState) {
				s.Deputies = []protocol.MemberID{member(2), member(1)}[:h.rng.IntN(3)]
			}
		case slices.Contains(prev.Members, member(who)):
			change = remove(who)
		default:
			change = add(who)
		}
		s := h.sign(i, prev, both(change, func(s *protocol.AudienceState) { s.Seen = g.Rivals[:min(len(g.Rivals), protocol.MaxSeen)] }))
		h.order = append(h.order, s)
		h.views[i][s.ID()] = true
	}
	return h
}

// past is what a state's Prev and Seen lead to, the plain way.
func (h *history) past(s *protocol.AudienceState, into map[protocol.Hash]bool) map[protocol.Hash]bool {
	for _, id := range append(slices.Clone(s.Seen), s.Prev) {
		if x := h.states[id]; x != nil && !into[id] {
			into[id] = true
			h.past(x, into)
		}
	}
	return into
}

func TestFoldIsAFunctionOfASet(t *testing.T) {
	for seed := range uint64(40) {
		h := play(seed, 40, seed%2 == 1)
		want := text(audience.Fold(h.id, told(h.order...), h.leaves, h))
		for range 4 {
			list := append(told(h.order...), told(h.order[:len(h.order)/2]...)...)
			leaves := append(slices.Clone(h.leaves), h.leaves...)
			h.rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
			h.rng.Shuffle(len(leaves), func(i, j int) { leaves[i], leaves[j] = leaves[j], leaves[i] })
			if got := text(audience.Fold(h.id, list, leaves, h)); got != want {
				t.Fatalf("seed %d: in another order\n%s\nnot\n%s", seed, got, want)
			}
		}
	}
}

// Whoever was removed anywhere, or left, is in only if a state that leads to the
// head took it in knowing that; an end stays.
func TestRemovalsCannotBeUndone(t *testing.T) {
	removals := 0
	for seed := range uint64(40) {
		h := play(seed, 40, seed%2 == 1)
		for n := 1; n <= len(h.order); n++ {
			list := h.order[:n]
			g := audience.Fold(h.id, told(list...), h.leaves, h)
			again := func(m protocol.MemberID, gone protocol.Hash) bool {
				for s := g.Head; s.Number > 1; s = h.states[s.Prev] {
					if slices.Contains(s.Members, m) && !slices.Contains(h.states[s.Prev].Members, m) && h.past(s, map[protocol.Hash]bool{})[gone] {
						return true
					}
				}
				return false
			}
			valid := map[protocol.Hash]bool{h.order[0].ID(): true}
			for _, s := range list[1:] {
				prev := h.states[s.Prev]
				by, _ := h.Author(s.Signer)
				if valid[s.ID()] = valid[s.Prev] && (by == member(0) || slices.Contains(prev.Deputies, by)); !valid[s.ID()] {
					continue
				}
				if s.Ended && !g.Ended {
					t.Fatalf("seed %d: an end was undone", seed)
				}
				for _, m := range prev.Members {
					if slices.Contains(s.Members, m) || !g.In(m) || m == member(0) && by != m {
						continue
					}
					if removals++; !again(m, s.ID()) {
						t.Fatalf("seed %d: member %d, removed by %s, is in:\n%s", seed, names([]protocol.MemberID{m}), s.ID().Short(), text(g))
					}
				}
			}
			for _, l := range h.leaves {
				if g.In(l.Member) && !again(l.Member, l.State) {
					t.Fatalf("seed %d: member %d has left and is in", seed, names([]protocol.MemberID{l.Member}))
				}
			}
		}
	}
	if removals < 100 {
		t.Fatalf("only %d removals of members that are in: the test is blind", removals)
	}
}

// A departure that was known stays known, whatever is heard after it.
func TestDeparturesStayKnown(t *testing.T) {
	for seed := range uint64(60) {
		h := play(seed, 40, seed%2 == 1)
		var known []protocol.Hash
		for n := 1; n <= len(h.order); n++ {
			g := audience.Fold(h.id, told(h.order[:n]...), h.leaves, h)
			for _, d := range append(known, g.Departures...) {
				if !g.Knows(d) {
					t.Fatalf("seed %d: a departure is forgotten", seed)
				}
			}
			known = append(known, g.Departures...)
		}
	}
}

// With everybody hearing everything at once there are no rivals.
func TestInStepNobodyLoses(t *testing.T) {
	w := newWorld()
	list := []*protocol.AudienceState{w.first(0, 1, 2, 3)}
	rng := rand.New(rand.NewPCG(1, 1))
	for n := range 60 {
		who := 3 + rng.IntN(6)
		g := w.fold(list...)
		change := add(who)
		if g.In(member(who)) {
			change = remove(who)
		}
		s := w.sign(rng.IntN(3), g.Head, change)
		list = append(list, s)
		g = w.fold(list...)
		if g.Head.ID() != s.ID() || g.Conflict || len(g.Rivals) > 0 || !slices.Equal(g.Members, s.Members) {
			t.Fatalf("step %d: %s", n, text(g))
		}
	}
}

func BenchmarkFold(b *testing.B) {
	w := newWorld()
	list := []*protocol.AudienceState{w.first(0, 1, 2, 3)}
	for n := 1; n < audience.MaxStates; n++ {
		change := add(5)
		if n%2 == 0 {
			change = remove(5)
		}
		list = append(list, w.sign(0, list[n-1], change))
	}
	states := told(list...)
	for b.Loop() {
		if g := audience.Fold(w.id, states, nil, w); g.Head.Number != audience.MaxStates {
			b.Fatal(fmt.Sprint(g.Head.Number))
		}
	}
}

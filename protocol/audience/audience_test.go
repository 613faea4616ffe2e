package audience_test

import (
	"math"
	"testing"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/audience"
)

func TestStrangersChangeNothing(t *testing.T) {
	w := newWorld()
	a := w.first(0, 1, 2, 3)
	for name, s := range map[string]*protocol.AudienceState{
		"a member that is no deputy": w.sign(3, a, add(5)),
		"an outsider":                w.sign(6, a, add(6)),
		"nobody's node":              w.sign(13, a, add(5)),
		"another owner":              w.sign(3, a, func(s *protocol.AudienceState) { s.Owner = member(3) }),
		"a number too high":          w.sign(0, a, func(s *protocol.AudienceState) { s.Number++ }),
		"a deputy made by itself":    w.sign(3, a, func(s *protocol.AudienceState) { s.Deputies = members(3) }),
	} {
		g := w.fold(a, s)
		if g.Head.ID() != a.ID() || len(g.Departures) > 0 || len(g.Rivals) > 0 {
			t.Errorf("a state by %s counts: %s", name, text(g))
		}
	}
	other := newWorld()
	if g := audience.Fold(w.id, told(other.sign(0, nil, add(7)), w.sign(0, a, nil)), nil, w); g != nil {
		t.Errorf("a group without its first state: %s", text(g))
	}
	forged := w.sign(3, nil, func(s *protocol.AudienceState) { s.Members = members(0, 3) }) // the owner's name, another's signature
	if g := audience.Fold(protocol.AudienceID(forged.ID()), told(forged), nil, w); g != nil {
		t.Errorf("a group in another's name: %s", text(g))
	}
}

func TestRivals(t *testing.T) {
	w := newWorld()
	a := w.first(0, 1, 2, 3, 4)
	byOwner, byFirst, bySecond := w.sign(0, a, add(5)), w.sign(1, a, add(6)), w.sign(2, a, add(7))
	in(t, w.fold(a, bySecond), 0, 1, 2, 3, 4, 7)
	in(t, w.fold(a, bySecond, byFirst), 0, 1, 2, 3, 4, 6)
	g := w.fold(a, bySecond, byFirst, byOwner)
	in(t, g, 0, 1, 2, 3, 4, 5)
	if len(g.Rivals) != 2 || g.Conflict {
		t.Errorf("%s", text(g))
	}
	// Longer branches win nothing.
	in(t, w.fold(a, byFirst, bySecond, w.sign(0, bySecond, add(8))), 0, 1, 2, 3, 4, 6)

	// What a losing branch removes stays removed, what it adds does not come.
	loses := w.sign(2, a, both(remove(3), add(7)))
	in(t, w.fold(a, byOwner, loses), 0, 1, 2, 4, 5)
	// A state that has seen it may take the member in again; one that has not may not.
	blind := w.sign(0, w.sign(0, byOwner, remove(3)), add(3))
	in(t, w.fold(a, byOwner, loses, w.states[blind.Prev], blind), 0, 1, 2, 4, 5)
	knows := w.sign(0, byOwner, both(remove(3), seen(loses)))
	back := w.sign(0, knows, add(3))
	in(t, w.fold(a, byOwner, loses, knows, back), 0, 1, 2, 3, 4, 5)

	// An end anywhere is the end.
	g = w.fold(a, byOwner, w.sign(2, a, end))
	if !g.Ended || !g.ReadOnly() || g.MayChange(member(0)) || g.MayWrite(member(0)) {
		t.Errorf("the end in a losing branch: %s", text(g))
	}
}

func TestSameSignerRivals(t *testing.T) {
	w := newWorld()
	a := w.first(0, 1, 2, 3)
	x, y := w.sign(0, a, both(add(5), remove(3))), w.sign(0, a, add(6))
	g := w.fold(a, x, y)
	in(t, g, 0, 1, 2) // neither adds, and the removal counts
	if !g.Conflict || g.Head.ID() != a.ID() {
		t.Errorf("%s", text(g))
	}
	g = w.fold(a, x, y, w.sign(1, a, add(7)))
	in(t, g, 0, 1, 2, 7)
	if !g.Conflict {
		t.Error("no alarm")
	}
	g = w.fold(a, x, y, w.sign(0, a, both(add(8), remove(3), seen(x, y))))
	in(t, g, 0, 1, 2, 8)
	if g.Conflict {
		t.Error("an alarm still, though a state has seen both")
	}
}

func TestFormerDeputies(t *testing.T) {
	w := newWorld()
	a := w.first(0, 1, 2, 3)
	b := w.sign(2, a, add(4))
	c := w.sign(0, b, func(s *protocol.AudienceState) { s.Deputies = members(2) }) // 1 is no deputy any more
	late := w.sign(1, a, add(9))                                                   // and would win over b
	in(t, w.fold(a, b, late), 0, 1, 2, 3, 9)
	in(t, w.fold(a, b, c, late), 0, 1, 2, 3, 4)
	// Of a deputy that another removed likewise.
	d := w.sign(2, b, remove(1))
	in(t, w.fold(a, b, d, late), 0, 2, 3, 4)
	// What it signed before, the others knowing, stays.
	e := w.sign(0, late, remove(1))
	in(t, w.fold(a, late, e), 0, 2, 3, 9)
	// The owner is not put out by a deputy's rival state, only by one that the chain takes.
	coup, owner := w.sign(1, a, remove(0)), w.sign(0, a, add(5))
	in(t, w.fold(a, coup, owner), 0, 1, 2, 3, 5)
}

func TestSignersGoneFromTheMesh(t *testing.T) {
	w := newWorld()
	a := w.first(0, 1, 2, 3)
	b := w.sign(0, a, add(4))
	w.gone[member(0)] = true
	untold := append(told(a), audience.State{AudienceState: b})
	if g := audience.Fold(w.id, untold, nil, w); g.In(member(4)) {
		t.Error("a state that only somebody else told of counts, though its signer is gone")
	}
	if g := audience.Fold(w.id, told(a, b), nil, w); !g.In(member(4)) || g.Acting != member(1) || g.ReadOnly() {
		t.Errorf("what the owner told before it went: %s", text(g))
	}
	c := w.sign(1, b, nil)
	g := audience.Fold(w.id, append(untold, told(c)...), nil, w)
	if !g.In(member(4)) || g.Head.ID() != c.ID() {
		t.Errorf("a deputy has built on it: %s", text(g))
	}
	w.gone[member(1)], w.gone[member(2)] = true, true
	g = audience.Fold(w.id, told(a, b, c), nil, w)
	if !g.ReadOnly() || g.MayWrite(member(3)) || !g.In(member(3)) {
		t.Errorf("owner and deputies are gone: %s", text(g))
	}
}

func TestLeaves(t *testing.T) {
	w := newWorld()
	a := w.first(0, 1, 2, 3, 4)
	feed := protocol.FeedID{3}
	leave := []audience.Leave{{Member: member(3), State: a.ID(), Cuts: []protocol.FeedCut{{Feed: feed, Seq: 7}}}}
	fold := func(list ...*protocol.AudienceState) *audience.Group {
		return audience.Fold(w.id, told(list...), leave, w)
	}
	g := fold(a)
	in(t, g, 0, 1, 2, 4)
	if len(g.Gone) != 1 || len(g.Departures) != 1 || !g.Counts(member(3), feed, 7) || g.Counts(member(3), feed, 8) || g.Counts(member(3), protocol.FeedID{4}, 1) {
		t.Errorf("%s", text(g))
	}
	// Another change that knows nothing of it takes nobody in again.
	b := w.sign(1, a, add(5))
	in(t, fold(a, b), 0, 1, 2, 4, 5)
	c := w.sign(0, b, remove(3, protocol.FeedCut{Feed: feed, Seq: 9}))
	recorded := fold(a, b, c)
	if len(recorded.Gone) != 0 || len(recorded.Departures) != 1 || !recorded.Knows(g.Departures[0]) || recorded.Departures[0] == g.Departures[0] {
		t.Errorf("recorded: %s", text(recorded))
	}
	if alone := w.fold(a, b, c); text(alone) != text(recorded) {
		t.Errorf("who never heard of the leave sees another group:\n%s\n%s", text(alone), text(recorded))
	}
	if !recorded.Counts(member(3), feed, 9) || recorded.Counts(member(3), feed, 10) {
		t.Error("not the cuts of the state")
	}
	in(t, fold(a, b, c, w.sign(0, c, add(3))), 0, 1, 2, 3, 4, 5)
	g = audience.Fold(w.id, told(a), []audience.Leave{{Member: member(8), State: a.ID()}}, w)
	if len(g.Departures) != 0 {
		t.Error("an outsider's leave is a departure")
	}
}

func TestEntitled(t *testing.T) {
	w := newWorld()
	a := w.first(0, 1, 3)
	for _, c := range []struct {
		history uint64
		ago     int64
		want    bool
	}{
		{0, 1, false}, {0, -1, false}, {60, 59, true}, {60, 60, true}, {60, 61, false}, {60, -5, true},
		{audience.HistoryAll, 1e9, true}, {math.MaxUint64 - 1, 1e9, true},
	} {
		b := w.sign(0, a, both(add(5), func(s *protocol.AudienceState) { s.History = c.history }))
		g := w.fold(a, b)
		e := &protocol.Epoch{Readers: members(0, 1, 3), Time: g.Joined(member(5)) - c.ago*1000}
		if got := g.Entitled(member(5), e); got != c.want {
			t.Errorf("history %d, an epoch of %d s before: %v", c.history, c.ago, got)
		}
		if !g.Entitled(member(3), e) || g.Entitled(member(7), e) {
			t.Error("a reader, or an outsider")
		}
	}
}

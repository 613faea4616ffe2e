package replica

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
)

var testTime = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

// only gives the effects of one type, and forgets all.
func only[E Effect](m *Machine) (out []E) {
	for _, e := range m.Take() {
		if x, ok := e.(E); ok {
			out = append(out, x)
		}
	}
	return out
}

// TestIdleCost measures what equal nodes exchange.
func TestIdleCost(t *testing.T) {
	h := newHome("alpha")
	h.addresses = []string{"198.51.100.17:4001", "[2001:db8:1234:5678::17]:4001"}
	hello := h.Greeting()
	hello.Time, hello.Agent = 1795341600000, "tipmesh/1.0.0"
	welcome := Welcome(hello)
	one := len(Encode(&hello)) + len(Encode(&welcome))
	if one > 450 {
		t.Errorf("hello and welcome take %d bytes", one)
	}
	t.Logf("hello and welcome take %d bytes; both ways on one link, %d bytes an hour", one, 2*one*3600/45)
}

// TestNoOverhead checks that a newcomer among many, and nodes without any
// gossip, get every entry just once.
func TestNoOverhead(t *testing.T) {
	w := newWorld(t, 7)
	if len(w.nodes) < 4 || w.liars() > 0 {
		t.Fatal("a world too small")
	}
	w.loss, w.mute = 1, false
	last := w.nodes[len(w.nodes)-1]
	entries := 0
	for i := range 200 {
		id := feedOf(fmt.Sprintf("z%d", i))
		w.feeds = append(w.feeds, id)
		for range 1 + i%7 {
			entries++
			e := w.nodes[0].home.write(id, uint64(i), 40)
			for _, n := range w.nodes[1:] {
				if n != last {
					n.home.feeds[id] = append(n.home.feeds[id], newHeld(e, true))
				}
			}
		}
	}
	w.run(w.now.Add(time.Minute))
	if got := len(last.home.feeds); got != 200 || w.gave != entries {
		t.Fatalf("%d feeds, %d entries given for %d", got, w.gave, entries)
	}
	w.gave, entries = 0, 0
	for range 300 {
		w.after(w.span(time.Minute), func() { w.nodes[1].write(w.feeds[len(w.feeds)-1-w.rng.IntN(3)]) })
		entries += len(w.nodes) - 1
	}
	w.run(w.now.Add(2 * time.Minute))
	if w.gave != entries {
		t.Errorf("without gossip %d entries given for %d", w.gave, entries)
	}
	// With gossip, only what is too large for it is asked for.
	w.gave, w.loss, entries = 0, 0, 0
	for range 300 {
		w.after(w.span(time.Minute), func() { w.nodes[1].write(w.feeds[len(w.feeds)-4-w.rng.IntN(3)]) })
	}
	w.run(w.now.Add(2 * time.Minute))
	for _, id := range w.feeds[len(w.feeds)-6:] {
		for _, e := range w.nodes[1].home.feeds[id] {
			if e.size > 64 {
				entries += len(w.nodes) - 1
			}
		}
	}
	if w.gave > entries+entries/10 {
		t.Errorf("with gossip %d entries given, %d were too large", w.gave, entries)
	}
}

// TestSilentMany checks that neighbours that claim all and never answer do not
// keep a node from what one gives.
func TestSilentMany(t *testing.T) {
	w := newWorld(t, 7)
	for _, n := range w.nodes[2:] {
		n.lie = silent
	}
	w.mute = false
	w.nodes[0].lie, w.nodes[1].lie = honest, honest
	w.feeds = nil
	for i := range 60 {
		id := feedOf(fmt.Sprintf("a%d", i))
		w.feeds = append(w.feeds, id)
		for _, n := range w.nodes[2:] {
			n.home.write(id, uint64(i), 40)
			// They tell of it, though they answer nothing.
			w.after(6*time.Second, func() {
				f, _ := n.home.State(id)
				n.send(n.streams[w.nodes[0].home.key], &Have{Feeds: []FeedState{f}})
			})
		}
		w.after(8*time.Second, func() {
			w.nodes[1].home.write(id, uint64(i), 40)
			w.nodes[1].event(func(m *Machine) { m.Changed(w.nodes[1].now(), id) })
		})
	}
	for w.run(w.now.Add(9 * time.Second)); !w.same(); w.run(w.now.Add(time.Second)) {
		if w.now.Sub(w.start) > 5*time.Minute {
			t.Fatal("held up by those that do not answer")
		}
	}
	t.Logf("%d that do not answer: all 60 feeds after %v", len(w.nodes)-2, w.now.Sub(w.start))
}

// lying is a machine with one neighbour that has been greeted.
func lying() (*Machine, *home, protocol.Key) {
	me, bad := newHome("alpha"), keyOf("bravo")
	m := New(Config{Seed: 1}, me)
	m.Up(testTime, bad)
	m.Received(testTime, bad, &Welcome{Vector: protocol.Hash{1}, Statements: protocol.Hash{1}})
	m.Received(testTime, bad, &Epochs{})
	m.Take()
	return m, me, bad
}

func TestEndless(t *testing.T) {
	state := func(b byte) FeedState {
		return FeedState{Feed: protocol.FeedID{b}, Head: 1, HeadID: protocol.EntryID{1}}
	}
	m, _, bad := lying()
	m.Received(testTime, bad, &Statements{Raw: [][]byte{{1}}, Next: protocol.StatementID{9}})
	m.Learned(testTime, bad)
	m.Received(testTime, bad, &Vector{Feeds: []FeedState{state(5)}})
	m.Received(testTime, bad, &Statements{Raw: [][]byte{{1}}, Next: protocol.StatementID{9}})
	if got := only[Reset](m); len(got) != 1 {
		t.Errorf("statements that begin again: %v", got)
	}
	m, _, bad = lying()
	m.Received(testTime, bad, &Statements{})
	m.Received(testTime, bad, &Vector{Feeds: []FeedState{state(5)}, More: true})
	m.Received(testTime, bad, &Vector{Feeds: []FeedState{state(5)}, More: true})
	if got := only[Reset](m); len(got) != 1 {
		t.Errorf("a vector that begins again: %v", got)
	}
	// Digests that never fit cause one fetch at a time, with pauses.
	m, _, bad = lying()
	m.Received(testTime, bad, &Statements{})
	fetches, now := 0, testTime
	for i := range 1000 {
		m.Greeted(now, bad, &Hello{Vector: protocol.Hash{byte(i), 7}})
		for p := m.peers[bad]; len(p.pending) > 0; {
			switch p.pending[0].msg.(type) {
			case *GetVector:
				fetches++
				m.Received(now, bad, &Vector{})
			case *GetStatements:
				m.Received(now, bad, &Statements{})
			default:
				m.Received(now, bad, &Welcome{Vector: protocol.Hash{9, byte(i)}})
			}
		}
		now = now.Add(time.Millisecond)
		m.Tick(now)
	}
	if fetches > 5 {
		t.Errorf("%d vectors fetched in a second", fetches)
	}
}

func TestManyFeeds(t *testing.T) {
	m, _, bad := lying()
	m.Received(testTime, bad, &Statements{})
	m.Received(testTime, bad, &Vector{})
	now := testTime
	for i := range protocol.MaxFeedsHeld/MaxFeeds + 10 {
		have := &Have{}
		for j := range MaxFeeds {
			have.Feeds = append(have.Feeds, FeedState{Feed: protocol.FeedID{byte(i), byte(j >> 8), byte(j)}, Head: 1, HeadID: protocol.EntryID{1}})
		}
		m.Told(now, bad, have)
	}
	if p := m.peers[bad]; len(p.feeds) > protocol.MaxFeedsHeld || len(m.feeds) > protocol.MaxFeedsHeld || len(m.timers) > protocol.MaxFeedsHeld {
		t.Errorf("%d feeds of one neighbour, %d wanted, %d queued", len(p.feeds), len(m.feeds), len(m.timers))
	}
	m.Take()
	m.Tick(now.Add(time.Second))
	if got := only[Send](m); len(got) != maxInFlight {
		t.Errorf("%d feeds asked at once", len(got))
	}
	m.Down(now, bad)
	m.Tick(now.Add(2 * time.Second))
	if next := m.Next(); len(m.memory) != 0 || !next.IsZero() {
		t.Errorf("%d remembered, next at %v", len(m.memory), next)
	}
}

// TestDivergedAgain checks that a neighbour whose every answer diverges is not
// asked for ever.
func TestDivergedAgain(t *testing.T) {
	m, me, bad := lying()
	id := feedOf("f1")
	me.write(id, 1, 10)
	m.Received(testTime, bad, &Statements{})
	m.Received(testTime, bad, &Vector{Feeds: []FeedState{{Feed: id, Head: 9, HeadID: protocol.EntryID{1}}}})
	now := testTime.Add(time.Second)
	m.Tick(now)
	asked := 0
	for i := 0; i < 10 && len(m.peers[bad].pending) > 0; i++ {
		asked++
		get := m.peers[bad].pending[0].msg.(*GetEntries)
		m.Received(now, bad, &Entries{Feed: id, From: get.From, Entries: []Entry{{}}})
		m.Diverged(now, bad, id)
		m.Stored(now, bad, id, true)
	}
	if asked != 2 || m.Shunned(now) != 1 {
		t.Errorf("asked %d times, %d shunned", asked, m.Shunned(now))
	}
	// Calls that fit nothing change nothing.
	m.Stored(now, bad, id, true)
	m.Diverged(now, bad, id)
	m.Stored(now, keyOf("nobody"), id, true)
	m.Down(now, keyOf("nobody"))
	if m.busy != 0 || m.Shunned(now) != 1 {
		t.Errorf("busy %d, shunned %d", m.busy, m.Shunned(now))
	}
}

// TestInStepIsFresh checks that an answer to a hello of before does not count.
func TestInStepIsFresh(t *testing.T) {
	me, other := newHome("alpha"), newHome("bravo")
	m := New(Config{Seed: 1}, me)
	m.Up(testTime, other.key)
	later := testTime.Add(time.Second)
	m.Compare(later, 0)
	m.Tick(later) // says hello again when the first is answered
	w := Welcome(other.Greeting())
	m.Received(later, other.key, &w)
	m.Received(later, other.key, &Epochs{})
	inStep := func(since time.Time) bool { ok, _ := m.InStep(other.key, since); return ok }
	if !inStep(testTime) || inStep(later) {
		t.Error("an answer to an older hello")
	}
	m.Received(later, other.key, &w)
	if !inStep(later) {
		t.Error("not in step after a fresh hello")
	}
}

// TestSlowLink checks that answers one after the other have their time each, and
// that less is asked for where they do not come in time.
func TestSlowLink(t *testing.T) {
	m, _, bad := lying()
	m.Received(testTime, bad, &Statements{})
	var feeds []FeedState
	for i := range byte(4) {
		feeds = append(feeds, FeedState{Feed: protocol.FeedID{1 + i}, Head: 9, HeadID: protocol.EntryID{1}})
	}
	m.Received(testTime, bad, &Vector{Feeds: feeds})
	now := testTime.Add(time.Second)
	m.Tick(now)
	for range 3 {
		now = now.Add(20 * time.Second)
		m.Tick(now)
		m.entriesFor(now, bad)
	}
	if got := only[Reset](m); len(got) > 0 {
		t.Fatalf("%v though answers come", got)
	}
	m.Tick(now.Add(31 * time.Second))
	if got := only[Reset](m); len(got) != 1 || m.memory[bad].budget != MaxBudget/4 {
		t.Errorf("%v, budget %d", got, m.memory[bad].budget)
	}
}

// entriesFor answers the oldest question of a kind that may be late.
func (m *Machine) entriesFor(now time.Time, node protocol.Key) {
	p := m.peers[node]
	for p.pending[0].feed.IsZero() {
		m.Received(now, node, &Welcome{})
	}
	r := p.pending[0]
	m.Received(now, node, &Entries{Feed: r.feed, From: 1, Entries: []Entry{{}}})
}

// TestAppendState holds the states that are digested against the codec.
func TestAppendState(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		f := FeedState{Feed: protocol.FeedID{byte(rng.Uint64())}, Head: rng.Uint64() >> rng.IntN(64), Direct: rng.IntN(2) == 0}
		f.HeadID[31] = byte(rng.Uint64())
		for range rng.IntN(3) * rng.IntN(MaxRanges) {
			f.Missing = append(f.Missing, rng.Uint64()>>rng.IntN(64))
		}
		if got, want := appendState(nil, &f), protocol.Marshal(&f); !bytes.Equal(got, want) {
			t.Fatalf("%+v: %x, want %x", f, got, want)
		}
	}
}

func TestMissing(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	random := func() *FeedState {
		f := &FeedState{Head: uint64(rng.IntN(30))}
		for at := uint64(1); ; {
			a := at + uint64(rng.IntN(6))
			b := a + uint64(rng.IntN(4))
			if b > f.Head {
				return f
			}
			f.Missing = append(f.Missing, a, b)
			at = b + 1
		}
	}
	for range 20000 {
		mine, theirs := random(), random()
		var want []uint64
		for seq := uint64(1); seq <= mine.Head; seq++ {
			if !mine.Holds(seq) && theirs.Holds(seq) {
				want = append(want, seq)
			}
		}
		if got := slices.Collect(missing(mine, theirs)); !slices.Equal(got, want) {
			t.Fatalf("mine %+v, theirs %+v: %v, want %v", mine, theirs, got, want)
		}
	}
	// What both miss costs nothing, however much it is.
	all := &FeedState{Head: maxHead, Missing: []uint64{1, maxHead}}
	if _, ok := first(missing(all, all)); ok {
		t.Error("nobody holds it")
	}
}

// BenchmarkNewcomer catches up with many feeds, one entry each, of four
// neighbours.
func BenchmarkNewcomer(b *testing.B) {
	const feeds = 5000
	others := []*home{newHome("bravo"), newHome("charlie"), newHome("delta"), newHome("echo")}
	for i := range feeds {
		e := testEntry{feed: feedOf(fmt.Sprint(i)), seq: 1, size: 40}
		for _, o := range others {
			o.feeds[e.feed] = []held{newHeld(e, true)}
		}
	}
	for b.Loop() {
		me := newHome("alpha")
		m := New(Config{Seed: 1}, me)
		for _, o := range others {
			m.Up(testTime, o.key)
		}
		byKey := map[protocol.Key]*home{}
		for _, o := range others {
			byKey[o.key] = o
		}
		now := testTime
		for len(me.feeds) < feeds {
			for list := m.Take(); len(list) > 0; list = m.Take() {
				for _, e := range list {
					benchDo(m, me, byKey, now, e)
				}
			}
			now = now.Add(100 * time.Millisecond)
			m.Tick(now)
		}
	}
}

func benchDo(m *Machine, me *home, others map[protocol.Key]*home, now time.Time, e Effect) {
	switch e := e.(type) {
	case Send:
		a := Answer(others[e.To], e.Msg)
		if _, ok := e.Msg.(*GetEpochs); ok {
			a = &Epochs{}
		}
		if a != nil {
			m.Received(now, e.To, a)
		}
	case Store:
		usable, _, _ := me.store(e)
		m.Changed(now, e.Feed)
		m.Stored(now, e.From, e.Feed, usable)
	}
}

package replica

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
)

// newMesh is a world of honest nodes that nothing befalls, each with some feeds
// of so many entries that all hold, once they have greeted each other.
func newMesh(t *testing.T, nodes, feeds, entries int) *world {
	start := testTime
	w := &world{
		t: t, seed: 1, rng: rand.New(rand.NewPCG(1, 1)), start: start, now: start, forks: map[int]bool{},
		cut: map[[2]int]bool{}, deaf: map[[2]int]bool{}, sent: map[Type]int{}, bytes: map[Type]int{},
	}
	for i := range nodes {
		n := &simNode{w: w, index: i, home: newHome(fmt.Sprintf("%c%d", 'a'+i%26, i)), streams: map[protocol.Key]*stream{}}
		n.home.addresses = []string{"198.51.100.17:4001", "[2001:db8:1234:5678::17]:4001"}
		w.nodes = append(w.nodes, n)
	}
	for i, n := range w.nodes {
		for j := range feeds {
			id := meshFeed(i, j)
			w.feeds = append(w.feeds, id)
			for range entries {
				e := n.home.write(id, 0, 40)
				for _, other := range w.nodes {
					if other != n {
						other.home.feeds[id] = append(other.home.feeds[id], newHeld(e, true))
					}
				}
			}
		}
	}
	for _, n := range w.nodes {
		w.after(w.span(3*time.Second), n.boot)
	}
	w.run(w.now.Add(3 * time.Minute))
	clear(w.sent)
	clear(w.bytes)
	return w
}

func meshFeed(node, feed int) protocol.FeedID {
	return protocol.FeedID(protocol.HashOf(fmt.Appendf(nil, "feed %d of %d", feed, node)))
}

// rate is how many bytes of sync messages a node sends in a second, over so long.
func (w *world) rate(d time.Duration) float64 {
	total := 0
	for _, n := range w.bytes {
		total += n
	}
	return float64(total) / float64(len(w.nodes)) / d.Seconds()
}

// put has a node write an entry of a size, which gossip carries; feed says of
// which of its feeds.
func (w *world) put(n *simNode, feed int, size uint32) {
	id := meshFeed(n.index, feed)
	e := n.home.write(id, w.rng.Uint64(), size)
	n.event(func(m *Machine) { m.Changed(n.now(), id) })
	for _, other := range w.nodes {
		switch {
		case other == n:
		case w.rng.Float64() < w.loss:
			w.lost += len(Encode(&Entries{Entries: []Entry{{Header: e.header(), Payload: e.payload()}}}))
		default:
			n.gossip(other, Entry{Header: e.header(), Payload: e.payload()}, id)
		}
	}
}

// TestIdleMesh checks what 30 nodes that hold the same send: the goal is 2 kB a
// second. Every five minutes each asks all others for epochs. One that is in 10
// groups of some 6 epochs and 6 states each names 128 held; 4,096 are those of ten
// years and more.
func TestIdleMesh(t *testing.T) {
	for _, c := range []struct {
		marks int
		most  float64 // bytes a second
	}{{64, 350}, {128, 375}, {4096, 2000}} {
		w := newMesh(t, 30, 4, 3)
		w.marks = c.marks
		const span = 5 * time.Minute
		for _, n := range w.nodes {
			w.after(w.span(span), func() { n.event(func(m *Machine) { m.AskEpochs(n.now()) }) })
		}
		w.run(w.now.Add(span))
		if got := w.rate(span); got > c.most || w.sent[TypeHello] == 0 || w.sent[TypeGetEpochs] < 30*29 {
			t.Errorf("%d marks: %.0f bytes a second of each node: %v", c.marks, got, w.bytes)
		} else {
			t.Logf("%d marks: %.0f bytes a second of each node: %v", c.marks, got, w.bytes)
		}
	}
}

// TestVectorsUnderWrites checks that nodes that hold many feeds do not fetch all
// that is told of them again and again while some grow.
func TestVectorsUnderWrites(t *testing.T) {
	w := newMesh(t, 5, 150, 1)
	const span = 2 * time.Minute
	for at := time.Duration(0); at < span; at += 50 * time.Millisecond {
		w.after(at, func() { w.put(w.nodes[w.rng.IntN(5)], w.rng.IntN(4), 40) })
	}
	w.run(w.now.Add(span))
	got := float64(w.bytes[TypeGetVector]+w.bytes[TypeVector]) / float64(w.sent[TypeHello])
	whole := float64(len(Encode(&Vector{Feeds: must(w.nodes[0].home.States(protocol.FeedID{}, MaxFeeds))})))
	if w.sent[TypeHello] == 0 || got > whole/10 {
		t.Errorf("%.0f bytes of vectors for each hello, a whole one has %.0f", got, whole)
	} else {
		t.Logf("%.0f bytes of vectors for each hello, a whole one has %.0f", got, whole)
	}
}

func must(list []FeedState, _ bool) []FeedState { return list }

// TestLossCostsWhatWasLost checks that sync brings what gossip lost and little
// else: the goal is 1.2 times as much.
func TestLossCostsWhatWasLost(t *testing.T) {
	for _, gap := range []time.Duration{time.Second, 100 * time.Millisecond, 20 * time.Millisecond} {
		w := newMesh(t, 8, 1, 1)
		w.loss = 0.01
		for at := time.Duration(0); at < time.Minute; at += gap {
			w.after(at, func() { w.put(w.nodes[3], 0, 2000) })
		}
		w.run(w.now.Add(2 * time.Minute))
		moved := w.bytes[TypeGetEntries] + w.bytes[TypeEntries] + w.bytes[TypeGetPayloads] + w.bytes[TypePayloads]
		if ratio := float64(moved) / float64(w.lost); !w.same() || w.lost == 0 || ratio > 1.2 {
			t.Errorf("an entry each %v: %d bytes lost, %d transferred: %.2f; same: %v", gap, w.lost, moved, ratio, w.same())
		} else {
			t.Logf("an entry each %v: %d bytes lost, %d transferred: %.2f", gap, w.lost, moved, ratio)
		}
	}
}

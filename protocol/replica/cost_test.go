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
			id := feedOf(fmt.Sprintf("%c%d of %d", 'a'+i%26, j, i))
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

// rate is how many bytes of sync messages a node sends in a second, over so long.
func (w *world) rate(d time.Duration) float64 {
	total := 0
	for _, n := range w.bytes {
		total += n
	}
	return float64(total) / float64(len(w.nodes)) / d.Seconds()
}

func testMeasure(t *testing.T) {
	w := newMesh(t, 30, 4, 3)
	w.run(w.now.Add(10 * time.Minute))
	t.Logf("idle %f %v %v", w.rate(10*time.Minute), w.bytes, w.sent)
	for _, gap := range []time.Duration{10 * time.Second, time.Second, 100 * time.Millisecond} {
		clear(w.bytes)
		clear(w.sent)
		for at := time.Duration(0); at < 2*time.Minute; at += gap {
			n := w.nodes[w.rng.IntN(len(w.nodes))]
			id := feedOf(fmt.Sprintf("%c%d of %d", 'a'+n.index%26, w.rng.IntN(4), n.index))
			w.after(at, func() { w.put(n, id, 2000) })
		}
		w.run(w.now.Add(2 * time.Minute))
		t.Logf("gap %v: %f %v %v", gap, w.rate(2*time.Minute), w.bytes, w.sent)
	}
	for _, gap := range []time.Duration{time.Second, 100 * time.Millisecond, 20 * time.Millisecond} {
		clear(w.bytes)
		clear(w.sent)
		w.loss, w.lost, w.gave = 0.01, 0, 0
		n := 0
		for at := time.Duration(0); at < 2*time.Minute; at += gap {
			n++
			node := w.nodes[3]
			id := feedOf(fmt.Sprintf("%c%d of %d", 'a'+node.index%26, 0, node.index))
			w.after(at, func() { w.put(node, id, 2000) })
		}
		w.run(w.now.Add(3 * time.Minute))
		w.loss = 0
		t.Logf("loss 1%%, gap %v: lost %d gave %d of %d: %v", gap, w.lost, w.gave, 29*n, w.bytes)
	}
}

// put has a node write an entry of a size, which gossip carries.
func (w *world) put(n *simNode, id protocol.FeedID, size uint32) {
	e := n.home.write(id, w.rng.Uint64(), size)
	n.event(func(m *Machine) { m.Changed(n.now(), id) })
	for _, other := range w.nodes {
		switch {
		case other == n:
		case w.rng.Float64() < w.loss:
			w.lost++
		default:
			n.gossip(other, Entry{Header: e.header(), Payload: e.payload()}, id)
		}
	}
}

package main

import (
	"crypto/ed25519"
	"math"
	"math/rand/v2"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
)

// The network that is simulated. Times and rates are those of organisations on
// one or two continents, half of them on a line of 100 Mbit/s.
const (
	leastDelay  = 5 * time.Millisecond   // one way, between neighbouring places,
	mapDelay    = 100 * time.Millisecond // and from one edge of the map to the other
	jitter      = 10 * time.Millisecond  // at most, on each message
	retransmit  = 200 * time.Millisecond // and twice the delay: what a loss costs on a stream
	leastCommit = 2 * time.Millisecond   // to disk,
	mostCommit  = 15 * time.Millisecond  // synced
	validate    = time.Millisecond       // of a gossip message before it is passed on
	foldEach    = 5 * time.Microsecond   // of the roster, for each statement
	sealEach    = 200 * time.Microsecond // of a letter, for each stanza, to make and to open
	small       = 16 << 10               // a message up to this size does not queue behind large ones
)

// lines are the rates of lines, up and down alike, in Mbit/s.
var lines = []struct {
	share float64 // of the nodes have at most
	mbit  float64
}{{0.2, 20}, {0.7, 100}, {1, 1000}}

// traffic counts bytes by what carries them.
type traffic struct {
	gossip, sync int64
	messages     int64
}

// world is a simulated mesh in virtual time. It runs in one goroutine.
type world struct {
	rng     *rand.Rand
	start   time.Time
	at      int64 // nanoseconds since the start
	events  events
	count   int
	nodes   []*simNode
	up      []*simNode // those that begin starts
	byKey   map[protocol.Key]*simNode
	ledger  *ledger
	loss    float64 // of gossip; on streams it delays
	traffic traffic
	removal *removal     // under way
	gone    map[int]bool // members that were removed
}

// event is something that happens at a time; number keeps the order among
// equals.
type event struct {
	at     int64
	number int
	do     func()
}

func (e *event) before(x *event) bool {
	return e.at < x.at || e.at == x.at && e.number < x.number
}

// events is a heap; container/heap takes twice as long.
type events []event

func (q *events) push(e event) {
	*q = append(*q, e)
	h := *q
	i := len(h) - 1
	for ; i > 0 && e.before(&h[(i-1)/2]); i = (i - 1) / 2 {
		h[i] = h[(i-1)/2]
	}
	h[i] = e
}

func (q *events) pop() event {
	h := *q
	top, last := h[0], h[len(h)-1]
	h[len(h)-1] = event{}
	h = h[:len(h)-1]
	*q = h
	if len(h) == 0 {
		return top
	}
	i := 0
	for child := 1; child < len(h); child = 2*i + 1 {
		if child+1 < len(h) && h[child+1].before(&h[child]) {
			child++
		}
		if !h[child].before(&last) {
			break
		}
		h[i] = h[child]
		i = child
	}
	h[i] = last
	return top
}

// keys are those of the nodes of a simulated mesh.
func keys(seed uint64, nodes int) []ed25519.PrivateKey {
	out := make([]ed25519.PrivateKey, nodes)
	for i := range out {
		out[i] = ed25519.NewKeyFromSeed(seedOf("node", seed, i))
	}
	return out
}

// newWorld makes a mesh of nodes that hold the statements of set. Some of them,
// evenly spread, have written the same number of entries, of the payload size,
// that all hold.
func newWorld(seed uint64, m *mesh, writers, entries, size int) *world {
	w := &world{
		rng: rand.New(rand.NewPCG(seed, uint64(len(m.keys)))), start: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC),
		byKey: map[protocol.Key]*simNode{}, gone: map[int]bool{}, ledger: newLedger(m.id, m.keys),
	}
	w.ledger.roster = m.roster.Digest()
	for i := range writers {
		f := w.ledger.of[[2]int{i * len(m.keys) / writers, int(protocol.EntrySealed)}]
		for range entries {
			w.ledger.write(f, size, w.start.UnixMilli())
		}
	}
	var all []protocol.Key
	set := m.set.alone()
	for i, key := range m.keys {
		n := w.newNode(i, key, set)
		for j, f := range w.ledger.feeds {
			n.home.heads[j] = uint64(len(f.entries))
		}
		all = append(all, n.key)
	}
	protocol.Sorted(all)
	never := func(protocol.Key) bool { return false }
	for _, n := range w.nodes {
		for _, k := range node.Neighbours(all, n.key, n.secret, never) {
			n.link(w.byKey[k])
		}
	}
	w.graft()
	w.up = w.nodes
	return w
}

// after has something done in a while.
func (w *world) after(d time.Duration, do func()) {
	w.count++
	w.events.push(event{at: w.at + int64(d), number: w.count, do: do})
}

func (w *world) run(d time.Duration) {
	end := w.at + int64(d)
	for len(w.events) > 0 && w.events[0].at <= end {
		e := w.events.pop()
		w.at = e.at
		e.do()
	}
	w.at = end
}

func (w *world) now() time.Time { return w.start.Add(time.Duration(w.at)) }

func (w *world) span(most time.Duration) time.Duration {
	return time.Duration(w.rng.Int64N(int64(most)))
}

// begin starts all nodes within three seconds and lets the mesh come to rest.
func (w *world) begin() {
	for _, n := range w.up {
		w.after(w.span(3*time.Second), n.boot)
	}
	w.run(90 * time.Second)
}

// transmit gives how long a message of so many bytes takes, and keeps the lines
// of both busy with it.
func (w *world) transmit(from, to *simNode, size int) time.Duration {
	up, down := int64(float64(size)/from.rate), int64(float64(size)/to.rate)
	path := int64(delay(from, to) + w.span(jitter))
	begin := w.at
	if size > small {
		begin = max(begin, from.upFree)
	}
	from.upFree = max(w.at, from.upFree) + up
	arrive := begin + up + path
	if size > small {
		arrive = max(arrive, to.downFree+down)
	}
	to.downFree = max(arrive-down, to.downFree) + down
	return time.Duration(arrive - w.at)
}

// delay is that of the path between two nodes, one way.
func delay(a, b *simNode) time.Duration {
	return leastDelay + time.Duration(float64(mapDelay)*math.Hypot(a.x-b.x, a.y-b.y))
}

// graft joins neighbours to the mesh over which gossipsub passes messages on: each
// node to eight, or as many as it has.
func (w *world) graft() {
	for _, i := range w.rng.Perm(len(w.nodes)) {
		n := w.nodes[i]
		for _, j := range w.rng.Perm(len(n.links)) {
			to := n.links[j].to
			if len(n.mesh) >= gossipDegree {
				break
			}
			if !n.meshed(to) && len(to.mesh) < gossipMost {
				n.mesh, to.mesh = append(n.mesh, to), append(to.mesh, n)
			}
		}
	}
}

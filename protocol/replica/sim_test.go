package replica

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
)

var (
	simRuns = flag.Int("runs", 80, "simulated runs")
	simSeed = flag.Uint64("seed", 0, "run one simulation alone")
)

// TestSim runs machines against each other over a network of streams that break,
// with gossip that loses, delays, reorders and repeats, partitions (some of one
// direction only), slow nodes, clocks that differ, crashes, forks and liars, and
// checks that all honest nodes hold the same soon after it has healed.
func TestSim(t *testing.T) {
	if *simSeed != 0 {
		runSim(t, *simSeed)
		return
	}
	defer debug.SetGCPercent(debug.SetGCPercent(800)) // little lives long here
	const batch = 1000                                // of parallel tests, each of which takes memory while it waits
	for from := 0; from < *simRuns; from += batch {
		t.Run(fmt.Sprintf("from%d", from+1), func(t *testing.T) {
			for i := from; i < min(from+batch, *simRuns); i++ {
				seed := uint64(i + 1)
				t.Run(fmt.Sprint(seed), func(t *testing.T) {
					t.Parallel()
					defer func() {
						if t.Failed() {
							t.Logf("replay with: go test ./protocol/replica -run 'TestSim$' -seed %d", seed)
						}
					}()
					runSim(t, seed)
				})
			}
		})
	}
}

func runSim(t *testing.T, seed uint64) {
	w := newWorld(t, seed)
	w.plan()
	healed := w.start.Add(90 * time.Second)
	w.run(healed)
	w.heal()
	limit := time.Minute // about one hello
	switch {
	case w.liars() > 0:
		limit = 10 * time.Minute
	case w.mute: // a hello or two, and one more after statements were learned
		limit = 3 * time.Minute
	case w.slow || w.stalls: // a hello that is not answered, and one after it
		limit = 3 * time.Minute
	}
	for end := healed.Add(limit); !w.same(); {
		if w.now.After(end) {
			w.report()
			t.Fatalf("seed %d: not the same %v after healing", seed, limit)
		}
		w.run(w.now.Add(time.Second))
	}
	took := w.now.Sub(healed)
	if w.liars() == 0 && len(w.forks) == 0 {
		w.run(w.now.Add(2 * time.Minute))
		clear(w.sent)
		w.run(w.now.Add(3 * time.Minute))
		w.quiet()
	}
	if *simSeed != 0 {
		t.Logf("%d nodes, %d liars, %d forks: same after %v, %d events", len(w.nodes), w.liars(), len(w.forks), took, w.count)
	}
}

// event is something that happens at a time; number keeps the order among
// equals.
type event struct {
	at     int64 // nanoseconds since the start
	number int
	do     func()
}

func (e *event) before(x *event) bool {
	return e.at < x.at || e.at == x.at && e.number < x.number
}

// events is a heap. Simulations spend much of their time here: container/heap
// takes twice as long.
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
	for {
		child := 2*i + 1
		if child >= len(h) {
			break
		}
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

type world struct {
	marks  int // in each request for epochs
	t      *testing.T
	seed   uint64
	rng    *rand.Rand
	start  time.Time
	now    time.Time
	events events
	count  int
	nodes  []*simNode
	feeds  []protocol.FeedID // of all writers; statement i says that feed i is forked
	forks  map[int]bool
	loss   float64         // of gossip
	wire   bool            // encode and decode every message
	cut    map[[2]int]bool // no connection between them, the lesser first
	deaf   map[[2]int]bool // nothing comes through from the first to the second
	stalls bool            // deaf has been used
	slow   bool            // some nodes are
	twice  float64         // of gossip, how much comes twice
	sent   map[Type]int
	bytes  map[Type]int // of frames, where not nil
	mute   bool         // neither gossip nor Have arrives: hellos must do
	lost   int          // entries that gossip did not bring
	gave   int          // entries and payloads in answers of honest nodes
}

// simNode is a node of the simulation. life counts its starts.
type simNode struct {
	w       *world
	index   int
	home    *home
	machine *Machine
	life    int
	alive   bool
	lie     liar
	skew    time.Duration // of its clock
	wait    time.Duration // that its answers take at most, beside the network
	streams map[protocol.Key]*stream
	timer   time.Time
}

// stream is a node's own stream to a neighbour: requests go one way, answers the
// other, both in order.
type stream struct {
	to         *simNode
	open       bool
	stalled    bool      // something was lost on it: nothing more comes through
	ask, reply time.Time // when the last message of each way arrives
}

func newWorld(t *testing.T, seed uint64) *world {
	start := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	w := &world{
		t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), start: start, now: start, forks: map[int]bool{},
		cut: map[[2]int]bool{}, deaf: map[[2]int]bool{}, sent: map[Type]int{}, wire: seed%16 == 0,
	}
	w.loss = []float64{0, 0.1, 0.5, 1}[w.rng.IntN(4)]
	if seed%7 == 0 {
		w.mute, w.loss = true, 1
	}
	for i := range 2 + w.rng.IntN(5) {
		n := &simNode{w: w, index: i, home: newHome(string(rune('a' + i))), streams: map[protocol.Key]*stream{}}
		for j := range 1 + w.rng.IntN(3) {
			w.feeds = append(w.feeds, feedOf(fmt.Sprintf("%c%d", 'a'+i, j)))
			n.home.direct[w.feeds[len(w.feeds)-1]] = j == 1
		}
		n.home.onFork = func(f protocol.FeedID) { n.proveFork(f) }
		w.nodes = append(w.nodes, n)
	}
	if seed%3 == 0 && len(w.nodes) > 2 {
		for i := range 1 + w.rng.IntN(len(w.nodes)-2) {
			w.nodes[len(w.nodes)-1-i].lie = 1 + liar(w.rng.IntN(int(liars)-1))
		}
	}
	w.twice = []float64{0, 0.1, 1}[w.rng.IntN(3)]
	w.slow = seed%4 == 1
	for _, n := range w.nodes {
		n.skew = w.span(20*time.Minute) - 10*time.Minute
		if w.slow && w.rng.IntN(3) == 0 {
			n.wait = w.span(4 * time.Second)
		}
		w.after(w.span(3*time.Second), n.boot)
	}
	return w
}

func (w *world) after(d time.Duration, do func()) {
	w.count++
	w.events.push(event{at: int64(w.now.Add(d).Sub(w.start)), number: w.count, do: do})
}

func (w *world) run(until time.Time) {
	for end := int64(until.Sub(w.start)); len(w.events) > 0 && w.events[0].at <= end; {
		e := w.events.pop()
		w.now = w.start.Add(time.Duration(e.at))
		e.do()
		if w.count > 3_000_000 {
			w.t.Fatalf("seed %d: no end of events", w.seed)
		}
	}
	w.now = until
}

func (w *world) span(most time.Duration) time.Duration {
	return time.Duration(w.rng.Int64N(int64(most)))
}

func (w *world) liars() (n int) {
	for _, x := range w.nodes {
		if x.lie != honest {
			n++
		}
	}
	return n
}

func (w *world) linked(a, b *simNode) bool {
	return a.alive && b.alive && !w.cut[[2]int{min(a.index, b.index), max(a.index, b.index)}]
}

// plan lays out what goes wrong and what is written in the first 90 seconds.
func (w *world) plan() {
	const span = 85 * time.Second
	for i, f := range w.feeds {
		writer := w.writer(i)
		if writer.lie != honest && w.rng.IntN(2) == 0 {
			continue
		}
		for range w.rng.IntN(12) {
			burst := 1 + w.rng.IntN(6)
			w.after(w.span(span), func() {
				for range burst {
					writer.write(f)
				}
			})
		}
		if w.seed%5 == 0 && w.rng.IntN(3) == 0 {
			w.after(w.span(span), func() { writer.fork(i) })
		}
	}
	for range w.rng.IntN(6) {
		w.after(w.span(span), w.partition)
		w.after(w.span(span), w.heal)
		if w.seed%6 == 2 {
			w.after(w.span(span), w.deafen)
		}
		n := w.nodes[w.rng.IntN(len(w.nodes))]
		w.after(w.span(span), func() { n.crash(w.span(5 * time.Second)) })
		n = w.nodes[w.rng.IntN(len(w.nodes))]
		for range 4 {
			w.after(w.span(span), func() { n.drop(w.nodes[w.rng.IntN(len(w.nodes))].home.key) })
		}
	}
}

func (w *world) writer(feed int) *simNode {
	letter := w.feeds[feed][0]
	return w.nodes[int(letter-'a')%len(w.nodes)]
}

func (w *world) partition() {
	clear(w.cut)
	side := make([]bool, len(w.nodes))
	for i := range side {
		side[i] = w.rng.IntN(2) == 0
	}
	for i := range side {
		for j := range i {
			if side[i] != side[j] {
				w.cut[[2]int{j, i}] = true
				w.nodes[i].drop(w.nodes[j].home.key)
				w.nodes[j].drop(w.nodes[i].home.key)
			}
		}
	}
}

// deafen has nothing come through from some nodes to others, while the way back
// is open: nobody sees a connection break.
func (w *world) deafen() {
	clear(w.deaf)
	w.stalls = true
	for range 1 + w.rng.IntN(4) {
		w.deaf[[2]int{w.rng.IntN(len(w.nodes)), w.rng.IntN(len(w.nodes))}] = true
	}
}

func (w *world) heal() {
	clear(w.cut)
	clear(w.deaf)
}

// same reports whether all honest nodes hold the same, but for the feeds that
// are forked: those they all must know to be.
func (w *world) same() bool {
	var first *simNode
	for _, n := range w.nodes {
		if n.lie != honest {
			continue
		}
		if !n.alive {
			return false
		}
		if first == nil {
			first = n
		}
		if n.home.Greeting().Statements != first.home.Greeting().Statements {
			return false
		}
		for i, f := range w.feeds {
			a, _ := first.home.State(f)
			b, _ := n.home.State(f)
			if w.forks[i] && first.home.forked[f] && n.home.forked[f] || w.writer(i).lie != honest {
				continue
			}
			if a.Head != b.Head || a.HeadID != b.HeadID || len(b.Missing) > 0 {
				return false
			}
		}
	}
	return true
}

// quiet checks that equal nodes exchange hellos and nothing else, and know that
// they are in step.
func (w *world) quiet() {
	for typ, n := range w.sent {
		if typ != TypeHello && typ != TypeWelcome {
			w.t.Errorf("seed %d: %d messages of type %d between equal nodes", w.seed, n, typ)
		}
	}
	if links := len(w.nodes) * (len(w.nodes) - 1); w.sent[TypeHello] > 6*links {
		w.t.Errorf("seed %d: %d hellos on %d links in 3 minutes", w.seed, w.sent[TypeHello], links)
	}
	for _, a := range w.nodes {
		if len(a.machine.Behind()) > 0 || len(a.machine.feeds) > 0 {
			w.t.Errorf("seed %d: node %d believes to be behind", w.seed, a.index)
		}
		for _, b := range w.nodes {
			if ok, missing := a.machine.InStep(b.home.key, w.start.Add(a.skew)); a != b && (!ok || missing > 0) {
				w.t.Errorf("seed %d: node %d is not in step with %d", w.seed, a.index, b.index)
			}
		}
	}
}

func (w *world) report() {
	for _, n := range w.nodes {
		w.t.Logf("node %d, lie %d, %d statements, up with %d, next %v", n.index, n.lie, len(n.home.statements), len(n.machine.peers), n.machine.Next().Sub(n.now()))
		for _, f := range w.feeds {
			s, _ := n.home.State(f)
			if x := n.machine.feeds[f]; x != nil {
				w.t.Logf("  %s head %d missing %v: %+v", f.Short(), s.Head, s.Missing, *x)
			} else {
				w.t.Logf("  %s head %d missing %v", f.Short(), s.Head, s.Missing)
			}
		}
	}
}

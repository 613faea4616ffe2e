package replica

import (
	"container/heap"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
)

var (
	simRuns = flag.Int("runs", 80, "simulated runs")
	simSeed = flag.Uint64("seed", 0, "run one simulation alone")
)

// TestSim runs machines against each other over a network of streams that break,
// with gossip that loses, partitions, crashes, forks and liars, and checks that
// all honest nodes hold the same soon after it has healed.
func TestSim(t *testing.T) {
	if *simSeed != 0 {
		runSim(t, *simSeed)
		return
	}
	for i := range *simRuns {
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
	at     time.Time
	number int
	do     func()
}

type events []event

func (q events) Len() int { return len(q) }
func (q events) Less(i, j int) bool {
	return q[i].at.Before(q[j].at) || q[i].at.Equal(q[j].at) && q[i].number < q[j].number
}
func (q events) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *events) Push(x any)   { *q = append(*q, x.(event)) }
func (q *events) Pop() any {
	last := len(*q) - 1
	x := (*q)[last]
	*q = (*q)[:last]
	return x
}

type world struct {
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
	loss   float64 // of gossip
	wire   bool    // encode and decode every message
	cut    map[[2]int]bool
	sent   map[Type]int
	mute   bool // neither gossip nor Have arrives: hellos must do
	gave   int  // entries and payloads in answers of honest nodes
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
	streams map[protocol.Key]*stream
	timer   time.Time
}

// stream is a node's own stream to a neighbour: requests go one way, answers the
// other, both in order.
type stream struct {
	to         *simNode
	open       bool
	ask, reply time.Time // when the last message of each way arrives
}

func newWorld(t *testing.T, seed uint64) *world {
	start := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	w := &world{
		t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), start: start, now: start, forks: map[int]bool{},
		cut: map[[2]int]bool{}, sent: map[Type]int{}, wire: seed%8 == 0,
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
	for _, n := range w.nodes {
		w.after(w.span(3*time.Second), n.boot)
	}
	return w
}

func (w *world) after(d time.Duration, do func()) {
	w.count++
	heap.Push(&w.events, event{at: w.now.Add(d), number: w.count, do: do})
}

func (w *world) run(until time.Time) {
	for len(w.events) > 0 && !w.events[0].at.After(until) {
		e := heap.Pop(&w.events).(event)
		w.now = e.at
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
		w.after(w.span(span), func() { clear(w.cut) })
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
	return w.nodes[letter-'a']
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

func (w *world) heal() {
	clear(w.cut)
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
			if a != b && !a.machine.InStep(b.home.key, w.start) {
				w.t.Errorf("seed %d: node %d is not in step with %d", w.seed, a.index, b.index)
			}
		}
	}
}

func (w *world) report() {
	for _, n := range w.nodes {
		w.t.Logf("node %d, lie %d, %d statements, up with %d, next %v", n.index, n.lie, len(n.home.statements), len(n.machine.peers), n.machine.Next().Sub(w.now))
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

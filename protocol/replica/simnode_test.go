package replica

import (
	"slices"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
)

// boot starts a node from what it holds, with a new machine.
func (n *simNode) boot() {
	n.alive, n.life = true, n.life+1
	n.machine = New(Config{Seed: n.w.seed + uint64(n.index)}, n.home)
	if n.w.seed%4 == 0 {
		n.machine.few = 0 // simulated nodes have few feeds
	}
	n.timer = time.Time{}
	clear(n.home.parked)
	for _, other := range n.w.nodes {
		if other != n {
			s := &stream{to: other}
			n.streams[other.home.key] = s
			n.dial(s)
		}
	}
}

// now is the time by the node's own clock.
func (n *simNode) now() time.Time { return n.w.now.Add(n.skew) }

func (n *simNode) crash(away time.Duration) {
	if !n.alive {
		return
	}
	for _, other := range n.w.nodes {
		if other != n {
			n.drop(other.home.key)
			other.drop(n.home.key)
		}
	}
	n.alive = false
	n.w.after(away, n.boot)
}

// later does something after a while, if the node has not crashed by then.
func (n *simNode) later(d time.Duration, do func()) {
	life := n.life
	n.w.after(d, func() {
		if n.alive && n.life == life {
			do()
		}
	})
}

func (n *simNode) dial(s *stream) {
	n.later(200*time.Millisecond+n.w.span(time.Second), func() {
		if !n.w.linked(n, s.to) {
			n.dial(s)
			return
		}
		s.open = true
		n.event(func(m *Machine) { m.Up(n.now(), s.to.home.key) })
	})
}

// drop breaks the stream to a node; what is under way on it is lost.
func (n *simNode) drop(to protocol.Key) {
	old := n.streams[to]
	if old == nil || !old.open || !n.alive {
		return
	}
	old.open = false
	s := &stream{to: old.to}
	n.streams[to] = s
	n.later(n.w.span(50*time.Millisecond), func() {
		n.event(func(m *Machine) { m.Down(n.now(), to) })
		n.dial(s)
	})
}

// event gives the machine something to do and does what it wants done.
func (n *simNode) event(do func(*Machine)) {
	do(n.machine)
	for list := n.machine.Take(); len(list) > 0; list = n.machine.Take() {
		for _, e := range list {
			n.do(e)
		}
	}
	n.check()
	at := n.machine.Next()
	if at.IsZero() || !n.timer.IsZero() && !at.Before(n.timer) {
		return
	}
	n.timer = at
	n.later(max(at.Sub(n.now()), 0), func() {
		if !n.timer.Equal(at) {
			return
		}
		n.timer = time.Time{}
		n.event(func(m *Machine) {
			m.Tick(n.now())
			if at := m.Next(); !at.IsZero() && !at.After(n.now()) {
				n.w.t.Fatalf("seed %d: node %d would tick forever", n.w.seed, n.index)
			}
		})
	})
}

// check holds the machine against what must always be true of it.
func (n *simNode) check() {
	m := n.machine
	busy := 0
	for id, f := range m.feeds {
		if f.holder == nil {
			continue
		}
		busy++
		asks := 0
		for _, p := range m.order {
			for _, r := range p.pending {
				if r.feed == id {
					asks++
				}
			}
		}
		if want := map[bool]int{true: 0, false: 1}[f.storing]; asks != want {
			n.w.t.Fatalf("seed %d: node %d has %d requests for one feed", n.w.seed, n.index, asks)
		}
	}
	if busy != m.busy || busy > maxBusy+len(m.peers) {
		n.w.t.Fatalf("seed %d: node %d is busy with %d, counts %d", n.w.seed, n.index, busy, m.busy)
	}
	for _, p := range m.order {
		if p.holds > maxInFlight || len(p.pending) > maxInFlight+6 {
			n.w.t.Fatalf("seed %d: node %d asks too much of one", n.w.seed, n.index)
		}
	}
}

func (n *simNode) do(e Effect) {
	w := n.w
	switch e := e.(type) {
	case Send:
		n.send(n.streams[e.To], e.Msg)
	case Reset:
		n.drop(e.Node)
	case Store:
		n.later(w.span(50*time.Millisecond+n.wait), func() {
			usable, diverged, changed := n.home.store(e)
			if changed {
				n.event(func(m *Machine) { m.Changed(n.now(), e.Feed) })
			}
			n.event(func(m *Machine) {
				if diverged {
					m.Diverged(n.now(), e.From, e.Feed)
				}
				m.Stored(n.now(), e.From, e.Feed, usable)
			})
		})
	case Learn:
		n.later(w.span(20*time.Millisecond+n.wait), func() {
			n.learn(e.Raw)
			n.event(func(m *Machine) { m.Learned(n.now(), e.From) })
		})
	}
}

func (n *simNode) learn(raws [][]byte) {
	if !n.home.learn(raws) {
		return
	}
	for i, f := range n.w.feeds {
		if n.home.statements[testStatements()[i].ID()] != nil {
			n.home.forked[f] = true
		}
	}
	n.event(func(m *Machine) {
		m.Forgive(n.now())
		m.Compare(n.now(), time.Second)
	})
}

func (n *simNode) proveFork(f protocol.FeedID) {
	i := slices.Index(n.w.feeds, f)
	if !n.w.forks[i] {
		n.w.t.Fatalf("seed %d: node %d sees a fork that is none", n.w.seed, n.index)
	}
	n.later(0, func() { n.learn([][]byte{testStatements()[i].Raw()}) })
}

// delay is how long the next message of a stream takes: none overtakes another.
func (n *simNode) delay(last *time.Time, more time.Duration) time.Duration {
	at := n.w.now.Add(n.w.span(80*time.Millisecond + more))
	if at.Before(*last) {
		at = *last
	}
	*last = at
	return at.Sub(n.w.now)
}

func (n *simNode) wire(msg Message) Message {
	n.w.sent[msg.Type()]++
	if n.w.bytes != nil {
		n.w.bytes[msg.Type()] += len(Encode(msg))
	}
	if !n.w.wire {
		return msg
	}
	again, err := Decode(Encode(msg)[4:])
	if err != nil {
		n.w.t.Fatalf("seed %d: node %d sends what cannot be read: %v", n.w.seed, n.index, err)
	}
	return again
}

// send puts a message on the node's own stream; its answer comes back there.
func (n *simNode) send(s *stream, msg Message) {
	if s == nil || !s.open {
		return
	}
	if _, ok := msg.(*GetEpochs); ok && n.w.marks > 0 {
		msg = &GetEpochs{Salt: protocol.Hash{1}, Held: make([]byte, n.w.marks*MarkLen)} // as a node fills it in
	}
	msg = n.wire(msg)
	n.w.after(n.delay(&s.ask, s.to.wait), func() {
		if s.stalled = s.stalled || n.w.deaf[[2]int{n.index, s.to.index}]; s.stalled || !s.open || !s.to.alive {
			return
		}
		answer := s.to.serve(n, msg)
		if answer == nil {
			return
		}
		if s.to.lie == honest {
			answer = s.to.wire(answer)
		}
		n.w.after(n.delay(&s.reply, 0), func() {
			if s.stalled = s.stalled || n.w.deaf[[2]int{s.to.index, n.index}]; !s.stalled && s.open && n.alive {
				n.event(func(m *Machine) { m.Received(n.now(), s.to.home.key, answer) })
			}
		})
	})
}

// serve answers a neighbour's message.
func (n *simNode) serve(from *simNode, msg Message) Message {
	switch msg := msg.(type) {
	case *Hello:
		n.event(func(m *Machine) { m.Greeted(n.now(), from.home.key, msg) })
	case *Have:
		if n.w.mute {
			return nil
		}
		n.event(func(m *Machine) { m.Told(n.now(), from.home.key, msg) })
		return nil
	case *GetEpochs:
		return &Epochs{}
	}
	answer := Answer(n.home, msg)
	if n.lie != honest {
		return n.twist(from, msg, answer)
	}
	switch a := answer.(type) {
	case *Entries:
		n.w.gave += len(a.Entries)
	case *Payloads:
		n.w.gave += len(a.Items)
	}
	return answer
}

// write appends to a feed of the node and gossips the entry.
func (n *simNode) write(f protocol.FeedID) {
	if !n.alive || n.home.forked[f] {
		return
	}
	w := n.w
	e := n.home.write(f, w.rng.Uint64(), uint32([]int{0, 40, 64, 400}[w.rng.IntN(4)]))
	n.event(func(m *Machine) { m.Changed(n.now(), f) })
	x := Entry{Header: e.header()}
	if e.size <= 64 { // gossip carries no large ones
		x.Payload = e.payload()
	}
	for _, other := range w.nodes {
		if other == n || !w.linked(n, other) || w.deaf[[2]int{n.index, other.index}] || w.rng.Float64() < w.loss {
			continue
		}
		n.gossip(other, x, f)
		if w.rng.Float64() < w.twice {
			n.gossip(other, x, f)
		}
	}
}

// gossip brings an entry to another node after a while; entries overtake each
// other.
func (n *simNode) gossip(other *simNode, x Entry, f protocol.FeedID) {
	other.later(n.w.span(150*time.Millisecond+other.wait), func() {
		if _, _, changed := other.home.store(Store{Feed: f, Entries: []Entry{x}}); changed {
			other.event(func(m *Machine) { m.Changed(other.now(), f) })
		}
	})
}

// fork puts a feed back by some entries and writes others, as a node does that
// was restored from an older copy.
func (n *simNode) fork(feed int) {
	f := n.w.feeds[feed]
	list := n.home.feeds[f]
	if !n.alive || len(list) == 0 || n.home.forked[f] {
		return
	}
	n.w.forks[feed] = true
	n.home.feeds[f] = slices.Clone(list[:n.w.rng.IntN(len(list))])
	n.home.vector = protocol.Hash{}
	n.crash(0)
	n.w.after(time.Millisecond, func() { n.write(f) })
}

package main

import (
	"crypto/ed25519"
	"slices"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
)

// Gossipsub as node/transport sets it up.
const (
	gossipDegree = 8
	gossipMost   = 16
	gossipLazy   = 8              // neighbours outside the mesh that are told what there is,
	gossipBeats  = 8              // so many times,
	gossipIHave  = 34 + 75 + 8    // in so many bytes: the message's identifier, the topic, framing
	gossipFrame  = 75 + 2 + 4 + 4 // topic and framing around a message
)

// simNode is a node: a real machine over a home, links of streams, and a model of
// gossipsub.
type simNode struct {
	w        *world
	index    int
	key      protocol.Key
	secret   []byte
	x, y     float64 // its place on the map
	rate     float64 // of its line, in bytes a nanosecond
	upFree   int64   // when what is under way has left it,
	downFree int64   // or come
	home     *home
	machine  *replica.Machine
	links    []*stream
	to       map[protocol.Key]*stream
	mesh     []*simNode // of gossipsub
	alive    bool
	timer    time.Time
	alone    bool                       // it knows its first neighbour only
	sent     int64                      // bytes
	from     map[protocol.Key]*supplied // by neighbour
}

// supplied is what a neighbour brought in sync.
type supplied struct{ statements, entries int64 }

// stream is a node's own to a neighbour: requests go one way, answers the other,
// both in order.
type stream struct {
	to         *simNode
	open       bool
	ask, reply int64 // when the last message of each way arrives
}

func (w *world) newNode(index int, key ed25519.PrivateKey, set *stateSet) *simNode {
	n := &simNode{w: w, index: index, key: protocol.KeyOf(key), secret: key.Seed(), x: w.rng.Float64(), y: w.rng.Float64(),
		to: map[protocol.Key]*stream{}, from: map[protocol.Key]*supplied{}}
	dice := w.rng.Float64()
	for _, l := range lines {
		if dice < l.share {
			n.rate = l.mbit * 1e6 / 8 / 1e9
			break
		}
	}
	n.home = newHome(w.ledger, set, func() int64 { return w.now().UnixMilli() }, n.got)
	n.home.addresses = []string{"198.51.100.17:4001", "[2001:db8:1234:5678::17]:4001"}
	w.nodes = append(w.nodes, n)
	w.byKey[n.key] = n
	return n
}

// link connects two nodes, once.
func (n *simNode) link(to *simNode) {
	if n.to[to.key] == nil {
		for _, pair := range [][2]*simNode{{n, to}, {to, n}} {
			s := &stream{to: pair[1]}
			pair[0].to[pair[1].key] = s
			pair[0].links = append(pair[0].links, s)
		}
	}
}

func (n *simNode) meshed(to *simNode) bool { return slices.Contains(n.mesh, to) }

func (n *simNode) boot() {
	n.alive = true
	n.machine = replica.New(replica.Config{Seed: n.w.rng.Uint64()}, n.home)
	for i, s := range n.links {
		if s.to.alive && (i == 0 || !n.alone) {
			n.connect(s)
			s.to.connect(s.to.to[n.key])
		}
	}
}

// connect opens the node's own stream after the handshakes.
func (n *simNode) connect(s *stream) {
	n.later(6*delay(n, s.to), func() {
		if s.to.alive && !s.open {
			s.open = true
			n.event(func(m *replica.Machine) { m.Up(n.w.now(), s.to.key) })
		}
	})
}

// die ends a node: its neighbours see their connections close.
func (n *simNode) die() {
	n.alive = false
	for _, s := range n.links {
		other := s.to
		s.open = false
		other.later(delay(n, other), func() { other.close(n) })
	}
}

// close ends the connection to another node.
func (n *simNode) close(other *simNode) {
	if s := n.to[other.key]; s != nil && s.open {
		s.open = false
		n.event(func(m *replica.Machine) { m.Down(n.w.now(), other.key) })
	}
	n.mesh = slices.DeleteFunc(slices.Clone(n.mesh), func(x *simNode) bool { return x == other })
}

// later does something after a while if the node still lives.
func (n *simNode) later(d time.Duration, do func()) {
	n.w.after(d, func() {
		if n.alive {
			do()
		}
	})
}

func (n *simNode) commit(do func()) {
	n.later(leastCommit+n.w.span(mostCommit-leastCommit), do)
}

// event gives the machine something to do and does what it wants done.
func (n *simNode) event(do func(*replica.Machine)) {
	do(n.machine)
	for list := n.machine.Take(); len(list) > 0; list = n.machine.Take() {
		for _, e := range list {
			n.do(e)
		}
	}
	at := n.machine.Next()
	if at.IsZero() || !n.timer.IsZero() && !at.Before(n.timer) {
		return
	}
	n.timer = at
	n.later(max(at.Sub(n.w.now()), 0), func() {
		if n.timer.Equal(at) {
			n.timer = time.Time{}
			n.event(func(m *replica.Machine) { m.Tick(n.w.now()) })
		}
	})
}

func (n *simNode) do(e replica.Effect) {
	switch e := e.(type) {
	case replica.Send:
		n.send(n.to[e.To], e.Msg)
	case replica.Store:
		n.supply(e.From).entries += sizeOf(&replica.Entries{Entries: e.Entries}) + sizeOf(&replica.Payloads{Items: e.Items})
		n.commit(func() {
			if n.home.store(e) {
				n.event(func(m *replica.Machine) { m.Changed(n.w.now(), e.Feed) })
			}
			n.event(func(m *replica.Machine) { m.Stored(n.w.now(), e.From, e.Feed, true) })
		})
	case replica.Learn:
		n.supply(e.From).statements += sizeOf(&replica.Statements{Raw: e.Raw})
		list := make([]*protocol.Statement, 0, len(e.Raw))
		for _, raw := range e.Raw {
			list = append(list, must(protocol.ParseStatement(raw)))
		}
		n.learn(list, func() {
			n.event(func(m *replica.Machine) { m.Learned(n.w.now(), e.From) })
		})
	case replica.Reset:
		other := n.w.byKey[e.Node]
		n.later(0, func() {
			n.close(other)
			n.connect(n.to[other.key])
		})
	}
}

func (n *simNode) supply(from protocol.Key) *supplied {
	if n.from[from] == nil {
		n.from[from] = &supplied{}
	}
	return n.from[from]
}

// learn takes statements in, which takes a fold of the roster.
func (n *simNode) learn(list []*protocol.Statement, done func()) {
	n.later(time.Duration(len(n.home.set.list)+len(list))*foldEach, func() { n.take(list, done) })
}

// take is learn once the roster has been folded.
func (n *simNode) take(list []*protocol.Statement, done func()) {
	before := n.home.set
	if n.home.set = before.with(list...); n.home.set != before {
		n.event(func(m *replica.Machine) {
			m.Forgive(n.w.now())
			m.Compare(n.w.now(), time.Second)
		})
		n.w.removal.learned(n)
	}
	done()
}

// got is called when a payload is held.
func (n *simNode) got(x *item) {
	if x.spread != nil {
		x.spread.reach(n)
	}
	n.w.removal.granted(n, x)
}

// flight has a message of one way of a stream arrive after all before it.
func (n *simNode) flight(to *simNode, last *int64, size int, do func()) {
	w := n.w
	w.traffic.sync += int64(size)
	n.sent += int64(size)
	w.traffic.messages++
	d := w.transmit(n, to, size)
	if w.loss > 0 && w.rng.Float64() < w.loss {
		d += retransmit + 2*delay(n, to)
	}
	*last = max(*last, w.at+int64(d))
	w.after(time.Duration(*last-w.at), do)
}

// send puts a message on the node's own stream; its answer comes back there.
func (n *simNode) send(s *stream, msg replica.Message) {
	if s == nil || !s.open {
		return
	}
	n.flight(s.to, &s.ask, int(sizeOf(msg)), func() {
		if !s.open || !s.to.alive {
			return
		}
		answer := s.to.serve(n, msg)
		if answer == nil {
			return
		}
		s.to.flight(n, &s.reply, int(sizeOf(answer)), func() {
			if s.open && n.alive {
				n.event(func(m *replica.Machine) { m.Received(n.w.now(), s.to.key, answer) })
			}
		})
	})
}

// serve answers a neighbour's message.
func (n *simNode) serve(from *simNode, msg replica.Message) replica.Message {
	switch msg := msg.(type) {
	case *replica.Hello:
		n.event(func(m *replica.Machine) { m.Greeted(n.w.now(), from.key, msg) })
	case *replica.Have:
		n.event(func(m *replica.Machine) { m.Told(n.w.now(), from.key, msg) })
		return nil
	case *replica.GetEpochs:
		return &replica.Epochs{} // all have the epochs there are
	}
	return replica.Answer(n.home, msg)
}

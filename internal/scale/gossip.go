package main

import (
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
)

// rumour is one gossip message.
type rumour struct {
	seen []bool // by node
	size int
	hold time.Duration // what it takes a node to see that it counts, beyond a signature
	act  func(*simNode)
}

// publish sends a message to all neighbours; the others pass it on within the
// mesh of gossipsub.
func (n *simNode) publish(g *replica.Gossip, act func(*simNode)) *rumour {
	r := &rumour{seen: make([]bool, len(n.w.nodes)), size: len(replica.EncodeGossip(g)) + gossipFrame, act: act}
	r.seen[n.index] = true
	n.tellOf(r)
	for _, s := range n.links {
		if s.open {
			n.pass(r, s.to)
		}
	}
	return r
}

// pass sends a copy to one node. A copy may be lost; many others remain.
func (n *simNode) pass(r *rumour, to *simNode) {
	w := n.w
	w.traffic.gossip += int64(r.size)
	n.sent += int64(r.size)
	w.traffic.messages++
	d := w.transmit(n, to, r.size)
	if w.loss > 0 && w.rng.Float64() < w.loss {
		return
	}
	w.after(d, func() {
		if !to.alive || r.seen[to.index] {
			return
		}
		r.seen[to.index] = true
		to.later(validate+r.hold, func() {
			to.tellOf(r)
			for _, next := range to.mesh {
				if next != n {
					to.pass(r, next)
				}
			}
			r.act(to)
		})
	})
}

// tellOf counts what gossipsub tells neighbours outside its mesh of a message.
func (n *simNode) tellOf(r *rumour) {
	lazy := min(max(len(n.links)-len(n.mesh), 0), gossipLazy)
	n.w.traffic.gossip += int64(lazy * gossipBeats * gossipIHave)
}

// write appends an entry to a feed of the node, on disk and told of.
func (n *simNode) write(kind protocol.EntryKind, size int, s *spread) *item {
	x := n.w.ledger.write(n.w.ledger.of[[2]int{n.index, int(kind)}], size, n.w.now().UnixMilli())
	if x.spread = s; s != nil {
		s.begin = n.w.at
	}
	n.commit(func() {
		n.home.put(x, true)
		g := &replica.Gossip{Entry: &replica.Entry{Header: x.raw}}
		full := len(x.payload) <= protocol.MaxInline
		if full {
			g.Entry.Payload = x.payload
		}
		n.publish(g, func(to *simNode) {
			to.commit(func() {
				if to.home.put(x, full) {
					to.event(func(m *replica.Machine) { m.Changed(to.w.now(), x.feed.id) })
				}
			})
		})
		n.event(func(m *replica.Machine) { m.Changed(n.w.now(), x.feed.id) })
	})
	return x
}

// spread is when an entry reached whom.
type spread struct {
	begin int64
	after []time.Duration
}

func (s *spread) reach(n *simNode) { s.after = append(s.after, time.Duration(n.w.at-s.begin)) }

// sizeOf is the length of a message's frame. Large payloads are not copied to
// find it out.
func sizeOf(msg replica.Message) int64 {
	extra := 0
	cut := func(p []byte) []byte {
		if len(p) < 64 {
			return p
		}
		extra += len(p) - 64 + headLen(len(p)) - headLen(64)
		return p[:64]
	}
	switch m := msg.(type) {
	case *replica.Entries:
		c := *m
		c.Entries = make([]replica.Entry, len(m.Entries))
		for i, e := range m.Entries {
			c.Entries[i] = replica.Entry{Header: e.Header, Payload: cut(e.Payload)}
		}
		msg = &c
	case *replica.Payloads:
		c := *m
		c.Items = make([]replica.Payload, len(m.Items))
		for i, x := range m.Items {
			c.Items[i] = replica.Payload{Seq: x.Seq, Data: cut(x.Data)}
		}
		msg = &c
	case *replica.Statements:
		c := *m
		c.Raw = make([][]byte, len(m.Raw))
		for i, x := range m.Raw {
			c.Raw[i] = cut(x)
		}
		msg = &c
	}
	return int64(len(replica.Encode(msg)) + extra)
}

// headLen is the length of the head of a CBOR byte string of n bytes.
func headLen(n int) int {
	switch {
	case n < 24:
		return 1
	case n < 1<<8:
		return 2
	case n < 1<<16:
		return 3
	}
	return 5
}

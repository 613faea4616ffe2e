package main

import (
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
)

const (
	epochWait = 10 * time.Second // the default of the house rules
	wanting   = 5 * time.Second  // within this long of the removal those who write do
	settling  = time.Minute      // measured after the removal
	giveUp    = 5 * time.Minute
)

// removal is one removal under way in a world.
type removal struct {
	w         *world
	m         *mesh
	need      []*protocol.Statement
	victim    *simNode
	completer *simNode
	online    bool          // the completer makes the epoch; else it stops before
	writers   map[int]bool  // nodes that write soon after
	knows     map[int]bool  // nodes that know of the removal,
	has       map[int]bool  // and those with an epoch for it
	waits     map[int]int64 // since when a node's share waits for one
	makes     map[int]bool
	grants    map[*item]bool
	known     spread
	ready     spread
	blocked   []time.Duration
}

// removalResult is what a removal costs.
type removalResult struct {
	Statements, StatementBytes int
	Known, Ready               times // by when the nodes knew, and had an epoch to write under
	Epochs                     int
	Grant                      int     // bytes of one grant
	PerNode                    float64 // bytes a node sends
	Busiest                    int64   // bytes the node sends that sends most
	Blocked                    times   // how long shares waited
}

// remove removes the last member that is left. A share of the members write soon
// after. Unless online, the node that completes the removal stops half a second
// after. Neither is part of the mesh from then on.
func (w *world) remove(m *mesh, online bool, writers, idle float64) (res removalResult) {
	victim, completer := w.up[len(w.up)-1], w.up[0]
	r := &removal{w: w, m: m, need: m.removal(victim.index), victim: victim, completer: completer, online: online,
		writers: map[int]bool{}, knows: map[int]bool{}, has: map[int]bool{}, waits: map[int]int64{}, makes: map[int]bool{}, grants: map[*item]bool{}}
	w.removal = r
	w.gone[victim.index] = true
	others := w.up[1 : len(w.up)-1]
	for _, i := range w.rng.Perm(len(others))[:max(int(writers*float64(len(others))), 1)] {
		r.writers[others[i].index] = true
	}
	for _, n := range w.up {
		n.home.set = n.home.set.with(r.need[:len(r.need)-1]...) // proposed and approved by others, long ago
		n.event(func(m *replica.Machine) { m.Compare(w.now(), time.Second) })
	}
	w.run(time.Minute)
	for _, n := range w.nodes {
		n.sent = 0
	}
	w.traffic = traffic{}
	begin := w.at
	r.known.begin, r.ready.begin = begin, begin
	completer.state(r.need[len(r.need)-1])
	if w.up = w.up[:len(w.up)-1]; !online {
		w.up = w.up[1:]
		completer.later(500*time.Millisecond, completer.die)
	}
	w.run(settling)
	for len(r.waits) > 0 && w.at-begin < int64(giveUp) {
		w.run(time.Second)
	}
	w.run(10 * time.Second)
	victim.die()
	res = removalResult{Statements: len(r.need), Epochs: len(r.grants), Grant: m.grant,
		Known: timesOf([]*spread{&r.known}, len(others)+1), Ready: timesOf([]*spread{&r.ready}, len(w.up)),
		Blocked: timesOf([]*spread{{after: r.blocked}}, len(r.writers))}
	for _, s := range r.need {
		res.StatementBytes += len(s.Raw())
	}
	for _, n := range w.nodes {
		res.Busiest = max(res.Busiest, n.sent)
	}
	res.PerNode = w.traffic.each(w.up) - idle*time.Duration(w.at-begin).Seconds()
	return res
}

// state signs nothing: it publishes a statement that was.
func (n *simNode) state(s *protocol.Statement) {
	n.learn([]*protocol.Statement{s}, func() {
		r := n.publish(&replica.Gossip{Statements: [][]byte{s.Raw()}}, func(to *simNode) {
			to.take([]*protocol.Statement{s}, func() {})
		})
		r.hold = time.Duration(len(n.home.set.list)) * foldEach // it is passed on once it is known to count
	})
}

// learned is called when a node has learned statements.
func (r *removal) learned(n *simNode) {
	if r == nil || r.knows[n.index] || n == r.victim {
		return
	}
	for _, s := range r.need {
		if !n.home.set.has(s.ID()) {
			return
		}
	}
	r.knows[n.index] = true
	r.known.reach(n)
	if n.to[r.victim.key] != nil {
		n.close(r.victim)
		r.victim.later(delay(n, r.victim), func() { r.victim.close(n) })
	}
	place := r.m.place(n.index, r.w.gone)
	switch {
	case n == r.completer && r.online:
		r.make(n)
	case n == r.completer:
	case place < node.StandIns:
		r.leave(n, place)
	}
	if r.writers[n.index] {
		n.later(r.w.span(wanting), func() { r.want(n, place) })
	}
}

// want has a node write: under an epoch that is there, or one it waits for, as
// node.WriteTo does.
func (r *removal) want(n *simNode, place int) {
	if r.has[n.index] {
		r.blocked = append(r.blocked, 0)
		return
	}
	r.waits[n.index] = r.w.at
	r.leave(n, place)
}

// leave leaves it to others for a while to make an epoch.
func (r *removal) leave(n *simNode, place int) {
	n.later(node.EpochPatience(epochWait, place), func() {
		if !r.has[n.index] {
			r.make(n)
		}
	})
}

// make makes an epoch and grants it to all.
func (r *removal) make(n *simNode) {
	if r.makes[n.index] {
		return
	}
	r.makes[n.index] = true
	n.later(time.Duration(r.m.stanzas)*sealEach, func() {
		r.grants[n.write(protocol.EntryDirect, r.m.grant, nil)] = true
	})
}

// granted is called when a node holds a payload.
func (r *removal) granted(n *simNode, x *item) {
	if r == nil || !r.grants[x] || r.has[n.index] || n == r.victim {
		return
	}
	n.later(time.Duration(r.m.stanzas)*sealEach/2, func() {
		if r.has[n.index] {
			return
		}
		r.has[n.index] = true
		r.ready.reach(n)
		if since, ok := r.waits[n.index]; ok {
			r.blocked = append(r.blocked, time.Duration(r.w.at-since))
			delete(r.waits, n.index)
		}
	})
}

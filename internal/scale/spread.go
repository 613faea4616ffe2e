package main

import (
	"math"
	"slices"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
)

const (
	bulk    = 100 << 10 // bytes of a payload that gossip does not carry
	resting = time.Minute
	pause   = 3 * time.Second // between two entries
)

// times are when an entry reached the nodes, over some entries.
type times struct {
	P50, P99, Max time.Duration
	Missed        int // times a node had not got one after a while
}

func timesOf(list []*spread, nodes int) (t times) {
	var all []time.Duration
	for _, s := range list {
		all = append(all, s.after...)
		t.Missed += nodes - len(s.after)
	}
	t.P50, t.P99, t.Max = quantile(all, 0.5), quantile(all, 0.99), quantile(all, 1)
	return t
}

func quantile(list []time.Duration, q float64) time.Duration {
	if len(list) == 0 {
		return 0
	}
	list = slices.Sorted(slices.Values(list))
	return list[max(int(math.Ceil(q*float64(len(list))))-1, 0)]
}

// cost is what entries of one size cost.
type cost struct {
	Times        times
	Gossip, Sync float64 // bytes that a node sends for one entry, above those of rest
}

// rest lets the mesh rest and gives how many bytes a node sends in a second.
func (w *world) rest() float64 {
	w.traffic = traffic{}
	w.run(resting)
	return w.traffic.each(w.up) / resting.Seconds()
}

// spread has random nodes write entries while so much of what is sent is lost.
func (w *world) spread(loss float64, size, entries int, idle float64) (c cost) {
	w.loss, w.traffic = loss, traffic{}
	begin := w.at
	var list []*spread
	for range entries {
		s := &spread{}
		list = append(list, s)
		w.up[w.rng.IntN(len(w.up))].write(protocol.EntrySealed, size, s)
		w.run(pause)
	}
	w.run(30 * time.Second)
	w.loss = 0
	each := 1 / float64(len(w.up)*entries)
	quiet := idle * time.Duration(w.at-begin).Seconds() / float64(entries)
	return cost{timesOf(list, len(w.up)), float64(w.traffic.gossip) * each, float64(w.traffic.sync)*each - quiet}
}

// each gives how many bytes that is for each node.
func (t traffic) each(nodes []*simNode) float64 {
	return float64(t.gossip+t.sync) / float64(len(nodes))
}

// silence has a share of the nodes never come up.
func (w *world) silence(share float64) {
	var up []*simNode
	down := map[int]bool{}
	for _, i := range w.rng.Perm(len(w.nodes))[:int(share*float64(len(w.nodes)))] {
		down[i] = true
	}
	for i, n := range w.nodes {
		if !down[i] {
			up = append(up, n)
		}
	}
	for _, n := range up {
		n.links = slices.DeleteFunc(n.links, func(s *stream) bool { return down[s.to.index] })
		n.mesh = slices.DeleteFunc(n.mesh, func(to *simNode) bool { return down[to.index] })
	}
	w.up = up
}

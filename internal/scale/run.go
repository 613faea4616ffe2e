package main

import (
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tipmesh/tipmesh/protocol/trust"
)

// plan is how much is simulated.
type plan struct {
	sizes    []int // of meshes, in nodes
	writers  int   // nodes that have written before, at most,
	entries  int   // how many are written at each loss
	history  int   // and how many a newcomer finds
	removals int   // with the completer gone, at each share of writers
}

var (
	whole = plan{sizes: []int{10, 30, 100, 300, 1000}, writers: 25, entries: 10, history: 5000, removals: 3}
	quick = plan{sizes: []int{10, 30, 100}, writers: 10, entries: 4, history: 2000, removals: 2}

	losses = []float64{0, 0.01, 0.05}
	shares = []float64{0, 0.1, 1} // of members that write after a removal; 0: one does
)

// result is what was seen of one size.
type result struct {
	Nodes                      int
	Links                      float64 // of a node, in the mean,
	MostLinks                  int
	Idle                       float64 // bytes a second
	Small                      []cost  // by loss
	Bulk                       cost
	Down                       times // to reach those that are up while 10 % are down
	Online                     removalResult
	Offline                    [][]removalResult // by share of writers
	Newcomer                   newcomerResult
	Fold                       time.Duration // of this machine
	Statements, StatementBytes int
	FoldBytes                  uint64
}

// simulate measures meshes of all sizes, beside each other, the largest first.
func (p plan) simulate(seed uint64, done func(nodes int)) []result {
	results := make([]result, len(p.sizes))
	meshes := make([]*mesh, len(p.sizes))
	for i, nodes := range p.sizes {
		m := newMesh(seed, nodes)
		meshes[i], results[i].Nodes, results[i].Statements, results[i].StatementBytes = m, nodes, len(m.list), m.set.bytes
		results[i].Fold, results[i].FoldBytes = m.fold()
	}
	var jobs errgroup.Group
	jobs.SetLimit(runtime.GOMAXPROCS(0))
	for i := range slices.Backward(meshes) {
		m, r := meshes[i], &results[i]
		for _, job := range []func(uint64, *mesh, *result){p.one, p.partly, p.joined} {
			jobs.Go(func() error {
				job(seed, m, r)
				done(r.Nodes)
				return nil
			})
		}
	}
	_ = jobs.Wait() // none fails
	return results
}

// one has a mesh rest, share and remove members.
func (p plan) one(seed uint64, m *mesh, r *result) {
	w := newWorld(seed, m, min(r.Nodes, p.writers), 3, m.payload)
	for _, n := range w.nodes {
		r.MostLinks = max(r.MostLinks, len(n.links))
		r.Links += float64(len(n.links)) / float64(r.Nodes)
	}
	w.begin()
	r.Idle = w.rest()
	for _, loss := range losses {
		r.Small = append(r.Small, w.spread(loss, m.payload, p.entries, r.Idle))
	}
	r.Bulk = w.spread(0, bulk, max(p.entries/3, 2), r.Idle)
	r.Online = w.remove(m, true, 0.1, r.Idle)
	r.Offline = make([][]removalResult, len(shares))
	for range p.removals {
		for i, share := range shares {
			if len(w.up) > governors {
				r.Offline[i] = append(r.Offline[i], w.remove(m, false, share, r.Idle))
			}
		}
	}
}

// partly has a mesh share of which a tenth never came up.
func (p plan) partly(seed uint64, m *mesh, r *result) {
	w := newWorld(seed+1, m, min(r.Nodes, p.writers), 3, m.payload)
	w.silence(0.1)
	w.begin()
	r.Down = w.spread(0, m.payload, max(p.entries/2, 2), 0).Times
}

// joined has a newcomer join.
func (p plan) joined(seed uint64, m *mesh, r *result) { r.Newcomer = runNewcomer(seed, m, p.history) }

// fold measures how long a fold of the roster takes here, and what it keeps.
func (m *mesh) fold() (took time.Duration, kept uint64) {
	var list []time.Duration
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	r := trust.Fold(m.id, m.list)
	runtime.GC()
	runtime.ReadMemStats(&after)
	for range 5 {
		begin := time.Now()
		r = trust.Fold(m.id, m.list)
		list = append(list, time.Since(begin))
	}
	runtime.KeepAlive(r)
	return slices.Min(list), after.HeapAlloc - min(before.HeapAlloc, after.HeapAlloc)
}

package main

import (
	"slices"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
)

const (
	history  = 5_000 // entries of one indicator each, of all members together,
	departed = 12    // and grants that followed removals
)

// newcomerResult is a newcomer's first sync.
type newcomerResult struct {
	Neighbours    int
	StatementSync int64 // bytes of statements that came
	Entries       int
	EntryBytes    int64
	EntrySync     int64
	Roster, All   time.Duration // until the statements were there, and all entries
	Least, Most   float64       // share of the entries that one neighbour brought, of what an even share would be
}

// runNewcomer has the last member's node join with nothing but the charter, by way
// of one neighbour. Nodes that are not its neighbours take no part.
func runNewcomer(seed uint64, m *mesh, history int) (res newcomerResult) {
	w := newWorld(seed, m, 1, 1, m.payload)
	for i := range history - 1 {
		w.ledger.write(w.ledger.of[[2]int{i % (len(m.keys) - 1), int(protocol.EntrySealed)}], m.payload, w.start.UnixMilli())
	}
	for i := range departed {
		w.ledger.write(w.ledger.of[[2]int{i % governors, int(protocol.EntryDirect)}], m.grant, w.start.UnixMilli())
	}
	n := w.nodes[len(w.nodes)-1]
	for _, s := range n.links {
		for i, f := range w.ledger.feeds {
			s.to.home.heads[i] = uint64(len(f.entries))
		}
		s.to.links = slices.DeleteFunc(s.to.links, func(s *stream) bool { return s.to != n })
	}
	w.up = nil
	for _, s := range n.links {
		w.up = append(w.up, s.to)
	}
	clear(n.home.heads)
	n.home.set = newSet(m.list[:1])
	n.rate = lines[1].mbit * 1e6 / 8 / 1e9
	w.begin()
	begin := w.at
	n.alone = true
	n.boot()
	for res.All == 0 && w.at-begin < int64(time.Hour) {
		w.run(100 * time.Millisecond)
		if n.alone && !slices.ContainsFunc(m.last, func(id protocol.StatementID) bool { return !n.home.set.has(id) }) {
			n.alone = false // it finds itself in the roster, and where the others are
			for _, s := range n.links[1:] {
				n.connect(s)
				s.to.connect(s.to.to[n.key])
			}
		}
		took := time.Duration(w.at - begin)
		if res.Roster == 0 && n.home.set.sum == m.set.sum {
			res.Roster = took
		}
		if n.full() {
			res.All = took
		}
	}
	res.Neighbours = len(n.links)
	for _, f := range w.ledger.feeds {
		for _, x := range f.entries {
			res.Entries++
			res.EntryBytes += int64(len(x.raw) + len(x.payload))
		}
	}
	for _, s := range n.links {
		from := n.supply(s.to.key)
		res.StatementSync += from.statements
		res.EntrySync += from.entries
	}
	even := float64(res.EntrySync) / float64(len(n.links))
	res.Least = 1e9
	for _, s := range n.links {
		share := float64(n.supply(s.to.key).entries) / even
		res.Least, res.Most = min(res.Least, share), max(res.Most, share)
	}
	return res
}

// full reports whether a node holds all there is.
func (n *simNode) full() bool {
	for i, f := range n.w.ledger.feeds {
		if n.home.heads[i] < uint64(len(f.entries)) || len(n.home.missing[i]) > 0 {
			return false
		}
	}
	return true
}

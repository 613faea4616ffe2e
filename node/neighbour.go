package node

import (
	"slices"

	"github.com/tipmesh/tipmesh/protocol"
)

const (
	allLinks = 32 // up to so many other nodes, a node links to all of them; beyond that to no more than so many
	chords   = 4  // of those, in a partial mesh, so many that nobody else can foresee
	misses   = 3  // so many dials in a row that failed have another node dialled as well
)

// Neighbours chooses the nodes that one links to, ascending, out of all nodes,
// ascending: all up to 32 others. Beyond that it takes those at distances of
// powers of two in the ring of all nodes, in both directions, so that any two
// nodes choose each other and are a few hops apart, and a few chords by the order
// that a secret gives, so that who picks its key cannot choose who links to it.
// The chords change little as nodes come and go. For each chosen node that has
// failed there is one chord more, up to 32 links in all.
func Neighbours(all []protocol.Key, self protocol.Key, secret []byte, failed func(protocol.Key) bool) []protocol.Key {
	at, in := slices.BinarySearchFunc(all, self, protocol.Key.Compare)
	if !in {
		return nil
	}
	if len(all) <= allLinks+1 {
		return slices.Delete(slices.Clone(all), at, at+1)
	}
	chosen := map[protocol.Key]bool{self: true}
	var out []protocol.Key
	want := chords
	add := func(k protocol.Key) {
		if chosen[k] || len(out) == allLinks {
			return
		}
		chosen[k] = true
		out = append(out, k)
		if failed(k) {
			want++
		}
	}
	for d := 1; d <= len(all)/2; d *= 2 {
		add(all[(at+d)%len(all)])
		add(all[(at+len(all)-d)%len(all)])
	}
	for _, k := range shuffled(all, secret) {
		if want == 0 {
			break
		}
		if !chosen[k] {
			want--
			add(k)
		}
	}
	return protocol.Sorted(out)
}

// shuffled gives the keys in an order that follows from the secret.
func shuffled(all []protocol.Key, secret []byte) []protocol.Key {
	type place struct {
		by  protocol.Hash
		key protocol.Key
	}
	places := make([]place, len(all))
	for i, k := range all {
		places[i] = place{protocol.HashOf([]byte("neighbour"), secret, k[:]), k}
	}
	slices.SortFunc(places, func(a, b place) int { return a.by.Compare(b.by) })
	out := make([]protocol.Key, len(places))
	for i, p := range places {
		out[i] = p.key
	}
	return out
}

// neighbours are the nodes that this one links to: see Neighbours.
func (n *Node) neighbours() []protocol.Key {
	var all []protocol.Key
	for _, m := range n.Roster().Active() {
		all = append(all, m.Nodes...)
	}
	all = protocol.Sorted(all)
	if _, in := slices.BinarySearchFunc(all, n.key, protocol.Key.Compare); !in {
		return n.doors(all)
	}
	return Neighbours(all, n.key, n.cfg.NodeKey.Seed(), func(k protocol.Key) bool {
		return !n.links.up(k) && n.book.get(k).missed >= misses
	})
}

package nodetest

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// Check checks the running nodes given against the invariants: they agree on the
// roster, hold the same gapless runs of headers and the same payloads, hold
// everything acknowledged, and answer look-ups with it.
func (m *Mesh) Check(nodes ...int) {
	m.T.Helper()
	first := m.Members[nodes[0]].Node
	for _, i := range nodes[1:] {
		if n := m.Members[i].Node; n.Roster().Digest() != first.Roster().Digest() {
			m.T.Errorf("nodes %d and %d see different rosters:\n%s\n%s", nodes[0], i, first.Roster(), n.Roster())
		}
	}
	for _, i := range nodes {
		m.checkFeeds(i)
		for _, j := range nodes {
			if i != j {
				m.compare(i, j)
			}
		}
	}
	for _, a := range m.acked {
		for _, i := range nodes {
			m.checkAcked(i, a)
		}
	}
}

// checkFeeds walks every feed of a node: sequence numbers without a gap, each
// entry naming the one before it, each payload the header's.
func (m *Mesh) checkFeeds(i int) {
	m.T.Helper()
	s := m.Members[i].Store
	for _, f := range s.Feeds() {
		seq, prev := uint64(0), protocol.EntryID{}
		err := s.Range(f.ID, 1, func(e store.Entry) bool {
			if seq++; e.Header.Seq != seq || e.Header.Prev != prev {
				m.T.Errorf("node %d, feed %s: entry %d does not follow", i, f.ID.Short(), e.Header.Seq)
			}
			if e.Payload != nil && !e.Header.Fits(e.Payload) {
				m.T.Errorf("node %d, feed %s: entry %d has another's payload", i, f.ID.Short(), e.Header.Seq)
			}
			prev = e.Header.ID()
			return true
		})
		m.must(err)
		if seq != f.Head || prev != f.HeadID {
			m.T.Errorf("node %d, feed %s: %d entries, head %d", i, f.ID.Short(), seq, f.Head)
		}
	}
}

// compare looks in j's store for everything that i's holds within the cuts.
func (m *Mesh) compare(i, j int) {
	m.T.Helper()
	a, b := m.Members[i], m.Members[j]
	for _, f := range a.Store.Feeds() {
		err := a.Store.Range(f.ID, 1, func(e store.Entry) bool {
			if last, ended := a.Node.Roster().Limit(f.Node, f.ID); ended && e.Header.Seq > last {
				return false
			}
			place := store.Place{Feed: f.ID, Seq: e.Header.Seq}
			other, err := b.Store.Entry(place)
			switch {
			case err != nil:
				m.T.Errorf("entry %s/%d of node %d is missing at node %d: %v", f.ID.Short(), place.Seq, i, j, err)
				return false
			case other.Header.ID() != e.Header.ID():
				m.T.Errorf("entry %s/%d differs between nodes %d and %d", f.ID.Short(), place.Seq, i, j)
			case !bytes.Equal(e.Payload, other.Payload):
				m.T.Errorf("payload %s/%d differs between nodes %d and %d", f.ID.Short(), place.Seq, i, j)
			}
			return true
		})
		m.must(err)
	}
}

// checkAcked looks an acknowledged share up at a node, unless its author's feed
// was cut before it.
func (m *Mesh) checkAcked(i int, a Acked) {
	m.T.Helper()
	n := m.Members[i].Node
	author := protocol.KeyOf(m.Members[a.By].nodeKey)
	for _, p := range a.Places {
		if last, ended := n.Roster().Limit(author, p.Feed); ended && p.Seq > last {
			return
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	m.must(n.CatchUp(ctx))
	found, err := n.Lookup(a.Values)
	m.must(err)
	for k, v := range a.Values {
		if !slices.ContainsFunc(found[k], func(o store.Object) bool { return o.Member == m.Members[a.By].ID }) {
			m.T.Errorf("node %d does not know %s, which node %d shared", i, v.Text, a.By)
		}
	}
}

// Reads reports whether a node can look a value up as shared by a member.
func (m *Mesh) Reads(i, by int, name string) bool {
	m.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	m.must(m.Members[i].Node.CatchUp(ctx))
	found, err := m.Members[i].Node.Lookup([]store.Value{{Type: "domain", Text: name}})
	m.must(err)
	return slices.ContainsFunc(found[0], func(o store.Object) bool { return o.Member == m.Members[by].ID })
}

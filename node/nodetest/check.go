package nodetest

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
)

// Check checks the running nodes given against the invariants: they agree on the
// roster, hold the same gapless runs of headers and the same payloads, can read
// the same, hold everything acknowledged, and answer look-ups with it. What a
// node lacks must have one of the reasons of lacks.
func (m *Mesh) Check(nodes ...int) {
	m.T.Helper()
	m.checkRosterIsTheSame(nodes)
	for _, i := range nodes {
		m.checkRunsHaveNoGap(i)
	}
	all := m.everything(nodes)
	for _, i := range nodes {
		m.checkNothingIsMissing(i, all)
		m.checkAllIsReadable(i, all)
		m.checkAcknowledged(i, all)
	}
}

// agreed gives the statements of a node but for marks: one may just have been signed.
func (m *Mesh) agreed(i int) []*protocol.Statement {
	return slices.DeleteFunc(m.Members[i].Node.Statements(), func(s *protocol.Statement) bool { return s.Kind == protocol.KindMark })
}

// checkRosterIsTheSame compares who is in, and the statements that say so.
func (m *Mesh) checkRosterIsTheSame(nodes []int) {
	m.T.Helper()
	first := m.Members[nodes[0]].Node
	for _, i := range nodes[1:] {
		n := m.Members[i].Node
		if n.Roster().Digest() != first.Roster().Digest() {
			m.T.Errorf("seed %d: nodes %d and %d see different rosters:\n%s\n%s", m.opt.Seed, nodes[0], i, first.Roster(), n.Roster())
		}
		ours, theirs := m.agreed(nodes[0]), m.agreed(i)
		if !slices.EqualFunc(ours, theirs, func(a, b *protocol.Statement) bool { return a.ID() == b.ID() }) {
			m.T.Errorf("seed %d: nodes %d and %d hold different statements: %d and %d", m.opt.Seed, nodes[0], i, len(ours), len(theirs))
		}
	}
}

// checkRunsHaveNoGap walks every feed of a node: sequence numbers without a gap,
// each entry naming the one before it, each payload the header's.
func (m *Mesh) checkRunsHaveNoGap(i int) {
	m.T.Helper()
	s := m.held(m.Members[i])
	for _, f := range s.Feeds() {
		seq, prev := uint64(0), protocol.EntryID{}
		m.must(s.Range(f.ID, 1, func(e store.Entry) bool {
			if seq++; e.Header.Seq != seq || e.Header.Prev != prev {
				m.T.Errorf("seed %d: node %d, feed %s: entry %d does not follow", m.opt.Seed, i, f.ID.Short(), e.Header.Seq)
			}
			if e.Payload != nil && !e.Header.Fits(e.Payload) {
				m.T.Errorf("seed %d: node %d, feed %s: entry %d has another's payload", m.opt.Seed, i, f.ID.Short(), e.Header.Seq)
			}
			prev = e.Header.ID()
			return true
		}))
		if seq != f.Head || prev != f.HeadID {
			m.T.Errorf("seed %d: node %d, feed %s: %d entries, head %d", m.opt.Seed, i, f.ID.Short(), seq, f.Head)
		}
	}
}

// known is what some nodes hold at one place, each thing once.
type known struct {
	place   store.Place
	author  protocol.Key
	entries []store.Entry // one, unless the feed has forked; the one that survives first
	by      []int         // the node where each was found first
	reader  int           // a node that reads it; -1: none does
	lost    bool          // a cut names a branch that nobody holds
}

// everything collects what any of the nodes holds, feed by feed and in order. Of
// forks that a cut has ended it tells which branch survives.
func (m *Mesh) everything(nodes []int) []*known {
	m.T.Helper()
	var out []*known
	at := map[store.Place]*known{}
	for _, i := range nodes {
		s := m.held(m.Members[i])
		reads := m.arrived(i)
		for _, f := range s.Feeds() {
			m.must(s.Range(f.ID, 1, func(e store.Entry) bool {
				p := store.Place{Feed: f.ID, Seq: e.Header.Seq}
				k := at[p]
				if k == nil {
					k = &known{place: p, author: f.Node, reader: -1}
					at[p] = k
					out = append(out, k)
				}
				if reads[p] {
					k.reader = i
				}
				same := slices.IndexFunc(k.entries, func(x store.Entry) bool { return x.Header.ID() == e.Header.ID() })
				switch {
				case same < 0:
					k.entries, k.by = append(k.entries, e), append(k.by, i)
				case k.entries[same].Payload == nil:
					k.entries[same].Payload = e.Payload
				}
				return true
			}))
		}
	}
	r := m.Members[nodes[0]].Node.Roster()
	for _, k := range out {
		if seq, entry, named := r.Survivor(k.author, k.place.Feed); named && k.place.Seq == seq {
			survive(at, k.place, entry)
		}
	}
	return out
}

// survive follows a branch from its end to its beginning.
func survive(at map[store.Place]*known, p store.Place, id protocol.EntryID) {
	lost := false
	for ; p.Seq > 0; p.Seq-- {
		k := at[p]
		if k == nil {
			return
		}
		i := slices.IndexFunc(k.entries, func(e store.Entry) bool { return e.Header.ID() == id })
		if lost = lost || i < 0; lost {
			k.lost = true
			continue
		}
		k.entries[0], k.entries[i] = k.entries[i], k.entries[0]
		k.by[0], k.by[i] = k.by[i], k.by[0]
		id = k.entries[0].Header.Prev
	}
}

// arrived are the places that a node could read.
func (m *Mesh) arrived(i int) map[store.Place]bool {
	m.T.Helper()
	out := map[store.Place]bool{}
	m.must(m.held(m.Members[i]).Arrivals(0, func(a store.Arrival) bool {
		out[a.Place] = true
		return true
	}))
	return out
}

const beyondCut = "beyond a cut"

// lacks gives the reason why a node need not hold an entry, empty where it must.
func (k *known) lacks(n *node.Node) string {
	r := n.Roster()
	if last, ended := r.Limit(k.author, k.place.Feed); ended && k.place.Seq > last {
		return beyondCut
	}
	if _, _, named := r.Survivor(k.author, k.place.Feed); named && k.lost {
		return "of a branch that is to survive and that nobody holds"
	} else if named {
		return ""
	}
	if fork, forked := r.Fork(k.author); forked && !fork.Resolved {
		return "of a node whose feed has forked"
	}
	return ""
}

// checkNothingIsMissing looks for everything in a node's store.
func (m *Mesh) checkNothingIsMissing(i int, all []*known) {
	m.T.Helper()
	s, n := m.held(m.Members[i]), m.Members[i].Node
	missing := map[protocol.FeedID]bool{}
	for _, k := range all {
		if missing[k.place.Feed] {
			continue
		}
		e, err := s.Entry(k.place)
		why := k.lacks(n)
		switch {
		case err != nil && why == "":
			missing[k.place.Feed] = true
			m.T.Errorf("seed %d: entry %s/%d of node %d and what follows is missing at node %d without a reason: %v",
				m.opt.Seed, k.place.Feed.Short(), k.place.Seq, k.by[0], i, err)
		case err == nil && e.Payload == nil && why == "" && k.entries[0].Payload != nil && !erased(s, k.place):
			m.T.Errorf("seed %d: payload %s/%d of node %d is missing at node %d without a reason",
				m.opt.Seed, k.place.Feed.Short(), k.place.Seq, k.by[0], i)
		case err == nil && why == "" && (e.Header.ID() != k.entries[0].Header.ID() || e.Payload != nil && !bytes.Equal(e.Payload, k.entries[0].Payload)):
			m.T.Errorf("seed %d: entry %s/%d differs between nodes %d and %d", m.opt.Seed, k.place.Feed.Short(), k.place.Seq, k.by[0], i)
		}
	}
}

// checkTaken looks at an entry that a node is about to store: it may not lie
// beyond a cut, nor continue a forked feed, of which the node has known for some
// time.
func (m *Mesh) checkTaken(p *Member, h *protocol.Header) {
	seen := p.seen.Load()
	if seen == nil || h.Node == seen.n.Key() {
		return
	}
	bars := func(r *trust.Roster) string {
		if last, ended := r.Limit(h.Node, h.Feed); ended && h.Seq > last {
			return "a cut before it"
		}
		if _, _, named := r.Survivor(h.Node, h.Feed); named {
			return ""
		}
		if fork, forked := r.Fork(h.Node); forked && !fork.Resolved {
			return "a fork of its writer's"
		}
		return ""
	}
	// It may have learned of something that lets it take the entry.
	if why := bars(seen.r); why != "" && why == bars(seen.n.Roster()) {
		m.T.Errorf("seed %d: node %d takes entry %s/%d of node %s, though it has known of %s for some time",
			m.opt.Seed, p.Index, h.Feed.Short(), h.Seq, h.Node.Short(), why)
	}
}

// erased reports whether a payload went for good.
func erased(s store.Store, p store.Place) bool {
	f, _ := s.Feed(p.Feed)
	return store.Ranges(f.Erased).Has(p.Seq)
}

// checkAllIsReadable compares what a node can read with what others can, and what
// it cannot with what it says of that.
func (m *Mesh) checkAllIsReadable(i int, all []*known) {
	m.T.Helper()
	s, n := m.held(m.Members[i]), m.Members[i].Node
	reads, unread := m.arrived(i), 0
	for _, k := range all {
		e, err := s.Entry(k.place)
		if err != nil || e.Header.Kind != protocol.EntrySealed || e.Payload == nil || reads[k.place] {
			continue
		}
		unread++
		if k.reader >= 0 && !m.ownLost(i, k.author) && k.lacks(n) == "" && slices.Contains(m.Members[k.reader].Node.ReadersOf(k.place), m.Members[i].ID) {
			m.T.Errorf("seed %d: node %d cannot read entry %s/%d, node %d can", m.opt.Seed, i, k.place.Feed.Short(), k.place.Seq, k.reader)
		}
	}
	if said := n.Status(time.Time{}).Unreadable; said != unread {
		m.T.Errorf("seed %d: node %d says that it cannot read %d entries; there are %d", m.opt.Seed, i, said, unread)
	}
}

// ownLost reports whether a home was spoilt that wrote something itself: nobody
// hands it an epoch of its own that a trust list narrowed.
func (m *Mesh) ownLost(i int, author protocol.Key) bool {
	return m.copied[i] && author == protocol.KeyOf(m.Members[i].nodeKey)
}

// checkAcknowledged looks every acknowledged share up at a node. One may be
// missing for a reason of lacks, or since its author left before the key to it
// reached anybody.
func (m *Mesh) checkAcknowledged(i int, all []*known) {
	m.T.Helper()
	n := m.Members[i].Node
	at := map[store.Place]*known{}
	for _, k := range all {
		at[k.place] = k
	}
	var values []store.Value
	var of []Acked
	m.mu.Lock()
	acked := slices.Clone(m.acked)
	m.mu.Unlock()
	for _, a := range acked {
		if len(a.Places) == 0 {
			m.T.Errorf("seed %d: a share of node %d was acknowledged without a place", m.opt.Seed, a.By)
			continue
		}
		if a.For != nil && (!slices.Contains(a.For, m.Members[i].ID) || m.ownLost(i, a.Node)) {
			continue
		}
		if slices.ContainsFunc(a.Places, func(p store.Place) bool { return m.excused(i, a, p, at[p]) }) {
			continue
		}
		sealed := at[a.Places[0]] != nil && at[a.Places[0]].reader < 0 // for whoever is in
		if who, ok := n.Roster().Member(m.Members[a.By].ID); sealed && (!ok || who.State != trust.StateActive) {
			continue
		}
		for _, v := range a.Values {
			values, of = append(values, v), append(of, a)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	m.must(n.CatchUp(ctx))
	found, err := n.Lookup(values)
	m.must(err)
	for k, v := range values {
		if a := of[k]; !slices.ContainsFunc(found[k], func(o store.Object) bool { return o.Member == m.Members[a.By].ID }) {
			m.T.Errorf("seed %d: node %d does not know %s, which node %d shared at %s/%d and was acknowledged",
				m.opt.Seed, i, v.Text, a.By, a.Places[0].Feed.Short(), a.Places[0].Seq)
		}
	}
}

// excused reports whether a node need not know an acknowledged share, at a place
// of which all hold what k says. What a fork took with it is what this node has not
// got at all, or another branch of.
func (m *Mesh) excused(i int, a Acked, p store.Place, k *known) bool {
	if k == nil {
		k = &known{place: p, author: a.Node}
	}
	n := m.Members[i].Node
	switch k.lacks(n) {
	case "":
		_, _, named := n.Roster().Survivor(a.Node, p.Feed)
		return named && len(k.entries) > 0 && k.entries[0].Header.Payload != a.Payload
	case beyondCut:
		return true
	}
	h, err := m.held(m.Members[i]).Header(p)
	return err != nil || h.Payload != a.Payload
}

// held is what a member's store holds, or did when its node stopped.
func (m *Mesh) held(p *Member) store.Store {
	if m.opt.Open != nil {
		return p.disk.Store
	}
	return p.Store
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

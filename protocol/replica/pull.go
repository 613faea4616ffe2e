package replica

import (
	"bytes"
	"iter"
	"slices"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
)

// Received handles an answer that came on this node's stream to a neighbour.
func (m *Machine) Received(now time.Time, node protocol.Key, msg Message) {
	p := m.peers[node]
	if p == nil {
		return
	}
	if len(p.pending) == 0 || msg.Type() != p.pending[0].msg.Type()+1 {
		m.out = append(m.out, Reset{Node: node, Reason: "an answer to no question"})
		return
	}
	request := p.pending[0]
	p.pending = p.pending[1:]
	switch msg := msg.(type) {
	case *Welcome:
		m.out = append(m.out, Address{Node: node, Addresses: msg.Addresses, Time: msg.Time, Agent: msg.Agent})
		m.compare(now, p, (*Hello)(msg))
	case *Statements:
		m.statements(now, p, request.msg.(*GetStatements), msg)
	case *Vector:
		m.vector(now, p, msg)
	case *Entries:
		if len(msg.Entries) == 0 || msg.Feed != request.feed {
			m.Stored(now, node, request.feed, false)
			return
		}
		m.out = append(m.out, Store{From: node, Feed: request.feed, Entries: msg.Entries})
	case *Payloads:
		if len(msg.Items) == 0 || msg.Feed != request.feed {
			m.Stored(now, node, request.feed, false)
			return
		}
		m.out = append(m.out, Store{From: node, Feed: request.feed, Items: msg.Items})
	case *Addresses:
		m.out = append(m.out, Hearsay{List: msg.List})
	case *Epochs:
		p.unread = false
		if len(msg.Sealed) > 0 {
			m.out = append(m.out, Unseal{From: node, Sealed: msg.Sealed})
		}
	}
}

// Stored says that the entries of a Store effect have been dealt with. Where any
// had to be refused, or they brought nothing that this node lacks, the feed is
// not asked of that neighbour for a while.
func (m *Machine) Stored(now time.Time, node protocol.Key, feed protocol.FeedID, usable bool) {
	moved := m.release(feed)
	if p := m.peers[node]; p != nil {
		if usable && moved {
			delete(p.bad, feed)
		} else if m.lacks(p, feed) {
			m.shun(now, p, feed)
		}
	}
	m.pull(now)
}

// Diverged says that a neighbour's entry does not follow this node's head: the
// two hold different entries at it. The neighbour is asked for its own, which is
// the other half of a fork proof.
func (m *Machine) Diverged(now time.Time, node protocol.Key, id protocol.FeedID) {
	mine, _ := m.view.State(id)
	if p := m.peers[node]; p != nil && mine.Head > 0 {
		m.ask(now, p, &GetEntries{Feed: id, From: mine.Head, Budget: 1}, id)
	}
}

// Shunned gives how many feeds of how many neighbours are not asked for at
// present, because what came could not be used.
func (m *Machine) Shunned(now time.Time) int {
	n := 0
	for _, p := range m.peers {
		for _, g := range p.bad {
			if now.Before(g.until) {
				n++
			}
		}
	}
	return n
}

// Forgive forgets which feeds could not be used: what may be used has changed.
func (m *Machine) Forgive(now time.Time) {
	for _, p := range m.peers {
		clear(p.bad)
		for f := range p.feeds {
			m.want(now, f)
		}
	}
	m.pull(now)
}

func (m *Machine) shun(now time.Time, p *peer, feed protocol.FeedID) {
	g := p.bad[feed]
	if g == nil {
		g = &grudge{}
		p.bad[feed] = g
	}
	g.until = now.Add(m.cfg.Backoff << min(g.times, 6))
	g.times++
}

// release lets a feed be asked for again and reports whether this node holds
// more of it than when it was last asked for.
func (m *Machine) release(id protocol.FeedID) (moved bool) {
	f := m.feeds[id]
	if f == nil {
		return true
	}
	f.busy = false
	mine, _ := m.view.State(id)
	return mine.Head != f.asked.Head || !slices.Equal(mine.Missing, f.asked.Missing)
}

// compare asks for what the neighbour's digests show to differ.
func (m *Machine) compare(now time.Time, p *peer, h *Hello) {
	mine := m.view.Greeting()
	p.greeted, p.stated = now, h.Statements
	if h.Statements != mine.Statements && !p.waitsFor(TypeGetStatements) {
		m.ask(now, p, &GetStatements{Digests: m.view.StatementDigests()}, protocol.FeedID{})
	}
	if h.Vector != p.known() && !p.vector {
		p.vector, p.partial = true, map[protocol.FeedID]*FeedState{}
		m.ask(now, p, &GetVector{}, protocol.FeedID{})
	}
}

// known is the digest of what the neighbour told so far.
func (p *peer) known() protocol.Hash {
	if p.digest.IsZero() {
		ids := make([]protocol.FeedID, 0, len(p.feeds))
		for f := range p.feeds {
			ids = append(ids, f)
		}
		protocol.Sorted(ids)
		p.digest = DigestStates(func(yield func(*FeedState) bool) {
			for _, f := range ids {
				if !yield(p.feeds[f]) {
					return
				}
			}
		})
	}
	return p.digest
}

func (m *Machine) statements(now time.Time, p *peer, request *GetStatements, msg *Statements) {
	if len(msg.Raw) > 0 {
		m.out = append(m.out, Learn{From: p.key, Raw: msg.Raw})
	}
	if msg.Next.Compare(request.After) > 0 {
		m.ask(now, p, &GetStatements{Digests: request.Digests, After: msg.Next}, protocol.FeedID{})
	}
}

func (m *Machine) vector(now time.Time, p *peer, msg *Vector) {
	last := protocol.FeedID{}
	for i := range msg.Feeds {
		f := &msg.Feeds[i]
		p.partial[f.Feed] = f
		last = f.Feed
	}
	if msg.More && len(msg.Feeds) > 0 && len(p.partial) < protocol.MaxFeedsHeld {
		m.ask(now, p, &GetVector{After: last}, protocol.FeedID{})
		return
	}
	p.feeds, p.partial, p.vector, p.digest = p.partial, nil, false, protocol.Hash{}
	for f := range p.feeds {
		m.want(now, f)
	}
	m.pull(now)
}

// want notes a feed of which a neighbour may hold more.
func (m *Machine) want(now time.Time, id protocol.FeedID) {
	if m.feeds[id] == nil && m.behind(id) {
		m.feeds[id] = &feed{since: now}
	}
}

// behind reports whether any neighbour holds more of the feed.
func (m *Machine) behind(id protocol.FeedID) bool {
	for _, p := range m.peers {
		if m.lacks(p, id) {
			return true
		}
	}
	return false
}

// lacks reports whether the neighbour holds something of the feed that this
// node does not: entries past its head, a payload, or another entry at a place
// both hold.
func (m *Machine) lacks(p *peer, id protocol.FeedID) bool {
	theirs := p.feeds[id]
	if theirs == nil {
		return false
	}
	mine, _ := m.view.State(id)
	if m.view.Wanted(id) > mine.Head && (theirs.Head > mine.Head || contradicts(&mine, theirs)) {
		return true
	}
	_, ok := first(missing(&mine, theirs))
	return ok
}

// contradicts reports whether two nodes hold different entries at one head.
func contradicts(mine, theirs *FeedState) bool {
	return mine.Head > 0 && theirs.Head == mine.Head && theirs.HeadID != mine.HeadID
}

// missing gives the payloads that theirs holds and mine does not, up to mine's
// head.
func missing(mine, theirs *FeedState) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for i := 0; i+1 < len(mine.Missing); i += 2 {
			for seq := mine.Missing[i]; seq <= mine.Missing[i+1] && seq <= theirs.Head; seq++ {
				if theirs.Holds(seq) && !yield(seq) {
					return
				}
			}
		}
	}
}

func first(seq iter.Seq[uint64]) (uint64, bool) {
	for v := range seq {
		return v, true
	}
	return 0, false
}

// pull asks for every feed that is behind, has waited long enough for gossip
// and is not being asked for, of one neighbour that holds more of it.
func (m *Machine) pull(now time.Time) {
	busy := 0
	for _, f := range m.feeds {
		if f.busy {
			busy++
		}
	}
	for _, id := range m.due(now) {
		if busy >= maxBusy {
			return
		}
		f := m.feeds[id]
		if !m.behind(id) {
			delete(m.feeds, id)
			continue
		}
		p := m.choose(now, id)
		if p == nil {
			f.since = m.retry(now, id)
			continue
		}
		f.busy = true
		busy++
		m.request(now, p, id)
	}
}

// retry is when to look again for a neighbour to ask for a feed, less the
// patience: soon if one is merely busy, else when the first is forgiven.
func (m *Machine) retry(now time.Time, id protocol.FeedID) time.Time {
	var at time.Time
	for _, p := range m.peers {
		if !m.lacks(p, id) {
			continue
		}
		g := p.bad[id]
		if g == nil || !now.Before(g.until) {
			return now
		}
		if t := g.until.Add(-m.cfg.Patience); at.IsZero() || t.Before(at) {
			at = t
		}
	}
	return at
}

// due gives the feeds to ask for now, direct feeds first.
func (m *Machine) due(now time.Time) []protocol.FeedID {
	var ids []protocol.FeedID
	direct := map[protocol.FeedID]bool{}
	for id, f := range m.feeds {
		if f.busy || now.Before(f.since.Add(m.cfg.Patience)) {
			continue
		}
		ids = append(ids, id)
		for _, p := range m.peers {
			if s := p.feeds[id]; s != nil && s.Direct {
				direct[id] = true
			}
		}
	}
	slices.SortFunc(ids, func(a, b protocol.FeedID) int {
		if direct[a] != direct[b] {
			if direct[a] {
				return -1
			}
			return 1
		}
		return bytes.Compare(a[:], b[:])
	})
	return ids
}

// maxInFlight is how many requests one neighbour is given at a time, and
// maxBusy how many feeds are asked for in all: together with MaxBudget they
// bound the memory that answers take.
const (
	maxInFlight = 4
	maxBusy     = 16
)

// choose picks a neighbour to ask for a feed: the one with the fewest requests
// under way, by chance among equals.
func (m *Machine) choose(now time.Time, id protocol.FeedID) *peer {
	var best *peer
	ties := 0
	for _, p := range m.sorted() {
		if g := p.bad[id]; g != nil && now.Before(g.until) {
			continue
		}
		if len(p.pending) >= maxInFlight || !m.lacks(p, id) {
			continue
		}
		switch {
		case best == nil || len(p.pending) < len(best.pending):
			best, ties = p, 1
		case len(p.pending) == len(best.pending):
			ties++
			if m.rng.IntN(ties) == 0 {
				best = p
			}
		}
	}
	return best
}

// request asks a neighbour for what it holds of a feed and this node lacks:
// entries past the head first, then the entry that contradicts, then payloads.
func (m *Machine) request(now time.Time, p *peer, id protocol.FeedID) {
	mine, _ := m.view.State(id)
	theirs := p.feeds[id]
	m.feeds[id].asked = mine
	switch {
	case theirs.Head > mine.Head && m.view.Wanted(id) > mine.Head:
		m.ask(now, p, &GetEntries{Feed: id, From: mine.Head + 1, Budget: MaxBudget}, id)
	case contradicts(&mine, theirs) && m.view.Wanted(id) > mine.Head:
		m.ask(now, p, &GetEntries{Feed: id, From: mine.Head, Budget: 1}, id)
	default:
		get := &GetPayloads{Feed: id, Budget: MaxBudget}
		for seq := range missing(&mine, theirs) {
			if get.Seqs = append(get.Seqs, seq); len(get.Seqs) == MaxEntries {
				break
			}
		}
		m.ask(now, p, get, id)
	}
}

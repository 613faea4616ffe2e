package replica

import (
	"slices"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
)

// Received handles an answer that came on this node's stream to a neighbour.
func (m *Machine) Received(now time.Time, node protocol.Key, msg Message) {
	p := m.peers[node]
	if p == nil || p.broken {
		return
	}
	if len(p.pending) == 0 || msg.Type() != p.pending[0].msg.Type()+1 {
		m.reset(now, p, "an answer to no question")
		m.pull(now)
		return
	}
	request := p.pending[0]
	p.pending = slices.Delete(p.pending, 0, 1)
	m.pace(now, p, request)
	switch msg := msg.(type) {
	case *Welcome:
		m.welcome(now, p, request, msg)
	case *Statements:
		m.statements(now, p, request, msg)
	case *Vector:
		m.vector(now, p, request, msg)
	case *Entries:
		m.entries(now, p, request, msg)
	case *Payloads:
		m.payloads(now, p, request, msg)
	case *Addresses:
		m.hearsay(request, msg)
	case *Epochs:
		m.epochs(p, msg)
	}
	m.pull(now)
}

// pace asks for more at a time of a neighbour whose answers are quick.
func (m *Machine) pace(now time.Time, p *peer, request pending) {
	since := request.at
	if p.heard.After(since) {
		since = p.heard
	}
	p.heard = now
	if request.feed != (protocol.FeedID{}) && now.Sub(since) < m.cfg.Timeout/8 {
		p.memory.budget = min(2*p.memory.budget, MaxBudget)
	}
}

func (m *Machine) welcome(now time.Time, p *peer, request pending, msg *Welcome) {
	m.out = append(m.out, Address{Node: p.key, Addresses: msg.Addresses, Time: msg.Time, Agent: msg.Agent})
	p.greeted = request.at
	m.compare(now, p, (*Hello)(msg))
	if p.again {
		p.again = false
		m.greet(now, p)
	}
}

func (m *Machine) entries(now time.Time, p *peer, request pending, msg *Entries) {
	f := m.feeds[request.feed]
	if f == nil || f.holder != p {
		return // cannot be
	}
	f.storing = true
	if len(msg.Entries) == 0 || msg.Feed != request.feed || msg.From != request.msg.(*GetEntries).From {
		m.finish(now, request.feed, f, false)
		return
	}
	m.out = append(m.out, Store{From: p.key, Feed: request.feed, Entries: msg.Entries})
}

func (m *Machine) payloads(now time.Time, p *peer, request pending, msg *Payloads) {
	f := m.feeds[request.feed]
	if f == nil || f.holder != p {
		return // cannot be
	}
	f.storing = true
	seqs := request.msg.(*GetPayloads).Seqs
	unasked := func(x Payload) bool { _, ok := slices.BinarySearch(seqs, x.Seq); return !ok }
	if len(msg.Items) == 0 || msg.Feed != request.feed || slices.ContainsFunc(msg.Items, unasked) {
		m.finish(now, request.feed, f, false)
		return
	}
	m.out = append(m.out, Store{From: p.key, Feed: request.feed, Items: msg.Items})
}

// hearsay takes what was asked for and nothing else.
func (m *Machine) hearsay(request pending, msg *Addresses) {
	asked := request.msg.(*GetAddresses).Nodes
	list := slices.DeleteFunc(msg.List, func(a NodeAddresses) bool { return !slices.Contains(asked, a.Node) })
	if len(list) > 0 {
		m.out = append(m.out, Hearsay{List: list})
	}
}

func (m *Machine) epochs(p *peer, msg *Epochs) {
	p.unread = false
	if len(msg.Sealed) == 0 {
		p.quiet = min(2*p.quiet+1, maxQuiet)
		p.skip = p.quiet
		return
	}
	p.quiet, p.skip = 0, 0
	m.out = append(m.out, Unseal{From: p.key, Sealed: msg.Sealed})
}

// Stored says that the entries of a Store effect have been dealt with. Where any
// had to be refused, or they brought nothing that this node lacks, the feed is
// not asked of that neighbour for a while.
func (m *Machine) Stored(now time.Time, node protocol.Key, feed protocol.FeedID, usable bool) {
	if f := m.storing(node, feed); f != nil {
		m.finish(now, feed, f, usable)
	}
	m.pull(now)
}

// Diverged says that a neighbour's entry does not follow this node's head: the
// two hold different entries at it. The neighbour is asked for its own, which is
// the other half of a fork proof. It is called before Stored.
func (m *Machine) Diverged(_ time.Time, node protocol.Key, id protocol.FeedID) {
	if f := m.storing(node, id); f != nil && f.probe == probeNone {
		f.probe = probeWanted
	}
}

// storing is the feed if an answer of the neighbour is being stored.
func (m *Machine) storing(node protocol.Key, id protocol.FeedID) *feed {
	if f := m.feeds[id]; f != nil && f.storing && f.holder.key == node {
		return f
	}
	return nil
}

// finish ends the asking for a feed, or goes on with the question of a fork.
func (m *Machine) finish(now time.Time, id protocol.FeedID, f *feed, usable bool) {
	p, mine := f.holder, m.held(id)
	if f.probe == probeWanted && m.peers[p.key] == p && !p.broken && mine.headers() > 0 {
		f.storing, f.probe = false, probeSent
		m.ask(now, p, &GetEntries{Feed: id, From: mine.headers(), Budget: 1}, id)
		return
	}
	m.release(f)
	moved := mine.headers() != f.asked.headers() || !slices.Equal(mine.Missing, f.asked.Missing)
	switch {
	case usable && moved:
		delete(p.memory.bad, id)
		if mine.headers() >= f.goal {
			f.since = now // gossip may bring what came about meanwhile
		}
	case m.lacks(p, id):
		p.memory.shun(now, id, m.cfg.Backoff)
		// What it holds may have changed since it told.
		p.helloBy(now.Add(m.cfg.Hello / 8))
	}
	m.offer(now, id)
}

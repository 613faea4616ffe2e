package replica

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
)

// Machine decides what to ask of whom. It is not safe for concurrent use.
type Machine struct {
	cfg    Config
	view   View
	rng    *rand.Rand
	peers  map[protocol.Key]*peer
	order  []*peer // peers by key, so that a run can be repeated
	memory map[protocol.Key]*memory
	feeds  map[protocol.FeedID]*feed // feeds that some neighbour holds more of
	timers timers                    // those to look at later
	count  uint64                    // of feeds noted so far
	busy   int                       // feeds being asked for or stored
	few    int                       // feeds up to which a vector is fetched whole
	looked int                       // how often a feed was looked at: what many feeds cost
	out    []Effect
}

// New makes a machine over a view.
func New(cfg Config, view View) *Machine {
	cfg = cfg.withDefaults()
	return &Machine{
		cfg: cfg, view: view, few: fewFeeds, rng: rand.New(rand.NewPCG(cfg.Seed, 0x7469706d657368)),
		peers: map[protocol.Key]*peer{}, memory: map[protocol.Key]*memory{}, feeds: map[protocol.FeedID]*feed{},
	}
}

// Take gives the effects so far and forgets them.
func (m *Machine) Take() []Effect {
	out := m.out
	m.out = nil
	return out
}

// Up says that a neighbour can be reached.
func (m *Machine) Up(now time.Time, node protocol.Key) {
	if m.peers[node] != nil {
		return
	}
	mem := m.memory[node]
	if mem == nil {
		mem = &memory{bad: map[protocol.FeedID]*grudge{}, budget: MaxBudget}
		m.memory[node] = mem
	}
	p := &peer{
		key: node, memory: mem, feeds: map[protocol.FeedID]*claim{},
		tell: map[protocol.FeedID]struct{}{}, unread: true,
	}
	m.peers[node] = p
	at, _ := slices.BinarySearchFunc(m.order, node, func(p *peer, k protocol.Key) int { return p.key.Compare(k) })
	m.order = slices.Insert(m.order, at, p)
	m.greet(now, p)
}

// Down says that a neighbour, or the stream to it, is gone.
func (m *Machine) Down(now time.Time, node protocol.Key) {
	p := m.peers[node]
	if p == nil {
		return
	}
	delete(m.peers, node)
	m.order = slices.DeleteFunc(m.order, func(x *peer) bool { return x == p })
	m.abandon(now, p, m.cfg.Backoff)
	for _, id := range p.ids() {
		m.offer(now, id)
	}
	p.memory.prune(now, m.cfg.Backoff)
	for k, mem := range m.memory {
		if m.peers[k] == nil && len(mem.bad) == 0 && !mem.learning && mem.budget == MaxBudget && p.holds == 0 {
			delete(m.memory, k)
		}
	}
	m.pull(now)
}

// abandon lets go of what was asked of a neighbour that will not answer. What it
// was asked for so long ago is held against it: else one that never answers
// would be asked again and again, and hold the feed up each time.
func (m *Machine) abandon(now time.Time, p *peer, patience time.Duration) {
	slow := false
	for _, r := range p.pending {
		f := m.feeds[r.feed]
		if f == nil || f.holder != p || f.storing {
			continue
		}
		m.release(f)
		if !now.Before(r.at.Add(patience)) {
			p.memory.shun(now, r.feed, m.cfg.Backoff)
			slow = true
		}
		m.offer(now, r.feed)
	}
	if slow {
		p.memory.budget = max(p.memory.budget/4, minBudget)
	}
	p.pending = nil
}

// reset gives up on a neighbour until the runtime has done the same.
func (m *Machine) reset(now time.Time, p *peer, reason string) {
	m.out = append(m.out, Reset{Node: p.key, Reason: reason})
	p.broken, p.heard = true, now
	m.abandon(now, p, m.cfg.Timeout)
}

// Greeted says that a neighbour said hello on its own stream.
func (m *Machine) Greeted(now time.Time, node protocol.Key, h *Hello) {
	m.out = append(m.out, Address{Node: node, Addresses: h.Addresses, Time: h.Time, Agent: h.Agent})
	if p := m.peers[node]; p != nil && !p.broken {
		m.compare(now, p, h)
	}
}

// Told says that a neighbour told of feeds on its own stream.
func (m *Machine) Told(now time.Time, node protocol.Key, h *Have) {
	p := m.peers[node]
	if p == nil {
		return
	}
	for i := range h.Feeds {
		p.told(&h.Feeds[i])
		m.want(now, p, h.Feeds[i].Feed)
	}
	p.digest = protocol.Hash{}
	m.pull(now)
}

// Changed says that this node now holds more, or less, of the feeds.
func (m *Machine) Changed(now time.Time, feeds ...protocol.FeedID) {
	for _, p := range m.order {
		if len(p.tell) == 0 {
			p.tellAt = latest(now.Add(m.cfg.Rest), p.lastTell.Add(m.cfg.Tell))
		}
		for _, id := range feeds {
			p.tell[id] = struct{}{}
		}
		p.quiet, p.skip = 0, 0
	}
	for _, id := range feeds {
		f := m.feeds[id]
		mine := m.held(id)
		switch behind, payloads := m.behind(&mine); {
		case f == nil && behind:
			m.note(now, &mine)
		case f == nil || f.holder != nil:
		case !behind:
			m.forget(f)
		case mine.headers() > f.head && !payloads:
			// Gossip brings the feed: as long as its head moves, there is no gap.
			f.head, f.since = mine.headers(), now
			m.offer(now, id)
		default:
			m.offer(now, id)
		}
	}
	m.tell(now)
	m.pull(now)
}

// Behind gives the feeds of which some neighbour holds more than this node.
func (m *Machine) Behind() []protocol.FeedID {
	var out []protocol.FeedID
	for id := range m.feeds {
		mine := m.held(id)
		if behind, _ := m.behind(&mine); behind {
			out = append(out, id)
		}
	}
	return protocol.Sorted(out)
}

// InStep reports whether the neighbour has told of everything it holds at some
// time after since, and this node holds all of it, statements included, but for
// feeds of which it was asked and did not give what it claims. It counts those: a
// node that lacks something is not complete, and one neighbour that claims what
// there is not must not keep it waiting.
func (m *Machine) InStep(node protocol.Key, since time.Time) (ok bool, undelivered int) {
	p := m.peers[node]
	if p == nil || p.broken || !p.settled || p.partial != nil || p.unread || p.greeted.Before(since) {
		return false, 0
	}
	if p.stated != m.view.Greeting().Statements {
		return false, 0
	}
	for id := range p.feeds {
		switch {
		case !m.lacks(p, id):
		case p.memory.bad[id] == nil:
			return false, 0
		default:
			undelivered++
		}
	}
	return true, undelivered
}

// State is what a neighbour told of one feed.
func (m *Machine) State(node protocol.Key, feed protocol.FeedID) (FeedState, bool) {
	if p := m.peers[node]; p != nil {
		if c := p.feeds[feed]; c != nil {
			return c.FeedState, true
		}
	}
	return FeedState{}, false
}

// AskEpochs makes the machine ask every neighbour for missing epochs.
func (m *Machine) AskEpochs(now time.Time) {
	for _, p := range m.order {
		p.quiet, p.skip = 0, 0
		if !p.broken && !p.waitsFor(TypeGetEpochs) {
			m.ask(now, p, &GetEpochs{}, protocol.FeedID{})
		}
	}
}

// Compare makes the machine say hello to every neighbour within a time: the
// set of statements has changed, or somebody wants to know how things stand.
func (m *Machine) Compare(now time.Time, within time.Duration) {
	for _, p := range m.order {
		p.helloBy(now.Add(within))
	}
}

// Learned says that the statements of a Learn effect have been dealt with. Only
// then is the neighbour asked for more of them: they wait there, not here. Where
// they could not be kept, the next hello shows it.
func (m *Machine) Learned(now time.Time, node protocol.Key) {
	if mem := m.memory[node]; mem != nil {
		mem.learning = false
	}
	p := m.peers[node]
	if p == nil || p.broken {
		return
	}
	if next := p.page; next != nil {
		p.page = nil
		m.askPage(now, p, next.msg, protocol.FeedID{}, next.page)
	} else if p.restate {
		p.restate = false
		p.helloBy(now.Add(m.vectorGap()))
	}
}

// Shunned gives how many feeds of how many neighbours are not asked for at
// present, because what came could not be used.
func (m *Machine) Shunned(now time.Time) int {
	n := 0
	for _, p := range m.order {
		for _, g := range p.memory.bad {
			if now.Before(g.until) {
				n++
			}
		}
	}
	return n
}

// Forgive forgets which feeds could not be used: what may be used has changed.
func (m *Machine) Forgive(now time.Time) {
	for _, mem := range m.memory {
		clear(mem.bad)
	}
	for _, p := range m.order {
		for _, id := range p.ids() {
			m.want(now, p, id)
		}
	}
	m.pull(now)
}

// Tick lets time pass: it does what is due. Next says when to call it.
func (m *Machine) Tick(now time.Time) {
	for _, p := range m.order {
		switch at, waiting := m.answerBy(p); {
		case waiting && !now.Before(at):
			m.reset(now, p, "no answer")
		case !p.broken && !now.Before(p.hello):
			m.greet(now, p)
		}
	}
	m.tell(now)
	m.pull(now)
}

// Next is the time of the next due thing, zero where there is none.
func (m *Machine) Next() time.Time {
	next := time.Time{}
	soonest := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	if len(m.timers) > 0 {
		soonest(m.timers[0].due)
	}
	for _, p := range m.order {
		if at, waiting := m.answerBy(p); waiting {
			soonest(at)
		}
		if p.broken {
			continue
		}
		soonest(p.hello)
		if len(p.tell) > 0 {
			soonest(p.tellAt)
		}
	}
	return next
}

// answerBy is when the oldest request must have been answered. Its time begins
// when the answer before it has come, for they come one after the other.
func (m *Machine) answerBy(p *peer) (at time.Time, waiting bool) {
	switch {
	case p.broken: // the runtime is told again
		return p.heard.Add(m.cfg.Timeout), true
	case len(p.pending) == 0:
		return at, false
	}
	at = p.pending[0].at
	if p.heard.After(at) {
		at = p.heard
	}
	return at.Add(m.cfg.Timeout), true
}

package replica

import (
	"slices"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
)

// peer is a neighbour as this node knows it.
type peer struct {
	key      protocol.Key
	memory   *memory
	feeds    map[protocol.FeedID]*claim
	ready    queues
	turn     int           // of questions for feeds
	digest   protocol.Hash // of feeds; zero where it must be computed
	pending  []pending     // requests without an answer yet, oldest first
	holds    int           // feeds asked of it or being stored from it
	heard    time.Time     // when its last answer came, or it was given up
	broken   bool          // given up: nothing is asked or taken until Down
	hello    time.Time     // when to say hello next
	again    bool          // say hello once more when the present one is answered
	tell     map[protocol.FeedID]struct{}
	lastTell time.Time
	tellAt   time.Time                      // when to tell next
	partial  map[protocol.FeedID]*FeedState // what is fetched of the vector, while it is
	differ   []byte                         // the buckets it is fetched of; empty: all
	recheck  bool                           // a hello came meanwhile
	fetched  time.Time                      // when the last fetch began
	compared time.Time                      // when its digest was last compared
	settled  bool                           // feeds are all it held at its last hello
	claimed  protocol.Hash                  // digest of its feeds at its last hello
	stated   protocol.Hash                  // and of its statements
	greeted  time.Time                      // when the last hello it answered was said
	page     *pending                       // to ask for when statements before it have been learned
	restate  bool                           // its statements differed while others of its were being learned
	unread   bool                           // ask for epochs at the next hello
	quiet    int                            // how many hellos to pass over after an empty answer
	skip     int                            // how many of those are left
}

// pending is a request under way.
type pending struct {
	msg  Message
	feed protocol.FeedID
	at   time.Time
	page int
}

// memory is what outlives the connection to a neighbour: it cannot shake off a
// bad name by connecting again.
type memory struct {
	bad    map[protocol.FeedID]*grudge
	over   grudge    // all feeds beyond those in bad, once it is full
	pruned time.Time // when bad was last pruned for being full
	budget uint64    // bytes asked of it at a time
	// learning says that statements of its are being stored. It outlives the
	// connection, so that one that breaks has no more of them wait here.
	learning bool
}

// grudge is a feed that could not be used as this neighbour holds it.
type grudge struct {
	until time.Time
	times int
}

const (
	maxDoubling = 6
	minBudget   = 64 << 10
	maxPages    = 1024 // of statements in one comparison
	maxQuiet    = 7
)

func (mem *memory) shun(now time.Time, id protocol.FeedID, backoff time.Duration) {
	g := mem.bad[id]
	if g == nil {
		if len(mem.bad) >= protocol.MaxFeedsHeld && !now.Before(mem.pruned.Add(backoff)) {
			mem.prune(now, 0)
			mem.pruned = now
		}
		if g = &mem.over; len(mem.bad) < protocol.MaxFeedsHeld {
			g = &grudge{}
			mem.bad[id] = g
		}
	}
	g.until = now.Add(backoff << min(g.times, maxDoubling))
	g.times++
}

// prune forgets grudges that are long over.
func (mem *memory) prune(now time.Time, backoff time.Duration) {
	for id, g := range mem.bad {
		if !now.Before(g.until.Add(backoff << maxDoubling)) {
			delete(mem.bad, id)
		}
	}
}

// shunned is until when a feed is not asked of the neighbour.
func (mem *memory) shunned(now time.Time, id protocol.FeedID) (until time.Time, yes bool) {
	g := mem.bad[id]
	if g == nil {
		g = &mem.over
	}
	if !now.Before(g.until) {
		return time.Time{}, false
	}
	return g.until, true
}

// told notes what the neighbour says of one feed. The state is copied: kept as
// part of the message, one feed would hold on to all of it.
func (p *peer) told(f *FeedState) {
	c := p.feeds[f.Feed]
	if c != nil && (f.Head == 0 || f.Direct != c.Direct) {
		p.unqueue(c)
	}
	switch {
	case f.Head == 0:
		delete(p.feeds, f.Feed)
		delete(p.partial, f.Feed)
		return
	case c != nil:
		c.FeedState = *f
	case len(p.feeds) < protocol.MaxFeedsHeld:
		p.feeds[f.Feed] = &claim{FeedState: *f}
	}
	if p.partial != nil && len(p.partial) < protocol.MaxFeedsHeld {
		s := *f
		p.partial[f.Feed] = &s
	}
}

func (p *peer) ids() []protocol.FeedID {
	ids := make([]protocol.FeedID, 0, len(p.feeds))
	for id := range p.feeds {
		ids = append(ids, id)
	}
	return protocol.Sorted(ids)
}

// known is the digest of what the neighbour told so far.
func (p *peer) known() protocol.Hash {
	if p.digest.IsZero() {
		p.digest = DigestStates(func(yield func(*FeedState) bool) {
			for _, id := range p.ids() {
				if !yield(&p.feeds[id].FeedState) {
					return
				}
			}
		})
	}
	return p.digest
}

func (p *peer) waitsFor(t Type) bool {
	return slices.ContainsFunc(p.pending, func(r pending) bool { return r.msg.Type() == t })
}

func (p *peer) helloBy(t time.Time) {
	if p.hello.After(t) {
		p.hello = t
	}
}

// ask sends a request and remembers it.
func (m *Machine) ask(now time.Time, p *peer, msg Message, feed protocol.FeedID) {
	m.askPage(now, p, msg, feed, 0)
}

func (m *Machine) askPage(now time.Time, p *peer, msg Message, feed protocol.FeedID, page int) {
	p.pending = append(p.pending, pending{msg: msg, feed: feed, at: now, page: page})
	m.out = append(m.out, Send{To: p.key, Msg: msg})
}

func (m *Machine) greet(now time.Time, p *peer) {
	jitter := time.Duration(m.rng.Int64N(int64(m.cfg.Hello/2)+1)) - m.cfg.Hello/4
	p.hello = now.Add(m.cfg.Hello + jitter)
	if p.waitsFor(TypeHello) {
		p.again = true
		return
	}
	p.memory.prune(now, m.cfg.Backoff)
	m.tellNow(now, p) // so that the digest fits what has been told
	h := m.view.Greeting()
	m.ask(now, p, &h, protocol.FeedID{})
	if (p.unread || h.Unread) && !p.waitsFor(TypeGetEpochs) {
		// Entries for others stay unread for good: do not ask every time.
		if p.skip == 0 {
			m.ask(now, p, &GetEpochs{}, protocol.FeedID{})
		}
		p.skip = max(p.skip-1, 0)
	}
	if nodes := m.view.Unlinked(); len(nodes) > 0 && !p.waitsFor(TypeGetAddresses) {
		m.ask(now, p, &GetAddresses{Nodes: nodes}, protocol.FeedID{})
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// tell sends what changed to the neighbours that have not been told lately.
func (m *Machine) tell(now time.Time) {
	for _, p := range m.order {
		if !now.Before(p.tellAt) {
			m.tellNow(now, p)
		}
	}
}

func (m *Machine) tellNow(now time.Time, p *peer) {
	if len(p.tell) == 0 || p.broken {
		return
	}
	ids := make([]protocol.FeedID, 0, len(p.tell))
	for id := range p.tell {
		ids = append(ids, id)
	}
	protocol.Sorted(ids)
	have := &Have{}
	for _, id := range ids[:min(len(ids), MaxFeeds)] {
		delete(p.tell, id)
		have.Feeds = append(have.Feeds, m.held(id))
	}
	p.lastTell = now
	p.tellAt = now.Add(m.cfg.Tell) // for what there was no room for
	m.out = append(m.out, Send{To: p.key, Msg: have})
}

// held is what this node holds of a feed, as told to others; Head is 0 where
// that is nothing.
func (m *Machine) held(id protocol.FeedID) FeedState {
	if s, ok := m.view.State(id); ok {
		return s
	}
	return FeedState{Feed: id}
}

// vectorGap is how long to wait between two fetches of one vector: a neighbour
// whose digest never fits must not keep this node busy.
func (m *Machine) vectorGap() time.Duration { return 5 * m.cfg.Tell }

// compare asks for what the neighbour's digests show to differ.
func (m *Machine) compare(now time.Time, p *peer, h *Hello) {
	p.stated, p.claimed = h.Statements, h.Vector
	switch {
	case h.Statements == m.view.Greeting().Statements || p.waitsFor(TypeGetStatements):
	case p.memory.learning:
		p.restate = true
	default:
		m.ask(now, p, &GetStatements{Digests: m.view.StatementDigests()}, protocol.FeedID{})
	}
	if p.partial != nil {
		p.recheck = true // when the vector is complete
		return
	}
	p.settled = false
	if at := p.compared.Add(m.vectorGap()); len(p.feeds) > MaxFeeds && p.digest.IsZero() && now.Before(at) {
		p.helloBy(at) // the digest of very many feeds takes a while
		return
	}
	p.compared = now
	p.settled = h.Vector == p.known()
	if p.settled {
		return
	}
	if at := p.fetched.Add(m.vectorGap()); !p.fetched.IsZero() && now.Before(at) {
		p.helloBy(at)
		return
	}
	p.partial, p.differ, p.fetched, p.recheck = map[protocol.FeedID]*FeedState{}, nil, now, false
	m.ask(now, p, &GetVector{Digests: p.buckets(m.few)}, protocol.FeedID{})
}

// fewFeeds is up to how many a vector is fetched whole: the digests of its buckets
// take about as much.
const fewFeeds = 32

// buckets are the digests of what the neighbour told so far; none where it told of
// few feeds.
func (p *peer) buckets(few int) []byte {
	if len(p.feeds) <= few {
		return nil
	}
	states := make([]FeedState, 0, len(p.feeds))
	for _, id := range p.ids() {
		states = append(states, p.feeds[id].FeedState)
	}
	return DigestBuckets(states)
}

// fetches reports whether the vector that is being fetched tells of a feed, if it
// is held at all.
func (p *peer) fetches(id protocol.FeedID) bool {
	return len(p.differ) == 0 || p.differ[id[0]/8]&(0x80>>(id[0]%8)) != 0
}

func (m *Machine) vector(now time.Time, p *peer, request pending, msg *Vector) {
	get := request.msg.(*GetVector)
	if len(msg.Differ)*8*BucketDigest != len(get.Digests) {
		m.reset(now, p, "a vector of other buckets")
		return
	}
	if p.differ == nil {
		p.differ = make([]byte, len(msg.Differ))
	}
	for i := range msg.Differ {
		p.differ[i] |= msg.Differ[i]
	}
	last := get.After
	for i := range msg.Feeds {
		f := &msg.Feeds[i]
		if f.Feed.Compare(last) <= 0 || f.Head == 0 || !p.fetches(f.Feed) {
			m.reset(now, p, "a vector out of order")
			return
		}
		last = f.Feed
		// What was told meanwhile may be newer than the answer, or older. The
		// greater does no harm: the next hello puts it right.
		if t := p.partial[f.Feed]; t == nil || t.Head < f.Head {
			c := *f
			p.partial[f.Feed] = &c
		}
	}
	if msg.More && len(msg.Feeds) == 0 {
		m.reset(now, p, "a vector without end")
		return
	}
	if msg.More && len(p.partial) < protocol.MaxFeedsHeld {
		m.ask(now, p, &GetVector{After: last, Digests: get.Digests}, protocol.FeedID{})
		return
	}
	m.believe(now, p)
	// A hello that came while the vector was fetched may be of a later time.
	p.settled = !p.recheck || p.claimed == p.known()
	if !p.settled {
		p.helloBy(p.fetched.Add(m.vectorGap()))
	}
}

// believe takes what was fetched of a neighbour's vector for what it holds.
func (m *Machine) believe(now time.Time, p *peer) {
	fetched := p.partial
	p.partial, p.digest = nil, protocol.Hash{}
	for _, id := range p.ids() {
		if fetched[id] == nil && p.fetches(id) {
			p.told(&FeedState{Feed: id})
			m.want(now, p, id)
		}
	}
	ids := make([]protocol.FeedID, 0, len(fetched))
	for id := range fetched {
		ids = append(ids, id)
	}
	for _, id := range protocol.Sorted(ids) {
		p.told(fetched[id])
		m.want(now, p, id)
	}
}

func (m *Machine) statements(now time.Time, p *peer, request pending, msg *Statements) {
	if len(msg.Raw) > 0 {
		p.memory.learning = true
		m.out = append(m.out, Learn{From: p.key, Raw: msg.Raw})
	}
	if msg.Next.IsZero() {
		return
	}
	get := request.msg.(*GetStatements)
	if len(msg.Raw) == 0 || msg.Next.Compare(get.After) <= 0 || request.page == maxPages {
		m.reset(now, p, "statements without end")
		return
	}
	p.page = &pending{msg: &GetStatements{Digests: get.Digests, After: msg.Next}, page: request.page + 1}
}

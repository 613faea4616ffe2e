package replica

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
)

// Config sets the machine's times. Zero values mean the defaults.
type Config struct {
	Hello    time.Duration // between hellos to a neighbour, give or take a quarter; default 45 s
	Patience time.Duration // how long gossip may take before a gap is pulled; default 200 ms
	Tell     time.Duration // at least this long between two Have to one neighbour; default 100 ms
	Timeout  time.Duration // for an answer; default 30 s
	Backoff  time.Duration // after a feed from a neighbour could not be used, doubling up to 64 times; default 10 s
	Seed     uint64        // of the jitter and the choice between neighbours
}

func (c Config) withDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&c.Hello, 45*time.Second)
	def(&c.Patience, 200*time.Millisecond)
	def(&c.Tell, 100*time.Millisecond)
	def(&c.Timeout, 30*time.Second)
	def(&c.Backoff, 10*time.Second)
	return c
}

// Effect is something the machine wants done: one of Send, Store, Learn,
// Unseal, Address,
// Hearsay, Reset.
type Effect interface{ effect() }

// Send asks for a message to be sent on this node's stream to a neighbour.
type Send struct {
	To  protocol.Key
	Msg Message
}

// Store asks for entries of one feed to be checked and stored. The runtime calls
// Stored when it is done.
type Store struct {
	From    protocol.Key
	Feed    protocol.FeedID
	Entries []Entry   // in order, or
	Items   []Payload // payloads for headers already held
}

// Learn asks for statements to be checked and stored.
type Learn struct {
	From protocol.Key
	Raw  [][]byte
}

// Unseal asks for a sealed grant of epochs to be opened and kept.
type Unseal struct {
	From   protocol.Key
	Sealed []byte
}

// Address tells which addresses a neighbour says it has, and its clock.
type Address struct {
	Node      protocol.Key
	Addresses []string
	Time      int64
	Agent     string
}

// Hearsay tells where other nodes may be reached, as a neighbour says.
type Hearsay struct{ List []NodeAddresses }

// Reset asks for the stream to a neighbour to be given up: it broke the
// protocol or did not answer. The runtime answers with Down, then Up when the
// neighbour may be tried again.
type Reset struct {
	Node   protocol.Key
	Reason string
}

func (Send) effect()    {}
func (Store) effect()   {}
func (Learn) effect()   {}
func (Unseal) effect()  {}
func (Address) effect() {}
func (Hearsay) effect() {}
func (Reset) effect()   {}

// Machine decides what to ask of whom. It is not safe for concurrent use.
type Machine struct {
	cfg   Config
	view  View
	rng   *rand.Rand
	peers map[protocol.Key]*peer
	feeds map[protocol.FeedID]*feed // feeds that some neighbour holds more of
	out   []Effect
}

// peer is a neighbour as this node knows it.
type peer struct {
	key     protocol.Key
	feeds   map[protocol.FeedID]*FeedState
	digest  protocol.Hash // of feeds; zero where it must be computed
	pending []pending     // requests without an answer yet, oldest first
	hello   time.Time     // when to say hello next
	tell    map[protocol.FeedID]struct{}
	told    time.Time
	vector  bool // a vector is being fetched
	partial map[protocol.FeedID]*FeedState
	bad     map[protocol.FeedID]*grudge
	unread  bool          // ask for epochs at the next hello
	greeted time.Time     // when the neighbour last said hello or welcome
	stated  protocol.Hash // digest of its statements then
}

// pending is a request under way.
type pending struct {
	msg  Message
	feed protocol.FeedID
	due  time.Time
}

// grudge is a feed that could not be used as this neighbour holds it.
type grudge struct {
	until time.Time
	times int
}

// feed is a feed that is not complete here.
type feed struct {
	busy  bool // being asked for or stored
	since time.Time
	asked FeedState // what this node held when it last asked
}

// New makes a machine over a view.
func New(cfg Config, view View) *Machine {
	cfg = cfg.withDefaults()
	return &Machine{
		cfg: cfg, view: view, rng: rand.New(rand.NewPCG(cfg.Seed, 0x7469706d657368)),
		peers: map[protocol.Key]*peer{}, feeds: map[protocol.FeedID]*feed{},
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
	m.peers[node] = &peer{
		key: node, feeds: map[protocol.FeedID]*FeedState{}, tell: map[protocol.FeedID]struct{}{},
		bad: map[protocol.FeedID]*grudge{}, unread: true,
	}
	m.greet(now, m.peers[node])
}

// Down says that a neighbour, or the stream to it, is gone.
func (m *Machine) Down(now time.Time, node protocol.Key) {
	p := m.peers[node]
	if p == nil {
		return
	}
	delete(m.peers, node)
	for _, r := range p.pending {
		m.release(r.feed)
	}
	m.pull(now)
}

// Greeted says that a neighbour said hello on its own stream.
func (m *Machine) Greeted(now time.Time, node protocol.Key, h *Hello) {
	m.out = append(m.out, Address{Node: node, Addresses: h.Addresses, Time: h.Time, Agent: h.Agent})
	if p := m.peers[node]; p != nil {
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
		f := &h.Feeds[i]
		p.feeds[f.Feed] = f
		if p.partial != nil {
			p.partial[f.Feed] = f
		}
		m.want(now, f.Feed)
	}
	p.digest = protocol.Hash{}
	m.pull(now)
}

// Changed says that this node now holds more, or less, of the feeds.
func (m *Machine) Changed(now time.Time, feeds ...protocol.FeedID) {
	for _, p := range m.peers {
		for _, f := range feeds {
			p.tell[f] = struct{}{}
		}
	}
	for _, f := range feeds {
		if m.feeds[f] != nil && !m.feeds[f].busy && !m.behind(f) {
			delete(m.feeds, f)
		}
	}
	m.tell(now)
}

// Behind gives the feeds of which some neighbour holds more than this node.
func (m *Machine) Behind() []protocol.FeedID {
	var out []protocol.FeedID
	for f := range m.feeds {
		if m.behind(f) {
			out = append(out, f)
		}
	}
	return protocol.Sorted(out)
}

// InStep reports whether the neighbour has told of everything it holds at some
// time after since, and this node holds all of it, statements included.
func (m *Machine) InStep(node protocol.Key, since time.Time) bool {
	p := m.peers[node]
	if p == nil || p.vector || p.unread || p.greeted.Before(since) || p.stated != m.view.Greeting().Statements {
		return false
	}
	for f := range p.feeds {
		if m.lacks(p, f) {
			return false
		}
	}
	return true
}

// State is what a neighbour told of one feed.
func (m *Machine) State(node protocol.Key, feed protocol.FeedID) (FeedState, bool) {
	if p := m.peers[node]; p != nil {
		if f := p.feeds[feed]; f != nil {
			return *f, true
		}
	}
	return FeedState{}, false
}

// AskEpochs makes the machine ask every neighbour for missing epochs.
func (m *Machine) AskEpochs(now time.Time) {
	for _, p := range m.sorted() {
		if !p.waitsFor(TypeGetEpochs) {
			m.ask(now, p, &GetEpochs{}, protocol.FeedID{})
		}
	}
}

// Compare makes the machine say hello to every neighbour within a time: the
// set of statements has changed, or somebody wants to know how things stand.
func (m *Machine) Compare(now time.Time, within time.Duration) {
	for _, p := range m.peers {
		if soon := now.Add(within); p.hello.After(soon) {
			p.hello = soon
		}
	}
}

// Tick lets time pass: it does what is due. Next says when to call it.
func (m *Machine) Tick(now time.Time) {
	for _, p := range m.sorted() {
		if len(p.pending) > 0 && !now.Before(p.pending[0].due) {
			m.out = append(m.out, Reset{Node: p.key, Reason: "no answer"})
			p.pending[0].due = now.Add(m.cfg.Timeout)
			continue
		}
		if !now.Before(p.hello) {
			m.greet(now, p)
		}
	}
	m.tell(now)
	m.pull(now)
}

// Next is the time of the next due thing, zero where there is none.
func (m *Machine) Next() time.Time {
	var next time.Time
	soonest := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	for _, p := range m.peers {
		soonest(p.hello)
		if len(p.pending) > 0 {
			soonest(p.pending[0].due)
		}
		if len(p.tell) > 0 {
			soonest(p.told.Add(m.cfg.Tell))
		}
	}
	for _, f := range m.feeds {
		if !f.busy {
			soonest(f.since.Add(m.cfg.Patience))
		}
	}
	return next
}

// sorted gives the neighbours in one order, so that a run can be repeated.
func (m *Machine) sorted() []*peer {
	out := make([]*peer, 0, len(m.peers))
	for _, p := range m.peers {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b *peer) int { return a.key.Compare(b.key) })
	return out
}

func (m *Machine) greet(now time.Time, p *peer) {
	jitter := time.Duration(m.rng.Int64N(int64(m.cfg.Hello/2)+1)) - m.cfg.Hello/4
	p.hello = now.Add(m.cfg.Hello + jitter)
	h := m.view.Greeting()
	m.ask(now, p, &h, protocol.FeedID{})
	if p.unread || h.Unread {
		m.ask(now, p, &GetEpochs{}, protocol.FeedID{})
	}
	if nodes := m.view.Unlinked(); len(nodes) > 0 {
		m.ask(now, p, &GetAddresses{Nodes: nodes}, protocol.FeedID{})
	}
}

// tell sends what changed to the neighbours that have not been told lately.
func (m *Machine) tell(now time.Time) {
	for _, p := range m.sorted() {
		if len(p.tell) == 0 || now.Before(p.told.Add(m.cfg.Tell)) {
			continue
		}
		ids := make([]protocol.FeedID, 0, len(p.tell))
		for f := range p.tell {
			ids = append(ids, f)
		}
		protocol.Sorted(ids)
		have := &Have{}
		for _, id := range ids[:min(len(ids), MaxFeeds)] {
			delete(p.tell, id)
			if state, ok := m.view.State(id); ok {
				have.Feeds = append(have.Feeds, state)
			}
		}
		p.told = now
		m.out = append(m.out, Send{To: p.key, Msg: have})
	}
}

// ask sends a request and remembers it.
func (m *Machine) ask(now time.Time, p *peer, msg Message, feed protocol.FeedID) {
	p.pending = append(p.pending, pending{msg: msg, feed: feed, due: now.Add(m.cfg.Timeout)})
	m.out = append(m.out, Send{To: p.key, Msg: msg})
}

func (p *peer) waitsFor(t Type) bool {
	return slices.ContainsFunc(p.pending, func(r pending) bool { return r.msg.Type() == t })
}

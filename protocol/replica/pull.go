package replica

import (
	"iter"
	"slices"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
)

// feed is a feed that is not complete here. One neighbour at a time is asked for
// it, its holder, until what it answered has been stored.
type feed struct {
	number  uint64 // of the noting
	direct  bool
	holder  *peer // nil where nobody is being asked
	storing bool  // the holder has answered
	probe   probe
	asked   FeedState // what this node held when it last asked
	goal    uint64    // the head that the holder told of then
	since   time.Time // when it was noted, or when gossip last brought more
	head    uint64    // what was held then
	parked  time.Time // nobody may be asked before
}

// probe is the state of asking for the other half of a fork proof.
type probe int

const (
	probeNone   probe = iota
	probeWanted       // when the present answer has been stored
	probeSent
)

// ready is when the feed may be asked for.
func (f *feed) ready(patience time.Duration) time.Time {
	at := f.since.Add(patience)
	if f.parked.After(at) {
		return f.parked
	}
	return at
}

// maxInFlight is how many feeds one neighbour is asked for at a time, and
// maxBusy how many are asked for in all, but that each neighbour may always be
// asked for one: some that do not answer must not hold up the others. With
// MaxBudget they bound the memory that answers take.
const (
	maxInFlight = 4
	maxBusy     = 16
)

// queue holds feeds in the order of noting.
type queue []queued

type queued struct {
	id     protocol.FeedID
	number uint64
}

// note begins to ask for a feed.
func (m *Machine) note(now time.Time, mine *FeedState) *feed {
	m.count++
	f := &feed{number: m.count, since: now, head: mine.Head}
	m.feeds[mine.Feed] = f
	m.rest = m.push(m.rest, mine.Feed, f)
	return f
}

// push adds to a queue. Feeds leave the queues only here, so that neither grows
// beyond a few times what is wanted.
func (m *Machine) push(q queue, id protocol.FeedID, f *feed) queue {
	if len(q) > 2*len(m.feeds)+64 {
		q = slices.DeleteFunc(q, func(x queued) bool {
			f := m.feeds[x.id]
			return f == nil || f.number != x.number
		})
	}
	return append(q, queued{id: id, number: f.number})
}

// want looks at a feed of which a neighbour told.
func (m *Machine) want(now time.Time, p *peer, id protocol.FeedID) {
	if p.broken || !m.lacks(p, id) {
		return
	}
	if _, shunned := p.memory.shunned(now, id); shunned && m.feeds[id] != nil {
		return
	}
	f := m.feeds[id]
	if f == nil {
		mine := m.held(id)
		f = m.note(now, &mine)
	} else if now.Before(f.parked) {
		// News of a feed that nobody could be asked for: gossip may bring it.
		f.parked, f.since = time.Time{}, now
	}
	if p.feeds[id].Direct && !f.direct {
		f.direct = true
		m.direct = m.push(m.direct, id, f)
	}
}

// behind reports whether any neighbour holds more of the feed than mine, and
// whether that includes payloads up to mine's head.
func (m *Machine) behind(mine *FeedState) (any, payloads bool) {
	wanted := m.view.Wanted(mine.Feed)
	for _, p := range m.order {
		theirs := p.feeds[mine.Feed]
		if theirs == nil {
			continue
		}
		if _, ok := first(missing(mine, theirs)); ok {
			return true, true
		}
		any = any || ahead(mine, theirs, wanted)
	}
	return any, false
}

// lacks reports whether the neighbour holds something of the feed that this
// node does not: entries past its head, a payload, or another entry at a place
// both hold.
func (m *Machine) lacks(p *peer, id protocol.FeedID) bool {
	theirs := p.feeds[id]
	if theirs == nil {
		return false
	}
	mine := m.held(id)
	if ahead(&mine, theirs, m.view.Wanted(id)) {
		return true
	}
	_, ok := first(missing(&mine, theirs))
	return ok
}

// ahead reports whether theirs has entries past mine's head, or another at it,
// that this node would store.
func ahead(mine, theirs *FeedState, wanted uint64) bool {
	return wanted > mine.Head && (theirs.Head > mine.Head || contradicts(mine, theirs))
}

// contradicts reports whether two nodes hold different entries at one head.
func contradicts(mine, theirs *FeedState) bool {
	return mine.Head > 0 && theirs.Head == mine.Head && theirs.HeadID != mine.HeadID
}

// missing gives the payloads that theirs holds and mine does not, up to mine's
// head. It takes no step for what both miss, however much that is.
func missing(mine, theirs *FeedState) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		j := 0
		for i := 0; i+1 < len(mine.Missing); i += 2 {
			for seq := mine.Missing[i]; seq <= min(mine.Missing[i+1], theirs.Head); {
				for j+1 < len(theirs.Missing) && theirs.Missing[j+1] < seq {
					j += 2
				}
				if j+1 < len(theirs.Missing) && theirs.Missing[j] <= seq {
					seq = theirs.Missing[j+1] + 1
					continue
				}
				if !yield(seq) {
					return
				}
				seq++
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

// free reports whether one more feed may be asked of a neighbour.
func (m *Machine) free(p *peer) bool {
	return !p.broken && p.holds < maxInFlight && (p.holds == 0 || m.busy < maxBusy)
}

// pull asks for every feed that is behind, has waited long enough for gossip
// and is not being asked for, of one neighbour that holds more of it: direct
// feeds first, then the latest noted; every fourth time the oldest, so that
// none waits forever. Whatever frees a neighbour calls it again.
func (m *Machine) pull(now time.Time) {
	m.wake = time.Time{}
	idle := func() bool { return slices.ContainsFunc(m.order, m.free) }
	if len(m.feeds) == 0 || !idle() {
		return
	}
	oldest, busy := m.turn%4 == 3, m.busy
	for _, q := range []queue{m.direct, m.rest} {
		for i := range q {
			at := len(q) - 1 - i
			if oldest {
				at = i
			}
			f := m.feeds[q[at].id]
			if f == nil || f.number != q[at].number || f.holder != nil {
				continue
			}
			if asked := m.pullFeed(now, q[at].id, f); asked && !idle() {
				m.turn++
				return
			}
		}
	}
	if m.busy > busy {
		m.turn++
	}
}

// pullFeed asks for one feed if it is due and somebody can be asked.
func (m *Machine) pullFeed(now time.Time, id protocol.FeedID, f *feed) bool {
	due := func(at time.Time) {
		if m.wake.IsZero() || at.Before(m.wake) {
			m.wake = at
		}
	}
	if at := f.ready(m.cfg.Patience); now.Before(at) {
		due(at)
		return false
	}
	c := m.choose(now, id)
	switch {
	case c.best != nil:
		m.hold(c.best, f)
		m.request(now, c.best, id, f)
		return true
	case !c.held:
		delete(m.feeds, id)
	case !c.later.IsZero():
		if !c.full {
			f.parked = c.later
		}
		due(c.later)
	}
	return false
}

// choice is whom to ask for a feed.
type choice struct {
	best  *peer
	held  bool      // some neighbour holds more
	full  bool      // one that does is asked for too much already
	later time.Time // when the first shunned one may be asked again
}

// choose picks a neighbour to ask for a feed: the one that is asked for the
// fewest, by chance among equals.
func (m *Machine) choose(now time.Time, id protocol.FeedID) (c choice) {
	mine, wanted, ties := m.held(id), m.view.Wanted(id), 0
	for _, p := range m.order {
		theirs := p.feeds[id]
		if theirs == nil || p.broken {
			continue
		}
		if _, ok := first(missing(&mine, theirs)); !ok && !ahead(&mine, theirs, wanted) {
			continue
		}
		c.held = true
		until, shunned := p.memory.shunned(now, id)
		switch {
		case shunned:
			if c.later.IsZero() || until.Before(c.later) {
				c.later = until
			}
		case !m.free(p):
			c.full = true
		case c.best == nil || p.holds < c.best.holds:
			c.best, ties = p, 1
		case p.holds == c.best.holds:
			if ties++; m.rng.IntN(ties) == 0 {
				c.best = p
			}
		}
	}
	return c
}

func (m *Machine) hold(p *peer, f *feed) {
	f.holder, f.storing, f.probe, f.parked = p, false, probeNone, time.Time{}
	p.holds++
	m.busy++
}

// release lets a feed be asked for again.
func (m *Machine) release(f *feed) {
	f.holder.holds--
	m.busy--
	f.holder, f.storing, f.probe = nil, false, probeNone
}

// request asks a neighbour for what it holds of a feed and this node lacks:
// entries past the head first, then the entry that contradicts, then payloads.
func (m *Machine) request(now time.Time, p *peer, id protocol.FeedID, f *feed) {
	mine, wanted := m.held(id), m.view.Wanted(id)
	theirs := p.feeds[id]
	f.asked, f.goal = mine, theirs.Head
	switch {
	case theirs.Head > mine.Head && wanted > mine.Head:
		m.ask(now, p, &GetEntries{Feed: id, From: mine.Head + 1, Budget: p.memory.budget}, id)
	case contradicts(&mine, theirs) && wanted > mine.Head:
		m.ask(now, p, &GetEntries{Feed: id, From: mine.Head, Budget: 1}, id)
	default:
		get := &GetPayloads{Feed: id, Budget: p.memory.budget}
		for seq := range missing(&mine, theirs) {
			if get.Seqs = append(get.Seqs, seq); len(get.Seqs) == MaxEntries {
				break
			}
		}
		m.ask(now, p, get, id)
	}
}

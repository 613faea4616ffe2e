package replica

import (
	"container/heap"
	"iter"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
)

// feed is a feed that is not complete here. One neighbour at a time is asked for
// it, its holder, until what it answered has been stored.
type feed struct {
	id      protocol.FeedID
	number  uint64 // of the noting
	holder  *peer  // nil where nobody is being asked
	storing bool   // the holder has answered
	probe   probe
	asked   FeedState // what this node held when it last asked
	goal    uint64    // the head that the holder told of then
	since   time.Time // when it was noted, or when gossip last brought more
	head    uint64    // what was held then
	parked  bool      // it has been offered, and nobody may be asked
	due     time.Time // when to look at it again,
	timer   int       // and its place among the timers; negative: none
}

// probe is the state of asking for the other half of a fork proof.
type probe int

const (
	probeNone   probe = iota
	probeWanted       // when the present answer has been stored
	probeSent
)

// maxInFlight is how many feeds one neighbour is asked for at a time, and
// maxBusy how many are asked for in all, but that each neighbour may always be
// asked for one: some that do not answer must not hold up the others. With
// MaxBudget they bound the memory that answers take.
const (
	maxInFlight = 4
	maxBusy     = 16
)

// note begins to ask for a feed.
func (m *Machine) note(now time.Time, mine *FeedState) {
	m.count++
	f := &feed{id: mine.Feed, number: m.count, since: now, head: mine.headers(), timer: -1}
	m.feeds[mine.Feed] = f
	m.await(f, now.Add(m.cfg.Patience))
}

// want looks at a feed of which a neighbour told.
func (m *Machine) want(now time.Time, p *peer, id protocol.FeedID) {
	m.looked++
	f := m.feeds[id]
	if p.broken || !m.lacks(p, id) {
		m.offer(now, id)
		return
	}
	until, shunned := p.memory.shunned(now, id)
	switch {
	case f == nil:
		mine := m.held(id)
		m.note(now, &mine)
	case f.holder != nil:
	case shunned:
		m.await(f, until)
	case f.parked:
		// News of a feed that nobody could be asked for: gossip may bring it.
		f.parked, f.since = false, now
		m.await(f, now.Add(m.cfg.Patience))
	case !now.Before(f.since.Add(m.cfg.Patience)):
		p.queue(p.feeds[id])
	}
}

// behind reports whether any neighbour holds more of the feed than mine, and
// whether that includes payloads up to mine's head.
func (m *Machine) behind(mine *FeedState) (any, payloads bool) {
	wanted := m.view.Wanted(mine.Feed)
	for _, p := range m.order {
		c := p.feeds[mine.Feed]
		if c == nil {
			continue
		}
		if _, ok := first(missing(mine, &c.FeedState)); ok {
			return true, true
		}
		any = any || ahead(mine, &c.FeedState, wanted)
	}
	return any, false
}

// lacks reports whether the neighbour holds something of the feed that this
// node does not: entries past its head, a payload, or another entry at a place
// both hold.
func (m *Machine) lacks(p *peer, id protocol.FeedID) bool {
	c := p.feeds[id]
	if c == nil {
		return false
	}
	mine := m.held(id)
	return more(&mine, &c.FeedState, m.view.Wanted(id))
}

func more(mine, theirs *FeedState, wanted uint64) bool {
	if ahead(mine, theirs, wanted) {
		return true
	}
	_, ok := first(missing(mine, theirs))
	return ok
}

// ahead reports whether theirs has entries past mine's headers, or another at its
// head, that this node would store.
func ahead(mine, theirs *FeedState, wanted uint64) bool {
	return wanted > mine.headers() && (theirs.Head > mine.headers() || contradicts(mine, theirs))
}

// contradicts reports whether two nodes hold different entries at one head.
func contradicts(mine, theirs *FeedState) bool {
	return mine.Head > 0 && theirs.Head == mine.Head && theirs.HeadID != mine.HeadID
}

// missing gives the payloads that theirs holds and mine does not and may, up to
// mine's head. It takes no step for what both miss, or what was erased here,
// however much that is.
func missing(mine, theirs *FeedState) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		j, k := 0, 0
		for i := 0; i+1 < len(mine.Missing); i += 2 {
			for seq := mine.Missing[i]; seq <= min(mine.Missing[i+1], theirs.Head); {
				if end, in := runAt(theirs.Missing, &j, seq); in {
					seq = end + 1
					continue
				}
				if end, in := runAt(mine.Erased, &k, seq); in {
					seq = end + 1
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

// runAt finds the run that seq is in, among runs from the one at on, which it moves
// on: first, last, first, last and so on.
func runAt(runs []uint64, at *int, seq uint64) (end uint64, in bool) {
	for *at+1 < len(runs) && runs[*at+1] < seq {
		*at += 2
	}
	if *at+1 < len(runs) && runs[*at] <= seq {
		return runs[*at+1], true
	}
	return 0, false
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
// and is not being asked for, of one neighbour that holds more of it. Whatever
// frees a neighbour calls it again.
func (m *Machine) pull(now time.Time) {
	for len(m.timers) > 0 && !now.Before(m.timers[0].due) {
		f := heap.Pop(&m.timers).(*feed)
		m.offer(now, f.id)
	}
	for p := m.idlest(); p != nil; p = m.idlest() {
		m.pullFrom(now, p)
	}
}

// idlest picks a neighbour to ask for something: the one that is asked for the
// fewest feeds, by chance among equals.
func (m *Machine) idlest() (best *peer) {
	ties := 0
	for _, p := range m.order {
		switch {
		case p.ready[0].Len()+p.ready[1].Len() == 0 || !m.free(p):
		case best == nil || p.holds < best.holds:
			best, ties = p, 1
		case p.holds == best.holds:
			if ties++; m.rng.IntN(ties) == 0 {
				best = p
			}
		}
	}
	return best
}

// pullFrom asks a neighbour for the next feed of its queue, or finds that there
// is no need.
func (m *Machine) pullFrom(now time.Time, p *peer) {
	m.looked++
	c := p.next()
	f := m.feeds[c.Feed]
	if f == nil || f.holder != nil {
		return
	}
	_, shunned := p.memory.shunned(now, f.id)
	if shunned || now.Before(f.since.Add(m.cfg.Patience)) || !m.lacks(p, f.id) {
		m.offer(now, f.id)
		return
	}
	p.turn++
	m.hold(p, f)
	m.request(now, p, f.id, f)
}

func (m *Machine) hold(p *peer, f *feed) {
	m.unwait(f)
	f.holder, f.storing, f.probe, f.parked = p, false, probeNone, false
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
	theirs := &p.feeds[id].FeedState
	f.asked, f.goal = mine, theirs.Head
	switch {
	case theirs.Head > mine.headers() && wanted > mine.headers():
		gap := m.view.Gap(id, mine.headers())
		m.ask(now, p, &GetEntries{Feed: id, From: mine.headers() + 1, Budget: p.memory.budget, To: gap}, id)
	case contradicts(&mine, theirs) && wanted > mine.headers():
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

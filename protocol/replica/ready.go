package replica

import (
	"container/heap"
	"container/list"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
)

// claim is what a neighbour told of one feed.
type claim struct {
	FeedState
	queued *list.Element // in the neighbour's queue, while it may be asked for the feed
}

// queues hold the feeds that a neighbour may be asked for at once: direct ones,
// then the rest. A feed waits in the queues of all who hold more of it, so that
// whoever is free first is asked; what has been settled meanwhile is found out
// when it is taken out. So no step looks at more than a few feeds, however many
// there are.
type queues [2]list.List

// queue puts a feed last, which is to be asked for next; first where it could
// not be used from this neighbour before.
func (p *peer) queue(c *claim) {
	if c.queued != nil {
		return
	}
	q := p.queueOf(c)
	if p.memory.bad[c.Feed] != nil {
		c.queued = q.PushFront(c)
	} else {
		c.queued = q.PushBack(c)
	}
}

func (p *peer) unqueue(c *claim) {
	if c.queued != nil {
		p.queueOf(c).Remove(c.queued)
		c.queued = nil
	}
}

func (p *peer) queueOf(c *claim) *list.List {
	if c.Direct {
		return &p.ready[0]
	}
	return &p.ready[1]
}

// next takes out a feed: the last, and every fourth time the first, so that none
// waits forever. There is one: see idlest.
func (p *peer) next() *claim {
	q := &p.ready[0]
	if q.Len() == 0 {
		q = &p.ready[1]
	}
	at := q.Back()
	if p.turn%4 == 3 {
		at = q.Front()
	}
	c := at.Value.(*claim)
	p.unqueue(c)
	return c
}

// timers hold the feeds that may be asked for at a later time, the soonest
// first.
type timers []*feed

func (q timers) Len() int { return len(q) }
func (q timers) Less(i, j int) bool {
	return q[i].due.Before(q[j].due) || q[i].due.Equal(q[j].due) && q[i].number < q[j].number
}

func (q timers) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].timer, q[j].timer = i, j
}

func (q *timers) Push(x any) {
	f := x.(*feed)
	f.timer = len(*q)
	*q = append(*q, f)
}

func (q *timers) Pop() any {
	last := len(*q) - 1
	f := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	f.timer = -1
	return f
}

// await looks at a feed again at a time, or sooner.
func (m *Machine) await(f *feed, at time.Time) {
	switch {
	case f.timer < 0:
		f.due = at
		heap.Push(&m.timers, f)
	case at.Before(f.due):
		f.due = at
		heap.Fix(&m.timers, f.timer)
	}
}

func (m *Machine) unwait(f *feed) {
	if f.timer >= 0 {
		heap.Remove(&m.timers, f.timer)
	}
}

// forget ends the asking for a feed of which nobody holds more.
func (m *Machine) forget(f *feed) {
	m.unwait(f)
	delete(m.feeds, f.id)
}

// offer puts a feed that nobody is being asked for into the queues of those that
// hold more of it, once gossip has had its time. Whatever changes whom the feed
// may be asked of calls it.
func (m *Machine) offer(now time.Time, id protocol.FeedID) {
	f := m.feeds[id]
	if f == nil || f.holder != nil {
		return
	}
	if at := f.since.Add(m.cfg.Patience); now.Before(at) {
		m.await(f, at)
		return
	}
	m.looked++
	mine, wanted := m.held(id), m.view.Wanted(id)
	held, later := false, time.Time{}
	f.parked = true
	for _, p := range m.order {
		c := p.feeds[id]
		if c == nil || !more(&mine, &c.FeedState, wanted) {
			continue
		}
		held = true // by one given up too, until it is down
		until, shunned := p.memory.shunned(now, id)
		switch {
		case p.broken:
		case !shunned:
			p.queue(c)
			f.parked = false
		case later.IsZero() || until.Before(later):
			later = until
		}
	}
	switch {
	case !held:
		m.forget(f)
	case !later.IsZero():
		m.await(f, later)
	}
}

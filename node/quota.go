package node

import (
	"sync"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
)

// Quota is how many bytes what other members wrote may take here. What this
// member's own nodes wrote is not under it.
type Quota struct {
	Member uint64 // of one other member; 0: DefaultMemberQuota
	All    uint64 // of all of them; 0: DefaultQuota
}

// The quotas where nothing else is said, and how they are counted.
const (
	DefaultMemberQuota = 16 << 30
	DefaultQuota       = 64 << 30

	headerCost   = 512 // what a header takes on the disk, roughly, beside its payload
	vitalPart    = 8   // letters and erase entries get this part of a quota beyond it: they bring keys, and free room
	headerTimes  = 2   // headers are taken up to this many times a quota
	reopenPart   = 16  // payloads are fetched again once this part of a quota is free, so that few gaps are told
	reservedPart = 2   // this part of the quota of all is divided among the members: what each can have whatever others do
)

// Levels: what is refused when.
const (
	levelSealed  = iota // payloads of sealed entries, and of kinds that are not known
	levelVital          // payloads of letters and erase entries
	levelHeaders        // entries altogether
	levels
)

// quota counts what each other member takes. A member over its quota is not
// punished and leaves no holes in feeds: headers are taken, what can be read is
// read, and of payloads no more are fetched until there is room. They are told as
// missing, so that nobody asks for them here.
type quota struct {
	Quota
	own protocol.MemberID

	mu    sync.Mutex
	feeds map[protocol.FeedID]feedUse
	nodes map[protocol.Key]uint64
	shut  map[protocol.MemberID]*[levels]uint64 // what did not fit, in bytes, where a member gets no more

	roster    *trust.Roster // as this roster has it:
	members   map[protocol.MemberID]memberUse
	committed uint64 // of the quota of all
}

type feedUse struct {
	node  protocol.Key
	bytes uint64
}

// memberUse is what a member takes, and what of the quota of all is kept for it.
type memberUse struct{ bytes, reserved uint64 }

func (u memberUse) committed() uint64 { return max(u.bytes, u.reserved) }

func newQuota(q Quota, own protocol.MemberID, s store.Entries) *quota {
	if q.Member == 0 {
		q.Member = DefaultMemberQuota
	}
	if q.All == 0 {
		q.All = DefaultQuota
	}
	out := &quota{Quota: q, own: own, feeds: map[protocol.FeedID]feedUse{}, nodes: map[protocol.Key]uint64{},
		shut: map[protocol.MemberID]*[levels]uint64{}}
	for _, f := range s.Feeds() {
		out.feeds[f.ID] = feedUse{f.Node, takes(f)}
		out.nodes[f.Node] += takes(f)
	}
	return out
}

// takes is what a feed takes on the disk, roughly.
func takes(f store.Feed) uint64 { return f.Bytes + f.Head*headerCost }

func levelOf(kind protocol.EntryKind) int {
	if kind == protocol.EntryDirect || kind == protocol.EntryErase {
		return levelVital
	}
	return levelSealed
}

// look counts by member as a roster has it; the caller holds the lock.
func (q *quota) look(r *trust.Roster) {
	if q.roster == r {
		return
	}
	q.roster, q.members, q.committed = r, map[protocol.MemberID]memberUse{}, 0
	active := r.Active()
	for _, m := range active {
		if m.ID != q.own {
			q.members[m.ID] = memberUse{reserved: q.All / reservedPart / uint64(len(active))}
		}
	}
	for node, bytes := range q.nodes {
		if m, ok := r.Author(node); ok && m.ID != q.own {
			u := q.members[m.ID]
			u.bytes += bytes
			q.members[m.ID] = u
		}
	}
	for _, u := range q.members {
		q.committed += u.committed()
	}
}

// limit is how much a member may take at a level. Of the quota of all it may have
// what is kept for it, and what nobody else has or is kept for anybody else.
func (q *quota) limit(m protocol.MemberID, level int) uint64 {
	u := q.members[m]
	all := u.reserved
	if others := q.committed - u.committed(); others < q.All {
		all = max(all, q.All-others)
	}
	most := min(q.Member, all)
	switch level {
	case levelVital:
		most += most / vitalPart
	case levelHeaders:
		most *= headerTimes
	}
	return most
}

// other gives the member that a node writes for, unless it is this node's own or
// in no roster.
func (q *quota) other(r *trust.Roster, node protocol.Key) (protocol.MemberID, bool) {
	m, ok := r.Author(node)
	if !ok || m.ID == q.own {
		return protocol.MemberID{}, false
	}
	return m.ID, true
}

// fits reports whether a member may take so many bytes more, and remembers it
// where not.
func (q *quota) fits(m protocol.MemberID, level int, size uint64) bool {
	if s := q.shut[m]; s != nil && s[level] > 0 {
		return false
	}
	if q.members[m].bytes+size <= q.limit(m, level) {
		return true
	}
	if q.shut[m] == nil {
		q.shut[m] = &[levels]uint64{}
	}
	q.shut[m][level] = size
	return false
}

// take counts a payload that is about to be stored; false where there is no room
// for it.
func (q *quota) take(r *trust.Roster, h *protocol.Header, size int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	m, ok := q.other(r, h.Node)
	if !ok || size == 0 {
		return true
	}
	q.look(r)
	if !q.fits(m, levelOf(h.Kind), uint64(size)) {
		return false
	}
	q.add(h.Feed, h.Node, uint64(size))
	return true
}

// add counts more bytes of a feed.
func (q *quota) add(feed protocol.FeedID, node protocol.Key, bytes uint64) {
	q.set(feed, node, q.feeds[feed].bytes+bytes)
}

// set counts what a feed takes.
func (q *quota) set(feed protocol.FeedID, node protocol.Key, bytes uint64) {
	before := q.feeds[feed].bytes
	q.feeds[feed] = feedUse{node, bytes}
	if bytes == 0 {
		delete(q.feeds, feed)
	}
	q.nodes[node] = q.nodes[node] - before + bytes
	if m, ok := q.other(q.roster, node); ok {
		u := q.members[m]
		q.committed -= u.committed()
		u.bytes = u.bytes - before + bytes
		q.committed += u.committed()
		q.members[m] = u
	}
}

// settle counts what feeds take now, and gives the members of whom more is taken
// from now on.
func (q *quota) settle(r *trust.Roster, s store.Entries, feeds ...protocol.FeedID) (reopened []protocol.MemberID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.look(r)
	for _, id := range feeds {
		f, held := s.Feed(id)
		if !held {
			f.Node = q.feeds[id].node
		}
		q.set(id, f.Node, takes(f))
	}
	for m, s := range q.shut {
		opened := false
		for level, size := range s {
			limit := q.limit(m, level)
			if size > 0 && q.members[m].bytes+max(size, limit/reopenPart) <= limit {
				s[level], opened = 0, true
			}
		}
		if opened {
			reopened = append(reopened, m)
		}
		if *s == [levels]uint64{} {
			delete(q.shut, m)
		}
	}
	return protocol.Sorted(reopened)
}

// over reports whether payloads of a feed are not fetched for lack of room.
func (q *quota) over(r *trust.Roster, f store.Feed) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	m, ok := q.other(r, f.Node)
	s := q.shut[m]
	return ok && s != nil && s[levelOf(f.Kind)] > 0
}

// overflows reports whether not even headers of a node's are taken.
func (q *quota) overflows(r *trust.Roster, node protocol.Key) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	m, ok := q.other(r, node)
	if !ok {
		return false
	}
	q.look(r)
	return !q.fits(m, levelHeaders, headerCost)
}

// afford leaves the payload of an entry away where there is no room for it.
func (n *Node) afford(in incoming) incoming {
	if in.payload != nil && !n.quota.take(n.Roster(), in.header, len(in.payload)) {
		n.refused.add(ReasonQuota, 1)
		in.payload = nil
	}
	return in
}

// settled counts what feeds take now, and gives the feeds to look at again: these,
// and those of members that had no room and have.
func (n *Node) settled(feeds ...protocol.FeedID) []protocol.FeedID {
	for _, m := range n.quota.settle(n.Roster(), n.store, feeds...) {
		for _, f := range n.feedsBy(m) {
			feeds = append(feeds, f.ID)
		}
	}
	return feeds
}

// lacksPayload reports whether an entry's header is held and its payload is not.
func (n *Node) lacksPayload(h *protocol.Header) bool {
	e, err := n.store.Entry(store.Place{Feed: h.Feed, Seq: h.Seq})
	return err == nil && e.Header.ID() == h.ID() && e.Payload == nil
}

package node

import (
	"math"
	"slices"
	"sync"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
	"github.com/tipmesh/tipmesh/store"
)

// view is what the sync machine reads: the store and the ledger as others may
// see them, which is up to the cuts.
type view struct {
	n *Node

	mu     sync.Mutex
	vector protocol.Hash                // digest of all states; zero where it must be computed
	shut   map[protocol.FeedID]shutFeed // feeds refused though nothing of them is held
}

// shutFeed is whose a refused feed is, and whether it is one too many of that
// node: no roster changes that.
type shutFeed struct {
	node protocol.Key
	over bool
}

// refuse remembers whose a feed is of which nothing may be taken at present, so
// that it is not asked for until the roster has it otherwise.
func (v *view) refuse(h *protocol.Header, over bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.shut == nil {
		v.shut = map[protocol.FeedID]shutFeed{}
	}
	if len(v.shut) < protocol.MaxFeedsHeld {
		v.shut[h.Feed] = shutFeed{h.Node, over}
	}
}

func (v *view) refused(feed protocol.FeedID) (shutFeed, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	s, ok := v.shut[feed]
	return s, ok
}

var _ replica.View = (*view)(nil)

// stale forgets the digest: a feed or a cut has changed.
func (v *view) stale() {
	v.mu.Lock()
	v.vector = protocol.Hash{}
	v.mu.Unlock()
}

func (v *view) Greeting() replica.Hello {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.vector.IsZero() {
		v.vector = replica.DigestStates(func(yield func(*replica.FeedState) bool) {
			for _, f := range v.n.store.Feeds() {
				if s, ok := v.state(f); ok && !yield(&s) {
					return
				}
			}
		})
	}
	return replica.Hello{
		Version: protocol.Version, Mesh: v.n.mesh, Time: v.n.now().UnixMilli(),
		Statements: v.n.ledger.digest(), Vector: v.vector,
		Addresses: limited(v.n.transport.Addresses(), replica.MaxAddresses),
		Agent:     Agent, Unread: v.n.keys.unreadable() > 0,
	}
}

func limited(list []string, most int) []string { return list[:min(len(list), most)] }

func (v *view) StatementDigests() []byte                       { return v.n.ledger.digestBytes() }
func (v *view) StatementsIn(bucket byte) []*protocol.Statement { return v.n.ledger.in(bucket) }

func (v *view) State(feed protocol.FeedID) (replica.FeedState, bool) {
	f, ok := v.n.store.Feed(feed)
	if !ok {
		return replica.FeedState{Feed: feed}, false
	}
	return v.state(f)
}

// state tells of a feed no more than its cut leaves, and no more than its
// missing ranges leave room to tell.
func (v *view) state(f store.Feed) (replica.FeedState, bool) {
	head, id := f.Head, f.HeadID
	if last, ended := v.n.ledger.roster.Load().Limit(f.Node, f.ID); ended && last < head {
		head = last
	}
	s := replica.FeedState{Feed: f.ID, Direct: f.Kind == protocol.EntryDirect, Headers: head}
	missing, gone := store.Ranges(f.Missing), store.Ranges(f.Erased)
	if leaving := v.n.leaving.of(f.ID); len(leaving) > 0 {
		gone = gone.With(missing.Without(missing.Without(leaving)))
		missing = missing.Without(leaving)
	}
	for _, r := range missing {
		if r.First > head {
			break
		}
		if len(s.Missing) == 2*replica.MaxRanges {
			head = r.First - 1
			break
		}
		s.Missing = append(s.Missing, r.First, min(r.Last, head))
	}
	if head == 0 {
		return replica.FeedState{Feed: f.ID}, false
	}
	if head != f.Head {
		h, err := v.n.store.Header(store.Place{Feed: f.ID, Seq: head})
		if err != nil {
			return replica.FeedState{Feed: f.ID}, false
		}
		id = h.ID()
	}
	s.Missing, s.Erased = tellErased(s.Missing, gone, head)
	if v.n.quota.over(v.n.ledger.roster.Load(), f) {
		s.Erased = s.Missing // not asked for until there is room
	}
	s.Head, s.HeadID = head, id
	return s, true
}

func (v *view) States(after protocol.FeedID, limit int) (out []replica.FeedState, more bool) {
	feeds := v.n.store.Feeds()
	at, found := slices.BinarySearchFunc(feeds, after, func(f store.Feed, id protocol.FeedID) int { return f.ID.Compare(id) })
	if found {
		at++
	}
	for _, f := range feeds[at:] {
		s, ok := v.state(f)
		if !ok {
			continue
		}
		if len(out) == limit {
			return out, true
		}
		out = append(out, s)
	}
	return out, false
}

func (v *view) Wanted(feed protocol.FeedID) uint64 {
	f, ok := v.n.store.Feed(feed)
	if !ok {
		shut, ok := v.refused(feed)
		switch {
		case !ok:
			return math.MaxUint64
		case shut.over:
			return 0
		}
		f.Node = shut.node
	}
	r := v.n.ledger.roster.Load()
	wanted := uint64(math.MaxUint64)
	if last, ended := r.Limit(f.Node, feed); ended {
		wanted = last
	}
	if r.Paused(f.Node) || v.n.quota.overflows(r, f.Node) { // until the suspension ends, or there is room
		wanted = min(wanted, f.Head)
	}
	_, _, named := r.Survivor(f.Node, feed)
	if fork, forked := r.Fork(f.Node); forked && !fork.Resolved && !named {
		wanted = min(wanted, f.Head)
	}
	return wanted
}

func (v *view) Entries(feed protocol.FeedID, from uint64, budget int) (out []replica.Entry) {
	state, ok := v.State(feed)
	if !ok {
		return nil
	}
	size := 0
	err := v.n.store.Range(feed, from, func(e store.Entry) bool {
		if e.Header.Seq > state.Head {
			return false
		}
		size += len(e.Header.Raw()) + len(e.Payload)
		if len(out) > 0 && (size > budget || len(out) == replica.MaxEntries) {
			return false
		}
		out = append(out, replica.Entry{Header: e.Header.Raw(), Payload: e.Payload})
		return true
	})
	if err != nil {
		v.n.log.Error("read feed for a neighbour", "feed", feed.Short(), "err", err)
	}
	return out
}

func (v *view) Gap(feed protocol.FeedID, head uint64) uint64 { return v.n.park.gap(feed, head) }

func (v *view) Payload(feed protocol.FeedID, seq uint64) []byte {
	if state, ok := v.State(feed); !ok || !state.Holds(seq) {
		return nil
	}
	e, err := v.n.store.Entry(store.Place{Feed: feed, Seq: seq})
	if err != nil {
		return nil
	}
	return e.Payload
}

func (v *view) Unlinked() []protocol.Key {
	var out []protocol.Key
	for _, k := range v.n.neighbours() {
		if !v.n.links.up(k) && len(out) < replica.MaxAsked {
			out = append(out, k)
		}
	}
	return out
}

func (v *view) AddressesOf(nodes []protocol.Key) (out []replica.NodeAddresses) {
	for _, k := range nodes {
		if _, ok := v.n.Roster().ByNode(k); !ok {
			continue
		}
		if list := v.n.book.claimed(k); len(list) > 0 {
			out = append(out, replica.NodeAddresses{Node: k, Addresses: list})
		}
	}
	return out
}

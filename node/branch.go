package node

import (
	"math"
	"slices"
	"sync"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
)

// branchGap is how long a branch that may be void stays after one was dropped
// for the same feed; it doubles each time up to branchMost. What a liar serves of
// the losing branch so costs ever less, and leaves time to fetch the other.
const (
	branchGap  = 10 * time.Second
	branchMost = 10 * time.Minute
)

// branches is when feeds may be dropped again that end with a named entry and
// have not been fetched as far: their fate cannot be told from what is held.
type branches struct {
	mu    sync.Mutex
	tried map[protocol.FeedID]branchTry
}

type branchTry struct {
	next time.Time
	gap  time.Duration
}

func (b *branches) may(feed protocol.FeedID, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.tried[feed]
	if now.Before(t.next) {
		return false
	}
	if b.tried == nil {
		b.tried = map[protocol.FeedID]branchTry{}
	}
	gap := min(max(2*t.gap, branchGap), branchMost)
	b.tried[feed] = branchTry{now.Add(gap), gap}
	return true
}

// voidFrom gives where the branch of a feed begins that this node holds and a
// cut voids, by naming another entry as the last. Only what comes before counts.
// A branch of a fork that has not been fetched as far as the cut is taken for
// void until it has.
func (n *Node) voidFrom(node protocol.Key, feed protocol.FeedID) (from uint64, void bool) {
	r := n.Roster()
	seq, entry, named := r.Survivor(node, feed)
	held, ok := n.store.Feed(feed)
	if !named || !ok {
		return 0, false
	}
	short := held.Head < seq
	if !short {
		if h, err := n.store.Header(store.Place{Feed: feed, Seq: seq}); err == nil && h.ID() == entry {
			return 0, false
		}
	}
	for _, k := range r.Forks(node) {
		if k.Feed != feed || k.Seq > min(seq, held.Head) {
			continue
		}
		// The proof may be of a place after that where the branches parted.
		if a, b, err := k.Proof.Headers(); err == nil && a.Prev == b.Prev {
			return k.Seq, true
		}
		return 1, true // where they parted is not known: all of it is left out
	}
	return 1, !short
}

// voided lists the feeds of which this node holds a branch that does not count.
func (n *Node) voided() (out []store.Feed) {
	for _, f := range n.store.Feeds() {
		if _, void := n.voidFrom(f.Node, f.ID); void {
			out = append(out, f)
		}
	}
	return out
}

// survives reports whether an entry may stand where its feed ends: there only
// the one that the cut names, where it names one. named is true up to there.
func survives(r *trust.Roster, h *protocol.Header) (ok, named bool) {
	seq, entry, named := r.Survivor(h.Node, h.Feed)
	return !named || h.Seq != seq || h.ID() == entry, named && h.Seq <= seq
}

// fits reports whether the roster lets an entry that was parked be stored still: a
// cut may have become known since.
func (n *Node) fits(h *protocol.Header, head uint64) bool {
	if h.Node == n.key {
		return true
	}
	reason := n.objection(h, head)
	if reason != "" {
		n.refused.add(reason, 1)
	}
	return reason == ""
}

// dropVoided drops every branch that a cut has voided for certain. Sync brings
// the one that survives.
func (n *Node) dropVoided() {
	for _, f := range n.voided() {
		if seq, _, named := n.Roster().Survivor(f.Node, f.ID); named && f.Head >= seq {
			n.dropBranch(f.ID, func() (uint64, bool) { return n.voidFrom(f.Node, f.ID) })
		}
	}
}

// dropContradicted drops what is held of a feed from where it contradicts a
// neighbour's entry, if a cut names how the feed ends and that is not reached: one
// of the two branches is void, and only fetching it again can tell which.
func (n *Node) dropContradicted(held, other *protocol.Header) {
	n.dropBranch(held.Feed, func() (from uint64, drop bool) {
		seq, _, named := n.Roster().Survivor(held.Node, held.Feed)
		f, _ := n.store.Feed(held.Feed)
		if !named || f.Head >= seq || !n.branches.may(held.Feed, n.now()) {
			return 0, false
		}
		if held.Prev == other.Prev {
			return held.Seq, true
		}
		return 1, true // where they parted is not known
	})
}

// dropBranch drops a feed from where decide says, which is asked while nothing
// else extends the feed.
func (n *Node) dropBranch(feed protocol.FeedID, decide func() (from uint64, drop bool)) {
	mu := n.park.lock(feed)
	mu.Lock()
	defer mu.Unlock()
	f, ok := n.store.Feed(feed)
	from, drop := decide()
	if !ok || !drop || from > f.Head {
		return
	}
	n.log.Warn("the branch held of a feed is void: it is dropped", "node", f.Node.Short(), "feed", feed.Short(), "from", from, "head", f.Head)
	// First what points to the entries: if the node stops here, the branch is
	// still void and is dropped after.
	c := &store.Commit{Settings: map[string][]byte{directPrefix + feed.String(): nil}}
	for seq := from; seq <= f.Head; seq++ {
		if name := unreadName(store.Place{Feed: feed, Seq: seq}); n.hasSetting(name) {
			c.Settings[name] = nil
		}
	}
	n.keys.forget(feed, from)
	_, err := n.store.Commit(n.ctx, c)
	if err == nil {
		err = n.store.Drop(n.ctx, store.Place{Feed: feed, Seq: from})
	}
	if err != nil {
		n.log.Error("drop a void branch", "feed", feed.Short(), "err", err)
		return
	}
	n.refused.add(ReasonNotAdmitted, int(f.Head-from+1))
	n.park.drop(feed, math.MaxUint64)
	n.opened.forget(feed, from)
	if from == 1 && f.Node != n.key {
		n.census.end(f.Node)
	}
	// Whoever holds the other branch may be shunned for what did not fit this one.
	n.post(func(m *replica.Machine, now time.Time) { m.Forgive(now) })
	n.changed(feed)
}

func (n *Node) hasSetting(name string) bool {
	_, err := n.store.Setting(name)
	return err == nil
}

// forget lets entries of a feed from one on wait no longer.
func (k *keys) forget(feed protocol.FeedID, from uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for tag, seqs := range k.tags.unread[feed] {
		rest := slices.DeleteFunc(seqs, func(seq uint64) bool { return seq >= from })
		k.tags.entries -= len(seqs) - len(rest)
		k.tags.unread[feed][tag] = rest
	}
}

// forget forgets the bundles of a feed from an entry on.
func (c *openedCache) forget(feed protocol.FeedID, from uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for p := range c.by {
		if p.Feed == feed && p.Seq >= from {
			c.drop(p)
		}
	}
}

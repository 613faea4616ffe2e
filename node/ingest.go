package node

import (
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
	"github.com/tipmesh/tipmesh/store"
)

// Limits of what others may make this node keep.
const (
	maxParkedBytes  = 64 << 20 // entries of all feeds that wait for a gap to be filled,
	maxParkedOfNode = 8 << 20  // and of one writing node's
)

// incoming is a verified header and its payload, if that came along.
type incoming struct {
	header  *protocol.Header
	payload []byte
}

// newIncoming pairs a header with what came along. An empty payload, as that of a
// close entry, does not travel and is never missing.
func newIncoming(h *protocol.Header, payload []byte) incoming {
	if payload == nil && h.Size == 0 {
		payload = []byte{}
	}
	return incoming{header: h, payload: payload}
}

// park keeps entries that came before their predecessors. It is bounded: sync
// brings again what does not fit.
type park struct {
	locks [64]sync.Mutex // one feed is extended by one goroutine at a time

	mu    sync.Mutex
	bytes map[protocol.Key]int // by writing node
	total int
	feeds map[protocol.FeedID]map[uint64]incoming
}

func newPark() *park {
	return &park{bytes: map[protocol.Key]int{}, feeds: map[protocol.FeedID]map[uint64]incoming{}}
}

func (p *park) lock(feed protocol.FeedID) *sync.Mutex { return &p.locks[feed[0]%64] }

// put parks an entry ahead of its feed's head.
func (p *park) put(in incoming, head uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	seqs := p.feeds[in.header.Feed]
	size := parkedSize(in)
	if _, ok := seqs[in.header.Seq]; ok || in.header.Seq > head+protocol.MaxAhead ||
		p.total+size > maxParkedBytes || p.bytes[in.header.Node]+size > maxParkedOfNode {
		return
	}
	if seqs == nil {
		seqs = map[uint64]incoming{}
		p.feeds[in.header.Feed] = seqs
	}
	seqs[in.header.Seq] = in
	p.count(in, 1)
}

func parkedSize(in incoming) int { return len(in.payload) + protocol.MaxHeader }

// count counts an entry in, or out; the caller holds the lock.
func (p *park) count(in incoming, sign int) {
	size := sign * parkedSize(in)
	p.total += size
	if p.bytes[in.header.Node] += size; p.bytes[in.header.Node] == 0 {
		delete(p.bytes, in.header.Node)
	}
}

// gap gives the place before the first parked entry past a head; 0: none is.
func (p *park) gap(feed protocol.FeedID, head uint64) (last uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for seq := range p.feeds[feed] {
		if seq > head+1 && (last == 0 || seq-1 < last) {
			last = seq - 1
		}
	}
	return last
}

// take removes and gives the parked entry at seq.
func (p *park) take(feed protocol.FeedID, seq uint64) (incoming, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	seqs := p.feeds[feed]
	in, ok := seqs[seq]
	if !ok {
		return in, false
	}
	delete(seqs, seq)
	if len(seqs) == 0 {
		delete(p.feeds, feed)
	}
	p.count(in, -1)
	return in, true
}

// drop forgets what is parked of a feed up to and including seq.
func (p *park) drop(feed protocol.FeedID, upTo uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for seq, in := range p.feeds[feed] {
		if seq <= upTo {
			delete(p.feeds[feed], seq)
			p.count(in, -1)
		}
	}
	if len(p.feeds[feed]) == 0 {
		delete(p.feeds, feed)
	}
}

// storeEntries checks entries that a neighbour answered with and stores them.
// usable is false where any of them had to be refused; diverged is true where
// they do not follow what is held.
func (n *Node) storeEntries(feed protocol.FeedID, list []replica.Entry) (usable, diverged bool) {
	var bad atomic.Bool
	parsed := make([]incoming, len(list))
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range list {
		g.Go(func() error {
			h, err := protocol.ParseHeader(list[i].Header)
			if err != nil {
				return err
			}
			if h.Feed != feed || h.Mesh != n.mesh {
				return protocol.ErrMalformed
			}
			parsed[i] = newIncoming(h, list[i].Payload)
			if parsed[i].payload != nil && !h.Fits(parsed[i].payload) {
				n.refused.add(ReasonMalformed, 1)
				bad.Store(true)
				parsed[i].payload = nil
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		n.refused.add(ReasonMalformed, 1)
		return false, false
	}
	usable, diverged = n.extend(feed, parsed)
	return usable && !bad.Load(), diverged
}

// fillPayloads stores payloads for headers that are held; usable is false where
// any of them is not the one its header names.
func (n *Node) fillPayloads(feed protocol.FeedID, items []replica.Payload) (usable bool) {
	list := make([]incoming, 0, len(items))
	for _, item := range items {
		h, err := n.store.Header(store.Place{Feed: feed, Seq: item.Seq})
		if err != nil || !h.Fits(item.Data) {
			n.refused.add(ReasonMalformed, 1)
			continue
		}
		list = append(list, incoming{header: h, payload: item.Data})
	}
	usable, _ = n.extend(feed, list)
	return usable && len(list) == len(items)
}

// extend stores what of the list, and of what was parked, follows the feed's
// head, and parks the rest.
func (n *Node) extend(feed protocol.FeedID, list []incoming) (usable, diverged bool) {
	mu := n.park.lock(feed)
	mu.Lock()
	defer mu.Unlock()
	held, _ := n.store.Feed(feed)
	wanted := n.view.Wanted(feed)
	c := &store.Commit{Settings: map[string][]byte{}}
	ahead := map[uint64]incoming{}
	usable = true
	for _, in := range list {
		switch {
		case !n.welcome(in.header, held.Head):
			usable = false
		case in.header.Seq <= held.Head:
			n.fill(c, in)
		case in.header.Seq <= wanted && ahead[in.header.Seq].header == nil:
			ahead[in.header.Seq] = in
		}
	}
	fills := len(c.Entries)
	diverged = n.follow(c, feed, held, wanted, ahead)
	head := held.Head + uint64(len(c.Entries)-fills)
	n.park.drop(feed, head)
	// What follows at once needs no room in the park: a full one must not keep
	// anything from being stored.
	for _, in := range ahead {
		n.park.put(in, head)
	}
	if len(c.Entries) == 0 {
		return usable, diverged
	}
	first := c.Entries[0].Header
	begins := held.Head == 0 && first.Node != n.key
	if begins && !n.census.begin(n.Roster(), first.Node) {
		n.refused.add(ReasonQuota, 1)
		n.view.refuse(first, true)
		return false, diverged
	}
	if err := n.commitEntries(c); err != nil {
		if begins {
			n.census.end(first.Node)
		}
		n.settled(feed)
		n.log.Error("store entries", "feed", feed.Short(), "err", err)
		return false, diverged
	}
	n.changed(feed)
	return usable, diverged
}

// follow adds to the commit the run of entries, new and parked, that follows the
// head, and takes them out.
func (n *Node) follow(c *store.Commit, feed protocol.FeedID, held store.Feed, wanted uint64, ahead map[uint64]incoming) (diverged bool) {
	prev := held.HeadID
	for seq := held.Head + 1; seq <= wanted; seq++ {
		in, ok := ahead[seq]
		delete(ahead, seq)
		if parked, had := n.park.take(feed, seq); had && n.fits(parked.header, held.Head) && (!ok || in.header.Prev != prev ||
			in.payload == nil && in.header.ID() == parked.header.ID()) {
			in, ok = parked, true
		}
		if !ok {
			break
		}
		if in.header.Prev != prev {
			diverged = true
			break
		}
		prev = in.header.ID()
		in = n.afford(in)
		c.Entries = append(c.Entries, store.Entry{Header: in.header, Payload: in.payload})
		n.classify(c, in)
	}
	return diverged
}

// welcome reports whether the roster lets the writer write, past the feed's head
// if the entry lies there, and counts it where not.
func (n *Node) welcome(h *protocol.Header, head uint64) bool {
	if h.Node == n.key {
		return n.mine(h)
	}
	reason := n.objection(h, head)
	if reason == "" {
		return true
	}
	n.refused.add(reason, 1)
	if head == 0 {
		n.view.refuse(h, reason == ReasonQuota && n.census.crowded(n.Roster(), h.Node))
	}
	return false
}

func (n *Node) objection(h *protocol.Header, head uint64) (reason string) {
	r := n.Roster()
	if _, ok := r.Author(h.Node); !ok {
		return ReasonNotAdmitted
	}
	if last, ended := r.Limit(h.Node, h.Feed); ended && h.Seq > last {
		return ReasonNotAdmitted
	}
	stands, named := survives(r, h)
	if !stands {
		return ReasonNotAdmitted
	}
	if h.Seq > head && r.Paused(h.Node) {
		return ReasonHeld
	}
	if fork, forked := r.Fork(h.Node); forked && !fork.Resolved && h.Seq > head && !named {
		return ReasonHeld
	}
	if head == 0 && n.census.crowded(r, h.Node) || h.Seq > head && n.quota.overflows(r, h.Node) {
		return ReasonQuota
	}
	return ""
}

// mine judges an entry of this node's own key that comes from outside. One that
// is not held means that another copy of this home writes, or that this one was
// put back: it is taken in, and this node writes no more.
func (n *Node) mine(h *protocol.Header) bool {
	if held, err := n.store.Header(store.Place{Feed: h.Feed, Seq: h.Seq}); err == nil && held.ID() == h.ID() {
		return true
	}
	if stands, named := survives(n.Roster(), h); named || !stands {
		return stands // the branch that a cut of this member's kept
	}
	first, err := n.halted.set(n.context(), n.store,
		"an entry of this node's own came from outside: another copy of this home is in use, or this one was put back from an older copy")
	if err != nil {
		n.log.Error("keep why this node stops writing", "err", err)
	}
	if first {
		n.log.Error("this node stops writing", "why", n.halted.get())
		n.pulse.beat()
	}
	return true
}

// fill handles an entry at a place that is held already: it proves a fork,
// brings a payload that was missing, or says nothing new.
func (n *Node) fill(c *store.Commit, in incoming) {
	place := store.Place{Feed: in.header.Feed, Seq: in.header.Seq}
	held, err := n.store.Entry(place)
	if err != nil {
		n.log.Error("read entry", "feed", place.Feed.Short(), "seq", place.Seq, "err", err)
		return
	}
	if protocol.Contradict(held.Header, in.header) {
		n.spawn(func() {
			n.reportFork(held.Header, in.header)
			n.dropContradicted(held.Header, in.header)
		})
		return
	}
	if held.Payload != nil || in.payload == nil || n.erased(place) {
		return
	}
	if in = n.afford(in); in.payload == nil {
		return
	}
	c.Entries = append(c.Entries, store.Entry{Header: in.header, Payload: in.payload})
	n.classify(c, in)
}

// classify notes in the commit whether an entry can be opened now or must wait
// for its epoch.
func (n *Node) classify(c *store.Commit, in incoming) {
	n.noteGoing(c.Settings, in.header, in.payload)
	if in.header.Kind != protocol.EntrySealed || in.payload == nil {
		return
	}
	place := store.Place{Feed: in.header.Feed, Seq: in.header.Seq}
	if n.keys.opens(in.header, n.now()) {
		c.Readable = append(c.Readable, place)
		return
	}
	c.Settings[unreadName(place)] = in.header.Tag[:]
}

// commitEntries makes the commit durable and does what follows from it: grants
// are read, entries that wait for an epoch are remembered.
func (n *Node) commitEntries(c *store.Commit) error {
	opened := make(chan struct{})
	n.spawn(func() {
		defer close(opened)
		n.openAhead(c)
	})
	_, err := n.store.Commit(n.ctx, c)
	<-opened
	if err != nil {
		return err
	}
	if slices.ContainsFunc(c.Entries, func(e store.Entry) bool { return e.Payload == nil || e.Header.Kind == protocol.EntryErase }) {
		poke(n.leaving.wake)
	}
	var waiting []store.Place
	for _, e := range c.Entries {
		place := store.Place{Feed: e.Header.Feed, Seq: e.Header.Seq}
		if _, ok := c.Settings[unreadName(place)]; ok {
			n.keys.wait(place, e.Header.Tag, e.Header.Node)
			waiting = append(waiting, place)
		}
		if e.Header.Kind == protocol.EntryDirect && e.Payload != nil && e.Header.Node != n.key {
			n.readDirect(e)
		}
	}
	if len(waiting) > 0 {
		// The epoch may have come while the entries were being stored.
		n.releaseReadable()
	}
	return nil
}

// openAhead opens what a commit makes readable while the disk is busy with it, so
// that the indexer finds it opened. What cannot be opened is left to the indexer
// to tell of.
func (n *Node) openAhead(c *store.Commit) {
	if n.store.LastArrival() > n.store.Index().Checkpoint()+openAheadMost {
		return
	}
	for _, e := range c.Entries {
		place := store.Place{Feed: e.Header.Feed, Seq: e.Header.Seq}
		if e.Payload == nil || e.Header.Kind != protocol.EntrySealed {
			continue
		}
		if _, waits := c.Settings[unreadName(place)]; waits {
			continue
		}
		if bundle, err := n.openEntry(e); err == nil {
			n.opened.put(place, bundle)
		}
	}
}

// Gossip judges a gossip message. The transport calls it.
func (n *Node) Gossip(from protocol.Key, msg []byte) Verdict {
	if _, ok := n.Roster().ByNode(from); !ok {
		return Ignore
	}
	g, err := replica.DecodeGossip(msg)
	if err != nil {
		n.refused.add(ReasonMalformed, 1)
		return Reject
	}
	if g.Entry == nil {
		return n.gossipStatements(g.Statements)
	}
	h, err := protocol.ParseHeader(g.Entry.Header)
	if errors.Is(err, protocol.ErrVersion) {
		return Ignore
	}
	if err != nil || g.Entry.Payload != nil && !h.Fits(g.Entry.Payload) {
		n.refused.add(ReasonMalformed, 1)
		return Reject
	}
	return n.gossipEntry(newIncoming(h, g.Entry.Payload))
}

func (n *Node) gossipEntry(in incoming) Verdict {
	h := in.header
	if h.Mesh != n.mesh {
		return Ignore
	}
	held, _ := n.store.Feed(h.Feed)
	if h.Seq <= held.Head {
		// Held, or a fork; a fork must be stored by extend to be proven.
		if e, err := n.store.Header(store.Place{Feed: h.Feed, Seq: h.Seq}); err != nil || e.ID() == h.ID() {
			return Ignore
		}
	} else if h.Seq > held.Head+protocol.MaxAhead {
		return Ignore
	}
	if !n.welcome(h, held.Head) || n.full() {
		return Ignore // on a full disk sync brings it once there is room
	}
	select {
	case n.gossip <- in:
		return Accept
	default:
		return Ignore // sync brings it
	}
}

// takeGossip stores what gossip brought, many entries at a time.
func (n *Node) takeGossip() {
	for {
		batch := map[protocol.FeedID][]incoming{}
		select {
		case in := <-n.gossip:
			batch[in.header.Feed] = append(batch[in.header.Feed], in)
		case <-n.ctx.Done():
			return
		}
		for more := 0; more < 256; more++ {
			select {
			case in := <-n.gossip:
				batch[in.header.Feed] = append(batch[in.header.Feed], in)
				continue
			default:
			}
			break
		}
		var g errgroup.Group
		g.SetLimit(8)
		for feed, list := range batch {
			slices.SortFunc(list, func(a, b incoming) int { return int(int64(a.header.Seq) - int64(b.header.Seq)) })
			if len(batch) == 1 {
				n.extend(feed, list)
				break
			}
			g.Go(func() error {
				n.extend(feed, list)
				return nil
			})
		}
		ignore(g.Wait())
	}
}

package node

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
	"github.com/tipmesh/tipmesh/store"
)

// How payloads go.
const (
	erasePrefix   = "erase/" // settings: erase entries, by the running time when they take effect
	keepPrefix    = "keep/"  // settings: entries with a retention class, by the time when it ends
	retention     = 7 * 24 * time.Hour
	sweepEvery    = 10 * time.Minute
	erasuresOf    = 64        // erase entries of one member that take effect in one sweep: each may name a whole feed
	ownLookFirst  = time.Hour // after a start; and then
	ownLookEvery  = 24 * time.Hour
	eraseRun      = 64          // payloads that go in one commit
	sweepPatience = time.Minute // for the index
)

// noteGoing notes in the settings of a commit when an entry takes effect on
// payloads: an erase entry once this node has run for the grace since it saw it,
// and a retention class when it ends, but not before the grace either.
func (n *Node) noteGoing(settings map[string][]byte, h *protocol.Header, payload []byte) {
	p := store.Place{Feed: h.Feed, Seq: h.Seq}
	due := n.ran.now() + time.Duration(n.Roster().Rules.Erasure())*time.Second
	switch {
	case h.Kind == protocol.EntryErase && payload != nil:
		n.noteErasure(settings, h, due)
	case h.Retention > 0 && (h.Kind == protocol.EntrySealed || h.Kind == protocol.EntryDirect):
		settings[dueName(keepPrefix, h.Time+int64(h.Retention)*retention.Milliseconds(), p)] = millisOf(due)
	}
}

// due is something that takes effect at a time.
type due struct {
	name  string
	at    int64
	place store.Place
	value []byte
}

func dueName(prefix string, at int64, p store.Place) string {
	return fmt.Sprintf("%s%016x/%s/%016x", prefix, max(at, 0), p.Feed, p.Seq)
}

func parseDue(prefix, name string, value []byte) (d due, ok bool) {
	parts := strings.Split(strings.TrimPrefix(name, prefix), "/")
	if len(parts) != 3 || d.place.Feed.UnmarshalText([]byte(parts[1])) != nil {
		return d, false
	}
	at, err := hex.DecodeString(parts[0])
	seq, err2 := hex.DecodeString(parts[2])
	if err != nil || err2 != nil || len(at) != 8 || len(seq) != 8 {
		return d, false
	}
	d.name, d.at, d.place.Seq, d.value = name, int64(binary.BigEndian.Uint64(at)), binary.BigEndian.Uint64(seq), bytes.Clone(value)
	return d, true
}

// dueBefore lists what takes effect by a time.
func (n *Node) dueBefore(prefix string, at int64) (out []due, err error) {
	stop := errors.New("stop")
	err = n.store.Settings(prefix, func(name string, value []byte) error {
		d, ok := parseDue(prefix, name, value)
		if ok && d.at > at {
			return stop // names are in the order of time
		}
		if ok {
			out = append(out, d)
		}
		return nil
	})
	if errors.Is(err, stop) {
		err = nil
	}
	return out, err
}

// sweeping lets payloads go that are due, for as long as the node runs.
func (n *Node) sweeping() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	began := time.Now()
	look := began.Add(ownLookFirst)
	for {
		select {
		case <-tick.C:
		case <-n.ctx.Done():
			return
		}
		if err := n.sweep(); err != nil && n.ctx.Err() == nil {
			n.log.Error("let payloads go that are due", "err", err)
		}
		if now := time.Now(); !now.Before(look) && n.mayWrite() == nil {
			look = now.Add(ownLookEvery)
			if err := n.eraseOwn(); err != nil && n.ctx.Err() == nil {
				n.log.Error("look for own entries in which nothing holds", "err", err)
			}
			if err := n.dropExpired(); err != nil && n.ctx.Err() == nil {
				n.log.Error("look for entries in which everything has expired", "err", err)
			}
		}
	}
}

// sweep lets go what is due now.
func (n *Node) sweep() error {
	_, err := n.store.Commit(n.ctx, &store.Commit{Settings: map[string][]byte{ranSetting: n.ran.setting()}})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(n.ctx, sweepPatience)
	defer cancel()
	if err := n.CatchUp(ctx); err != nil {
		return nil // the index is behind: the next time
	}
	list, err := n.dueBefore(erasePrefix, n.ran.now().Milliseconds())
	if err != nil {
		return err
	}
	done := map[protocol.MemberID]int{}
	for _, d := range list {
		f, _ := n.store.Feed(d.place.Feed)
		if m, ok := n.Roster().Author(f.Node); ok {
			if done[m.ID]++; done[m.ID] > erasuresOf {
				continue // the next time
			}
		}
		if err := n.followErasure(d); err != nil {
			return err
		}
	}
	if err := errors.Join(n.countErasures(), n.takeUp()); err != nil {
		return err
	}
	poke(n.leaving.wake)
	if err := n.endRetention(); err != nil {
		return err
	}
	return n.dropReceipts()
}

// followErasure does what an erase entry says, as far as its writer may say it.
func (n *Node) followErasure(d due) error {
	e, err := n.store.Entry(d.place)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if err != nil || e.Payload == nil || e.Header.Kind != protocol.EntryErase || e.Header.ID() != protocol.EntryID(pad(d.value)) {
		return n.settle(d, 0) // of a branch that is there no more
	}
	later := (n.ran.now() + ownLookEvery).Milliseconds()
	r := n.Roster()
	if n.disputed(r, e.Header) {
		return n.settle(d, later)
	}
	x, err := protocol.ParseErasure(e.Payload)
	if err != nil {
		n.refused.add(ReasonMalformed, 1)
		return n.settle(d, 0)
	}
	f, held := n.store.Feed(erasedFeed(x, e.Header))
	if !held {
		return n.settle(d, later) // it may come yet
	}
	by, ok := r.Author(e.Header.Node)
	of, ok2 := r.Author(f.Node)
	if !ok || !ok2 || by.ID != of.ID {
		n.refused.add(ReasonNotAdmitted, 1)
		return n.settle(d, 0)
	}
	var places []store.Place
	all := true
	for _, run := range x.Runs() {
		all = all && run[1] <= f.Head
		for seq := run[0]; seq <= min(run[1], f.Head); seq++ {
			p := store.Place{Feed: f.ID, Seq: seq}
			if store.Ranges(f.Erased).Has(seq) {
				continue
			}
			if h, err := n.store.Header(p); err == nil && h.Kind == protocol.EntrySealed {
				places = append(places, p)
			}
		}
	}
	if err := n.letGo(f.ID, places); err != nil {
		return err
	}
	if all {
		return n.settle(d, 0)
	}
	return n.settle(d, later)
}

func pad(b []byte) []byte { return append(slices.Clone(b), make([]byte, 32)...)[:32] }

// settle forgets what was due, or has it looked at again later.
func (n *Node) settle(d due, later int64) error {
	c := &store.Commit{Settings: map[string][]byte{d.name: nil}}
	if later > 0 {
		c.Settings[dueName(erasePrefix, later, d.place)] = d.value
	}
	_, err := n.store.Commit(n.ctx, c)
	return err
}

// endRetention lets go the payloads whose retention has ended: by this node's
// clock and by those of the others, and not before it has run for the grace since
// it got them.
func (n *Node) endRetention() error {
	now := n.now().UnixMilli()
	if theirs, ok := n.meshTime(); !ok {
		return nil // nobody to ask: later
	} else if theirs < now {
		now = theirs
	}
	list, err := n.dueBefore(keepPrefix, now)
	if err != nil {
		return err
	}
	byFeed := map[protocol.FeedID][]store.Place{}
	done := &store.Commit{Settings: map[string][]byte{}}
	for _, d := range list {
		if len(d.value) == 8 && binary.BigEndian.Uint64(d.value) > uint64(n.ran.now().Milliseconds()) {
			continue
		}
		done.Settings[d.name] = nil
		// Another entry may stand there since, if a branch was dropped.
		h, err := n.store.Header(d.place)
		if err == nil && h.Retention > 0 && max(0, h.Time+int64(h.Retention)*retention.Milliseconds()) == d.at {
			byFeed[d.place.Feed] = append(byFeed[d.place.Feed], d.place)
		}
	}
	for feed, places := range byFeed {
		if err := n.letGo(feed, places); err != nil {
			return err
		}
	}
	if len(done.Settings) == 0 {
		return nil
	}
	_, err = n.store.Commit(n.ctx, done)
	return err
}

// letGo erases payloads of one feed, and what the index says because of them. The
// index goes first: if the node stops in between, the same is due again.
func (n *Node) letGo(feed protocol.FeedID, places []store.Place) error {
	if len(places) == 0 {
		return nil
	}
	mu := n.park.lock(feed)
	mu.Lock()
	defer mu.Unlock()
	f, _ := n.store.Feed(feed)
	places = slices.DeleteFunc(places, func(p store.Place) bool { return store.Ranges(f.Erased).Has(p.Seq) || p.Seq > f.Head })
	for len(places) > 0 {
		run := places[:min(len(places), eraseRun)]
		places = places[len(run):]
		c := &store.Commit{Settings: map[string][]byte{}, Erase: run}
		for _, p := range run {
			number, arrived := n.store.ArrivalOf(p)
			if arrived {
				objects, err := n.objectsOf(store.Arrival{Number: number, Place: p})
				if err != nil {
					return err
				}
				if err := n.store.Index().Remove(objects); err != nil {
					return err
				}
			} else if name := unreadName(p); n.hasSetting(name) {
				c.Settings[name] = nil
				n.keys.drop(p)
			}
		}
		if _, err := n.store.Commit(n.ctx, c); err != nil {
			return fmt.Errorf("erase payloads: %w", err)
		}
	}
	n.changed(feed)
	return nil
}

// drop lets an entry wait for its epoch no longer.
func (k *keys) drop(p store.Place) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for tag, seqs := range k.tags.unread[p.Feed] {
		if at := slices.Index(seqs, p.Seq); at >= 0 {
			k.tags.unread[p.Feed][tag] = slices.Delete(seqs, at, at+1)
			k.tags.entries--
		}
	}
}

// erased reports whether a payload went for good.
func (n *Node) erased(p store.Place) bool {
	f, ok := n.store.Feed(p.Feed)
	return ok && store.Ranges(f.Erased).Has(p.Seq)
}

// ClockOff is how far this node's clock is ahead of those of the other members, as
// far as that is known: see meshTime.
func (n *Node) ClockOff() (ahead time.Duration, known bool) {
	theirs, ok := n.meshTime()
	return time.Duration(n.now().UnixMilli()-theirs) * time.Millisecond, ok
}

// past reports whether a time is over for certain: by this node's clock and by
// those of the other members.
func (n *Node) past(at int64) bool {
	theirs, ok := n.meshTime()
	return ok && theirs > at && n.now().UnixMilli() > at
}

// meshTime is the time by the other members' clocks, as one node of each said in
// its last hello: the median, or, of an even number, the earlier of the two in the
// middle. It does not depend on this node's clock. ok is false where nobody has
// said anything since this node started.
func (n *Node) meshTime() (now int64, ok bool) {
	var times []int64
	for _, m := range n.Roster().Active() {
		if m.ID == n.cfg.Member {
			continue
		}
		for _, k := range m.Nodes {
			if c := n.book.get(k); !c.at.IsZero() && c.told > 0 && c.told < math.MaxInt64/2 {
				times = append(times, c.told+time.Since(c.at).Milliseconds())
				break
			}
		}
	}
	if len(times) == 0 {
		return 0, false
	}
	slices.Sort(times)
	return times[(len(times)-1)/2], true
}

// tellErased puts what was erased among what is told as missing, as far as there
// is room, and gives that part of it. What is not told so others know from the
// erase entries, or from the retention class: see leaving.
func tellErased(missing []uint64, erased []store.Range, head uint64) (told, gone []uint64) {
	told = missing
	for _, r := range erased {
		if r.First > head {
			break
		}
		r.Last = min(r.Last, head)
		next := addRun(told, r)
		if len(next) > 2*replica.MaxRanges {
			break
		}
		told, gone = next, append(gone, r.First, r.Last)
	}
	return told, gone
}

// addRun puts a run among others; runs that touch become one.
func addRun(runs []uint64, r store.Range) []uint64 {
	out := make([]uint64, 0, len(runs)+2)
	put := false
	for i := 0; i+1 < len(runs); i += 2 {
		first, last := runs[i], runs[i+1]
		switch {
		case last+1 < r.First:
			out = append(out, first, last)
		case first > r.Last+1:
			if !put {
				out, put = append(out, r.First, r.Last), true
			}
			out = append(out, first, last)
		default:
			r.First, r.Last = min(first, r.First), max(last, r.Last)
		}
	}
	if !put {
		out = append(out, r.First, r.Last)
	}
	return out
}

// lacking counts the payloads that a neighbour lacks and this node holds.
func lacking(theirs *replica.FeedState, f store.Feed) (count uint64) {
	for j := 0; j+1 < len(theirs.Missing); j += 2 {
		first, last := theirs.Missing[j], min(theirs.Missing[j+1], f.Head)
		if first > last {
			continue
		}
		count += last - first + 1
		for _, list := range [][]store.Range{f.Missing, f.Erased} {
			for _, r := range list {
				if lo, hi := max(first, r.First), min(last, r.Last); lo <= hi {
					count -= hi - lo + 1
				}
			}
		}
	}
	return count
}

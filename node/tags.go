package node

import (
	"sync"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// Limits of trying tags: a new one is held against every epoch there is.
const (
	maxTags     = 65536       // tags of which is remembered what they stand for
	tagsAtOnce  = 512         // new tags of one writing node that are tried in a row,
	tagInterval = time.Second // and then one in so long: its other entries wait meanwhile
)

type tagKey struct {
	feed protocol.FeedID
	tag  protocol.Tag
}

// tags know which epochs fit the tags of feeds, and which entries wait for an
// epoch that is not held. The lock is that of keys.
type tags struct {
	known   map[protocol.FeedID]map[protocol.Tag]*epoch   // nil for a tag that no epoch fits
	count   int                                           // of known
	unread  map[protocol.FeedID]map[protocol.Tag][]uint64 // sequence numbers of entries that wait
	entries int                                           // of unread
	ripe    []tagKey
	untried map[protocol.Key][]tagKey // by writing node
	pace    *allowance[protocol.Key]
	tries   uint64 // tags held against all epochs so far
}

func newTags() *tags {
	return &tags{known: map[protocol.FeedID]map[protocol.Tag]*epoch{}, unread: map[protocol.FeedID]map[protocol.Tag][]uint64{},
		untried: map[protocol.Key][]tagKey{}, pace: newAllowance[protocol.Key](tagsAtOnce, tagInterval)}
}

// remember notes what a tag stands for. Where there are too many, those of some
// feed are forgotten: they can be tried again.
func (t *tags) remember(k tagKey, e *epoch) {
	if _, had := t.known[k.feed][k.tag]; !had {
		for feed, list := range t.known {
			if t.count < maxTags {
				break
			}
			t.count -= len(list)
			delete(t.known, feed)
		}
		if t.known[k.feed] == nil {
			t.known[k.feed] = map[protocol.Tag]*epoch{}
		}
		t.count++
	}
	t.known[k.feed][k.tag] = e
}

// fit looks for tags that a new epoch fits: one in each feed.
func (t *tags) fit(e *epoch) {
	for feed, list := range t.known {
		tag := protocol.TagFor(e.Identity, e.Audience, feed)
		if known, ok := list[tag]; ok && known == nil {
			list[tag] = e
		}
	}
	for feed, list := range t.unread {
		tag := protocol.TagFor(e.Identity, e.Audience, feed)
		if list[tag] != nil {
			t.remember(tagKey{feed, tag}, e)
			t.ripe = append(t.ripe, tagKey{feed, tag})
		}
	}
}

// try holds a tag against all epochs. The caller holds the lock.
func (k *keys) try(t tagKey) *epoch {
	k.tags.tries++
	var fits *epoch
	for _, e := range k.byID {
		if protocol.TagFor(e.Identity, e.Audience, t.feed) == t.tag {
			fits = e
			break
		}
	}
	k.tags.remember(t, fits)
	return fits
}

// find gives the epoch that a tag of a feed stands for, or nil.
func (k *keys) find(feed protocol.FeedID, tag protocol.Tag) *epoch {
	k.mu.Lock()
	defer k.mu.Unlock()
	if e, tried := k.tags.known[feed][tag]; tried {
		return e
	}
	return k.try(tagKey{feed, tag})
}

// opens reports whether an entry that has come can be opened. Of a writer whose
// tags are new again and again it says no before it has looked: see ready.
func (k *keys) opens(h *protocol.Header, now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if e, tried := k.tags.known[h.Feed][h.Tag]; tried {
		return e != nil
	}
	if k.tags.unread[h.Feed][h.Tag] != nil || !k.tags.pace.take(h.Node, now) {
		return false
	}
	return k.try(tagKey{h.Feed, h.Tag}) != nil
}

// wait remembers an entry of a writing node that no epoch fits yet.
func (k *keys) wait(p store.Place, tag protocol.Tag, writer protocol.Key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tags.entries++
	t := tagKey{p.Feed, tag}
	list := k.tags.unread[p.Feed]
	if list == nil {
		list = map[protocol.Tag][]uint64{}
		k.tags.unread[p.Feed] = list
	}
	list[tag] = append(list[tag], p.Seq)
	if len(list[tag]) > 1 {
		return
	}
	e, tried := k.tags.known[p.Feed][tag]
	switch {
	case e != nil: // it came meanwhile
		k.tags.ripe = append(k.tags.ripe, t)
	case !tried:
		k.tags.untried[writer] = append(k.tags.untried[writer], t)
	}
	poke(k.ask)
}

// ready takes out the waiting entries that an epoch fits by now. It tries as many
// of the tags that were not tried yet as their writers may have tried.
func (k *keys) ready(now time.Time) (out []store.Place) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for writer, list := range k.tags.untried {
		at := 0
		for ; at < len(list); at++ {
			e, tried := k.tags.known[list[at].feed][list[at].tag]
			if !tried && !k.tags.pace.take(writer, now) {
				break
			}
			if !tried {
				e = k.try(list[at])
			}
			if e != nil {
				k.tags.ripe = append(k.tags.ripe, list[at])
			}
		}
		if at == len(list) {
			delete(k.tags.untried, writer)
		} else {
			k.tags.untried[writer] = list[at:]
		}
	}
	for _, t := range k.tags.ripe {
		seqs := k.tags.unread[t.feed][t.tag]
		for _, seq := range seqs {
			out = append(out, store.Place{Feed: t.feed, Seq: seq})
		}
		k.tags.entries -= len(seqs)
		if delete(k.tags.unread[t.feed], t.tag); len(k.tags.unread[t.feed]) == 0 {
			delete(k.tags.unread, t.feed)
		}
	}
	k.tags.ripe = nil
	return out
}

// unreadable is how many entries wait for an epoch.
func (k *keys) unreadable() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.tags.entries
}

// tried is how many tags were held against all epochs.
func (k *keys) tried() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.tags.tries
}

// missing reports whether anything waits though all epochs were tried.
func (k *keys) missing() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	count := 0
	for _, list := range k.tags.unread {
		count += len(list)
	}
	for _, list := range k.tags.untried {
		count -= len(list)
	}
	return count > 0
}

// later ends when tags that could not be tried yet may be; it is nil where there
// are none.
func (k *keys) later() <-chan time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.tags.untried) == 0 {
		return nil
	}
	return time.After(askGap)
}

// allowance lets each of some keys do a thing so often in a row, and then once in
// an interval.
type allowance[K comparable] struct {
	burst    int
	interval time.Duration
	mu       sync.Mutex
	spent    map[K]time.Time // until when the allowance is used up but for the burst
}

func newAllowance[K comparable](burst int, interval time.Duration) *allowance[K] {
	return &allowance[K]{burst: burst, interval: interval, spent: map[K]time.Time{}}
}

// take uses up one, if there is one left.
func (a *allowance[K]) take(k K, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	until := a.spent[k]
	most := now.Add(time.Duration(a.burst) * a.interval)
	if until.Before(now) || until.After(most) { // long ago, or the clock was put back
		until = now
	}
	if until = until.Add(a.interval); until.After(most) {
		return false
	}
	a.spent[k] = until
	return true
}

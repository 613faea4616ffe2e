package node

import (
	"slices"
	"sync"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// What was found once is good enough for leavingGather, or for leavingShare times
// as long as it took to find: entries come in great numbers.
const (
	leavingGather = time.Second
	leavingShare  = 20
)

// leaving are payloads that are not held and need not come: an erase entry names
// them, or their retention has ended, and only the grace has not passed. Whoever
// comes to a mesh later meets many of them, which nobody holds any more. They are
// not asked for and not waited for, and are let go once the grace has passed; if
// it turns out that the erase entry does not count, they are asked for again.
type leaving struct {
	wake chan struct{}
	mu   sync.Mutex
	feed map[protocol.FeedID]store.Ranges
}

func (l *leaving) of(feed protocol.FeedID) store.Ranges {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.feed[feed]
}

// set replaces what is known and gives the feeds of which something else is.
func (l *leaving) set(found map[protocol.FeedID]store.Ranges) (changed []protocol.FeedID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range l.feed {
		if found[id] == nil {
			changed = append(changed, id)
		}
	}
	for id, runs := range found {
		if !slices.Equal(l.feed[id], runs) {
			changed = append(changed, id)
		}
	}
	l.feed = found
	return protocol.Sorted(changed)
}

// watchLeaving keeps what is leaving up to date.
func (n *Node) watchLeaving() {
	for {
		began := time.Now()
		if err := n.findLeaving(); err != nil && n.ctx.Err() == nil {
			n.log.Error("find payloads that need not come", "err", err)
		}
		select {
		case <-time.After(max(leavingGather, leavingShare*time.Since(began))):
		case <-n.ctx.Done():
			return
		}
		select {
		case <-n.leaving.wake:
		case <-n.ctx.Done():
			return
		}
	}
}

// findLeaving looks through what is to take effect for payloads that are missing.
func (n *Node) findLeaving() error {
	missing, found := map[protocol.FeedID]store.Feed{}, map[protocol.FeedID]store.Ranges{}
	for _, f := range n.store.Feeds() {
		if len(f.Missing) > 0 {
			missing[f.ID] = f
		}
	}
	if len(missing) > 0 {
		if err := n.findNamed(missing, found); err != nil {
			return err
		}
		if err := n.findEnded(missing, found); err != nil {
			return err
		}
	}
	if changed := n.leaving.set(found); len(changed) > 0 {
		n.changed(changed...)
	}
	return nil
}

// findNamed adds what erase entries name that count now.
func (n *Node) findNamed(missing map[protocol.FeedID]store.Feed, found map[protocol.FeedID]store.Ranges) error {
	r := n.Roster()
	return n.eachErasure(func(e store.Entry) {
		x, err := protocol.ParseErasure(e.Payload)
		if err != nil {
			return
		}
		f, ok := missing[erasedFeed(x, e.Header)]
		by, ok2 := r.Author(e.Header.Node)
		of, ok3 := r.Author(f.Node)
		if !ok || !ok2 || !ok3 || by.ID != of.ID || n.disputed(r, e.Header) {
			return
		}
		for _, run := range x.Runs() {
			for _, part := range store.Ranges(f.Missing).Within(run[0], run[1]) {
				for seq := part.First; seq <= part.Last; seq++ {
					if h, err := n.store.Header(store.Place{Feed: f.ID, Seq: seq}); err == nil && h.Kind == protocol.EntrySealed {
						found[f.ID] = found[f.ID].Add(seq)
					}
				}
			}
		}
	})
}

// eachErasure calls fn for the erase entries that wait, and for those that were
// passed over.
func (n *Node) eachErasure(fn func(store.Entry)) error {
	visit := func(p store.Place) {
		if e, err := n.store.Entry(p); err == nil && e.Payload != nil && e.Header.Kind == protocol.EntryErase {
			fn(e)
		}
	}
	err := n.store.Settings(erasePrefix, func(name string, value []byte) error {
		if d, ok := parseDue(erasePrefix, name, value); ok {
			visit(d.place)
		}
		return nil
	})
	if err != nil {
		return err
	}
	passed, err := n.passed()
	for _, p := range passed {
		f, _ := n.store.Feed(p.Feed)
		for ; p.Seq <= f.Head; p.Seq++ {
			if h, err := n.store.Header(p); err == nil && h.Kind == protocol.EntryErase {
				visit(p)
			}
		}
	}
	return err
}

// findEnded adds what was kept for as long as its retention class says.
func (n *Node) findEnded(missing map[protocol.FeedID]store.Feed, found map[protocol.FeedID]store.Ranges) error {
	list, err := n.dueBefore(keepPrefix, n.now().UnixMilli())
	for _, d := range list {
		if f, ok := missing[d.place.Feed]; ok && n.past(d.at) && store.Ranges(f.Missing).Has(d.place.Seq) {
			found[f.ID] = found[f.ID].Add(d.place.Seq)
		}
	}
	return err
}

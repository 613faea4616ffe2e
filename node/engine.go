package node

import (
	"slices"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
)

// engine is the one goroutine that runs the sync machine.
func (n *Node) engine() {
	m := replica.New(n.cfg.Sync, n.view)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		next := time.Hour
		if at := m.Next(); !at.IsZero() {
			next = max(at.Sub(n.now()), 5*time.Millisecond)
		}
		timer.Reset(next)
		select {
		case <-n.ctx.Done():
			return
		case event := <-n.events:
			event(m, n.now())
			n.drain(m)
		case <-timer.C:
			m.Tick(n.now())
		}
		for effects := m.Take(); len(effects) > 0; effects = m.Take() {
			for _, e := range effects {
				n.do(m, e)
			}
		}
	}
}

// drain takes the events that are waiting already, so that one round of effects
// serves them all.
func (n *Node) drain(m *replica.Machine) {
	for range 256 {
		select {
		case event := <-n.events:
			event(m, n.now())
		default:
			return
		}
	}
}

// post gives the engine something to do. It must not be called by the engine
// itself.
func (n *Node) post(event func(*replica.Machine, time.Time)) {
	select {
	case n.events <- event:
	case <-n.ctx.Done():
	}
}

// consult runs f on the engine and waits for it; false where the node has
// stopped.
func (n *Node) consult(f func(*replica.Machine, time.Time)) bool {
	done := make(chan struct{})
	n.post(func(m *replica.Machine, now time.Time) {
		defer close(done)
		f(m, now)
	})
	select {
	case <-done:
		return true
	case <-n.ctx.Done():
		return false
	}
}

// do carries out one effect without blocking the engine.
func (n *Node) do(m *replica.Machine, effect replica.Effect) {
	switch e := effect.(type) {
	case replica.Send:
		if get, ok := e.Msg.(*replica.GetEpochs); ok {
			n.markHeld(get)
		}
		if !n.links.send(e.To, e.Msg) {
			n.links.reset(e.To, "its queue is full")
		}
	case replica.Store:
		n.spawn(func() { n.storeSynced(e) })
	case replica.Learn:
		n.spawn(func() {
			n.learnRaw(e.Raw)
			n.post(func(m *replica.Machine, now time.Time) { m.Learned(now, e.From) })
		})
	case replica.Unseal:
		n.spawn(func() { n.unsealEpochs(e.From, e.Sealed) })
	case replica.Address:
		if _, ok := n.Roster().ByNode(e.Node); ok {
			n.book.claim(e.Node, e.Addresses, e.Time, n.now().UnixMilli(), e.Agent)
			n.pulse.beat()
		}
	case replica.Hearsay:
		r := n.Roster()
		n.book.hear(slices.DeleteFunc(e.List, func(a replica.NodeAddresses) bool {
			_, ok := r.ByNode(a.Node)
			return !ok
		}))
	case replica.Reset:
		n.links.reset(e.Node, e.Reason)
	}
}

// storeSynced checks and stores what a neighbour answered.
func (n *Node) storeSynced(e replica.Store) {
	// The neighbour is not to blame for a full disk: the feed stays with it, and
	// nothing more of it is asked for, until there is room.
	if n.awaitRoom() != nil {
		return
	}
	usable, diverged := false, false
	if len(e.Items) > 0 {
		usable = n.fillPayloads(e.Feed, e.Items)
	} else {
		usable, diverged = n.storeEntries(e.Feed, e.Entries)
	}
	n.post(func(m *replica.Machine, now time.Time) {
		if diverged {
			m.Diverged(now, e.From, e.Feed)
		}
		m.Stored(now, e.From, e.Feed, usable)
	})
}

// changed tells neighbours, the index and whoever waits that feeds have grown.
func (n *Node) changed(feeds ...protocol.FeedID) {
	feeds = n.settled(feeds...)
	n.view.stale()
	n.post(func(m *replica.Machine, now time.Time) { m.Changed(now, feeds...) })
	n.pulse.beat()
}

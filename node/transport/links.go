package transport

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
)

// links turns libp2p's connection and identify events into Up and Down. Events
// only change state and mark the peer; one goroutine looks at marked peers and
// calls, so that calls for a peer keep their order and a slow handler never
// blocks libp2p's event bus.
type links struct {
	host     host.Host
	patience time.Duration // before a peer without our protocol is closed
	allows   func(peer.ID) bool
	up, down func(peer.ID)
	mute     func(peer.ID)           // tells of a peer that patience ran out for
	gossip   func() map[peer.ID]bool // the peers that gossip with us

	mu    sync.Mutex
	peers map[peer.ID]*link
	dirty map[peer.ID]struct{}
	wake  chan struct{}
}

// link is what is known of one peer.
type link struct {
	conns  map[network.Conn]bool // true once identify showed the sync protocol
	gen    uint64                // raised whenever the last connection goes
	since  time.Time             // of this generation's first connection
	timer  *time.Timer
	isUp   bool
	upGen  uint64 // the generation that Up was said of
	closed bool   // the watchdog has closed this generation

	silent int // looks in a row at which an up node was not in the gossip
	excuse int // how many looks it is given: doubled each time
}

func newLinks(h host.Host, allows func(peer.ID) bool, patience time.Duration) *links {
	return &links{
		host: h, allows: allows, patience: patience,
		peers: map[peer.ID]*link{}, dirty: map[peer.ID]struct{}{}, wake: make(chan struct{}, 1),
	}
}

// mark has the loop look at a peer; l.mu is held.
func (l *links) mark(p peer.ID) {
	l.dirty[p] = struct{}{}
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// note records a connection, and whether it speaks tipmesh.
func (l *links) note(c network.Conn, speaks bool) {
	p := c.RemotePeer()
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.IsClosed() {
		return // its Disconnected may have come already
	}
	k := l.peers[p]
	if k == nil {
		k = &link{conns: map[network.Conn]bool{}}
		l.peers[p] = k
	}
	if len(k.conns) == 0 {
		k.since, k.closed = time.Now(), false
		k.timer = time.AfterFunc(l.patience, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.mark(p)
		})
	}
	k.conns[c] = k.conns[c] || speaks
	l.mark(p)
}

// drop forgets a connection.
func (l *links) drop(c network.Conn) {
	p := c.RemotePeer()
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.peers[p]
	if k == nil {
		return
	}
	delete(k.conns, c)
	if len(k.conns) == 0 {
		k.gen++
		k.timer.Stop()
	}
	l.mark(p)
}

// updated handles a later announcement of protocols: all connections count.
func (l *links) updated(p peer.ID) {
	found, err := l.host.Peerstore().SupportsProtocols(p, SyncProtocol)
	if err != nil || len(found) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if k := l.peers[p]; k != nil {
		for c := range k.conns {
			k.conns[c] = true
		}
		l.mark(p)
	}
}

// verdict is what is to be done about a peer.
type verdict struct{ down, up, kill bool }

// judge compares what was said of a peer with what is.
func (l *links) judge(p peer.ID) (v verdict) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.peers[p]
	if k == nil {
		return v
	}
	if k.isUp && k.upGen != k.gen {
		k.isUp, v.down = false, true
	}
	if len(k.conns) == 0 {
		// What was learnt of a node that does not gossip outlives its redial.
		if k.excuse == 0 {
			delete(l.peers, p)
		}
		return v
	}
	speaks := slices.Contains(values(k.conns), true)
	switch {
	case k.isUp:
	case speaks && l.allows(p):
		k.isUp, k.upGen, v.up = true, k.gen, true
		k.timer.Stop()
	case !speaks && !k.closed && time.Since(k.since) >= l.patience:
		k.closed, v.kill = true, true
	}
	return v
}

func values(m map[network.Conn]bool) []bool {
	out := make([]bool, 0, len(m))
	for _, v := range m {
		out = append(out, v)
	}
	return out
}

// firstExcuse is how many times patience an up node may be missing from the
// gossip before it is redialled; maxExcuse where doubling ends.
const (
	firstExcuse = 2
	maxExcuse   = 256
)

// listen looks for nodes that are up but not in the gossip: gossipsub forgets
// a neighbour's subscription when a duplicate connection closes, and hears of
// it again only on a new connection.
func (l *links) listen() (deaf []peer.ID) {
	heard := l.gossip()
	l.mu.Lock()
	defer l.mu.Unlock()
	for p, k := range l.peers {
		switch {
		case !k.isUp:
			k.silent = 0
			if len(k.conns) == 0 && !l.allows(p) {
				delete(l.peers, p)
			}
		case heard[p]:
			k.silent, k.excuse = 0, 0
		default:
			k.excuse = max(k.excuse, firstExcuse)
			if k.silent++; k.silent >= k.excuse {
				k.silent, k.excuse = 0, min(2*k.excuse, maxExcuse)
				deaf = append(deaf, p)
			}
		}
	}
	return deaf
}

// run looks at marked peers until ctx ends.
func (l *links) run(ctx context.Context) {
	tick := time.NewTicker(l.patience)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			for _, p := range l.listen() {
				l.mute(p)
				l.host.Network().ClosePeer(p)
			}
			continue
		case <-l.wake:
		}
		l.mu.Lock()
		dirty := l.dirty
		l.dirty = map[peer.ID]struct{}{}
		l.mu.Unlock()
		for p := range dirty {
			if ctx.Err() != nil {
				return
			}
			v := l.judge(p)
			if v.down {
				l.down(p)
			}
			if v.up {
				l.up(p)
			}
			if v.kill {
				l.mute(p)
				l.host.Network().ClosePeer(p)
			}
		}
	}
}

// subscribe asks the bus for identify's events.
func (l *links) subscribe() (event.Subscription, error) {
	return l.host.EventBus().Subscribe([]any{
		new(event.EvtPeerIdentificationCompleted), new(event.EvtPeerProtocolsUpdated),
	}, eventbus.BufSize(1024), eventbus.Name("tipmesh links"))
}

// watch handles identify's events until the subscription is closed.
func (l *links) watch(sub event.Subscription) {
	for e := range sub.Out() {
		switch e := e.(type) {
		case event.EvtPeerIdentificationCompleted:
			l.note(e.Conn, slices.Contains(e.Protocols, SyncProtocol))
		case event.EvtPeerProtocolsUpdated:
			l.updated(e.Peer)
		}
	}
}

// stop ends the watchdogs.
func (l *links) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range l.peers {
		k.timer.Stop()
	}
}

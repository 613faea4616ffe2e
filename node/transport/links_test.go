package transport

import (
	"context"
	"io"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
)

func TestBothDial(t *testing.T) {
	a, b := startNode(t, nil), startNode(t, nil)
	allowAll(a, b)
	for range 5 {
		var dials sync.WaitGroup
		for range 3 {
			dials.Go(func() { connect(t, a, b) })
			dials.Go(func() { connect(t, b, a) })
		}
		dials.Wait()
		next(t, "up", a.ups)
		next(t, "up", b.ups)
		connect(t, a, b) // connected already
		// The connection of a late dial may outlive one Disconnect, but not
		// Allow; up and down alternate all the same.
		a.Disconnect(b.key)
		for _, n := range []*peerNode{a, b} {
			n.Allow(nil)
		}
		for _, n := range []*peerNode{a, b} {
			eventually(t, "down", func() bool { down, _ := n.isDown(); return down })
			if _, ordered := n.isDown(); !ordered {
				t.Fatal("up and down do not alternate")
			}
			for len(n.ups) > 0 {
				<-n.ups
			}
		}
		allowAll(a, b)
	}
}

func TestWatchdog(t *testing.T) {
	a := startNode(t, func(c *Config) { c.Patience = 100 * time.Millisecond })
	h := plainHost(t)
	key, _ := keyOf(h.ID())
	a.Allow([]protocol.Key{key})
	forms, _ := multiaddrs(a.Bound()[0])
	h.Peerstore().AddAddrs(a.host.ID(), forms, peerstore.PermanentAddrTTL)
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	for i := range 2 {
		if err := h.Connect(ctx, peer.AddrInfo{ID: a.host.ID()}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the watchdog", func() bool {
			return a.Stats().Mute == uint64(i+1) && h.Network().Connectedness(a.host.ID()) != network.Connected
		})
	}
	if len(a.ups)+len(a.downs) > 0 {
		t.Error("up or down for a node that does not speak tipmesh")
	}
}

func TestLateProtocol(t *testing.T) {
	a := startNode(t, nil)
	h := plainHost(t)
	key, _ := keyOf(h.ID())
	a.Allow([]protocol.Key{key})
	forms, _ := multiaddrs(a.Bound()[0])
	h.Peerstore().AddAddrs(a.host.ID(), forms, peerstore.PermanentAddrTTL)
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	if err := h.Connect(ctx, peer.AddrInfo{ID: a.host.ID()}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "identify", func() bool {
		got, _ := a.host.Peerstore().GetProtocols(h.ID())
		return len(got) > 0
	})
	h.SetStreamHandler(SyncProtocol, func(s network.Stream) { s.Close() })
	if next(t, "up", a.ups) != key {
		t.Fatal("up for another node")
	}
}

func TestStreamLimit(t *testing.T) {
	a, b := pair(t)
	hold := make(chan struct{})
	b.serveWith(func(_ protocol.Key, s node.Stream) {
		s.Write([]byte("."))
		<-hold
	})
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	read := func() error {
		s, err := a.Open(ctx, b.key)
		if err != nil {
			return err
		}
		s.SetReadDeadline(time.Now().Add(wait))
		if _, err := s.Write([]byte(".")); err != nil {
			return err
		}
		_, err = io.ReadFull(s, make([]byte, 1))
		return err
	}
	for range MaxStreams {
		if err := read(); err != nil {
			t.Fatal(err)
		}
	}
	if err := read(); err == nil {
		t.Error("one stream too many was served")
	}
	close(hold)
	eventually(t, "a free place", func() bool { return read() == nil })
}

func TestCloseLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	var nodes []*peerNode
	for range 3 {
		nodes = append(nodes, startNode(t, nil))
	}
	allowAll(nodes...)
	connect(t, nodes[0], nodes[1])
	connect(t, nodes[2], nodes[1])
	next(t, "up", nodes[0].ups)
	next(t, "up", nodes[2].ups)
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	s, err := nodes[0].Open(ctx, nodes[1].key)
	if err != nil {
		t.Fatal(err)
	}
	s.Write([]byte("x")) // its server still reads when the node closes
	for _, n := range nodes {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		if err := n.Publish(nil); err == nil {
			t.Error("published after Close")
		}
	}
	// libp2p lets some goroutines end on their own just after.
	eventually(t, "all goroutines to end", func() bool {
		return runtime.NumGoroutine() <= before
	})
}

// TestDeafNode has a node that syncs but does not gossip: it is redialled,
// ever more rarely.
func TestDeafNode(t *testing.T) {
	a := startNode(t, func(c *Config) { c.Patience = 50 * time.Millisecond })
	h := plainHost(t)
	h.SetStreamHandler(SyncProtocol, func(s network.Stream) { s.Close() })
	key, _ := keyOf(h.ID())
	a.Allow([]protocol.Key{key})
	forms, _ := multiaddrs(a.Bound()[0])
	h.Peerstore().AddAddrs(a.host.ID(), forms, peerstore.PermanentAddrTTL)
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	for i := range 2 {
		eventually(t, "a connection", func() bool {
			return h.Connect(ctx, peer.AddrInfo{ID: a.host.ID()}) == nil && len(a.ups) > 0
		})
		next(t, "up", a.ups)
		next(t, "down", a.downs)
		a.links.mu.Lock()
		if got := a.links.peers[h.ID()].excuse; got != firstExcuse<<(i+1) {
			t.Errorf("excused for %d looks", got)
		}
		a.links.mu.Unlock()
	}
	if n := a.Stats().Mute; n < 2 {
		t.Errorf("closed %d times", n)
	}
}

package transport

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
)

// SyncProtocol names the sync streams.
const SyncProtocol = "/tipmesh/sync/1"

// MaxStreams is how many sync streams a node may have open towards another at
// a time; further ones are reset.
const MaxStreams = 4

// patience is how long a connected node may take to show that it speaks
// tipmesh.
const patience = 10 * time.Second

// protectTag marks allowed nodes for libp2p's connection manager.
const protectTag = "tipmesh"

// Errors of a Transport.
var (
	ErrClosed     = errors.New("transport not running")
	ErrNotAllowed = errors.New("node not allowed")
)

// ListenPacket opens a packet connection on an address, in place of a UDP
// socket.
type ListenPacket func(*net.UDPAddr) (net.PacketConn, error)

// Config says who a node is and where it listens.
type Config struct {
	Key      ed25519.PrivateKey // the node key
	Mesh     protocol.MeshID    // names the gossip
	Listen   []string           // host:port; port 0 chooses one that is free for UDP and TCP; an empty host is every address
	MaxNodes int                // nodes to expect at most; 1,024 if zero
	Log      *slog.Logger       // nothing is logged if nil

	// Packets is for simulations: QUIC runs over it, and TCP is off. Listen
	// must then name addresses and ports.
	Packets ListenPacket
	// Patience is for tests: how long a node may be connected without speaking
	// tipmesh; ten seconds if zero.
	Patience time.Duration
}

// Transport is node.Transport over libp2p.
type Transport struct {
	cfg    Config
	log    *slog.Logger
	self   protocol.Key
	host   host.Host
	gate   *gate
	links  *links
	counts counts
	floods floods
	ctx    context.Context // ends when Close begins
	cancel context.CancelFunc

	allowMu sync.Mutex // one Allow at a time
	handler node.Handler
	topic   *pubsub.Topic

	mu      sync.Mutex
	bound   []string
	streams map[peer.ID]int
	newest  map[peer.ID]network.Conn // that a node opened its last sync stream on
	started bool
	closed  bool
	calls   sync.WaitGroup // calls into the handler, and of Publish
	loops   sync.WaitGroup
	events  event.Subscription
}

var _ node.Transport = (*Transport)(nil)

// New makes a transport that is not listening yet and lets nobody in.
func New(cfg Config) (*Transport, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.MaxNodes <= 0 {
		cfg.MaxNodes = 1024
	}
	if cfg.Patience <= 0 {
		cfg.Patience = patience
	}
	key, self, err := identity(cfg.Key)
	if err != nil {
		return nil, err
	}
	g := newGate()
	h, err := newHost(key, g, nodeBounds(cfg.MaxNodes), cfg.Packets)
	if err != nil {
		return nil, fmt.Errorf("build host: %w", err)
	}
	t := &Transport{cfg: cfg, log: cfg.Log, self: self, host: h, gate: g, streams: map[peer.ID]int{}, newest: map[peer.ID]network.Conn{}}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.links = newLinks(h, g.allows, cfg.Patience)
	t.links.up = func(p peer.ID) { t.call(p, "node is up", t.handler.Up) }
	t.links.down = func(p peer.ID) { t.call(p, "node is down", t.handler.Down) }
	t.links.gossip = t.gossiping
	t.links.mute = func(p peer.ID) {
		t.counts.mute.Add(1)
		t.log.Debug("close node that does not speak tipmesh", "peer", p.String())
	}
	return t, nil
}

// Start implements node.Transport. Serve and Gossip may be called for a node
// before its Up: the other side can be ready first.
func (t *Transport) Start(h node.Handler) error {
	t.mu.Lock()
	if t.closed || t.started {
		t.mu.Unlock()
		return fmt.Errorf("start transport: %w", ErrClosed)
	}
	t.started, t.handler = true, h
	t.mu.Unlock()

	sub, err := t.links.subscribe()
	if err != nil {
		return fmt.Errorf("subscribe to identify: %w", err)
	}
	t.events = sub
	t.loops.Go(func() { t.links.watch(sub) })
	t.loops.Go(func() { t.links.run(t.ctx) })
	t.host.Network().Notify(&network.NotifyBundle{
		ConnectedF:    func(_ network.Network, c network.Conn) { t.connected(c) },
		DisconnectedF: func(_ network.Network, c network.Conn) { t.links.drop(c) },
	})
	t.host.SetStreamHandler(SyncProtocol, t.serve)
	if err := t.startGossip(t.ctx); err != nil {
		return err
	}
	// Listening comes last: identify answers with the protocols known by then.
	bound, err := listenOn(t.host, t.cfg.Listen, t.cfg.Packets != nil)
	if err != nil {
		return err
	}
	t.mu.Lock()
	t.bound = bound
	t.mu.Unlock()
	return nil
}

// connected looks at a connection before its first stream.
func (t *Transport) connected(c network.Conn) {
	if !t.gate.allows(c.RemotePeer()) {
		// It passed the gate just before Allow took the node off.
		t.loops.Go(func() { c.Close() })
		return
	}
	t.links.note(c, false)
}

// enter counts a call into the handler; it fails once Close has begun.
func (t *Transport) enter() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.calls.Add(1)
	return true
}

func (t *Transport) leave() { t.calls.Done() }

// call tells the handler of a node.
func (t *Transport) call(p peer.ID, what string, f func(protocol.Key)) {
	key, ok := keyOf(p)
	if !ok || !t.enter() {
		return
	}
	defer t.leave()
	t.log.Debug(what, "peer", p.String())
	f(key)
}

// serve hands an incoming sync stream to the handler.
func (t *Transport) serve(s network.Stream) {
	p := s.Conn().RemotePeer()
	key, ok := t.gate.key(p)
	if !ok || !t.enter() {
		s.Reset()
		return
	}
	defer t.leave()
	if !t.take(p) {
		t.counts.streams.Add(1)
		s.Reset()
		return
	}
	defer t.release(p)
	defer s.Close()
	if t.succeeds(p, s.Conn()) {
		for _, c := range t.host.Network().ConnsToPeer(p) {
			if c.Stat().Opened.Before(s.Conn().Stat().Opened) {
				c.Close()
			}
		}
	}
	t.handler.Serve(key, s)
}

// succeeds notes the connection of a node's newest sync stream and reports
// whether the stream before it came on another that is still open. A node has
// one such stream at a time: so it was killed, or has lost its connections, and
// this side would not know until they time out.
func (t *Transport) succeeds(p peer.ID, c network.Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	last := t.newest[p]
	t.newest[p] = c
	for other, conn := range t.newest {
		if conn.IsClosed() {
			delete(t.newest, other)
		}
	}
	return last != nil && last != c && !last.IsClosed()
}

func (t *Transport) take(p peer.ID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.streams[p] >= MaxStreams {
		return false
	}
	t.streams[p]++
	return true
}

func (t *Transport) release(p peer.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.streams[p]--; t.streams[p] == 0 {
		delete(t.streams, p)
	}
}

// Bound is what Start listens on, as host:port. A node keeps it, so that a
// port once chosen stays.
func (t *Transport) Bound() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.bound)
}

// Addresses implements node.Transport.
func (t *Transport) Addresses() []string { return addressesOf(t.host) }

// Allow implements node.Transport.
func (t *Transport) Allow(nodes []protocol.Key) {
	t.allowMu.Lock()
	defer t.allowMu.Unlock()
	set := make(map[peer.ID]protocol.Key, len(nodes))
	for _, key := range nodes {
		if p, err := peerOf(key); err == nil && key != t.self {
			set[p] = key
		}
	}
	old := t.gate.replace(set)
	for p := range set {
		if _, had := old[p]; !had {
			t.host.ConnManager().Protect(p, protectTag)
		}
	}
	for p := range old {
		if _, has := set[p]; !has {
			t.host.ConnManager().Unprotect(p, protectTag)
		}
	}
	var closing sync.WaitGroup
	for _, p := range t.host.Network().Peers() {
		if _, has := set[p]; !has {
			closing.Go(func() { t.host.Network().ClosePeer(p) })
		}
	}
	closing.Wait()
	for p := range old {
		if _, has := set[p]; !has {
			t.host.Peerstore().RemovePeer(p)
			t.host.Peerstore().ClearAddrs(p)
		}
	}
}

// Connect implements node.Transport. It tries every address, by QUIC and by
// TCP. The other side may still refuse just after it has returned.
func (t *Transport) Connect(ctx context.Context, key protocol.Key, addresses []string) error {
	p, err := peerOf(key)
	if err != nil {
		return err
	}
	if !t.gate.allows(p) {
		return ErrNotAllowed
	}
	net := t.host.Network()
	if net.Connectedness(p) == network.Connected {
		return nil
	}
	addrs := dialAddrs(addresses, t.cfg.Packets != nil)
	if len(addrs) == 0 {
		return errors.New("connect node: no usable address")
	}
	// Only what the caller names is dialled, not what the node once said. The
	// named come first: a dial under way must not find none.
	book := t.host.Peerstore()
	book.AddAddrs(p, addrs, peerstore.TempAddrTTL)
	for _, known := range book.Addrs(p) {
		if !slices.ContainsFunc(addrs, known.Equal) {
			book.SetAddr(p, known, 0)
		}
	}
	if sw, ok := net.(*swarm.Swarm); ok {
		sw.Backoff().Clear(p) // when to try again is the caller's to decide
	}
	if _, err := net.DialPeer(ctx, p); err != nil && net.Connectedness(p) != network.Connected {
		return fmt.Errorf("connect node: %w", err)
	}
	return nil
}

// dialAddrs gives the libp2p forms of the addresses that can be read.
func dialAddrs(addresses []string, packetsOnly bool) []ma.Multiaddr {
	var out []ma.Multiaddr
	for _, a := range addresses {
		forms, err := multiaddrs(a)
		if err != nil {
			continue
		}
		if packetsOnly {
			forms = forms[:1]
		}
		out = append(out, forms...)
	}
	return out
}

// Disconnect implements node.Transport.
func (t *Transport) Disconnect(key protocol.Key) {
	if p, err := peerOf(key); err == nil {
		t.host.Network().ClosePeer(p)
	}
}

// Open implements node.Transport.
func (t *Transport) Open(ctx context.Context, key protocol.Key) (node.Stream, error) {
	p, err := peerOf(key)
	if err != nil {
		return nil, err
	}
	if !t.gate.allows(p) {
		return nil, ErrNotAllowed
	}
	s, err := t.host.NewStream(network.WithNoDial(ctx, "sync"), p, SyncProtocol)
	if err != nil {
		return nil, fmt.Errorf("open stream: %w", err)
	}
	return s, nil
}

// Close implements node.Transport. No call into the handler begins after it
// has begun, and none is running when it returns; so it must not be called
// from one.
func (t *Transport) Close() error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil
	}
	t.closed = true
	t.mu.Unlock()

	t.cancel()
	err := t.host.Close() // ends every connection, and so every stream
	if t.events != nil {
		t.events.Close()
	}
	t.links.stop()
	t.calls.Wait()
	t.loops.Wait()
	if err != nil {
		return fmt.Errorf("close host: %w", err)
	}
	return nil
}

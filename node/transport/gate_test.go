package transport

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	core "github.com/libp2p/go-libp2p/core/protocol"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
)

// plainHost is a libp2p host that knows nothing of us.
func plainHost(t testing.TB) host.Host {
	t.Helper()
	h, err := libp2p.New(
		libp2p.ListenAddrStrings("/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0"),
		libp2p.Transport(libp2pquic.NewTransport), libp2p.Transport(tcp.NewTCPTransport),
		libp2p.DisableRelay(), libp2p.DisableMetrics())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// eventually waits for a state that no channel tells of.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(wait)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func TestStrangerLearnsNothing(t *testing.T) {
	for i, kind := range []string{"QUIC", "TCP"} {
		t.Run(kind, func(t *testing.T) {
			a, b := pair(t)
			h := plainHost(t)
			ctx, cancel := context.WithTimeout(context.Background(), wait)
			defer cancel()
			ps, err := pubsub.NewGossipSub(ctx, h,
				pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign), pubsub.WithNoAuthor())
			if err != nil {
				t.Fatal(err)
			}
			topic, err := ps.Join(topicName(a.cfg.Mesh))
			if err != nil {
				t.Fatal(err)
			}
			sub, err := topic.Subscribe()
			if err != nil {
				t.Fatal(err)
			}
			forms, err := multiaddrs(a.Bound()[0])
			if err != nil {
				t.Fatal(err)
			}
			target := a.host.ID()
			h.Peerstore().AddAddr(target, forms[i], peerstore.PermanentAddrTTL)
			// A QUIC dialer may believe itself connected for a moment.
			h.Connect(ctx, peer.AddrInfo{ID: target})
			for _, p := range []core.ID{SyncProtocol, "/ipfs/id/1.0.0", "/meshsub/1.2.0", "/ipfs/ping/1.0.0"} {
				s, err := h.NewStream(ctx, target, p)
				if err != nil {
					continue
				}
				s.Write([]byte("x"))
				if n, err := s.Read(make([]byte, 1)); n > 0 || err == nil {
					t.Errorf("%s: read %d bytes, %v", p, n, err)
				}
			}
			eventually(t, "the stranger to be cut off", func() bool {
				return a.Stats().Strangers > 0 && h.Network().Connectedness(target) != network.Connected
			})
			publishUntil(t, a, b, []byte("for members"))
			checkIgnorant(t, h, a)
			quick, cancelQuick := context.WithTimeout(ctx, 50*time.Millisecond)
			defer cancelQuick()
			if msg, err := sub.Next(quick); err == nil {
				t.Errorf("the stranger got %q", msg.Data)
			}
			if len(ps.ListPeers(topicName(a.cfg.Mesh))) > 0 {
				t.Error("the stranger sees a peer in the topic")
			}
		})
	}
}

// checkIgnorant checks what a host knows of a node that refused it.
func checkIgnorant(t *testing.T, h host.Host, a *peerNode) {
	t.Helper()
	target := a.host.ID()
	if got, _ := h.Peerstore().GetProtocols(target); len(got) > 0 {
		t.Errorf("the stranger knows protocols %v", got)
	}
	if got, err := h.Peerstore().Get(target, "AgentVersion"); err == nil {
		t.Errorf("the stranger knows agent %v", got)
	}
	if a.host.Network().Connectedness(h.ID()) == network.Connected {
		t.Error("the stranger is connected")
	}
	if got, _ := a.host.Peerstore().GetProtocols(h.ID()); len(got) > 0 {
		t.Errorf("identify ran with the stranger: %v", got)
	}
}

func TestNeverDialsStrangers(t *testing.T) {
	a, b := startNode(t, nil), startNode(t, nil)
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	if err := a.Connect(ctx, b.key, b.Addresses()); !errors.Is(err, ErrNotAllowed) {
		t.Fatalf("dialled a stranger: %v", err)
	}
	if _, err := a.Open(ctx, b.key); !errors.Is(err, ErrNotAllowed) {
		t.Fatalf("opened a stream to a stranger: %v", err)
	}
	// Another node answers at the address of an allowed one.
	other := startNode(t, nil)
	allowAll(a, b, other)
	if err := a.Connect(ctx, other.key, b.Addresses()); err == nil {
		t.Fatal("connected to a node that is not whom it was asked for")
	}
}

func TestAllowClosesConnections(t *testing.T) {
	a, b := pair(t)
	served := make(chan error, 1)
	b.serveWith(func(_ protocol.Key, s node.Stream) {
		s.Write([]byte("."))
		_, err := io.Copy(io.Discard, s)
		served <- err
	})
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	s, err := a.Open(ctx, b.key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write([]byte(".")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	b.Allow(nil)
	if n := len(b.host.Network().Conns()); n != 0 {
		t.Fatalf("%d connections after Allow", n)
	}
	if next(t, "down", b.downs) != a.key || next(t, "down", a.downs) != b.key {
		t.Fatal("down for another node")
	}
	if err := next(t, "the stream to end", served); err == nil {
		t.Error("the stream ended as if all was well")
	}
	if _, err := s.Read(make([]byte, 1)); err == nil {
		t.Error("the opener's stream lives on")
	}
	// Back on the roster, back in.
	b.Allow([]protocol.Key{a.key})
	connect(t, a, b)
	next(t, "up again", a.ups)
	next(t, "up again", b.ups)
}

func TestAddressesSurviveRefusal(t *testing.T) {
	a, b := startNode(t, nil), startNode(t, nil)
	a.Allow([]protocol.Key{b.key}) // b does not know a yet
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	for range 3 {
		a.Connect(ctx, b.key, b.Addresses()) // refused, at once or a moment later
		eventually(t, "the refusal", func() bool { return len(a.host.Network().Conns()) == 0 })
	}
	b.Allow([]protocol.Key{a.key})
	connect(t, a, b) // no backoff stands in the way
	next(t, "up", a.ups)
	next(t, "up", b.ups)
	if len(a.downs) > 0 {
		t.Error("down without up")
	}
}

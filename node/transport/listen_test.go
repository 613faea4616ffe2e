package transport

import (
	"context"
	"crypto/rand"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

func TestPeerID(t *testing.T) {
	n := startNode(t, nil)
	text := PeerID(n.key)
	if !strings.HasPrefix(text, "12D3KooW") || text != n.host.ID().String() {
		t.Errorf("PeerID = %q, libp2p says %q", text, n.host.ID())
	}
	if key, ok := keyOf(n.host.ID()); !ok || key != n.key {
		t.Errorf("keyOf = %v, %v", key, ok)
	}
	_, pub, err := crypto.GenerateSecp256k1Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := peer.IDFromPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []peer.ID{other, "", "nonsense"} {
		if key, ok := keyOf(id); ok {
			t.Errorf("keyOf(%q) = %v", id, key)
		}
	}
	if _, err := New(Config{Key: make([]byte, 3)}); err == nil {
		t.Error("a short key was taken")
	}
}

func TestReachable(t *testing.T) {
	addrs := func(texts ...string) (out []ma.Multiaddr) {
		for _, s := range texts {
			out = append(out, ma.StringCast(s))
		}
		return out
	}
	join := func(list []ma.Multiaddr) (s string) {
		for _, a := range list {
			s += a.String() + " "
		}
		return strings.TrimSpace(s)
	}
	for _, c := range []struct{ in, want []ma.Multiaddr }{
		{addrs("/ip4/127.0.0.1/tcp/1"), addrs("/ip4/127.0.0.1/tcp/1")},
		{addrs("/ip4/127.0.0.1/tcp/1", "/ip6/fe80::1/tcp/1", "/ip4/10.0.0.1/tcp/1", "/ip6/2600::1/tcp/1", "/ip4/8.8.8.8/tcp/1"),
			addrs("/ip4/8.8.8.8/tcp/1", "/ip6/2600::1/tcp/1", "/ip4/10.0.0.1/tcp/1")},
		{addrs("/ip4/0.0.0.0/tcp/1"), nil},
	} {
		if got := reachable(c.in); join(got) != join(c.want) {
			t.Errorf("reachable(%v) = %v, want %v", c.in, got, c.want)
		}
	}
}

func TestListenEverywhere(t *testing.T) {
	n := startNode(t, func(c *Config) { c.Listen = []string{":0"} })
	bound := n.Bound()
	if len(bound) == 0 || !strings.HasPrefix(bound[0], "0.0.0.0:") {
		t.Fatal(bound)
	}
	_, port, _ := net.SplitHostPort(bound[0])
	if len(bound) > 1 && bound[1] != "[::]:"+port {
		t.Errorf("bound %v", bound)
	}
	if len(n.Addresses()) == 0 || len(n.Addresses()) > maxAddresses {
		t.Errorf("addresses %v", n.Addresses())
	}
	for _, a := range n.Addresses() {
		host, p, err := net.SplitHostPort(a)
		if ip := net.ParseIP(host); err != nil || p != port || ip == nil || ip.IsUnspecified() {
			t.Errorf("address %q", a)
		}
	}
	for _, bad := range []string{"", "127.0.0.1", "127.0.0.1:x", "example.org:1", "127.0.0.1:70000"} {
		tr, err := New(Config{Key: newKey(t), Listen: []string{bad}})
		if err != nil {
			t.Fatal(err)
		}
		if err := tr.Start(newRecorder()); err == nil {
			t.Errorf("listens on %q", bad)
		}
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestWithoutUDP connects through a forwarder that passes only TCP, under a
// name instead of a number.
func TestWithoutUDP(t *testing.T) {
	a, b := startNode(t, nil), startNode(t, nil)
	allowAll(a, b)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", b.Bound()[0])
			if err != nil {
				in.Close()
				continue
			}
			go func() { io.Copy(in, out); in.Close() }()
			go func() { io.Copy(out, in); out.Close() }()
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	if err := a.Connect(ctx, b.key, []string{"127.0.0.1:1", "localhost:" + port}); err != nil {
		t.Fatal(err)
	}
	up := next(t, "up", a.ups)
	if up != b.key {
		t.Error("up for another node")
	}
	if err := a.Connect(ctx, b.key, nil); err != nil {
		t.Errorf("connect while connected: %v", err)
	}
}

package transporttest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/node/transport"
	"github.com/tipmesh/tipmesh/protocol"
)

// Spread connects n transports over loopback, each with each, and gives a
// function that publishes a message at the first and returns once all others
// have it. No message may be used twice. What that takes is the least that any
// share can take.
func Spread(tb testing.TB, n int) func(msg []byte) {
	tb.Helper()
	arrived := make(chan struct{}, n)
	var nodes []*transport.Transport
	var keys []protocol.Key
	for range n {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			tb.Fatal(err)
		}
		t, err := transport.New(transport.Config{Key: key, MaxNodes: n, Listen: []string{"127.0.0.1:0"}})
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { t.Close() })
		if err := t.Start(sink{arrived}); err != nil {
			tb.Fatal(err)
		}
		nodes, keys = append(nodes, t), append(keys, protocol.Key(key.Public().(ed25519.PublicKey)))
	}
	join(tb, nodes, keys)
	return func(msg []byte) {
		if err := nodes[0].Publish(msg); err != nil {
			tb.Fatal(err)
		}
		late := time.NewTimer(10 * time.Second)
		defer late.Stop()
		for range n - 1 {
			select {
			case <-arrived:
			case <-late.C:
				tb.Fatal("a message did not reach everybody")
			}
		}
	}
}

// join connects each with each and waits until all gossip.
func join(tb testing.TB, nodes []*transport.Transport, keys []protocol.Key) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, t := range nodes {
		t.Allow(keys)
	}
	for i, t := range nodes {
		for j := range i {
			if err := t.Connect(ctx, keys[j], nodes[j].Addresses()); err != nil {
				tb.Fatal(err)
			}
		}
	}
	for _, t := range nodes {
		for t.GossipNeighbours() < len(nodes)-1 {
			select {
			case <-ctx.Done():
				tb.Fatal("the gossip did not form")
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
}

// sink counts what arrives.
type sink struct{ arrived chan<- struct{} }

func (sink) Up(protocol.Key)                     {}
func (sink) Down(protocol.Key)                   {}
func (sink) Serve(_ protocol.Key, s node.Stream) { io.Copy(io.Discard, s) }
func (s sink) Gossip(protocol.Key, []byte) node.Verdict {
	s.arrived <- struct{}{}
	return node.Accept
}

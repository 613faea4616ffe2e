package transporttest_test

import (
	"context"
	"crypto/ed25519"
	"io"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/node/transport"
	"github.com/tipmesh/tipmesh/node/transport/transporttest"
	"github.com/tipmesh/tipmesh/protocol"
)

type handler struct {
	ups, downs chan protocol.Key
	msgs       chan []byte
}

func (h *handler) Up(k protocol.Key)                   { h.ups <- k }
func (h *handler) Down(k protocol.Key)                 { h.downs <- k }
func (h *handler) Serve(_ protocol.Key, s node.Stream) { io.Copy(s, s) }
func (h *handler) Gossip(_ protocol.Key, m []byte) node.Verdict {
	h.msgs <- m
	return node.Accept
}

type sim struct {
	*transport.Transport
	*handler
	key protocol.Key
}

func start(t *testing.T, net *transporttest.Network, count int) []*sim {
	var nodes []*sim
	var keys []protocol.Key
	for i := range count {
		key := ed25519.NewKeyFromSeed(append(make([]byte, 31), byte(i+1)))
		tr, err := transport.New(transport.Config{
			Key: key, Mesh: protocol.MeshID{1}, MaxNodes: 32,
			Listen: []string{net.Address(i)}, Packets: net.Packets,
		})
		if err != nil {
			t.Fatal(err)
		}
		h := &handler{make(chan protocol.Key, 64), make(chan protocol.Key, 64), make(chan []byte, 4096)}
		if err := tr.Start(h); err != nil {
			t.Fatal(err)
		}
		s := &sim{tr, h, protocol.Key(key.Public().(ed25519.PublicKey))}
		nodes, keys = append(nodes, s), append(keys, s.key)
	}
	for _, n := range nodes {
		n.Allow(keys)
	}
	synctest.Wait()
	return nodes
}

func connect(t *testing.T, nodes []*sim) {
	t.Helper()
	for i, a := range nodes {
		for _, b := range nodes[:i] {
			if err := a.Connect(t.Context(), b.key, b.Addresses()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestSimulated(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, func(t *testing.T) {
		const count = 5
		net := transporttest.NewNetwork(transporttest.Options{})
		defer net.Close()
		nodes := start(t, net, count)
		defer func() {
			for _, n := range nodes {
				n.Close()
			}
		}()
		connect(t, nodes)
		time.Sleep(5 * time.Second) // virtual
		for i, n := range nodes {
			if len(n.ups) != count-1 || len(n.downs) != 0 {
				t.Fatalf("node %d: %d up, %d down", i, len(n.ups), len(n.downs))
			}
		}
		if err := nodes[0].Publish([]byte("hint")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		for i, n := range nodes[1:] {
			if len(n.msgs) != 1 {
				t.Errorf("node %d got %d messages", i+1, len(n.msgs))
			}
		}
		echo(t, nodes[0], nodes[4])

		net.Partition([]int{0, 1})
		time.Sleep(2 * time.Minute)
		for i, want := range []int{3, 3, 2, 2, 2} {
			if len(nodes[i].downs) != want {
				t.Errorf("node %d: %d down, want %d", i, len(nodes[i].downs), want)
			}
		}
		net.Heal()
		net.Lose(0.05)
		connect(t, nodes)
		time.Sleep(20 * time.Second)
		for i, want := range []int{7, 7, 6, 6, 6} {
			if len(nodes[i].ups) != want {
				t.Errorf("node %d: %d up, want %d", i, len(nodes[i].ups), want)
			}
		}
		echo(t, nodes[0], nodes[4])
	})
}

func echo(t *testing.T, a, b *sim) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s, err := a.Open(ctx, b.key)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.SetReadDeadline(time.Now().Add(30 * time.Second))
	if _, err := s.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(s, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
}

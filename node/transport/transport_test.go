package transport

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
)

// wait bounds whatever a test waits for; nothing takes nearly as long.
const wait = 15 * time.Second

// recorder is a handler that passes on what it is told.
type recorder struct {
	ups, downs chan protocol.Key
	msgs       chan []byte
	froms      chan protocol.Key

	mu      sync.Mutex
	verdict func([]byte) node.Verdict
	onServe func(protocol.Key, node.Stream)
	state   map[protocol.Key]bool
	broken  bool
}

// turn notes an up without a down before it, or a down without an up.
func (r *recorder) turn(k protocol.Key, up bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state == nil {
		r.state = map[protocol.Key]bool{}
	}
	if r.state[k] == up {
		r.broken = true
	}
	r.state[k] = up
}

// isDown tells whether all nodes are down, and whether order was kept so far.
func (r *recorder) isDown() (down, ordered bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	down = true
	for _, up := range r.state {
		down = down && !up
	}
	return down, !r.broken
}

func newRecorder() *recorder {
	return &recorder{
		ups: make(chan protocol.Key, 64), downs: make(chan protocol.Key, 64),
		msgs: make(chan []byte, 8192), froms: make(chan protocol.Key, 8192),
		onServe: func(_ protocol.Key, s node.Stream) { io.Copy(s, s) },
	}
}

func (r *recorder) Up(k protocol.Key)   { r.turn(k, true); r.ups <- k }
func (r *recorder) Down(k protocol.Key) { r.turn(k, false); r.downs <- k }
func (r *recorder) Serve(k protocol.Key, s node.Stream) {
	r.mu.Lock()
	serve := r.onServe
	r.mu.Unlock()
	serve(k, s)
}
func (r *recorder) Gossip(from protocol.Key, msg []byte) node.Verdict {
	r.msgs <- bytes.Clone(msg)
	r.froms <- from
	r.mu.Lock()
	verdict := r.verdict
	r.mu.Unlock()
	if verdict != nil {
		return verdict(msg)
	}
	return node.Accept
}

// serveWith and judgeWith change how a transport that already runs is answered.
func (r *recorder) serveWith(serve func(protocol.Key, node.Stream)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.onServe = serve
}

func (r *recorder) judgeWith(verdict func([]byte) node.Verdict) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.verdict = verdict
}

// peerNode is a transport under test with its key and handler.
type peerNode struct {
	*Transport
	*recorder
	key protocol.Key
}

func newKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return priv
}

func testLog() *slog.Logger {
	if os.Getenv("TIPMESH_TEST_LOG") == "" {
		return nil
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func startNode(t testing.TB, change func(*Config)) *peerNode {
	t.Helper()
	cfg := Config{Key: newKey(t), Mesh: protocol.MeshID{1}, Listen: []string{"127.0.0.1:0"}, MaxNodes: 32, Log: testLog()}
	if change != nil {
		change(&cfg)
	}
	tr, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
	n := &peerNode{Transport: tr, recorder: newRecorder(), key: protocol.Key(cfg.Key.Public().(ed25519.PublicKey))}
	if err := tr.Start(n.recorder); err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *peerNode) Close() error { return n.Transport.Close() }

// allowAll lets all nodes in at all others.
func allowAll(nodes ...*peerNode) {
	var keys []protocol.Key
	for _, n := range nodes {
		keys = append(keys, n.key)
	}
	for _, n := range nodes {
		n.Allow(keys)
	}
}

func connect(t testing.TB, a, b *peerNode) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	if err := a.Connect(ctx, b.key, b.Addresses()); err != nil {
		t.Fatal(err)
	}
}

func next[T any](t testing.TB, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(wait):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

// pair gives two connected nodes that both say Up.
func pair(t testing.TB) (a, b *peerNode) {
	t.Helper()
	a, b = startNode(t, nil), startNode(t, nil)
	allowAll(a, b)
	connect(t, a, b)
	if next(t, "up", a.ups) != b.key || next(t, "up", b.ups) != a.key {
		t.Fatal("up for another node")
	}
	return a, b
}

func TestStreamAndGossip(t *testing.T) {
	a, b := pair(t)
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	s, err := a.Open(ctx, b.key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 5)
	s.SetReadDeadline(time.Now().Add(wait))
	if _, err := io.ReadFull(s, buf); err != nil || string(buf) != "hello" {
		t.Fatalf("echo: %q, %v", buf, err)
	}
	s.Close()

	publishUntil(t, a, b, []byte("a hint"))
	if from := next(t, "sender", b.froms); from != a.key {
		t.Fatal("gossip from another node")
	}
	select {
	case <-a.msgs:
		t.Fatal("own message judged")
	default:
	}
}

// publishUntil publishes until the other side has it: subscriptions travel
// after Up, and gossip promises nothing.
func publishUntil(t testing.TB, a, b *peerNode, msg []byte) {
	t.Helper()
	deadline := time.After(wait)
	for i := byte(0); ; i++ {
		if err := a.Publish(append([]byte{i}, msg...)); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-b.msgs:
			if !bytes.Equal(got[1:], msg) {
				t.Fatalf("got %q", got)
			}
			return
		case <-time.After(50 * time.Millisecond):
		case <-deadline:
			t.Fatal("no gossip arrived")
		}
	}
}

func TestSamePort(t *testing.T) {
	n := startNode(t, func(c *Config) { c.Listen = []string{"127.0.0.1:0", "127.0.0.2:0"} })
	if len(n.Bound()) != 2 || len(n.Addresses()) != 2 {
		t.Fatal(n.Bound(), n.Addresses())
	}
	for _, at := range n.Bound() {
		if c, err := net.ListenPacket("udp", at); err == nil {
			c.Close()
			t.Errorf("UDP %s is free", at)
		}
		if l, err := net.Listen("tcp", at); err == nil {
			l.Close()
			t.Errorf("TCP %s is free", at)
		}
	}
	tr, err := New(Config{Key: newKey(t), Listen: n.Bound()})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	if err := tr.Start(newRecorder()); err == nil {
		t.Fatal("a second node on the same port started")
	}
}

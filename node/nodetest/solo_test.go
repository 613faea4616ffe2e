package nodetest

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
	"github.com/tipmesh/tipmesh/protocol/seal"
	"github.com/tipmesh/tipmesh/store"
)

// puppet is a transport whose neighbours the test plays.
type puppet struct {
	mu      sync.Mutex
	streams []*puppetStream
	slow    time.Duration // a stream that was reset ends so much later
}

func (p *puppet) Start(node.Handler) error                              { return nil }
func (p *puppet) Addresses() []string                                   { return nil }
func (p *puppet) Allow([]protocol.Key)                                  {}
func (p *puppet) Connect(context.Context, protocol.Key, []string) error { return errors.New("nobody") }
func (p *puppet) Disconnect(protocol.Key)                               {}
func (p *puppet) Publish([]byte) error                                  { return nil }
func (p *puppet) Close() error                                          { return nil }
func (p *puppet) Open(context.Context, protocol.Key) (node.Stream, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &puppetStream{slow: p.slow, reset: make(chan struct{}), wrote: make(chan []byte, 1024), in: make(chan []byte, 16)}
	p.streams = append(p.streams, s)
	return s, nil
}

func (p *puppet) opened() []*puppetStream {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.streams
}

// puppetStream gives what the test puts in, and keeps what the node writes.
type puppetStream struct {
	slow  time.Duration
	once  sync.Once
	reset chan struct{}
	wrote chan []byte
	in    chan []byte
	rest  []byte
}

func (s *puppetStream) Read(b []byte) (int, error) {
	for len(s.rest) == 0 {
		select {
		case s.rest = <-s.in:
		case <-s.reset:
			time.Sleep(s.slow)
			return 0, io.ErrClosedPipe
		}
	}
	n := copy(b, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func (s *puppetStream) Write(b []byte) (int, error)      { s.wrote <- b; return len(b), nil }
func (s *puppetStream) Close() error                     { return nil }
func (s *puppetStream) Reset() error                     { s.once.Do(func() { close(s.reset) }); return nil }
func (s *puppetStream) SetReadDeadline(time.Time) error  { return nil }
func (s *puppetStream) SetWriteDeadline(time.Time) error { return nil }

// asked lists the types of the requests the node wrote.
func (s *puppetStream) asked(m *Mesh) (out []replica.Type) {
	m.T.Helper()
	for len(s.wrote) > 0 {
		msg, err := replica.Decode((<-s.wrote)[4:])
		m.must(err)
		out = append(out, msg.Type())
	}
	return out
}

// solo runs member 0's node alone, over any store, with a puppet.
func (m *Mesh) solo(s store.Store, p *puppet, change ...func(*node.Config)) (n *node.Node, stop func() error) {
	m.T.Helper()
	_, err := s.Commit(context.Background(), &store.Commit{Statements: m.all})
	m.must(err)
	me := m.Members[0]
	cfg := node.Config{Mesh: m.ID, Member: me.ID, NodeKey: me.nodeKey, MemberKey: me.key, MemberAge: []*seal.Identity{me.age},
		Store: s, Transport: p, Log: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(&cfg)
	}
	n, err = node.New(cfg)
	m.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	started, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- n.Run(ctx, func() { close(started) }) }()
	<-started
	synctest.Wait()
	return n, func() error {
		cancel()
		return <-done
	}
}

// A neighbour's connection that is replaced at once, while the stream on the old
// one takes its time to end, is synced with all the same.
func TestConnectionReplacedAtOnce(t *testing.T) {
	Run(t, Options{Nodes: 2, Seed: 270}, func(t *testing.T, m *Mesh) {
		p := &puppet{slow: time.Second}
		n, stop := m.solo(m.Members[0].Store, p)
		k := protocol.KeyOf(m.Members[1].nodeKey)
		n.Up(k)
		time.Sleep(time.Second)
		n.Down(k)
		n.Up(k)
		time.Sleep(5 * time.Second)
		if len(p.opened()) < 2 {
			t.Fatal("no second stream")
		}
		if asked := p.opened()[len(p.opened())-1].asked(m); len(asked) == 0 || asked[0] != replica.TypeHello {
			t.Errorf("on the second connection the node asks %v", asked)
		}
		m.must(stop())
	})
}

// broken is a store whose arrivals cannot be read.
type broken struct{ store.Store }

func (broken) Arrivals(uint64, func(store.Arrival) bool) error { return errors.New("disk on fire") }
func (broken) LastArrival() uint64                             { return 7 }

// A node that cannot index any more stops with an error, and whoever waits for
// it is told.
func TestWaitsEndWhenTheNodeStops(t *testing.T) {
	Run(t, Options{Nodes: 2, Seed: 271}, func(t *testing.T, m *Mesh) {
		_, err := m.Members[0].Store.Commit(context.Background(), &store.Commit{Statements: m.all})
		m.must(err)
		n, stop := m.solo(broken{m.Members[0].Store}, &puppet{})
		if err := n.CatchUp(context.Background()); err == nil {
			t.Error("the index is said to have caught up")
		}
		if _, err := n.WaitHeld(context.Background(), []store.Place{{Seq: 1}}, 1); err == nil {
			t.Error("somebody is said to hold an entry")
		}
		if err := stop(); err == nil {
			t.Error("the node stops without an error")
		}
	})
}

// counting counts commits of addresses.
type counting struct {
	store.Store
	mu      sync.Mutex
	commits int
}

func (c *counting) Commit(ctx context.Context, x *store.Commit) (uint64, error) {
	for name := range x.Settings {
		if len(name) > 8 && name[:8] == "address/" {
			c.mu.Lock()
			c.commits++
			c.mu.Unlock()
			time.Sleep(time.Second) // a slow disk
		}
	}
	return c.Store.Commit(ctx, x)
}

// A neighbour that changes its addresses all the time has them written once a
// minute, and does not keep the node from anything.
func TestChangingAddressesCostLittle(t *testing.T) {
	Run(t, Options{Nodes: 2, Seed: 272}, func(t *testing.T, m *Mesh) {
		s := &counting{Store: m.Members[0].Store}
		n, stop := m.solo(s, &puppet{})
		k := protocol.KeyOf(m.Members[1].nodeKey)
		in := &puppetStream{reset: make(chan struct{}), wrote: make(chan []byte, 4096), in: make(chan []byte, 16)}
		go n.Serve(k, in)
		began := time.Now()
		for i := range 1200 {
			hello := replica.Hello{Version: protocol.Version, Mesh: m.ID, Addresses: []string{"10.0.0.1:" + string(rune('1'+i%9))}}
			in.in <- replica.Encode(&hello)
			time.Sleep(100 * time.Millisecond)
		}
		if took := time.Since(began); took > 3*time.Minute {
			t.Errorf("hellos took %v", took)
		}
		if n.Status(time.Time{}).Peers[0].Heard < time.Now().Add(-time.Second).UnixMilli() {
			t.Error("the last hello has not been taken in")
		}
		ignoreErr(in.Reset())
		m.must(stop())
		if s.commits > 3 {
			t.Errorf("%d writes in two minutes", s.commits)
		}
	})
}

func ignoreErr(error) {}

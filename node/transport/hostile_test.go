package transport

import (
	"bytes"
	"context"
	"encoding/binary"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	core "github.com/libp2p/go-libp2p/core/protocol"

	"github.com/tipmesh/tipmesh/protocol"
)

// field is a field of a protobuf message, of bytes.
func field(n byte, data []byte) []byte {
	return append(binary.AppendUvarint([]byte{n<<3 | 2}, uint64(len(data))), data...)
}

// The parts of gossipsub's frames, by hand: a frame, a message in it, and a
// subscription.
func rpcOf(parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	return append(binary.AppendUvarint(nil, uint64(len(body))), body...)
}
func messageOf(topic string, data []byte) []byte {
	return field(2, append(field(2, data), field(4, []byte(topic))...))
}
func subscribe(topic string) []byte {
	return field(1, append([]byte{1 << 3, 1}, field(2, []byte(topic))...))
}

// rawPeer is a host of another make whose key a node lets in.
func rawPeer(t *testing.T, at *peerNode, others ...*peerNode) host.Host {
	t.Helper()
	h := plainHost(t)
	key, ok := keyOf(h.ID())
	if !ok {
		t.Fatal("no Ed25519 key")
	}
	// The node waits for sync to be spoken, and gossip to be subscribed to.
	h.SetStreamHandler(SyncProtocol, func(s network.Stream) {})
	h.SetStreamHandler("/meshsub/1.1.0", func(s network.Stream) {})
	allowed := append(keysOf(others), key, at.key)
	at.Allow(allowed)
	target, err := peerOf(at.key)
	if err != nil {
		t.Fatal(err)
	}
	var info peer.AddrInfo
	info.ID = target
	for _, a := range at.Addresses() {
		forms, err := multiaddrs(a)
		if err != nil {
			t.Fatal(err)
		}
		info.Addrs = append(info.Addrs, forms...)
	}
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	if err := h.Connect(ctx, info); err != nil {
		t.Fatal(err)
	}
	return h
}

// gossipStream opens a stream of gossipsub's.
func gossipStream(t *testing.T, h host.Host, to *peerNode) network.Stream {
	t.Helper()
	target, err := peerOf(to.key)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	s, err := h.NewStream(ctx, target, core.ID("/meshsub/1.1.0"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetWriteDeadline(time.Now().Add(wait)); err != nil {
		t.Fatal(err)
	}
	return s
}

func liveHeap() int64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

// A changed libp2p that sends gossip of any size has its stream ended, at once
// where the length alone says so; what is a little too long is rejected, and none
// of it reaches the node, while others gossip on.
func TestHostileOversizedGossip(t *testing.T) {
	a, b := pair(t)
	publishUntil(t, b, a, []byte("warm"))
	h := rawPeer(t, a, b)
	before := liveHeap()
	topic := topicName(a.cfg.Mesh)
	for i, frame := range [][]byte{
		binary.AppendUvarint(nil, 1<<32),
		binary.AppendUvarint(nil, 1<<63),
		append(binary.AppendUvarint(nil, MaxMessage+1025), make([]byte, MaxMessage+1025)...),
		rpcOf(messageOf(topic, make([]byte, 1<<20))),
		rpcOf(bytes.Repeat([]byte{0xff}, 1000)),
	} {
		s := gossipStream(t, h, a)
		s.Write(frame) // may fail: the other side gives up in the middle
		eventually(t, "the end of stream "+strconv.Itoa(i), func() bool {
			_, err := s.Write([]byte{0})
			return err != nil
		})
	}
	s := gossipStream(t, h, a)
	long := append([]byte("long"), make([]byte, MaxMessage)...)
	if _, err := s.Write(rpcOf(messageOf(topic, long))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the rejection", func() bool { return a.Stats().Rejected > 0 })
	if _, err := s.Write(rpcOf(messageOf(topic, []byte("short")))); err != nil {
		t.Fatal(err)
	}
	for got := ""; got != "short"; {
		if got = string(next(t, "the short message", a.msgs)); len(got) > MaxMessage {
			t.Fatalf("%d bytes reach the node", len(got))
		}
	}
	if grown := liveHeap() - before; grown > 8<<20 {
		t.Errorf("%d bytes more", grown)
	}
	publishUntil(t, b, a, []byte("still here"))
}

// A flood of small messages, of subscriptions to topics without end and of
// requests for messages is bounded: what a neighbour sends too much of is dropped
// and counted, others gossip on.
func TestHostileGossipFrames(t *testing.T) {
	a, b := pair(t)
	publishUntil(t, b, a, []byte("warm"))
	h := rawPeer(t, a, b)
	for _, n := range []*peerNode{a, b} { // what the nodes hear must be taken off
		go func() {
			for range n.msgs {
				<-n.froms
			}
		}()
	}
	before := liveHeap()
	topic := topicName(a.cfg.Mesh)
	s := gossipStream(t, h, a)
	const messages, frames = 20_000, 200
	began := time.Now()
	for i := range frames {
		var parts [][]byte
		for k := range messages / frames {
			parts = append(parts, messageOf(topic, binary.BigEndian.AppendUint64(nil, uint64(i*messages+k))))
		}
		for k := range 50 {
			parts = append(parts, subscribe("topic-"+strconv.Itoa(i*50+k)))
		}
		ids := field(1, []byte(topic))
		for k := range 100 {
			ids = append(ids, field(2, binary.BigEndian.AppendUint64(make([]byte, 24), uint64(i*100+k)))...)
		}
		parts = append(parts, field(3, field(1, ids)))
		s.SetWriteDeadline(time.Now().Add(wait))
		if _, err := s.Write(rpcOf(parts...)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the end of the flood", func() bool {
		c := a.Stats()
		return c.Flooded+c.Accepted+c.Overrun >= messages*9/10
	})
	c := a.Stats()
	grown := liveHeap() - before
	t.Logf("%d accepted, %d flooded, %d overrun, %d bytes more", c.Accepted, c.Flooded, c.Overrun, grown)
	if most := (floodBurst + floodRate*(time.Since(began).Seconds()+1)) / floodMessage; float64(c.Accepted) > most {
		t.Errorf("%d messages looked at, at most %.0f", c.Accepted, most)
	}
	if grown > 32<<20 {
		t.Errorf("%d bytes more", grown)
	}
	accepted := a.Stats().Accepted
	eventually(t, "gossip of another neighbour", func() bool {
		if err := b.Publish(binary.BigEndian.AppendUint64([]byte("still here "), a.Stats().Accepted)); err != nil {
			t.Fatal(err)
		}
		return a.Stats().Accepted > accepted
	})
}

func keysOf(nodes []*peerNode) (keys []protocol.Key) {
	for _, n := range nodes {
		keys = append(keys, n.key)
	}
	return keys
}

// A neighbour may send so much gossip in a row and so much a second, whatever it
// did before, and others as much beside it.
func TestFloods(t *testing.T) {
	var f floods
	now := time.Unix(1e9, 0)
	count := func(p peer.ID) (n int) {
		for f.allows(p, floodMessage, now) {
			n++
		}
		return n
	}
	if n := count("a"); n != floodBurst/floodMessage {
		t.Errorf("%d messages in a row", n)
	}
	now = now.Add(time.Second)
	if n := count("a"); n != floodRate/floodMessage {
		t.Errorf("%d messages after a second", n)
	}
	now = now.Add(-time.Hour)
	if n := count("a"); n != 0 {
		t.Errorf("%d messages after the clock went back", n)
	}
	now = now.Add(1000 * time.Hour)
	if n := count("a"); n != floodBurst/floodMessage {
		t.Errorf("%d messages in a row after a long rest", n)
	}
	if n := count("b"); n != floodBurst/floodMessage {
		t.Errorf("%d messages of another", n)
	}
}

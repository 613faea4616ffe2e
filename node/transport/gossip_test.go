package transport

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/node"
)

func TestOversized(t *testing.T) {
	a, b := pair(t)
	publishUntil(t, a, b, []byte("warm"))
	if err := a.Publish(make([]byte, MaxMessage+1)); err == nil {
		t.Fatal("an oversized message was published")
	}
	publishUntil(t, a, b, bytes.Repeat([]byte{7}, MaxMessage-1))
}

func TestPublishAlone(t *testing.T) {
	if err := startNode(t, nil).Publish([]byte("nobody listens")); err != nil {
		t.Fatal(err)
	}
}

// TestVerdicts checks in a line of three that only accepted messages pass.
func TestVerdicts(t *testing.T) {
	a, b, c := startNode(t, nil), startNode(t, nil), startNode(t, nil)
	b.judgeWith(func(m []byte) node.Verdict { return node.Verdict(m[len(m)-1] - '0') })
	allowAll(a, b, c)
	connect(t, a, b)
	connect(t, c, b)
	publishUntil(t, a, c, []byte("accept 1"))
	for from := next(t, "sender", c.froms); from != b.key; {
		t.Fatal("a message came from a node that is not connected")
	}
	drain := func(n *peerNode) {
		for len(n.msgs) > 0 {
			<-n.msgs
		}
	}
	drain(b)
	drain(c)
	for _, m := range []string{"?ignore 0", "?reject 2", "?accept 1"} {
		if err := a.Publish([]byte(m)); err != nil {
			t.Fatal(err)
		}
	}
	for got := ""; got != "?accept 1"; {
		got = string(next(t, "the accepted message", c.msgs))
		if got[0] == '?' && got != "?accept 1" {
			t.Fatalf("%q was passed on", got)
		}
	}
	eventually(t, "the judgement", func() bool { return b.Stats().Ignored+b.Stats().Rejected == 2 })
	if b.Stats().Rejected != 1 || b.Rejections()[a.key] != 1 {
		t.Errorf("rejections: %+v, %v", b.Stats(), b.Rejections())
	}
}

// mesh gives n nodes, all connected, all in each other's gossip.
func mesh(t testing.TB, n int) []*peerNode {
	t.Helper()
	var nodes []*peerNode
	for range n {
		nodes = append(nodes, startNode(t, nil))
	}
	allowAll(nodes...)
	for i, a := range nodes {
		for _, b := range nodes[:i] {
			connect(t, a, b)
		}
	}
	eventually(t, "full gossip", func() bool {
		for _, a := range nodes {
			if a.GossipNeighbours() < n-1 {
				return false
			}
		}
		return true
	})
	return nodes
}

// TestBurst reports what share of a burst arrives; gossip promises none.
func TestBurst(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	count := 2000
	if raceEnabled {
		count = 100
	}
	nodes := mesh(t, 10)
	begin := time.Now()
	msg := make([]byte, 300)
	for i := range count {
		binary.BigEndian.PutUint64(msg, uint64(i))
		if err := nodes[0].Publish(msg); err != nil {
			t.Fatal(err)
		}
	}
	published := time.Since(begin)
	total, last := 0, time.Now()
	for seen := -1; total < count*9 && time.Since(last) < 3*time.Second; {
		total = 0
		for _, n := range nodes[1:] {
			total += len(n.msgs)
		}
		if total != seen {
			seen, last = total, time.Now()
		}
		<-time.After(5 * time.Millisecond)
	}
	var unsent, overrun uint64
	for _, n := range nodes {
		unsent, overrun = unsent+n.Stats().Unsent, overrun+n.Stats().Overrun
	}
	t.Logf("%d of %d delivered (%.1f %%); published in %v, all after %v; %d unsent, %d overrun",
		total, count*9, 100*float64(total)/float64(count*9), published.Round(time.Millisecond),
		last.Sub(begin).Round(time.Millisecond), unsent, overrun)
}

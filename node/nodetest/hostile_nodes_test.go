package nodetest

import (
	"context"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/node/transport"
	"github.com/tipmesh/tipmesh/protocol"
)

// A member that goes through sixty-four nodes, eight at a time, and has each
// begin feeds, gets as many feeds as there may be of one member, and connections
// of the eight that its card names.
func TestHostileSixtyFourNodes(t *testing.T) {
	if testing.Short() {
		t.Skip("begins 12,800 feeds")
	}
	amid(t, 3, 470, func(t *testing.T, l *liar) {
		const rounds, each, most = 8, 200, 8192
		prev := *l.p.card
		card := func(r int, count int) (*protocol.Statement, error) {
			c := *l.p.card.Doc().(*protocol.Card)
			c.Version, c.Member, c.Prev, c.Nodes = uint64(r+2), l.p.ID, prev.ID(), nil
			for i := range count {
				c.Nodes = append(c.Nodes, protocol.CardNode{Key: protocol.KeyOf(seeded(470, "many", r*8+i))})
			}
			slices.SortFunc(c.Nodes, func(a, b protocol.CardNode) int { return a.Key.Compare(b.Key) })
			return protocol.NewStatement(l.ID, &c, time.Now().UnixMilli(), l.p.key)
		}
		if _, err := card(0, protocol.MaxNodes+1); err == nil {
			t.Error("a card names nine nodes")
		}
		before, routines := heap(), runtime.NumGoroutine()
		own := l.p.nodeKey
		for r := range rounds {
			s, err := card(r, protocol.MaxNodes)
			l.must(err)
			l.must(l.Members[0].Node.Submit(s))
			prev = *s
			time.Sleep(2 * time.Second)
			for i := range protocol.MaxNodes {
				l.p.nodeKey = seeded(470, "many", r*8+i)
				for k := range each {
					in := l.entry(k, nil, []byte("x"))
					l.give(0, 1, in)
				}
				time.Sleep(100 * time.Millisecond)
			}
		}
		l.p.nodeKey = own
		time.Sleep(time.Minute)
		total := 0
		for _, f := range l.Members[0].Store.Feeds() {
			if m, ok := l.Members[0].Node.Roster().Author(f.Node); ok && m.ID == l.p.ID {
				total++
			}
		}
		if total < 4000 || total > most {
			t.Errorf("%d feeds of one member", total)
		}
		if l.refused(0, node.ReasonQuota) == 0 {
			t.Error("nothing was counted as over the quota")
		}
		// The last eight and the eight before come to the door, with as many
		// streams as they are let open.
		let := 0
		var doors []*transport.Transport
		for i := range 2 * protocol.MaxNodes {
			tr, err := transport.New(transport.Config{Key: seeded(470, "many", (rounds-2)*8+i), Mesh: l.ID,
				Listen: []string{l.Net.Address(100 + i)}, Packets: l.Net.Packets})
			l.must(err)
			doors = append(doors, tr)
			tr.Allow([]protocol.Key{l.nodeOf(0)})
			l.must(tr.Start(l))
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			ignoreErr(tr.Connect(ctx, l.nodeOf(0), []string{l.Net.Address(0)}))
			for range 2 * transport.MaxStreams {
				if s, err := tr.Open(ctx, l.nodeOf(0)); err == nil {
					_, err = s.Write([]byte{0, 15, 0, 0, 1})
					ignoreErr(err)
				}
			}
			cancel()
		}
		time.Sleep(3 * time.Second)
		for _, p := range l.Members[0].Node.Status(time.Time{}).Peers {
			if p.Member == l.p.ID && p.Up {
				let++
			}
		}
		if let != protocol.MaxNodes {
			t.Errorf("%d nodes of the member are connected", let)
		}
		grown := int64(heap()) - int64(before)
		t.Logf("%d feeds, %d connected, %d bytes and %d goroutines more", total, let, grown, runtime.NumGoroutine()-routines)
		if grown > 128<<20 {
			t.Errorf("%d bytes more", grown)
		}
		if n := runtime.NumGoroutine() - routines; n > 1000 { // most are of the sixteen hosts
			t.Errorf("%d goroutines more", n)
		}
		l.bounded(0, 1)
		for _, tr := range doors {
			l.must(tr.Close())
		}
		time.Sleep(5 * time.Second)
		l.heeded(0, 1)
	})
}

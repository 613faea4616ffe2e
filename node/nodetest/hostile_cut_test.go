package nodetest

import (
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// A writer whose branches part at the first entry is proven to fork at the second,
// and cuts its feed after the first: the nodes must not end with different first
// entries that nobody disputes.
func TestHostileCutsBelowTheProof(t *testing.T) {
	amid(t, 3, 460, func(t *testing.T, l *liar) {
		l.Net.Partition([]int{0}, []int{1, 2})
		time.Sleep(time.Minute)
		var feed protocol.FeedID
		for j := range 2 {
			a := l.entry(1, nil, []byte{byte(j)})
			feed = a.h.Feed
			l.put(l.nodeOf(j), a, l.entry(1, a.h, []byte{byte(j), 1}))
		}
		time.Sleep(2 * time.Minute)
		l.Net.Partition([]int{0, 2}, []int{1})
		time.Sleep(3 * time.Minute)
		for j := range 2 {
			if l.holds(j, feed).Head != 2 {
				t.Fatal("a branch has not arrived: the test is blind")
			}
		}
		l.Net.Heal()
		time.Sleep(3 * time.Minute)
		fork, ok := l.Members[0].Node.Roster().Fork(l.nodeOf(2))
		if !ok {
			t.Fatal("no fork is known")
		}
		r := l.Members[0].Node.Roster()
		s, err := protocol.NewStatement(l.ID, &protocol.Cut{Member: l.p.ID, Line: r.Line, Node: l.nodeOf(2),
			Cuts: []protocol.FeedCut{{Feed: feed, Seq: 1}}}, time.Now().UnixMilli(), l.p.key)
		l.must(err)
		l.must(l.Members[0].Node.Submit(s))
		time.Sleep(5 * time.Minute)
		var first [2]protocol.EntryID
		for j := range first {
			h, err := l.Members[j].Store.Header(store.Place{Feed: feed, Seq: 1})
			l.must(err)
			first[j] = h.ID()
		}
		for j := range first {
			fork2, _ := l.Members[j].Node.Roster().Fork(l.nodeOf(2))
			t.Logf("same %v, proof at %d, afterwards at %d, resolved %v", first[0] == first[1], fork.Seq, fork2.Seq, fork2.Resolved)
			if first[0] != first[1] && fork2.Resolved {
				t.Errorf("node %d disputes nothing though first entries differ", j)
			}
		}
	})
}

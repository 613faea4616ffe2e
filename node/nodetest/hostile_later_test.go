package nodetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/node"
)

// A group goes through epoch after epoch, for each newcomer may read nothing older.
// Who writes for it uses up one feed, of those that a node may begin and a cut may
// name. Who came last, with none of the first epochs, still cuts all of it where the
// writer leaves.
func TestGroupEpochsShareAFeed(t *testing.T) {
	Run(t, Options{Nodes: 6, Seed: 770}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		id := m.CreateGroup(0, node.GroupTerms{Name: "g", Deputies: m.ids(5)}, 1, 5)
		had := m.feedsOf(0, 1)
		for i := range 4 {
			if i > 0 {
				_, err := m.Members[0].Node.GroupAdd(t.Context(), id, m.Members[i+1].ID)
				m.must(err)
			}
			time.Sleep(10 * time.Second)
			m.sharedIn(1, id, fmt.Sprintf("epoch-%d.com", i))
		}
		time.Sleep(20 * time.Second)
		epochs := 0
		m.must(m.Members[0].Store.Settings("epoch/", func(string, []byte) error { epochs++; return nil }))
		if epochs < 4 {
			t.Fatalf("%d epochs: the test is blind", epochs)
		}
		if n := m.feedsOf(0, 1) - had; n != 1 {
			t.Errorf("%d feeds for one group, want one", n)
		}
		m.wantReads(1, "epoch-3.com", 0, 1, 2, 3, 4, 5)
		m.must(m.Members[1].Node.GroupLeave(t.Context(), id))
		time.Sleep(30 * time.Second)
		for _, i := range []int{0, 4} {
			if g, _ := m.Members[i].Node.Group(id); g.In(m.Members[1].ID) || len(g.Cuts(m.Members[1].ID)) != 1 {
				t.Errorf("node %d cuts %v", i, g.Cuts(m.Members[1].ID))
			}
		}
		m.wantReads(1, "epoch-3.com", 0, 1, 2, 3, 4, 5)
	})
}

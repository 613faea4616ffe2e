package nodetest

import (
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
)

// A feed that its member has cut takes no more entries: what is shared after
// goes to another feed, or everybody would leave it out.
func TestSharesAfterOwnCutArrive(t *testing.T) {
	Run(t, Options{Nodes: 3, Seed: 101}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		m.must(m.Share(1, "before-cut.com"))
		m.Settle(time.Minute, m.All()...)
		cut := m.acked[0].Places[0]
		_, err := m.Members[1].Node.State(&protocol.Cut{Member: m.Members[1].ID, Line: m.line,
			Node: protocol.KeyOf(m.Members[1].nodeKey), Cuts: []protocol.FeedCut{{Feed: cut.Feed, Seq: cut.Seq}}})
		m.must(err)
		m.must(m.Share(1, "after-cut.com"))
		m.Settle(time.Minute, m.All()...)
		m.Check(m.All()...)
		for i := range 3 {
			if !m.Reads(i, 1, "after-cut.com") {
				t.Errorf("node %d lacks what was shared after the cut", i)
			}
		}
	})
}

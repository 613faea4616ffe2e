package nodetest

import (
	"slices"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/seal"
	"github.com/tipmesh/tipmesh/store"
)

// A grant reaches the maker's other nodes too.
func TestGrantIsForOwnNodesToo(t *testing.T) {
	Run(t, Options{Nodes: 2, Seed: 241}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		p := m.Members[1]
		_, err := p.Node.SetCard(func(c *protocol.Card) error {
			c.Nodes = append(slices.Clone(c.Nodes), protocol.CardNode{Key: protocol.KeyOf(seeded(1, "second", 0))})
			slices.SortFunc(c.Nodes, func(a, b protocol.CardNode) int { return a.Key.Compare(b.Key) })
			return nil
		})
		m.must(err)
		m.must(m.Share(1, "two-nodes.com"))
		granted := false
		for _, f := range p.Store.Feeds() {
			if f.Kind == protocol.EntryDirect && f.Node == protocol.KeyOf(p.nodeKey) {
				m.must(p.Store.Range(f.ID, 1, func(e store.Entry) bool {
					_, err := seal.OpenDirect(e.Payload, p.age)
					granted = granted || err == nil
					return true
				}))
			}
		}
		if !granted {
			t.Error("no grant opens with the maker's own identity")
		}
	})
}

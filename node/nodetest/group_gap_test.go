package nodetest

import (
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
)

// readmit lets a removed member in again with another node; it has stopped.
func (m *Mesh) readmit(i int) {
	m.T.Helper()
	p, f := m.Members[i], m.Members[0].Node
	p.nodeKey = seeded(m.opt.Seed, "another node", i)
	c := *p.card.Doc().(*protocol.Card)
	c.Version, c.Member, c.Prev = 2, p.ID, p.card.ID()
	c.Nodes = []protocol.CardNode{{Key: protocol.KeyOf(p.nodeKey), Recipient: p.nodeAge.Recipient()}}
	card, err := protocol.NewStatement(m.ID, &c, time.Now().UnixMilli(), p.key)
	m.must(err)
	m.must(f.Learn(card))
	gone, _ := f.Roster().Member(p.ID)
	a, err := f.State(&protocol.Admission{Member: p.ID, Line: f.Roster().Line, Card: card.ID(), Removed: []protocol.StatementID{gone.Removal}})
	m.must(err)
	m.approve(a.ID(), 0)
	m.all = f.Statements()
}

// Who is let in again hears of what became of its groups meanwhile.
func TestGroupGapOfWhoWasOut(t *testing.T) {
	Run(t, Options{Nodes: 4, Seed: 430}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		id := m.CreateGroup(0, node.GroupTerms{Name: "g"}, 1, 2)
		time.Sleep(5 * time.Second)
		m.wantGroup(id, []int{0, 1, 2}, 0, 1, 2)
		m.Stop(2)
		m.Remove(2)
		time.Sleep(10 * time.Second)
		m.readmit(2)
		m.Start(2)
		time.Sleep(2 * time.Minute)
		m.wantGroup(id, []int{0, 1}, 0, 1, 2)
		m.wantGroup(id, nil, 3)
	})
}

// A group founded beyond the cut of its founder's node is heard of once the
// founder is let in again.
func TestGroupGapBeyondACut(t *testing.T) {
	Run(t, Options{Nodes: 4, Seed: 431}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		m.Net.Partition([]int{2})
		id := m.CreateGroup(2, node.GroupTerms{Name: "g"}, 0, 1)
		m.Stop(2)
		m.Remove(2)
		m.Net.Heal()
		time.Sleep(10 * time.Second)
		m.readmit(2)
		m.Start(2)
		time.Sleep(2 * time.Minute)
		g, _ := m.Members[2].Node.Group(id)
		for i := range 2 {
			other, ok := m.Members[i].Node.Group(id)
			if !ok || other.Head.ID() != g.Head.ID() {
				t.Errorf("node %d does not know of the group", i)
			}
		}
		m.wantGroup(id, nil, 3)
	})
}

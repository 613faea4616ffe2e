package nodetest

import (
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
)

// Where who completed a removal has gone before it made an epoch, another node has
// made one by the time that somebody writes, and all of them only one.
func TestStandInMakesTheEpoch(t *testing.T) {
	Run(t, Options{Nodes: 6, Seed: 261}, func(t *testing.T, m *Mesh) {
		up := []int{1, 2, 3, 4}
		for _, i := range up {
			m.Start(i)
		}
		m.must(m.Share(1, "before.com"))
		m.Settle(2*time.Minute, up...)
		before := m.letters(1)
		gone, _ := m.Members[1].Node.Roster().Member(m.Members[5].ID)
		removal := m.sign(0, m.ID, &protocol.Removal{Member: gone.ID, Admission: gone.Admission, Line: m.line})
		approval := m.sign(0, m.ID, &protocol.Approval{Subject: removal.ID()})
		m.Members[1].Node.Gossip(protocol.KeyOf(m.Members[0].nodeKey),
			replica.EncodeGossip(&replica.Gossip{Statements: [][]byte{removal.Raw(), approval.Raw()}}))
		time.Sleep(2 * time.Minute)
		for _, i := range up {
			n := m.Members[i].Node
			if _, ok := n.Roster().ByNode(protocol.KeyOf(m.Members[5].nodeKey)); ok {
				t.Fatalf("node %d has not heard of the removal", i)
			}
			if got := m.letters(i); got != before+1 {
				t.Errorf("node %d holds %d grants after a removal, %d before", i, got, before)
			}
			began := time.Now()
			m.must(m.Share(i, "after.com"))
			if waited := time.Since(began); waited > time.Second {
				t.Errorf("a share of node %d waited %v for an epoch", i, waited)
			}
		}
		m.Settle(2*time.Minute, up...)
	})
}

// letters counts the direct entries that a member's node holds.
func (m *Mesh) letters(i int) (count uint64) {
	for _, f := range m.Members[i].Store.Feeds() {
		if f.Kind == protocol.EntryDirect {
			count += f.Head
		}
	}
	return count
}

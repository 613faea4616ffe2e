package nodetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
)

// A home is copied and both copies write, each on its side of a partition. When
// it heals everybody knows of the fork, the copy stops, the others go on and end
// with the same statements; the member's cut lets it write again.
func TestCopiedHomeForks(t *testing.T) {
	Run(t, Options{Nodes: 5, Seed: 230}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		const forked = 4
		m.must(m.Share(forked, "before.com"))
		m.Settle(time.Minute, m.All()...)
		copied := m.Members[forked].Store.Clone()
		m.Net.Partition([]int{0, 1, forked}, []int{2, 3})
		time.Sleep(time.Minute)
		m.must(m.Share(forked, "left-1.com"))
		m.must(m.Share(forked, "left-2.com"))
		time.Sleep(10 * time.Second)
		m.Stop(forked)
		m.Members[forked].Store = copied
		m.Net.Partition([]int{0, 1}, []int{2, 3, forked})
		m.Start(forked)
		time.Sleep(time.Minute)
		m.must(m.Share(forked, "right-1.com"))
		time.Sleep(10 * time.Second)
		m.Net.Heal()
		time.Sleep(3 * time.Minute)
		for _, i := range m.All() {
			if fork, ok := m.Members[i].Node.Roster().Fork(protocol.KeyOf(m.Members[forked].nodeKey)); !ok || fork.Resolved {
				t.Errorf("node %d knows of no fork", i)
			}
		}
		if err := m.Share(forked, "after-fork.com"); err == nil {
			t.Error("the copied node still writes")
		}
		for i := range 4 {
			m.must(m.Share(i, fmt.Sprintf("going-on-%d.com", i)))
		}
		m.Settle(2*time.Minute, m.All()...)
		for i := range 4 {
			for j := range 4 {
				if !m.Reads(i, j, fmt.Sprintf("going-on-%d.com", j)) {
					t.Errorf("node %d does not know what node %d shared after the fork", i, j)
				}
			}
		}
		for _, i := range m.All() {
			if a, b := m.Members[0].Node.Statements(), m.Members[i].Node.Statements(); len(a) != len(b) {
				t.Errorf("node %d holds %d statements, node 0 %d", i, len(b), len(a))
			}
		}
	})
}

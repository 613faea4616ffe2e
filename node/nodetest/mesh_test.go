package nodetest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/node/nodetest"
)

func TestShareReachesEveryone(t *testing.T) {
	nodetest.Run(t, nodetest.Options{Nodes: 4, Seed: 1}, func(t *testing.T, m *nodetest.Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		for i := range 4 {
			if err := m.Share(i, fmt.Sprintf("shared-by-%d.com", i)); err != nil {
				t.Fatal(err)
			}
		}
		m.Settle(time.Minute, m.All()...)
		m.Check(m.All()...)
	})
}

func TestStoppedNodeCatchesUp(t *testing.T) {
	nodetest.Run(t, nodetest.Options{Nodes: 4, Seed: 2}, func(t *testing.T, m *nodetest.Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		m.Stop(3)
		for i := range 30 {
			if err := m.Share(i%3, fmt.Sprintf("while-away-%d.com", i)); err != nil {
				t.Fatal(err)
			}
		}
		m.Start(3)
		m.Settle(2*time.Minute, m.All()...)
		m.Check(m.All()...)
	})
}

func TestRemovedMemberReadsNothingNew(t *testing.T) {
	nodetest.Run(t, nodetest.Options{Nodes: 4, Seed: 3}, func(t *testing.T, m *nodetest.Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		if err := m.Share(1, "before.com"); err != nil {
			t.Fatal(err)
		}
		m.Settle(time.Minute, m.All()...)
		m.Remove(3)
		time.Sleep(5 * time.Second)
		if err := m.Share(1, "after.com"); err != nil {
			t.Fatal(err)
		}
		m.Settle(time.Minute, 0, 1, 2)
		m.Check(0, 1, 2)
		if !m.Reads(3, 1, "before.com") {
			t.Error("the removed member has lost what it had")
		}
		if m.Reads(3, 1, "after.com") {
			t.Error("the removed member reads what came after")
		}
		for _, p := range m.Members[3].Node.Status(time.Time{}).Peers {
			if p.Up {
				t.Errorf("the removed member is still connected to %s", p.Handle)
			}
		}
	})
}

func TestBurstArrivesThoughGossipDrops(t *testing.T) {
	nodetest.Run(t, nodetest.Options{Nodes: 4, Seed: 4}, func(t *testing.T, m *nodetest.Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		m.Net.Lose(0.05)
		for i := range 2000 {
			if err := m.Share(i%4, fmt.Sprintf("burst-%d.com", i)); err != nil {
				t.Fatal(err)
			}
		}
		m.Net.Lose(0)
		m.Settle(10*time.Minute, m.All()...)
		m.Check(m.All()...)
	})
}

func TestPartitionHeals(t *testing.T) {
	nodetest.Run(t, nodetest.Options{Nodes: 5, Seed: 5}, func(t *testing.T, m *nodetest.Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		m.Net.Partition([]int{0, 1})
		time.Sleep(time.Minute)
		for i := range 20 {
			if err := m.Share(i%5, fmt.Sprintf("parted-%d.com", i)); err != nil {
				t.Fatal(err)
			}
		}
		m.Net.Heal()
		time.Sleep(2 * time.Minute)
		m.Settle(5*time.Minute, m.All()...)
		m.Check(m.All()...)
	})
}

func TestFullFeedIsFollowedByAnother(t *testing.T) {
	nodetest.Run(t, nodetest.Options{Nodes: 3, Seed: 6, Feed: 5}, func(t *testing.T, m *nodetest.Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		for i := range 12 {
			if err := m.Share(1, fmt.Sprintf("feed-%d.com", i)); err != nil {
				t.Fatal(err)
			}
		}
		m.Settle(time.Minute, m.All()...)
		m.Check(m.All()...)
		closed := 0
		for _, f := range m.Members[2].Store.Feeds() {
			if len(f.Missing) > 0 {
				t.Errorf("feed %s misses payloads %v", f.ID.Short(), f.Missing)
			}
			if f.Head == 5 {
				closed++
			}
		}
		if closed != 2 {
			t.Errorf("%d full feeds, want 2", closed)
		}
	})
}

// A machine that died says no goodbye: its neighbours' connections look alive for
// a while, even when the node is back elsewhere. That must not keep what it shares after its restart from them, nor
// from it that they hold it.
func TestDeadMachineIsHeardAtOnceElsewhere(t *testing.T) {
	nodetest.Run(t, nodetest.Options{Nodes: 4, Seed: 7}, func(t *testing.T, m *nodetest.Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		m.Net.Partition([]int{1})
		m.Crash(1)
		m.Members[1].At = 101 // so that nobody there resets the old connections
		m.Net.Heal()
		m.Net.Partition([]int{1})
		m.Start(1)
		for i := range 20 {
			if err := m.Share(1, fmt.Sprintf("back-%d.com", i)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(8 * time.Second)
		for _, i := range []int{0, 2, 3} {
			if !m.Reads(i, 1, "back-0.com") || !m.Reads(i, 1, "back-19.com") {
				t.Errorf("node %d has not got what was shared 8 s ago", i)
			}
		}
		for _, p := range m.Members[1].Node.Status(time.Time{}).Peers {
			if p.Behind > 0 {
				t.Errorf("%s has not said that it holds the last %d entries", p.Handle, p.Behind)
			}
		}
		m.Check(m.All()...)
	})
}

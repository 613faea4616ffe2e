package nodetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
)

// A home put back from an older copy learns from the others what it wrote since
// before it writes: it stops, nothing forks, nothing is lost, and it stays
// stopped when it is started again.
func TestHomePutBackWritesNothing(t *testing.T) {
	Run(t, Options{Nodes: 4, Seed: 280}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		m.must(m.Share(2, "before-1.com"))
		m.Settle(time.Minute, m.All()...)
		m.Stop(2)
		older := m.Members[2].Store.Clone()
		m.Start(2)
		for i := range 5 {
			m.must(m.Share(2, fmt.Sprintf("since-%d.com", i)))
		}
		m.Settle(time.Minute, m.All()...)
		m.Stop(2)
		m.Members[2].Store = older
		m.Start(2)
		if err := m.Share(2, "never.com"); !errors.Is(err, node.ErrStopped) {
			t.Errorf("the home that was put back writes: %v", err)
		}
		m.Settle(2*time.Minute, m.All()...)
		m.Check(m.All()...)
		for _, i := range m.All() {
			if s := m.Members[i].Node.Status(time.Time{}); len(s.Forks) > 0 {
				t.Errorf("node %d knows of a fork", i)
			}
		}
		m.Stop(2)
		m.Start(2)
		time.Sleep(10 * time.Second)
		if err := m.Share(2, "never.com"); !errors.Is(err, node.ErrStopped) {
			t.Errorf("started again, it writes: %v", err)
		}
	})
}

// A node that is alone, or whose neighbours do not answer, waits no longer than
// it must.
func TestFirstShareAloneWaitsBriefly(t *testing.T) {
	Run(t, Options{Nodes: 2, Seed: 281}, func(t *testing.T, m *Mesh) {
		m.Start(0)
		began := time.Now()
		m.must(m.Share(0, "alone.com"))
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("the first share took %v", took)
		}
	})
}

// A cut names the branch of a fork that survives. Those who hold the other one
// fetch it and show nothing of the other.
func TestLosingBranchIsNotShown(t *testing.T) {
	for right := 1; right <= 2; right++ {
		t.Run(fmt.Sprint(right), func(t *testing.T) { losing(t, right) })
	}
}

// losing has right entries on the losing branch. Where there is one, the proof
// is of the very place where the branches parted.
func losing(t *testing.T, right int) {
	Run(t, Options{Nodes: 5, Seed: 282}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		const forked = 4
		m.must(m.Share(forked, "common.com"))
		m.Settle(time.Minute, m.All()...)
		copied := m.Members[forked].Store.Clone()
		m.Net.Partition([]int{0, 1, forked}, []int{2, 3})
		time.Sleep(time.Minute)
		m.must(m.Share(forked, "left-1.com"))
		m.must(m.Share(forked, "left-2.com"))
		time.Sleep(10 * time.Second)
		left := m.Members[forked].Store
		m.Stop(forked)
		m.Members[forked].Store = copied
		m.Net.Partition([]int{0, 1}, []int{2, 3, forked})
		m.Start(forked)
		time.Sleep(time.Minute)
		for n := range right {
			m.must(m.Share(forked, fmt.Sprintf("right-%d.com", n+1)))
		}
		time.Sleep(10 * time.Second)
		m.Net.Heal()
		time.Sleep(3 * time.Minute)
		fork, ok := m.Members[0].Node.Roster().Fork(protocol.KeyOf(m.Members[forked].nodeKey))
		if !ok {
			t.Fatal("no fork is known")
		}
		feed, ok := left.Feed(fork.Feed)
		if !ok {
			t.Fatal("the left branch is not held")
		}
		m.acked = nil
		_, err := m.Members[forked].Node.State(&protocol.Cut{Member: m.Members[forked].ID, Line: m.line, Node: fork.Node,
			Cuts: []protocol.FeedCut{{Feed: feed.ID, Seq: feed.Head, Entry: feed.HeadID}}})
		m.must(err)
		time.Sleep(2 * time.Minute)
		for i := range 4 {
			for _, name := range []string{"common.com", "left-1.com", "left-2.com"} {
				if !m.Reads(i, forked, name) {
					t.Errorf("node %d does not know %s", i, name)
				}
			}
			for _, name := range []string{"right-1.com", "right-2.com"} {
				if m.Reads(i, forked, name) {
					t.Errorf("node %d shows %s of the losing branch", i, name)
				}
			}
			if s := m.Members[i].Node.Status(time.Time{}); len(s.Alerts) > 0 {
				t.Errorf("node %d says %v", i, s.Alerts)
			}
		}
		m.Check(m.All()...)
	})
}

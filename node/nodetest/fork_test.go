package nodetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
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

// Three victims of one writer hold three branches, of one, three and three
// entries. Once a cut names one, all hold that one, byte for byte, and look-ups
// answer from it alone; also at a node that hears of the cut late, and while the
// writer goes on serving each victim its own branch.
func TestBranchesBecomeOneAfterACut(t *testing.T) {
	for name, cut := range map[string]func(*liar, store.Feed){
		"the writer's own": func(l *liar, f store.Feed) {
			s, err := protocol.NewStatement(l.ID, &protocol.Cut{Member: l.p.ID, Line: l.line, Node: f.Node,
				Cuts: []protocol.FeedCut{{Feed: f.ID, Seq: f.Head, Entry: f.HeadID}}}, time.Now().UnixMilli(), l.p.key)
			l.must(err)
			l.must(l.Members[0].Node.Submit(s))
		},
		"a removal": func(l *liar, _ store.Feed) { l.Remove(3) },
	} {
		t.Run(name, func(t *testing.T) {
			amid(t, 4, 231, func(t *testing.T, l *liar) { branches(t, l, cut) })
		})
	}
}

func branches(t *testing.T, l *liar, cut func(*liar, store.Feed)) {
	e, id := l.epoch()
	write := func(after *protocol.Header, name string) incoming {
		plain, _ := l.p.domains(name)
		return l.entry(1, after, l.bundleOf(plain, id), l.tagged(e))
	}
	trunk := write(nil, "trunk.com")
	feed := trunk.h.Feed
	for j := range 3 {
		others := [][]int{{j, 3}}
		for k := range 3 {
			if k != j {
				others = append(others, []int{k})
			}
		}
		l.Net.Partition(others...)
		list := []incoming{trunk}
		for n := range []int{3, 3, 1}[j] {
			list = append(list, write(list[n].h, fmt.Sprintf("branch-%d-%d.com", j, n)))
		}
		l.put(l.nodeOf(j), list...)
		time.Sleep(3 * time.Minute)
		if held := l.holds(j, feed); held.Head != uint64(len(list)) || held.HeadID != list[len(list)-1].h.ID() {
			t.Fatalf("branch %d has not arrived, or another: %+v", j, held)
		}
	}
	l.Net.Partition([]int{0, 1, 3}, []int{2})
	time.Sleep(3 * time.Minute)
	for j := range 2 {
		if !l.Reads(j, 3, "trunk.com") || !l.Reads(j, 3, fmt.Sprintf("branch-%d-2.com", j)) {
			t.Errorf("node %d hides what it holds before a cut names the survivor", j)
		}
	}
	cut(l, l.holds(0, feed))
	time.Sleep(time.Minute)
	l.Stop(2)
	l.Net.Heal()
	l.Start(2)
	time.Sleep(15 * time.Minute)
	want := l.holds(0, feed)
	for j := range 3 {
		if got := l.holds(j, feed); got.Head != 4 || got.HeadID != want.HeadID {
			t.Errorf("node %d ends with %+v, node 0 with %+v", j, got, want)
		}
		for k := range 3 {
			for n := range []int{3, 3, 1}[k] {
				if name := fmt.Sprintf("branch-%d-%d.com", k, n); l.Reads(j, 3, name) != (k == 0) {
					t.Errorf("node %d shows %s: %v", j, name, k != 0)
				}
			}
		}
		if !l.Reads(j, 3, "trunk.com") {
			t.Errorf("node %d hides what came before the branches", j)
		}
		if s := l.Members[j].Node.Status(time.Time{}); s.Refused["malformed"] > 0 {
			t.Errorf("node %d: %v", j, s.Refused)
		}
	}
	l.leave()
	l.Settle(2*time.Minute, 0, 1, 2)
	l.Check(0, 1, 2)
}

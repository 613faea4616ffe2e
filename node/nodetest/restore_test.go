package nodetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// restore puts an older copy of a member's store in its place, under a new node
// key, and gives the card that names the new node beside the old one.
func (m *Mesh) restore(i int, older func(*Member)) *protocol.Statement {
	m.T.Helper()
	p := m.Members[i]
	old := protocol.KeyOf(p.nodeKey)
	older(p)
	m.must(node.Adopt(context.Background(), p.Store, old))
	p.nodeKey = seeded(m.opt.Seed, "restored", i)
	card := *p.card.Doc().(*protocol.Card)
	card.Version, card.Member, card.Prev = 2, p.ID, p.card.ID()
	card.Nodes = append(slices.Clone(card.Nodes), protocol.CardNode{Key: protocol.KeyOf(p.nodeKey)})
	slices.SortFunc(card.Nodes, func(a, b protocol.CardNode) int { return a.Key.Compare(b.Key) })
	s, err := protocol.NewStatement(m.ID, &card, time.Now().UnixMilli(), p.key)
	m.must(err)
	return s
}

// A home restored from a backup shares nothing until its card names it. Then it
// gets from the others what its old node wrote since the backup, retires that
// node, and shares: nothing is lost, and nothing forks.
func TestRestoreNeverForks(t *testing.T) {
	Run(t, Options{Nodes: 4, Seed: 420}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		m.must(m.Share(2, "before.com"))
		m.Settle(time.Minute, m.All()...)
		old, copied := protocol.KeyOf(m.Members[2].nodeKey), m.Members[2].Store.Clone()
		for n := range 5 {
			m.must(m.Share(2, fmt.Sprintf("since-%d.com", n)))
		}
		m.Settle(time.Minute, m.All()...)
		m.Stop(2)
		card := m.restore(2, func(p *Member) { p.Store = copied })
		m.Start(2)
		time.Sleep(30 * time.Second)
		restored := m.Members[2].Node
		if err := m.Share(2, "unnamed.com"); !errors.Is(err, node.ErrNotMember) {
			t.Errorf("it shares before a card names it: %v", err)
		}
		if s := restored.Status(time.Time{}); len(s.Alerts) == 0 {
			t.Error("it does not say that no card names it")
		}
		m.must(m.Members[0].Node.Submit(card))
		time.Sleep(3 * time.Minute)
		m.Settle(2*time.Minute, m.All()...)
		if _, waits := restored.Restored(); waits {
			t.Errorf("the old node is not retired: %+v", restored.Status(time.Time{}))
		}
		m.must(m.Share(2, "after.com"))
		m.Settle(time.Minute, m.All()...)
		m.Check(m.All()...)
		for _, i := range m.All() {
			n := m.Members[i].Node
			if _, acts := n.Roster().ByNode(old); acts {
				t.Errorf("at node %d the old node may still act", i)
			}
			if s := n.Status(time.Time{}); len(s.Forks) > 0 || len(s.Alerts) > 0 {
				t.Errorf("node %d: forks %v, alerts %v", i, s.Forks, s.Alerts)
			}
			for _, name := range []string{"before.com", "since-0.com", "since-4.com", "after.com"} {
				if !m.Reads(i, 2, name) {
					t.Errorf("node %d does not read %s", i, name)
				}
			}
			v, err := n.Verify(t.Context(), nil)
			if err != nil || v.Faults > 0 || v.Entries == 0 || v.Statements == 0 {
				t.Errorf("node %d: %+v %v", i, v, err)
			}
		}
	})
}

// While a node that may hold more of the old one's entries cannot be reached,
// nothing is cut off, but not for good.
func TestRestoreWaitsForAll(t *testing.T) {
	Run(t, Options{Nodes: 3, Seed: 421}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		m.must(m.Share(2, "before.com"))
		m.Settle(time.Minute, m.All()...)
		copied := m.Members[2].Store.Clone()
		m.Net.Partition([]int{0}, []int{1, 2})
		time.Sleep(time.Minute)
		m.must(m.Share(2, "only-1-has-it.com"))
		m.Settle(time.Minute, 1, 2)
		m.Stop(2)
		card := m.restore(2, func(p *Member) { p.Store = copied })
		m.Net.Partition([]int{0, 2}, []int{1})
		m.must(m.Members[0].Node.Submit(card))
		_, err := m.Members[2].Store.Commit(t.Context(), &store.Commit{Statements: []*protocol.Statement{card}})
		m.must(err)
		m.Start(2)
		time.Sleep(3 * time.Minute)
		if _, waits := m.Members[2].Node.Restored(); !waits {
			t.Error("it did not wait for node 1")
		}
		m.Net.Heal()
		time.Sleep(3 * time.Minute)
		m.Settle(2*time.Minute, m.All()...)
		if _, waits := m.Members[2].Node.Restored(); waits {
			t.Error("the old node is not retired")
		}
		m.Check(m.All()...)
		for _, i := range m.All() {
			if !m.Reads(i, 2, "only-1-has-it.com") {
				t.Errorf("node %d lacks what the old node wrote last", i)
			}
		}
	})
}

// A restored home whose card names it, and that meets nobody, shares nothing: who
// is in may have changed since the backup.
func TestRestoredAloneSharesNothing(t *testing.T) {
	Run(t, Options{Nodes: 2, Seed: 422}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		m.must(m.Share(1, "before.com"))
		m.Settle(time.Minute, m.All()...)
		m.StopAll()
		card := m.restore(1, func(*Member) {})
		_, err := m.Members[1].Store.Commit(t.Context(), &store.Commit{Statements: []*protocol.Statement{card}})
		m.must(err)
		m.Start(1)
		time.Sleep(time.Minute)
		if err := m.Share(1, "alone.com"); !errors.Is(err, node.ErrStopped) {
			t.Errorf("it shares by the roster of its backup: %v", err)
		}
		m.Start(0)
		m.must(m.Members[0].Node.Submit(card))
		time.Sleep(3 * time.Minute)
		m.Settle(2*time.Minute, m.All()...)
		m.must(m.Share(1, "together.com"))
		m.Settle(time.Minute, m.All()...)
		m.Check(m.All()...)
	})
}

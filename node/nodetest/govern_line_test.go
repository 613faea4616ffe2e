package nodetest

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

// House rules change everywhere, and govern what they are about.
func TestRulesReachAll(t *testing.T) {
	Run(t, Options{Nodes: 4, Seed: 706}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		m.govern(2, 3)
		r := m.Members[0].Node.Roster()
		s, err := m.Members[0].Node.State(&protocol.HouseRules{Prev: r.RulesAt, Line: r.Line, Rules: protocol.Rules{TLP: "amber", SettleSeconds: 600}})
		m.must(err)
		m.approve(s.ID(), 0)
		m.Stop(1) // offline, and back
		time.Sleep(time.Minute)
		m.stands(trust.StateActive, 1, 0)
		if got := m.Members[3].Node.Roster().Rules.TLP; got != "green" {
			t.Errorf("one governor has made the rules %q", got)
		}
		m.approve(s.ID(), 2)
		m.Start(1)
		time.Sleep(time.Minute)
		for i := range 4 {
			if got := m.Members[i].Node.Roster().Rules; got.TLP != "amber" {
				t.Errorf("node %d has the rules %+v", i, got)
			}
		}
		// A change of governors is final after ten minutes now: a rival shown later
		// changes nothing but alarms.
		time.Sleep(10 * time.Minute)
		m.rival(r.Line)
		m.agree(m.All()...)
	})
}

// rival shows everybody another change of governors beside a line that is final.
func (m *Mesh) rival(head protocol.StatementID) {
	m.T.Helper()
	prev := m.Members[0].Node.Statement(head).Doc().(*protocol.Governors).Prev
	g := &protocol.Governors{Prev: prev, Threshold: 1, Governors: []protocol.MemberID{m.Members[3].ID}}
	s, err := m.Members[0].Node.State(g)
	m.must(err)
	m.must(m.Members[3].Node.Learn(s))
	m.approve(s.ID(), 0, 3)
	time.Sleep(time.Minute)
	for _, i := range m.All() {
		if got := m.Members[i].Node.Roster().Line; got != head {
			m.T.Errorf("node %d has let a late rival undo what was final", i)
		}
	}
}

// Before it is final, a rival undoes a change of governors until somebody pins.
func TestRivalBeforeSettled(t *testing.T) {
	Run(t, Options{Nodes: 4, Seed: 707, Rules: protocol.Rules{SettleSeconds: 3600}}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		m.govern(2, 3)
		head := m.Members[0].Node.Roster().Line
		time.Sleep(50 * time.Minute)
		g := &protocol.Governors{Prev: m.ID2(), Threshold: 1, Governors: []protocol.MemberID{m.Members[3].ID}}
		s, err := m.Members[0].Node.State(g)
		m.must(err)
		m.approve(s.ID(), 0)
		m.must(m.Members[3].Node.Learn(s))
		m.approve(s.ID(), 3)
		time.Sleep(time.Minute)
		time.Sleep(2 * time.Hour) // neither is in the line: nothing settles by itself
		for i := range 4 {
			if r := m.Members[i].Node.Roster(); r.Line != m.ID2() || !alarmed(r, trust.AlarmRivalChanges) {
				t.Errorf("node %d: line %s", i, r.Line.Short())
			}
			m.must(m.Members[i].Node.Pin(head))
		}
		m.must(m.Share(0, "pinned.com"))
		m.Settle(2*time.Minute, m.All()...)
		m.agree(m.All()...)
		if r := m.Members[3].Node.Roster(); r.Line != head {
			t.Errorf("pinned, and the line ends with %s", r.Line.Short())
		}
	})
}

// ID2 is the charter as an element of the line.
func (m *Mesh) ID2() protocol.StatementID { return protocol.StatementID(m.ID) }

// Members that are let in again with a new node read and write; their old node
// stays out.
func TestReadmissionWithNewNode(t *testing.T) {
	Run(t, Options{Nodes: 3, Seed: 708}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		m.must(m.Share(2, "old.com"))
		m.Settle(time.Minute, m.All()...)
		m.Remove(2)
		time.Sleep(10 * time.Second)
		m.must(m.Share(0, "without.com"))
		m.Stop(2)
		p, f := m.Members[2], m.Members[0].Node
		old := m.nodeOf(2)
		p.nodeKey = seeded(708, "another node", 2)
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
		m.Start(2)
		time.Sleep(30 * time.Second)
		m.stands(trust.StateActive, 2, 0, 1, 2)
		m.must(m.Share(2, "again.com"))
		m.Settle(2*time.Minute, m.All()...)
		for i := range 2 {
			if !m.Reads(i, 2, "again.com") {
				t.Errorf("node %d does not read the new node", i)
			}
		}
		if r := f.Roster(); !m.Reads(2, 0, "without.com") || slices.ContainsFunc(r.Members, func(x *trust.Member) bool { return slices.Contains(x.Nodes, old) }) {
			t.Errorf("the old node acts, or history is kept from the member\n%s", r)
		}
		synctest.Wait()
	})
}

// Of two governors one has lost its key: two of three recovery keys and the new
// list replace it.
func TestRecoveryKeysReplaceGovernor(t *testing.T) {
	Run(t, Options{Nodes: 4, Seed: 709, Recovery: 3}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		m.govern(2, 2)
		m.Stop(1) // for good
		n := m.Members[0].Node
		before := n.Roster().Line
		g := &protocol.Governors{Prev: before, Threshold: 2, Governors: protocol.Sorted([]protocol.MemberID{m.Members[0].ID, m.Members[2].ID, m.Members[3].ID})}
		for _, p := range n.Roster().Proposals {
			if p.State == trust.ProposalDone {
				g.Accepts = append(g.Accepts, p.ID)
			}
		}
		protocol.Sorted(g.Accepts)
		s, err := n.State(g)
		m.must(err)
		m.approve(s.ID(), 0)
		time.Sleep(5 * time.Second)
		m.approve(s.ID(), 2)
		rescue := func(k int) {
			a, err := protocol.NewStatement(m.ID, &protocol.Approval{Subject: s.ID()}, time.Now().UnixMilli(), m.recoveryKey(k))
			m.must(err)
			m.must(n.Submit(a))
			time.Sleep(10 * time.Second)
		}
		rescue(0)
		if got := m.Members[3].Node.Roster().Line; got != before {
			t.Error("one recovery key of three is enough")
		}
		rescue(2)
		for _, i := range m.All() {
			if got := m.Members[i].Node.Roster(); got.Line != s.ID() {
				t.Errorf("node %d: the recovery keys change nothing\n%s", i, got)
			}
		}
		m.Start(1)
		m.Settle(2*time.Minute, m.All()...)
		m.agree(m.All()...)
		m.must(m.Share(1, "member-still.com"))
		m.Settle(2*time.Minute, m.All()...)
		m.Check(m.All()...)
	})
}

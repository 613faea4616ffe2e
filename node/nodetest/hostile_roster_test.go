package nodetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

// knocks shows a card to the join host once.
func (m *Mesh) knocks(d *door, t *protocol.Ticket, card *protocol.Statement) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err := node.Join(ctx, d.knock(), t, card, nil, func(*node.JoinReply) {})
	return err
}

// A ticket lets one card in. Who comes with another, after it ran out, with a
// guessed secret, a taken handle or another's node is refused; a thousand who try
// change nothing.
func TestHostileJoiners(t *testing.T) {
	Run(t, Options{Nodes: 2, Seed: 450}, func(t *testing.T, m *Mesh) {
		var list []*door
		n, stop := m.solo(m.Members[0].Store, &puppet{}, doors(&list))
		ticket, err := n.Invite("new", time.Now().Add(time.Hour), true)
		m.must(err)
		before := len(n.Statements())
		want := func(err error, words string) {
			t.Helper()
			if err == nil || !strings.Contains(err.Error(), words) {
				t.Errorf("the join ends with %v, want %q", err, words)
			}
		}
		owner, thief := m.late(), m.late()
		card := func(i int, change func(*protocol.Card)) *protocol.Statement {
			c := *m.Members[i].card.Doc().(*protocol.Card)
			change(&c)
			s, err := protocol.NewStatement(m.ID, &c, time.Now().UnixMilli(), m.Members[i].key)
			m.must(err)
			return s
		}
		for i := range 1000 {
			guess := *ticket
			guess.Secret[0] ^= byte(1 + i%255)
			want(m.knocks(list[0], &guess, m.Members[thief].card), "unknown")
		}
		want(m.knocks(list[0], ticket, card(thief, func(c *protocol.Card) { c.Handle = m.Members[1].Handle })), "taken")
		want(m.knocks(list[0], ticket, card(thief, func(c *protocol.Card) {
			c.Nodes = []protocol.CardNode{{Key: m.nodeOf(1)}}
		})), "names a node of")
		if len(n.Statements()) != before {
			t.Errorf("%d statements more", len(n.Statements())-before)
		}
		m.must(m.knocks(list[0], ticket, m.Members[owner].card))
		want(m.knocks(list[0], ticket, m.Members[thief].card), "has been used")
		m.must(m.knocks(list[0], ticket, m.Members[owner].card)) // again, as after a lost answer
		if r := n.Roster(); len(r.Active()) != 3 {
			t.Errorf("%d members are in", len(r.Active()))
		}
		if c := n.Status(time.Time{}).Refused[node.ReasonNotAdmitted]; c != 1001 {
			t.Errorf("%d refusals counted", c)
		}
		late, err := n.Invite("late", time.Now().Add(time.Minute), true)
		m.must(err)
		time.Sleep(2 * time.Minute)
		want(m.knocks(list[0], late, m.Members[thief].card), "run out")
		m.must(stop())
	})
}

// apart gives each of the statements to one of nodes 0, 1 ... while they are
// apart, heals, and checks that all end with one roster, which it gives.
func (m *Mesh) apart(each ...*protocol.Statement) *trust.Roster {
	m.T.Helper()
	var groups [][]int
	var nodes []int
	for i := range each {
		groups, nodes = append(groups, []int{i}), append(nodes, i)
	}
	m.Net.Partition(groups...)
	time.Sleep(time.Minute)
	for i, s := range each {
		m.must(m.Members[i].Node.Learn(s))
	}
	m.Net.Heal()
	time.Sleep(2 * time.Minute)
	m.Settle(2*time.Minute, nodes...)
	m.agree(nodes...)
	for _, i := range nodes {
		m.must(m.Share(i, fmt.Sprintf("with-the-conflict-%d.com", i)))
	}
	m.Settle(2*time.Minute, nodes...)
	m.Check(nodes...)
	return m.Members[0].Node.Roster()
}

func alarmed(r *trust.Roster, kind trust.AlarmKind) bool {
	return slices.ContainsFunc(r.Alarms, func(a trust.Alarm) bool { return a.Kind == kind })
}

// A member key that signs two cards after one, of times far off, shown to
// different nodes: the last common card stands everywhere, and everybody is told.
func TestHostileCards(t *testing.T) {
	Run(t, Options{Nodes: 3, Seed: 451}, func(t *testing.T, m *Mesh) {
		m.Start(0)
		m.Start(1)
		time.Sleep(5 * time.Second)
		p := m.Members[2]
		var rivals []*protocol.Statement
		for i := range 2 {
			c := *p.card.Doc().(*protocol.Card)
			c.Version, c.Member, c.Prev, c.Name = 2, p.ID, p.card.ID(), fmt.Sprint("rival ", i)
			s, err := protocol.NewStatement(m.ID, &c, []int64{forever, -forever}[i], p.key)
			m.must(err)
			rivals = append(rivals, s)
		}
		r := m.apart(rivals...)
		if got, ok := r.Member(p.ID); !ok || got.CardID != p.card.ID() || !alarmed(r, trust.AlarmRivalCards) {
			t.Errorf("the card is %v, alarms %v", got, r.Alarms)
		}
	})
}

// Two changes of governors after one, both approved by enough, shown to different
// nodes: neither applies anywhere, and everybody is told.
func TestHostileGovernors(t *testing.T) {
	Run(t, Options{Nodes: 3, Seed: 452}, func(t *testing.T, m *Mesh) {
		m.Start(0)
		m.Start(1)
		time.Sleep(5 * time.Second)
		head := m.Members[0].Node.Roster().Line
		var rivals []*protocol.Statement
		for i := 1; i < 3; i++ {
			c := &protocol.Governors{Prev: head, Governors: []protocol.MemberID{m.Members[i].ID}, Threshold: 1}
			for _, s := range m.all {
				if s.Kind == protocol.KindAdmission {
					c.Accepts = append(c.Accepts, s.ID())
				}
			}
			protocol.Sorted(c.Accepts)
			s, err := protocol.NewStatement(m.ID, c, time.Now().UnixMilli(), m.Members[0].key)
			m.must(err)
			rivals = append(rivals, s)
			for _, by := range []int{0, i} {
				a, err := protocol.NewStatement(m.ID, &protocol.Approval{Subject: s.ID()}, time.Now().UnixMilli(), m.Members[by].key)
				m.must(err)
				rivals = append(rivals, a)
			}
		}
		m.Net.Partition([]int{0}, []int{1})
		time.Sleep(time.Minute)
		m.must(m.Members[0].Node.Learn(rivals[:3]...))
		m.must(m.Members[1].Node.Learn(rivals[3:]...))
		if a, b := m.Members[0].Node.Roster().Line, m.Members[1].Node.Roster().Line; a == head || b == head || a == b {
			t.Fatal("the changes do not apply when alone: the test is blind")
		}
		m.Net.Heal()
		time.Sleep(2 * time.Minute)
		m.Settle(2*time.Minute, 0, 1)
		m.agree(0, 1)
		for i := range 2 {
			r := m.Members[i].Node.Roster()
			if r.Line != head || !alarmed(r, trust.AlarmRivalChanges) {
				t.Errorf("node %d: line %s, alarms %v", i, r.Line.Short(), r.Alarms)
			}
		}
		for i := range 2 {
			m.must(m.Share(i, fmt.Sprintf("with-the-conflict-%d.com", i)))
		}
		m.Settle(2*time.Minute, 0, 1)
		m.Check(0, 1)
	})
}

package nodetest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/seal"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
)

// governed makes members 0, 1 and 2 the governors, of whom two decide.
func (m *Mesh) governed() {
	m.T.Helper()
	f := m.Members[0].Node
	c := &protocol.Governors{Prev: f.Roster().Line, Threshold: 2}
	for i := range 3 {
		c.Governors = append(c.Governors, m.Members[i].ID)
	}
	protocol.Sorted(c.Governors)
	for _, s := range m.all {
		if s.Kind == protocol.KindAdmission {
			c.Accepts = append(c.Accepts, s.ID())
		}
	}
	protocol.Sorted(c.Accepts)
	change, err := f.State(c)
	m.must(err)
	for i := range 3 {
		time.Sleep(5 * time.Second)
		_, err := m.Members[i].Node.State(&protocol.Approval{Subject: change.ID()})
		m.must(err)
	}
	time.Sleep(5 * time.Second)
	if r := f.Roster(); r.Line != change.ID() {
		m.T.Fatalf("the governors have not changed: %s", r)
	}
}

// proposed has a member propose another's admission, and approves nothing.
func (m *Mesh) proposed(by, who int) protocol.StatementID {
	m.T.Helper()
	n, p := m.Members[by].Node, m.Members[who]
	s, err := protocol.NewStatement(m.ID, &protocol.Admission{Member: p.ID, Line: n.Roster().Line, Card: p.card.ID()}, time.Now().UnixMilli(), m.Members[by].key)
	m.must(err)
	m.must(n.Submit(s, p.card))
	return s.ID()
}

// A governor is removed on one side of a partition while on the other it gives the
// approval that lets a newcomer in, and the one that removes somebody else. Healed,
// every node has the same roster, in which both its approvals count or neither
// does, and honest members share on.
func TestHostileGovernorRemovedWhileItApproves(t *testing.T) {
	for name, first := range map[string]bool{"it approves first": true, "it is removed first": false} {
		t.Run(name, func(t *testing.T) {
			Run(t, Options{Nodes: 5, Seed: 480}, func(t *testing.T, m *Mesh) {
				m.StartAll()
				time.Sleep(5 * time.Second)
				m.must(m.Share(3, "before.com"))
				m.governed()
				line := m.Members[0].Node.Roster().Line
				state := func(i int, c protocol.Content) protocol.StatementID {
					t.Helper()
					s, err := m.Members[i].Node.State(c)
					m.must(err)
					return s.ID()
				}
				remove := func(by, of int) protocol.StatementID {
					n := m.Members[by].Node
					p, ok := n.Roster().Member(m.Members[of].ID)
					if !ok {
						t.Fatal("unknown member")
					}
					return state(by, &protocol.Removal{Member: p.ID, Admission: p.Admission, Line: line, Why: "test", Cuts: n.Heads(p.ID)})
				}
				x := m.late()
				admission := m.proposed(2, x)
				state(2, &protocol.Approval{Subject: admission})
				removal := remove(2, 4)
				state(2, &protocol.Approval{Subject: removal})
				time.Sleep(10 * time.Second)
				m.Net.Partition([]int{0, 2}, []int{1, 3, 4})
				time.Sleep(time.Minute)
				approve := func() {
					state(1, &protocol.Approval{Subject: admission})
					state(1, &protocol.Approval{Subject: removal})
					time.Sleep(10 * time.Second)
					if p, ok := m.Members[3].Node.Roster().Member(m.Members[x].ID); !ok || p.State != trust.StateActive {
						t.Fatal("the newcomer is not in where the governor approved: the test is blind")
					}
				}
				oust := func() {
					gone := remove(0, 1)
					for _, i := range []int{0, 2} {
						state(i, &protocol.Approval{Subject: gone})
					}
					time.Sleep(10 * time.Second)
					if !m.sees(0, 1) || !m.sees(2, 1) || m.sees(3, 1) {
						t.Fatal("the governor is not removed on one side alone: the test is blind")
					}
				}
				if first {
					approve()
					oust()
				} else {
					oust()
					approve()
				}
				m.Net.Heal()
				time.Sleep(3 * time.Minute)
				m.Settle(2*time.Minute, 0, 2, 3)
				m.agree(0, 2, 3)
				r := m.Members[0].Node.Roster()
				p, in := r.Member(m.Members[x].ID)
				in = in && p.State == trust.StateActive
				t.Logf("the newcomer is in: %v; member 4 is out: %v", in, m.sees(0, 4))
				if in != m.sees(0, 4) {
					t.Error("one of its approvals counts and the other does not")
				}
				if !m.sees(3, 1) {
					t.Error("the governor is still in")
				}
				for _, i := range []int{0, 2, 3} {
					m.must(m.Share(i, "after-"+m.Members[i].Handle+".com"))
				}
				m.Settle(2*time.Minute, 0, 2, 3)
				m.Check(0, 2, 3)
			})
		})
	}
}

// granted gives how many grants and handed-over epochs in all stores' feeds of
// the honest nodes open with any of the identities.
func (m *Mesh) granted(ids []*seal.Identity, honest ...int) (count int) {
	m.T.Helper()
	var keys []protocol.Key
	for _, i := range honest {
		keys = append(keys, m.nodeOf(i))
	}
	for _, f := range m.Members[honest[0]].Store.Feeds() {
		if f.Kind != protocol.EntryDirect || !slices.Contains(keys, f.Node) {
			continue
		}
		m.must(m.Members[honest[0]].Store.Range(f.ID, 1, func(e store.Entry) bool {
			if _, err := seal.OpenDirect(e.Payload, ids...); err == nil {
				count++
			}
			return true
		}))
	}
	return count
}

// Honest nodes grant nothing to strangers: not to a candidate whose card everybody
// knows, nor to who was removed, nor to a key that a member made up. A member can
// hand on what it may read itself, and the receiver reads just that: nothing that
// is written once the member is out.
func TestHostileGrantsToStrangers(t *testing.T) {
	amid(t, 5, 481, func(t *testing.T, l *liar) {
		x := l.late() // a candidate: its card and admission are known, nobody has approved
		l.proposed(0, x)
		e, _ := l.epoch()
		gift, err := seal.Direct(protocol.NewGrant(e), []string{l.Members[x].age.Recipient()})
		l.must(err)
		before := l.granted([]*seal.Identity{l.Members[3].age}, 0, 1, 2)
		if before == 0 {
			t.Fatal("a member was granted nothing: the test is blind")
		}
		l.Remove(3)
		l.Stop(3)
		time.Sleep(5 * time.Second)
		for i := range 3 {
			l.must(l.Share(i, "without-3-"+l.Members[i].Handle+".com"))
		}
		in := l.entry(5, nil, gift, func(h *protocol.Header) { h.Kind, h.Tag = protocol.EntryDirect, protocol.Tag{} })
		l.gossip(in.h.Raw(), in.payload)
		time.Sleep(30 * time.Second)
		if n := l.granted([]*seal.Identity{l.Members[x].age}, 0, 1, 2); n > 0 {
			t.Errorf("%d grants for a candidate", n)
		}
		if n := l.granted([]*seal.Identity{l.Members[3].age}, 0, 1, 2); n > before {
			t.Errorf("%d grants for a removed member since its removal", n-before)
		}
		// What the liar gave away opens what the liar could open, and no more.
		stranger := l.identities(x)
		first := l.acked[0]
		if len(stranger) < 2 || !l.opens(first.By, first.Places[0], stranger) {
			t.Error("the gift does not work: the test is blind")
		}
		for _, a := range l.acked[1:] {
			if l.opens(a.By, a.Places[0], stranger) {
				t.Errorf("the stranger reads %s, sealed to an epoch it was not given", a.Values[0].Text)
			}
		}
		// The liar is found out.
		l.Remove(4)
		time.Sleep(5 * time.Second)
		l.must(l.Share(0, "without-the-liar.com"))
		time.Sleep(30 * time.Second)
		last := l.acked[len(l.acked)-1]
		if l.opens(0, last.Places[0], append(l.identities(x), l.identities(4)...)) {
			t.Error("the liar or the stranger reads what was written after the liar's removal")
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		l.must(l.Members[1].Node.CatchUp(ctx))
		l.unharmed(0, 1, 2)
	})
}

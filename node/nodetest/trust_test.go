package nodetest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol/audience"
	"github.com/tipmesh/tipmesh/protocol/seal"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

// decide has a node decide about another member, from the default line on.
func (m *Mesh) decide(at, about int, change func(*trust.Decision)) {
	m.T.Helper()
	d := trust.DefaultDecision()
	change(&d)
	_, err := m.Members[at].Node.SetTrust(&m.Members[about].ID, d)
	m.must(err)
}

func send(tlp string) func(*trust.Decision) {
	return func(d *trust.Decision) { d.Send = tlp }
}

// openers are all identities that the member of some nodes can come to hold.
func (m *Mesh) openers(nodes ...int) (ids []*seal.Identity) {
	for _, i := range nodes {
		ids = append(append(ids, m.identities(i)...), m.Members[i].nodeAge)
	}
	return ids
}

// A member that is sent less reads nothing that is written from then on, for
// everyone or in a group: not with what it is given, not with what others of the
// mesh or a further node of its own can get, not after restarts, and not once it is
// sent more again. From then on it reads what is new.
func TestSendLoweredIsADeparture(t *testing.T) {
	Run(t, Options{Nodes: 4, Seed: 430}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		const by, gone, friend = 1, 3, 2
		group := m.CreateGroup(by, node.GroupTerms{Name: "all", History: audience.HistoryAll}, 0, friend, gone)
		readable := []Acked{m.sharedIn(by, group, "before-in-group.com")}
		m.must(m.Share(by, "before.com"))
		m.Settle(time.Minute, m.All()...)

		m.decide(by, gone, send("none"))
		var secret []Acked
		write := func(names ...string) {
			t.Helper()
			a, err := m.write(by, m.Members[by].Node, names[0])
			m.must(err)
			secret = append(secret, a, m.sharedIn(by, group, names[1]))
		}
		write("at-once.com", "at-once-in-group.com")
		// It hears of these from a friend alone, who may read them.
		m.Net.Partition([]int{0, by, friend}, []int{gone})
		write("apart.com", "apart-in-group.com")
		m.Settle(2*time.Minute, 0, by, friend)
		m.Net.Partition([]int{0, by}, []int{friend, gone})
		time.Sleep(2 * time.Minute)
		m.Net.Heal()
		for _, i := range []int{by, gone} {
			m.Stop(i)
			m.Start(i)
		}
		write("restarted.com", "restarted-in-group.com")
		too := m.further(gone)
		write("further.com", "further-in-group.com")
		time.Sleep(5 * time.Minute) // hellos, and all that they hand over
		closed := func() {
			t.Helper()
			ids := m.openers(gone, too)
			if len(ids) < 6 {
				t.Fatalf("the member holds %d identities", len(ids))
			}
			if !m.opens(by, readable[0].Places[0], ids) {
				t.Error("what came before does not open: the test is blind")
			}
			for _, a := range secret {
				name := a.Values[0].Text
				if m.opens(by, a.Places[0], ids) {
					t.Errorf("%s opens for the member that is not sent it", name)
				}
				m.wantReads(by, name, 0, by, friend)
				if _, err := m.Members[gone].Store.Header(a.Places[0]); err != nil {
					t.Errorf("%s is not carried by the member: %v", name, err)
				}
			}
		}
		closed()

		m.decide(by, gone, send("amber"))
		again, err := m.write(by, m.Members[by].Node, "again.com")
		m.must(err)
		readable = append(readable, again, m.sharedIn(by, group, "again-in-group.com"))
		time.Sleep(5 * time.Minute)
		for _, a := range readable {
			m.wantReads(by, a.Values[0].Text, m.All()...)
		}
		closed()
		// And once more: what was open to it meanwhile is no key to what is written now.
		m.decide(by, gone, send("clear"))
		write("lowered-again.com", "lowered-again-in-group.com")
		time.Sleep(3 * time.Minute)
		closed()
	})
}

// What was decided until a time ends then, by the clock of the node: a member is
// sent more, or less, without anybody doing anything.
func TestTrustLapses(t *testing.T) {
	Run(t, Options{Nodes: 4, Seed: 431}, func(t *testing.T, m *Mesh) {
		m.Members[1].Clock = 10 * time.Minute
		m.StartAll()
		time.Sleep(5 * time.Second)
		n := m.Members[1].Node
		until := time.Now().Add(m.Members[1].Clock + time.Hour).UnixMilli()
		m.decide(1, 2, func(d *trust.Decision) { d.Send, d.Use, d.Until, d.Alias = "none", trust.UseNone, until, "two" })
		m.decide(1, 3, func(d *trust.Decision) { d.Until = until })
		_, err := n.SetTrust(nil, trust.Decision{Use: trust.UseHold, Send: "clear", Reliability: "E"})
		m.must(err)
		m.decide(1, 0, func(*trust.Decision) {})
		for _, i := range []int{0, 1, 2, 3} { // epochs that need not be made later
			m.must(m.Share(i, "first.com"))
		}
		share := func(name string) {
			t.Helper()
			a, err := m.write(1, n, name)
			m.must(err)
			time.Sleep(time.Minute)
			for i := range 4 {
				want := i < 2 || i == 3 && name == "during.com"
				if got := m.opens(1, a.Places[0], m.openers(i)); got != want {
					t.Errorf("%s opens for %d: %v", name, i, got)
				}
			}
		}
		share("during.com")
		if d := n.Trust(m.Members[2].ID); d.Use != trust.UseNone {
			t.Errorf("during: %+v", d)
		}
		time.Sleep(time.Hour)
		share("afterwards.com")
		if d := n.Trust(m.Members[2].ID); d.Use != trust.UseHold || d.Send != "clear" || d.Alias != "two" {
			t.Errorf("afterwards: %+v", d)
		}
		_, err = n.SetTrust(nil, trust.DefaultDecision())
		m.must(err)
		m.must(m.Share(1, "for-all.com"))
		time.Sleep(time.Minute)
		m.wantReads(1, "for-all.com", m.All()...)
	})
}

// A member of whom nothing is used is carried for the others all the same.
func TestUseNoneIsCarried(t *testing.T) {
	Run(t, Options{Nodes: 3, Seed: 432}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		m.must(m.Share(1, "first.com"))
		m.Settle(time.Minute, m.All()...)
		m.decide(2, 1, func(d *trust.Decision) { d.Use = trust.UseNone })
		m.Net.Partition([]int{0}, []int{1, 2})
		m.must(m.Share(1, "by-way-of-2.com"))
		m.Settle(time.Minute, 1, 2)
		m.Stop(1)
		m.Net.Heal()
		m.Settle(2*time.Minute, 0, 2)
		if !m.Reads(0, 1, "by-way-of-2.com") {
			t.Error("it was not carried")
		}
	})
}

// The trust list of a member with two nodes: of two decisions about one member the
// newer holds at both, who made it and why goes along, and each node keeps every
// change it knows of, over restarts too.
func TestTrustListOfTwoNodes(t *testing.T) {
	Run(t, Options{Nodes: 3, Seed: 433}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		m.decide(1, 2, func(d *trust.Decision) { d.Use, d.Why = trust.UseDetect, "of before" })
		two := m.further(1)
		m.Settle(2*time.Minute, m.All()...)
		m.Net.Partition([]int{0, 1}, []int{2, two})
		m.decide(1, 2, func(d *trust.Decision) { d.Use, d.By, d.Why = trust.UseHold, "ana", "earlier" })
		time.Sleep(time.Second)
		m.decide(two, 2, func(d *trust.Decision) { d.Use, d.By, d.Why = trust.UseBlock, "bo", "later" })
		m.decide(two, 0, func(d *trust.Decision) { d.Reliability, d.By, d.Why = "B", "bo", "proved" })
		m.Net.Heal()
		time.Sleep(2 * time.Minute)
		for _, i := range []int{1, two} {
			d := m.Members[i].Node.Trust(m.Members[2].ID)
			if d.Use != trust.UseBlock || d.By != "bo" || d.Why != "later" {
				t.Errorf("node %d: %+v", i, d)
			}
			if d := m.Members[i].Node.Trust(m.Members[0].ID); d.Reliability != "B" {
				t.Errorf("node %d: %+v", i, d)
			}
		}
		l := m.Members[two].Node.TrustList()
		stale := l.Version - 1
		edits := []trust.Edit{{Member: m.Members[2].ID, By: "bo", Why: "clean"}, {New: &trust.Decision{Send: "green", Reliability: "F"}, By: "bo", Why: "clean"}}
		if _, err := m.Members[two].Node.EditTrust(edits, &stale); !errors.Is(err, node.ErrTrustMoved) {
			t.Errorf("edits of an older list: %v", err)
		}
		bad := append(slices.Clone(edits), trust.Edit{Member: m.Members[0].ID, New: &trust.Decision{Send: "white"}})
		if _, err := m.Members[two].Node.EditTrust(bad, nil); err == nil || m.Members[two].Node.TrustList().Version != l.Version {
			t.Errorf("a part of bad edits was made: %v", err)
		}
		made, err := m.Members[two].Node.EditTrust(edits, &l.Version)
		if err != nil || len(made) != 2 {
			t.Fatalf("%v %v", made, err)
		}
		time.Sleep(time.Minute)
		var lists []*trust.List
		for _, i := range []int{1, two} {
			l := m.Members[i].Node.TrustList()
			lists = append(lists, l)
			if _, own := l.Members[m.Members[2].ID]; own || l.Default.Send != "green" {
				t.Errorf("node %d: %+v", i, l)
			}
			var whys []string
			for at, c := range l.History {
				if c.Version != uint64(at+1) || c.Time == 0 {
					t.Errorf("node %d: change %d is %+v", i, at, c)
				}
				whys = append(whys, c.Why)
			}
			slices.Sort(whys)
			want := []string{"clean", "clean", "earlier", "later", "of before", "proved"}
			if i == two { // it heard of that after its own, newer one
				want = slices.Delete(want, 2, 3)
			}
			if d := cmp.Diff(want, whys); d != "" {
				t.Errorf("node %d: %s", i, d)
			}
			m.Stop(i)
			m.Start(i)
			if d := cmp.Diff(l, m.Members[i].Node.TrustList()); d != "" {
				t.Errorf("node %d, restarted: %s", i, d)
			}
		}
		var rows int
		m.must(m.Members[two].Store.Settings("trustlog/", func(string, []byte) error { rows++; return nil }))
		if rows != len(lists[1].History) {
			t.Errorf("%d of %d changes are kept by themselves", rows, len(lists[1].History))
		}
	})
}

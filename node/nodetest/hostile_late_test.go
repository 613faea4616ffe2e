package nodetest

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/audience"
	"github.com/tipmesh/tipmesh/protocol/seal"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

// letters gives a function that has the liar write letters to members, one after
// the other in one feed.
func (l *liar) letters(to ...int) func(parts ...any) {
	var last *protocol.Header
	var recipients []string
	for _, i := range to {
		recipients = append(recipients, l.Members[i].age.Recipient())
	}
	return func(parts ...any) {
		l.T.Helper()
		payload, err := seal.Direct(protocol.NewLetter(parts...), recipients)
		l.must(err)
		in := l.entry(77, last, payload, func(h *protocol.Header) { h.Kind, h.Tag = protocol.EntryDirect, protocol.Tag{} })
		last = in.h
		l.put(protocol.Key{}, in)
		l.gossip(in.h.Raw(), payload)
	}
}

// A stolen node, before it is retired, gives a value the latest time there is. The
// nodes that are left still agree on what the member decides later.
func TestHostileOwnNodeOfTheLastDay(t *testing.T) {
	Run(t, Options{Nodes: 2, Seed: 760}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		other, stolen := m.further(1), m.further(1)
		m.Settle(2*time.Minute, m.All()...)
		m.Stop(stolen)
		l := m.hostile(stolen)
		defer l.tr.Close()
		name := "trust/" + m.Members[0].ID.String()
		value := []byte(`{"use":"block","send":"clear","reliability":"F","since":1}`)
		l.letters(1)(protocol.Own{Name: name, Value: value, Time: math.MaxInt64}, protocol.Own{Name: "draft/heard", Value: value, Time: 1})
		time.Sleep(20 * time.Second)
		if _, ok := m.Members[other].Node.Own("draft/heard"); !ok {
			t.Fatal("the letter did not come: the test is blind")
		}
		l.leave()
		_, err := m.Members[1].Node.SetCard(m.Members[1].Node.Retires(m.nodeOf(stolen)))
		m.must(err)
		d := trust.DefaultDecision()
		d.Alias = "friend"
		_, err = m.Members[1].Node.SetTrust(&m.Members[0].ID, d)
		m.must(err)
		time.Sleep(time.Minute)
		if got := m.Members[other].Node.Trust(m.Members[0].ID); got.Alias != "friend" {
			t.Errorf("the other node keeps to what the stolen one said: %+v", got)
		}
	})
}

// A stolen node, before it is retired, fills all the room for what own nodes keep in
// common. Those that are left are still told the age identity that shuts it out.
func TestHostileOwnNodeFillsUp(t *testing.T) {
	Run(t, Options{Nodes: 2, Seed: 765}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		other, stolen := m.further(1), m.further(1)
		m.Settle(2*time.Minute, m.All()...)
		m.Stop(stolen)
		l := m.hostile(stolen)
		defer l.tr.Close()
		post := l.letters(1)
		for i, size := range []int{250 << 10, 250 << 10, 250 << 10, 250 << 10, 20 << 10, 2 << 10, 1 << 10, 512, 256, 128, 64, 32, 16, 8, 4, 2, 1} {
			post(protocol.Own{Name: fmt.Sprintf("junk/%d", i), Value: make([]byte, size), Time: 1})
		}
		time.Sleep(20 * time.Second)
		if err := m.Members[other].Node.SetOwn("draft/1", make([]byte, 4<<10)); !errors.Is(err, node.ErrPrivateFull) {
			t.Fatalf("there is room left, the test is blind: %v", err)
		}
		l.leave()
		before := len(m.Members[other].Node.Identities())
		_, err := m.Members[1].Node.SetCard(m.Members[1].Node.Retires(m.nodeOf(stolen)))
		m.must(err)
		time.Sleep(time.Minute)
		if got := len(m.Members[other].Node.Identities()); got != before+1 {
			t.Errorf("the other node has %d age identities, %d before", got, before)
		}
		m.must(m.Share(0, "after-the-theft.com"))
		time.Sleep(20 * time.Second)
		if !m.Reads(other, 0, "after-the-theft.com") {
			t.Error("the other node reads nothing any more")
		}
	})
}

// Who knows a new node's recipient, which its card tells, seals a pack to it that
// looks like its member's. The node takes no keys and no trust list of it.
func TestHostilePack(t *testing.T) {
	Run(t, Options{Nodes: 2, Seed: 761}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		i := m.further(0)
		victim := m.Members[i]
		forged, err := seal.NewIdentity()
		m.must(err)
		p := node.Pack{Version: protocol.Version, Node: m.nodeOf(i), Member: victim.ID, Age: []string{forged.String()}, Trust: []byte("{}")}
		for _, s := range m.statements(0) {
			p.Statements = append(p.Statements, s.Raw())
		}
		sealed, err := seal.Direct(protocol.Marshal(&p), []string{victim.nodeAge.Recipient()})
		m.must(err)
		if _, err := node.OpenPack(sealed, p.Node, victim.nodeAge); !errors.Is(err, protocol.ErrMalformed) {
			t.Errorf("a pack that none of the member's nodes made opens: %v", err)
		}
		p.Age = append(p.Age, victim.age.String()) // but for that, it is sound
		sealed, err = seal.Direct(protocol.Marshal(&p), []string{victim.nodeAge.Recipient()})
		m.must(err)
		if _, err := node.OpenPack(sealed, p.Node, victim.nodeAge); err != nil {
			t.Error(err)
		}
	})
}

// statements are all that a node holds.
func (m *Mesh) statements(i int) (out []*protocol.Statement) {
	m.must(m.Members[i].Store.Statements(func(s *protocol.Statement) error {
		out = append(out, s)
		return nil
	}))
	return out
}

// A member fills the room for states that follow nothing known. Its removal still
// bites where it arrives before the state that it follows.
func TestHostileStatesCrowdOutRemoval(t *testing.T) {
	Run(t, Options{Nodes: 4, Seed: 762}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		id := m.CreateGroup(0, node.GroupTerms{Name: "g", Deputies: m.ids(1)}, 1, 2, 3)
		time.Sleep(10 * time.Second)
		m.wantGroup(id, []int{0, 1, 2, 3}, 2)
		m.Stop(3)
		l := m.hostile(3)
		defer l.tr.Close()
		post := l.letters(2)
		first, _ := m.Members[2].Node.Group(id)
		state := func(by int, prev protocol.Hash, number uint64, name string, in ...int) *protocol.AudienceState {
			s, err := protocol.AudienceState{Mesh: m.ID, Audience: id, Number: number, Prev: prev, Owner: m.Members[0].ID, Name: name,
				Deputies: m.ids(1), Members: protocol.Sorted(m.ids(in...)), Time: time.Now().UnixMilli()}.Sign(m.Members[by].nodeKey)
			m.must(err)
			return s
		}
		var junk []any
		for n := range 200 {
			junk = append(junk, state(3, protocol.Hash{1}, 9, fmt.Sprint("junk ", n), 3))
		}
		post(junk...)
		second := state(1, first.Head.ID(), 2, "g", 0, 1, 2, 3)
		third := state(0, second.ID(), 3, "g", 0, 1, 2)
		post(third)
		post(second)
		time.Sleep(20 * time.Second)
		if m.refused(2, node.ReasonQuota) == 0 {
			t.Error("no state was over the quota: the test is blind")
		}
		m.wantGroup(id, []int{0, 1, 2}, 2)
	})
}

// A member makes epoch after epoch of a group, each before the others in order.
// Who writes for the group does not begin a feed for each.
func TestHostileEpochsUseUpFeeds(t *testing.T) {
	Run(t, Options{Nodes: 3, Seed: 764}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		id := m.CreateGroup(0, node.GroupTerms{Name: "g", History: audience.HistoryAll}, 1, 2)
		time.Sleep(10 * time.Second)
		m.sharedIn(1, id, "before.com")
		time.Sleep(10 * time.Second)
		m.Stop(2)
		l := m.hostile(2)
		defer l.tr.Close()
		e, _ := l.epochOf(id)
		lures := []*protocol.Epoch{}
		for range 8 {
			lures = append(lures, l.lure(e.ID(), func(x *protocol.Epoch) { x.Audience, x.Departures = id, e.Departures }))
		}
		slices.SortFunc(lures, func(a, b *protocol.Epoch) int { return b.ID().Compare(a.ID()) })
		post := l.letters(0, 1)
		had, began := m.feedsOf(0, 1), m.feedsOf(1, 0)
		for i, lure := range lures {
			post(lure)
			time.Sleep(10 * time.Second)
			m.sharedIn(1, id, fmt.Sprintf("amid-%d.com", i))
			m.sharedIn(0, id, fmt.Sprintf("also-%d.com", i))
		}
		time.Sleep(20 * time.Second)
		if n := m.feedsOf(0, 1) - had; n > 0 {
			t.Errorf("%d more feeds", n)
		}
		if n := m.feedsOf(1, 0) - began; n != 1 {
			t.Errorf("who had not written yet began %d feeds, want one: is the test blind?", n)
		}
		l.leave()
		m.wantReads(1, "amid-7.com", 0, 1)
		m.wantReads(0, "also-7.com", 0, 1)
	})
}

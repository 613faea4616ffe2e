package nodetest

import (
	"context"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/audience"
	"github.com/tipmesh/tipmesh/protocol/seal"
)

// tellAsEveryones has the liar grant the key of its group to some as an epoch of
// everyone's.
func (l *liar) tellAsEveryones(id protocol.AudienceID, to ...int) {
	l.T.Helper()
	e, _ := l.epochOf(id)
	r := l.Members[0].Node.Roster()
	fake, err := protocol.Epoch{Mesh: l.ID, Audience: protocol.Everyone(l.ID), Maker: l.p.ID, State: r.Digest(), Departures: r.Departures(),
		Readers: protocol.Sorted(l.ids(0, 1, 2)), Identity: e.Identity, Time: time.Now().UnixMilli()}.Sign(l.p.nodeKey)
	l.must(err)
	var recipients []string
	for _, i := range to {
		recipients = append(recipients, l.Members[i].age.Recipient())
	}
	payload, err := seal.Direct(protocol.NewGrant(fake), recipients)
	l.must(err)
	in := l.entry(3, nil, payload, func(h *protocol.Header) { h.Kind, h.Tag = protocol.EntryDirect, protocol.Tag{} })
	l.put(protocol.Key{}, in)
	l.gossip(in.h.Raw(), payload)
	time.Sleep(time.Minute)
	for _, i := range to {
		if _, err := l.Members[i].Store.Setting("epoch/" + fake.ID().String()); err != nil {
			l.T.Errorf("node %d does not hold the epoch, the test is blind: %v", i, err)
		}
	}
}

// wantAudience: nodes know a share to be for an audience.
func (m *Mesh) wantAudience(a Acked, id protocol.AudienceID, at ...int) {
	m.T.Helper()
	for _, i := range at {
		m.must(m.Members[i].Node.CatchUp(context.Background()))
		found, err := m.Members[i].Node.Lookup(a.Values)
		m.must(err)
		if len(found[0]) != 1 || found[0][0].Summary.Audience != id {
			m.T.Errorf("node %d does not know what was shared with the group, or not as the group's: %v", i, found[0])
		}
	}
}

// A member wraps the key of its group as one for everyone. The other members keep
// to what they know the key to be for: what they share with the group does not
// turn into what all may have.
func TestHostileKeyOfAGroupAsEveryones(t *testing.T) {
	Run(t, Options{Nodes: 4, Seed: 415}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		id := m.CreateGroup(0, node.GroupTerms{Name: "g", History: audience.HistoryAll}, 1, 2)
		time.Sleep(5 * time.Second)
		m.sharedIn(0, id, "for-the-group.com")
		time.Sleep(20 * time.Second)
		m.Stop(2)
		l := m.hostile(2)
		l.tellAsEveryones(id, 0, 1)
		l.leave()
		a := m.sharedIn(1, id, "still-for-the-group.com")
		time.Sleep(20 * time.Second)
		m.wantReads(1, "still-for-the-group.com", 0, 1)
		m.must(m.Share(1, "for-all.com"))
		m.wantAudience(a, id, 0, 1)
		time.Sleep(20 * time.Second)
		m.wantReads(1, "for-all.com", 0, 1, 3)
	})
}

// The lie comes first: who hears of a group's key as everyone's, and is taken into
// the group only then, still gets the true epoch and what was shared under it. An
// outsider who heard the same takes nothing of it to be for all, and cannot open
// what the newcomer writes.
func TestHostileKeyOfAGroupToldBefore(t *testing.T) {
	Run(t, Options{Nodes: 5, Seed: 416}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		id := m.CreateGroup(0, node.GroupTerms{Name: "g", History: audience.HistoryAll}, 1, 2)
		time.Sleep(5 * time.Second)
		a := m.sharedIn(0, id, "for-the-group.com")
		time.Sleep(20 * time.Second)
		m.Stop(2)
		l := m.hostile(2)
		l.tellAsEveryones(id, 3, 4)
		l.leave()
		_, err := m.Members[0].Node.GroupAdd(context.Background(), id, m.Members[3].ID)
		m.must(err)
		time.Sleep(20 * time.Second)
		m.wantReads(0, "for-the-group.com", 0, 1, 3)
		m.wantAudience(a, id, 0, 1, 3)
		b := m.sharedIn(3, id, "by-the-newcomer.com")
		time.Sleep(20 * time.Second)
		m.wantReads(3, "by-the-newcomer.com", 0, 1, 3)
		m.wantAudience(b, id, 0, 1, 3)
		if m.opens(3, b.Places[0], m.identities(4)) {
			t.Error("what the newcomer writes opens for an outsider")
		}
		// What the liar gave away itself stays given away; nobody's node shows it.
		if !m.opens(0, a.Places[0], m.identities(4)) {
			t.Error("the outsider does not have the key: the test is blind")
		}
	})
}

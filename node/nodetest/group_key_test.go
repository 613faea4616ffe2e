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
		r := m.Members[2].Node.Roster()
		m.Stop(2)
		l := m.hostile(2)
		e, _ := l.epochOf(id)
		fake, err := protocol.Epoch{Mesh: m.ID, Audience: protocol.Everyone(m.ID), Maker: m.Members[2].ID, State: r.Digest(), Departures: r.Departures(),
			Readers: protocol.Sorted(m.ids(0, 1, 2)), Identity: e.Identity, Time: time.Now().UnixMilli()}.Sign(m.Members[2].nodeKey)
		m.must(err)
		payload, err := seal.Direct(protocol.NewGrant(fake), []string{m.Members[1].age.Recipient(), m.Members[0].age.Recipient()})
		m.must(err)
		in := l.entry(3, nil, payload, func(h *protocol.Header) { h.Kind, h.Tag = protocol.EntryDirect, protocol.Tag{} })
		l.put(protocol.Key{}, in)
		l.gossip(in.h.Raw(), payload)
		time.Sleep(time.Minute)
		l.leave()
		if m.refused(1, node.ReasonNotAdmitted) == 0 {
			t.Error("the epoch was not refused, or did not come: the test is blind")
		}
		a := m.sharedIn(1, id, "still-for-the-group.com")
		time.Sleep(20 * time.Second)
		m.wantReads(1, "still-for-the-group.com", 0, 1)
		m.must(m.Share(1, "for-all.com"))
		for _, at := range []int{0, 1} {
			m.must(m.Members[at].Node.CatchUp(context.Background()))
			found, err := m.Members[at].Node.Lookup(a.Values)
			m.must(err)
			if len(found[0]) != 1 || found[0][0].Summary.Audience != id {
				t.Errorf("node %d takes what was shared with the group to be for others: %v", at, found[0])
			}
		}
		time.Sleep(20 * time.Second)
		m.wantReads(1, "for-all.com", 0, 1, 3)
	})
}

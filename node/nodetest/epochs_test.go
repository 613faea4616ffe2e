package nodetest

import (
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
	"github.com/tipmesh/tipmesh/protocol/seal"
)

// One member that grants epochs without end does not keep those of others out.
func TestEpochsOfOneMakerStarveNobody(t *testing.T) {
	if testing.Short() {
		t.Skip("makes 16,384 epochs")
	}
	Run(t, Options{Nodes: 3, Seed: 250}, func(t *testing.T, m *Mesh) {
		m.Start(0)
		evil := m.Members[2]
		prev, salt := protocol.EntryID{}, protocol.Hash{1}
		for seq := uint64(1); seq <= 256; seq++ {
			var list []*protocol.Epoch
			for i := range protocol.MaxGrantEpochs {
				e, err := protocol.Epoch{Mesh: m.ID, Audience: protocol.Everyone(m.ID), Maker: evil.ID, Readers: []protocol.MemberID{evil.ID},
					Identity: evil.age.String(), Time: int64(seq)*100 + int64(i)}.Sign(evil.nodeKey)
				m.must(err)
				list = append(list, e)
			}
			payload, err := seal.Direct(protocol.NewGrant(list...), []string{m.Members[0].age.Recipient()})
			m.must(err)
			h, err := protocol.Header{Mesh: m.ID, Salt: salt, Seq: seq, Prev: prev, Kind: protocol.EntryDirect,
				Payload: protocol.HashOf(payload), Size: uint64(len(payload))}.Sign(evil.nodeKey)
			m.must(err)
			prev = h.ID()
			m.Members[0].Node.Gossip(protocol.KeyOf(m.Members[1].nodeKey),
				replica.EncodeGossip(&replica.Gossip{Entry: &replica.Entry{Header: h.Raw(), Payload: payload}}))
			time.Sleep(time.Second)
		}
		m.Start(1)
		m.Net.Partition([]int{0}, []int{1}) // so that 1 makes its own
		m.must(m.Share(1, "honest.com"))
		m.Net.Heal()
		time.Sleep(3 * time.Minute)
		if !m.Reads(0, 1, "honest.com") {
			t.Error("an honest member's epoch was not kept")
		}
	})
}

package nodetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
)

// One member that gossips entries whose predecessors never come fills what is
// parked, and must not keep anybody else's entries out.
func TestParkedEntriesStarveNobody(t *testing.T) {
	Run(t, Options{Nodes: 3, Seed: 102}, func(t *testing.T, m *Mesh) {
		m.Start(0)
		m.Start(1)
		time.Sleep(5 * time.Second)
		evil := m.Members[2].nodeKey
		payload := make([]byte, protocol.MaxInline)
		for f := range 10 {
			for seq := uint64(2); seq <= protocol.MaxAhead; seq++ {
				h, err := protocol.Header{Mesh: m.ID, Salt: protocol.Hash{byte(f + 1)}, Seq: seq, Prev: protocol.EntryID{1},
					Kind: protocol.EntrySealed, Tag: protocol.Tag{1}, Payload: protocol.HashOf(payload), Size: uint64(len(payload))}.Sign(evil)
				m.must(err)
				m.Members[0].Node.Gossip(protocol.KeyOf(m.Members[1].nodeKey),
					replica.EncodeGossip(&replica.Gossip{Entry: &replica.Entry{Header: h.Raw(), Payload: payload}}))
			}
			time.Sleep(time.Second)
		}
		for i := range 5 {
			m.must(m.Share(1, fmt.Sprintf("honest-%d.com", i)))
		}
		m.Settle(time.Minute, 0, 1)
		m.Check(0, 1)
	})
}

package nodetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
	"github.com/tipmesh/tipmesh/protocol/seal"
)

// Epochs that one node was granted and another was not reach it from there
// within seconds of the first entry that needs one, however many there are.
func TestMissingEpochsAreAskedForSoon(t *testing.T) {
	Run(t, Options{Nodes: 3, Seed: 251}, func(t *testing.T, m *Mesh) {
		m.Start(0)
		m.Start(1)
		time.Sleep(5 * time.Second)
		m.Settle(time.Minute, 0, 1)
		author := m.Members[2]
		const epochs = 2*protocol.MaxGrantEpochs + 8
		feeds := map[byte]*protocol.Header{}
		send := func(salt byte, kind protocol.EntryKind, e *protocol.Epoch, payload []byte) {
			h := protocol.Header{Mesh: m.ID, Salt: protocol.Hash{salt}, Seq: 1, Kind: kind, Payload: protocol.HashOf(payload), Size: uint64(len(payload))}
			if last := feeds[salt]; last != nil {
				h.Seq, h.Prev = last.Seq+1, last.ID()
			}
			if kind == protocol.EntrySealed {
				h.Tag = protocol.TagFor(e.Identity, e.Audience, protocol.FeedOf(protocol.KeyOf(author.nodeKey), h.Salt))
			}
			signed, err := h.Sign(author.nodeKey)
			m.must(err)
			feeds[salt] = signed
			m.Members[0].Node.Gossip(protocol.KeyOf(m.Members[1].nodeKey),
				replica.EncodeGossip(&replica.Gossip{Entry: &replica.Entry{Header: signed.Raw(), Payload: payload}}))
		}
		var list []*protocol.Epoch
		for i := range epochs {
			id, err := seal.NewIdentity()
			m.must(err)
			e, err := protocol.Epoch{Mesh: m.ID, Audience: protocol.Everyone(m.ID), Maker: author.ID, Readers: []protocol.MemberID{author.ID},
				Identity: id.String(), Time: int64(i)}.Sign(author.nodeKey)
			m.must(err)
			list = append(list, e)
		}
		for from := 0; from < len(list); from += protocol.MaxGrantEpochs {
			payload, err := seal.Direct(protocol.NewGrant(list[from:min(from+protocol.MaxGrantEpochs, len(list))]...),
				[]string{m.Members[0].age.Recipient()})
			m.must(err)
			send(1, protocol.EntryDirect, nil, payload)
		}
		time.Sleep(5 * time.Second)
		for i, e := range list {
			id, err := seal.ParseIdentity(e.Identity)
			m.must(err)
			bundle, _ := author.bundle([]string{fmt.Sprintf("needs-%d.com", i)})
			payload, err := seal.Bundle(bundle, id)
			m.must(err)
			send(2, protocol.EntrySealed, e, payload)
		}
		time.Sleep(20 * time.Second)
		for i := range list {
			for at := range 2 {
				if !m.Reads(at, 2, fmt.Sprintf("needs-%d.com", i)) {
					t.Fatalf("node %d does not read entry %d", at, i)
				}
			}
		}
	})
}

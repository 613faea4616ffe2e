package nodetest

import (
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
)

// Entries that came too early are not stored when those before them come, if a cut
// before them has become known meanwhile.
func TestParkedEntriesBeyondACutAreNotStored(t *testing.T) {
	Run(t, Options{Nodes: 3, Seed: 103}, func(t *testing.T, m *Mesh) {
		m.Start(0)
		time.Sleep(5 * time.Second)
		n, p := m.Members[0].Node, m.Members[2]
		var run []node.RawEntry
		last := &protocol.Header{}
		for seq := uint64(1); seq <= 3; seq++ {
			payload := []byte{byte(seq)}
			x := protocol.Header{Mesh: m.ID, Salt: protocol.Hash{7}, Seq: seq, Kind: protocol.EntrySealed, Tag: protocol.Tag{1},
				Payload: protocol.HashOf(payload), Size: uint64(len(payload))}
			if seq > 1 {
				x.Prev = last.ID()
			}
			h, err := x.Sign(p.nodeKey)
			m.must(err)
			run, last = append(run, node.RawEntry{Header: h.Raw(), Payload: payload}), h
		}
		_, gaps, err := n.TakeEntries(run[1:])
		m.must(err)
		if gaps[last.Feed].Last != 1 {
			t.Fatalf("the later entries do not wait: %v", gaps)
		}
		cut, err := protocol.NewStatement(m.ID, &protocol.Cut{Member: p.ID, Line: n.Roster().Line, Node: protocol.KeyOf(p.nodeKey),
			Cuts: []protocol.FeedCut{{Feed: last.Feed, Seq: 1}}}, time.Now().UnixMilli(), p.key)
		m.must(err)
		m.must(n.Submit(cut))
		_, _, err = n.TakeEntries(run[:1])
		m.must(err)
		if f, _ := n.Store().Feed(last.Feed); f.Head != 1 {
			t.Errorf("%d entries are held, the feed ends at 1", f.Head)
		}
	})
}

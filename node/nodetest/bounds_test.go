package nodetest

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
)

// parting makes two entries of a node that contradict each other, as gossip.
func (m *Mesh) parting(i int, salt byte, seq uint64) (a, b []byte) {
	m.T.Helper()
	gossip := func(payload byte) []byte {
		data := []byte{payload}
		h, err := protocol.Header{Mesh: m.ID, Salt: protocol.Hash{salt}, Seq: seq, Prev: protocol.EntryID{},
			Kind: protocol.EntrySealed, Tag: protocol.Tag{1}, Payload: protocol.HashOf(data), Size: 1}.Sign(m.Members[i].nodeKey)
		m.must(err)
		return replica.EncodeGossip(&replica.Gossip{Entry: &replica.Entry{Header: h.Raw(), Payload: data}})
	}
	return gossip(1), gossip(2)
}

// Two nodes that are apart prove one fork each, and others of the same node.
// Together again, they agree on what they keep.
func TestForkProvenTwiceApart(t *testing.T) {
	Run(t, Options{Nodes: 4, Seed: 260}, func(t *testing.T, m *Mesh) {
		for i := range 3 {
			m.Start(i)
		}
		time.Sleep(5 * time.Second)
		m.Net.Partition([]int{0}, []int{1}, []int{2})
		time.Sleep(time.Minute)
		from := protocol.KeyOf(m.Members[2].nodeKey)
		show := func(i int, salt byte) {
			a, b := m.parting(3, salt, 1)
			for _, msg := range [][]byte{a, b} {
				m.Members[i].Node.Gossip(from, msg)
				time.Sleep(time.Second)
			}
			if _, ok := m.Members[i].Node.Roster().Fork(protocol.KeyOf(m.Members[3].nodeKey)); !ok {
				t.Fatalf("node %d has not seen the fork", i)
			}
		}
		show(0, 1)
		show(1, 1)
		show(2, 2)
		m.Net.Heal()
		time.Sleep(2 * time.Minute)
		m.Settle(2*time.Minute, 0, 1, 2)
		m.agree(0, 1, 2)
		m.agree(0, 1, 2)
	})
}

// agree checks that nodes hold the same statements, but for marks: one may just
// have been signed.
func (m *Mesh) agree(nodes ...int) {
	m.T.Helper()
	want := m.agreed(nodes[0])
	for _, i := range nodes[1:] {
		got := m.agreed(i)
		same := len(got) == len(want)
		for k := 0; same && k < len(got); k++ {
			same = got[k].ID() == want[k].ID()
		}
		if !same {
			m.T.Errorf("nodes %d and %d hold different statements: %d and %d", nodes[0], i, len(want), len(got))
		}
	}
}

// One member that floods the mesh with statements leaves a bounded number, the
// same at every node, whatever each heard first; a restart changes nothing.
func TestFloodOfStatementsIsBounded(t *testing.T) {
	Run(t, Options{Nodes: 3, Seed: 261}, func(t *testing.T, m *Mesh) {
		m.Start(0)
		m.Start(1)
		time.Sleep(5 * time.Second)
		before := len(m.Members[0].Node.Statements())
		evil, line := m.Members[2], m.line
		var flood []*protocol.Statement
		for i := range 10000 {
			var c protocol.Content = &protocol.Removal{Member: m.Members[1].ID, Admission: line, Line: line, Why: fmt.Sprint(i)}
			if i%2 == 0 {
				c = &protocol.Admission{Member: protocol.MemberID{byte(i), byte(i >> 8), 1}, Line: line}
			}
			s, err := protocol.NewStatement(m.ID, c, int64(i), evil.key)
			m.must(err)
			flood = append(flood, s)
		}
		rng := rand.New(rand.NewPCG(1, 261))
		for i := range 2 {
			rng.Shuffle(len(flood), func(a, b int) { flood[a], flood[b] = flood[b], flood[a] })
			if i == 0 {
				m.must(m.Members[i].Node.Learn(flood...))
				continue
			}
			for at := 0; at < len(flood); at += 100 {
				m.must(m.Members[i].Node.Learn(flood[at : at+100]...))
			}
		}
		time.Sleep(2 * time.Minute)
		m.Settle(2*time.Minute, 0, 1)
		m.agree(0, 1)
		if n := len(m.Members[0].Node.Statements()) - before; n > 3*protocol.MaxOpenProposals {
			t.Errorf("%d statements of one member are held", n)
		}
		kept := 0
		m.must(m.Members[0].Store.Statements(func(*protocol.Statement) error { kept++; return nil }))
		if kept > before+1000 {
			t.Errorf("%d statements are on disk", kept)
		}
		m.Stop(1)
		m.Start(1)
		m.agree(0, 1)
	})
}

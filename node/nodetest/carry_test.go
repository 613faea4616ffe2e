package nodetest

import (
	"slices"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// carried is what one node would carry out.
func (m *Mesh) carried(i int) (statements [][]byte, entries []node.RawEntry) {
	m.T.Helper()
	n := m.Members[i].Node
	for _, s := range n.Statements() {
		statements = append(statements, s.Raw())
	}
	for _, f := range n.Shown() {
		m.must(n.Carry(m.T.Context(), f, 1, func(e node.RawEntry) error {
			entries = append(entries, e)
			return nil
		}))
	}
	return statements, entries
}

// carry brings all that node i has to node j.
func (m *Mesh) carry(i, j int) (statements, entries node.Taken, gaps map[protocol.FeedID]store.Range) {
	m.T.Helper()
	raws, list := m.carried(i)
	n := m.Members[j].Node
	statements, _, err := n.TakeStatements(raws)
	m.must(err)
	entries, gaps, err = n.TakeEntries(list)
	m.must(err)
	return statements, entries, gaps
}

// Two sides that no connection joins come to hold the same by what is carried
// between them.
func TestCarriedBothWays(t *testing.T) {
	Run(t, Options{Nodes: 4, Seed: 430}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		m.Net.Partition([]int{0, 1}, []int{2, 3})
		time.Sleep(time.Minute)
		for i, name := range []string{"zero.com", "one.com", "two.com", "three.com"} {
			m.must(m.Share(i, name))
		}
		_, err := m.Members[3].Node.SetCard(func(c *protocol.Card) error { c.Duty = "nights"; return nil })
		m.must(err)
		m.Settle(time.Minute, m.All()...)
		if st, e, gaps := m.carry(2, 0); st.New == 0 || e.New == 0 || len(e.Refused) > 0 || len(gaps) > 0 {
			t.Errorf("statements %+v, entries %+v, gaps %v", st, e, gaps)
		}
		if _, e, _ := m.carry(2, 0); e.New != 0 || e.Held == 0 {
			t.Errorf("carried again: %+v", e)
		}
		m.carry(0, 2)
		time.Sleep(2 * time.Minute)
		m.Check(m.All()...)
		for i := range 4 {
			for j, name := range []string{"zero.com", "one.com", "two.com", "three.com"} {
				if !m.Reads(i, j, name) {
					t.Errorf("node %d does not read %s", i, name)
				}
			}
		}
	})
}

// What is carried in is trusted no more than what a neighbour sends: entries
// that are altered, of another mesh, of a removed member or before a gap do not
// get in, and each is counted by its reason. A fork that a file brings is proven.
func TestHostileCarryFile(t *testing.T) {
	Run(t, Options{Nodes: 4, Seed: 431}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		m.must(m.Share(3, "before.com"))
		m.Settle(time.Minute, m.All()...)
		m.must(m.Share(2, "common.com"))
		m.Settle(time.Minute, m.All()...)
		forked := m.Members[2].Store.Clone()
		m.must(m.Share(2, "left.com"))
		m.Settle(time.Minute, m.All()...)
		m.Net.Partition([]int{0, 1}, []int{2}, []int{3})
		time.Sleep(time.Minute)
		m.Remove(3)
		m.must(m.Share(3, "after-removal.com"))
		m.must(m.Share(3, "and-more.com"))
		time.Sleep(time.Minute) // the removal brings a new epoch, and its grant
		n := m.Members[0].Node
		before := n.Status(time.Time{}).Entries
		_, list := m.carried(3)
		taken, _, err := n.TakeEntries(list)
		m.must(err)
		if taken.New != 0 || taken.Refused[node.ReasonNotAdmitted] != 2 {
			t.Errorf("of a removed member: %+v", taken)
		}
		// Altered: every byte of a header counts, and of a payload.
		for i := range list {
			bad := slices.Clone(list[i].Header)
			bad[len(bad)/2] ^= 1
			taken, _, err := n.TakeEntries([]node.RawEntry{{Header: bad, Payload: list[i].Payload}})
			m.must(err)
			if taken.Refused[node.ReasonMalformed] != 1 || taken.New+taken.Held != 0 {
				t.Errorf("altered header: %+v", taken)
			}
			if list[i].Payload == nil {
				continue
			}
			bad = slices.Clone(list[i].Payload)
			bad[len(bad)-1] ^= 1
			taken, _, err = n.TakeEntries([]node.RawEntry{{Header: list[i].Header, Payload: bad}})
			m.must(err)
			if taken.Refused[node.ReasonMalformed] != 1 || taken.New+taken.Held != 0 {
				t.Errorf("altered payload: %+v", taken)
			}
		}
		foreign := protocol.Header{Mesh: protocol.MeshID{1}, Salt: protocol.Hash{1}, Seq: 1, Kind: protocol.EntryClose, Payload: protocol.HashOf(nil)}
		h, err := foreign.Sign(m.Members[1].nodeKey)
		m.must(err)
		taken, _, err = n.TakeEntries([]node.RawEntry{{Header: h.Raw(), Payload: []byte{}}})
		m.must(err)
		if taken.Refused[node.ReasonForeign] != 1 {
			t.Errorf("of another mesh: %+v", taken)
		}
		if now := n.Status(time.Time{}).Entries; now != before {
			t.Errorf("%d entries were taken", now-before)
		}
		// A home put back from an older copy, by file: its entries contradict.
		m.Stop(2)
		m.Members[2].Store = forked
		m.Start(2)
		m.must(m.Share(2, "right.com"))
		m.must(m.Share(2, "right-2.com"))
		_, list = m.carried(2)
		taken, _, err = n.TakeEntries(list)
		m.must(err)
		time.Sleep(time.Minute)
		if _, known := n.Roster().Fork(protocol.KeyOf(m.Members[2].nodeKey)); taken.Refused[node.ReasonFork] == 0 || !known {
			t.Errorf("a fork: %+v, known %v", taken, known)
		}
	})
}

// Entries that come before those they follow wait, and what is missing is named.
func TestCarriedAheadOfAGap(t *testing.T) {
	Run(t, Options{Nodes: 2, Seed: 432}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		m.must(m.Share(1, "first.com"))
		m.Settle(time.Minute, m.All()...)
		m.Net.Partition([]int{0}, []int{1})
		time.Sleep(time.Minute)
		for _, name := range []string{"a.com", "b.com", "c.com"} {
			m.must(m.Share(1, name))
		}
		_, list := m.carried(1)
		n := m.Members[0].Node
		taken, gaps, err := n.TakeEntries(list[len(list)-1:])
		m.must(err)
		h, err := protocol.ParseHeader(list[len(list)-1].Header)
		m.must(err)
		if g := gaps[h.Feed]; taken.Refused[node.ReasonGap] != 1 || g.Last != h.Seq-1 || g.Last-g.First != 1 {
			t.Errorf("%+v, gaps %v, last %d", taken, gaps, h.Seq)
		}
		if m.Reads(0, 1, "c.com") {
			t.Error("an entry ahead of a gap is shown")
		}
		if taken, gaps, err = n.TakeEntries(list[:len(list)-1]); err != nil || len(gaps) > 0 || taken.New != 2 {
			t.Errorf("%+v %v %v", taken, gaps, err)
		}
		if !m.Reads(0, 1, "c.com") {
			t.Error("what waited was not taken once the gap was filled")
		}
	})
}

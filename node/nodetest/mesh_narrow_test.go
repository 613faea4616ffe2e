package nodetest

import (
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/protocol/trust"
)

// What a member shared with some only, its own home reads again after a restore,
// though nobody else may hand the key over.
func TestRestoredHomeReadsWhatItSentToSome(t *testing.T) {
	Run(t, Options{Nodes: 4, Seed: 422}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		copied := m.Members[2].Store.Clone()
		less := trust.DefaultDecision()
		less.Send, less.Why = "clear", "test"
		_, err := m.Members[2].Node.SetTrust(&m.Members[3].ID, less)
		m.must(err)
		m.must(m.Share(2, "for-some.com"))
		m.Settle(time.Minute, m.All()...)
		m.Stop(2)
		card := m.restore(2, func(p *Member) { p.Store = copied })
		m.must(m.Members[0].Node.Submit(card))
		m.Start(2)
		time.Sleep(3 * time.Minute)
		m.Settle(2*time.Minute, m.All()...)
		for i, want := range []bool{true, true, true, false} {
			if m.Reads(i, 2, "for-some.com") != want {
				t.Errorf("node %d reads it: %v", i, !want)
			}
		}
	})
}

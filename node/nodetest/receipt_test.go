package nodetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/internal/stix"
	"github.com/tipmesh/tipmesh/store"
)

// receiptLetters counts the letters of receipts that a node wrote: no other
// letters are kept for some weeks only.
func (m *Mesh) receiptLetters(i int) (count int) {
	m.T.Helper()
	s := m.Members[i].Store
	for _, f := range s.Feeds() {
		for p := (store.Place{Feed: f.ID, Seq: 1}); f.Node == m.nodeOf(i) && p.Seq <= f.Head; p.Seq++ {
			h, err := s.Header(p)
			m.must(err)
			if h.Retention > 0 {
				count++
			}
		}
	}
	return count
}

// Who withdraws again is told again at once. Who withdraws without end has the
// others write few letters, in which nothing is left out.
func TestReceiptsOfManyWithdrawals(t *testing.T) {
	Run(t, Options{Nodes: 2, Seed: 511}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(10 * time.Second)
		const prompt, all = 8, 30
		var objs []stix.Object
		var shared, tombs []store.Place
		for i := range all {
			o, at := m.publish(1, time.Time{}, fmt.Sprintf("wrong%d.com", i))
			objs, shared = append(objs, o[0]), append(shared, at)
		}
		m.Settle(time.Minute, m.All()...)
		for i := range all {
			tombs = append(tombs, m.withdraw(1, shared[i], objs[i]))
			time.Sleep(5 * time.Second)
			if i < prompt && !m.receiptsOf(1, tombs[i])[m.Members[0].ID] {
				t.Errorf("no receipt for withdrawal %d after 5 s", i+1)
			}
		}
		if got := m.receiptLetters(0); got != prompt {
			t.Errorf("%d letters for %d withdrawals in a row", got, all)
		}
		time.Sleep(11 * time.Minute)
		for i, tomb := range tombs {
			if !m.receiptsOf(1, tomb)[m.Members[0].ID] {
				t.Errorf("no receipt for withdrawal %d in the end", i+1)
			}
		}
		if got := m.receiptLetters(0); got != prompt+1 {
			t.Errorf("%d letters in the end", got)
		}
		// A day later the next one is prompt again.
		time.Sleep(24 * time.Hour)
		o, at := m.publish(1, time.Time{}, "wrong-again.com")
		time.Sleep(5 * time.Second)
		tomb := m.withdraw(1, at, o[0])
		time.Sleep(5 * time.Second)
		if !m.receiptsOf(1, tomb)[m.Members[0].ID] {
			t.Error("no receipt a day later")
		}
	})
}

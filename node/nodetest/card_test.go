package nodetest

import (
	"runtime"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
)

// Two changes of a card at the same moment follow each other: two cards after
// one would contradict each other for good.
func TestCardsSetAtOnceFollow(t *testing.T) {
	Run(t, Options{Nodes: 2, Seed: 240}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		errs := make(chan error)
		for _, duty := range []string{"day and night", "weekdays"} {
			go func() {
				_, err := m.Members[1].Node.SetCard(func(c *protocol.Card) error {
					runtime.Gosched()
					c.Duty = duty
					return nil
				})
				errs <- err
			}()
		}
		m.must(<-errs)
		m.must(<-errs)
		r := m.Members[1].Node.Roster()
		if p, _ := r.Member(m.Members[1].ID); p.Card.Version != 3 || len(r.Alarms) > 0 {
			t.Errorf("card %d, alarms %v", p.Card.Version, r.Alarms)
		}
	})
}

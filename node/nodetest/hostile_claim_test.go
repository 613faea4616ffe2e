package nodetest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
)

// A neighbour that claims feeds and does not give them keeps nobody waiting, and
// nobody takes itself to be complete meanwhile.
func TestHostileClaims(t *testing.T) {
	amid(t, 3, 415, func(t *testing.T, l *liar) {
		l.mu.Lock()
		shelf := map[protocol.FeedID][]replica.Entry{}
		for i := range 3 {
			in := l.entry(i, nil, []byte("x"))
			shelf[in.h.Feed] = []replica.Entry{{Header: in.h.Raw(), Payload: in.payload}}
		}
		l.shelf[protocol.Key{}] = shelf
		l.lie = func(_ protocol.Key, q, a replica.Message) replica.Message {
			switch a := a.(type) {
			case *replica.Welcome:
				a.Statements = q.(*replica.Hello).Statements // nothing to ask for but feeds
			case *replica.Entries:
				a.Entries = nil
			}
			return a
		}
		l.mu.Unlock()
		time.Sleep(2 * time.Minute)
		for j := range 2 {
			n := l.Members[j].Node
			since := time.Now()
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			if err := n.WaitInStep(ctx); err != nil {
				t.Errorf("node %d waits for what nobody gives: %v, %+v", j, err, n.Status(since))
			}
			cancel()
			s, undelivered := n.Status(since), 0
			for _, p := range s.Peers {
				undelivered += p.Undelivered
			}
			if s.InStep || undelivered != 3 || s.State != node.Look || !strings.Contains(strings.Join(s.Alerts, " "), "does not give") {
				t.Errorf("node %d: in step %v, %d feeds not delivered, %s, %q", j, s.InStep, undelivered, s.State, s.Alerts)
			}
		}
		l.unharmed(0, 1)
	})
}

package nodetest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
	"github.com/tipmesh/tipmesh/store/memory"
)

// A node that dies after it has kept an epoch and before it has opened what
// waited for it opens that when it starts again.
func TestEpochKeptBeforeCrashOpensWhatWaited(t *testing.T) {
	Run(t, Options{Nodes: 2, Seed: 103}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		m.must(m.Share(0, "waited.com"))
		m.Settle(time.Minute, 0, 1)
		m.Stop(1)
		m.Members[1].Store = unopened(m, m.Members[1].Store)
		m.Start(1)
		time.Sleep(3 * time.Minute)
		if !m.Reads(1, 0, "waited.com") {
			t.Error("the entry is still closed though its epoch is here")
		}
		if n := m.Members[1].Node.Status(time.Time{}).Unreadable; n != 0 {
			t.Errorf("%d entries wait for an epoch", n)
		}
	})
}

// unopened gives a store as a crash right after an epoch was kept leaves it:
// all sealed entries still wait.
func unopened(m *Mesh, old *memory.Store) *memory.Store {
	c := &store.Commit{Settings: map[string][]byte{}}
	m.must(old.Statements(func(s *protocol.Statement) error {
		c.Statements = append(c.Statements, s)
		return nil
	}))
	m.must(old.Settings("", func(name string, value []byte) error {
		if !strings.HasPrefix(name, "unread/") {
			c.Settings[name] = value
		}
		return nil
	}))
	for _, f := range old.Feeds() {
		if f.Kind == protocol.EntryDirect {
			c.Settings["direct/"+f.ID.String()] = []byte{0, 0, 0, 0, 0, 0, 0, byte(f.Head)}
		}
		m.must(old.Range(f.ID, 1, func(e store.Entry) bool {
			c.Entries = append(c.Entries, e)
			if e.Header.Kind == protocol.EntrySealed {
				c.Settings[fmt.Sprintf("unread/%s/%016x", f.ID, e.Header.Seq)] = e.Header.Tag[:]
			}
			return true
		}))
	}
	s := memory.New()
	_, err := s.Commit(context.Background(), c)
	m.must(err)
	return s
}

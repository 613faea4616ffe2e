package nodetest

import (
	"slices"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
	"github.com/tipmesh/tipmesh/store/memory"
)

// spoiled is a store that reads wrong.
type spoiled struct {
	*memory.Store
	change func(store.Entry) []store.Entry // what is read in place of an entry
}

func (s *spoiled) Range(feed protocol.FeedID, from uint64, fn func(store.Entry) bool) error {
	return s.Store.Range(feed, from, func(e store.Entry) bool {
		for _, x := range s.change(e) {
			if !fn(x) {
				return false
			}
		}
		return true
	})
}

// Verify finds each kind of damage, and none in a store that is sound.
func TestVerifyFindsDamage(t *testing.T) {
	Run(t, Options{Nodes: 2, Seed: 440}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		for _, name := range []string{"a.com", "b.com", "c.com"} {
			m.must(m.Share(0, name))
		}
		m.Settle(time.Minute, m.All()...)
		m.Stop(0)
		s := &spoiled{Store: m.Members[0].Store, change: func(e store.Entry) []store.Entry { return []store.Entry{e} }}
		n, stop := m.solo(s, &puppet{})
		for _, c := range []struct {
			name, want string
			change     func(e store.Entry) []store.Entry
		}{
			{"nothing", "", s.change},
			{"a byte of a payload", "payload", func(e store.Entry) []store.Entry {
				if e.Payload = slices.Clone(e.Payload); len(e.Payload) > 0 {
					e.Payload[0] ^= 1
				}
				return []store.Entry{e}
			}},
			{"a payload gone", "payload", func(e store.Entry) []store.Entry { e.Payload = nil; return []store.Entry{e} }},
			{"a signature", "entry", func(e store.Entry) []store.Entry {
				raw := slices.Clone(e.Header.Raw())
				raw[len(raw)-1] ^= 1
				h, err := protocol.ReadHeader(raw)
				m.must(err)
				return []store.Entry{{Header: h, Payload: e.Payload}}
			}},
			{"an entry gone", "entry", func(e store.Entry) []store.Entry {
				if e.Header.Seq == 2 {
					return nil
				}
				return []store.Entry{e}
			}},
			{"the end gone", "feed", func(e store.Entry) []store.Entry {
				if e.Header.Seq == 3 {
					return nil
				}
				return []store.Entry{e}
			}},
		} {
			s.change = c.change
			v, err := n.Verify(t.Context(), nil)
			m.must(err)
			found := slices.ContainsFunc(v.Damaged, func(d node.Damage) bool { return d.What == c.want })
			if c.want == "" && v.Faults != 0 || c.want != "" && !found {
				t.Errorf("%s: %+v", c.name, v)
			}
		}
		m.must(stop())
	})
}

package nodetest

import (
	"strings"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
)

// erasuresWaiting counts the erase entries that wait at a node.
func (m *Mesh) erasuresWaiting(i int) (count int) {
	m.T.Helper()
	m.must(m.Members[i].Store.Settings("erase/", func(string, []byte) error {
		count++
		return nil
	}))
	return count
}

// mostErasures is how many erase entries of one member wait.
const mostErasures = 4096

// erase has the liar write so many erase entries, and waits until both nodes hold them.
func (l *liar) erase(count int, payload func(i int) []byte) {
	l.T.Helper()
	var after *protocol.Header
	for i := range count {
		in := l.entry(1, after, payload(i), func(h *protocol.Header) { h.Kind, h.Tag = protocol.EntryErase, protocol.Tag{} })
		l.put(protocol.Key{}, in)
		after = in.h
	}
	for range 60 {
		time.Sleep(10 * time.Second)
		if l.holds(0, after.Feed).Head == after.Seq && l.holds(1, after.Feed).Head == after.Seq {
			return
		}
	}
	l.T.Fatalf("nodes hold %d and %d of %d entries", l.holds(0, after.Feed).Head, l.holds(1, after.Feed).Head, count)
}

func (m *Mesh) erasure(feed protocol.FeedID, runs ...[2]uint64) []byte {
	m.T.Helper()
	payload, err := protocol.NewErasure(feed, runs...)
	m.must(err)
	return payload
}

// Erasures of what there is not wait in bounds, and those of others take effect
// all the same.
func TestHostileErasuresWithoutEnd(t *testing.T) {
	Run(t, Options{Nodes: 3, Seed: 506, Rules: shortGrace()}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(10 * time.Second)
		objs, at := m.publish(1, time.Time{}, "wrong.com")
		m.Settle(time.Minute, m.All()...)
		m.Stop(2)
		l := m.hostile(2)
		const over = 200
		unknown := l.erasure(protocol.FeedID{7}, [2]uint64{1, protocol.MaxSeq})
		l.erase(mostErasures+over, func(int) []byte { return unknown })
		for _, i := range []int{0, 1} {
			if got := l.erasuresWaiting(i); got != mostErasures {
				t.Errorf("at node %d %d erasures wait", i, got)
			}
			if got := l.refused(i, node.ReasonQuota); got != over {
				t.Errorf("node %d counted %d over the quota", i, got)
			}
		}
		m.withdraw(1, at, objs[0])
		time.Sleep(afterGrace)
		m.gone(at, objs[0], true, 0, 1)
		for _, i := range []int{0, 1} {
			if got := l.erasuresWaiting(i); got != mostErasures {
				t.Errorf("at node %d %d erasures wait after a sweep", i, got)
			}
		}
		l.leave()
		m.Settle(time.Minute, 0, 1)
	})
}

// What was passed over because too many waited takes effect in its turn, also at
// a node that was off in between.
func TestErasuresPassedOverTakeEffect(t *testing.T) {
	Run(t, Options{Nodes: 3, Seed: 507, Rules: shortGrace()}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(10 * time.Second)
		_, first := m.publish(2, time.Time{}, "first.com")
		_, last := m.publish(2, time.Time{}, "last.com")
		m.Settle(time.Minute, m.All()...)
		m.Stop(2)
		l := m.hostile(2)
		l.erase(mostErasures+1, func(i int) []byte {
			p := first
			if i == mostErasures {
				p = last
			}
			return l.erasure(p.Feed, [2]uint64{p.Seq, p.Seq})
		})
		l.leave()
		m.Stop(0)
		m.Start(0)
		time.Sleep(afterGrace)
		for _, i := range []int{0, 1} {
			if !erased(m.Members[i].Store, first) || erased(m.Members[i].Store, last) {
				t.Errorf("node %d: what was named first is not gone, or what was passed over is", i)
			}
		}
		time.Sleep(mostErasures / 64 * 10 * time.Minute) // so many are done in a sweep
		for _, i := range []int{0, 1} {
			if !erased(m.Members[i].Store, last) {
				t.Errorf("node %d keeps what an erasure names that was passed over", i)
			}
			if left := m.passedOver(i); left != 0 {
				t.Errorf("node %d has %d feeds to look through", i, left)
			}
		}
	})
}

func (m *Mesh) passedOver(i int) (count int) {
	m.must(m.Members[i].Store.Settings("erase-from/", func(name string, _ []byte) error {
		count += strings.Count(name, "/")
		return nil
	}))
	return count
}

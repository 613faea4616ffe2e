package replica

import (
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
)

// TestVectorByBuckets checks that a vector of which only some buckets are fetched
// tells the same as a whole one: of feeds that grew, came and went, and of those
// that stayed.
func TestVectorByBuckets(t *testing.T) {
	for _, few := range []int{0, fewFeeds} {
		other := newHome("bravo")
		id := func(b ...byte) (f protocol.FeedID) { copy(f[:], b); return f }
		for _, f := range []protocol.FeedID{id(1, 1), id(1, 2), id(2), id(3), id(255, 1), id(255, 2)} {
			other.write(f, 0, 40)
		}
		m := New(Config{Seed: 1}, newHome("alpha"))
		m.few = few
		now, got := testTime, 0
		pass := func(d time.Duration) {
			now = now.Add(d)
			m.Tick(now)
			for list := m.Take(); len(list) > 0; list = m.Take() {
				for _, e := range list {
					s, ok := e.(Send)
					if !ok {
						continue
					}
					switch a := Answer(other, s.Msg).(type) {
					case *Vector:
						got = len(a.Feeds)
						m.Received(now, other.key, a)
					case *Entries:
						m.Received(now, other.key, &Entries{Feed: a.Feed, From: a.From})
					case nil:
						m.Received(now, other.key, &Epochs{})
					default:
						m.Received(now, other.key, a)
					}
				}
			}
		}
		m.Up(now, other.key)
		pass(0)
		other.write(id(1, 1), 0, 40) // grows
		other.write(id(2, 9), 0, 40) // comes, beside one that stays
		delete(other.feeds, id(3))   // goes, the last of its bucket,
		delete(other.feeds, id(255, 1))
		pass(time.Minute)
		if got != 5 { // all that are left lie in buckets that differ
			t.Errorf("%d feeds fetched", got)
		}
		for f, want := range map[protocol.FeedID]uint64{id(1, 1): 2, id(1, 2): 1, id(2): 1, id(2, 9): 1, id(3): 0, id(255, 1): 0, id(255, 2): 1} {
			if s, ok := m.State(other.key, f); ok != (want > 0) || s.Head != want {
				t.Errorf("feed %s: head %d, want %d", f.Short(), s.Head, want)
			}
		}
		other.write(id(2), 0, 40)
		pass(time.Minute)
		if want := map[int]int{0: 2, fewFeeds: 5}[few]; got != want {
			t.Errorf("%d feeds fetched after one grew, want %d", got, want)
		}
		if p := m.peers[other.key]; !p.settled || p.known() != other.Greeting().Vector {
			t.Error("what is believed of the neighbour is not what it holds")
		}
	}
}

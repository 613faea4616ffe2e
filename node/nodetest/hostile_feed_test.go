package nodetest

import (
	"slices"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
	"github.com/tipmesh/tipmesh/store"
)

// Headers with a broken signature, of another's key or another mesh, and of a
// key nobody admitted, are not stored, whichever way they come.
func TestHostileForgery(t *testing.T) {
	amid(t, 3, 400, func(t *testing.T, l *liar) {
		good := l.entry(1, nil, []byte("x"))
		broken := slices.Clone(good.h.Raw())
		broken[len(broken)-1] ^= 1
		foreign := l.entry(2, nil, []byte("x"), func(h *protocol.Header) { h.Mesh[0] ^= 1 })
		stranger := protocol.Header{Mesh: l.ID, Salt: protocol.Hash{3}, Seq: 1, Kind: protocol.EntrySealed, Tag: protocol.Tag{1},
			Payload: protocol.HashOf([]byte("x")), Size: 1}
		strange, err := stranger.Sign(seeded(1, "stranger", 0))
		l.must(err)
		for _, raw := range [][]byte{broken, foreign.h.Raw(), strange.Raw()} {
			l.gossip(raw, []byte("x"))
		}
		// By sync, as if of feeds the liar holds.
		shelf := map[protocol.FeedID][]replica.Entry{
			good.h.Feed:    {{Header: broken, Payload: []byte("x")}},
			foreign.h.Feed: {{Header: foreign.h.Raw(), Payload: []byte("x")}},
			strange.Feed:   {{Header: strange.Raw(), Payload: []byte("x")}},
		}
		l.mu.Lock()
		l.shelf[protocol.Key{}] = shelf
		l.mu.Unlock()
		have := &replica.Have{Feeds: []replica.FeedState{{Feed: good.h.Feed, Head: 1, HeadID: good.h.ID()},
			{Feed: foreign.h.Feed, Head: 1, HeadID: foreign.h.ID()}, {Feed: strange.Feed, Head: 1, HeadID: strange.ID()}}}
		slices.SortFunc(have.Feeds, func(a, b replica.FeedState) int { return a.Feed.Compare(b.Feed) })
		for j := range 2 {
			_, err := l.stream(j).Write(replica.Encode(have))
			l.must(err)
		}
		time.Sleep(time.Minute)
		for j := range 2 {
			for id := range shelf {
				if l.holds(j, id).Head > 0 {
					t.Errorf("node %d holds a forged entry", j)
				}
			}
			if l.refused(j, node.ReasonMalformed) == 0 || l.refused(j, node.ReasonNotAdmitted) == 0 {
				t.Errorf("node %d refused without counting: %v", j, l.Members[j].Node.Status(time.Time{}).Refused)
			}
		}
		if l.times(replica.TypeGetEntries) == 0 {
			t.Error("nobody asked for the forged entries: the test is blind")
		}
		l.unharmed(0, 1)
	})
}

// Entries of others that a liar sends again, late and often, change nothing and
// are counted for nobody's fork.
func TestHostileReplay(t *testing.T) {
	amid(t, 3, 401, func(t *testing.T, l *liar) {
		a := l.acked[0].Places[0]
		e, err := l.p.Store.Entry(a)
		l.must(err)
		before := l.Members[1].Node.Status(time.Time{})
		for range 50 {
			l.gossip(e.Header.Raw(), e.Payload)
		}
		time.Sleep(10 * time.Second)
		after := l.Members[1].Node.Status(time.Time{})
		if after.Entries != before.Entries || after.Arrivals != before.Arrivals || after.Bytes > before.Bytes+1024 || len(after.Forks) > 0 {
			t.Errorf("before %+v, after %+v", before, after)
		}
		l.unharmed(0, 1)
	})
}

// Under a true header comes a wrong payload first, or none: the right one is
// taken in later, from whoever holds it.
func TestHostileWrongPayloadFirst(t *testing.T) {
	amid(t, 4, 402, func(t *testing.T, l *liar) {
		l.Net.Partition([]int{0, 1}, []int{2, 3}) // 2 hears what 0 shares from the liar alone
		time.Sleep(time.Minute)
		l.must(l.Share(0, "victim.com"))
		place := l.acked[1].Places[0]
		e, err := l.Members[0].Store.Entry(place)
		l.must(err)
		wrong := slices.Clone(e.Payload)
		wrong[len(wrong)-1] ^= 1
		prior, err := l.Members[2].Store.Header(place)
		if err == nil {
			t.Fatalf("node 2 has %v already", prior)
		}
		l.gossip(e.Header.Raw(), wrong)
		l.gossip(e.Header.Raw(), nil)
		var list []replica.Entry
		l.must(l.Members[0].Store.Range(place.Feed, 1, func(x store.Entry) bool {
			list = append(list, replica.Entry{Header: x.Header.Raw(), Payload: wrong})
			return true
		}))
		l.mu.Lock()
		l.shelf[protocol.Key{}] = map[protocol.FeedID][]replica.Entry{place.Feed: list}
		l.mu.Unlock()
		_, err = l.stream(2).Write(replica.Encode(&replica.Have{Feeds: states(l.shelf[protocol.Key{}])}))
		l.must(err)
		time.Sleep(time.Minute)
		if got := l.holds(2, place.Feed); got.Head != place.Seq || len(got.Missing) == 0 {
			t.Errorf("node 2 holds to %d of %d, missing %v", got.Head, place.Seq, got.Missing)
		}
		if l.refused(2, node.ReasonMalformed) == 0 {
			t.Error("wrong payloads were not counted")
		}
		l.Net.Heal()
		time.Sleep(2 * time.Minute)
		l.unharmed(0, 1, 2)
	})
}

// A writer that shows different branches to different nodes is found out,
// whether they part at once or at the head, and stops nobody else.
func TestHostileEquivocation(t *testing.T) {
	for name, at := range map[string]int{"first": 0, "head": 5} {
		t.Run(name, func(t *testing.T) {
			amid(t, 4, 403+uint64(at), func(t *testing.T, l *liar) {
				l.Net.Partition([]int{0}, []int{1, 2, 3})
				time.Sleep(time.Minute)
				var trunk []incoming
				var last *protocol.Header
				for range at {
					in := l.entry(1, last, []byte("same"))
					trunk, last = append(trunk, in), in.h
				}
				for j := range 3 {
					branch := l.entry(1, last, []byte{byte(j)})
					l.put(l.nodeOf(j), append(slices.Clone(trunk), branch, l.entry(1, branch.h, []byte{byte(j), 1}))...)
				}
				l.Net.Heal()
				time.Sleep(3 * time.Minute)
				for j := range 3 {
					if fork, ok := l.Members[j].Node.Roster().Fork(l.nodeOf(3)); !ok || fork.Resolved || fork.Seq <= uint64(at) {
						t.Errorf("node %d knows of no fork at %d: %v", j, at+1, fork)
					}
				}
				more := l.entry(2, nil, []byte("later"))
				l.put(protocol.Key{}, more)
				l.gossip(more.h.Raw(), more.payload)
				time.Sleep(time.Minute)
				for j := range 3 {
					l.must(l.Share(j, "beside-the-fork.com"))
					if l.holds(j, more.h.Feed).Head > 0 || l.refused(j, node.ReasonHeld) == 0 {
						t.Errorf("node %d takes more of a node that forked", j)
					}
				}
				time.Sleep(10 * time.Second)
				for i := range 3 {
					for j := range 3 {
						if !l.Reads(i, j, "beside-the-fork.com") {
							t.Errorf("node %d does not know what %d shared", i, j)
						}
					}
				}
				l.leave()
				l.agree(0, 1, 2)
			})
		})
	}
}

// A removed member that writes on, dates back, begins feeds and hands its entries
// to another member to relay reaches nobody.
func TestHostileRemovedWritesOn(t *testing.T) {
	amid(t, 4, 410, func(t *testing.T, l *liar) {
		first := l.entry(1, nil, []byte("while in"))
		l.gossip(first.h.Raw(), first.payload)
		time.Sleep(5 * time.Second)
		l.Remove(3)
		time.Sleep(5 * time.Second)
		on := l.entry(1, first.h, []byte("on"))
		back := l.entry(1, first.h, []byte("back"), func(h *protocol.Header) { h.Time = 1 })
		fresh := l.entry(2, nil, []byte("fresh"), func(h *protocol.Header) { h.Time = -forever })
		for _, in := range []incoming{on, back, fresh} {
			ignoreErr(l.tr.Publish(replica.EncodeGossip(&replica.Gossip{Entry: &replica.Entry{Header: in.h.Raw(), Payload: in.payload}})))
		}
		for j := range 3 {
			l.dial(j)
		}
		// Member 2 turns relay.
		l.leave()
		l.Stop(2)
		relay := l.hostile(2)
		defer relay.tr.Close()
		for _, in := range []incoming{on, back, fresh} {
			relay.gossip(in.h.Raw(), in.payload)
		}
		relay.put(protocol.Key{}, first, on, fresh)
		for j := range 2 {
			_, err := relay.stream(j).Write(replica.Encode(&replica.Have{Feeds: states(relay.shelf[protocol.Key{}])}))
			l.must(err)
		}
		time.Sleep(2 * time.Minute)
		for j := range 2 {
			if l.holds(j, first.h.Feed).Head != 1 || l.holds(j, fresh.h.Feed).Head != 0 {
				t.Errorf("node %d took entries of a removed member", j)
			}
			if l.refused(j, node.ReasonNotAdmitted) == 0 {
				t.Errorf("node %d counted nothing", j)
			}
			if n := relay.times(replica.TypeGetEntries); n > 8 {
				t.Errorf("%d requests for what nobody wants", n)
			}
		}
		relay.unharmed(0, 1)
	})
}

// A retired node writes nothing more.
func TestHostileRetiredNode(t *testing.T) {
	amid(t, 3, 411, func(t *testing.T, l *liar) {
		first := l.entry(1, nil, []byte("while in"))
		l.gossip(first.h.Raw(), first.payload)
		time.Sleep(5 * time.Second)
		card := *l.p.card.Doc().(*protocol.Card)
		card.Version, card.Member, card.Prev = 2, l.p.ID, l.p.card.ID()
		card.Nodes = []protocol.CardNode{{Key: protocol.KeyOf(seeded(411, "new node", 0))}}
		card.Retired = []protocol.RetiredNode{{Node: l.nodeOf(2), Cuts: []protocol.FeedCut{{Feed: first.h.Feed, Seq: 1}}}}
		s, err := protocol.NewStatement(l.ID, &card, time.Now().UnixMilli(), l.p.key)
		l.must(err)
		l.must(l.Members[0].Node.Submit(s))
		time.Sleep(5 * time.Second)
		for _, in := range []incoming{l.entry(1, first.h, []byte("on")), l.entry(2, nil, []byte("fresh"))} {
			for j := range 2 {
				l.Members[j].Node.Gossip(l.nodeOf(1-j), replica.EncodeGossip(&replica.Gossip{Entry: &replica.Entry{Header: in.h.Raw(), Payload: in.payload}}))
			}
		}
		time.Sleep(time.Minute)
		for j := range 2 {
			if l.holds(j, first.h.Feed).Head != 1 || l.feedsOf(j, 2) > 2 || l.refused(j, node.ReasonNotAdmitted) < 2 {
				t.Errorf("node %d: head %d, %d feeds, refused %v", j, l.holds(j, first.h.Feed).Head, l.feedsOf(j, 2), l.Members[j].Node.Status(time.Time{}).Refused)
			}
			if _, ok := l.Members[j].Node.Roster().ByNode(l.nodeOf(2)); ok {
				t.Errorf("node %d still lets the retired node in", j)
			}
		}
		l.unharmed(0, 1)
	})
}

// An entry at sequence number 2^40, and a neighbour that says it holds that many,
// cost nothing.
func TestHostileSequence(t *testing.T) {
	amid(t, 3, 412, func(t *testing.T, l *liar) {
		far := l.entry(1, nil, []byte("far"), func(h *protocol.Header) { h.Seq, h.Prev = 1<<40, protocol.EntryID{1} })
		before := heap()
		l.gossip(far.h.Raw(), far.payload)
		l.mu.Lock()
		l.lie = func(_ protocol.Key, q, a replica.Message) replica.Message {
			if e, ok := a.(*replica.Entries); ok {
				e.Entries = []replica.Entry{{Header: far.h.Raw(), Payload: far.payload}}
			}
			return a
		}
		l.mu.Unlock()
		have := &replica.Have{Feeds: []replica.FeedState{{Feed: far.h.Feed, Head: 1 << 40, HeadID: far.h.ID(), Missing: []uint64{1, 1<<40 - 1}}}}
		for j := range 2 {
			_, err := l.stream(j).Write(replica.Encode(have))
			l.must(err)
		}
		time.Sleep(3 * time.Minute)
		if l.holds(0, far.h.Feed).Head != 0 || l.holds(1, far.h.Feed).Head != 0 {
			t.Error("the far entry was stored")
		}
		if grown := int64(heap()) - int64(before); grown > 8<<20 {
			t.Errorf("%d bytes more", grown)
		}
		if n := l.times(replica.TypeGetEntries); n == 0 || n > 40 {
			t.Errorf("%d requests in three minutes", n)
		}
		l.unharmed(0, 1)
	})
}

// A writer that begins feeds without end gets as many as there may be of one
// node; who tells of more than there are is not believed beyond a bound.
func TestHostileFeeds(t *testing.T) {
	if testing.Short() {
		t.Skip("makes 1,124 feeds")
	}
	amid(t, 3, 413, func(t *testing.T, l *liar) {
		const most = 1024
		for i := range most + 100 {
			in := l.entry(i, nil, []byte("x"))
			msg := replica.EncodeGossip(&replica.Gossip{Entry: &replica.Entry{Header: in.h.Raw(), Payload: in.payload}})
			for j := range 2 {
				l.Members[j].Node.Gossip(l.nodeOf(1-j), msg)
			}
			if i%100 == 0 {
				time.Sleep(100 * time.Millisecond)
			}
		}
		time.Sleep(2 * time.Minute)
		for j := range 2 {
			if n := l.feedsOf(j, 2); n != most {
				t.Errorf("node %d holds %d feeds of one node", j, n)
			}
			if l.refused(j, node.ReasonQuota) == 0 {
				t.Errorf("node %d counted nothing over its quota", j)
			}
		}
		l.heeded(0, 1) // which of the feeds each holds may differ
	})
}

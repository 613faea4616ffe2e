package nodetest

import (
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
)

// bounded checks that nothing neighbours can fill is over its bound, and gives
// the lengths by name.
func (m *Mesh) bounded(nodes ...int) map[string]int {
	m.T.Helper()
	most := map[string]int{}
	for _, i := range nodes {
		for _, q := range m.Members[i].Node.Status(time.Time{}).Queues {
			most[q.Name] = max(most[q.Name], q.Length)
			if q.Length > q.Bound {
				m.T.Errorf("node %d: %s: %d, at most %d", i, q.Name, q.Length, q.Bound)
			}
		}
	}
	return most
}

// give hands an entry to a node as gossip of an honest neighbour.
func (l *liar) give(to, from int, in incoming) {
	l.Members[to].Node.Gossip(l.nodeOf(from), replica.EncodeGossip(&replica.Gossip{Entry: &replica.Entry{Header: in.h.Raw(), Payload: in.payload}}))
}

// A member whose entries each have another tag has so many of them tried at once
// and one a second from then on. Its own readable ones come later for that;
// nobody else's do.
func TestHostileTags(t *testing.T) {
	amid(t, 3, 460, func(t *testing.T, l *liar) {
		e, id := l.epoch()
		before := l.Members[0].Node.Status(time.Time{}).Tried
		var last *protocol.Header
		const flood = 2000
		began := time.Now()
		for i := range flood {
			in := l.entry(1, last, []byte("closed"), func(h *protocol.Header) { h.Tag = protocol.Tag{1, byte(i), byte(i >> 8)} })
			l.give(0, 1, in)
			last = in.h
			if i%100 == 0 {
				time.Sleep(100 * time.Millisecond)
			}
		}
		bundle, values := l.p.domains("behind-the-flood.com")
		in := l.entry(2, nil, l.bundleOf(bundle, id), l.tagged(e))
		l.give(0, 1, in)
		l.must(l.Share(1, "beside-the-flood.com"))
		time.Sleep(5 * time.Second)
		s := l.Members[0].Node.Status(time.Time{})
		if most := 512 + uint64(time.Since(began)/time.Second) + 16; s.Tried-before > most || s.Tried-before < 512 {
			t.Errorf("%d tags were tried in %v", s.Tried-before, time.Since(began))
		}
		if s.Unreadable < flood {
			t.Errorf("%d entries wait", s.Unreadable)
		}
		if !l.Reads(0, 1, "beside-the-flood.com") {
			t.Error("an honest member's entry waits too")
		}
		time.Sleep(40 * time.Minute)
		if !l.Reads(0, 2, values[0].Text) {
			t.Error("what can be read is not read in the end")
		}
		if n := l.Members[0].Node.Status(time.Time{}).Unreadable; n != flood {
			t.Errorf("%d entries wait in the end", n)
		}
		l.bounded(0, 1)
		l.unharmed(0, 1)
	})
}

// A member that asks for epochs without end, on all its streams, has so many
// answers sealed at once and one in two seconds from then on; another member
// that asks is answered all the same.
func TestHostileEpochRequests(t *testing.T) {
	amid(t, 3, 461, func(t *testing.T, l *liar) {
		const each = 500
		answered := make(chan int)
		began := time.Now()
		for range 4 {
			s := l.stream(0)
			go func() {
				sealed := 0
				defer func() { answered <- sealed }()
				for range each {
					if _, err := s.Write(replica.Encode(&replica.GetEpochs{})); err != nil {
						return
					}
					frame, err := replica.ReadFrame(s, replica.MaxFrame)
					if err != nil {
						return
					}
					if msg, err := replica.Decode(frame); err == nil && len(msg.(*replica.Epochs).Sealed) > 0 {
						sealed++
					}
				}
			}()
		}
		sealed := 0
		for range 4 {
			sealed += <-answered
		}
		if most := 32 + int(time.Since(began)/(2*time.Second)) + 1; sealed == 0 || sealed > most {
			t.Errorf("%d of %d requests were answered with epochs in %v", sealed, 4*each, time.Since(began))
		}
		if n := l.refused(0, node.ReasonQuota); n < 4*each-100 {
			t.Errorf("%d requests were counted as over the quota", n)
		}
		l.T.Logf("%d of %d answered in %v", sealed, 4*each, time.Since(began))
		l.unharmed(0, 1)
	})
}

// Headers of a hundred thousand feeds, half of them without the entry before,
// leave as many feeds as there may be of one node.
func TestHostileGossipOfFeeds(t *testing.T) {
	if testing.Short() {
		t.Skip("signs 100,000 headers")
	}
	amid(t, 3, 462, func(t *testing.T, l *liar) {
		const feeds, most = 100_000, 1024
		before := heap()
		top := map[string]int{}
		for i := range feeds {
			change := func(h *protocol.Header) {
				h.Salt = protocol.Hash{byte(i), byte(i >> 8), byte(i >> 16), 7}
				if i < feeds/2 {
					h.Seq, h.Prev = 2, protocol.EntryID{1}
				}
			}
			l.give(0, 1, l.entry(0, nil, []byte("x"), change))
			if i%1000 == 0 {
				time.Sleep(100 * time.Millisecond)
			}
			if i%10_000 == 9_999 {
				for name, n := range l.bounded(0) {
					top[name] = max(top[name], n)
				}
			}
		}
		time.Sleep(time.Minute)
		grown := int64(heap()) - int64(before)
		t.Logf("%d feeds held, %d bytes more, queues at most %v, refused %v", l.feedsOf(0, 2), grown, top, l.Members[0].Node.Status(time.Time{}).Refused)
		if n := l.feedsOf(0, 2); n > most {
			t.Errorf("%d feeds of one node are held", n)
		}
		if grown > 64<<20 {
			t.Errorf("%d bytes more", grown)
		}
		if n := l.refused(0, node.ReasonQuota); n < feeds/2-most {
			t.Errorf("%d headers were counted as over the quota", n)
		}
		if top["parked bytes of one node"] < 4<<20 {
			t.Error("next to nothing was parked: the test is blind")
		}
		l.heeded(0, 1)
	})
}

// A neighbour that tells of a million feeds, by itself and when asked, is believed
// as far as there may be feeds at all; what it has the node ask for does not grow
// with its claims, and shares pass meanwhile.
func TestHostileMillionFeeds(t *testing.T) {
	if testing.Short() {
		t.Skip("tells of a million feeds")
	}
	amid(t, 3, 463, func(t *testing.T, l *liar) {
		const pages = 1 << 20 / replica.MaxFeeds
		page := func(i int) (out []replica.FeedState) {
			for k := range replica.MaxFeeds {
				out = append(out, replica.FeedState{Feed: protocol.FeedID{byte(i >> 8), byte(i), byte(k >> 8), byte(k), 1}, Head: 7, HeadID: protocol.EntryID{1}})
			}
			return out
		}
		served := 0
		l.mu.Lock()
		l.lie = func(_ protocol.Key, q, a replica.Message) replica.Message {
			switch a := a.(type) {
			case *replica.Welcome:
				a.Vector = protocol.Hash{byte(time.Now().UnixNano()), 1}
			case *replica.Vector:
				after := q.(*replica.GetVector).After
				at := int(after[0])<<8 + int(after[1])
				if !after.IsZero() {
					at++
				}
				served++
				a.Feeds, a.More = page(at%pages), at+1 < pages
			}
			return a
		}
		l.mu.Unlock()
		before := heap()
		began := time.Now()
		s := l.stream(0)
		for i := range pages {
			l.must(s.SetWriteDeadline(time.Now().Add(10 * time.Minute)))
			if _, err := s.Write(replica.Encode(&replica.Have{Feeds: page(i)})); err != nil {
				t.Logf("after %d pages: %v", i, err)
				break
			}
		}
		told := time.Since(began)
		time.Sleep(30 * time.Second)
		grown := int64(heap()) - int64(before)
		asked := l.times(replica.TypeGetEntries)
		l.mu.Lock()
		t.Logf("told in %v, %d vector pages served, %d bytes more, %d requests for entries", told, served, grown, asked)
		l.mu.Unlock()
		if grown > 128<<20 {
			t.Errorf("%d bytes more", grown)
		}
		if asked == 0 || asked > 2*protocol.MaxFeedsHeld {
			t.Errorf("%d requests for entries of feeds that do not exist", asked)
		}
		l.bounded(0, 1)
		l.unharmed(0, 1)
	})
}

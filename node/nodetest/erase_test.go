package nodetest

import (
	"context"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/internal/stix"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// graceOfTests is short, so that less happens in it; one sweep and more follows it.
const (
	graceOfTests = 2 * time.Hour
	afterGrace   = graceOfTests + 15*time.Minute
)

func shortGrace() protocol.Rules {
	return protocol.Rules{ErasureSeconds: uint64(graceOfTests.Seconds())}
}

// publish shares indicators of domains and gives them and their place.
func (m *Mesh) publish(i int, until time.Time, names ...string) (objs []stix.Object, at store.Place) {
	m.T.Helper()
	p := m.Members[i]
	h := stix.Handling{TLP: stix.TLPGreen, Action: stix.ActionDetect, ValidUntil: until}
	for _, n := range names {
		objs = append(objs, stix.NewIndicator(p.Author, "domain", n, h, time.Now()))
	}
	places, err := p.Node.Write(context.Background(), [][]byte{stix.AppendBundle(nil, "", append([]stix.Object{p.Author.Identity(), stix.TLPGreen.Marking()}, objs...))}, "green")
	m.must(err)
	return objs, places[0]
}

// withdraw takes back objects of one entry and gives the place that says so.
func (m *Mesh) withdraw(i int, from store.Place, objs ...stix.Object) store.Place {
	m.T.Helper()
	p := m.Members[i]
	all := []stix.Object{p.Author.Identity(), stix.TLPGreen.Marking()}
	for _, o := range objs {
		o, err := stix.Revoke(o, stix.WhyError, time.Now().Add(time.Second))
		m.must(err)
		all = append(all, o)
	}
	places, err := p.Node.Write(context.Background(), [][]byte{stix.AppendBundle(nil, "", all)}, "green")
	m.must(err)
	m.must(p.Node.Erase(context.Background(), from))
	return places[0]
}

// gone wants a payload erased at nodes, its header held, and nothing about it in
// the index but what withdraws it.
func (m *Mesh) gone(p store.Place, o stix.Object, want bool, nodes ...int) {
	m.T.Helper()
	for _, i := range nodes {
		s := m.Members[i].Store
		e, err := s.Entry(p)
		if err != nil || (e.Payload == nil) != want || erased(s, p) != want {
			m.T.Errorf("node %d: entry %v, payload of %d bytes, want it gone: %v", i, err, len(e.Payload), want)
		}
		list, err := s.Index().Versions(m.Members[1].ID, o.ID)
		m.must(err)
		for _, v := range list {
			if want && !v.Revoked {
				m.T.Errorf("node %d: the index still has what was withdrawn", i)
			}
		}
	}
}

func (m *Mesh) receiptsOf(by int, p store.Place) map[protocol.MemberID]bool {
	out := map[protocol.MemberID]bool{}
	for _, r := range m.Members[by].Node.Receipts([]store.Place{p}) {
		out[r.Member] = r.State == protocol.ReceiptApplied
	}
	return out
}

func TestWithdrawnPayloadsGo(t *testing.T) {
	Run(t, Options{Nodes: 4, Seed: 501, Rules: shortGrace()}, func(t *testing.T, m *Mesh) {
		m.Members[2].Clock = 365 * 24 * time.Hour // can delay, never hasten
		m.StartAll()
		time.Sleep(10 * time.Second)
		objs, at := m.publish(1, time.Time{}, "wrong.com", "also-wrong.com")
		kept, keptAt := m.publish(1, time.Time{}, "right.com")
		m.must(m.Share(2, "of-another.com"))
		m.Settle(time.Minute, m.All()...)
		m.Stop(3)
		// One of two: the payload stays.
		m.withdraw(1, at, objs[0])
		time.Sleep(5 * time.Second)
		tomb := m.withdraw(1, at, objs[1])
		time.Sleep(15 * time.Second)
		if got := m.receiptsOf(1, tomb); !got[m.Members[0].ID] || !got[m.Members[2].ID] || got[m.Members[3].ID] || len(got) != 2 {
			t.Errorf("receipts: %v", got)
		}
		m.gone(at, objs[0], false, 0, 1, 2)
		time.Sleep(graceOfTests - 15*time.Minute)
		m.gone(at, objs[0], false, 0, 1, 2)
		time.Sleep(30 * time.Minute)
		m.gone(at, objs[0], true, 0, 1, 2)
		m.gone(keptAt, kept[0], false, 0, 1, 2)
		// The one that was away obeys, and drops the payload in its own time.
		m.Start(3)
		time.Sleep(30 * time.Second)
		m.Settle(2*time.Minute, m.All()...)
		if got := m.receiptsOf(1, tomb); !got[m.Members[3].ID] {
			t.Errorf("receipts: %v", got)
		}
		m.gone(at, objs[1], false, 3)
		time.Sleep(afterGrace)
		m.gone(at, objs[1], true, 0, 1, 2, 3)
		if m.Reads(3, 1, "right.com") == false || m.Members[3].Node.Status(time.Time{}).Erased != 1 {
			t.Error("too much has gone")
		}
		m.Check(m.All()...)
	})
}

// A node that joins after an erasure gets headers and misses nothing.
func TestNewcomerAfterErasure(t *testing.T) {
	Run(t, Options{Nodes: 3, Seed: 502, Rules: shortGrace()}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(10 * time.Second)
		objs, at := m.publish(1, time.Time{}, "wrong.com")
		m.Settle(time.Minute, m.All()...)
		m.withdraw(1, at, objs[0])
		time.Sleep(afterGrace)
		m.gone(at, objs[0], true, 0, 1, 2)
		n := m.late()
		m.admitted(n)
		m.Start(n)
		time.Sleep(time.Minute)
		m.Settle(time.Minute, m.All()...)
		m.Check(m.All()...)
		if e, err := m.Members[n].Store.Entry(at); err != nil || e.Payload != nil {
			t.Errorf("header: %v, payload of %d bytes", err, len(e.Payload))
		}
		time.Sleep(afterGrace)
		m.gone(at, objs[0], true, n)
		for _, i := range m.All() {
			s := m.Members[i].Node.Status(time.Time{})
			for _, p := range s.Peers {
				if p.Behind > 0 {
					t.Errorf("node %d takes %s to be %d behind", i, p.Handle, p.Behind)
				}
			}
			if !s.InStep || s.Erased != 1 || s.State != "WELL" {
				t.Errorf("node %d: %+v", i, s)
			}
		}
	})
}

// What has expired goes once its author's clock and the others' agree; a clock
// that is wrong at one node, its author included, lets nothing go early.
func TestExpiredPayloadsGo(t *testing.T) {
	Run(t, Options{Nodes: 3, Seed: 503, Rules: shortGrace()}, func(t *testing.T, m *Mesh) {
		m.Members[2].Clock = 365 * 24 * time.Hour
		m.StartAll()
		time.Sleep(10 * time.Second)
		soon := time.Now().Add(20 * time.Hour)
		short, shortAt := m.publish(1, soon, "short.com")
		both, bothAt := m.publish(1, time.Time{}, "for-good.com")
		late, lateAt := m.publish(2, time.Now().Add(400*24*time.Hour), "late.com")
		_, mineAt := m.publish(2, soon, "short-of-the-wrong-one.com")
		m.Settle(time.Minute, m.All()...)
		time.Sleep(19 * time.Hour)
		for _, p := range []store.Place{shortAt, bothAt, lateAt, mineAt} {
			m.gone(p, short[0], false, 0, 1, 2)
		}
		time.Sleep(7*time.Hour + afterGrace) // the look of the next day, and the grace
		m.gone(shortAt, short[0], true, 0, 1, 2)
		m.gone(bothAt, both[0], false, 0, 1, 2)
		m.gone(lateAt, late[0], false, 0, 1, 2)
		m.Check(m.All()...)
	})
}

// An erase entry that names others' entries has no effect, nor has one that is no
// erasure.
func TestHostileErasure(t *testing.T) {
	Run(t, Options{Nodes: 3, Seed: 504, Rules: shortGrace()}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(10 * time.Second)
		objs, at := m.publish(1, time.Time{}, "of-another.com")
		_, own := m.publish(2, time.Time{}, "its-own.com")
		m.Settle(time.Minute, m.All()...)
		m.Stop(2)
		l := m.hostile(2)
		others, err := protocol.NewErasure(at.Feed, [2]uint64{1, protocol.MaxSeq})
		m.must(err)
		unknown, err := protocol.NewErasure(protocol.FeedID{7}, [2]uint64{1, protocol.MaxSeq})
		m.must(err)
		mine, err := protocol.NewErasure(own.Feed, [2]uint64{own.Seq, protocol.MaxSeq})
		m.must(err)
		var after *protocol.Header
		for _, payload := range [][]byte{others, unknown, []byte("no erasure"), mine} {
			in := l.entry(1, after, payload, func(h *protocol.Header) { h.Kind, h.Tag = protocol.EntryErase, protocol.Tag{} })
			l.put(protocol.Key{}, in)
			l.gossip(in.h.Raw(), in.payload)
			after = in.h
		}
		time.Sleep(afterGrace)
		m.gone(at, objs[0], false, 0, 1)
		for _, i := range []int{0, 1} {
			if !erased(m.Members[i].Store, own) {
				t.Errorf("node %d keeps what its author let go", i)
			}
			if m.refused(i, "not_admitted") == 0 || m.refused(i, "malformed") == 0 {
				t.Errorf("node %d counted nothing: %v", i, m.Members[i].Node.Status(time.Time{}).Refused)
			}
		}
		l.leave()
		m.Settle(time.Minute, 0, 1)
	})
}

// What is kept for a week goes after it everywhere, and not before, whatever one
// clock says; a node that comes later does not fetch it from one that was away.
func TestKeptForAWeek(t *testing.T) {
	Run(t, Options{Nodes: 3, Seed: 505, Rules: shortGrace()}, func(t *testing.T, m *Mesh) {
		m.Members[2].Clock = 365 * 24 * time.Hour
		for i := range 2 {
			m.Start(i)
		}
		time.Sleep(10 * time.Second)
		p := m.Members[1]
		bundle, _ := p.domains("for-a-week.com")
		places, err := p.Node.WriteKept(context.Background(), protocol.Everyone(m.ID), [][]byte{bundle}, "green", 1)
		m.must(err)
		_, stays := m.publish(1, time.Time{}, "for-good.com")
		m.Settle(time.Minute, 0, 1)
		h, err := p.Store.Header(places[0])
		m.must(err)
		if h.Retention != 1 {
			t.Fatalf("retention class %d", h.Retention)
		}
		m.StopAll() // most of the week in one step
		time.Sleep(7*24*time.Hour - 12*time.Hour)
		m.StartAll()
		time.Sleep(11 * time.Hour)
		o := stix.Object{ID: "indicator--none"}
		m.gone(places[0], o, false, 0, 1, 2)
		m.Stop(0)
		time.Sleep(90 * time.Minute)
		m.gone(places[0], o, true, 1, 2)
		m.Start(0)
		time.Sleep(time.Minute)
		m.Settle(time.Minute, m.All()...)
		time.Sleep(afterGrace)
		m.gone(places[0], o, true, 0, 1, 2)
		m.gone(stays, o, false, 0, 1, 2)
		m.Check(m.All()...)
	})
}

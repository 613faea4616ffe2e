package nodetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/internal/stix"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// manyRuns is more than the 32 ranges that a node tells as missing.
const manyRuns = 40

// arrives has somebody join and wants it in step within a minute, and taken for
// such by all, though nobody gives it what has gone.
func (m *Mesh) arrives() (n int) {
	m.T.Helper()
	n = m.late()
	m.admitted(n)
	m.Start(n)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	m.must(m.Members[n].Node.WaitInStep(ctx))
	time.Sleep(time.Minute)
	m.Settle(time.Minute, m.All()...)
	for _, i := range m.All() {
		s := m.Members[i].Node.Status(time.Time{})
		for _, p := range s.Peers {
			if p.Behind > 0 || p.Undelivered > 0 {
				m.T.Errorf("node %d takes %s to be %d behind, to keep %d feeds back", i, p.Handle, p.Behind, p.Undelivered)
			}
		}
		if !s.InStep || s.State != "WELL" {
			m.T.Errorf("node %d: %s, in step %v, %v", i, s.State, s.InStep, s.Alerts)
		}
	}
	return n
}

// However much has gone of a feed, a newcomer is in step at once, and goes on to
// get what is shared.
func TestNewcomerAfterManyErasures(t *testing.T) {
	Run(t, Options{Nodes: 3, Seed: 508, Rules: shortGrace()}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(10 * time.Second)
		var gone []store.Place
		for i := range manyRuns {
			objs, at := m.publish(1, time.Time{}, fmt.Sprintf("wrong%d.com", i))
			m.publish(1, time.Time{}, fmt.Sprintf("right%d.com", i))
			m.withdraw(1, at, objs[0])
			gone = append(gone, at)
		}
		m.Settle(time.Minute, m.All()...)
		time.Sleep(afterGrace)
		for _, p := range gone {
			if !erased(m.Members[0].Store, p) {
				t.Fatal("not erased")
			}
		}
		n := m.arrives()
		m.must(m.Share(1, "later.com"))
		time.Sleep(10 * time.Second)
		for _, name := range []string{"right0.com", fmt.Sprintf("right%d.com", manyRuns-1), "later.com"} {
			if !m.Reads(n, 1, name) {
				t.Errorf("the newcomer does not know %s", name)
			}
		}
		time.Sleep(afterGrace)
		for _, p := range gone {
			if !erased(m.Members[n].Store, p) {
				t.Fatal("not erased at the newcomer once the grace has passed")
			}
		}
		m.Check(m.All()...)
	})
}

// The same where what has gone was kept for a week only.
func TestNewcomerAfterManyWeeks(t *testing.T) {
	Run(t, Options{Nodes: 3, Seed: 509, Rules: shortGrace()}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(10 * time.Second)
		p := m.Members[1]
		for i := range manyRuns {
			bundle, _ := p.domains(fmt.Sprintf("for-a-week%d.com", i))
			_, err := p.Node.WriteKept(context.Background(), protocol.Everyone(m.ID), [][]byte{bundle}, "green", 1)
			m.must(err)
			m.publish(1, time.Time{}, fmt.Sprintf("for-good%d.com", i))
		}
		m.Settle(time.Minute, m.All()...)
		m.StopAll()
		time.Sleep(7 * 24 * time.Hour)
		m.StartAll()
		time.Sleep(afterGrace)
		if got := m.Members[0].Node.Status(time.Time{}).Erased; got != manyRuns {
			t.Fatalf("%d payloads are gone", got)
		}
		m.arrives()
	})
}

// What an erase entry names need not come; once a cut voids that entry, it comes
// after all and stays.
func TestVoidErasureIsFetched(t *testing.T) {
	Run(t, Options{Nodes: 3, Seed: 510, Rules: shortGrace()}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(10 * time.Second)
		m.Stop(2)
		l := m.hostile(2)
		defer l.tr.Close()
		said := l.entry(1, nil, []byte("said and not to be unsaid"))
		erase := l.entry(2, nil, l.erasure(said.h.Feed, [2]uint64{1, 1}), func(h *protocol.Header) { h.Kind, h.Tag = protocol.EntryErase, protocol.Tag{} })
		m.Stop(1)
		l.put(l.nodeOf(0), erase, incoming{said.h, nil})
		time.Sleep(90 * time.Second)
		m.Stop(0)
		m.Start(1)
		l.dial(1)
		l.put(l.nodeOf(1), said)
		time.Sleep(90 * time.Second)
		m.Start(0)
		time.Sleep(2 * time.Minute)
		at := store.Place{Feed: said.h.Feed, Seq: 1}
		payload := func(i int) int {
			e, err := m.Members[i].Store.Entry(at)
			m.must(err)
			return len(e.Payload)
		}
		if payload(0) != 0 || payload(1) == 0 {
			t.Fatalf("payloads of %d and %d bytes", payload(0), payload(1))
		}
		f := m.Members[0].Node
		gone, _ := f.Roster().Member(m.Members[2].ID)
		removal, err := f.State(&protocol.Removal{Member: gone.ID, Admission: gone.Admission, Line: f.Roster().Line, Why: "stolen",
			Cuts: []protocol.FeedCut{{Feed: at.Feed, Seq: 1}}})
		m.must(err)
		_, err = f.State(&protocol.Approval{Subject: removal.ID()})
		m.must(err)
		time.Sleep(2 * time.Minute)
		if payload(0) == 0 {
			t.Error("what a void entry erases is not asked for")
		}
		time.Sleep(afterGrace)
		m.gone(at, stix.Object{ID: "indicator--none"}, false, 0, 1)
	})
}

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

// shortLives are house rules by which domain names hold for so long.
func shortLives(d time.Duration) protocol.Rules {
	r := shortGrace()
	r.Lifetimes.DomainSeconds = uint64(d.Seconds())
	return r
}

// sights has a member say that it met what an object is about.
func (m *Mesh) sights(i int, o stix.Object) {
	m.T.Helper()
	now := time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
	raw := fmt.Appendf(nil, `{"type":"bundle","id":"bundle--3f6d5a52-0a6e-4b8c-9a0a-6d6d3a1f0001","objects":[{"type":"sighting","spec_version":"2.1","id":"sighting--3f6d5a52-0a6e-4b8c-9a0a-6d6d3a1f0002","created":%q,"modified":%q,"last_seen":%q,"sighting_of_ref":%q}]}`,
		now, now, now, o.ID)
	_, err := m.Members[i].Node.Write(context.Background(), [][]byte{raw}, "green")
	m.must(err)
}

// What is older than the charter's lifetime goes everywhere once its author's clock
// and the others' agree; a sighting keeps it for half as long again, and what has
// no lifetime stays. A clock a year ahead lets nothing go early.
func TestLifetimesEnd(t *testing.T) {
	Run(t, Options{Nodes: 3, Seed: 530, Rules: shortLives(20 * time.Hour)}, func(t *testing.T, m *Mesh) {
		m.Members[2].Clock = 365 * 24 * time.Hour
		m.StartAll()
		time.Sleep(10 * time.Second)
		old, oldAt := m.publish(1, time.Time{}, "old.com")
		seen, seenAt := m.publish(1, time.Time{}, "seen.com")
		hash := stix.NewIndicator(m.Members[1].Author, "sha256", fmt.Sprintf("%064d", 7), stix.Handling{TLP: stix.TLPGreen}, time.Now())
		places, err := m.Members[1].Node.Write(context.Background(), [][]byte{stix.AppendBundle(nil, "", []stix.Object{m.Members[1].Author.Identity(), stix.TLPGreen.Marking(), hash})}, "green")
		m.must(err)
		m.Settle(time.Minute, m.All()...)
		time.Sleep(18 * time.Hour)
		m.sights(0, seen[0])
		m.Settle(time.Minute, m.All()...)
		for _, p := range []store.Place{oldAt, seenAt, places[0]} {
			m.gone(p, old[0], false, 0, 1, 2)
		}
		time.Sleep(8*time.Hour + afterGrace) // the look of the next day, and the grace
		m.gone(oldAt, old[0], true, 0, 1, 2)
		m.gone(seenAt, seen[0], false, 0, 1, 2)
		m.gone(places[0], hash, false, 0, 1, 2)
		if m.Reads(0, 1, "old.com") || !m.Reads(0, 1, "seen.com") {
			t.Error("the wrong one can be looked up")
		}
		time.Sleep(24 * time.Hour)
		m.gone(seenAt, seen[0], true, 0, 1, 2)
		m.gone(places[0], hash, false, 0, 1, 2)
		m.Check(m.All()...)
	})
}

// What an author that is not in any more left behind goes too, a week after all in
// it has expired.
func TestLifetimesEndOfWhoHasGone(t *testing.T) {
	if testing.Short() {
		t.Skip("nine days")
	}
	Run(t, Options{Nodes: 3, Seed: 531, Rules: shortLives(20 * time.Hour)}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(10 * time.Second)
		objs, at := m.publish(1, time.Time{}, "old.com")
		long, longAt := m.publish(1, time.Time{}, "long.com")
		m.Settle(time.Minute, m.All()...)
		m.Remove(1)
		m.Stop(1)
		time.Sleep(6 * 24 * time.Hour)
		m.sights(0, long[0]) // after its end: nothing is revived
		m.gone(at, objs[0], false, 0, 2)
		time.Sleep(3 * 24 * time.Hour)
		m.gone(at, objs[0], true, 0, 2)
		m.gone(longAt, long[0], true, 0, 2)
		for _, i := range []int{0, 2} {
			if s := m.Members[i].Node.Status(time.Time{}); s.Refused["expired"] != 2 || !s.InStep || s.Peers[0].Behind > 0 {
				t.Errorf("node %d: %+v", i, s)
			}
		}
	})
}

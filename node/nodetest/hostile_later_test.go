package nodetest

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/seal"
	"github.com/tipmesh/tipmesh/store"
	"github.com/tipmesh/tipmesh/store/memory"
)

// A group goes through epoch after epoch, for each newcomer may read nothing older.
// Who writes for it uses up one feed, of those that a node may begin and a cut may
// name. Who came last, with none of the first epochs, still cuts all of it where the
// writer leaves.
func TestGroupEpochsShareAFeed(t *testing.T) {
	Run(t, Options{Nodes: 6, Seed: 770}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		id := m.CreateGroup(0, node.GroupTerms{Name: "g", Deputies: m.ids(5)}, 1, 5)
		had := m.feedsOf(0, 1)
		for i := range 4 {
			if i > 0 {
				_, err := m.Members[0].Node.GroupAdd(t.Context(), id, m.Members[i+1].ID)
				m.must(err)
			}
			time.Sleep(10 * time.Second)
			m.sharedIn(1, id, fmt.Sprintf("epoch-%d.com", i))
		}
		time.Sleep(20 * time.Second)
		epochs := 0
		m.must(m.Members[0].Store.Settings("epoch/", func(string, []byte) error { epochs++; return nil }))
		if epochs < 4 {
			t.Fatalf("%d epochs: the test is blind", epochs)
		}
		if n := m.feedsOf(0, 1) - had; n != 1 {
			t.Errorf("%d feeds for one group, want one", n)
		}
		m.wantReads(1, "epoch-3.com", 0, 1, 2, 3, 4, 5)
		m.must(m.Members[1].Node.GroupLeave(t.Context(), id))
		time.Sleep(30 * time.Second)
		for _, i := range []int{0, 4} {
			if g, _ := m.Members[i].Node.Group(id); g.In(m.Members[1].ID) || len(g.Cuts(m.Members[1].ID)) != 1 {
				t.Errorf("node %d cuts %v", i, g.Cuts(m.Members[1].ID))
			}
		}
		m.wantReads(1, "epoch-3.com", 0, 1, 2, 3, 4, 5)
	})
}

// A stolen node, before it is retired, makes up age identities of the member's. The
// others use none that no card names, and start again whatever they were told; the
// identity of the card that retires the thief they do use.
func TestHostileOwnNodeMakesUpIdentities(t *testing.T) {
	Run(t, Options{Nodes: 2, Seed: 771}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		other, stolen := m.further(1), m.further(1)
		m.Settle(2*time.Minute, m.All()...)
		before := len(m.Members[other].Node.Identities())
		m.Stop(stolen)
		l := m.hostile(stolen)
		defer l.tr.Close()
		var made []any
		for range 40 {
			id, err := seal.NewIdentity()
			m.must(err)
			sum := protocol.HashOf([]byte(id.Recipient()))
			made = append(made, protocol.Own{Name: "age/" + hex.EncodeToString(sum[:]), Value: []byte(id.String()), Time: 1})
		}
		made = append(made, protocol.Own{Name: "age/none", Value: []byte("no identity"), Time: 1})
		l.letters(1)(made...)
		time.Sleep(20 * time.Second)
		if _, ok := m.Members[other].Node.Own("age/none"); !ok {
			t.Fatal("the letter did not come: the test is blind")
		}
		if got := len(m.Members[other].Node.Identities()); got != before {
			t.Errorf("%d age identities, %d before", got, before)
		}
		l.leave()
		_, err := m.Members[1].Node.SetCard(m.Members[1].Node.Retires(m.nodeOf(stolen)))
		m.must(err)
		time.Sleep(time.Minute)
		m.Stop(other)
		m.Start(other)
		time.Sleep(20 * time.Second)
		if got := len(m.Members[other].Node.Identities()); got != before+1 {
			t.Errorf("%d age identities after the retirement, %d before", got, before)
		}
	})
}

// noRoom has no room for epochs that letters bring while it is told so.
type noRoom struct {
	store.Store
	full *atomic.Bool
}

func (s noRoom) Close() error { return nil } // the test opens it again

func (s noRoom) Commit(ctx context.Context, c *store.Commit) (uint64, error) {
	for name := range c.Settings {
		if strings.HasPrefix(name, "epoch/") && len(c.Entries) == 0 && s.full.Load() {
			return 0, store.ErrDiskFull
		}
	}
	return s.Store.Commit(ctx, c)
}

// What a letter says is lost for lack of room when it comes, and again at the next
// start. Once there is room a start brings it back, though nobody else is there.
func TestLetterIsReadAgainOnceThereIsRoom(t *testing.T) {
	var full atomic.Bool
	stores := map[string]store.Store{}
	open := func(dir string) (store.Store, error) {
		if stores[dir] == nil {
			stores[dir] = memory.New()
		}
		return noRoom{stores[dir], &full}, nil
	}
	Run(t, Options{Nodes: 2, Seed: 772, Open: open}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		full.Store(true)
		m.must(m.Share(0, "kept.com"))
		time.Sleep(20 * time.Second)
		if m.Reads(1, 0, "kept.com") {
			t.Fatal("the epoch was kept: the test is blind")
		}
		m.Stop(0)
		for _, last := range []bool{false, true} {
			m.Stop(1)
			full.Store(!last)
			m.Start(1)
			time.Sleep(20 * time.Second)
			if got := m.Reads(1, 0, "kept.com"); got != last {
				t.Errorf("it reads: %v, want %v", got, last)
			}
		}
	})
}

// A leave comes before the states of its group. It counts once they come, without
// another start.
func TestLeaveBeforeItsGroup(t *testing.T) {
	Run(t, Options{Nodes: 3, Seed: 773}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		first, err := protocol.AudienceState{Mesh: m.ID, Number: 1, Owner: m.Members[0].ID, Name: "g",
			Members: protocol.Sorted(m.ids(0, 1, 2)), Time: time.Now().UnixMilli()}.Sign(m.Members[0].nodeKey)
		m.must(err)
		id := protocol.AudienceID(first.ID())
		m.Stop(2)
		l := m.hostile(2)
		defer l.tr.Close()
		post := l.letters(1)
		for range 2 {
			post(protocol.Leave{Audience: id, State: first.ID()})
			time.Sleep(10 * time.Second)
		}
		post(first)
		time.Sleep(20 * time.Second)
		m.wantGroup(id, []int{0, 1}, 1)
	})
}

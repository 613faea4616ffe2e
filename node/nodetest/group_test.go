package nodetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/audience"
	"github.com/tipmesh/tipmesh/protocol/seal"
	"github.com/tipmesh/tipmesh/store"
)

// CreateGroup has a member's node found a group with others.
func (m *Mesh) CreateGroup(i int, t node.GroupTerms, members ...int) protocol.AudienceID {
	m.T.Helper()
	t.Members = m.ids(members...)
	g, err := m.Members[i].Node.GroupCreate(context.Background(), t)
	m.must(err)
	return g.ID
}

func (m *Mesh) ids(members ...int) (out []protocol.MemberID) {
	for _, j := range members {
		out = append(out, m.Members[j].ID)
	}
	return out
}

// ShareIn shares one bundle of indicators of domains with a group.
func (m *Mesh) ShareIn(i int, to protocol.AudienceID, names ...string) (Acked, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	bundle, values := m.Members[i].bundle(names)
	places, err := m.Members[i].Node.WriteTo(ctx, to, [][]byte{bundle}, "green")
	return Acked{By: i, Places: places, Values: values}, err
}

func (m *Mesh) sharedIn(i int, to protocol.AudienceID, name string) Acked {
	m.T.Helper()
	a, err := m.ShareIn(i, to, name)
	m.must(err)
	return a
}

// group gives who is in a group, as a node sees it.
func (m *Mesh) group(i int, id protocol.AudienceID) (out []int) {
	g, ok := m.Members[i].Node.Group(id)
	if !ok {
		return nil
	}
	for _, p := range m.Members {
		if g.In(p.ID) {
			out = append(out, p.Index)
		}
	}
	return out
}

func (m *Mesh) wantGroup(id protocol.AudienceID, want []int, at ...int) {
	m.T.Helper()
	for _, i := range at {
		if got := m.group(i, id); !slices.Equal(got, want) {
			m.T.Errorf("node %d sees %v in the group, want %v", i, got, want)
		}
	}
}

// wantReads checks who can look a value up.
func (m *Mesh) wantReads(by int, name string, readers ...int) {
	m.T.Helper()
	for i, p := range m.Members {
		if p.Node == nil {
			continue
		}
		if got, want := m.Reads(i, by, name), slices.Contains(readers, i); got != want {
			m.T.Errorf("node %d knows %s by %d: %v", i, name, by, got)
		}
	}
}

// contents is every byte that a node's store keeps.
func (m *Mesh) contents(i int) []byte {
	m.T.Helper()
	var b bytes.Buffer
	s := m.Members[i].Store
	m.must(s.Settings("", func(name string, value []byte) error {
		b.WriteString(name)
		b.Write(value)
		return nil
	}))
	m.must(s.Statements(func(st *protocol.Statement) error {
		b.Write(st.Raw())
		return nil
	}))
	for _, f := range s.Feeds() {
		m.must(s.Range(f.ID, 1, func(e store.Entry) bool {
			b.Write(e.Header.Raw())
			b.Write(e.Payload)
			if plain, err := seal.OpenDirect(e.Payload, m.Members[i].age); err == nil {
				b.Write(plain)
			}
			return true
		}))
	}
	return b.Bytes()
}

func TestGroupIsConfidential(t *testing.T) {
	Run(t, Options{Nodes: 4, Seed: 400}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		m.must(m.Share(3, "for-all.com"))
		id := m.CreateGroup(0, node.GroupTerms{Name: "resolvers-of-the-four", History: 3600}, 1, 2)
		time.Sleep(5 * time.Second)
		shared := m.sharedIn(1, id, "only-for-the-group.com")
		m.sharedIn(0, id, "by-the-owner.com")
		time.Sleep(time.Minute)
		m.Settle(time.Minute, m.All()...)
		m.Check(m.All()...)
		m.wantGroup(id, []int{0, 1, 2}, 0, 1, 2)
		m.wantReads(1, "only-for-the-group.com", 0, 1, 2)
		m.wantReads(0, "by-the-owner.com", 0, 1, 2)
		m.wantReads(3, "for-all.com", 0, 1, 2, 3)
		if s := m.Members[3].Node.Status(time.Time{}); len(m.Members[3].Node.Groups()) != 0 || s.State != node.Well {
			t.Errorf("the outsider knows groups, or frets: %v", s.Alerts)
		}
		// The outsider carries the ciphertext and holds no word of what it is.
		if _, err := m.Members[3].Store.Entry(shared.Places[0]); err != nil {
			t.Errorf("the outsider does not carry the entry: %v", err)
		}
		g, _ := m.Members[0].Node.Group(id)
		head := g.Head.ID()
		secrets := map[string][]byte{"name": []byte("resolvers-of-the-four"), "value": []byte("only-for-the-group"), "audience": id[:],
			"audience as text": []byte(id.String()), "state": head[:], "member list": protocol.Marshal(g.Members)}
		m.must(m.Members[1].Store.Settings("epoch/", func(_ string, raw []byte) error {
			e, err := protocol.ParseEpoch(raw)
			if e.Audience == id {
				secrets["identity"] = []byte(e.Identity)
			}
			return err
		}))
		if len(secrets) != 7 {
			t.Fatal("no epoch of the group at a member")
		}
		outsider, insider := m.contents(3), m.contents(1)
		for what, secret := range secrets {
			if bytes.Contains(outsider, secret) {
				t.Errorf("the outsider's store holds the %s", what)
			}
			if what != "value" && !bytes.Contains(insider, secret) {
				t.Errorf("a member's store does not hold the %s: the test is blind", what)
			}
		}
		if m.opens(3, shared.Places[0], m.identities(3)) || !m.opens(3, shared.Places[0], m.identities(2)) {
			t.Error("what the outsider carries opens for it, or not for a member")
		}
		if _, err := m.ShareIn(3, id, "let-me-in.com"); !errors.Is(err, node.ErrNoGroup) {
			t.Errorf("the outsider shares with the group: %v", err)
		}
		if _, err := m.Members[1].Node.GroupAdd(context.Background(), id, m.Members[3].ID); !errors.Is(err, node.ErrNotYours) {
			t.Errorf("a member that is neither owner nor deputy adds: %v", err)
		}
	})
}

func TestGroupRemoveBites(t *testing.T) {
	Run(t, Options{Nodes: 5, Seed: 401}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		id := m.CreateGroup(0, node.GroupTerms{Name: "g", History: audience.HistoryAll}, 1, 2, 3)
		time.Sleep(5 * time.Second)
		m.sharedIn(1, id, "before.com")
		m.sharedIn(3, id, "by-who-will-go.com")
		time.Sleep(20 * time.Second)
		_, err := m.Members[0].Node.GroupRemove(context.Background(), id, m.Members[3].ID)
		m.must(err)
		after := []Acked{m.sharedIn(0, id, "after-0.com")}
		time.Sleep(5 * time.Second)
		if _, err := m.ShareIn(3, id, "i-am-out.com"); !errors.Is(err, node.ErrNoGroup) {
			t.Errorf("who was removed shares with the group: %v", err)
		}
		after = append(after, m.sharedIn(1, id, "after-1.com"), m.sharedIn(2, id, "after-2.com"))
		time.Sleep(time.Minute)
		m.Settle(time.Minute, m.All()...)
		m.Check(m.All()...)
		m.wantReads(1, "before.com", 0, 1, 2, 3)
		m.wantReads(3, "by-who-will-go.com", 0, 1, 2, 3)
		ids := m.identities(3)
		for _, a := range after {
			m.wantReads(a.By, a.Values[0].Text, 0, 1, 2)
			if m.opens(0, a.Places[0], ids) {
				t.Errorf("%s opens for who was removed", a.Values[0].Text)
			}
		}
		m.wantGroup(id, []int{0, 1, 2}, 0, 1, 2, 3)

		// Taken in again, with all history, it reads what it missed.
		_, err = m.Members[0].Node.GroupAdd(context.Background(), id, m.Members[3].ID)
		m.must(err)
		time.Sleep(time.Minute)
		m.wantReads(1, "after-1.com", 0, 1, 2, 3)
		m.sharedIn(3, id, "back.com")
		time.Sleep(time.Minute)
		m.wantReads(3, "back.com", 0, 1, 2, 3)
	})
}

func TestGroupHistory(t *testing.T) {
	for name, c := range map[string]struct {
		history uint64
		reads   []string
	}{
		"none": {0, nil},
		"some": {3600, []string{"lately.com"}},
		"all":  {audience.HistoryAll, []string{"long-ago.com", "lately.com"}},
	} {
		t.Run(name, func(t *testing.T) {
			Run(t, Options{Nodes: 4, Seed: 402}, func(t *testing.T, m *Mesh) {
				m.StartAll()
				time.Sleep(5 * time.Second)
				id := m.CreateGroup(0, node.GroupTerms{Name: "g", History: c.history}, 1, 2)
				time.Sleep(5 * time.Second)
				m.sharedIn(1, id, "long-ago.com")
				time.Sleep(2 * time.Hour)
				_, err := m.Members[0].Node.GroupRemove(context.Background(), id, m.Members[2].ID) // another epoch
				m.must(err)
				time.Sleep(5 * time.Second)
				m.sharedIn(1, id, "lately.com")
				time.Sleep(10 * time.Minute)
				_, err = m.Members[0].Node.GroupAdd(context.Background(), id, m.Members[3].ID)
				m.must(err)
				time.Sleep(time.Minute)
				m.sharedIn(1, id, "since.com")
				m.sharedIn(3, id, "by-the-newcomer.com")
				time.Sleep(3 * time.Minute) // hellos, and what they hand over
				for _, name := range []string{"long-ago.com", "lately.com"} {
					readers := []int{0, 1}
					if name == "long-ago.com" {
						readers = append(readers, 2)
					}
					if slices.Contains(c.reads, name) {
						readers = append(readers, 3)
					}
					m.wantReads(1, name, readers...)
				}
				m.wantReads(1, "since.com", 0, 1, 3)
				m.wantReads(3, "by-the-newcomer.com", 0, 1, 3)
			})
		})
	}
}

func TestGroupLeave(t *testing.T) {
	Run(t, Options{Nodes: 5, Seed: 403}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		id := m.CreateGroup(0, node.GroupTerms{Name: "g"}, 1, 2, 3)
		time.Sleep(5 * time.Second)
		m.sharedIn(3, id, "before.com")
		time.Sleep(20 * time.Second)
		m.Stop(0) // the owner does not hear of it
		m.must(m.Members[3].Node.GroupLeave(context.Background(), id))
		if _, err := m.ShareIn(3, id, "out.com"); !errors.Is(err, node.ErrNoGroup) {
			t.Errorf("who left shares with the group: %v", err)
		}
		time.Sleep(5 * time.Second)
		m.wantGroup(id, nil, 4)
		m.wantGroup(id, []int{0, 1, 2}, 1, 2, 3)
		a := m.sharedIn(1, id, "after.com")
		time.Sleep(20 * time.Second)
		m.Start(0)
		time.Sleep(2 * time.Minute)
		g, _ := m.Members[2].Node.Group(id)
		if len(g.Gone) > 0 || g.Head.Number != 2 {
			t.Errorf("the owner has not recorded the leave: state %d, gone %d", g.Head.Number, len(g.Gone))
		}
		b := m.sharedIn(0, id, "later.com")
		time.Sleep(time.Minute)
		m.Settle(time.Minute, m.All()...)
		m.Check(m.All()...)
		m.wantReads(3, "before.com", 0, 1, 2, 3)
		m.wantReads(1, "after.com", 0, 1, 2)
		m.wantReads(0, "later.com", 0, 1, 2)
		ids := m.identities(3)
		for _, a := range []Acked{a, b} {
			if m.opens(1, a.Places[0], ids) {
				t.Errorf("%s opens for who left", a.Values[0].Text)
			}
		}
	})
}

// A member that was away gets the group and what was shared in it; what is on disk
// survives restarts.
func TestGroupRestart(t *testing.T) {
	Run(t, Options{Nodes: 4, Seed: 404}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		m.Stop(2)
		id := m.CreateGroup(0, node.GroupTerms{Name: "g", Deputies: m.ids(1)}, 1, 2)
		time.Sleep(5 * time.Second)
		m.sharedIn(1, id, "while-away.com")
		time.Sleep(20 * time.Second)
		m.Crash(0) // the owner is away when the member comes back
		m.Start(2)
		time.Sleep(2 * time.Minute)
		m.wantReads(1, "while-away.com", 1, 2)
		for i := range 4 {
			m.Stop(i)
		}
		m.StartAll()
		time.Sleep(time.Minute)
		m.wantGroup(id, []int{0, 1, 2}, 0, 1, 2)
		before := len(m.Members[1].Store.Feeds())
		for i := range 3 {
			m.sharedIn(i, id, fmt.Sprintf("again-%d.com", i))
		}
		time.Sleep(time.Minute)
		m.Settle(time.Minute, m.All()...)
		m.Check(m.All()...)
		for i := range 3 {
			m.wantReads(i, fmt.Sprintf("again-%d.com", i), 0, 1, 2)
		}
		if now := len(m.Members[1].Store.Feeds()); now > before+2 {
			t.Errorf("%d feeds became %d: the restart began feeds without need", before, now)
		}
	})
}

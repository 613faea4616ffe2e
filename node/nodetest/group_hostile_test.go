package nodetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/audience"
	"github.com/tipmesh/tipmesh/protocol/seal"
	"github.com/tipmesh/tipmesh/store"
)

// A leaver keeps the old epoch and writes on under it, in the feed it had and in
// another. The members open that, and show none of it.
func TestHostileLeaverWritesOn(t *testing.T) {
	Run(t, Options{Nodes: 4, Seed: 410}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		id := m.CreateGroup(0, node.GroupTerms{Name: "g", Deputies: m.ids(1)}, 1, 2, 3)
		time.Sleep(5 * time.Second)
		m.sharedIn(3, id, "in-time.com")
		time.Sleep(20 * time.Second)
		must := func(_ *audience.Group, err error) { m.T.Helper(); m.must(err) }
		m.Stop(2) // hears of the removal only after what came too late
		must(m.Members[0].Node.GroupRemove(context.Background(), id, m.Members[3].ID))
		m.Stop(3)
		l := m.hostile(3)
		e, key := l.epochOf(id)
		forged := func(name string) []byte {
			bundle, _ := m.Members[3].bundle([]string{name})
			payload, err := seal.Bundle(bundle, key)
			m.must(err)
			return payload
		}
		// The feed it had goes on.
		for _, f := range m.Members[3].Store.Feeds() {
			var list []incoming
			m.must(m.Members[3].Store.Range(f.ID, 1, func(x store.Entry) bool {
				list = append(list, incoming{x.Header, x.Payload})
				return true
			}))
			last := list[len(list)-1].h
			if f.Node != m.nodeOf(3) || last.Kind != protocol.EntrySealed || last.Tag != protocol.TagFor(e.Identity, e.Audience, f.ID) {
				continue
			}
			l.put(protocol.Key{}, append(list, l.entry(0, last, forged("too-late-1.com"), func(h *protocol.Header) { h.Salt, h.Tag = last.Salt, last.Tag }))...)
		}
		l.put(protocol.Key{}, l.entry(77, nil, forged("too-late-2.com"), l.tagged(e)))
		time.Sleep(time.Minute)
		m.Start(2)
		time.Sleep(2 * time.Minute)
		l.leave()
		for _, i := range []int{0, 1, 2} {
			held := uint64(0)
			for _, f := range m.Members[i].Store.Feeds() {
				if f.Node == m.nodeOf(3) {
					held += f.Head
				}
			}
			if held != 3 {
				t.Errorf("node %d holds %d entries of the leaver, want 3: the test is blind", i, held)
			}
			if !m.Reads(i, 3, "in-time.com") || m.Reads(i, 3, "too-late-1.com") || m.Reads(i, 3, "too-late-2.com") {
				t.Errorf("node %d shows what the leaver wrote too late, or not what it wrote in time", i)
			}
		}
		m.wantGroup(id, []int{0, 1, 2}, 0, 1, 2)
	})
}

// epochOf gives an epoch of a group that the liar's member was granted.
func (l *liar) epochOf(id protocol.AudienceID) (found *protocol.Epoch, key *seal.Identity) {
	l.T.Helper()
	l.must(l.p.Store.Settings("epoch/", func(_ string, raw []byte) error {
		e, err := protocol.ParseEpoch(raw)
		if err == nil && e.Audience == id {
			found = e
		}
		return err
	}))
	key, err := seal.ParseIdentity(found.Identity)
	l.must(err)
	return found, key
}

// All share with the group without a pause while one of them is taken out of it on
// one side of a partition, one leaves, and an outsider is removed from the mesh.
// Nothing that a node wrote once it had seen who was gone opens with anything that
// those can come to hold.
func TestGroupRemovalAmongSharesInPartition(t *testing.T) {
	Run(t, Options{Nodes: 6, Seed: 411}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		id := m.CreateGroup(0, node.GroupTerms{Name: "g", Deputies: m.ids(1)}, 1, 2, 3, 4)
		time.Sleep(5 * time.Second)
		gone := []int{3, 4}
		var mu sync.Mutex // guards secret
		secret := map[int][]Acked{}
		stop, done := make(chan struct{}), make(chan struct{})
		for i := range 3 {
			go func() {
				defer func() { done <- struct{}{} }()
				rng := rand.New(rand.NewPCG(411, uint64(i)))
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					case <-time.After(time.Duration(rng.IntN(4000)) * time.Millisecond):
					}
					in := m.group(i, id)
					a, err := m.ShareIn(i, id, fmt.Sprintf("n%d-by-%d.com", n, i))
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					for _, g := range gone {
						if !slices.Contains(in, g) {
							secret[g] = append(secret[g], a)
						}
					}
					mu.Unlock()
				}
			}()
		}
		time.Sleep(20 * time.Second)
		m.Net.Partition([]int{0, 1, 5}, []int{2, 3, 4})
		time.Sleep(10 * time.Second)
		_, err := m.Members[1].Node.GroupRemove(context.Background(), id, m.Members[3].ID)
		m.must(err)
		m.must(m.Members[4].Node.GroupLeave(context.Background(), id))
		m.Remove(5) // everyone's epochs change too
		time.Sleep(time.Minute)
		m.Net.Heal()
		time.Sleep(2 * time.Minute)
		close(stop)
		for range 3 {
			<-done
		}
		m.Settle(5*time.Minute, 0, 1, 2, 3, 4)
		m.wantGroup(id, []int{0, 1, 2}, 0, 1, 2)
		for _, g := range gone {
			if len(secret[g]) < 40 {
				t.Fatalf("only %d entries were written after %d had gone", len(secret[g]), g)
			}
			ids := m.identities(g)
			for _, a := range secret[g] {
				if m.opens(a.By, a.Places[0], ids) {
					t.Errorf("%s, written by %d after it saw that %d is gone, opens for that one", a.Values[0].Text, a.By, g)
				}
			}
		}
		for _, a := range secret[3] {
			for i := range 3 {
				if !m.Reads(i, a.By, a.Values[0].Text) {
					t.Errorf("node %d does not know %s by %d", i, a.Values[0].Text, a.By)
				}
			}
		}
		a, err := m.ShareIn(0, id, "at-last.com")
		m.must(err)
		time.Sleep(time.Minute)
		m.wantReads(0, a.Values[0].Text, 0, 1, 2)
	})
}

// Owner and deputy change the group on two sides of a partition: both see one
// group afterwards, without anybody that either removed. The deputy acts for an
// owner that is gone, and without either nobody writes.
func TestGroupRivalsAndSuccession(t *testing.T) {
	Run(t, Options{Nodes: 6, Seed: 412}, func(t *testing.T, m *Mesh) {
		ctx := context.Background()
		m.StartAll()
		time.Sleep(5 * time.Second)
		// The owner is 1: the founder of the mesh stays to remove it.
		id := m.CreateGroup(1, node.GroupTerms{Name: "g", Deputies: m.ids(2)}, 2, 3, 4)
		time.Sleep(5 * time.Second)
		m.sharedIn(4, id, "before.com")
		time.Sleep(20 * time.Second)
		m.Net.Partition([]int{0, 1, 3}, []int{2, 4, 5})
		time.Sleep(time.Minute)
		_, err := m.Members[1].Node.GroupAdd(ctx, id, m.Members[0].ID)
		m.must(err)
		_, err = m.Members[2].Node.GroupAdd(ctx, id, m.Members[5].ID)
		m.must(err)
		_, err = m.Members[2].Node.GroupRemove(ctx, id, m.Members[4].ID)
		m.must(err)
		m.sharedIn(2, id, "on-the-deputys-side.com")
		m.sharedIn(3, id, "on-the-owners-side.com")
		m.Net.Heal()
		time.Sleep(3 * time.Minute)
		m.wantGroup(id, []int{0, 1, 2, 3}, 0, 1, 2, 3)
		a := m.sharedIn(3, id, "healed.com")
		time.Sleep(time.Minute)
		m.wantReads(3, "healed.com", 0, 1, 2, 3)
		if m.opens(3, a.Places[0], m.identities(4)) || m.opens(3, a.Places[0], m.identities(5)) {
			t.Error("what was written after the healing opens for who is not in")
		}
		m.wantReads(4, "before.com", 1, 2, 3, 4)

		m.Remove(1)
		time.Sleep(time.Minute)
		m.wantGroup(id, []int{0, 2, 3}, 0, 2, 3) // the deputy has recorded it
		_, err = m.Members[2].Node.GroupAdd(ctx, id, m.Members[5].ID)
		m.must(err)
		time.Sleep(20 * time.Second)
		b := m.sharedIn(3, id, "under-the-deputy.com")
		time.Sleep(time.Minute)
		m.wantReads(3, "under-the-deputy.com", 0, 2, 3, 5)
		if m.opens(3, b.Places[0], m.identities(1)) {
			t.Error("it opens for the owner that was removed from the mesh")
		}

		m.Remove(2)
		time.Sleep(time.Minute)
		if _, err := m.ShareIn(3, id, "nobody-left.com"); !errors.Is(err, node.ErrReadOnly) {
			t.Errorf("owner and deputy are gone, and a share says: %v", err)
		}
		m.wantReads(3, "under-the-deputy.com", 0, 2, 3, 5)
	})
}

// A flood of groups is kept within bounds, and starves nobody else's.
func TestHostileGroups(t *testing.T) {
	Run(t, Options{Nodes: 3, Seed: 413}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		m.must(m.Share(0, "grants.com"))
		m.Stop(2)
		l := m.hostile(2)
		var last *protocol.Header
		direct := func(h *protocol.Header) { h.Kind, h.Tag = protocol.EntryDirect, protocol.Tag{} }
		post := func(parts ...any) {
			payload, err := seal.Direct(protocol.NewLetter(parts...), []string{m.Members[1].age.Recipient()})
			m.must(err)
			in := l.entry(5, last, payload, direct)
			last = in.h
			l.put(protocol.Key{}, in)
		}
		state := func(n int, change func(*protocol.AudienceState)) *protocol.AudienceState {
			s := protocol.AudienceState{Mesh: m.ID, Number: 1, Owner: m.Members[2].ID, Name: fmt.Sprintf("flood-%d", n), Members: protocol.Sorted(m.ids(1, 2))}
			if change != nil {
				change(&s)
			}
			signed, err := s.Sign(m.Members[2].nodeKey)
			m.must(err)
			return signed
		}
		for n := range 8 {
			var parts []any
			for i := range 100 {
				parts = append(parts, state(n*100+i, nil))
			}
			post(parts...)
		}
		// States of a group of others', by a member that may sign none.
		id := m.CreateGroup(0, node.GroupTerms{Name: "honest"}, 1)
		g, _ := m.Members[0].Node.Group(id)
		var forged []any
		for n := range 200 {
			forged = append(forged, state(n, func(s *protocol.AudienceState) {
				s.Number, s.Audience, s.Prev, s.Owner, s.Name = 2, id, g.Head.ID(), m.Members[0].ID, fmt.Sprint("forged ", n)
			}))
		}
		post(forged...)
		l.gossip(last.Raw(), nil) // so that it is asked for soon
		time.Sleep(time.Minute)
		l.leave()
		groups := m.Members[1].Node.Groups()
		if len(groups) < 100 || len(groups) > 130 {
			t.Errorf("%d groups are kept, of 801", len(groups))
		}
		if n := m.refused(1, node.ReasonQuota); n < 800 {
			t.Errorf("%d were counted as over the quota", n)
		}
		_, err := m.Members[0].Node.GroupRemove(context.Background(), id, m.Members[1].ID)
		m.must(err)
		_, err = m.Members[0].Node.GroupAdd(context.Background(), id, m.Members[1].ID)
		m.must(err)
		time.Sleep(20 * time.Second)
		m.wantGroup(id, []int{0, 1}, 0, 1)
		m.sharedIn(1, id, "undisturbed.com")
		time.Sleep(20 * time.Second)
		m.wantReads(1, "undisturbed.com", 0, 1)
		if h, _ := m.Members[1].Node.Group(id); h.Head.Number != 3 || h.Name != "honest" {
			t.Errorf("the head is state %d of %q", h.Head.Number, h.Name)
		}
	})
}

// Another node of a member knows its groups, those founded before it came too.
func TestGroupsOfAFurtherNode(t *testing.T) {
	Run(t, Options{Nodes: 3, Seed: 414}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		id := m.CreateGroup(0, node.GroupTerms{Name: "g"}, 1)
		time.Sleep(5 * time.Second)
		m.sharedIn(0, id, "by-the-first-node.com")
		m.sharedIn(1, id, "by-another-member.com")
		time.Sleep(20 * time.Second)
		second := m.further(0)
		time.Sleep(3 * time.Minute)
		m.wantReads(0, "by-the-first-node.com", 0, 1, second)
		m.wantReads(1, "by-another-member.com", 0, 1, second)
		m.sharedIn(second, id, "by-the-second-node.com")
		time.Sleep(time.Minute)
		m.wantReads(0, "by-the-second-node.com", 0, 1, second)
		// Both nodes act: what they do does not contradict for good.
		_, err := m.Members[second].Node.GroupAdd(context.Background(), id, m.Members[2].ID)
		m.must(err)
		time.Sleep(20 * time.Second)
		m.wantGroup(id, []int{0, 1, 2, second}, 0, 1, 2, second)
		m.Net.Partition([]int{0}, []int{1, 2, second})
		time.Sleep(time.Minute)
		_, err = m.Members[0].Node.GroupRemove(context.Background(), id, m.Members[1].ID)
		m.must(err)
		_, err = m.Members[second].Node.GroupRemove(context.Background(), id, m.Members[2].ID)
		m.must(err)
		m.Net.Heal()
		time.Sleep(3 * time.Minute)
		g, _ := m.Members[0].Node.Group(id)
		h, _ := m.Members[second].Node.Group(id)
		if !slices.Equal(g.Members, m.ids(0)) || !slices.Equal(h.Members, m.ids(0)) {
			t.Errorf("both removals bite: %d and %d are in", len(g.Members), len(h.Members))
		}
	})
}

package nodetest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
	"github.com/tipmesh/tipmesh/protocol/seal"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
	"github.com/tipmesh/tipmesh/store/memory"
)

// further gives a member another node, made as a person makes one: a request, a
// card that names it, a pack. It has no member key. It gives its index.
func (m *Mesh) further(of int) int {
	m.T.Helper()
	first := m.Members[of]
	i := len(m.Members)
	p := &Member{Index: i, At: i, ID: first.ID, Handle: first.Handle + "-too", Author: first.Author, Store: memory.New(), nodeKey: seeded(m.opt.Seed, "node", i)}
	var err error
	p.nodeAge, err = seal.NewIdentity()
	m.must(err)
	text, err := protocol.NewNodeRequest(p.nodeKey, p.nodeAge.Recipient())
	m.must(err)
	request, err := protocol.ParseNodeRequest(text)
	m.must(err)
	_, err = first.Node.SetCard(first.Node.AddsNode(request))
	m.must(err)
	sealed, err := first.Node.Pack(request.Node)
	m.must(err)
	pack, err := node.OpenPack(sealed, request.Node, p.nodeAge)
	m.must(err)
	if _, err := node.OpenPack(sealed, request.Node, first.nodeAge); !errors.Is(err, seal.ErrNotForUs) {
		m.T.Errorf("another node opens the pack: %v", err)
	}
	m.must(pack.Unpack(m.T.Context(), p.Store))
	ids, err := pack.Identities()
	m.must(err)
	p.age = ids[len(ids)-1]
	if want := first.Node.Identities(); len(ids) != len(want) {
		m.T.Errorf("the pack has %d age identities of %d", len(ids), len(want))
	}
	m.Members = append(m.Members, p)
	m.Start(i)
	return i
}

// A second node of a member gets what was shared before it was there, writes for
// its member as the first does, and has the same trust list, whichever of the two
// is told.
func TestSecondNode(t *testing.T) {
	Run(t, Options{Nodes: 3, Seed: 410}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		m.must(m.Share(0, "before-by-another.com"))
		m.must(m.Share(1, "before-by-its-own.com"))
		narrow := trust.DefaultDecision()
		narrow.Send, narrow.Alias, narrow.Why = "clear", "two", "not yet"
		_, err := m.Members[1].Node.SetTrust(&m.Members[2].ID, narrow)
		m.must(err)
		m.must(m.Share(1, "narrow.com")) // green: not for member 2
		two := m.further(1)
		m.Settle(2*time.Minute, m.All()...)
		for _, name := range []string{"before-by-its-own.com", "narrow.com"} {
			if !m.Reads(two, 1, name) {
				t.Errorf("the second node does not know %s", name)
			}
		}
		if !m.Reads(two, 0, "before-by-another.com") {
			t.Error("the second node does not know what was shared before")
		}
		if d := m.Members[two].Node.Trust(m.Members[2].ID); d.Alias != "two" || d.Send != "clear" {
			t.Errorf("the second node's trust list says %+v", d)
		}
		if h := m.Members[two].Node.TrustList().History; len(h) != 1 || h[0].Why != "not yet" {
			t.Errorf("the second node's history of the trust list is %+v", h)
		}
		m.must(m.Share(two, "by-the-second.com"))
		m.must(m.Share(1, "by-the-first.com"))
		m.must(m.Share(0, "by-another.com"))
		wide := trust.DefaultDecision()
		wide.Reliability, wide.Why = "B", "proved itself"
		_, err = m.Members[two].Node.SetTrust(&m.Members[2].ID, wide)
		m.must(err)
		time.Sleep(time.Minute)
		m.acked = m.acked[:0:0] // narrow.com is not for member 2
		m.must(m.Share(two, "by-the-second-again.com"))
		m.Settle(2*time.Minute, m.All()...)
		m.Check(m.All()...)
		if d := m.Members[1].Node.Trust(m.Members[2].ID); d.Reliability != "B" || d.Send != "amber" || d.Alias != "" {
			t.Errorf("the first node's trust list says %+v", d)
		}
		if !m.Reads(0, 1, "by-the-second.com") || !m.Reads(0, 1, "by-the-first.com") || !m.Reads(two, 0, "by-another.com") {
			t.Error("something that a node of the member shared is not known")
		}
		if m.Reads(2, 1, "narrow.com") {
			t.Error("member 2 knows what was not for it")
		}
		// What one node is told while the other is away arrives later.
		m.Stop(1)
		m.must(m.Members[two].Node.SetOwn("draft/1", []byte("a draft")))
		time.Sleep(20 * time.Second)
		m.Start(1)
		m.Settle(2*time.Minute, m.All()...)
		if v, ok := m.Members[1].Node.Own("draft/1"); !ok || string(v) != "a draft" {
			t.Errorf("the draft is %q at the first node", v)
		}
		for _, i := range []int{0, 2} {
			if _, ok := m.Members[i].Node.Own("draft/1"); ok {
				t.Errorf("node %d of another member has the draft", i)
			}
		}
	})
}

// Values of the private audience by a node of another member are refused, even
// when they are sealed to this member.
func TestPrivateOfAnotherIsRefused(t *testing.T) {
	Run(t, Options{Nodes: 3, Seed: 411}, func(t *testing.T, m *Mesh) {
		m.Start(0)
		m.Start(1)
		time.Sleep(5 * time.Second)
		value := []byte(`{"use":"block","send":"red","reliability":"A"}`)
		letter := protocol.NewLetter(
			protocol.Own{Name: "trust/" + m.Members[2].ID.String(), Value: value, Time: time.Now().UnixMilli()},
			protocol.Own{Name: "age/x", Value: []byte(m.Members[2].age.String()), Time: 1})
		payload, err := seal.Direct(letter, []string{m.Members[1].age.Recipient(), m.Members[1].nodeAge.Recipient()})
		m.must(err)
		head, err := protocol.Header{Mesh: m.ID, Salt: protocol.Hash{1}, Seq: 1, Kind: protocol.EntryDirect,
			Payload: protocol.HashOf(payload), Size: uint64(len(payload))}.Sign(m.Members[2].nodeKey)
		m.must(err)
		m.Members[1].Node.Gossip(m.nodeOf(0), replica.EncodeGossip(&replica.Gossip{Entry: &replica.Entry{Header: head.Raw(), Payload: payload}}))
		time.Sleep(time.Minute)
		if d := m.Members[1].Node.Trust(m.Members[2].ID); d.Use != trust.UseRead {
			t.Errorf("another member set the trust list: %+v", d)
		}
		if got := m.Members[1].Node.Identities(); len(got) != 1 {
			t.Errorf("another member gave it %d age identities", len(got)-1)
		}
		if m.Members[1].Node.Status(time.Time{}).Refused[node.ReasonNotAdmitted] < 2 {
			t.Error("what was refused is not counted")
		}
	})
}

// A node that was retired gets nothing new on any path, and what it writes
// afterwards is nowhere; what it wrote before stays. The other nodes go on.
func TestRetiredNodeIsCutOff(t *testing.T) {
	Run(t, Options{Nodes: 3, Seed: 412}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		stays, gone := m.further(1), m.further(1)
		m.Settle(2*time.Minute, m.All()...)
		m.must(m.Share(gone, "before.com"))
		m.Settle(2*time.Minute, m.All()...)
		held := m.Members[gone].Store.Clone()
		// Signed elsewhere, which takes a while: the node is told nothing meanwhile.
		n := m.Members[1].Node
		draft, err := n.DraftCard(n.Retires(m.nodeOf(gone)))
		m.must(err)
		time.Sleep(time.Minute)
		card, err := draft.Sign(m.Members[1].key)
		m.must(err)
		m.must(n.Bring(card))
		time.Sleep(30 * time.Second)
		thief := m.Members[gone]
		// It is told nothing, but a thief may know and write all the same.
		_, err = m.write(gone, thief.Node, "after-by-the-thief.com")
		t.Logf("the retired node writes: %v", err)
		m.must(m.Share(0, "after-by-another.com"))
		m.must(m.Share(1, "after-by-the-first.com"))
		m.must(m.Share(stays, "after-by-the-other.com"))
		d := trust.DefaultDecision()
		d.Note = "secret of ours"
		_, err = m.Members[1].Node.SetTrust(&m.Members[2].ID, d)
		m.must(err)
		time.Sleep(time.Minute)
		in := []int{0, 1, 2, stays}
		m.Settle(2*time.Minute, in...)
		m.Check(in...)
		for _, i := range in {
			if !m.Reads(i, 1, "before.com") || m.Reads(i, 1, "after-by-the-thief.com") {
				t.Errorf("node %d: before.com %v, after-by-the-thief.com %v", i, m.Reads(i, 1, "before.com"), m.Reads(i, 1, "after-by-the-thief.com"))
			}
			if s := m.Members[i].Node.Status(time.Time{}); s.Unreadable > 0 {
				t.Errorf("node %d cannot read %d entries", i, s.Unreadable)
			}
		}
		if got := m.Members[stays].Node.Trust(m.Members[2].ID); got.Note != "secret of ours" {
			t.Errorf("the node that stays has the note %q", got.Note)
		}
		for _, name := range []string{"after-by-another.com", "after-by-the-first.com", "after-by-the-other.com"} {
			if m.Reads(gone, 0, name) || m.Reads(gone, 1, name) {
				t.Errorf("the retired node reads %s", name)
			}
		}
		m.opensNothingNew(gone, held, in...)
	})
}

// opensNothingNew tries every key that a retired node has on everything that the
// others hold and its store did not when it was retired.
func (m *Mesh) opensNothingNew(gone int, held store.Store, in ...int) {
	m.T.Helper()
	thief := m.Members[gone]
	ids := append(thief.Node.Identities(), thief.nodeAge)
	m.must(thief.Store.Settings("epoch/", func(_ string, raw []byte) error {
		e, err := protocol.ParseEpoch(raw)
		m.must(err)
		id, err := seal.ParseIdentity(e.Identity)
		m.must(err)
		ids = append(ids, id)
		return nil
	}))
	tried := 0
	for _, i := range in {
		for _, f := range m.Members[i].Store.Feeds() {
			m.must(m.Members[i].Store.Range(f.ID, 1, func(e store.Entry) bool {
				if _, err := held.Header(store.Place{Feed: f.ID, Seq: e.Header.Seq}); err == nil || e.Payload == nil {
					return true
				}
				tried++
				for _, id := range ids {
					if _, err := seal.OpenBundle(e.Payload, id); err == nil {
						m.T.Errorf("a retired node opens entry %d of %s", e.Header.Seq, e.Header.Node.Short())
					}
					if _, err := seal.OpenDirect(e.Payload, id); err == nil {
						m.T.Errorf("a retired node opens letter %d of %s", e.Header.Seq, e.Header.Node.Short())
					}
				}
				return true
			}))
		}
	}
	if tried < 4 {
		m.T.Errorf("only %d new entries were tried", tried)
	}
}

// The member's age identity changes while its nodes run: both read what is new
// and what is old, and whoever has the old one alone reads nothing new. It
// survives a restart.
func TestAgeIdentityChanges(t *testing.T) {
	Run(t, Options{Nodes: 2, Seed: 413}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		m.must(m.Share(0, "old.com"))
		two := m.further(1)
		m.Settle(2*time.Minute, m.All()...)
		held := m.Members[0].Store.Clone()
		m.Stop(two)
		n := m.Members[1].Node
		_, err := n.SetCard(n.ChangesAge())
		m.must(err)
		m.must(m.Share(0, "new.com"))
		m.Settle(2*time.Minute, 0, 1)
		m.Start(two)
		m.Settle(2*time.Minute, m.All()...)
		m.Stop(1)
		m.Start(1)
		m.must(m.Share(0, "newer.com"))
		m.further(1)
		m.Settle(2*time.Minute, m.All()...)
		for _, i := range []int{1, two} {
			for _, name := range []string{"old.com", "new.com", "newer.com"} {
				if !m.Reads(i, 0, name) {
					t.Errorf("node %d does not know %s", i, name)
				}
			}
			if got := len(m.Members[i].Node.Identities()); got != 2 {
				t.Errorf("node %d has %d age identities", i, got)
			}
		}
		m.Check(m.All()...)
		for _, f := range m.Members[0].Store.Feeds() {
			m.must(m.Members[0].Store.Range(f.ID, 1, func(e store.Entry) bool {
				if _, err := held.Header(store.Place{Feed: f.ID, Seq: e.Header.Seq}); err == nil || e.Header.Kind != protocol.EntryDirect {
					return true
				}
				if _, err := seal.OpenDirect(e.Payload, m.Members[1].age); err == nil {
					t.Errorf("the old identity opens letter %d of %s", e.Header.Seq, e.Header.Node.Short())
				}
				return true
			}))
		}
	})
}

// A home that was put back stops writing; renewed, it goes on under a new key, and
// what it had written in the meantime is not lost.
func TestRenewedHomeGoesOn(t *testing.T) {
	Run(t, Options{Nodes: 3, Seed: 414}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		m.must(m.Share(1, "first.com"))
		m.Settle(time.Minute, m.All()...)
		m.Stop(1)
		older := m.Members[1].Store.Clone()
		m.Start(1)
		m.must(m.Share(1, "second.com"))
		m.Settle(time.Minute, m.All()...)
		m.Stop(1)
		p := m.Members[1]
		p.Store = older
		former, nextAge := p.nodeKey, p.nodeAge
		next := seeded(m.opt.Seed, "node", 99)
		p.next = func() (protocol.CardNode, error) {
			return protocol.CardNode{Key: protocol.KeyOf(next), Recipient: nextAge.Recipient()}, nil
		}
		m.Start(1)
		if err := m.Share(1, "never.com"); !errors.Is(err, node.ErrStopped) {
			t.Fatalf("the home that was put back writes: %v", err)
		}
		m.Settle(time.Minute, m.All()...)
		_, err := p.Node.SetCard(p.Node.Renews())
		m.must(err)
		if err := <-p.done; !errors.Is(err, node.ErrRenewed) {
			t.Fatalf("the renewed node ends with %v", err)
		}
		p.Node = nil
		if !node.Renewed(m.Members[0].Node.Roster(), p.ID, protocol.KeyOf(former), protocol.KeyOf(next)) {
			t.Error("nobody heard of the new key")
		}
		p.nodeKey = next
		m.must(node.Take(context.Background(), p.Store))
		m.Start(1)
		m.must(m.Share(1, "third.com"))
		m.must(m.Share(0, "by-another.com"))
		m.Settle(2*time.Minute, m.All()...)
		m.Check(m.All()...)
		for _, i := range m.All() {
			for _, name := range []string{"first.com", "second.com", "third.com"} {
				if !m.Reads(i, 1, name) {
					t.Errorf("node %d does not know %s", i, name)
				}
			}
			s := m.Members[i].Node.Status(time.Time{})
			if len(s.Forks) > 0 || s.Halted != "" || len(s.Alerts) > 0 {
				t.Errorf("node %d: forks %v, halted %q, alerts %v", i, s.Forks, s.Halted, strings.Join(s.Alerts, "; "))
			}
		}
	})
}

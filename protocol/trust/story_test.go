package trust_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"slices"
	"testing"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

type failer interface {
	Helper()
	Fatalf(string, ...any)
}

// story writes statements as the people in it would, without any check.
type story struct {
	t       failer
	mesh    protocol.MeshID
	charter *protocol.Statement
	line    protocol.StatementID // what new proposals name
	all     []*protocol.Statement
	pins    []protocol.StatementID
	org     map[string]*org
	now     int64
}

// org is an organisation: its member keys and its newest card.
type org struct {
	name string
	id   protocol.MemberID
	key  ed25519.PrivateKey
	card protocol.Card
	last protocol.StatementID
}

func key(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func pub(name string) protocol.Key { return protocol.KeyOf(key(name)) }

func feed(name string) protocol.FeedID { return protocol.FeedID(protocol.HashOf([]byte(name))) }

func entry(name string) protocol.EntryID { return protocol.EntryID(protocol.HashOf([]byte(name))) }

// found starts a mesh with a threshold and founders, whose cards it adds.
func found(t failer, k uint64, names ...string) *story {
	return foundAs(t, protocol.Charter{Name: "m", Threshold: k}, names...)
}

// foundAs is found with more in the charter.
func foundAs(t failer, c protocol.Charter, names ...string) *story {
	s := &story{t: t, org: map[string]*org{}}
	for _, n := range names {
		c.Governors = append(c.Governors, pub(n))
	}
	protocol.Sorted(c.Governors)
	s.charter = s.say(&c, key(names[0]))
	s.mesh, s.line = protocol.MeshID(s.charter.ID()), s.charter.ID()
	for _, n := range names {
		s.newcomer(n, n+"/1")
	}
	return s
}

func (s *story) say(c protocol.Content, by ed25519.PrivateKey) *protocol.Statement {
	s.t.Helper()
	s.now++
	st, err := protocol.NewStatement(s.mesh, c, s.now, by)
	if err != nil {
		s.t.Fatalf("%s: %v", c.Kind(), err)
	}
	s.all = append(s.all, st)
	return st
}

// newcomer makes a first card with the given nodes.
func (s *story) newcomer(name string, nodes ...string) *protocol.Statement {
	next := sha256.Sum256(pubBytes(name + "+"))
	o := &org{name: name, key: key(name), card: protocol.Card{Version: 1, Handle: name, Name: name, Contact: "c",
		Identity: "identity--00000000-0000-0000-0000-000000000000", Recipient: "age1" + name, Nodes: cardNodes(nodes),
		NextKey: protocol.Hash(next)}}
	st := s.say(&o.card, o.key)
	o.id, o.last = protocol.MemberID(st.ID()), st.ID()
	s.org[name] = o
	return st
}

func pubBytes(name string) []byte { k := pub(name); return k[:] }

func cardNodes(names []string) []protocol.CardNode {
	var out []protocol.CardNode
	for _, n := range names {
		out = append(out, protocol.CardNode{Key: pub(n)})
	}
	slices.SortFunc(out, func(a, b protocol.CardNode) int { return a.Key.Compare(b.Key) })
	return out
}

// update signs the next card of a member.
func (s *story) update(name string, change func(*protocol.Card)) *protocol.Statement {
	o := s.org[name]
	o.card.Version, o.card.Prev, o.card.Member = o.card.Version+1, o.last, o.id
	if change != nil {
		change(&o.card)
	}
	c := o.card
	st := s.say(&c, o.key)
	o.last = st.ID()
	return st
}

func nodes(names ...string) func(*protocol.Card) {
	return func(c *protocol.Card) { c.Nodes = cardNodes(names) }
}

// rotate signs a card by the committed next key after the given card.
func (s *story) rotate(name string, after protocol.StatementID, version uint64) *protocol.Statement {
	o := s.org[name]
	o.key, o.last, o.card.Version = key(name+"+"), after, version
	return s.update(name, func(c *protocol.Card) { c.NextKey = protocol.Hash{} })
}

// admit proposes an admission by the first name and approves it by all.
func (s *story) admit(name string, by ...string) *protocol.Statement {
	return s.propose(&protocol.Admission{Member: s.org[name].id, Line: s.line}, by...)
}

func (s *story) readmit(name string, card protocol.StatementID, removed []protocol.StatementID, by ...string) *protocol.Statement {
	return s.propose(&protocol.Admission{Member: s.org[name].id, Line: s.line, Card: card, Removed: protocol.Sorted(removed)}, by...)
}

func (s *story) remove(name string, cuts []protocol.FeedCut, by ...string) *protocol.Statement {
	return s.propose(&protocol.Removal{Member: s.org[name].id, Line: s.line, Admission: s.charter.ID(), Cuts: cuts}, by...)
}

func (s *story) change(k uint64, list []string, accepts []*protocol.Statement, by ...string) *protocol.Statement {
	g := &protocol.Governors{Prev: s.line, Threshold: k}
	for _, n := range list {
		g.Governors = append(g.Governors, s.org[n].id)
	}
	for _, a := range accepts {
		g.Accepts = append(g.Accepts, a.ID())
	}
	protocol.Sorted(g.Governors)
	g.Accepts = protocol.Sorted(g.Accepts)
	return s.propose(g, by...)
}

func (s *story) propose(c protocol.Content, by ...string) *protocol.Statement {
	st := s.say(c, s.org[by[0]].key)
	for _, n := range by {
		s.approve(st, n)
	}
	return st
}

func (s *story) approve(st *protocol.Statement, by string) *protocol.Statement {
	return s.say(&protocol.Approval{Subject: st.ID()}, s.org[by].key)
}

func (s *story) fold() *trust.Roster { return trust.Fold(s.mesh, s.all, s.pins...) }

// is checks the states of members, named in pairs.
func (s *story) is(t *testing.T, pairs ...string) {
	t.Helper()
	r := s.fold()
	for i := 0; i < len(pairs); i += 2 {
		got := trust.State("")
		if m, ok := r.Member(s.org[pairs[i]].id); ok {
			got = m.State
		}
		if string(got) != pairs[i+1] {
			t.Errorf("%s is %q, want %q\n%s", pairs[i], got, pairs[i+1], r)
		}
	}
}

func alarmed(r *trust.Roster, kind trust.AlarmKind) bool {
	return slices.ContainsFunc(r.Alarms, func(a trust.Alarm) bool { return a.Kind == kind })
}

func proposal(t *testing.T, r *trust.Roster, st *protocol.Statement, want trust.ProposalState) *trust.Proposal {
	t.Helper()
	p, ok := r.Proposal(st.ID())
	if !ok || p.State != want {
		t.Fatalf("proposal %s: %+v, want %s\n%s", st.ID().Short(), p, want, r)
	}
	return p
}

func limit(t *testing.T, r *trust.Roster, node, fd string, want uint64, ended bool) {
	t.Helper()
	if last, got := r.Limit(pub(node), feed(fd)); last != want || got != ended {
		t.Errorf("feed %s of %s: ends %v at %d, want %v at %d\n%s", fd, node, got, last, ended, want, r)
	}
}

package trust_test

import (
	"crypto/ed25519"
	"fmt"
	"slices"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

// somebody is mostly one who governs.
func (s *sim) somebody() *simOrg {
	if line := s.nodes[0].roster.Governors; len(line) > 0 && !s.chance(4) {
		return s.named(line[s.rng.IntN(len(line))])
	}
	return s.people[s.rng.IntN(len(s.people))]
}

func (s *sim) named(id protocol.MemberID) *simOrg {
	return s.people[slices.IndexFunc(s.people, func(o *simOrg) bool { return o.id == id })]
}

// act has a member do something: an honest one what its node's roster calls for,
// a liar anything.
func (s *sim) act(o *simOrg) {
	if o.liar {
		s.lie(o)
		return
	}
	r := o.home.roster
	for _, p := range r.Proposals {
		if slices.Contains(r.Signers(p), o.id) && !s.chance(6) {
			s.tell(o, &protocol.Approval{Subject: p.ID})
		}
	}
	if m, ok := r.Member(o.id); !ok || m.State != trust.StateActive {
		return // it waits at the door
	}
	var made protocol.StatementID
	other := s.people[s.rng.IntN(len(s.people))]
	if gone := r.DepartedMembers(); len(gone) > 0 && !s.chance(4) {
		other = s.named(gone[s.rng.IntN(len(gone))].ID)
	}
	m, in := r.Member(other.id)
	in = in && m.State == trust.StateActive
	switch what := s.rng.IntN(12); {
	case what < 8 && !in:
		made = s.admit(o, other, r.Line)
	case what < 5:
		made = s.tell(o, &protocol.Removal{Member: other.id, Admission: m.Admission, Line: r.Line, Cuts: s.cuts()}).ID()
	case what < 8 && slices.Contains(r.Governors, o.id):
		made = s.change(o, r, nil)
	case what == 8:
		made = s.cut(o, other, r.Line)
	case what == 9:
		s.prove(o)
	case what == 10 && o.stage == 0:
		s.rotate(o, o.tip)
	default:
		s.card(o, o.tip)
	}
	if !made.IsZero() && slices.Contains(r.Governors, o.id) {
		s.tell(o, &protocol.Approval{Subject: made})
	}
}

// lie does anything that a key lets one do.
func (s *sim) lie(o *simOrg) {
	other := s.people[s.rng.IntN(len(s.people))]
	line := s.lines[s.rng.IntN(len(s.lines))]
	switch s.rng.IntN(11) {
	case 0:
		s.admit(o, other, line)
	case 1, 2:
		s.tell(o, &protocol.Removal{Member: other.id, Admission: s.charter.ID(), Line: line, Cuts: s.cuts()})
	case 3, 4, 5: // of its own removal too
		for range 3 {
			s.tell(o, &protocol.Approval{Subject: s.all[s.rng.IntN(len(s.all))].ID()})
		}
	case 6: // two after one, and for both
		for range 2 {
			s.tell(o, &protocol.Approval{Subject: s.change(o, o.home.roster, &line)})
		}
	case 7: // beside the newest one
		s.card(o, o.cards[s.rng.IntN(len(o.cards))])
	case 8:
		if s.chance(12) { // more than are kept
			for range trust.MaxOwnCuts + 4 {
				s.cut(o, o, line)
			}
		}
		s.cut(o, other, line)
	case 9: // in another's name
		was := o.id
		o.id = other.id
		s.card(o, other.tip)
		o.id = was
		if s.chance(12) { // more than are kept
			for range protocol.MaxOpenProposals + 4 {
				s.admit(o, other, line)
			}
		}
	default:
		s.prove(o)
		if o.stage == 0 && s.chance(2) {
			s.rotate(o, o.cards[s.rng.IntN(len(o.cards))])
		}
	}
}

func (s *sim) firstCard(i int) {
	o := s.people[i]
	c := &protocol.Card{Version: 1, Handle: o.name, Name: o.name, Contact: "c", Identity: "identity--00000000-0000-0000-0000-000000000000",
		Recipient: "age1" + o.name, Nodes: []protocol.CardNode{{Key: nodeKey(i, 0)}}}
	next := protocol.KeyOf(o.keys[1])
	c.NextKey = protocol.HashOf(next[:])
	o.tip = s.share(fmt.Sprint(s.mesh, i), c, o.key())
	o.id, o.cards = protocol.MemberID(o.tip.ID()), append(o.cards, o.tip)
}

// card signs a card after another one, with other nodes.
func (s *sim) card(o *simOrg, after *protocol.Statement) {
	old := after.Doc().(*protocol.Card)
	c := *old
	c.Version, c.Prev, c.Member = old.Version+1, after.ID(), o.id
	self := slices.IndexFunc(s.people, func(p *simOrg) bool { return p.name == o.name })
	who, which := self, s.rng.IntN(2)
	if o.liar && s.chance(2) {
		who = s.rng.IntN(len(s.people))
	}
	node := nodeKey(who, which)
	has := func(n protocol.CardNode) bool { return n.Key == node }
	switch c.Nodes, c.Retired = slices.Clone(c.Nodes), slices.Clone(c.Retired); {
	case !slices.ContainsFunc(c.Nodes, has) && !slices.ContainsFunc(c.Retired, func(r protocol.RetiredNode) bool { return r.Node == node }):
		c.Nodes = append(c.Nodes, protocol.CardNode{Key: node})
		slices.SortFunc(c.Nodes, func(a, b protocol.CardNode) int { return a.Key.Compare(b.Key) })
	case slices.ContainsFunc(c.Nodes, has) && len(c.Nodes) > 1 && s.chance(2):
		c.Nodes = slices.DeleteFunc(c.Nodes, has)
		c.Retired = append(c.Retired, protocol.RetiredNode{Node: node, Cuts: s.cuts()})
		slices.SortFunc(c.Retired, func(a, b protocol.RetiredNode) int { return a.Node.Compare(b.Node) })
	default:
		c.Recipient += "x"
	}
	o.tip = s.tell(o, &c)
	o.cards = append(o.cards, o.tip)
}

// rotate goes over to the next key, after a card that is to count.
func (s *sim) rotate(o *simOrg, after *protocol.Statement) {
	if after.Doc().(*protocol.Card).Member != o.id && after.ID() != protocol.StatementID(o.id) {
		return // a card in another's name
	}
	o.stage = 1
	c := *after.Doc().(*protocol.Card)
	c.Version, c.Prev, c.Member, c.NextKey = c.Version+1, after.ID(), o.id, protocol.Hash{}
	o.tip = s.tell(o, &c)
	o.cards = append(o.cards, o.tip)
}

// admit proposes to admit a member, in spite of the removals known here.
func (s *sim) admit(o, other *simOrg, line protocol.StatementID) protocol.StatementID {
	a := &protocol.Admission{Member: other.id, Line: line}
	for id, st := range o.home.kept {
		if doc, ok := st.Doc().(*protocol.Removal); ok && doc.Member == other.id && !(o.liar && s.chance(2)) {
			a.Removed = append(a.Removed, id)
		}
	}
	protocol.Sorted(a.Removed)
	if s.chance(2) {
		a.Card = other.tip.ID()
	}
	id := s.tell(o, a).ID()
	s.send(o, other.cards[0])
	return id
}

// change proposes other governors; accepting all that counts, or, by a liar, some.
func (s *sim) change(o *simOrg, r *trust.Roster, prev *protocol.StatementID) protocol.StatementID {
	g := &protocol.Governors{Prev: r.Line}
	if prev != nil {
		g.Prev = *prev
	}
	for _, m := range r.Active() {
		if len(g.Governors) == 0 || !s.chance(3) {
			g.Governors = append(g.Governors, m.ID)
		}
	}
	if len(g.Governors) == 0 {
		g.Governors = []protocol.MemberID{o.id}
	}
	g.Threshold = s.most(len(g.Governors))
	for _, p := range r.Proposals {
		if p.Kind != protocol.KindGovernors && (p.State == trust.ProposalDone || s.chance(8)) && !(o.liar && s.chance(2)) {
			g.Accepts = append(g.Accepts, p.ID)
		}
	}
	id := s.tell(o, g).ID()
	s.lines = append(s.lines, id)
	return id
}

func (s *sim) cut(o, other *simOrg, line protocol.StatementID) protocol.StatementID {
	who := slices.Index(s.people, other)
	if o.liar && s.chance(4) {
		who = s.rng.IntN(len(s.people))
	}
	list := s.cuts()
	if len(list) == 0 {
		list = []protocol.FeedCut{{Feed: simFeeds[0], Seq: uint64(s.rng.IntN(5))}}
	}
	return s.tell(o, &protocol.Cut{Member: other.id, Line: line, Node: nodeKey(who, s.rng.IntN(2)), Cuts: list}).ID()
}

// cuts gives ends for some feeds, named or not.
func (s *sim) cuts() (out []protocol.FeedCut) {
	for _, f := range simFeeds {
		if s.chance(2) {
			c := protocol.FeedCut{Feed: f, Seq: uint64(s.rng.IntN(5))}
			if s.chance(2) {
				c.Entry = protocol.EntryID{byte(1 + s.rng.IntN(3))}
			}
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b protocol.FeedCut) int { return a.Feed.Compare(b.Feed) })
	return out
}

// Signing takes most of the time: what runs have in common is signed once.
var (
	simHeaders = map[string]*protocol.Header{}
	simShared  = map[string]*protocol.Statement{} // by what they say, who says it and in which mesh
)

// share states what other runs may state too, at a time that is the same in all.
func (s *sim) share(name string, c protocol.Content, by ed25519.PrivateKey) *protocol.Statement {
	st := simShared[name]
	if st == nil {
		var err error
		if st, err = protocol.NewStatement(s.mesh, c, 1, by); err != nil {
			s.t.Fatalf("seed %d: %s: %v", s.seed, c.Kind(), err)
		}
		simShared[name] = st
	}
	s.all = append(s.all, st)
	return st
}

// header gives an entry of a node's: of two branches, in one of two feeds.
func (s *sim) header(who, which int, salt byte, seq uint64, branch byte) *protocol.Header {
	name := fmt.Sprint(s.mesh, who, which, salt, seq, branch)
	if simHeaders[name] == nil {
		h, err := protocol.Header{Mesh: s.mesh, Salt: protocol.Hash{1 + salt}, Seq: seq, Prev: protocol.EntryID{1}, Kind: protocol.EntryDirect,
			Payload: protocol.Hash{branch}}.Sign(simKeys[who][2+which])
		if err != nil {
			s.t.Fatal(err)
		}
		simHeaders[name] = h
	}
	return simHeaders[name]
}

// prove states a proof against some node; the headers' feeds are no others'.
func (s *sim) prove(o *simOrg) {
	who, which, salt, seq := s.rng.IntN(len(s.people)), s.rng.IntN(2), byte(s.rng.IntN(2)), uint64(2+s.rng.IntN(2))
	h := [2]*protocol.Header{s.header(who, which, salt, seq, 0), s.header(who, which, salt, seq, 1)}
	s.send(o, s.share(fmt.Sprint(h[0].ID(), o.name, o.stage), protocol.NewForkProof(h[0], h[1]), o.key()))
	if s.chance(2) { // and its end
		c := protocol.FeedCut{Feed: h[0].Feed, Seq: uint64(s.rng.IntN(3))}
		if s.chance(2) {
			c.Entry = h[0].ID()
		}
		s.tell(s.people[who], &protocol.Cut{Member: s.people[who].id, Line: s.lines[0], Node: h[0].Node, Cuts: []protocol.FeedCut{c}})
	}
}

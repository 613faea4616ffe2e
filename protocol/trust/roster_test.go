package trust_test

import (
	"slices"
	"testing"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

type ids = []protocol.StatementID

func TestFounderAloneAdmits(t *testing.T) {
	s := found(t, 1, "ann")
	s.newcomer("bob", "bob/1")
	s.is(t, "ann", "active", "bob", "")
	before := s.fold()
	s.admit("bob", "ann")
	s.is(t, "bob", "active")
	r := s.fold()
	if r.Digest() == before.Digest() || !slices.Equal(r.Departures(), before.Departures()) {
		t.Error("an admission changes the digest and no departures")
	}
	m, ok := r.ByNode(pub("bob/1"))
	if !ok || m.ID != s.org["bob"].id {
		t.Error("bob's node is not found")
	}
	limit(t, r, "bob/1", "f", 0, false)
	limit(t, r, "nobody/1", "f", 0, true)
	if got, _ := r.ByHandle("BOB"); got != m {
		t.Error("bob's handle is not found")
	}
}

func TestThresholdAndSigners(t *testing.T) {
	s := found(t, 2, "ann", "bob", "cat")
	s.newcomer("dan", "dan/1")
	a := s.admit("dan", "ann")
	s.approve(a, "ann") // counts once
	r := s.fold()
	p := proposal(t, r, a, trust.ProposalOpen)
	if len(p.Signed) != 1 || p.Needs != 2 || len(r.Signers(p)) != 2 {
		t.Errorf("signed %v needs %d signers %v", p.Signed, p.Needs, r.Signers(p))
	}
	s.approve(a, "cat")
	s.is(t, "dan", "active")
	s.newcomer("eve", "eve/1")
	s.admit("eve", "dan", "ann") // dan is no governor
	s.is(t, "eve", "")
}

func TestTargetDoesNotCount(t *testing.T) {
	s := found(t, 2, "ann", "bob", "cat")
	rm := s.remove("ann", nil, "ann", "bob")
	r := s.fold()
	if p := proposal(t, r, rm, trust.ProposalOpen); len(p.Signed) != 1 || slices.Contains(r.Signers(p), s.org["ann"].id) {
		t.Error("the target's approval counts")
	}
	s.approve(rm, "cat")
	s.is(t, "ann", "removed")
	if r := s.fold(); !alarmed(r, trust.AlarmGovernorGone) {
		t.Errorf("no alarm about a governor that is gone\n%s", r)
	}
	two := found(t, 2, "ann", "bob")
	rm = two.remove("bob", nil, "ann")
	if p := proposal(t, two.fold(), rm, trust.ProposalOpen); !p.Stuck {
		t.Error("with two governors none can be removed, and nobody says so")
	}
}

func TestRemovalIsPermanentAndReadmissionNeedsNewNodes(t *testing.T) {
	s := found(t, 1, "ann")
	s.newcomer("bob", "bob/1")
	s.admit("bob", "ann")
	rm := s.remove("bob", []protocol.FeedCut{{Feed: feed("f"), Seq: 7}}, "ann")
	s.is(t, "bob", "removed")
	s.admit("bob", "ann") // names no removal
	s.is(t, "bob", "removed")
	r := s.fold()
	limit(t, r, "bob/1", "f", 7, true)
	limit(t, r, "bob/1", "g", 0, true)
	if m, ok := r.Author(pub("bob/1")); !ok || m.ID != s.org["bob"].id || len(m.Nodes) > 0 {
		t.Error("entries of a removed member are not attributed")
	}
	if _, ok := r.ByNode(pub("bob/1")); ok {
		t.Error("a removed member's node may act")
	}
	card := s.update("bob", nodes("bob/1", "bob/2"))
	s.readmit("bob", card.ID(), ids{rm.ID()}, "ann")
	s.is(t, "bob", "active")
	r = s.fold()
	limit(t, r, "bob/1", "f", 7, true)
	limit(t, r, "bob/2", "h", 0, false)
	if m, _ := r.Member(s.org["bob"].id); !slices.Equal(m.Nodes, []protocol.Key{pub("bob/2")}) {
		t.Errorf("nodes %v", m.Nodes)
	}
	s.update("bob", nodes("bob/2"))
	limit(t, s.fold(), "bob/1", "f", 7, true)
	s.remove("bob", nil, "ann")
	s.is(t, "bob", "removed")
	limit(t, s.fold(), "bob/2", "h", 0, true)
}

func TestReadmissionWithoutCardHasNoNodes(t *testing.T) {
	s := found(t, 1, "ann")
	s.newcomer("bob", "bob/1")
	s.admit("bob", "ann")
	rm := s.remove("bob", nil, "ann")
	s.readmit("bob", protocol.StatementID{}, ids{rm.ID()}, "ann")
	s.is(t, "bob", "active")
	if _, ok := s.fold().ByNode(pub("bob/1")); ok {
		t.Error("an old node came back")
	}
}

func TestChangeOfGovernors(t *testing.T) {
	s := found(t, 1, "ann")
	for _, n := range []string{"bob", "cat", "dan"} {
		s.newcomer(n, n+"/1")
	}
	ab := s.admit("bob", "ann")
	s.admit("cat", "ann")
	rm := s.remove("dan", nil, "ann")
	ad := s.admit("dan", "ann")
	g := s.change(2, []string{"ann", "bob"}, []*protocol.Statement{ab, ad}, "ann")
	s.is(t, "cat", "active") // bob has not agreed
	before := s.fold()
	s.approve(g, "bob")
	s.line = g.ID()
	s.is(t, "ann", "active", "bob", "active", "cat", "removed", "dan", "suspended")
	r := s.fold()
	proposal(t, r, g, trust.ProposalDone)
	proposal(t, r, rm, trust.ProposalSuspends)
	if r.Threshold != 2 || len(r.Governors) != 2 || r.Line != g.ID() || slices.Equal(r.Departures(), before.Departures()) {
		t.Errorf("wrong line\n%s", r)
	}
	if !alarmed(r, trust.AlarmSuspended) {
		t.Error("no alarm about a removal to confirm")
	}
	limit(t, r, "cat/1", "f", 0, true)
	// The next change confirms the removal and takes cat back in.
	s.change(2, []string{"ann", "bob"}, []*protocol.Statement{rm}, "ann", "bob")
	s.is(t, "bob", "active", "dan", "removed")
	s.line = s.fold().Line
	s.admit("cat", "ann", "bob")
	s.is(t, "cat", "active")
	limit(t, s.fold(), "cat/1", "f", 0, false)
}

func TestSuspensionDismissedKeepsNodes(t *testing.T) {
	s := found(t, 1, "ann")
	s.newcomer("bob", "bob/1")
	ad := s.admit("bob", "ann")
	rm := s.remove("bob", nil, "ann")
	s.line = s.change(1, []string{"ann"}, []*protocol.Statement{ad}, "ann").ID()
	s.is(t, "bob", "suspended")
	limit(t, s.fold(), "bob/1", "f", 0, true)
	s.readmit("bob", protocol.StatementID{}, ids{rm.ID()}, "ann")
	s.is(t, "bob", "active")
	limit(t, s.fold(), "bob/1", "f", 0, false)
}

func TestRivalChanges(t *testing.T) {
	s := found(t, 1, "ann")
	s.newcomer("bob", "bob/1")
	ab := s.admit("bob", "ann")
	g1 := s.change(1, []string{"ann"}, []*protocol.Statement{ab}, "ann")
	s.is(t, "bob", "active")
	g2 := s.change(1, []string{"bob"}, nil, "ann", "bob")
	r := s.fold()
	if r.Line != s.charter.ID() || !alarmed(r, trust.AlarmRivalChanges) {
		t.Errorf("a rival change applies\n%s", r)
	}
	proposal(t, r, g1, trust.ProposalRival)
	s.pins = ids{g2.ID()}
	if r := s.fold(); r.Line != g2.ID() || alarmed(r, trust.AlarmRivalChanges) {
		t.Errorf("a pin does not settle it\n%s", r)
	}
	s.is(t, "bob", "removed", "ann", "active")
	// Pinning what follows pins what was before.
	s.line = g1.ID()
	g3 := s.change(1, []string{"ann"}, nil, "ann")
	s.pins = ids{g3.ID()}
	if r := s.fold(); r.Line != g3.ID() {
		t.Errorf("a later pin does not settle it\n%s", r)
	}
}

// A pinned change shuts out the rivals of those before it, although nobody is
// known to have approved them yet; and it is kept whoever proposed it.
func TestPinShutsOutRivalsOfForebears(t *testing.T) {
	s := found(t, 2, "ann", "bob", "cat")
	s.newcomer("out", "out/1")
	charter := s.line
	first := s.propose(&protocol.Governors{Prev: charter, Threshold: 2, Governors: protocol.Sorted(s.members("ann", "bob", "cat"))}, "out")
	s.line = first.ID()
	second := s.change(2, []string{"ann", "bob"}, nil, "ann", "bob")
	s.line = charter
	rival := s.change(2, []string{"bob", "cat"}, nil, "bob", "cat")
	if r := s.fold(); r.Line != rival.ID() {
		t.Errorf("without a pin the line ends with %s\n%s", r.Line.Short(), r)
	}
	s.pins = ids{second.ID()}
	if r := s.fold(); r.Line != charter {
		t.Errorf("in spite of the pin the line ends with %s\n%s", r.Line.Short(), r)
	}
	s.all = slices.DeleteFunc(s.all, func(st *protocol.Statement) bool { return st == first })
	if err := s.fold().Accept(first); err != nil {
		t.Errorf("what a pinned change comes after is refused: %v", err)
	}
}

func (s *story) members(names ...string) (out []protocol.MemberID) {
	for _, n := range names {
		out = append(out, s.org[n].id)
	}
	return out
}

func TestCardConflictAndNextKey(t *testing.T) {
	s := found(t, 1, "ann")
	s.newcomer("bob", "bob/1")
	s.admit("bob", "ann")
	v2 := s.update("bob", nodes("bob/1", "bob/2"))
	fork := *s.org["bob"]
	good := s.update("bob", nodes("bob/1", "bob/2", "bob/3"))
	was := s.org["bob"]
	s.org["bob"] = &fork
	s.update("bob", nodes("mal/1")) // the thief of bob's key
	r := s.fold()
	if m, _ := r.Member(fork.id); m.CardID != v2.ID() || !alarmed(r, trust.AlarmRivalCards) {
		t.Errorf("the last common card does not stand\n%s", r)
	}
	if _, ok := r.ByNode(pub("mal/1")); ok {
		t.Error("the thief's node acts")
	}
	s.org["bob"] = was
	rot := s.rotate("bob", good.ID(), 3)
	r = s.fold()
	m, _ := r.Member(fork.id)
	if m.CardID != rot.ID() || m.Key != pub("bob+") || len(m.Nodes) != 3 || alarmed(r, trust.AlarmRivalCards) {
		t.Errorf("the next key does not settle it\n%s", r)
	}
	if by, _ := r.ByKey(pub("bob")); by != m {
		t.Error("an earlier key is not attributed")
	}
	// The thief commits to another next key and uses it: the first commitment binds.
	s.org["bob"] = &fork
	s.update("bob", func(c *protocol.Card) { h := pub("mal+"); c.NextKey = protocol.HashOf(h[:]) })
	fork.key = key("mal+")
	s.update("bob", nodes("mal/1"))
	if m, _ := s.fold().Member(fork.id); m.CardID != rot.ID() {
		t.Errorf("a thief took over\n%s", s.fold())
	}
}

func TestEarlierKeysOfGovernors(t *testing.T) {
	s := found(t, 1, "ann")
	s.newcomer("bob", "bob/1")
	ab := s.admit("bob", "ann")
	old := *s.org["ann"]
	card := s.rotate("ann", old.last, 1)
	s.is(t, "bob", "active") // signed by the old key
	s.line = s.change(1, []string{"ann"}, []*protocol.Statement{ab, card}, "ann").ID()
	s.newcomer("cat", "cat/1")
	ac := s.admit("cat", "ann")
	s.is(t, "bob", "active", "cat", "active")
	s.newcomer("eve", "eve/1")
	s.org["thief"] = &old
	s.admit("eve", "thief")
	s.is(t, "eve", "")
	s.line = s.change(1, []string{"ann"}, []*protocol.Statement{ac}, "ann").ID()
	s.admit("eve", "thief")
	s.is(t, "eve", "")
}

func TestRetiredNodes(t *testing.T) {
	s := found(t, 1, "ann")
	s.update("ann", nodes("ann/1", "ann/2"))
	before := s.fold()
	s.update("ann", nodes("ann/2")) // forgot to retire it
	limit(t, s.fold(), "ann/1", "f", 0, true)
	s.update("ann", func(c *protocol.Card) {
		c.Recipient = "age1other"
		c.Retired = []protocol.RetiredNode{{Node: pub("ann/1"), Cuts: []protocol.FeedCut{{Feed: feed("f"), Seq: 9}}}}
	})
	r := s.fold()
	limit(t, r, "ann/1", "f", 9, true)
	limit(t, r, "ann/1", "g", 0, true)
	limit(t, r, "ann/2", "f", 0, false)
	if slices.Equal(r.Departures(), before.Departures()) {
		t.Error("a retired node is no departure")
	}
	s.update("ann", func(c *protocol.Card) { c.Nodes, c.Retired = cardNodes([]string{"ann/1", "ann/2"}), nil })
	limit(t, s.fold(), "ann/1", "f", 9, true)
	if _, ok := s.fold().ByNode(pub("ann/1")); ok {
		t.Error("a retired node came back")
	}
}

func TestCuts(t *testing.T) {
	s := found(t, 2, "ann", "bob", "cat")
	cut := func(node, fd string, seq uint64, survivor string, by ...string) {
		c := protocol.FeedCut{Feed: feed(fd), Seq: seq}
		if survivor != "" {
			c.Entry = entry(survivor)
		}
		s.propose(&protocol.Cut{Member: s.org["ann"].id, Line: s.line, Node: pub(node), Cuts: []protocol.FeedCut{c}}, by...)
	}
	cut("ann/1", "f", 3, "", "bob") // one governor is not enough
	limit(t, s.fold(), "ann/1", "f", 0, false)
	cut("bob/1", "f", 3, "", "ann") // not ann's node
	limit(t, s.fold(), "bob/1", "f", 0, false)
	cut("ann/1", "f", 9, "a", "ann")
	limit(t, s.fold(), "ann/1", "f", 9, true)
	limit(t, s.fold(), "ann/1", "g", 0, false)
	if seq, e, ok := s.fold().Survivor(pub("ann/1"), feed("f")); !ok || seq != 9 || e != entry("a") {
		t.Error("no survivor")
	}
	cut("ann/1", "f", 5, "", "bob", "cat")
	limit(t, s.fold(), "ann/1", "f", 5, true)
	if _, _, ok := s.fold().Survivor(pub("ann/1"), feed("f")); ok {
		t.Error("a survivor at a place that no longer counts")
	}
}

// branches gives two headers of a node of ann that contradict each other.
func (s *story) branches(seq uint64) (a, b *protocol.Header) {
	s.t.Helper()
	var out [2]*protocol.Header
	for i := range out {
		h, err := protocol.Header{Mesh: s.mesh, Seq: seq, Prev: entry("p"), Kind: protocol.EntryDirect,
			Payload: protocol.HashOf([]byte{byte(i)})}.Sign(key("ann/1"))
		if err != nil {
			s.t.Fatalf("sign: %v", err)
		}
		out[i] = h
	}
	return out[0], out[1]
}

func TestForkProof(t *testing.T) {
	s := found(t, 1, "ann")
	a, b := s.branches(4)
	st := s.say(protocol.NewForkProof(a, b), key("stranger"))
	r := s.fold()
	k, ok := r.Fork(pub("ann/1"))
	if !ok || k.Resolved || k.Seq != 4 || !alarmed(r, trust.AlarmFork) {
		t.Fatalf("fork %+v\n%s", k, r)
	}
	again := s.say(protocol.NewForkProof(a, b), key("stranger"))
	s.all = s.all[:len(s.all)-1]
	if lower := again.ID().Compare(st.ID()) < 0; (r.Accept(again) == nil) != lower {
		t.Errorf("a second proof of one fork, of lower ID: %v, is kept: %v", lower, !lower)
	}
	s.all = s.all[:len(s.all)-1]
	if err := s.fold().Accept(st); err != nil {
		t.Errorf("a proof is refused: %v", err)
	}
	s.all = append(s.all, st)
	s.propose(&protocol.Cut{Member: s.org["ann"].id, Line: s.line, Node: pub("ann/1"),
		Cuts: []protocol.FeedCut{{Feed: a.Feed, Seq: 4, Entry: a.ID()}}}, "ann")
	if k, _ := s.fold().Fork(pub("ann/1")); !k.Resolved {
		t.Error("a cut does not resolve the fork")
	}
}

// A cut below the place of a proof hides no fork, since the branches may have
// parted before that place: it names the entry that survives, or leaves nothing.
func TestOnlyANamedCutResolvesAFork(t *testing.T) {
	for _, c := range []struct {
		name     string
		cuts     []protocol.FeedCut
		resolved bool
	}{
		{"none", nil, false},
		{"below the proof", []protocol.FeedCut{{Seq: 1}}, false},
		{"at 0", []protocol.FeedCut{{Seq: 0}}, true},
		{"below the proof, named", []protocol.FeedCut{{Seq: 1, Entry: entry("a")}}, true},
		{"past the proof, named", []protocol.FeedCut{{Seq: 9, Entry: entry("a")}}, true},
		{"named, then lower without a name", []protocol.FeedCut{{Seq: 9, Entry: entry("a")}, {Seq: 2}}, false},
		{"without a name, then named there", []protocol.FeedCut{{Seq: 2}, {Seq: 2, Entry: entry("a")}}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := found(t, 1, "ann")
			a, b := s.branches(4)
			s.say(protocol.NewForkProof(a, b), key("stranger"))
			for _, cut := range c.cuts {
				cut.Feed = a.Feed
				s.propose(&protocol.Cut{Member: s.org["ann"].id, Line: s.line, Node: pub("ann/1"), Cuts: []protocol.FeedCut{cut}}, "ann")
			}
			r := s.fold()
			if k, ok := r.Fork(pub("ann/1")); !ok || k.Resolved != c.resolved || alarmed(r, trust.AlarmFork) == c.resolved {
				t.Errorf("resolved: want %v\n%s", c.resolved, r)
			}
		})
	}
}

func TestNamingAnothersNodeNeverWinsIt(t *testing.T) {
	for _, thief := range []string{"bob", "cat", "dan", "eve"} { // IDs below and above
		s := found(t, 1, "ann")
		s.newcomer(thief, thief+"/1")
		s.admit(thief, "ann")
		s.update("ann", nodes("ann/1", "ann/2"))
		s.update(thief, nodes(thief+"/1", "ann/1", "ann/2"))
		r := s.fold()
		if m, ok := r.ByNode(pub("ann/1")); !ok || m.ID != s.org["ann"].id {
			t.Errorf("%s took a node of ann's first card", thief)
		}
		if _, ok := r.Author(pub("ann/2")); ok || !alarmed(r, trust.AlarmNodeClaimed) {
			t.Errorf("a contested node has an author, or no alarm\n%s", r)
		}
		rm := s.remove(thief, nil, "ann")
		if m, ok := s.fold().ByNode(pub("ann/2")); !ok || m.ID != s.org["ann"].id {
			t.Error("ann does not get her node back")
		}
		_ = rm
	}
}

func TestHandles(t *testing.T) {
	s := found(t, 1, "ann")
	for _, n := range []string{"bob", "cat"} {
		s.newcomer(n, n+"/1")
		s.admit(n, "ann")
	}
	s.update("cat", func(c *protocol.Card) { c.Handle = "bob" })
	r := s.fold()
	if m, _ := r.ByHandle("bob"); m == nil || m.ID != s.org["bob"].id {
		t.Error("bob lost the handle")
	}
	cat, _ := r.Member(s.org["cat"].id)
	if got, _ := r.ByHandle(cat.Handle); got != cat || cat.Handle == "bob" || !alarmed(r, trust.AlarmHandle) {
		t.Errorf("cat is %q", cat.Handle)
	}
	s.remove("bob", nil, "ann")
	if m, _ := s.fold().ByHandle("bob"); m == nil || m.ID != s.org["cat"].id {
		t.Error("a free handle is not given")
	}
}

func TestSeveralFirstCardsOfAFounder(t *testing.T) {
	s := found(t, 1, "ann")
	first := s.org["ann"]
	s.newcomer("ann", "ann/9")
	r := s.fold()
	if len(r.Members) != 1 || !alarmed(r, trust.AlarmRivalCards) {
		t.Errorf("two founders of one key\n%s", r)
	}
	a, _ := r.Member(first.id)
	if b, _ := r.Member(s.org["ann"].id); a != b {
		t.Error("the two IDs mean two members")
	}
	s.pins = ids{protocol.StatementID(first.id)}
	if m := s.fold().Members[0]; m.ID != first.id {
		t.Error("a pin does not settle it")
	}
}

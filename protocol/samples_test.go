package protocol

import (
	"crypto/ed25519"
	"crypto/sha256"
	"testing"
)

// seedOf gives the seed of a key of the tests by name, the same in every run.
func seedOf(name string) []byte {
	sum := sha256.Sum256([]byte("tipmesh test key " + name))
	return sum[:]
}

func keyNamed(name string) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(seedOf(name)) }

func hashNamed(name string) Hash { return HashOf([]byte("tipmesh test value " + name)) }

// at is the time of all samples: 2026-11-22T10:00:00Z.
const at = 1795341600000

// sampleIdentity is a fixed hybrid age identity, not in use anywhere.
const sampleIdentity = "AGE-SECRET-KEY-PQ-126M589WQTFKZPFS6RXYETYM7HKWRFWKG3XQFCZYY8DQ43S2RJRDQ62DH99"

func sampleCharter() *Charter {
	return &Charter{
		Name: "Example Alliance", Governors: Sorted([]Key{KeyOf(keyNamed("alpha")), KeyOf(keyNamed("bravo")), KeyOf(keyNamed("charlie"))}),
		Threshold: 2, Rules: Rules{TLP: "amber", PAP: "amber", Context: 1, AnswerSeconds: 86400, Text: "Be kind.\nShare early."},
		Recovery: []Key{KeyOf(keyNamed("vault"))}, Nonce: [16]byte{1, 2, 3},
	}
}

func sampleMesh() MeshID {
	s, err := NewStatement(MeshID{}, sampleCharter(), at, keyNamed("alpha"))
	if err != nil {
		panic(err)
	}
	return MeshID(s.ID())
}

func sampleCard() *Card {
	return &Card{
		Version: 1, Handle: "alpha", Name: "Alpha AG", Contact: "cert@alpha.example", Duty: "+41 00 000 00 00, 24/7",
		Sectors: []string{"finance"}, Regions: []string{"CH", "LI"}, Identity: "identity--6f6c2f1e-3b1a-4f57-9d8a-1f2e3d4c5b6a",
		Nodes:     []CardNode{{Key: KeyOf(keyNamed("alpha node")), Recipient: "age1pq1node"}},
		Recipient: "age1pq1member", Consent: &Consent{TLP: "green", Seconds: 7 * 86400}, NextKey: hashNamed("next"),
		WorkingOn: []string{"loaders"},
	}
}

func sampleCard2() *Card {
	c := sampleCard()
	c.Version, c.Member, c.Prev = 2, MemberID(hashNamed("member")), StatementID(hashNamed("card 1"))
	c.Consent = nil
	c.Retired = []RetiredNode{{Node: KeyOf(keyNamed("old node")), Cuts: []FeedCut{
		{Feed: FeedID{1}, Seq: 17}, {Feed: FeedID{2}, Seq: 3, Entry: EntryID(hashNamed("entry"))}}}}
	return c
}

func sampleFork() *ForkProof {
	a, b := sampleHeader(), sampleHeader()
	b.Time++
	return NewForkProof(signedHeader(a, "alpha node"), signedHeader(b, "alpha node"))
}

// sampleContents are one content of every kind, by name.
func sampleContents() []struct {
	name string
	doc  Content
} {
	member, line := MemberID(hashNamed("member")), StatementID(hashNamed("line"))
	cuts := []FeedCut{{Feed: FeedID{1}, Seq: 17}, {Feed: FeedID{2}}}
	return []struct {
		name string
		doc  Content
	}{
		{"charter", sampleCharter()},
		{"charter, least", &Charter{Name: "x", Governors: []Key{KeyOf(keyNamed("alpha"))}, Threshold: 1}},
		{"card, first", sampleCard()},
		{"card, later", sampleCard2()},
		{"admission", &Admission{Member: member, Line: line}},
		{"admission, again", &Admission{Member: member, Line: line, Removed: []StatementID{{1}, {2}}, Why: "They are back.", Card: StatementID(hashNamed("card 3"))}},
		{"removal", &Removal{Member: member, Admission: StatementID(hashNamed("admission")), Line: line, Why: "Left.", Cuts: cuts}},
		{"cut", &Cut{Member: member, Line: line, Node: KeyOf(keyNamed("alpha node")), Cuts: cuts}},
		{"approval", &Approval{Subject: StatementID(hashNamed("subject"))}},
		{"governors", &Governors{Prev: line, Governors: []MemberID{{1}, {2}, {3}}, Threshold: 2, Accepts: []StatementID{{9}}}},
		{"fork proof", sampleFork()},
		{"rules", &HouseRules{Prev: StatementID(sampleMesh()), Line: line, Rules: Rules{TLP: "green", Text: "Later rules."}, Why: "Grown."}},
		{"rules, lifetimes", &HouseRules{Prev: StatementID(sampleMesh()), Line: line, Rules: Rules{Lifetimes: Lifetimes{AddressSeconds: 7 * 86400, HashSeconds: 365 * 86400}}}},
		{"suspension", &Suspension{Member: member, Line: line, Seconds: 72 * 3600, Why: "Key on a stolen laptop."}},
		{"dismissal", &Dismissal{Subject: StatementID(hashNamed("suspension")), Line: line}},
		{"mark", &Mark{Member: member, Roster: hashNamed("roster")}},
	}
}

func statement(t testing.TB, doc Content) *Statement {
	t.Helper()
	mesh := sampleMesh()
	if doc.Kind() == KindCharter {
		mesh = MeshID{}
	}
	s, err := NewStatement(mesh, doc, at, keyNamed("alpha"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sampleHeader() Header {
	return Header{
		Mesh: sampleMesh(), Salt: hashNamed("salt"), Seq: 2, Prev: EntryID(hashNamed("entry 1")), Time: at,
		Roster: hashNamed("roster"), Kind: EntrySealed, Tag: Tag{1, 2, 3}, Payload: HashOf([]byte("payload")), Size: 7, Retention: 1,
	}
}

func signedHeader(h Header, key string) *Header {
	out, err := h.Sign(keyNamed(key))
	if err != nil {
		panic(err)
	}
	return out
}

func sampleEpoch() Epoch {
	mesh := sampleMesh()
	return Epoch{
		Mesh: mesh, Audience: Everyone(mesh), Maker: MemberID(hashNamed("member")), State: hashNamed("state"),
		Departures: Sorted([]Hash{hashNamed("departure 1"), hashNamed("departure 2")}), Readers: []MemberID{{1}, {2}}, Narrow: true, Identity: sampleIdentity, Time: at,
	}
}

func signedEpoch(e Epoch) *Epoch {
	out, err := e.Sign(keyNamed("alpha node"))
	if err != nil {
		panic(err)
	}
	return out
}

func sampleAudience() AudienceState {
	return AudienceState{
		Mesh: sampleMesh(), Number: 1, Owner: MemberID(hashNamed("member")), Name: "Banking group",
		Deputies: []MemberID{{7}, {3}}, Members: []MemberID{{1}, {3}, {7}}, History: 86400, Terms: hashNamed("terms"),
	}
}

func signedAudience(a AudienceState) *AudienceState {
	out, err := a.Sign(keyNamed("alpha node"))
	if err != nil {
		panic(err)
	}
	return out
}

func sampleTicket(t testing.TB) *Ticket {
	return &Ticket{
		Version: Version, Charter: statement(t, sampleCharter()).Raw(), Line: [][]byte{statement(t, &Governors{
			Prev: StatementID(sampleMesh()), Governors: []MemberID{{1}}, Threshold: 1}).Raw()},
		Inviter: MemberID(hashNamed("member")), Handle: "alpha", Host: KeyOf(keyNamed("join host")),
		Addresses: []string{"192.0.2.1:7411", "[2001:db8::1]:7411"}, Secret: [32]byte(seedOf("secret")), Expires: at + 3600_000, Name: "Bravo GmbH",
	}
}

// sampleDoc is a document of any kind with what a test needs to break it.
type sampleDoc struct {
	name   string
	kind   string // vector kind: statement, header, epoch, audience, letter, erasure, ticket
	domain Domain // none for letters, erasures and tickets, which are not signed
	body   []byte
	raw    []byte // as it travels
	id     string
	doc    any
	signer string
	parse  func(raw []byte) (again []byte, err error) // gives raw made anew from what was read
}

func parseStatementAgain(raw []byte) ([]byte, error) {
	s, err := ParseStatement(raw)
	if err != nil {
		return nil, err
	}
	c := *s
	if s.doc != nil {
		c.Content = Marshal(s.doc)
	}
	return rewrap(raw, Marshal(&c)), nil
}

func parseHeaderAgain(raw []byte) ([]byte, error) {
	h, err := ParseHeader(raw)
	if err != nil {
		return nil, err
	}
	return rewrap(raw, Marshal(h)), nil
}

func parseEpochAgain(raw []byte) ([]byte, error) {
	e, err := ParseEpoch(raw)
	if err != nil {
		return nil, err
	}
	return rewrap(raw, Marshal(e)), nil
}

func parseAudienceAgain(raw []byte) ([]byte, error) {
	a, err := ParseAudienceState(raw)
	if err != nil {
		return nil, err
	}
	return rewrap(raw, Marshal(a)), nil
}

func parseLetterAgain(raw []byte) ([]byte, error) {
	l, err := ParseLetter(raw)
	if err != nil {
		return nil, err
	}
	again := Letter{Version: l.Version}
	for _, p := range l.Parts {
		if p.Doc() != nil {
			p = partOf(p.Doc())
		}
		again.Parts = append(again.Parts, p)
	}
	return Marshal(&again), nil
}

func parseErasureAgain(raw []byte) ([]byte, error) {
	e, err := ParseErasure(raw)
	if err != nil {
		return nil, err
	}
	return NewErasure(e.Feed, e.Runs()...)
}

func parseTicketAgain(raw []byte) ([]byte, error) {
	t, _, err := ParseTicket(textOfTicket(raw))
	if err != nil {
		return nil, err
	}
	return Marshal(t), nil
}

// rewrap puts a body under the signature that raw has.
func rewrap(raw, body []byte) []byte {
	_, sig, err := open(raw, len(raw))
	if err != nil {
		panic(err)
	}
	return Marshal(signed{Body: body, Sig: sig})
}

// samples are documents of every kind that decoders must take.
func samples(t testing.TB) []sampleDoc {
	t.Helper()
	var out []sampleDoc
	for _, c := range sampleContents() {
		s := statement(t, c.doc)
		out = append(out, sampleDoc{c.name, "statement", DomainStatement, Marshal(s), s.Raw(), s.ID().String(), s, "alpha", parseStatementAgain})
	}
	first := sampleHeader()
	first.Seq, first.Prev, first.Retention, first.Kind, first.Tag = 1, EntryID{}, 0, EntryDirect, Tag{}
	for i, h := range []Header{first, sampleHeader()} {
		s := signedHeader(h, "alpha node")
		out = append(out, sampleDoc{[]string{"header, first", "header, later"}[i], "header", DomainHeader, Marshal(s), s.Raw(), s.ID().String(), s, "alpha node", parseHeaderAgain})
	}
	e := signedEpoch(sampleEpoch())
	out = append(out, sampleDoc{"epoch", "epoch", DomainEpoch, Marshal(e), e.Raw(), e.ID().String(), e, "alpha node", parseEpochAgain})
	a := signedAudience(sampleAudience())
	out = append(out, sampleDoc{"audience, first", "audience", DomainAudience, Marshal(a), a.Raw(), a.ID().String(), a, "alpha node", parseAudienceAgain})
	later := sampleAudience()
	later.Audience, later.Number, later.Prev, later.Ended, later.Deputies = AudienceID(a.ID()), 2, a.ID(), true, nil
	later.Left = []Leaver{{Member: MemberID{9}, Cuts: []FeedCut{{Feed: FeedID{1}, Seq: 5}}}}
	a = signedAudience(later)
	out = append(out, sampleDoc{"audience, later", "audience", DomainAudience, Marshal(a), a.Raw(), a.ID().String(), a, "alpha node", parseAudienceAgain})
	for _, l := range []struct {
		name string
		raw  []byte
	}{
		{"letter, a grant", NewGrant(e, e)},
		{"letter, of all parts", NewLetter(e, a, Leave{Audience: AudienceID(a.ID()), State: a.ID()},
			Receipt{Entry: EntryID(hashNamed("entry 1")), State: ReceiptApplied, Time: at}, Own{Name: "trust", Value: []byte("{}"), Time: at})},
	} {
		doc, err := ParseLetter(l.raw)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, sampleDoc{l.name, "letter", "", l.raw, l.raw, "", doc, "", parseLetterAgain})
	}
	for i, name := range []string{"erasure", "erasure, of another feed"} {
		feed := []FeedID{{}, FeedID(hashNamed("feed 2"))}[i]
		raw, err := NewErasure(feed, [2]uint64{1, 1}, [2]uint64{3, 70}, [2]uint64{72, MaxSeq})
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, sampleDoc{name, "erasure", "", raw, raw, "", &Erasure{Version, []uint64{1, 1, 3, 70, 72, MaxSeq}, feed}, "", parseErasureAgain})
	}
	ticket := sampleTicket(t)
	return append(out, sampleDoc{"ticket", "ticket", "", Marshal(ticket), Marshal(ticket), ticket.ID().String(), ticket, "", parseTicketAgain})
}

package protocol

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

// run gives n ascending identifiers.
func run[K any](n int) []ID[K] {
	out := make([]ID[K], n)
	for i := range out {
		binary.BigEndian.PutUint32(out[i][:], uint32(i+1))
	}
	return out
}

func many(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = "x"
	}
	return out
}

func feedCuts(n int) []FeedCut {
	var out []FeedCut
	for _, f := range run[feedKind](n) {
		out = append(out, FeedCut{Feed: f})
	}
	return out
}

// TestContentLimits checks each limit of a statement's content at the limit and
// one beyond it.
func TestContentLimits(t *testing.T) {
	a := func(n int) string { return strings.Repeat("a", n) }
	charter := func(f func(*Charter, int)) func(int) Content {
		return func(n int) Content { c := sampleCharter(); f(c, n); return c }
	}
	card := func(f func(*Card, int)) func(int) Content {
		return func(n int) Content { c := sampleCard(); f(c, n); return c }
	}
	for name, c := range map[string]struct {
		most int
		make func(n int) Content
	}{
		"charter name":     {MaxName, charter(func(c *Charter, n int) { c.Name = a(n) })},
		"governors":        {MaxGovernors, charter(func(c *Charter, n int) { c.Governors = run[keyKind](n); c.Threshold = uint64(n) })},
		"recovery keys":    {MaxGovernors, charter(func(c *Charter, n int) { c.Recovery = run[keyKind](n) })},
		"threshold":        {3, charter(func(c *Charter, n int) { c.Threshold = uint64(n) })},
		"rules":            {MaxRules, charter(func(c *Charter, n int) { c.Rules.Text = a(n) })},
		"rules TLP":        {MaxLabel, charter(func(c *Charter, n int) { c.Rules.TLP = a(n) })},
		"rules PAP":        {MaxLabel, charter(func(c *Charter, n int) { c.Rules.PAP = a(n) })},
		"context":          {1, charter(func(c *Charter, n int) { c.Rules.Context = uint64(n) })},
		"seconds":          {3650 * 86400, charter(func(c *Charter, n int) { c.Rules.SettleSeconds = uint64(n) })},
		"lifetime":         {3650 * 86400, charter(func(c *Charter, n int) { c.Rules.Lifetimes.MailSeconds = uint64(n) })},
		"handle":           {MaxHandle, card(func(c *Card, n int) { c.Handle = a(n) })},
		"card name":        {MaxName, card(func(c *Card, n int) { c.Name = a(n) })},
		"contact":          {MaxText, card(func(c *Card, n int) { c.Contact = a(n) })},
		"duty":             {MaxText, card(func(c *Card, n int) { c.Duty = a(n) })},
		"sectors":          {MaxLabels, card(func(c *Card, n int) { c.Sectors = many(n) })},
		"sector":           {MaxLabel, card(func(c *Card, n int) { c.Sectors = []string{a(n)} })},
		"regions":          {MaxLabels, card(func(c *Card, n int) { c.Regions = many(n) })},
		"topics":           {MaxLabels, card(func(c *Card, n int) { c.WorkingOn = many(n) })},
		"recipient":        {MaxRecipient, card(func(c *Card, n int) { c.Recipient = a(n) })},
		"node recipient":   {MaxRecipient, card(func(c *Card, n int) { c.Nodes[0].Recipient = a(n) })},
		"consent":          {3650 * 86400, card(func(c *Card, n int) { c.Consent.Seconds = uint64(n) })},
		"consent TLP":      {MaxLabel, card(func(c *Card, n int) { c.Consent.TLP = a(n) })},
		"removals":         {MaxCardsPerMember, func(n int) Content { return &Admission{Removed: run[statementKind](n)} }},
		"admission reason": {MaxText, func(n int) Content { return &Admission{Why: a(n)} }},
		"removal reason":   {MaxText, func(n int) Content { return &Removal{Why: a(n)} }},
		"removal cuts":     {MaxCuts, func(n int) Content { return &Removal{Cuts: feedCuts(n)} }},
		"cuts":             {MaxCuts, func(n int) Content { return &Cut{Cuts: feedCuts(n)} }},
		"accepts": {MaxAccepts, func(n int) Content {
			return &Governors{Governors: run[memberKind](1), Threshold: 1, Accepts: run[statementKind](n)}
		}},
		"new governors": {MaxGovernors, func(n int) Content { return &Governors{Governors: run[memberKind](n), Threshold: uint64(n)} }},
		"nodes": {MaxNodes, card(func(c *Card, n int) {
			c.Nodes = nil
			for _, k := range run[keyKind](n) {
				c.Nodes = append(c.Nodes, CardNode{Key: k})
			}
		})},
		"retired nodes": {MaxRetired, card(func(c *Card, n int) {
			for _, k := range run[keyKind](n) {
				c.Retired = append(c.Retired, RetiredNode{Node: k})
			}
		})},
		"retired node's cuts": {MaxCuts, card(func(c *Card, n int) { c.Retired = []RetiredNode{{Cuts: feedCuts(n)}} })},
	} {
		if _, err := NewStatement(mesh(c.make(1)), c.make(c.most), at, keyNamed("alpha")); err != nil {
			t.Errorf("%s at %d: %v", name, c.most, err)
		}
		if _, err := NewStatement(mesh(c.make(1)), c.make(c.most+1), at, keyNamed("alpha")); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s at %d: %v", name, c.most+1, err)
		}
	}
}

func mesh(c Content) MeshID {
	if c.Kind() == KindCharter {
		return MeshID{}
	}
	return sampleMesh()
}

func TestContentRules(t *testing.T) {
	charter := func(f func(*Charter)) Content { c := sampleCharter(); f(c); return c }
	card := func(f func(*Card)) Content { c := sampleCard(); f(c); return c }
	later := func(f func(*Card)) Content { c := sampleCard2(); f(c); return c }
	fork := sampleFork()
	two := run[statementKind](2)
	down := []StatementID{two[1], two[0]}
	for name, c := range map[string]Content{
		"no name":                  charter(func(c *Charter) { c.Name = "" }),
		"no governors":             charter(func(c *Charter) { c.Governors = nil }),
		"governors not ascending":  charter(func(c *Charter) { c.Governors[0], c.Governors[1] = c.Governors[1], c.Governors[0] }),
		"governor twice":           charter(func(c *Charter) { c.Governors[0] = c.Governors[1] }),
		"threshold of half":        charter(func(c *Charter) { c.Governors = c.Governors[:2]; c.Threshold = 1 }),
		"threshold of none":        charter(func(c *Charter) { c.Threshold = 0 }),
		"control character":        charter(func(c *Charter) { c.Rules.Text = "a\x1b[2Jb" }),
		"carriage return":          charter(func(c *Charter) { c.Rules.Text = "a\rb" }),
		"change of direction":      charter(func(c *Charter) { c.Name = "a\u202eb" }),
		"line separator":           charter(func(c *Charter) { c.Rules.Text = "a\u2028b" }),
		"line break in a name":     card(func(c *Card) { c.Name = "Alpha\nadmitted" }),
		"tab in a sector":          card(func(c *Card) { c.Sectors = []string{"a\tb"} }),
		"empty sector":             card(func(c *Card) { c.Sectors = []string{""} }),
		"upper-case handle":        card(func(c *Card) { c.Handle = "Alpha" }),
		"handle from a digit":      card(func(c *Card) { c.Handle = "4lpha" }),
		"handle to a hyphen":       card(func(c *Card) { c.Handle = "alpha-" }),
		"reserved handle":          card(func(c *Card) { c.Handle = "everyone" }),
		"version 0":                card(func(c *Card) { c.Version = 0 }),
		"first with previous":      card(func(c *Card) { c.Prev = StatementID{1} }),
		"first with member":        card(func(c *Card) { c.Member = MemberID{1} }),
		"later without previous":   later(func(c *Card) { c.Prev = StatementID{} }),
		"later without member":     later(func(c *Card) { c.Member = MemberID{} }),
		"no nodes":                 card(func(c *Card) { c.Nodes = nil }),
		"node twice":               card(func(c *Card) { c.Nodes = append(c.Nodes, c.Nodes[0]) }),
		"identity in upper case":   card(func(c *Card) { c.Identity = strings.ToUpper(c.Identity) }),
		"identity of another type": card(func(c *Card) { c.Identity = strings.Replace(c.Identity, "identity", "campaign", 1) }),
		"consent to nothing":       card(func(c *Card) { c.Consent.Seconds = 0 }),
		"removals not ascending":   &Admission{Removed: down},
		"cut of nothing":           &Cut{},
		"cuts not ascending":       &Cut{Cuts: []FeedCut{{Feed: FeedID{2}}, {Feed: FeedID{1}}}},
		"feed cut twice":           &Removal{Cuts: []FeedCut{{Feed: FeedID{2}, Seq: 1}, {Feed: FeedID{2}, Seq: 2}}},
		"accepts not ascending":    &Governors{Governors: run[memberKind](1), Threshold: 1, Accepts: down},
		"new threshold of half":    &Governors{Governors: run[memberKind](2), Threshold: 1},
		"fork in the wrong order":  &ForkProof{A: fork.B, B: fork.A},
		"fork of one":              &ForkProof{A: fork.A, B: fork.A},
		"fork of nothing":          &ForkProof{A: fork.A, B: []byte{0x80}},
	} {
		if _, err := NewStatement(mesh(c), c, at, keyNamed("alpha")); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !ValidHandle("a-1") || ValidHandle("") || ValidHandle("us") {
		t.Error("ValidHandle")
	}
}

// TestForkProofs checks what is a fork and what is none.
func TestForkProofs(t *testing.T) {
	h := sampleHeader()
	a := signedHeader(h, "alpha node")
	h.Time++
	for name, b := range map[string]*Header{
		"another feed": signedHeader(func() Header { h := h; h.Salt = Hash{}; return h }(), "alpha node"),
		"another node": signedHeader(h, "bravo node"),
		"another seq":  signedHeader(func() Header { h := h; h.Seq++; return h }(), "alpha node"),
		"another mesh": signedHeader(func() Header { h := h; h.Mesh[0]++; return h }(), "alpha node"),
		"the same":     a,
	} {
		if _, err := NewStatement(a.Mesh, NewForkProof(a, b), at, keyNamed("alpha")); !errors.Is(err, ErrMalformed) || Contradict(a, b) {
			t.Errorf("%s: %v", name, err)
		}
	}
	b := signedHeader(h, "alpha node")
	if _, err := NewStatement(a.Mesh, NewForkProof(b, a), at, keyNamed("alpha")); err != nil {
		t.Errorf("a fork: %v", err)
	}
	if _, err := NewStatement(MeshID{1}, NewForkProof(b, a), at, keyNamed("alpha")); !errors.Is(err, ErrMalformed) {
		t.Errorf("a fork in another mesh: %v", err)
	}
}

func TestHeaderRules(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Header)
		ok     bool
	}{
		"as it is":            {func(h *Header) {}, true},
		"seq 0":               {func(h *Header) { h.Seq = 0 }, false},
		"seq 1 with previous": {func(h *Header) { h.Seq = 1 }, false},
		"seq 2 without":       {func(h *Header) { h.Prev = EntryID{} }, false},
		"largest seq":         {func(h *Header) { h.Seq = 1 << 40 }, true},
		"seq beyond":          {func(h *Header) { h.Seq = 1<<40 + 1 }, false},
		"MaxPayload":          {func(h *Header) { h.Size = MaxPayload }, true},
		"beyond MaxPayload":   {func(h *Header) { h.Size = MaxPayload + 1 }, false},
		"retention 255":       {func(h *Header) { h.Retention = 255 }, true},
		"retention 256":       {func(h *Header) { h.Retention = 256 }, false},
		"sealed without tag":  {func(h *Header) { h.Tag = Tag{} }, false},
		"direct with tag":     {func(h *Header) { h.Kind = EntryDirect }, false},
		"direct without":      {func(h *Header) { h.Kind, h.Tag = EntryDirect, Tag{} }, true},
	} {
		h := sampleHeader()
		c.change(&h)
		if _, err := h.Sign(keyNamed("alpha node")); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	h := signedHeader(sampleHeader(), "alpha node")
	if !h.Fits([]byte("payload")) || h.Fits([]byte("Payload")) || h.Fits(nil) || h.Feed != FeedOf(h.Node, h.Salt) {
		t.Error("Fits, Feed")
	}
}

func TestEpochAndAudienceLimits(t *testing.T) {
	for name, c := range map[string]struct {
		most int
		make func(n int) error
	}{
		"readers": {MaxReaders, func(n int) error {
			e := sampleEpoch()
			e.Readers = run[memberKind](n)
			_, err := e.Sign(keyNamed("alpha node"))
			return err
		}},
		"identity": {MaxIdentity, func(n int) error {
			e := sampleEpoch()
			e.Identity = strings.Repeat("A", n)
			_, err := e.Sign(keyNamed("alpha node"))
			return err
		}},
		"members": {MaxReaders, func(n int) error {
			a := sampleAudience()
			a.Members = run[memberKind](n)
			_, err := a.Sign(keyNamed("alpha node"))
			return err
		}},
		"deputies": {MaxDeputies, func(n int) error {
			a := sampleAudience()
			a.Deputies = run[memberKind](n)
			_, err := a.Sign(keyNamed("alpha node"))
			return err
		}},
		"audience name": {MaxName, func(n int) error {
			a := sampleAudience()
			a.Name = strings.Repeat("a", n)
			_, err := a.Sign(keyNamed("alpha node"))
			return err
		}},
		"states seen": {MaxSeen, func(n int) error {
			a := sampleAudience()
			a.Seen = run[hashKind](n)
			_, err := a.Sign(keyNamed("alpha node"))
			return err
		}},
		"parts of a letter": {MaxParts, func(n int) error {
			parts := make([]any, n)
			for i := range parts {
				parts[i] = Leave{}
			}
			_, err := ParseLetter(NewLetter(parts...))
			return err
		}},
		"leavers": {MaxLeavers, func(n int) error {
			a := sampleAudience()
			for _, m := range run[memberKind](n) {
				a.Left = append(a.Left, Leaver{Member: m})
			}
			_, err := a.Sign(keyNamed("alpha node"))
			return err
		}},
		"runs of an erasure": {MaxErased, func(n int) error {
			runs := make([][2]uint64, n)
			for i := range runs {
				runs[i] = [2]uint64{uint64(2*i + 1), uint64(2*i + 1)}
			}
			_, err := NewErasure(FeedID{}, runs...)
			return err
		}},
		"grant": {MaxGrantEpochs, func(n int) error {
			e := signedEpoch(sampleEpoch())
			list := make([]*Epoch, n)
			for i := range list {
				list[i] = e
			}
			_, err := ParseLetter(NewGrant(list...))
			return err
		}},
	} {
		if err := c.make(c.most); err != nil {
			t.Errorf("%s at %d: %v", name, c.most, err)
		}
		if err := c.make(c.most + 1); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s at %d: %v", name, c.most+1, err)
		}
	}
	e := signedEpoch(sampleEpoch())
	if !e.Reads(MemberID{1}) || e.Reads(MemberID{3}) {
		t.Error("Reads")
	}
	if _, err := ParseLetter(NewGrant()); !errors.Is(err, ErrMalformed) {
		t.Errorf("empty grant: %v", err)
	}
}

func TestTicketLimits(t *testing.T) {
	for name, c := range map[string]struct {
		most   int
		change func(*Ticket, int)
	}{
		"addresses": {MaxAddresses, func(k *Ticket, n int) { k.Addresses = many(n) }},
		"address":   {MaxAddress, func(k *Ticket, n int) { k.Addresses = []string{strings.Repeat("a", n)} }},
		"line":      {MaxLine, func(k *Ticket, n int) { k.Line = make([][]byte, n) }},
		"name":      {MaxName, func(k *Ticket, n int) { k.Name = strings.Repeat("a", n) }},
		"handle":    {MaxHandle, func(k *Ticket, n int) { k.Handle = strings.Repeat("a", n) }},
	} {
		for n, ok := range map[int]bool{c.most: true, c.most + 1: false} {
			ticket := sampleTicket(t)
			c.change(ticket, n)
			for i := range ticket.Line {
				ticket.Line[i] = []byte{0}
			}
			if _, _, err := ParseTicket(ticket.Text()); (err == nil) != ok {
				t.Errorf("%s at %d: %v", name, n, err)
			}
		}
	}
	ticket := sampleTicket(t)
	ticket.Charter = statement(t, &Approval{}).Raw()
	if _, _, err := ParseTicket(ticket.Text()); !errors.Is(err, ErrMalformed) {
		t.Errorf("no charter: %v", err)
	}
	text := sampleTicket(t).Text()
	if _, charter, err := ParseTicket("  " + text[:40] + "\r\n\t" + text[40:] + "\n"); err != nil || charter.ID().IsZero() {
		t.Errorf("broken over lines: %v", err)
	}
	for _, bad := range []string{"", "tipmesh-ticket-2:" + text[17:], text + "=", text[:len(text)-1], text + strings.Repeat("A", 2*MaxTicket), text[:30] + "*" + text[31:]} {
		if _, _, err := ParseTicket(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%.40q: %v", bad, err)
		}
	}
}

// TestDocumentSizes checks that input over a document's limit is refused unread.
func TestDocumentSizes(t *testing.T) {
	for name, c := range map[string]struct {
		most  int
		parse func([]byte) ([]byte, error)
	}{
		"statement": {MaxStatement, parseStatementAgain}, "header": {MaxHeader, parseHeaderAgain},
		"epoch": {MaxEpoch, parseEpochAgain}, "audience": {MaxAudienceState, parseAudienceAgain}, "ticket": {MaxTicket, parseTicketAgain},
	} {
		if _, err := c.parse(bytes.Repeat([]byte{0}, c.most+1)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var v []byte
	if err := Unmarshal([]byte{0x41, 1}, 2, &v); err != nil {
		t.Error(err)
	}
	if err := Unmarshal([]byte{0x41, 1}, 1, &v); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
}

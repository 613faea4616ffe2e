package protocol

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata anew")

// vectors is testdata/vectors.json: see testdata/README.md.
type vectors struct {
	About     string       `json:"about"`
	Keys      []vectorKey  `json:"keys"`
	Documents []vectorDoc  `json:"documents"`
	Invalid   []vectorBad  `json:"invalid"`
	Feeds     []vectorFeed `json:"feeds"`
	Everyone  []vectorPair `json:"everyone"`
	Words     []vectorWord `json:"words"`
	Refs      []vectorRef  `json:"refs"`
}

type vectorKey struct {
	Name   string `json:"name"`
	Seed   string `json:"seed_hex"`
	Public string `json:"public_hex"`
}

type vectorDoc struct {
	Name   string          `json:"name"`
	Kind   string          `json:"kind"`
	Domain string          `json:"domain,omitempty"` // without its zero byte
	Signer string          `json:"signer,omitempty"` // name of a key
	Fields json.RawMessage `json:"fields"`
	Body   string          `json:"body_hex"`
	Signed string          `json:"signed_hex,omitempty"`
	ID     string          `json:"id,omitempty"`
	Text   string          `json:"text,omitempty"`
}

type vectorBad struct {
	Name   string `json:"name"`
	Kind   string `json:"kind"`
	Signed string `json:"signed_hex"`
	Error  string `json:"error"` // malformed, signature or version
}

type vectorFeed struct {
	Node     Key        `json:"node"`
	Salt     Hash       `json:"salt"`
	Feed     FeedID     `json:"feed"`
	Identity string     `json:"epoch_identity"`
	Audience AudienceID `json:"audience"`
	Tag      string     `json:"tag_hex"`
}

type vectorPair struct {
	Mesh     MeshID     `json:"mesh"`
	Audience AudienceID `json:"audience"`
}

type vectorWord struct {
	Mesh    MeshID      `json:"mesh"`
	Inviter MemberID    `json:"inviter"`
	Card    StatementID `json:"card"`
	Ticket  Hash        `json:"ticket"`
	Indexes [6]int      `json:"indexes"`
}

type vectorRef struct {
	ID   string `json:"id"`
	Code string `json:"code"`
	Bits int    `json:"bits"`
	Hex  string `json:"prefix_hex"` // the last byte filled up with zero bits
}

func makeVectors(t *testing.T) *vectors {
	v := &vectors{About: "Test vectors of the tipmesh protocol, version 1. Made by go test ./protocol -run TestVectors -update."}
	for _, name := range []string{"alpha", "bravo", "charlie", "vault", "alpha node", "bravo node", "join host"} {
		v.Keys = append(v.Keys, vectorKey{name, hex.EncodeToString(seedOf(name)), KeyOf(keyNamed(name)).String()})
	}
	for _, s := range samples(t) {
		d := vectorDoc{Name: s.name, Kind: s.kind, Domain: strings.TrimSuffix(string(s.domain), "\x00"), Signer: s.signer,
			Fields: fields(reflect.ValueOf(s.doc)), Body: hex.EncodeToString(s.body), ID: s.id}
		if s.domain != "" {
			d.Signed = hex.EncodeToString(s.raw)
		}
		if ticket, ok := s.doc.(*Ticket); ok {
			d.Text = ticket.Text()
		}
		v.Documents = append(v.Documents, d)
	}
	v.Invalid = badVectors(t)
	for _, salt := range []string{"salt", "salt 2"} {
		node := KeyOf(keyNamed("alpha node"))
		feed := FeedOf(node, hashNamed(salt))
		for _, audience := range []AudienceID{Everyone(sampleMesh()), AudienceID(hashNamed("audience"))} {
			tag := TagFor(sampleIdentity, audience, feed)
			v.Feeds = append(v.Feeds, vectorFeed{node, hashNamed(salt), feed, sampleIdentity, audience, hex.EncodeToString(tag[:])})
		}
	}
	for _, mesh := range []MeshID{sampleMesh(), {1}} {
		v.Everyone = append(v.Everyone, vectorPair{mesh, Everyone(mesh)})
		w := vectorWord{Mesh: mesh, Inviter: MemberID(hashNamed("member")), Card: StatementID(hashNamed("card 1")), Ticket: sampleTicket(t).ID()}
		w.Indexes = WordIndexes(w.Mesh, w.Inviter, w.Card, w.Ticket)
		v.Words = append(v.Words, w)
	}
	for _, n := range []int{RefLen, RefLenObject, 16, 51} {
		const id = "indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f"
		prefix, bits, err := RefPrefix(RefCode(id, n))
		if err != nil {
			t.Fatal(err)
		}
		v.Refs = append(v.Refs, vectorRef{id, RefCode(id, n), bits, hex.EncodeToString(prefix)})
	}
	return v
}

// badVectors are a choice of documents that must be refused.
func badVectors(t *testing.T) []vectorBad {
	var out []vectorBad
	add := func(name string, s sampleDoc, raw []byte) {
		_, err := s.parse(raw)
		if err == nil {
			t.Errorf("invalid vector %s is valid", name)
		}
		out = append(out, vectorBad{name, s.kind, hex.EncodeToString(raw), errorName(err)})
	}
	done := map[string]bool{}
	for _, s := range samples(t) {
		if done[s.kind] {
			continue
		}
		done[s.kind] = true
		wrap := func(body []byte) []byte {
			if s.domain == "" {
				return body
			}
			return seal(s.domain, body, keyNamed(s.signer))
		}
		seen := map[string]bool{}
		for _, b := range badMaps(t, s.body) {
			// One of each sort of damage: the fields it falls on do not matter.
			_, sort, _ := strings.Cut(b.name, ": ")
			if len(b.data) > 2000 && s.kind != "ticket" || seen[sort] && sort != "" || strings.HasPrefix(sort, "explicit") || len(b.data) > 4000 {
				continue
			}
			// With a broken version field either error is right.
			if _, err := s.parse(wrap(b.data)); errors.Is(err, ErrVersion) {
				continue
			}
			seen[sort] = true
			add(s.kind+": "+b.name, s, wrap(b.data))
		}
		list := pairsOf(t, s.body)
		list[0].val = []byte{2}
		add(s.kind+": version 2", s, wrap(mapOf(list)))
		if s.domain == "" {
			continue
		}
		add(s.kind+": trailing byte after the signature", s, append(bytes.Clone(s.raw), 0))
		add(s.kind+": signed by another", s, seal(s.domain, s.body, keyNamed("bravo")))
		add(s.kind+": signed without domain", s, seal("", s.body, keyNamed(s.signer)))
		body, sig, _ := open(s.raw, len(s.raw))
		add(s.kind+": signature with S not below the order", s, Marshal(signed{Body: body, Sig: plusOrder(sig)}))
	}
	return out
}

func errorName(err error) string {
	switch {
	case errors.Is(err, ErrMalformed):
		return "malformed"
	case errors.Is(err, ErrSignature):
		return "signature"
	case errors.Is(err, ErrVersion):
		return "version"
	}
	return fmt.Sprint(err)
}

// fields shows a document for people: {"1 version": 1, ...} in the order of the
// keys, bytes in hexadecimal, absent fields left out.
func fields(v reflect.Value) json.RawMessage {
	switch {
	case v.Kind() == reflect.Pointer:
		return fields(v.Elem())
	case v.Type().ConvertibleTo(reflect.TypeFor[[]byte]()) && v.Kind() == reflect.Slice:
		return quoted(hex.EncodeToString(v.Bytes()))
	case v.Kind() == reflect.Array:
		out := make([]byte, v.Len())
		reflect.Copy(reflect.ValueOf(out), v)
		return quoted(hex.EncodeToString(out))
	case v.Kind() == reflect.Slice:
		var parts []string
		for i := range v.Len() {
			parts = append(parts, string(fields(v.Index(i))))
		}
		return []byte("[" + strings.Join(parts, ", ") + "]")
	case v.Kind() != reflect.Struct:
		data, err := json.Marshal(v.Interface())
		if err != nil {
			panic(err)
		}
		return data
	}
	var parts []string
	for i := range v.NumField() {
		f := v.Type().Field(i)
		num, options, ok := strings.Cut(f.Tag.Get("cbor"), ",")
		if !ok || strings.Contains(options, "omit") && (v.Field(i).IsZero() || v.Field(i).Kind() == reflect.Slice && v.Field(i).Len() == 0) {
			continue
		}
		value := fields(v.Field(i))
		if s, ok := v.Addr().Interface().(*Statement); ok && f.Name == "Content" && s.Doc() != nil {
			value = fields(reflect.ValueOf(s.Doc()))
		}
		parts = append(parts, string(quoted(num+" "+strings.ToLower(f.Name)))+": "+string(value))
	}
	return []byte("{" + strings.Join(parts, ", ") + "}")
}

func quoted(s string) json.RawMessage {
	data, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return data
}

func TestVectors(t *testing.T) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(makeVectors(t)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "vectors.json")
	if *update {
		if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), want) {
		t.Errorf("the wire format changed: %s differs from line %d on. Version 1 is frozen once released; until then run with -update",
			path, firstDifference(out.Bytes(), want))
	}
}

func firstDifference(a, b []byte) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return bytes.Count(a[:n], []byte("\n")) + 1
}

// TestVectorsAsAStranger runs the file the way another implementation would:
// from its bytes alone.
func TestVectorsAsAStranger(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "vectors.json"))
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	parsers := map[string]func([]byte) ([]byte, error){"statement": parseStatementAgain, "header": parseHeaderAgain,
		"epoch": parseEpochAgain, "audience": parseAudienceAgain, "letter": parseLetterAgain, "erasure": parseErasureAgain,
		"ticket": parseTicketAgain}
	for _, d := range v.Documents {
		body, raw := unhex(t, d.Body), unhex(t, d.Body)
		if d.Signed != "" {
			raw = unhex(t, d.Signed)
			if Domain(d.Domain+"\x00").Sum(body).String() != d.ID {
				t.Errorf("%s: another ID", d.Name)
			}
			if !bytes.Equal(seal(Domain(d.Domain+"\x00"), body, keyNamed(d.Signer)), raw) {
				t.Errorf("%s: another signature", d.Name)
			}
		}
		if again, err := parsers[d.Kind](raw); err != nil || !bytes.Equal(again, raw) {
			t.Errorf("%s: %v", d.Name, err)
		}
	}
	for _, d := range v.Invalid {
		if _, err := parsers[d.Kind](unhex(t, d.Signed)); errorName(err) != d.Error {
			t.Errorf("%s: %v, want %s", d.Name, err, d.Error)
		}
	}
	kinds := map[string]bool{}
	for _, d := range v.Documents {
		kinds[d.Kind] = true
	}
	if len(kinds) != 7 || !slices.ContainsFunc(v.Invalid, func(b vectorBad) bool { return b.Error == "version" }) {
		t.Error("vectors are missing")
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	out, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

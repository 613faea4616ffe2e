package protocol

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

func textOfTicket(raw []byte) string {
	return ticketPrefix + base64.RawURLEncoding.EncodeToString(raw)
}

func TestDecodersTakeSamples(t *testing.T) {
	for _, s := range samples(t) {
		again, err := s.parse(s.raw)
		if err != nil || !bytes.Equal(again, s.raw) {
			t.Errorf("%s: %v", s.name, err)
		}
	}
}

// pair is one field of a map: encoded key and value.
type pair struct {
	num      uint64
	key, val []byte
}

func pairsOf(t testing.TB, data []byte) []pair {
	t.Helper()
	var m map[uint64]cbor.RawMessage
	if err := cbor.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	var out []pair
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, pair{k, Marshal(k), m[k]})
	}
	return out
}

func joined(list []pair) []byte {
	var out []byte
	for _, p := range list {
		out = append(append(out, p.key...), p.val...)
	}
	return out
}

func mapOf(list []pair) []byte {
	out := joined(list)
	if len(list) < 24 {
		return append([]byte{0xA0 | byte(len(list))}, out...)
	}
	return append([]byte{0xB8, byte(len(list))}, out...)
}

// bad is one way to break a map. any marks those that may be right by chance.
type bad struct {
	name string
	data []byte
}

// badMaps breaks the map data in every way that must be refused.
func badMaps(t testing.TB, data []byte) []bad {
	list := pairsOf(t, data)
	n := len(list)
	out := []bad{
		{"trailing byte", append(bytes.Clone(data), 0)},
		{"nothing", nil},
		{"cut short", data[:len(data)-1]},
		{"indefinite map", slices.Concat([]byte{0xBF}, joined(list), []byte{0xFF})},
		{"long map head", slices.Concat([]byte{0xB8, byte(n)}, joined(list))},
		{"duplicate key", mapOf(append(slices.Clone(list), list[n-1]))},
		{"self-described", slices.Concat([]byte{0xD9, 0xD9, 0xF7}, data)},
		{"unknown field", mapOf(append(slices.Clone(list), pair{23, []byte{0x17}, []byte{0}}))},
		{"text key", mapOf(append(slices.Clone(list), pair{0, []byte{0x61, 'x'}, []byte{0}}))},
		{"field name as key", mapOf(append(slices.Clone(list), pair{0, []byte{0x67, 'V', 'e', 'r', 's', 'i', 'o', 'n'}, []byte{1}}))},
		{"huge map", []byte{0xBB, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 1}},
		{"null", []byte{0xF6}},
		{"empty map", []byte{0xA0}},
		{"array", slices.Concat([]byte{0x80 | byte(min(n, 23))}, bytes.Repeat([]byte{1}, min(n, 23)))},
	}
	if n > 1 {
		swapped := slices.Clone(list)
		swapped[0], swapped[n-1] = swapped[n-1], swapped[0]
		out = append(out, bad{"unsorted keys", mapOf(swapped)})
	}
	for i, p := range list {
		for _, b := range badValues(p.val) {
			changed := slices.Clone(list)
			changed[i].val = b.data
			out = append(out, bad{fmt.Sprintf("field %d: %s", p.num, b.name), mapOf(changed)})
		}
		long := slices.Clone(list)
		long[i].key = []byte{0x18, byte(p.num)}
		out = append(out, bad{fmt.Sprintf("field %d: long key", p.num), mapOf(long)})
	}
	return append(out, zeroFields(list)...)
}

// badValues are the wrong forms of one value, whatever its type.
func badValues(val []byte) []bad {
	out := []bad{
		{"null", []byte{0xF6}},
		{"undefined", []byte{0xF7}},
		{"tagged", append([]byte{0xC1}, val...)},
		{"float", []byte{0xF9, 0x3C, 0}},
		{"simple value", []byte{0xE0}},
		{"deep", append(bytes.Repeat([]byte{0x81}, 5000), 0)},
		{"huge array", []byte{0x9A, 0xFF, 0xFF, 0xFF, 0xFF}},
		{"huge bytes", []byte{0x5B, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}},
		{"huge text", []byte{0x7A, 0x7F, 0xFF, 0xFF, 0xFF}},
		{"long array that is there", slices.Concat([]byte{0x99, 0xFF, 0xFF}, make([]byte, 65535))},
		{"bignum", []byte{0xC2, 0x49, 1, 0, 0, 0, 0, 0, 0, 0, 0}},
		{"bad UTF-8", []byte{0x62, 0xC3, 0x28}},
	}
	switch major := val[0] >> 5; major {
	case 0, 1:
		if val[0]&31 < 24 {
			out = append(out, bad{"long integer", []byte{val[0]&0xE0 | 24, val[0] & 31}})
		}
		out = append(out, bad{"integer of 65 bits", []byte{0x3B, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}})
	case 2, 3:
		out = append(out, badStrings(val)...)
	case 4, 5:
		out = append(out, bad{"indefinite", slices.Concat([]byte{val[0]&0xE0 | 31}, val[1:], []byte{0xFF})})
	}
	return out
}

func badStrings(val []byte) []bad {
	var s []byte
	text := val[0]>>5 == 3
	if text {
		var str string
		_ = cbor.Unmarshal(val, &str)
		s = []byte(str)
	} else {
		_ = cbor.Unmarshal(val, &s)
	}
	out := []bad{
		{"chunked", slices.Concat([]byte{val[0]&0xE0 | 31}, val, []byte{0xFF})},
		{"long head", slices.Concat([]byte{val[0]&0xE0 | 26}, binary.BigEndian.AppendUint32(nil, uint32(len(s))), s)},
		{"as array of integers", func() []byte {
			ints := make([]int, len(s))
			for i := range s {
				ints[i] = int(s[i])
			}
			return Marshal(ints)
		}()},
	}
	if text {
		return append(out, bad{"as bytes", Marshal(s)})
	}
	out = append(out, bad{"as text", append([]byte{0x78, byte(min(len(s), 255))}, bytes.Repeat([]byte{'a'}, min(len(s), 255))...)})
	if len(s) == 32 || len(s) == 16 {
		out = append(out, bad{"one byte short", Marshal(s[:len(s)-1])}, bad{"one byte long", Marshal(append(bytes.Clone(s), 0))}, bad{"no bytes", []byte{0x40}})
	}
	return out
}

// zeroFields adds each absent field with its zero, which only its absence may say.
func zeroFields(list []pair) []bad {
	var out []bad
	for num := uint64(1); num <= 16; num++ {
		at, found := slices.BinarySearchFunc(list, num, func(p pair, n uint64) int { return int(p.num) - int(n) })
		if found {
			continue
		}
		for name, zero := range map[string][]byte{"0": {0}, "\"\"": {0x60}, "h''": {0x40}, "[]": {0x80}, "{}": {0xA0}, "false": {0xF4},
			"32 zero bytes": append([]byte{0x58, 32}, make([]byte, 32)...), "16 zero bytes": append([]byte{0x50}, make([]byte, 16)...)} {
			out = append(out, bad{fmt.Sprintf("field %d: explicit %s", num, name), mapOf(slices.Insert(slices.Clone(list), at, pair{num, Marshal(num), zero}))})
		}
	}
	return out
}

// refused checks that parse refuses data as malformed, in little memory. Where
// the version is what was broken, ErrVersion will do as well.
func refused(t *testing.T, name string, parse func([]byte) ([]byte, error), data []byte) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := parse(data)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrVersion) {
		t.Errorf("%s: %v", name, err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 {
		t.Errorf("%s: allocated %d bytes", name, used)
	}
}

func TestHostileBodies(t *testing.T) {
	for _, s := range samples(t) {
		t.Run(s.name, func(t *testing.T) {
			for _, b := range badMaps(t, s.body) {
				raw := b.data
				if s.domain != "" {
					raw = seal(s.domain, b.data, keyNamed(s.signer))
				}
				refused(t, b.name, s.parse, raw)
			}
		})
	}
}

// TestHostileContents breaks what is inside the content of statements, well
// signed.
func TestHostileContents(t *testing.T) {
	for _, c := range sampleContents() {
		t.Run(c.name, func(t *testing.T) {
			s := statement(t, c.doc)
			for _, b := range badMaps(t, s.Content) {
				changed := *s
				changed.Content = b.data
				refused(t, b.name, parseStatementAgain, seal(DomainStatement, Marshal(&changed), keyNamed("alpha")))
			}
		})
	}
}

func TestHostileFrames(t *testing.T) {
	for _, s := range samples(t) {
		if s.domain == "" {
			continue
		}
		body, sig, err := open(s.raw, len(s.raw))
		if err != nil {
			t.Fatal(err)
		}
		b, g := Marshal(body), Marshal(sig)
		for name, raw := range map[string][]byte{
			"one element": slices.Concat([]byte{0x81}, b), "three elements": slices.Concat([]byte{0x83}, b, g, []byte{0}),
			"indefinite":  slices.Concat([]byte{0x9F}, b, g, []byte{0xFF}),
			"long head":   slices.Concat([]byte{0x98, 2}, b, g),
			"long head 2": slices.Concat([]byte{0x82, 0x5A, 0, 0}, binary.BigEndian.AppendUint16(nil, uint16(len(body))), body, g),
			"a map":       slices.Concat([]byte{0xA1}, b, g), "tagged": slices.Concat([]byte{0xD9, 0xD9, 0xF7}, s.raw),
			"trailing": append(bytes.Clone(s.raw), 0), "short signature": slices.Concat([]byte{0x82}, b, Marshal(sig[:63])),
			"long signature": slices.Concat([]byte{0x82}, b, Marshal(append(bytes.Clone(sig), 0))),
			"null signature": slices.Concat([]byte{0x82}, b, []byte{0xF6}), "null body": slices.Concat([]byte{0x82, 0xF6}, g),
			"text body": slices.Concat([]byte{0x82, 0x61, 'x'}, g), "swapped": slices.Concat([]byte{0x82}, g, b),
			"array of chunks": slices.Concat([]byte{0x82, 0x5F}, b, []byte{0xFF}, g), "nothing": {}, "null": {0xF6},
			"huge": {0x9B, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}, "huge body": {0x82, 0x5B, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF},
			"deep": append(bytes.Repeat([]byte{0x82}, 500), 0),
		} {
			refused(t, s.name+": "+name, s.parse, raw)
		}
	}
}

func TestSignatures(t *testing.T) {
	all := samples(t)
	for _, s := range all {
		if s.domain == "" {
			continue
		}
		body, sig, err := open(s.raw, len(s.raw))
		if err != nil {
			t.Fatal(err)
		}
		wrong := bytes.Clone(sig)
		wrong[0] ^= 1
		for name, raw := range map[string][]byte{
			"changed signature":  Marshal(signed{Body: body, Sig: wrong}),
			"another's":          seal(s.domain, body, keyNamed("mallory")),
			"signed without tag": seal("", body, keyNamed(s.signer)),
		} {
			if _, err := s.parse(raw); !errors.Is(err, ErrSignature) {
				t.Errorf("%s: %s: %v", s.name, name, err)
			}
		}
		// S + L verifies with sloppy code: RFC 8032 section 5.1.7 refuses it.
		if _, err := s.parse(Marshal(signed{Body: body, Sig: plusOrder(sig)})); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: malleated signature: %v", s.name, err)
		}
	}
}

func plusOrder(sig []byte) []byte {
	order := []byte{0xED, 0xD3, 0xF5, 0x5C, 0x1A, 0x63, 0x12, 0x58, 0xD6, 0x9C, 0xF7, 0xA2, 0xDE, 0xF9, 0xDE, 0x14, 31: 0x10}
	out := bytes.Clone(sig)
	carry := 0
	for i := range 32 {
		carry += int(out[32+i]) + int(order[i])
		out[32+i] = byte(carry)
		carry >>= 8
	}
	return out
}

// TestDomains checks that what was signed as one kind of document is none of
// another, even where the body would pass.
func TestDomains(t *testing.T) {
	domains := []Domain{DomainStatement, DomainHeader, DomainFeed, DomainEpoch, DomainAudience, DomainEveryone, DomainTag, DomainWords, DomainTicket, DomainDigest}
	for i, a := range domains {
		if a[len(a)-1] != 0 || bytes.IndexByte([]byte(a), 0) != len(a)-1 {
			t.Errorf("%q does not end in its only zero", a)
		}
		for _, b := range domains[i+1:] {
			if a == b {
				t.Errorf("%q twice", a)
			}
		}
	}
	all := samples(t)
	for _, s := range all {
		for _, d := range domains {
			if s.domain == "" || d == s.domain {
				continue
			}
			if _, err := s.parse(seal(d, s.body, keyNamed(s.signer))); !errors.Is(err, ErrSignature) {
				t.Errorf("%s signed as %q: %v", s.name, d, err)
			}
		}
		for _, other := range all {
			if other.kind == s.kind {
				continue
			}
			if _, err := other.parse(s.raw); err == nil {
				t.Errorf("%s read as %s", s.name, other.kind)
			}
		}
	}
}

func TestVersions(t *testing.T) {
	for _, s := range samples(t) {
		list := pairsOf(t, s.body)
		list[0].val = []byte{2}
		later := mapOf(append(list, pair{23, []byte{0x17}, []byte{0xF6}}))
		raw := later
		if s.domain != "" {
			raw = seal(s.domain, later, keyNamed(s.signer))
		}
		if _, err := s.parse(raw); !errors.Is(err, ErrVersion) || errors.Is(err, ErrMalformed) {
			t.Errorf("%s of version 2 with a field of its own: %v", s.name, err)
		}
	}
}

func TestUnknownKinds(t *testing.T) {
	s := statement(t, &Approval{})
	s.Kind, s.Content = 99, []byte("not even CBOR")
	raw := seal(DomainStatement, Marshal(s), keyNamed("alpha"))
	got, err := ParseStatement(raw)
	if err != nil || got.Doc() != nil || !bytes.Equal(got.Raw(), raw) || got.Kind.String() != "kind-99" || got.ID().IsZero() {
		t.Errorf("statement of an unknown kind: %v", err)
	}
	h := sampleHeader()
	h.Kind = 99
	if got := signedHeader(h, "alpha node"); got.Kind != 99 {
		t.Error("header of an unknown kind")
	}
	s.Mesh = MeshID{}
	if _, err := ParseStatement(seal(DomainStatement, Marshal(s), keyNamed("alpha"))); !errors.Is(err, ErrMalformed) {
		t.Errorf("no mesh: %v", err)
	}
}

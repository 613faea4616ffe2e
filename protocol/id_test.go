package protocol

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"
)

func TestIDText(t *testing.T) {
	id := MeshID(hashNamed("mesh"))
	if got, err := ParseID[meshKind](id.String()); err != nil || got != id {
		t.Errorf("%v, %v", got, err)
	}
	data, err := json.Marshal(map[string]MeshID{"id": id})
	if err != nil || !strings.Contains(string(data), id.String()) {
		t.Errorf("%s, %v", data, err)
	}
	for _, bad := range []string{"", "00", strings.Repeat("g", 64), id.String() + "0", id.String()[1:]} {
		if _, err := ParseID[meshKind](bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
	if (MeshID{}).IsZero() != true || id.IsZero() || len(id.Short()) != 8 {
		t.Error("IsZero, Short")
	}
}

func TestSorted(t *testing.T) {
	got := Sorted([]Key{{2}, {1}, {2}, {0, 1}})
	if len(got) != 3 || got[0] != (Key{0, 1}) || got[1] != (Key{1}) || got[2] != (Key{2}) {
		t.Errorf("%v", got)
	}
}

// TestRefs checks that every length of code is a prefix that finds its thing.
func TestRefs(t *testing.T) {
	sum := sha256.Sum256([]byte("indicator--x"))
	all := new(big.Int).SetBytes(sum[:])
	for n := RefLen; n <= 51; n++ {
		code := RefCode("indicator--x", n)
		prefix, bits, err := RefPrefix(strings.ToUpper(code))
		if err != nil || bits != 5*n || len(prefix) != (bits+7)/8 {
			t.Fatalf("%s: %d bits in %d bytes, %v", code, bits, len(prefix), err)
		}
		got := new(big.Int).SetBytes(prefix)
		got.Rsh(got, uint(8*len(prefix)-bits))
		if got.Cmp(new(big.Int).Rsh(all, uint(256-bits))) != 0 {
			t.Fatalf("%s: %x is no prefix of %x", code, prefix, sum)
		}
	}
	a, _, _ := RefPrefix("0o1ilxyz")
	b, _, _ := RefPrefix("OO11LXYZ")
	if string(a) != string(b) {
		t.Error("o is not 0, or i and l are not 1")
	}
	for _, bad := range []string{"", "abcd", "abcdu", "abc-e", "abcdé", strings.Repeat("a", 52), "abcd\x00"} {
		if _, _, err := RefPrefix(bad); !errors.Is(err, ErrRef) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestWordIndexes checks the six numbers against arithmetic on a big integer.
func TestWordIndexes(t *testing.T) {
	mesh, inviter, card, ticket := sampleMesh(), MemberID{1}, StatementID{2}, Hash{3}
	sum := DomainWords.Sum(mesh[:], inviter[:], card[:], ticket[:])
	n, words := new(big.Int).SetBytes(sum[:]), big.NewInt(7776)
	seen := map[int]bool{}
	for i, got := range WordIndexes(mesh, inviter, card, ticket) {
		rem := new(big.Int)
		n.DivMod(n, words, rem)
		if int(rem.Int64()) != got || got < 0 || got >= 7776 {
			t.Errorf("word %d is %d, want %d", i, got, rem)
		}
		seen[got] = true
	}
	if len(seen) < 3 {
		t.Error("words repeat")
	}
	if WordIndexes(mesh, inviter, card, ticket) == WordIndexes(mesh, inviter, card, Hash{4}) {
		t.Error("the ticket makes no difference")
	}
}

func TestTags(t *testing.T) {
	a := TagFor(sampleIdentity, AudienceID{7}, FeedID{1})
	if a == TagFor(sampleIdentity, AudienceID{7}, FeedID{2}) || a == TagFor(sampleIdentity+"x", AudienceID{7}, FeedID{1}) ||
		a == TagFor(sampleIdentity, AudienceID{8}, FeedID{1}) || a.IsZero() {
		t.Error("tags do not differ")
	}
	if FeedOf(Key{1}, Hash{2}) == FeedOf(Key{2}, Hash{1}) {
		t.Error("feeds do not differ")
	}
}

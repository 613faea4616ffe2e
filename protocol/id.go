package protocol

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
)

// ID is a 32-byte identifier or public key. The type parameter only keeps the
// kinds apart: a FeedID is no MemberID.
type ID[K any] [32]byte

type (
	meshKind      struct{}
	memberKind    struct{}
	statementKind struct{}
	feedKind      struct{}
	entryKind     struct{}
	audienceKind  struct{}
	epochKind     struct{}
	keyKind       struct{}
	hashKind      struct{}
)

type (
	// MeshID is the StatementID of the mesh's charter.
	MeshID = ID[meshKind]
	// MemberID is the StatementID of the member's first card.
	MemberID = ID[memberKind]
	// StatementID is SHA-256 over domain and body of a statement.
	StatementID = ID[statementKind]
	// FeedID is derived from the writing node and 32 random bytes: see FeedOf.
	FeedID = ID[feedKind]
	// EntryID is SHA-256 over domain and body of a header.
	EntryID = ID[entryKind]
	// AudienceID is the hash of an audience's first state.
	AudienceID = ID[audienceKind]
	// EpochID is SHA-256 over domain and body of an epoch.
	EpochID = ID[epochKind]
	// Key is an Ed25519 public key: a member's or a node's.
	Key = ID[keyKind]
	// Hash is any other SHA-256 value.
	Hash = ID[hashKind]
)

// IsZero reports whether every byte is zero, which no real identifier is.
func (id ID[K]) IsZero() bool { return id == ID[K]{} }

// String is the identifier in lower-case hexadecimal, its only text form.
func (id ID[K]) String() string { return hex.EncodeToString(id[:]) }

// Short is the first eight hexadecimal digits, for logs.
func (id ID[K]) Short() string { return hex.EncodeToString(id[:4]) }

// Compare orders identifiers by their bytes: -1, 0 or 1.
func (id ID[K]) Compare(other ID[K]) int {
	for i := range id {
		switch {
		case id[i] < other[i]:
			return -1
		case id[i] > other[i]:
			return 1
		}
	}
	return 0
}

// MarshalText gives String.
func (id ID[K]) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads 64 hexadecimal digits.
func (id *ID[K]) UnmarshalText(text []byte) error {
	if len(text) != 64 {
		return fmt.Errorf("parse identifier: %d characters, want 64", len(text))
	}
	if _, err := hex.Decode(id[:], text); err != nil {
		return fmt.Errorf("parse identifier: %w", err)
	}
	return nil
}

// ParseID reads an identifier from its text form.
func ParseID[K any](text string) (ID[K], error) {
	var id ID[K]
	return id, id.UnmarshalText([]byte(text))
}

// HashOf is SHA-256 of the concatenated parts.
func HashOf(parts ...[]byte) Hash {
	h := sha256.New()
	for _, p := range parts {
		h.Write(p)
	}
	return Hash(h.Sum(nil))
}

// crockford is Crockford's base32 alphabet in lower case: no i, l, o, u.
var crockford = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// ErrRef is returned for text that is no short name.
var ErrRef = errors.New("not a short name")

// Lengths of short names in characters of five bits.
const (
	RefLen       = 5 // meshes, members, shares, proposals, reports
	RefLenObject = 8 // single STIX objects
)

// RefCode is the short code of a thing with the given full ID: the first n
// characters of SHA-256(id) in Crockford base32.
func RefCode(id string, n int) string {
	sum := sha256.Sum256([]byte(id))
	return crockford.EncodeToString(sum[:])[:n]
}

// RefPrefix gives the bytes and the number of bits that a short code stands
// for: the start of SHA-256(full ID). Letters may be in either case.
func RefPrefix(code string) (prefix []byte, bits int, err error) {
	// 51 characters are 255 bits: one more would reach past the hash.
	if len(code) < RefLen || len(code) > 51 {
		return nil, 0, ErrRef
	}
	var acc uint32
	var have int
	for i := 0; i < len(code); i++ {
		v, ok := crockfordValue(code[i])
		if !ok {
			return nil, 0, ErrRef
		}
		acc = acc<<5 | uint32(v)
		have += 5
		if have >= 8 {
			have -= 8
			prefix = append(prefix, byte(acc>>have))
		}
	}
	if have > 0 {
		prefix = append(prefix, byte(acc<<(8-have)))
	}
	return prefix, len(code) * 5, nil
}

// crockfordValue reads one character, taking o for 0 and i, l for 1 as
// Crockford asks.
func crockfordValue(c byte) (byte, bool) {
	if c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	switch c {
	case 'o':
		return 0, true
	case 'i', 'l':
		return 1, true
	}
	const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
	for i := 0; i < len(alphabet); i++ {
		if alphabet[i] == c {
			return byte(i), true
		}
	}
	return 0, false
}

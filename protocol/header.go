package protocol

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
)

// EntryKind says what the payload of an entry is. Entries of unknown kinds are
// stored and relayed, and counted, but not read.
type EntryKind uint64

// The kinds of entries.
const (
	EntrySealed EntryKind = 1 // a STIX bundle sealed to an epoch
	EntryDirect EntryKind = 2 // a grant or another direct message sealed to members
	EntryErase  EntryKind = 3 // names entries of the same feed whose payloads go
	EntryClose  EntryKind = 4 // the last entry of a feed
)

// Tag tells readers which epoch a sealed entry needs, and outsiders nothing.
type Tag [16]byte

// IsZero reports whether there is no tag.
func (t Tag) IsZero() bool { return t == Tag{} }

// TagFor is HMAC-SHA-256(key: the epoch's identity, domain || audience || feed),
// cut to 16 bytes. So an entry is for the audience that its writer meant, whatever
// other audience somebody tells the identity for.
func TagFor(identity string, audience AudienceID, feed FeedID) Tag {
	mac := hmac.New(sha256.New, []byte(identity))
	mac.Write([]byte(DomainTag))
	mac.Write(audience[:])
	mac.Write(feed[:])
	return Tag(mac.Sum(nil)[:16])
}

// Header is the signed part of an entry. The payload stands beside it and can
// be erased without breaking the chain.
type Header struct {
	Version   uint64    `cbor:"1,keyasint"`
	Mesh      MeshID    `cbor:"2,keyasint"`
	Node      Key       `cbor:"3,keyasint"`          // the writer and signer
	Salt      Hash      `cbor:"4,keyasint"`          // 32 random bytes, the same in all entries of the feed
	Seq       uint64    `cbor:"5,keyasint"`          // from 1, without gaps
	Prev      EntryID   `cbor:"6,keyasint,omitzero"` // zero at seq 1
	Time      int64     `cbor:"7,keyasint"`          // milliseconds since 1970 by the writer's clock
	Roster    Hash      `cbor:"8,keyasint"`          // digest of the roster the writer saw
	Kind      EntryKind `cbor:"9,keyasint"`
	Tag       Tag       `cbor:"10,keyasint,omitzero"` // for sealed entries
	Payload   Hash      `cbor:"11,keyasint"`          // SHA-256 of the payload as carried
	Size      uint64    `cbor:"12,keyasint"`          // its length in bytes
	Retention uint64    `cbor:"13,keyasint,omitempty"`

	// Feed is FeedOf(Node, Salt). It does not travel and is set by Sign and
	// ParseHeader.
	Feed FeedID `cbor:"-"`

	id  EntryID
	raw []byte
}

// FeedOf is SHA-256(domain || node || salt): no other node can write an entry
// that claims to belong to the feed.
func FeedOf(node Key, salt Hash) FeedID { return FeedID(DomainFeed.Sum(node[:], salt[:])) }

// ID is SHA-256 over domain and body.
func (h *Header) ID() EntryID { return h.id }

// Raw is the signed header as it travels. The caller must not change it.
func (h *Header) Raw() []byte { return h.raw }

// Sign completes a header: it sets the version and the node from the key and
// gives the header as a reader would parse it.
func (h Header) Sign(key ed25519.PrivateKey) (*Header, error) {
	h.Version, h.Node = Version, KeyOf(key)
	return ParseHeader(seal(DomainHeader, Marshal(&h), key))
}

// ParseHeader decodes and verifies a signed header. Errors wrap ErrMalformed,
// ErrSignature or ErrVersion.
func ParseHeader(raw []byte) (*Header, error) { return parseHeader(raw, true) }

// ReadHeader decodes a header without verifying its signature: for headers that
// ParseHeader accepted before they were stored.
func ReadHeader(raw []byte) (*Header, error) { return parseHeader(raw, false) }

func parseHeader(raw []byte, verified bool) (*Header, error) {
	body, sig, err := open(raw, MaxHeader)
	if err != nil {
		return nil, fmt.Errorf("read header: %w", err)
	}
	if v, err := versionOf(body); err != nil {
		return nil, fmt.Errorf("read header: %w", err)
	} else if v != Version {
		return nil, fmt.Errorf("read header: %w %d", ErrVersion, v)
	}
	h := new(Header)
	if err := Unmarshal(body, MaxHeader, h); err != nil {
		return nil, fmt.Errorf("read header: %w", err)
	}
	if err := h.validate(); err != nil {
		return nil, fmt.Errorf("read header: %w", err)
	}
	if verified {
		if err := verify(DomainHeader, h.Node, body, sig); err != nil {
			return nil, fmt.Errorf("read header: %w", err)
		}
	}
	h.Feed = FeedOf(h.Node, h.Salt)
	h.id = EntryID(DomainHeader.Sum(body))
	h.raw = raw
	return h, nil
}

func (h *Header) validate() error {
	return firstError(
		between("sequence number", h.Seq, 1, MaxSeq),
		between("payload size", h.Size, 0, MaxPayload),
		between("retention class", h.Retention, 0, MaxRetention),
		h.chained(), h.tagged(),
	)
}

func (h *Header) chained() error {
	if (h.Seq == 1) != h.Prev.IsZero() {
		return fmt.Errorf("%w: entry %d with previous %s", ErrMalformed, h.Seq, h.Prev.Short())
	}
	return nil
}

func (h *Header) tagged() error {
	if (h.Kind == EntrySealed && h.Tag.IsZero()) || (h.Kind == EntryDirect && !h.Tag.IsZero()) {
		return fmt.Errorf("%w: entry kind %d and its tag do not fit", ErrMalformed, h.Kind)
	}
	return nil
}

// Fits reports whether payload is the one the header names.
func (h *Header) Fits(payload []byte) bool {
	return uint64(len(payload)) == h.Size && HashOf(payload) == h.Payload
}

// Contradict reports whether two verified headers prove a fork: one node, one
// feed, one sequence number, two entries.
func Contradict(a, b *Header) bool {
	return a.Mesh == b.Mesh && a.Node == b.Node && a.Feed == b.Feed && a.Seq == b.Seq && a.id != b.id
}

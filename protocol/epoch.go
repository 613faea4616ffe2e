package protocol

import (
	"crypto/ed25519"
	"fmt"
	"slices"
)

// Everyone is the audience of all members of a mesh; its state is the roster.
func Everyone(mesh MeshID) AudienceID { return AudienceID(DomainEveryone.Sum(mesh[:])) }

// Epoch is one key period of an audience. It holds the secret identity, so it
// travels inside grants only.
type Epoch struct {
	Version    uint64     `cbor:"1,keyasint"`
	Mesh       MeshID     `cbor:"2,keyasint"`
	Audience   AudienceID `cbor:"3,keyasint"`
	Maker      MemberID   `cbor:"4,keyasint"`
	Node       Key        `cbor:"5,keyasint"`           // the maker's node, the signer
	State      Hash       `cbor:"6,keyasint"`           // audience state or roster digest the maker saw
	Departures []Hash     `cbor:"7,keyasint"`           // everything that had taken a reader away, as the maker saw it; ascending: see trust.Roster
	Readers    []MemberID `cbor:"8,keyasint"`           // ascending
	Narrow     bool       `cbor:"9,keyasint,omitempty"` // made for fewer than the audience, by the maker's trust list: never adopted or handed on by others
	Identity   string     `cbor:"10,keyasint"`          // age identity, AGE-SECRET-KEY-PQ-1...
	Time       int64      `cbor:"11,keyasint"`

	id  EpochID
	raw []byte
}

// ID is SHA-256 over domain and body; since the body holds a secret it reveals
// nothing.
func (e *Epoch) ID() EpochID { return e.id }

// Raw is the signed epoch. It is secret.
func (e *Epoch) Raw() []byte { return e.raw }

// Reads reports whether the member is among the readers the maker named.
func (e *Epoch) Reads(member MemberID) bool {
	_, ok := slices.BinarySearchFunc(e.Readers, member, func(a, b MemberID) int { return a.Compare(b) })
	return ok
}

// Sign completes an epoch and gives it as a reader would parse it.
func (e Epoch) Sign(key ed25519.PrivateKey) (*Epoch, error) {
	e.Version, e.Node = Version, KeyOf(key)
	return ParseEpoch(seal(DomainEpoch, Marshal(&e), key))
}

// ParseEpoch decodes and verifies a signed epoch. Errors wrap ErrMalformed,
// ErrSignature or ErrVersion.
func ParseEpoch(raw []byte) (*Epoch, error) {
	body, sig, err := open(raw, MaxEpoch)
	if err != nil {
		return nil, fmt.Errorf("read epoch: %w", err)
	}
	if v, err := versionOf(body); err != nil {
		return nil, fmt.Errorf("read epoch: %w", err)
	} else if v != Version {
		return nil, fmt.Errorf("read epoch: %w %d", ErrVersion, v)
	}
	e := new(Epoch)
	if err := Unmarshal(body, MaxEpoch, e); err != nil {
		return nil, fmt.Errorf("read epoch: %w", err)
	}
	if err := firstError(ascending("readers", e.Readers, 1, MaxReaders), line("identity", e.Identity, 1, MaxIdentity)); err != nil {
		return nil, fmt.Errorf("read epoch: %w", err)
	}
	if err := verify(DomainEpoch, e.Node, body, sig); err != nil {
		return nil, fmt.Errorf("read epoch: %w", err)
	}
	e.id = EpochID(DomainEpoch.Sum(body))
	e.raw = raw
	return e, nil
}

// AudienceState is one version of a sharing group's or a case's list, signed by
// its owner or a deputy.
type AudienceState struct {
	Version  uint64     `cbor:"1,keyasint"`
	Mesh     MeshID     `cbor:"2,keyasint"`
	Audience AudienceID `cbor:"3,keyasint,omitzero"` // zero in the first state, whose hash it is
	Number   uint64     `cbor:"4,keyasint"`          // 1 for the first
	Prev     Hash       `cbor:"5,keyasint,omitzero"` // zero in the first
	Signer   Key        `cbor:"6,keyasint"`          // a node of the owner or of a deputy
	Owner    MemberID   `cbor:"7,keyasint"`
	Name     string     `cbor:"8,keyasint,omitempty"`  // a label
	Deputies []MemberID `cbor:"9,keyasint,omitempty"`  // in the order they take over
	Members  []MemberID `cbor:"10,keyasint"`           // ascending
	History  uint64     `cbor:"11,keyasint,omitempty"` // seconds of history a newcomer gets
	Terms    Hash       `cbor:"12,keyasint,omitzero"`
	Ended    bool       `cbor:"13,keyasint,omitempty"`
	Left     []Leaver   `cbor:"14,keyasint,omitempty"` // everybody who ever left, ascending; one taken in again is not among them
	Seen     []Hash     `cbor:"15,keyasint,omitempty"` // rival states that the signer knew and set aside, ascending
	Time     int64      `cbor:"16,keyasint,omitempty"` // milliseconds since 1970

	id  Hash
	raw []byte
}

// Leaver is a member that is no longer in an audience. What it wrote for it
// counts as far as Cuts say; a feed not named ends at 0.
type Leaver struct {
	Member MemberID  `cbor:"1,keyasint"`
	Cuts   []FeedCut `cbor:"2,keyasint,omitempty"`
}

// ID is SHA-256 over domain and body.
func (a *AudienceState) ID() Hash { return a.id }

// Raw is the signed state.
func (a *AudienceState) Raw() []byte { return a.raw }

// Sign completes a state and gives it as a reader would parse it.
func (a AudienceState) Sign(key ed25519.PrivateKey) (*AudienceState, error) {
	a.Version, a.Signer = Version, KeyOf(key)
	return ParseAudienceState(seal(DomainAudience, Marshal(&a), key))
}

// ParseAudienceState decodes and verifies a signed audience state. Errors wrap
// ErrMalformed, ErrSignature or ErrVersion.
func ParseAudienceState(raw []byte) (*AudienceState, error) {
	body, sig, err := open(raw, MaxAudienceState)
	if err != nil {
		return nil, fmt.Errorf("read audience: %w", err)
	}
	if v, err := versionOf(body); err != nil {
		return nil, fmt.Errorf("read audience: %w", err)
	} else if v != Version {
		return nil, fmt.Errorf("read audience: %w %d", ErrVersion, v)
	}
	a := new(AudienceState)
	if err := Unmarshal(body, MaxAudienceState, a); err != nil {
		return nil, fmt.Errorf("read audience: %w", err)
	}
	first := a.Number == 1
	if a.Number == 0 || first != a.Audience.IsZero() || first != a.Prev.IsZero() {
		return nil, fmt.Errorf("read audience: %w: number %d with the names of another", ErrMalformed, a.Number)
	}
	err = firstError(
		line("name", a.Name, 0, MaxName), ascending("members", a.Members, 0, MaxReaders),
		between("deputies", uint64(len(a.Deputies)), 0, MaxDeputies),
		ascendingBy("leavers", a.Left, 0, MaxLeavers, func(x, y Leaver) int { return x.Member.Compare(y.Member) }),
		ascending("states seen", a.Seen, 0, MaxSeen),
	)
	for _, l := range a.Left {
		err = firstError(err, cuts(l.Cuts))
	}
	if err != nil {
		return nil, fmt.Errorf("read audience: %w", err)
	}
	if err := verify(DomainAudience, a.Signer, body, sig); err != nil {
		return nil, fmt.Errorf("read audience: %w", err)
	}
	a.id = DomainAudience.Sum(body)
	a.raw = raw
	return a, nil
}

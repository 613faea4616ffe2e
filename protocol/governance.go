package protocol

import (
	"crypto/ed25519"
	"fmt"
)

// HouseRules replaces the house rules of the charter, or of the change before
// it, once k governors approve it.
type HouseRules struct {
	Prev  StatementID `cbor:"1,keyasint"` // charter or change of the rules before it
	Line  StatementID `cbor:"2,keyasint"`
	Rules Rules       `cbor:"3,keyasint"`
	Why   string      `cbor:"4,keyasint,omitempty"`
}

// Suspension keeps a member out for a time, from the statement's own time on. Any
// one governor may sign it; k lift it with a dismissal.
type Suspension struct {
	Member  MemberID    `cbor:"1,keyasint"`
	Line    StatementID `cbor:"2,keyasint"`
	Seconds uint64      `cbor:"3,keyasint"` // at most MaxSuspension
	Why     string      `cbor:"4,keyasint,omitempty"`
}

// Dismissal lifts a suspension, or drops a removal that a change of governors
// left unnamed, once k governors approve it.
type Dismissal struct {
	Subject StatementID `cbor:"1,keyasint"`
	Line    StatementID `cbor:"2,keyasint"`
	Why     string      `cbor:"3,keyasint,omitempty"`
}

// Mark says which roster a governor's node sees. It is signed by the node key.
type Mark struct {
	Member MemberID `cbor:"1,keyasint"` // the governor
	Roster Hash     `cbor:"2,keyasint"` // digest of the roster
}

// Kind of the content.
func (*HouseRules) Kind() Kind { return KindRules }
func (*Suspension) Kind() Kind { return KindSuspension }
func (*Dismissal) Kind() Kind  { return KindDismissal }
func (*Mark) Kind() Kind       { return KindMark }

func (h *HouseRules) validate() error {
	return firstError(h.Rules.validate(), text("reason", h.Why, 0, MaxText))
}

func (s *Suspension) validate() error {
	return firstError(between("seconds", s.Seconds, 1, MaxSuspension), text("reason", s.Why, 0, MaxText))
}

func (d *Dismissal) validate() error { return text("reason", d.Why, 0, MaxText) }

func (m *Mark) validate() error { return nil }

func (r Rules) validate() error {
	l := r.Lifetimes
	return firstError(
		text("house rules", r.Text, 0, MaxRules),
		line("TLP", r.TLP, 0, MaxLabel), line("PAP", r.PAP, 0, MaxLabel),
		between("context rule", r.Context, 0, 1),
		between("seconds", max(r.AnswerSeconds, r.ErasureSeconds, r.CutOffSeconds,
			r.FreshSeconds, r.SettleSeconds, r.EpochWaitMillis/1000, l.AddressSeconds, l.URLSeconds,
			l.DomainSeconds, l.MailSeconds, l.CertificateSeconds, l.HashSeconds), 0, 3650*day),
	)
}

// Unsigned is a statement that is still to be signed, as it goes to where the
// key is: the body alone.
type Unsigned []byte

// PrepareStatement gives what the signer of that key has to sign. It fails on
// content that breaks a limit.
func PrepareStatement(mesh MeshID, content Content, at int64, signer Key) (Unsigned, error) {
	if err := content.validate(); err != nil {
		return nil, fmt.Errorf("make %s: %w", content.Kind(), err)
	}
	return Marshal(&Statement{
		Version: Version, Kind: content.Kind(), Mesh: mesh, Signer: signer, Time: at, Content: Marshal(content),
	}), nil
}

// Read gives the statement as it will be, without a signature: to show before it
// is signed. Errors wrap ErrMalformed or ErrVersion.
func (u Unsigned) Read() (*Statement, error) {
	s, err := parseBody(u)
	if err == nil {
		err = s.readContent()
	}
	if err != nil {
		return nil, fmt.Errorf("read statement: %w", err)
	}
	return s, nil
}

// Sign signs the statement with the key that it names. Errors wrap ErrMalformed,
// ErrVersion, or ErrSignature where the key is another.
func (u Unsigned) Sign(key ed25519.PrivateKey) (*Statement, error) {
	s, err := u.Read()
	if err != nil {
		return nil, err
	}
	if s.Signer != KeyOf(key) {
		return nil, fmt.Errorf("sign %s: %w: it is for the key %s, this one is %s", s.Kind, ErrSignature, s.Signer.Short(), KeyOf(key).Short())
	}
	return ParseStatement(seal(DomainStatement, u, key))
}

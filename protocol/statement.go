package protocol

import (
	"crypto/ed25519"
	"fmt"
)

// Kind says what a statement states. Unknown kinds are stored and relayed, and
// counted, but not read.
type Kind uint64

// The kinds of statements.
const (
	KindCharter    Kind = 1
	KindCard       Kind = 2
	KindAdmission  Kind = 3
	KindRemoval    Kind = 4
	KindCut        Kind = 5
	KindApproval   Kind = 6
	KindGovernors  Kind = 7
	KindForkProof  Kind = 8
	KindRules      Kind = 9
	KindSuspension Kind = 10
	KindDismissal  Kind = 11
	KindMark       Kind = 12
)

var kindNames = map[Kind]string{
	KindCharter: "charter", KindCard: "card", KindAdmission: "admission", KindRemoval: "removal",
	KindCut: "cut", KindApproval: "approval", KindGovernors: "governors", KindForkProof: "fork-proof",
	KindRules: "rules", KindSuspension: "suspension", KindDismissal: "dismissal", KindMark: "mark",
}

// String is the kind's word, or kind-N for an unknown one.
func (k Kind) String() string {
	if name, ok := kindNames[k]; ok {
		return name
	}
	return fmt.Sprintf("kind-%d", uint64(k))
}

// Statement is a self-certifying signed document that every node holds.
type Statement struct {
	Version uint64 `cbor:"1,keyasint"`
	Kind    Kind   `cbor:"2,keyasint"`
	Mesh    MeshID `cbor:"3,keyasint,omitzero"` // zero in a charter only, which makes the mesh
	Signer  Key    `cbor:"4,keyasint"`
	Time    int64  `cbor:"5,keyasint"` // milliseconds since 1970 by the signer's clock; never decides anything alone
	Content []byte `cbor:"6,keyasint"` // canonical CBOR of the kind's own struct

	id  StatementID
	raw []byte
	doc Content
}

// Content is what a statement of one kind says.
type Content interface {
	Kind() Kind
	validate() error
}

// ID is the statement's identifier.
func (s *Statement) ID() StatementID { return s.id }

// Raw is the statement as it travels. The caller must not change it.
func (s *Statement) Raw() []byte { return s.raw }

// Doc is the decoded content: a *Charter, *Card and so on, or nil where the kind
// is unknown.
func (s *Statement) Doc() Content { return s.doc }

// NewStatement signs content. mesh is zero for a charter only; at is in
// milliseconds since 1970. It fails on content that breaks a limit.
func NewStatement(mesh MeshID, content Content, at int64, key ed25519.PrivateKey) (*Statement, error) {
	body, err := PrepareStatement(mesh, content, at, KeyOf(key))
	if err != nil {
		return nil, err
	}
	return ParseStatement(seal(DomainStatement, body, key))
}

// ParseStatement decodes and verifies a statement. The signature proves that
// the named signer said it, not that the signer may: that is protocol/trust's to
// decide. Errors wrap ErrMalformed, ErrSignature or ErrVersion.
func ParseStatement(raw []byte) (*Statement, error) {
	body, sig, err := open(raw, MaxStatement)
	if err != nil {
		return nil, fmt.Errorf("read statement: %w", err)
	}
	s, err := parseBody(body)
	if err == nil {
		err = verify(DomainStatement, s.Signer, body, sig)
	}
	if err == nil {
		err = s.readContent()
	}
	if err != nil {
		return nil, fmt.Errorf("read statement: %w", err)
	}
	s.raw = raw
	return s, nil
}

// parseBody decodes a statement's body but for its content.
func parseBody(body []byte) (*Statement, error) {
	if v, err := versionOf(body); err != nil {
		return nil, err
	} else if v != Version {
		return nil, fmt.Errorf("%w %d", ErrVersion, v)
	}
	s := new(Statement)
	if err := Unmarshal(body, MaxStatement, s); err != nil {
		return nil, err
	}
	if (s.Kind == KindCharter) != s.Mesh.IsZero() {
		return nil, fmt.Errorf("%w: %s with mesh %s", ErrMalformed, s.Kind, s.Mesh.Short())
	}
	s.id = StatementID(DomainStatement.Sum(body))
	return s, nil
}

// readContent decodes the content.
func (s *Statement) readContent() (err error) {
	if s.doc, err = parseContent(s.Kind, s.Content); err != nil {
		return fmt.Errorf("%s: %w", s.Kind, err)
	}
	// A fork in one mesh says nothing in another that the node's key is in too.
	if f, ok := s.doc.(*ForkProof); ok && !f.of(s.Mesh) {
		return fmt.Errorf("%s: %w: the headers are of another mesh", s.Kind, ErrMalformed)
	}
	return nil
}

// versionOf reads field 1 of a body without decoding the rest, so that later
// versions may change anything else.
func versionOf(body []byte) (uint64, error) {
	var v struct {
		Version uint64 `cbor:"1,keyasint"`
	}
	if err := looseMode.Unmarshal(body, &v); err != nil {
		return 0, fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	return v.Version, nil
}

// parseContent decodes the content of a known kind; of an unknown kind it gives
// nil and no error.
func parseContent(kind Kind, data []byte) (Content, error) {
	var doc Content
	switch kind {
	case KindCharter:
		doc = new(Charter)
	case KindCard:
		doc = new(Card)
	case KindAdmission:
		doc = new(Admission)
	case KindRemoval:
		doc = new(Removal)
	case KindCut:
		doc = new(Cut)
	case KindApproval:
		doc = new(Approval)
	case KindGovernors:
		doc = new(Governors)
	case KindForkProof:
		doc = new(ForkProof)
	case KindRules:
		doc = new(HouseRules)
	case KindSuspension:
		doc = new(Suspension)
	case KindDismissal:
		doc = new(Dismissal)
	case KindMark:
		doc = new(Mark)
	default:
		return nil, nil
	}
	if err := Unmarshal(data, MaxStatement, doc); err != nil {
		return nil, err
	}
	return doc, doc.validate()
}

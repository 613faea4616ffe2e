package protocol

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Charter is a mesh's genesis document. The mesh's identifier is its hash.
type Charter struct {
	Name      string   `cbor:"1,keyasint"`
	Governors []Key    `cbor:"2,keyasint"` // member keys, ascending; the members they belong to need no admission
	Threshold uint64   `cbor:"3,keyasint"` // how many governors must approve
	Rules     Rules    `cbor:"4,keyasint"`
	Recovery  []Key    `cbor:"5,keyasint,omitempty"` // offline keys, ascending
	Nonce     [16]byte `cbor:"6,keyasint"`           // so that one founder can make two meshes of one name
}

// Rules are the house rules. Times are in seconds; zero means the default of
// the method of the same name.
type Rules struct {
	TLP             string `cbor:"1,keyasint,omitempty"` // TLP of a share that names none
	PAP             string `cbor:"2,keyasint,omitempty"`
	Context         uint64 `cbor:"3,keyasint,omitempty"` // 0: missing context warns, 1: it refuses
	AnswerSeconds   uint64 `cbor:"4,keyasint,omitempty"` // longest time to answer an invitation
	ErasureSeconds  uint64 `cbor:"5,keyasint,omitempty"` // grace before an erasure takes effect
	CutOffSeconds   uint64 `cbor:"6,keyasint,omitempty"` // silence after which an operation holds
	FreshSeconds    uint64 `cbor:"7,keyasint,omitempty"` // how long a governor's mark proves a roster fresh
	SettleSeconds   uint64 `cbor:"8,keyasint,omitempty"` // how long a change of governors may be rivalled
	Text            string `cbor:"9,keyasint,omitempty"`
	EpochWaitMillis uint64 `cbor:"10,keyasint,omitempty"` // how long others wait for the one who completed a roster change to rotate keys
	// Lifetimes is how long what is said of a value holds.
	Lifetimes Lifetimes `cbor:"11,keyasint,omitzero"`
}

// Lifetimes is how long what is said of a type of value holds where its author
// gives no sooner end. Times are in seconds; zero means the default of the method.
type Lifetimes struct {
	AddressSeconds     uint64 `cbor:"1,keyasint,omitempty"`
	URLSeconds         uint64 `cbor:"2,keyasint,omitempty"`
	DomainSeconds      uint64 `cbor:"3,keyasint,omitempty"`
	MailSeconds        uint64 `cbor:"4,keyasint,omitempty"`
	CertificateSeconds uint64 `cbor:"5,keyasint,omitempty"`
	HashSeconds        uint64 `cbor:"6,keyasint,omitempty"`
}

const day = 86400 // seconds

// Address is the lifetime of addresses and networks, in seconds; default 30 days.
func (l Lifetimes) Address() int64 { return int64(orDefault(l.AddressSeconds, 30*day)) }

// URL is that of URLs; default 30 days.
func (l Lifetimes) URL() int64 { return int64(orDefault(l.URLSeconds, 30*day)) }

// Domain is that of domain names; default 90 days.
func (l Lifetimes) Domain() int64 { return int64(orDefault(l.DomainSeconds, 90*day)) }

// Mail is that of mail addresses; default 90 days.
func (l Lifetimes) Mail() int64 { return int64(orDefault(l.MailSeconds, 90*day)) }

// Certificate is that of certificates; default 1 year.
func (l Lifetimes) Certificate() int64 { return int64(orDefault(l.CertificateSeconds, 365*day)) }

// Hash is that of hashes of files; default 5 years.
func (l Lifetimes) Hash() int64 { return int64(orDefault(l.HashSeconds, 5*365*day)) }

// EpochWait is how long, in milliseconds, a writer leaves the making of a new
// epoch to the member that completed the change; default 10 s.
func (r Rules) EpochWait() int64 { return int64(orDefault(r.EpochWaitMillis, 10_000)) }

// Erasure is the grace before an erasure takes effect, in seconds; default 24 h.
func (r Rules) Erasure() int64 { return int64(orDefault(r.ErasureSeconds, 24*3600)) }

// Fresh is how long a mark proves a roster fresh, in seconds; default 72 h.
func (r Rules) Fresh() int64 { return int64(orDefault(r.FreshSeconds, 72*3600)) }

// Settle is how long a change of governors is held before it is final here, in
// seconds; default 72 h.
func (r Rules) Settle() int64 { return int64(orDefault(r.SettleSeconds, 72*3600)) }

func orDefault(v, def uint64) uint64 {
	if v == 0 {
		return def
	}
	return v
}

// Card is a member's statement about itself, signed by its member key. Cards
// chain: each names the one before it, and their versions rise by one.
type Card struct {
	Version   uint64        `cbor:"1,keyasint"`           // 1 for the first
	Member    MemberID      `cbor:"2,keyasint,omitzero"`  // zero in the first card, whose ID it is
	Prev      StatementID   `cbor:"3,keyasint,omitzero"`  // zero in the first card
	Handle    string        `cbor:"4,keyasint"`           // short lower-case name for commands
	Name      string        `cbor:"5,keyasint"`           // the organisation
	Contact   string        `cbor:"6,keyasint"`           // a mail address or telephone number
	Duty      string        `cbor:"7,keyasint,omitempty"` // duty desk and its hours
	Sectors   []string      `cbor:"8,keyasint,omitempty"`
	Regions   []string      `cbor:"9,keyasint,omitempty"`
	Identity  string        `cbor:"10,keyasint"` // STIX identifier, identity--UUID
	Nodes     []CardNode    `cbor:"11,keyasint"` // ascending by key
	Recipient string        `cbor:"12,keyasint"` // age recipient that epochs are sealed to
	Consent   *Consent      `cbor:"13,keyasint,omitempty"`
	NextKey   Hash          `cbor:"14,keyasint,omitzero"` // SHA-256 of the member key to come
	Retired   []RetiredNode `cbor:"15,keyasint,omitempty"`
	WorkingOn []string      `cbor:"16,keyasint,omitempty"`
}

// CardNode is one node of a member.
type CardNode struct {
	Key       Key    `cbor:"1,keyasint"`
	Recipient string `cbor:"2,keyasint,omitempty"` // age recipient of the node alone, for the member's private audience
}

// Consent is a standing consent to early shares.
type Consent struct {
	TLP     string `cbor:"1,keyasint"` // highest TLP it covers
	Seconds uint64 `cbor:"2,keyasint"` // longest embargo it covers
}

// RetiredNode is a node a member has taken out of service. Its feeds end where
// Cuts say; a feed not named ends at 0.
type RetiredNode struct {
	Node Key       `cbor:"1,keyasint"`
	Cuts []FeedCut `cbor:"2,keyasint,omitempty"`
}

// FeedCut says where a feed ends: Seq is the last entry that counts.
type FeedCut struct {
	Feed  FeedID  `cbor:"1,keyasint"`
	Seq   uint64  `cbor:"2,keyasint"`
	Entry EntryID `cbor:"3,keyasint,omitzero"` // the surviving entry at Seq, for a forked feed
}

// Admission proposes or makes a member: it acts once k governors approve it.
type Admission struct {
	Member  MemberID      `cbor:"1,keyasint"`
	Line    StatementID   `cbor:"2,keyasint"`           // charter or change of governors it was made under
	Removed []StatementID `cbor:"3,keyasint,omitempty"` // the removals that a re-admission overrides, ascending
	Why     string        `cbor:"4,keyasint,omitempty"`
	Card    StatementID   `cbor:"5,keyasint,omitzero"` // the card approvers saw; after a re-admission only nodes first named in it or later count
}

// Removal ends one admission for good once k governors approve it.
type Removal struct {
	Member    MemberID    `cbor:"1,keyasint"`
	Admission StatementID `cbor:"2,keyasint"` // the admission it ends; the charter for a founder
	Line      StatementID `cbor:"3,keyasint"`
	Why       string      `cbor:"4,keyasint,omitempty"`
	Cuts      []FeedCut   `cbor:"5,keyasint,omitempty"` // ascending by feed; feeds not named end at 0
}

// Cut ends forked feeds: it acts when signed by the member itself, or once k
// governors approve it.
type Cut struct {
	Member MemberID    `cbor:"1,keyasint"`
	Line   StatementID `cbor:"2,keyasint"`
	Node   Key         `cbor:"3,keyasint"`
	Cuts   []FeedCut   `cbor:"4,keyasint"`
}

// Approval is a governor's signature under an admission, a removal, a cut or a
// change of governors.
type Approval struct {
	Subject StatementID `cbor:"1,keyasint"`
}

// Governors replaces the whole list of governors. It needs the approvals of the
// old list and of the new.
type Governors struct {
	Prev      StatementID   `cbor:"1,keyasint"` // charter or change before it
	Governors []MemberID    `cbor:"2,keyasint"` // ascending
	Threshold uint64        `cbor:"3,keyasint"` // more than half
	Accepts   []StatementID `cbor:"4,keyasint,omitempty"`
}

// ForkProof shows two different entries of one node at one place in one feed.
type ForkProof struct {
	A []byte `cbor:"1,keyasint"` // signed header with the lower EntryID
	B []byte `cbor:"2,keyasint"`
}

// Kind of the content.
func (*Charter) Kind() Kind   { return KindCharter }
func (*Card) Kind() Kind      { return KindCard }
func (*Admission) Kind() Kind { return KindAdmission }
func (*Removal) Kind() Kind   { return KindRemoval }
func (*Cut) Kind() Kind       { return KindCut }
func (*Approval) Kind() Kind  { return KindApproval }
func (*Governors) Kind() Kind { return KindGovernors }
func (*ForkProof) Kind() Kind { return KindForkProof }

func (c *Charter) validate() error {
	return firstError(
		line("name", c.Name, 1, MaxName),
		ascending("governors", c.Governors, 1, MaxGovernors),
		ascending("recovery keys", c.Recovery, 0, MaxGovernors),
		between("threshold", c.Threshold, uint64(len(c.Governors))/2+1, uint64(len(c.Governors))),
		c.Rules.validate(),
	)
}

func (c *Card) validate() error {
	first := c.Version == 1
	if c.Version == 0 || first != c.Member.IsZero() || first != c.Prev.IsZero() {
		return fmt.Errorf("%w: version %d with member and previous card as another's", ErrMalformed, c.Version)
	}
	err := firstError(
		handle(c.Handle), line("name", c.Name, 1, MaxName), line("contact", c.Contact, 1, MaxText),
		text("duty desk", c.Duty, 0, MaxText), labels("sectors", c.Sectors), labels("regions", c.Regions),
		labels("topics", c.WorkingOn), line("recipient", c.Recipient, 1, MaxRecipient), identity(c.Identity),
		ascendingBy("nodes", c.Nodes, 1, MaxNodes, func(a, b CardNode) int { return a.Key.Compare(b.Key) }),
		ascendingBy("retired nodes", c.Retired, 0, MaxRetired, func(a, b RetiredNode) int { return a.Node.Compare(b.Node) }),
	)
	for _, n := range c.Nodes {
		err = firstError(err, line("node recipient", n.Recipient, 0, MaxRecipient))
	}
	for _, r := range c.Retired {
		err = firstError(err, cuts(r.Cuts))
	}
	if c.Consent != nil {
		err = firstError(err, line("consent", c.Consent.TLP, 1, MaxLabel), between("consent", c.Consent.Seconds, 1, 3650*86400))
	}
	return err
}

func (a *Admission) validate() error {
	return firstError(ascending("removals", a.Removed, 0, MaxCardsPerMember), text("reason", a.Why, 0, MaxText))
}

func (r *Removal) validate() error {
	return firstError(text("reason", r.Why, 0, MaxText), cuts(r.Cuts))
}

func (c *Cut) validate() error {
	if len(c.Cuts) == 0 {
		return fmt.Errorf("%w: a cut of nothing", ErrMalformed)
	}
	return cuts(c.Cuts)
}

func (a *Approval) validate() error { return nil }

func (g *Governors) validate() error {
	return firstError(
		ascending("governors", g.Governors, 1, MaxGovernors),
		between("threshold", g.Threshold, uint64(len(g.Governors))/2+1, uint64(len(g.Governors))),
		ascending("accepted operations", g.Accepts, 0, MaxAccepts),
	)
}

// validate proves the fork: both headers verify and contradict each other.
func (f *ForkProof) validate() error {
	a, b, err := f.Headers()
	if err != nil {
		return err
	}
	if !Contradict(a, b) || a.ID().Compare(b.ID()) >= 0 {
		return fmt.Errorf("%w: the two headers do not contradict each other in order", ErrMalformed)
	}
	return nil
}

// Headers decodes and verifies the two headers of the proof.
func (f *ForkProof) Headers() (a, b *Header, err error) {
	if a, err = ParseHeader(f.A); err != nil {
		return nil, nil, err
	}
	b, err = ParseHeader(f.B)
	return a, b, err
}

func (f *ForkProof) of(mesh MeshID) bool {
	a, _, err := f.Headers()
	return err == nil && a.Mesh == mesh
}

// NewForkProof orders two contradicting headers into a proof.
func NewForkProof(a, b *Header) *ForkProof {
	if a.ID().Compare(b.ID()) > 0 {
		a, b = b, a
	}
	return &ForkProof{A: a.Raw(), B: b.Raw()}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func between(what string, v, low, high uint64) error {
	if v < low || v > high {
		return fmt.Errorf("%w: %s %d, want %d to %d", ErrMalformed, what, v, low, high)
	}
	return nil
}

// line is text of one line: what is shown in lists and prompts must not be able
// to imitate a line of its own.
func line(what, s string, low, high int) error {
	if strings.ContainsAny(s, "\n\t") {
		return fmt.Errorf("%w: %s has a line break or a tab", ErrMalformed, what)
	}
	return text(what, s, low, high)
}

// text checks the length of a text in bytes and that it is printable: line
// breaks and tabs are; other control characters, Unicode's own line breaks and
// what changes direction are not.
func text(what, s string, low, high int) error {
	if len(s) < low || len(s) > high {
		return fmt.Errorf("%w: %s of %d bytes, want %d to %d", ErrMalformed, what, len(s), low, high)
	}
	if !utf8.ValidString(s) {
		return fmt.Errorf("%w: %s is not UTF-8", ErrMalformed, what)
	}
	for _, r := range s {
		if r != '\n' && r != '\t' && unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control) {
			return fmt.Errorf("%w: %s has the control character %U", ErrMalformed, what, r)
		}
	}
	return nil
}

// ValidHandle reports whether s can be a member's handle: 1 to MaxHandle
// characters of a to z, 0 to 9 and inner hyphens, not starting with a digit.
func ValidHandle(s string) bool { return handle(s) == nil }

func handle(s string) error {
	ok := len(s) >= 1 && len(s) <= MaxHandle && s[0] >= 'a' && s[0] <= 'z' && s[len(s)-1] != '-'
	for i := 0; ok && i < len(s); i++ {
		c := s[i]
		ok = c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-'
	}
	if !ok || s == "everyone" || s == "others" || s == "us" {
		return fmt.Errorf("%w: handle %q, want a-z, 0-9 and hyphens, starting with a letter, at most %d", ErrMalformed, s, MaxHandle)
	}
	return nil
}

// identity checks the form identity--UUID.
func identity(s string) error {
	const shape = "identity--xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"
	ok := len(s) == len(shape) && strings.HasPrefix(s, "identity--")
	for i := len("identity--"); ok && i < len(s); i++ {
		c := s[i]
		if shape[i] == '-' {
			ok = c == '-'
		} else {
			ok = c >= '0' && c <= '9' || c >= 'a' && c <= 'f'
		}
	}
	if !ok {
		return fmt.Errorf("%w: STIX identity %.64q", ErrMalformed, s)
	}
	return nil
}

func labels(what string, list []string) error {
	if len(list) > MaxLabels {
		return fmt.Errorf("%w: %d %s, at most %d", ErrMalformed, len(list), what, MaxLabels)
	}
	for _, s := range list {
		if err := line(what, s, 1, MaxLabel); err != nil {
			return err
		}
	}
	return nil
}

func cuts(list []FeedCut) error {
	return ascendingBy("cuts", list, 0, MaxCuts, func(a, b FeedCut) int { return a.Feed.Compare(b.Feed) })
}

func ascending[K any](what string, list []ID[K], low, high int) error {
	return ascendingBy(what, list, low, high, func(a, b ID[K]) int { return a.Compare(b) })
}

// ascendingBy checks the length of a list and that each item is greater than
// the one before it, so that a set has one encoding.
func ascendingBy[T any](what string, list []T, low, high int, compare func(a, b T) int) error {
	if len(list) < low || len(list) > high {
		return fmt.Errorf("%w: %d %s, want %d to %d", ErrMalformed, len(list), what, low, high)
	}
	for i := 1; i < len(list); i++ {
		if compare(list[i-1], list[i]) >= 0 {
			return fmt.Errorf("%w: %s are not in ascending order", ErrMalformed, what)
		}
	}
	return nil
}

// Sorted gives the identifiers in ascending order without repetitions, as
// documents want them. It changes the slice it is given.
func Sorted[K any](list []ID[K]) []ID[K] {
	slices.SortFunc(list, func(a, b ID[K]) int { return a.Compare(b) })
	return slices.Compact(list)
}

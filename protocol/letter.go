package protocol

import "fmt"

// Letter is what a direct entry says to those it is sealed to: parts of several
// kinds. It is not signed: the entry that carries it is, and the epochs and
// audience states in it are.
type Letter struct {
	Version uint64 `cbor:"1,keyasint"`
	Parts   []Part `cbor:"2,keyasint"`
}

// Part is one part of a letter. Parts of unknown kinds are passed over and
// counted.
type Part struct {
	Kind    PartKind `cbor:"1,keyasint"`
	Content []byte   `cbor:"2,keyasint"`

	doc any
}

// PartKind says what a part is.
type PartKind uint64

// The kinds of parts.
const (
	PartEpoch   PartKind = 1 // a signed epoch: a grant
	PartState   PartKind = 2 // a signed audience state
	PartLeave   PartKind = 3 // Leave
	PartReceipt PartKind = 4 // Receipt
	PartOwn     PartKind = 5 // Own
)

// Leave says that the writing node's member leaves an audience.
type Leave struct {
	Audience AudienceID `cbor:"1,keyasint"`
	State    Hash       `cbor:"2,keyasint"` // the newest state it knew; one that follows it may take it in again
}

// Receipt says what the writing node's member did about an entry.
type Receipt struct {
	Entry EntryID      `cbor:"1,keyasint"`
	State ReceiptState `cbor:"2,keyasint"`
	Time  int64        `cbor:"3,keyasint"` // milliseconds since 1970
}

// ReceiptState is what was done.
type ReceiptState uint64

// The states of a receipt.
const (
	ReceiptSeen     ReceiptState = 1
	ReceiptAccepted ReceiptState = 2
	ReceiptApplied  ReceiptState = 3
)

// Own is a named value that the nodes of one member keep in common. Of several
// the one of the latest time counts, then that of the greater value.
type Own struct {
	Name  string `cbor:"1,keyasint"`
	Value []byte `cbor:"2,keyasint"` // empty: gone
	Time  int64  `cbor:"3,keyasint"`
}

// NewLetter makes a letter of *Epoch, *AudienceState, Leave, Receipt and Own.
func NewLetter(parts ...any) []byte {
	l := Letter{Version: Version}
	for _, p := range parts {
		l.Parts = append(l.Parts, partOf(p))
	}
	return Marshal(&l)
}

// NewGrant makes a letter of epochs alone.
func NewGrant(epochs ...*Epoch) []byte {
	parts := make([]any, len(epochs))
	for i, e := range epochs {
		parts[i] = e
	}
	return NewLetter(parts...)
}

func partOf(doc any) Part {
	switch d := doc.(type) {
	case *Epoch:
		return Part{Kind: PartEpoch, Content: d.Raw()}
	case *AudienceState:
		return Part{Kind: PartState, Content: d.Raw()}
	case Leave:
		return Part{Kind: PartLeave, Content: Marshal(&d)}
	case Receipt:
		return Part{Kind: PartReceipt, Content: Marshal(&d)}
	case Own:
		return Part{Kind: PartOwn, Content: Marshal(&d)}
	}
	panic(fmt.Sprintf("protocol: %T is no part of a letter", doc))
}

// ParseLetter decodes a letter and its parts, and verifies the epochs and states
// in it. Errors wrap ErrMalformed, ErrSignature or ErrVersion.
func ParseLetter(data []byte) (*Letter, error) {
	if v, err := versionOf(data); err != nil {
		return nil, fmt.Errorf("read letter: %w", err)
	} else if v != Version {
		return nil, fmt.Errorf("read letter: %w %d", ErrVersion, v)
	}
	l := new(Letter)
	if err := Unmarshal(data, MaxOpened, l); err != nil {
		return nil, fmt.Errorf("read letter: %w", err)
	}
	if err := between("parts", uint64(len(l.Parts)), 1, MaxParts); err != nil {
		return nil, fmt.Errorf("read letter: %w", err)
	}
	epochs := 0
	for i := range l.Parts {
		p := &l.Parts[i]
		if p.Kind == PartEpoch {
			epochs++
		}
		if epochs > MaxGrantEpochs {
			return nil, fmt.Errorf("read letter: %w: more than %d epochs", ErrMalformed, MaxGrantEpochs)
		}
		var err error
		if p.doc, err = p.parse(); err != nil {
			return nil, fmt.Errorf("read letter: part %d: %w", i+1, err)
		}
	}
	return l, nil
}

// parse decodes a part of a known kind; of an unknown kind it gives nil and no
// error.
func (p *Part) parse() (any, error) {
	switch p.Kind {
	case PartEpoch:
		return ParseEpoch(p.Content)
	case PartState:
		return ParseAudienceState(p.Content)
	case PartLeave:
		var d Leave
		err := Unmarshal(p.Content, MaxHeader, &d)
		return d, err
	case PartReceipt:
		var d Receipt
		err := Unmarshal(p.Content, MaxHeader, &d)
		return d, err
	case PartOwn:
		var d Own
		err := Unmarshal(p.Content, MaxOpened, &d)
		return d, firstError(err, line("name", d.Name, 1, MaxName))
	}
	return nil, nil
}

// Doc is what the part says: *Epoch, *AudienceState, Leave, Receipt or Own, or
// nil where the kind is unknown.
func (p *Part) Doc() any { return p.doc }

// Epochs gives the epochs that the letter grants.
func (l *Letter) Epochs() []*Epoch { return docs[*Epoch](l) }

// States gives the audience states in the letter.
func (l *Letter) States() []*AudienceState { return docs[*AudienceState](l) }

// Leaves gives the audiences that the letter's writer leaves.
func (l *Letter) Leaves() []Leave { return docs[Leave](l) }

// Receipts gives the receipts in the letter.
func (l *Letter) Receipts() []Receipt { return docs[Receipt](l) }

// Owns gives the named values in the letter.
func (l *Letter) Owns() []Own { return docs[Own](l) }

func docs[T any](l *Letter) (out []T) {
	for _, p := range l.Parts {
		if d, ok := p.doc.(T); ok {
			out = append(out, d)
		}
	}
	return out
}

// Erasure is the payload of an erase entry, in the open: the entries whose
// payloads go.
type Erasure struct {
	Version uint64   `cbor:"1,keyasint"`
	Seqs    []uint64 `cbor:"2,keyasint"`          // runs: first, last, first, last, ...; ascending
	Feed    FeedID   `cbor:"3,keyasint,omitzero"` // theirs; zero: the feed of the erase entry itself
}

// NewErasure makes the payload of an erase entry, of entries of a feed, or, where
// that is zero, of the feed it is written to. runs are first and last, both
// included, ascending and not touching each other.
func NewErasure(feed FeedID, runs ...[2]uint64) ([]byte, error) {
	e := Erasure{Version: Version, Feed: feed}
	for _, r := range runs {
		e.Seqs = append(e.Seqs, r[0], r[1])
	}
	if err := e.validate(); err != nil {
		return nil, fmt.Errorf("make erasure: %w", err)
	}
	return Marshal(&e), nil
}

// ParseErasure decodes the payload of an erase entry. Errors wrap ErrMalformed or
// ErrVersion.
func ParseErasure(data []byte) (*Erasure, error) {
	if v, err := versionOf(data); err != nil {
		return nil, fmt.Errorf("read erasure: %w", err)
	} else if v != Version {
		return nil, fmt.Errorf("read erasure: %w %d", ErrVersion, v)
	}
	e := new(Erasure)
	err := Unmarshal(data, MaxInline, e)
	if err == nil {
		err = e.validate()
	}
	if err != nil {
		return nil, fmt.Errorf("read erasure: %w", err)
	}
	return e, nil
}

// Runs gives first and last of each run of entries.
func (e *Erasure) Runs() [][2]uint64 {
	out := make([][2]uint64, 0, len(e.Seqs)/2)
	for i := 0; i+1 < len(e.Seqs); i += 2 {
		out = append(out, [2]uint64{e.Seqs[i], e.Seqs[i+1]})
	}
	return out
}

func (e *Erasure) validate() error {
	if len(e.Seqs) == 0 || len(e.Seqs)%2 != 0 || len(e.Seqs) > 2*MaxErased {
		return fmt.Errorf("%w: %d ends of runs, want an even number from 2 to %d", ErrMalformed, len(e.Seqs), 2*MaxErased)
	}
	last := uint64(0)
	for _, r := range e.Runs() {
		// Runs that touch are one run.
		if r[0] == 0 || r[1] < r[0] || r[1] > MaxSeq || last > 0 && r[0] <= last+1 {
			return fmt.Errorf("%w: run %d to %d after %d", ErrMalformed, r[0], r[1], last)
		}
		last = r[1]
	}
	return nil
}

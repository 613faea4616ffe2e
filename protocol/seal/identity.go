package seal

import (
	"fmt"
	"io"

	"filippo.io/age"

	"github.com/tipmesh/tipmesh/protocol"
)

// Identity is a parsed hybrid age identity (ML-KEM-768 and X25519). Parsing
// costs more than opening a small payload: keep it. It is safe for concurrent
// use.
type Identity struct {
	key       *age.HybridIdentity
	recipient *age.HybridRecipient
	text      string
	public    string
}

// NewIdentity makes a fresh identity from the system's randomness.
func NewIdentity() (*Identity, error) {
	key, err := age.GenerateHybridIdentity()
	if err != nil {
		return nil, fmt.Errorf("make age identity: %w", err)
	}
	return identityOf(key), nil
}

// ParseIdentity reads AGE-SECRET-KEY-PQ-1... in its one canonical form, since
// tags are computed over the text. Errors wrap protocol.ErrMalformed and never
// show the key.
func ParseIdentity(s string) (*Identity, error) {
	if len(s) > protocol.MaxIdentity {
		return nil, fmt.Errorf("read age identity: %w: %d characters", protocol.ErrMalformed, len(s))
	}
	key, err := age.ParseHybridIdentity(s)
	if err != nil {
		// age's own words may quote the text.
		return nil, fmt.Errorf("read age identity: %w: no hybrid age identity", protocol.ErrMalformed)
	}
	id := identityOf(key)
	if id.text != s {
		return nil, fmt.Errorf("read age identity: %w: not in canonical form", protocol.ErrMalformed)
	}
	return id, nil
}

func identityOf(key *age.HybridIdentity) *Identity {
	r := key.Recipient()
	return &Identity{key: key, recipient: r, text: key.String(), public: r.String()}
}

// String is the secret text, AGE-SECRET-KEY-PQ-1.... Only an explicit call
// shows it: see Format.
func (i *Identity) String() string { return i.text }

// Recipient is the public text, age1pq1....
func (i *Identity) Recipient() string { return i.public }

// Format keeps the secret out of every format verb, so that no log shows it by
// mistake.
func (i *Identity) Format(f fmt.State, _ rune) {
	if i == nil {
		_, _ = io.WriteString(f, "no identity")
		return
	}
	_, _ = io.WriteString(f, "identity of "+i.public[:min(len(i.public), 20)])
}

// ValidRecipient checks that s is a hybrid age recipient that something can be
// sealed to. One bad recipient fails a whole Direct: leave those that fail here
// out. Errors wrap protocol.ErrMalformed.
func ValidRecipient(s string) error {
	r, err := parseRecipient(s)
	if err != nil {
		return err
	}
	// A key whose X25519 half is of low order parses and fails only here.
	if _, err := r.Wrap(make([]byte, 16)); err != nil {
		return fmt.Errorf("read age recipient: %w: %v", protocol.ErrMalformed, err)
	}
	return nil
}

func parseRecipient(s string) (*age.HybridRecipient, error) {
	if len(s) > protocol.MaxRecipient {
		return nil, fmt.Errorf("read age recipient: %w: %d characters", protocol.ErrMalformed, len(s))
	}
	r, err := age.ParseHybridRecipient(s)
	if err != nil {
		return nil, fmt.Errorf("read age recipient: %w: %.24q is no hybrid age recipient", protocol.ErrMalformed, s)
	}
	return r, nil
}

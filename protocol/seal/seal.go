package seal

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math/big"
	"math/bits"
	"slices"

	"filippo.io/age"

	"github.com/tipmesh/tipmesh/protocol"
)

var (
	// ErrNotForUs says that no stanza of a payload fits the identities. Nobody is
	// to blame for a direct payload that is for others.
	ErrNotForUs = errors.New("sealed to others")
	// ErrTooLarge says that content or payload are over the limit: cut it up.
	ErrTooLarge = errors.New("too large to seal")
)

// stanzaType is age's name for the hybrid recipient.
const stanzaType = "mlkem768x25519"

// Bundle seals a bundle to an epoch's identity. Errors wrap ErrTooLarge where
// the bundle exceeds protocol.MaxOpened or the payload protocol.MaxPayload.
func Bundle(bundle []byte, to *Identity) ([]byte, error) {
	inner, err := frame(bundle)
	if err != nil {
		return nil, fmt.Errorf("seal bundle: %w", err)
	}
	payload, err := encrypt(inner, to.recipient)
	if err != nil {
		return nil, fmt.Errorf("seal bundle: %w", err)
	}
	return payload, nil
}

// OpenBundle opens what Bundle made. Errors wrap ErrNotForUs where the payload
// is sealed to another identity, else protocol.ErrMalformed.
func OpenBundle(payload []byte, id *Identity) ([]byte, error) {
	inner, err := decrypt(payload, 1, id)
	if err != nil {
		return nil, fmt.Errorf("open bundle: %w", err)
	}
	plain, err := unframe(inner)
	if err != nil {
		return nil, fmt.Errorf("open bundle: %w", err)
	}
	return plain, nil
}

// Direct seals plain to age recipients, at most protocol.MaxReaders, in random
// order among dummies that make their number a power of two. Errors wrap
// ErrTooLarge, or protocol.ErrMalformed for a bad recipient.
func Direct(plain []byte, recipients []string) ([]byte, error) {
	inner, err := frame(plain)
	if err != nil {
		return nil, fmt.Errorf("seal direct payload: %w", err)
	}
	to, err := crowd(recipients)
	if err != nil {
		return nil, fmt.Errorf("seal direct payload: %w", err)
	}
	payload, err := encrypt(inner, to...)
	if err != nil {
		return nil, fmt.Errorf("seal direct payload: %w", err)
	}
	return payload, nil
}

// OpenDirect opens what Direct made with whichever of the identities fits.
// Errors wrap ErrNotForUs where none does, else protocol.ErrMalformed. A payload
// for others costs some 0.2 ms a stanza and identity to find out.
func OpenDirect(payload []byte, ids ...*Identity) ([]byte, error) {
	inner, err := decrypt(payload, protocol.MaxReaders, ids...)
	if err != nil {
		return nil, fmt.Errorf("open direct payload: %w", err)
	}
	plain, err := unframe(inner)
	if err != nil {
		return nil, fmt.Errorf("open direct payload: %w", err)
	}
	return plain, nil
}

// crowd gives the recipients and the dummies in random order: an order of
// age's own would tell how many are real.
func crowd(recipients []string) ([]age.Recipient, error) {
	recipients = slices.Compact(slices.Sorted(slices.Values(recipients)))
	if len(recipients) == 0 {
		return nil, fmt.Errorf("%w: no recipients", protocol.ErrMalformed)
	}
	if len(recipients) > protocol.MaxReaders {
		return nil, fmt.Errorf("%w: %d recipients, at most %d", ErrTooLarge, len(recipients), protocol.MaxReaders)
	}
	var to []age.Recipient
	for _, s := range recipients {
		r, err := parseRecipient(s)
		if err != nil {
			return nil, err
		}
		to = append(to, r)
	}
	if n := len(to); n&(n-1) != 0 {
		throwaway, err := age.GenerateHybridIdentity()
		if err != nil {
			return nil, fmt.Errorf("make dummy recipient: %w", err)
		}
		to = append(to, slices.Repeat([]age.Recipient{dummy{throwaway.Recipient()}}, 1<<bits.Len(uint(n))-n)...)
	}
	for i := len(to) - 1; i > 0; i-- {
		j, err := rand.Int(rand.Reader, big.NewInt(int64(i+1)))
		if err != nil {
			return nil, fmt.Errorf("mix recipients: %w", err)
		}
		to[i], to[j.Int64()] = to[j.Int64()], to[i]
	}
	return to, nil
}

// dummy makes stanzas that no one can open. Random bytes would not do: the
// coefficients of an ML-KEM ciphertext are not uniform, and half of all 32-byte
// strings are no X25519 point, so both would show. A real encapsulation to a key
// thrown away does, and one key serves all dummies since ciphertexts do not tell
// which key they are for. It wraps zeros, so even that key would open nothing.
type dummy struct{ key *age.HybridRecipient }

func (d dummy) Wrap(fileKey []byte) ([]*age.Stanza, error) {
	return d.key.Wrap(make([]byte, len(fileKey)))
}

func (d dummy) WrapWithLabels(fileKey []byte) ([]*age.Stanza, []string, error) {
	return d.key.WrapWithLabels(make([]byte, len(fileKey)))
}

func encrypt(inner []byte, to ...age.Recipient) ([]byte, error) {
	const stanza = 1600 // with line breaks
	out := bytes.NewBuffer(make([]byte, 0, len(inner)+len(inner)>>12+len(to)*stanza+512))
	w, err := age.Encrypt(out, to...)
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	if _, err := w.Write(inner); err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	if out.Len() > protocol.MaxPayload {
		return nil, fmt.Errorf("%w: payload of %d bytes, at most %d", ErrTooLarge, out.Len(), protocol.MaxPayload)
	}
	return out.Bytes(), nil
}

func decrypt(payload []byte, stanzas int, ids ...*Identity) ([]byte, error) {
	if len(payload) > protocol.MaxPayload {
		return nil, fmt.Errorf("%w: payload of %d bytes, at most %d", protocol.ErrMalformed, len(payload), protocol.MaxPayload)
	}
	r, err := age.Decrypt(bytes.NewReader(payload), &bounded{stanzas, ids})
	var other *age.NoIdentityMatchError
	if errors.As(err, &other) {
		return nil, ErrNotForUs
	} else if err != nil {
		return nil, fmt.Errorf("%w: %v", protocol.ErrMalformed, err)
	}
	out := bytes.NewBuffer(make([]byte, 0, len(payload)))
	if _, err := io.Copy(out, r); err != nil {
		return nil, fmt.Errorf("%w: %v", protocol.ErrMalformed, err)
	}
	return out.Bytes(), nil
}

// bounded tries identities on stanzas once their number and kind are checked,
// so that a payload reads alike for all its recipients, wherever among the
// stanzas theirs is.
type bounded struct {
	most int
	ids  []*Identity
}

func (b *bounded) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	if n := len(stanzas); n == 0 || n > b.most || n&(n-1) != 0 {
		return nil, fmt.Errorf("%d stanzas, want a power of two up to %d", n, b.most)
	}
	for _, s := range stanzas {
		if s.Type != stanzaType {
			return nil, fmt.Errorf("stanza of type %.20q", s.Type)
		}
	}
	for _, id := range b.ids {
		key, err := id.key.Unwrap(stanzas)
		if !errors.Is(err, age.ErrIncorrectIdentity) {
			return key, err
		}
	}
	return nil, age.ErrIncorrectIdentity
}

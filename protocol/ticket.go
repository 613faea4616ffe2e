package protocol

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// Ticket invites one organisation to join. Whoever holds it may use it once:
// it binds to the first card that does.
type Ticket struct {
	Version   uint64   `cbor:"1,keyasint"`
	Charter   []byte   `cbor:"2,keyasint"`           // signed charter
	Line      [][]byte `cbor:"3,keyasint,omitempty"` // signed changes of governors, oldest first; the joiner pins the last
	Inviter   MemberID `cbor:"4,keyasint"`
	Handle    string   `cbor:"5,keyasint"`            // the inviter's
	Host      Key      `cbor:"6,keyasint"`            // key of the short-lived join host
	Addresses []string `cbor:"7,keyasint"`            // host:port, reached by QUIC and by TCP
	Secret    [32]byte `cbor:"8,keyasint"`            // proves possession
	Expires   int64    `cbor:"9,keyasint"`            // milliseconds since 1970
	Name      string   `cbor:"10,keyasint,omitempty"` // whom it is meant for, as a reminder
}

const ticketPrefix = "tipmesh-ticket-1:"

// ID names the ticket without revealing its secret.
func (t *Ticket) ID() Hash { return DomainTicket.Sum(Marshal(t)) }

// Text is the ticket as one line for a file or a chat.
func (t *Ticket) Text() string {
	return ticketPrefix + base64.RawURLEncoding.EncodeToString(Marshal(t))
}

// ParseTicket reads a ticket's text and verifies the charter in it. White space
// is ignored, so that a mail client's line breaks do no harm.
func ParseTicket(text string) (*Ticket, *Statement, error) {
	text = strings.Join(strings.Fields(text), "")
	rest, ok := strings.CutPrefix(text, ticketPrefix)
	if !ok {
		return nil, nil, fmt.Errorf("read ticket: %w: it does not begin with %s", ErrMalformed, ticketPrefix)
	}
	if len(rest) > base64.RawURLEncoding.EncodedLen(MaxTicket) {
		return nil, nil, fmt.Errorf("read ticket: %w: too long", ErrMalformed)
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(rest)
	if err != nil {
		return nil, nil, fmt.Errorf("read ticket: %w: %v", ErrMalformed, err)
	}
	// The version first, so that a later one is told apart from damage.
	if v, err := versionOf(data); err != nil {
		return nil, nil, fmt.Errorf("read ticket: %w", err)
	} else if v != Version {
		return nil, nil, fmt.Errorf("read ticket: %w %d", ErrVersion, v)
	}
	t := new(Ticket)
	if err := Unmarshal(data, MaxTicket, t); err != nil {
		return nil, nil, fmt.Errorf("read ticket: %w", err)
	}
	if err := t.validate(); err != nil {
		return nil, nil, fmt.Errorf("read ticket: %w", err)
	}
	charter, err := ParseStatement(t.Charter)
	if err != nil {
		return nil, nil, fmt.Errorf("read ticket: %w", err)
	}
	if charter.Kind != KindCharter {
		return nil, nil, fmt.Errorf("read ticket: %w: a %s stands where the charter should", ErrMalformed, charter.Kind)
	}
	return t, charter, nil
}

func (t *Ticket) validate() error {
	err := firstError(
		handle(t.Handle), between("addresses", uint64(len(t.Addresses)), 1, MaxAddresses),
		between("changes of governors", uint64(len(t.Line)), 0, MaxLine), line("name", t.Name, 0, MaxName),
	)
	for _, a := range t.Addresses {
		err = firstError(err, line("address", a, 1, MaxAddress))
	}
	return err
}

// WordIndexes are the six numbers below 7,776 that both sides of a join see as
// words of the EFF long list: 77 bits over charter, inviter, card and ticket.
func WordIndexes(mesh MeshID, inviter MemberID, card StatementID, ticket Hash) [6]int {
	sum := DomainWords.Sum(mesh[:], inviter[:], card[:], ticket[:])
	var out [6]int
	// Division with remainder over the whole hash, so that no word is favoured
	// by more than 2^-170.
	digits := sum
	for i := range out {
		rem := 0
		for j := range digits {
			cur := rem<<8 | int(digits[j])
			digits[j] = byte(cur / 7776)
			rem = cur % 7776
		}
		out[i] = rem
	}
	return out
}

package replica

import (
	"fmt"

	"github.com/tipmesh/tipmesh/protocol"
)

// MaxGossip bounds a gossip message in bytes.
const MaxGossip = 64 << 10

// Gossip is what one gossip message carries: an entry, with its payload if that
// is at most protocol.MaxInline bytes, or statements.
type Gossip struct {
	Entry      *Entry   `cbor:"1,keyasint,omitempty"`
	Statements [][]byte `cbor:"2,keyasint,omitempty"`
}

// EncodeGossip gives the message's bytes, or nil where it would be too large to
// be gossiped: sync carries it then.
func EncodeGossip(g *Gossip) []byte {
	data := protocol.Marshal(g)
	if len(data) > MaxGossip {
		return nil
	}
	return data
}

// DecodeGossip reads a gossip message. Errors wrap protocol.ErrMalformed.
func DecodeGossip(data []byte) (*Gossip, error) {
	g := new(Gossip)
	if err := protocol.Unmarshal(data, MaxGossip, g); err != nil {
		return nil, fmt.Errorf("read gossip: %w", err)
	}
	if (g.Entry == nil) == (len(g.Statements) == 0) {
		return nil, fmt.Errorf("read gossip: %w: neither an entry nor statements", protocol.ErrMalformed)
	}
	if g.Entry != nil && (len(g.Entry.Header) > protocol.MaxHeader || len(g.Entry.Payload) > protocol.MaxInline) {
		return nil, fmt.Errorf("read gossip: %w: an entry over its limits", protocol.ErrMalformed)
	}
	if len(g.Statements) > MaxStatements {
		return nil, fmt.Errorf("read gossip: %w: %d statements", protocol.ErrMalformed, len(g.Statements))
	}
	return g, nil
}

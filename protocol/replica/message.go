package replica

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"github.com/tipmesh/tipmesh/protocol"
)

// Type is the first byte of a frame: which message follows.
type Type uint8

// The message types. Requests are odd, their replies even and one greater.
// Have stands alone: it has no reply.
const (
	TypeHello         Type = 1
	TypeWelcome       Type = 2
	TypeGetStatements Type = 3
	TypeStatements    Type = 4
	TypeGetVector     Type = 5
	TypeVector        Type = 6
	TypeGetEntries    Type = 7
	TypeEntries       Type = 8
	TypeGetPayloads   Type = 9
	TypePayloads      Type = 10
	TypeGetEpochs     Type = 11
	TypeEpochs        Type = 12
	TypeHave          Type = 13
	TypeGetAddresses  Type = 15
	TypeAddresses     Type = 16
)

// Limits of the sync protocol.
const (
	MaxFrame      = 6 << 20 // bytes of any frame: a payload of the greatest size and room beside it
	MaxRequest    = 1 << 20 // bytes of a frame from the asking side
	MaxBudget     = 2 << 20 // bytes of entries that one request may ask for
	MaxFeeds      = 1024    // feeds in one vector or have message
	MaxRanges     = 32      // missing ranges told of one feed
	MaxAddresses  = 8       // addresses of one node
	MaxAsked      = 64      // nodes whose addresses are asked for at a time
	MaxEntries    = 1024    // entries in one reply
	MaxStatements = 1024    // statements in one reply
	MaxMarks      = 32768   // marks in one request for epochs
	Buckets       = 256     // statements and feeds are compared by the first byte of their ID
	BucketDigest  = 8       // bytes of one bucket's digest
)

// Message is one of the types below.
type Message interface{ Type() Type }

// Hello opens the exchange and repeats it from time to time. Welcome answers it
// with the same about the other side.
type Hello struct {
	Version    uint64          `cbor:"1,keyasint"`
	Mesh       protocol.MeshID `cbor:"2,keyasint"`
	Time       int64           `cbor:"3,keyasint"` // milliseconds since 1970 by the sender's clock
	Statements protocol.Hash   `cbor:"4,keyasint"` // digest of all statements held
	Vector     protocol.Hash   `cbor:"5,keyasint"` // digest of all feeds held
	Addresses  []string        `cbor:"6,keyasint,omitempty"`
	Agent      string          `cbor:"7,keyasint,omitempty"`
	Unread     bool            `cbor:"8,keyasint,omitempty"` // entries are held whose epoch is not
}

// Welcome answers Hello.
type Welcome Hello

// GetStatements asks for the statements of the buckets whose digests differ.
type GetStatements struct {
	Digests []byte               `cbor:"1,keyasint"`          // Buckets times BucketDigest bytes
	After   protocol.StatementID `cbor:"2,keyasint,omitzero"` // for the next part of a long answer
}

// Statements answers GetStatements, in ascending order of IDs. Next is the last
// ID given where there are more.
type Statements struct {
	Raw  [][]byte             `cbor:"1,keyasint"`
	Next protocol.StatementID `cbor:"2,keyasint,omitzero"`
}

// GetVector asks for the state of the feeds after one, in ascending order. With
// Digests, of what the asker was told before, it asks only for the buckets that
// differ.
type GetVector struct {
	After   protocol.FeedID `cbor:"1,keyasint,omitzero"`
	Digests []byte          `cbor:"2,keyasint,omitempty"` // Buckets times BucketDigest bytes: see DigestBuckets
}

// Vector answers GetVector. Of the buckets that Differ it gives every feed; it
// names none where the question had no digests.
type Vector struct {
	Feeds  []FeedState `cbor:"1,keyasint"`
	More   bool        `cbor:"2,keyasint,omitempty"`
	Differ []byte      `cbor:"3,keyasint,omitempty"` // a bit for each bucket, the first the highest of its byte
}

// FeedState is what a node holds of a feed: all headers to Head and all
// payloads but those Missing. A node that would have to name more than
// MaxRanges ranges names a lower Head.
type FeedState struct {
	Feed    protocol.FeedID  `cbor:"1,keyasint"`
	Head    uint64           `cbor:"2,keyasint"`
	HeadID  protocol.EntryID `cbor:"3,keyasint"`
	Missing []uint64         `cbor:"4,keyasint,omitempty"` // first, last, first, last ...; ascending
	Direct  bool             `cbor:"5,keyasint,omitempty"` // a direct feed, wanted first
	// Erased are the payloads that went for good, or are to go: they are told as
	// Missing and not asked for. It does not travel.
	Erased []uint64 `cbor:"-"`
	// Headers is up to where headers are held, where that is past a lower Head: what
	// follows is asked for from there. It does not travel.
	Headers uint64 `cbor:"-"`
}

// Holds reports whether the payload at seq is held.
func (f *FeedState) Holds(seq uint64) bool {
	if seq == 0 || seq > f.Head {
		return false
	}
	for i := 0; i+1 < len(f.Missing); i += 2 {
		if seq >= f.Missing[i] && seq <= f.Missing[i+1] {
			return false
		}
	}
	return true
}

// headers is up to where headers are held.
func (f *FeedState) headers() uint64 { return max(f.Head, f.Headers) }

// GetEntries asks for entries of a feed from one on, of at most Budget bytes,
// but at least one.
type GetEntries struct {
	Feed   protocol.FeedID `cbor:"1,keyasint"`
	From   uint64          `cbor:"2,keyasint"`
	Budget uint64          `cbor:"3,keyasint"`
	To     uint64          `cbor:"4,keyasint,omitempty"` // the last one wanted; 0: as many as fit
}

// Entries answers GetEntries. An entry without payload is one whose payload the
// answerer does not hold.
type Entries struct {
	Feed    protocol.FeedID `cbor:"1,keyasint"`
	From    uint64          `cbor:"2,keyasint"`
	Entries []Entry         `cbor:"3,keyasint"`
}

// Entry is a signed header and its payload.
type Entry struct {
	Header  []byte `cbor:"1,keyasint"`
	Payload []byte `cbor:"2,keyasint,omitempty"`
}

// GetPayloads asks for payloads by sequence number, in ascending order.
type GetPayloads struct {
	Feed   protocol.FeedID `cbor:"1,keyasint"`
	Seqs   []uint64        `cbor:"2,keyasint"`
	Budget uint64          `cbor:"3,keyasint"`
}

// Payloads answers GetPayloads with what fits and is held.
type Payloads struct {
	Feed  protocol.FeedID `cbor:"1,keyasint"`
	Items []Payload       `cbor:"2,keyasint"`
}

// Payload is one payload.
type Payload struct {
	Seq  uint64 `cbor:"1,keyasint"`
	Data []byte `cbor:"2,keyasint"`
}

// GetEpochs asks for the epochs and states of groups that the asker may have and
// lacks. Held are the marks of those it holds, one after the other.
type GetEpochs struct {
	Salt protocol.Hash `cbor:"1,keyasint"`
	Held []byte        `cbor:"2,keyasint,omitempty"`
}

// A Mark names something held in one request: who does not hold it too learns
// nothing from it, nor from another request's. Two things have the same mark so
// seldom that the next request, with another salt, is soon enough.
type Mark [MarkLen]byte

// MarkLen is the length of a mark.
const MarkLen = 4

// MarkOf gives the mark of an epoch or a state in a request with a salt.
func MarkOf(salt, id protocol.Hash) Mark {
	sum := protocol.DomainDigest.Sum([]byte("held\x00"), salt[:], id[:])
	return Mark(sum[:MarkLen])
}

// Marks gives the marks of a request, each once.
func (g *GetEpochs) Marks() map[Mark]bool {
	out := make(map[Mark]bool, len(g.Held)/MarkLen)
	for m := range slices.Chunk(g.Held, MarkLen) {
		out[Mark(m)] = true
	}
	return out
}

// Epochs answers GetEpochs: a grant sealed to the asker's member, or nothing.
type Epochs struct {
	Sealed []byte `cbor:"1,keyasint,omitempty"`
}

// GetAddresses asks where nodes of the roster can be reached that the asker is
// not connected to.
type GetAddresses struct {
	Nodes []protocol.Key `cbor:"1,keyasint"`
}

// Addresses answers GetAddresses with what the answerer knows. It is hearsay:
// good for dialling, where the node's key is checked, and for nothing else.
type Addresses struct {
	List []NodeAddresses `cbor:"1,keyasint"`
}

// NodeAddresses is where one node can be reached.
type NodeAddresses struct {
	Node      protocol.Key `cbor:"1,keyasint"`
	Addresses []string     `cbor:"2,keyasint"` // host:port
}

// Have tells of feeds that changed since the last telling, in ascending order. A
// Head of 0 tells that nothing is held of the feed any more.
type Have struct {
	Feeds []FeedState `cbor:"1,keyasint"`
}

// Type of the message.
func (*Hello) Type() Type         { return TypeHello }
func (*Welcome) Type() Type       { return TypeWelcome }
func (*GetStatements) Type() Type { return TypeGetStatements }
func (*Statements) Type() Type    { return TypeStatements }
func (*GetVector) Type() Type     { return TypeGetVector }
func (*Vector) Type() Type        { return TypeVector }
func (*GetEntries) Type() Type    { return TypeGetEntries }
func (*Entries) Type() Type       { return TypeEntries }
func (*GetPayloads) Type() Type   { return TypeGetPayloads }
func (*Payloads) Type() Type      { return TypePayloads }
func (*GetEpochs) Type() Type     { return TypeGetEpochs }
func (*Epochs) Type() Type        { return TypeEpochs }
func (*Have) Type() Type          { return TypeHave }
func (*GetAddresses) Type() Type  { return TypeGetAddresses }
func (*Addresses) Type() Type     { return TypeAddresses }

func newMessage(t Type) (Message, error) {
	switch t {
	case TypeHello:
		return new(Hello), nil
	case TypeWelcome:
		return new(Welcome), nil
	case TypeGetStatements:
		return new(GetStatements), nil
	case TypeStatements:
		return new(Statements), nil
	case TypeGetVector:
		return new(GetVector), nil
	case TypeVector:
		return new(Vector), nil
	case TypeGetEntries:
		return new(GetEntries), nil
	case TypeEntries:
		return new(Entries), nil
	case TypeGetPayloads:
		return new(GetPayloads), nil
	case TypePayloads:
		return new(Payloads), nil
	case TypeGetEpochs:
		return new(GetEpochs), nil
	case TypeEpochs:
		return new(Epochs), nil
	case TypeHave:
		return new(Have), nil
	case TypeGetAddresses:
		return new(GetAddresses), nil
	case TypeAddresses:
		return new(Addresses), nil
	}
	return nil, fmt.Errorf("%w: sync message of type %d", protocol.ErrMalformed, t)
}

// Encode gives a message as a frame: four bytes of length (big endian, of what
// follows), one byte of type, canonical CBOR.
func Encode(m Message) []byte {
	body := protocol.Marshal(m)
	frame := make([]byte, 5, 5+len(body))
	binary.BigEndian.PutUint32(frame, uint32(1+len(body)))
	frame[4] = byte(m.Type())
	return append(frame, body...)
}

// Decode reads what follows a frame's length. Errors wrap
// protocol.ErrMalformed.
func Decode(frame []byte) (Message, error) {
	if len(frame) < 1 {
		return nil, fmt.Errorf("%w: empty sync frame", protocol.ErrMalformed)
	}
	m, err := newMessage(Type(frame[0]))
	if err != nil {
		return nil, err
	}
	if err := protocol.Unmarshal(frame[1:], MaxFrame, m); err != nil {
		return nil, fmt.Errorf("sync message of type %d: %w", frame[0], err)
	}
	if err := check(m); err != nil {
		return nil, err
	}
	return m, nil
}

// ReadFrame reads one frame of at most limit bytes and gives what follows its
// length.
func ReadFrame(r io.Reader, limit int) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < 1 || int64(n) > int64(limit) {
		return nil, fmt.Errorf("%w: sync frame of %d bytes, at most %d", protocol.ErrMalformed, n, limit)
	}
	// Memory grows with what arrives, not with what the length promises.
	buf := make([]byte, 0, min(int(n), 64<<10))
	for len(buf) < int(n) {
		step := min(int(n)-len(buf), max(len(buf), 64<<10))
		at := len(buf)
		buf = append(buf, make([]byte, step)...)
		if _, err := io.ReadFull(r, buf[at:]); err != nil {
			return nil, err
		}
	}
	return buf, nil
}

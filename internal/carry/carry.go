// Package carry is the file in which statements and entries go where no
// connection goes. It holds what sync would carry, in the bytes it would carry,
// and proves nothing: each statement and entry in it has its own signature, and
// is to be taken as from any neighbour. See SPEC.md, Carry files.
package carry

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"github.com/tipmesh/tipmesh/protocol"
)

const magic = "tipmesh-carry-1\n"

// Types of frames.
const (
	frameStart     = 1 // mesh (32), time (8)
	frameHeads     = 2 // feed (32) and head (8), repeated
	frameStatement = 3 // a signed statement
	frameEntry     = 4 // length of the header (2), signed header, payload
	frameHeader    = 5 // a signed header whose payload is not carried
	frameEnd       = 6 // number of frames before (8), SHA-256 of all bytes before this frame
)

const (
	maxHeads  = 1024 // in one frame
	headSize  = 32 + 8
	startSize = 32 + 8
	endSize   = 8 + sha256.Size
)

// limits are the greatest lengths of frames, by type.
var limits = map[byte]uint32{
	frameStart: startSize, frameHeads: maxHeads * headSize, frameStatement: protocol.MaxStatement,
	frameEntry: 2 + protocol.MaxHeader + protocol.MaxPayload, frameHeader: protocol.MaxHeader, frameEnd: endSize,
}

// Errors of a reader.
var (
	ErrNone    = errors.New("this is no carry file")
	ErrCut     = errors.New("the file is cut off")
	ErrDamaged = errors.New("the file is damaged")
	ErrSum     = errors.New("the file's checksum is another: it was altered, or damaged on the way")
)

// Head is how far whoever wrote a file holds a feed, payloads included.
type Head struct {
	Feed protocol.FeedID
	Seq  uint64
}

// Writer writes a file.
type Writer struct {
	w     *bufio.Writer
	sum   hash.Hash
	count uint64
	err   error
}

// NewWriter begins a file of a mesh; at is in milliseconds since 1970.
func NewWriter(w io.Writer, mesh protocol.MeshID, at int64) *Writer {
	c := &Writer{w: bufio.NewWriterSize(w, 256<<10), sum: sha256.New()}
	c.write([]byte(magic))
	c.frame(frameStart, mesh[:], binary.BigEndian.AppendUint64(nil, uint64(at)))
	return c
}

func (c *Writer) write(b []byte) {
	c.sum.Write(b)
	if c.err == nil {
		_, c.err = c.w.Write(b)
	}
}

func (c *Writer) frame(kind byte, parts ...[]byte) {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	if c.err == nil && n > int(limits[kind]) {
		c.err = fmt.Errorf("write carry file: a frame of %d bytes", n)
	}
	c.write(binary.BigEndian.AppendUint32([]byte{kind}, uint32(n)))
	for _, p := range parts {
		c.write(p)
	}
	c.count++
}

// Heads tells how far feeds are held here.
func (c *Writer) Heads(list []Head) {
	for len(list) > 0 {
		part := list[:min(len(list), maxHeads)]
		list = list[len(part):]
		b := make([]byte, 0, len(part)*headSize)
		for _, h := range part {
			b = binary.BigEndian.AppendUint64(append(b, h.Feed[:]...), h.Seq)
		}
		c.frame(frameHeads, b)
	}
}

// Statement adds a signed statement.
func (c *Writer) Statement(raw []byte) error {
	c.frame(frameStatement, raw)
	return c.err
}

// Entry adds an entry; a nil payload is not carried.
func (c *Writer) Entry(header, payload []byte) error {
	if payload == nil {
		c.frame(frameHeader, header)
	} else {
		c.frame(frameEntry, binary.BigEndian.AppendUint16(nil, uint16(len(header))), header, payload)
	}
	return c.err
}

// Close ends the file; a file without its end is known to be cut off.
func (c *Writer) Close() error {
	c.frame(frameEnd, binary.BigEndian.AppendUint64(nil, c.count), c.sum.Sum(nil))
	if c.err == nil {
		c.err = c.w.Flush()
	}
	return c.err
}

// Item is one thing of a file: some heads, a statement, or an entry.
type Item struct {
	Heads     []Head
	Statement []byte
	Header    []byte
	Payload   []byte // nil where it is not carried
}

// Reader reads a file, whose content nobody vouches for.
type Reader struct {
	Mesh protocol.MeshID
	Time int64 // milliseconds since 1970, by the writer's clock

	r     io.Reader
	sum   hash.Hash
	count uint64
}

// NewReader reads a file's beginning. Errors wrap ErrNone, ErrCut or ErrDamaged.
func NewReader(r io.Reader) (*Reader, error) {
	c := &Reader{r: bufio.NewReaderSize(r, 256<<10), sum: sha256.New()}
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(c.r, head); err != nil || string(head) != magic {
		return nil, fmt.Errorf("read carry file: %w", ErrNone)
	}
	c.sum.Write(head)
	kind, body, err := c.frame()
	if err != nil {
		return nil, fmt.Errorf("read carry file: %w", err)
	}
	if kind != frameStart || len(body) != startSize {
		return nil, fmt.Errorf("read carry file: %w: it does not say which mesh it is of", ErrDamaged)
	}
	c.Mesh, c.Time = protocol.MeshID(body[:32]), int64(binary.BigEndian.Uint64(body[32:]))
	return c, nil
}

// frame reads one frame. The sum includes it, unless it is the end.
func (c *Reader) frame() (kind byte, body []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return 0, nil, ErrCut
	}
	kind = head[0]
	n, most := binary.BigEndian.Uint32(head[1:]), limits[kind]
	if most == 0 || n > most {
		return 0, nil, fmt.Errorf("%w: a frame of type %d and %d bytes", ErrDamaged, kind, n)
	}
	body = make([]byte, n)
	if _, err := io.ReadFull(c.r, body); err != nil {
		return 0, nil, ErrCut
	}
	if kind != frameEnd {
		c.sum.Write(head[:])
		c.sum.Write(body)
		c.count++
	}
	return kind, body, nil
}

// Next gives the next item. io.EOF says that the file was whole; what came before
// an error that wraps ErrCut, ErrDamaged or ErrSum is as good as its own
// signatures.
func (c *Reader) Next() (*Item, error) {
	kind, body, err := c.frame()
	if err != nil {
		return nil, fmt.Errorf("read carry file: %w", err)
	}
	switch kind {
	case frameHeads:
		if len(body)%headSize != 0 {
			break
		}
		out := &Item{Heads: make([]Head, 0, len(body)/headSize)}
		for ; len(body) > 0; body = body[headSize:] {
			out.Heads = append(out.Heads, Head{Feed: protocol.FeedID(body[:32]), Seq: binary.BigEndian.Uint64(body[32:headSize])})
		}
		return out, nil
	case frameStatement:
		return &Item{Statement: body}, nil
	case frameHeader:
		return &Item{Header: body}, nil
	case frameEntry:
		if len(body) < 2 {
			break
		}
		n := int(binary.BigEndian.Uint16(body))
		if body = body[2:]; n > len(body) || n > protocol.MaxHeader || len(body)-n > protocol.MaxPayload {
			break
		}
		return &Item{Header: body[:n:n], Payload: body[n:]}, nil
	case frameEnd:
		return nil, c.end(body)
	}
	return nil, fmt.Errorf("read carry file: %w: a frame of type %d and %d bytes", ErrDamaged, kind, len(body))
}

func (c *Reader) end(body []byte) error {
	switch extra, _ := c.r.Read(make([]byte, 1)); {
	case len(body) != endSize || extra != 0:
		return fmt.Errorf("read carry file: %w: its end is none", ErrDamaged)
	case binary.BigEndian.Uint64(body) != c.count || !bytes.Equal(body[8:], c.sum.Sum(nil)):
		return fmt.Errorf("read carry file: %w", ErrSum)
	}
	return io.EOF
}

// IsFile reports whether a file that begins with these bytes is a carry file.
func IsFile(start []byte) bool { return bytes.HasPrefix(start, []byte(magic)) }

// MaxText is the length of the longest file that Statement reads.
const MaxText = 4 * protocol.MaxStatement

// Statement reads a file that holds one signed statement: its bytes, or these in
// base64 or hexadecimal with white space anywhere. ErrNone where it is none.
func Statement(file []byte) (*protocol.Statement, error) {
	if s, err := protocol.ParseStatement(file); err == nil {
		return s, nil
	}
	text := strings.Join(strings.Fields(string(file[:min(len(file), MaxText)])), "")
	for _, decode := range []func(string) ([]byte, error){
		hex.DecodeString, base64.StdEncoding.DecodeString, base64.RawURLEncoding.DecodeString,
	} {
		if raw, err := decode(text); err == nil {
			if s, err := protocol.ParseStatement(raw); err == nil {
				return s, nil
			}
		}
	}
	return nil, fmt.Errorf("read statement: %w, and no signed statement", ErrNone)
}

package badger

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// rowFormat changes with the encoding of rows or keys; an index of another
// format is made again.
const rowFormat = 2

const (
	rowRevoked = 1 << iota
	rowPartial
	rowTyped // the type stands apart since it is not the start of the ID
	rowGroup // the audience is not everyone and stands at the end
)

// appendRow encodes an object without its values. It is hand-made since the
// rate of indexing hangs on it.
func appendRow(b []byte, o *store.Object) []byte {
	var flags byte
	if o.Revoked {
		flags |= rowRevoked
	}
	if o.Summary.Partial {
		flags |= rowPartial
	}
	typed := typeOf(o.ID) != o.Type
	if typed {
		flags |= rowTyped
	}
	if !o.Summary.Audience.IsZero() {
		flags |= rowGroup
	}
	b = append(b, flags)
	b = append(b, o.Member[:]...)
	b = append(b, o.Content[:]...)
	b = appendString(b, o.ID)
	if typed {
		b = appendString(b, o.Type)
	}
	s := &o.Summary
	for _, n := range [...]int64{o.Modified, o.Created, int64(s.Confidence), s.ValidFrom, s.ValidUntil, s.FirstSeen, s.LastSeen, s.Received} {
		b = binary.AppendVarint(b, n)
	}
	b = binary.AppendUvarint(b, o.Arrival)
	b = binary.AppendUvarint(b, uint64(o.Ordinal))
	for _, text := range [...]string{s.Says, s.Action, s.TLP, s.PAP, s.CreatedBy, s.Share} {
		b = appendString(b, text)
	}
	if flags&rowGroup != 0 {
		b = append(b, s.Audience[:]...)
	}
	return b
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// typeOf is the type that a STIX identifier begins with.
func typeOf(stixID string) string {
	for i := 0; i+1 < len(stixID); i++ {
		if stixID[i] == '-' && stixID[i+1] == '-' {
			return stixID[:i]
		}
	}
	return ""
}

var errRow = errors.New("row is cut")

// rowReader reads a row's fields; the first error stays.
type rowReader struct {
	b   []byte
	err error
}

func (r *rowReader) take(n uint64) []byte {
	if r.err != nil || n > uint64(len(r.b)) {
		r.err = errRow
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *rowReader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.err = errRow
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *rowReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.err = errRow
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *rowReader) text() string { return string(r.take(r.uvarint())) }

// parseRow decodes what appendRow made.
func parseRow(b []byte) (store.Object, error) {
	var o store.Object
	r := rowReader{b: b}
	flags := r.take(1)
	member, content := r.take(32), r.take(8)
	if r.err != nil {
		return o, fmt.Errorf("read index: %w", r.err)
	}
	o.Member, o.Content = protocol.MemberID(member), [8]byte(content)
	o.ID = r.text()
	if flags[0]&rowTyped != 0 {
		o.Type = r.text()
	} else {
		o.Type = typeOf(o.ID)
	}
	o.Revoked = flags[0]&rowRevoked != 0
	s := &o.Summary
	s.Partial = flags[0]&rowPartial != 0
	o.Modified, o.Created, s.Confidence = r.varint(), r.varint(), int(r.varint())
	s.ValidFrom, s.ValidUntil = r.varint(), r.varint()
	s.FirstSeen, s.LastSeen, s.Received = r.varint(), r.varint(), r.varint()
	o.Arrival, o.Ordinal = r.uvarint(), uint32(r.uvarint())
	s.Says, s.Action, s.TLP, s.PAP = r.text(), r.text(), r.text(), r.text()
	s.CreatedBy, s.Share = r.text(), r.text()
	if flags[0]&rowGroup != 0 {
		copy(s.Audience[:], r.take(32))
	}
	if r.err != nil {
		return o, fmt.Errorf("read index: %w", r.err)
	}
	return o, nil
}

package badger

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// rowFormat changes with the encoding of rows or keys; an index of another
// format is made again.
const rowFormat = 3

// Flags of a version: what follows, since it differs from what the version has
// in common with the others of its arrival.
const (
	hasRevoked = 1 << iota // these three stand for themselves
	hasPartial
	hasOlder // older versions may be held
	hasType
	hasSays
	hasAction
	hasTLP
	hasPAP
	hasConfidence
	hasValidFrom
	hasValidUntil
	hasFirstSeen
	hasLastSeen
	hasReceived
	hasCreatedBy
	hasShare
	hasAudience
)

// common is what the objects of one arrival in one member's name have in common:
// in bulk nearly all but identifiers and values. It is written once and counts
// the versions that lean on it.
type common struct {
	number uint64
	member uint32
	o      store.Object // the first of them, without what is its own
	uses   uint64
	dirty  bool
}

// appendCommon encodes a common without its number.
func (c *common) append(b []byte) []byte {
	b = binary.AppendUvarint(b, c.uses)
	b = binary.AppendUvarint(b, uint64(c.member))
	b = binary.AppendUvarint(b, c.o.Arrival)
	b = appendString(b, c.o.Type)
	s := &c.o.Summary
	for _, n := range [...]int64{c.o.Modified, c.o.Created, int64(s.Confidence), s.ValidFrom, s.ValidUntil, s.FirstSeen, s.LastSeen, s.Received} {
		b = binary.AppendVarint(b, n)
	}
	for _, text := range [...]string{s.Says, s.Action, s.TLP, s.PAP, s.CreatedBy, s.Share} {
		b = appendString(b, text)
	}
	return append(b, s.Audience[:]...)
}

func parseCommon(number uint64, b []byte) (*common, error) {
	r := rowReader{b: b}
	c := &common{number: number, uses: r.uvarint(), member: uint32(r.uvarint())}
	c.o.Arrival, c.o.Type = r.uvarint(), r.text()
	s := &c.o.Summary
	c.o.Modified, c.o.Created, s.Confidence = r.varint(), r.varint(), int(r.varint())
	s.ValidFrom, s.ValidUntil, s.FirstSeen, s.LastSeen, s.Received = r.varint(), r.varint(), r.varint(), r.varint(), r.varint()
	s.Says, s.Action, s.TLP, s.PAP, s.CreatedBy, s.Share = r.text(), r.text(), r.text(), r.text(), r.text(), r.text()
	if audience := r.take(32); r.err == nil {
		copy(s.Audience[:], audience)
	}
	if r.err != nil {
		return nil, fmt.Errorf("read what objects of an arrival have in common: %w", r.err)
	}
	return c, nil
}

// A version is: member, number of its common, flags, content, times, place in
// the bundle, digests of its values, and what the flags say.

const digestLen = 4 // of a value within a version: tells which versions are about it

// appendVersion encodes a version.
func appendVersion(b []byte, o *store.Object, c *common, digests []byte, older bool) []byte {
	s, cs := &o.Summary, &c.o.Summary
	flags := uint64(0)
	set := func(on bool, flag uint64) {
		if on {
			flags |= flag
		}
	}
	set(o.Revoked, hasRevoked)
	set(s.Partial, hasPartial)
	set(older, hasOlder)
	set(o.Type != c.o.Type, hasType)
	set(s.Says != cs.Says, hasSays)
	set(s.Action != cs.Action, hasAction)
	set(s.TLP != cs.TLP, hasTLP)
	set(s.PAP != cs.PAP, hasPAP)
	set(s.Confidence != cs.Confidence, hasConfidence)
	set(s.ValidFrom != cs.ValidFrom, hasValidFrom)
	set(s.ValidUntil != cs.ValidUntil, hasValidUntil)
	set(s.FirstSeen != cs.FirstSeen, hasFirstSeen)
	set(s.LastSeen != cs.LastSeen, hasLastSeen)
	set(s.Received != cs.Received, hasReceived)
	set(s.CreatedBy != cs.CreatedBy, hasCreatedBy)
	set(s.Share != cs.Share, hasShare)
	set(s.Audience != cs.Audience, hasAudience)
	b = binary.AppendUvarint(b, uint64(c.member))
	b = binary.AppendUvarint(b, c.number)
	b = binary.AppendUvarint(b, flags)
	b = append(b, o.Content[:]...)
	b = binary.AppendVarint(b, o.Modified-c.o.Modified)
	b = binary.AppendVarint(b, o.Created-c.o.Created)
	b = binary.AppendUvarint(b, uint64(o.Ordinal))
	b = binary.AppendUvarint(b, uint64(len(digests)/digestLen))
	b = append(b, digests...)
	for i, text := range [...]string{o.Type, s.Says, s.Action, s.TLP, s.PAP} {
		if flags&(hasType<<i) != 0 {
			b = appendString(b, text)
		}
	}
	for i, n := range [...]int64{int64(s.Confidence - cs.Confidence), s.ValidFrom - cs.ValidFrom, s.ValidUntil - cs.ValidUntil, s.FirstSeen - cs.FirstSeen, s.LastSeen - cs.LastSeen, s.Received - cs.Received} {
		if flags&(hasConfidence<<i) != 0 {
			b = binary.AppendVarint(b, n)
		}
	}
	for i, text := range [...]string{s.CreatedBy, s.Share} {
		if flags&(hasCreatedBy<<i) != 0 {
			b = appendString(b, text)
		}
	}
	if flags&hasAudience != 0 {
		b = append(b, s.Audience[:]...)
	}
	return b
}

// version is a version as far as it can be read without its common.
type version struct {
	raw     []byte // all of it
	member  uint32
	common  uint64
	flags   uint64
	content [8]byte
	times   [2]int64 // modified and created, against the common's
	ordinal uint32
	digests []byte
	rest    []byte
}

func parseVersion(b []byte) (v version, err error) {
	r := rowReader{b: b}
	v.raw = b
	v.member, v.common, v.flags = uint32(r.uvarint()), r.uvarint(), r.uvarint()
	copy(v.content[:], r.take(8))
	v.times = [2]int64{r.varint(), r.varint()}
	v.ordinal = uint32(r.uvarint())
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		n, r.err = 0, errRow
	}
	v.digests, v.rest = r.take(n*digestLen), r.b
	if r.err != nil {
		return v, fmt.Errorf("read version: %w", r.err)
	}
	return v, nil
}

// about reports whether a version has a value with this digest.
func (v *version) about(digest []byte) bool {
	for d := v.digests; len(d) >= digestLen; d = d[digestLen:] {
		if bytes.Equal(d[:digestLen], digest) {
			return true
		}
	}
	return false
}

// object gives the whole version; ID and member are the caller's.
func (v *version) object(c *common) (store.Object, error) {
	o := c.o
	o.Content, o.Ordinal = v.content, v.ordinal
	o.Modified, o.Created = c.o.Modified+v.times[0], c.o.Created+v.times[1]
	o.Revoked = v.flags&hasRevoked != 0
	s := &o.Summary
	s.Partial = v.flags&hasPartial != 0
	r := rowReader{b: v.rest}
	for i, text := range [...]*string{&o.Type, &s.Says, &s.Action, &s.TLP, &s.PAP} {
		if v.flags&(hasType<<i) != 0 {
			*text = r.text()
		}
	}
	if v.flags&hasConfidence != 0 {
		s.Confidence += int(r.varint())
	}
	for i, n := range [...]*int64{&s.ValidFrom, &s.ValidUntil, &s.FirstSeen, &s.LastSeen, &s.Received} {
		if v.flags&(hasValidFrom<<i) != 0 {
			*n += r.varint()
		}
	}
	for i, text := range [...]*string{&s.CreatedBy, &s.Share} {
		if v.flags&(hasCreatedBy<<i) != 0 {
			*text = r.text()
		}
	}
	if v.flags&hasAudience != 0 {
		copy(s.Audience[:], r.take(uint64(len(protocol.AudienceID{}))))
	}
	if r.err != nil {
		return o, fmt.Errorf("read version: %w", r.err)
	}
	return o, nil
}

// An object's row is its ID and the newest version of every member, each after
// its length.

// Forms of an ID.
const (
	idIndicator = iota // of an indicator: 16 bytes
	idTyped            // the type, then 16 bytes
	idText             // as it is
)

func appendID(b []byte, id string) []byte {
	kind, text, ok := strings.Cut(id, "--")
	if ok && len(text) == 36 {
		var raw [16]byte
		digits := text[:8] + text[9:13] + text[14:18] + text[19:23] + text[24:]
		if n, err := hex.Decode(raw[:], []byte(digits)); err == nil && n == 16 && uuid(raw[:]) == text {
			if kind == "indicator" {
				return append(append(b, idIndicator), raw[:]...)
			}
			return append(appendString(append(b, idTyped), kind), raw[:]...)
		}
	}
	return appendString(append(b, idText), id)
}

func uuid(b []byte) string {
	var out [36]byte
	hex.Encode(out[:8], b[:4])
	out[8] = '-'
	hex.Encode(out[9:13], b[4:6])
	out[13] = '-'
	hex.Encode(out[14:18], b[6:8])
	out[18] = '-'
	hex.Encode(out[19:23], b[8:10])
	out[23] = '-'
	hex.Encode(out[24:], b[10:16])
	return string(out[:])
}

// objectRow is a row of an object: its ID, encoded, and its versions.
type objectRow struct {
	id       []byte
	versions []byte
}

func parseObject(b []byte) (row objectRow, err error) {
	r := rowReader{b: b}
	form := r.take(1)
	switch {
	case r.err != nil:
	case form[0] == idIndicator:
		r.take(16)
	case form[0] == idTyped:
		r.take(r.uvarint())
		r.take(16)
	case form[0] == idText:
		r.take(r.uvarint())
	default:
		r.err = errRow
	}
	if r.err != nil {
		return row, fmt.Errorf("read object: %w", r.err)
	}
	return objectRow{id: b[:len(b)-len(r.b)], versions: r.b}, nil
}

// text is the ID.
func (row *objectRow) text() string {
	r := rowReader{b: row.id[1:]}
	switch row.id[0] {
	case idIndicator:
		return "indicator--" + uuid(r.b)
	case idTyped:
		kind := r.text()
		return kind + "--" + uuid(r.b)
	}
	return r.text()
}

// each calls fn for the newest version of every member until it gives false.
func (row *objectRow) each(fn func(v *version) (bool, error)) error {
	for r := (rowReader{b: row.versions}); len(r.b) > 0; {
		raw := r.take(r.uvarint())
		if r.err != nil {
			return fmt.Errorf("read object: %w", r.err)
		}
		v, err := parseVersion(raw)
		if err != nil {
			return err
		}
		if more, err := fn(&v); err != nil || !more {
			return err
		}
	}
	return nil
}

// of gives the newest version of one member; ok is false where there is none.
func (row *objectRow) of(member uint32) (found version, ok bool, err error) {
	err = row.each(func(v *version) (bool, error) {
		if ok = v.member == member; ok {
			found = *v
		}
		return !ok, nil
	})
	return found, ok, err
}

// with gives the row with a member's version put in place of what it had; none
// takes it out.
func (row *objectRow) with(member uint32, none bool, raw []byte) ([]byte, error) {
	b := append(make([]byte, 0, len(row.id)+len(row.versions)+len(raw)+2), row.id...)
	err := row.each(func(v *version) (bool, error) {
		if v.member != member {
			b = append(binary.AppendUvarint(b, uint64(len(v.raw))), v.raw...)
		}
		return true, nil
	})
	if none {
		return b, err
	}
	return append(binary.AppendUvarint(b, uint64(len(raw))), raw...), err
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
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

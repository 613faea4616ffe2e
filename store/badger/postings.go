package badger

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// postings is the row of a value: which objects of which members have a version
// about it. That a posting is there says little: the newest version of the
// object tells whether it is about the value still. The list is cut where it
// grows long, so that adding to it costs the same always; the parts are rows of
// their own.
type postings struct {
	text  []byte // the value where its key was cut
	parts uint32 // full parts before this one
	list  []byte // id, member; id, member; ...
}

const (
	postingsText  = 1 << iota // the value's text follows
	postingsParts             // the number of parts follows

	postingsMost = 4 << 10 // bytes of a part
)

func (p *postings) append(b []byte) []byte {
	var flags byte
	if p.text != nil {
		flags |= postingsText
	}
	if p.parts > 0 {
		flags |= postingsParts
	}
	b = append(b, flags)
	if p.text != nil {
		b = appendString(b, string(p.text))
	}
	if p.parts > 0 {
		b = binary.AppendUvarint(b, uint64(p.parts))
	}
	return append(b, p.list...)
}

func parsePostings(b []byte) (p postings, err error) {
	r := rowReader{b: b}
	flags := r.take(1)
	if r.err == nil && flags[0]&postingsText != 0 {
		p.text = r.take(r.uvarint())
	}
	if r.err == nil && flags[0]&postingsParts != 0 {
		p.parts = uint32(r.uvarint())
	}
	if r.err != nil {
		return p, fmt.Errorf("read postings: %w", r.err)
	}
	p.list = r.b
	return p, nil
}

// posting is one object of one member.
type posting struct {
	id     [idLen]byte
	member uint32
}

// eachPosting calls fn for the postings of a list, with the bytes of each, until
// it gives false.
func eachPosting(list []byte, fn func(p posting, at, end int) (bool, error)) error {
	for r := (rowReader{b: list}); len(r.b) > 0; {
		at := len(list) - len(r.b)
		id := r.take(idLen)
		member := r.uvarint()
		if r.err != nil {
			return fmt.Errorf("read postings: %w", r.err)
		}
		if more, err := fn(posting{[idLen]byte(id), uint32(member)}, at, len(list)-len(r.b)); err != nil || !more {
			return err
		}
	}
	return nil
}

// find gives where a posting is in a list.
func find(list []byte, want posting) (at, end int, ok bool, err error) {
	if !bytes.Contains(list, want.id[:]) {
		return 0, 0, false, nil
	}
	err = eachPosting(list, func(p posting, from, to int) (bool, error) {
		if p == want {
			at, end, ok = from, to, true
		}
		return !ok, nil
	})
	return at, end, ok, err
}

func appendPosting(list []byte, p posting) []byte {
	return binary.AppendUvarint(append(list, p.id[:]...), uint64(p.member))
}

// partKey is the key of a full part of a value's postings.
func partKey(valueKey []byte, part uint32) []byte {
	key := append(make([]byte, 0, len(valueKey)+4), valueKey...)
	key[0] = indexValues
	return binary.BigEndian.AppendUint32(key, part)
}

package stix

import (
	"crypto/sha256"
	"slices"
	"strings"
	"sync"
)

// ContentHash is the SHA-256 of what an object says, whenever it was said:
// all of it but created, modified and valid_from, in which a second sharing
// of the same thing differs from the first. Order of properties and white
// space do not matter; the order within nested objects does.
func ContentHash(o Object) [32]byte {
	w := hashing.Get().(*hashSpace)
	defer hashing.Put(w)
	c := checker{members: w.members[:0]}
	c.collect(string(o.Raw))
	w.members = c.members
	sortByName(c.members)
	buf := w.buf[:0]
	for i := range c.members {
		m := &c.members[i]
		switch m.name {
		case "created", "modified", "valid_from":
			continue
		}
		buf = appendJSON(buf, m.name)
		buf = append(buf, ':')
		buf = compact(buf, m.value)
		buf = append(buf, ',')
	}
	w.buf = buf
	return sha256.Sum256(buf)
}

// hashSpace is what ContentHash works in, kept for the next call.
type hashSpace struct {
	members []member
	buf     []byte
}

var hashing = sync.Pool{New: func() any { return &hashSpace{members: make([]member, 0, 40), buf: make([]byte, 0, 1<<10)} }}

// sortByName sorts in place: by insertion, which suits the dozen properties
// that objects have, unless there are many.
func sortByName(all []member) {
	if len(all) > 64 {
		slices.SortFunc(all, func(a, b member) int { return strings.Compare(a.name, b.name) })
		return
	}
	for i := 1; i < len(all); i++ {
		for j := i; j > 0 && all[j].name < all[j-1].name; j-- {
			all[j], all[j-1] = all[j-1], all[j]
		}
	}
}

// compact appends valid JSON without the white space between its tokens.
func compact(dst []byte, s string) []byte {
	for {
		quote := strings.IndexByte(s, '"')
		if quote < 0 {
			return squeeze(dst, s)
		}
		dst = squeeze(dst, s[:quote])
		c := cursor{s: s[quote:]}
		c.rawString()
		dst = append(dst, s[quote:quote+c.i]...)
		s = s[quote+c.i:]
	}
}

// squeeze appends s, in which there are no strings, without white space.
func squeeze(dst []byte, s string) []byte {
	for i := range len(s) {
		switch s[i] {
		case ' ', '\n', '\t', '\r':
		default:
			dst = append(dst, s[i])
		}
	}
	return dst
}

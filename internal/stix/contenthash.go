package stix

import (
	"crypto/sha256"
	"slices"
	"strings"
)

// ContentHash is the SHA-256 of what an object says, whenever it was said:
// all of it but created, modified and valid_from, in which a second sharing
// of the same thing differs from the first. Order of properties and white
// space do not matter; the order within nested objects does.
func ContentHash(o Object) [32]byte {
	var stack [40]member
	c := checker{members: stack[:0]}
	c.collect(string(o.Raw))
	slices.SortFunc(c.members, func(a, b member) int { return strings.Compare(a.name, b.name) })
	buf := make([]byte, 0, len(o.Raw)+16)
	for _, m := range c.members {
		switch m.name {
		case "created", "modified", "valid_from":
			continue
		}
		buf = appendJSON(buf, m.name)
		buf = append(buf, ':')
		buf = compact(buf, m.value)
		buf = append(buf, ',')
	}
	return sha256.Sum256(buf)
}

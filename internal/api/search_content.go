package api

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tipmesh/tipmesh/internal/stix"
	"github.com/tipmesh/tipmesh/internal/words"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
)

// Bounds of what one answer opens and quotes.
const (
	mostSearchOpened = 256     // entries
	maxQuoted        = 8 << 10 // bytes of a text that a snippet is looked for in
	maxSnippet       = 160     // bytes
	mostHitValues    = 16
)

// used tells whether what a member says is shown here.
func (s *Server) used(o *store.Object) bool { return s.decision(o).Use >= trust.UseRead }

// content is what the index does not keep of an object.
type content struct {
	values []Value
	refs   []string
	prose  []string
}

// contents are the objects of entries that were opened for one answer.
type contents struct {
	s    *Server
	have map[uint64]map[uint32]*content
}

// of gives what an object holds; nil where its entry cannot be opened, or too many
// were.
func (c *contents) of(o *store.Object) *content {
	in, ok := c.have[o.Arrival]
	if !ok {
		if len(c.have) >= mostSearchOpened {
			return nil
		}
		if c.have == nil {
			c.have = map[uint64]map[uint32]*content{}
		}
		in = c.open(o.Arrival)
		c.have[o.Arrival] = in
	}
	return in[o.Ordinal]
}

// has tells whether an object's entry has been opened.
func (c *contents) has(o *store.Object) bool { return c.have[o.Arrival] != nil }

func (c *contents) open(arrival uint64) map[uint32]*content {
	bundle, _, err := c.s.bundleOf(arrival)
	if err != nil {
		return nil // erased meanwhile
	}
	out := map[uint32]*content{}
	// What does not parse was shared by a member that breaks the rules: what came
	// before it is kept.
	_ = stix.Scan(bundle, func(ordinal int, _ []byte, f *stix.Facts) error {
		x := &content{values: valuesOf(f)}
		if f.Type != "grouping" {
			for _, id := range f.Refs {
				x.refs = append(x.refs, strings.Clone(id))
			}
		}
		for _, text := range append([]string{f.Name}, f.Prose...) {
			x.prose = append(x.prose, strings.Clone(shortened(text, maxQuoted)))
		}
		out[uint32(ordinal)] = x
		return nil
	})
	return out
}

// snippet quotes what stands around the first of the words.
func (x *content) snippet(found []string) string {
	for i := len(x.prose) - 1; i >= 0; i-- { // the name comes first, and is the title
		if text := words.Around(x.prose[i], found, maxSnippet); text != "" {
			return printable(text)
		}
	}
	return ""
}

// printable takes out what could move a cursor, hide text or reorder it.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == utf8.RuneError || r == '\u2028' || r == '\u2029' {
			return -1
		}
		return r
	}, s)
}

// titleOf is the name of what has one: the first of what it says.
func titleOf(o *store.Object) string {
	switch o.Type {
	case "indicator", "note", "opinion", "sighting":
		return o.Summary.Says
	}
	return nameIn(o.Summary.Says)
}

// nameIn is the name that what an object says begins with.
func nameIn(says string) string {
	name, _, _ := strings.Cut(says, "; ")
	return name
}

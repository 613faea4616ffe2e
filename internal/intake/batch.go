// Package intake reads what people and tools hand in, recognises its kind, and gives what can be shared and what
// cannot, with a reason for each.
//
// It reads STIX 2.1 and 2.0 as JSON, plain lists of one value a line, and free text, of which Markdown and
// AsciiDoc are a kind. CSV and MISP events are recognised and refused with a hint. It decides about form only:
// warninglists, protect lists and the mesh's rules come later.
package intake

import (
	"fmt"
	"strings"

	"github.com/tipmesh/tipmesh/internal/observable"
	"github.com/tipmesh/tipmesh/internal/stix"
)

// Limits of one input.
const (
	MaxInput  = 256 << 20 // bytes
	MaxLine   = 4 << 20   // bytes of one line of a list or text
	MaxValues = 2_000_000 // values, left out ones included
)

// The formats Read recognises.
const (
	FormatSTIX21   = "stix-2.1"
	FormatSTIX20   = "stix-2.0"
	FormatList     = "list"
	FormatText     = "text"
	FormatMarkdown = "markdown"
)

// Batch is what one input holds.
type Batch struct {
	// Format is one of the Format constants.
	Format string
	// Objects are the objects of a STIX input, as they came.
	Objects []stix.Object
	// Values are the values of a list or text, each once, in order.
	Values []Item
	// LeftOut is what was met and not taken.
	LeftOut []LeftOut
	// Found counts Values by observable type, or Objects by STIX type.
	Found map[string]int
}

// Item is a value and the line, 1-based, where it stands first.
type Item struct {
	Value observable.Value
	Line  int
}

// LeftOut is something that was not taken. Value is defanged text or a STIX id, Line is 1-based and 0 for STIX,
// Reason is a code of the closed list, Text says it in words.
type LeftOut struct {
	Value  string `json:"value"`
	Line   int    `json:"line"`
	Reason string `json:"reason"`
	Text   string `json:"text"`

	// Refused tells that somebody meant this to be shared: a line of a list that is no value or must not be
	// shared, a STIX object that is broken. What is passed over in free text, and duplicates, are not refused.
	Refused bool `json:"-"`
}

// Refused tells whether a part of the input was refused, so that the whole was done only partly (exit code 7).
func (b *Batch) Refused() bool {
	for i := range b.LeftOut {
		if b.LeftOut[i].Refused {
			return true
		}
	}
	return false
}

// InputError tells that the whole input could not be used. Line is 1-based, 0 if no line is to blame; Path
// points into JSON; Reason is "too_large" or "malformed"; Hint says what to do about it, if anything can be.
type InputError struct {
	File   string
	Line   int
	Path   string
	Text   string
	Hint   string
	Reason string
	Err    error
}

func (e *InputError) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	if e.Path != "" {
		b.WriteString(": " + e.Path)
	}
	b.WriteString(": " + e.Text)
	if e.Hint != "" {
		b.WriteString(" (" + e.Hint + ")")
	}
	return b.String()
}

// Unwrap gives the error below, if there is one.
func (e *InputError) Unwrap() error { return e.Err }

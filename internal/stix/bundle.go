package stix

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Codes of problems.
const (
	CodeMalformed   = "malformed"   // a property has the wrong form
	CodeMissing     = "missing"     // a required property is not there
	CodeTooLarge    = "too_large"   // more than MaxObjectBytes
	CodeDuplicate   = "duplicate"   // same id and modified, other content
	CodeRepeated    = "repeated"    // the very same object again; harmless
	CodeUnsupported = "unsupported" // a spec_version not known here
)

// Problem says why one object of a document was refused.
type Problem struct {
	Path string // objects[12].pattern; [12].pattern in an array; pattern
	ID   string // the object's id, as far as it has one
	Text string
	Code string
}

// String gives the problem in one line.
func (p Problem) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s %s: %s (%s)", p.Path, p.ID, p.Text, p.Code))
}

var (
	errNotObject = errors.New("not an object")
	errTooLarge  = fmt.Errorf("object of more than %d bytes", MaxObjectBytes)
)

// ParseBundle reads a bundle, a TAXII envelope, a JSON array of objects, or a
// single object. Objects that break STIX 2.1's rules for common and required
// properties (sections 3, 4, 5, 6 and 7) are left out and told of as
// problems; the others come back in their order, their Raw aliasing data.
// Types that STIX does not know need only id and type, and both of created
// and modified or neither. Properties it does not know are left alone.
//
// The error is for documents of which nothing can be used: not JSON, bad
// UTF-8, a name twice in one object, nested deeper than MaxDepth, more than
// MaxObjects. It names line and byte.
//
// An object without spec_version is STIX 2.0, unless it is an observable
// (section 3.2). It is upgraded in the least way: "spec_version":"2.1" is
// inserted in front, "pattern_type":"stix" into an indicator, and
// "is_family":true into malware, which in 2.0 was mostly a family's name.
// All else stays, labels included. Such an Object is marked Upgraded: its
// bytes are no longer its author's.
func ParseBundle(data []byte) ([]Object, []Problem, error) {
	all := string(data)
	p := intake{data: data, seen: make(map[version]int)}
	err := walk(data, func(s span) error {
		if s.end-s.start > MaxObjectBytes {
			p.refuse(s, "", "", CodeTooLarge, errTooLarge.Error())
			return nil
		}
		if s.kind != '{' {
			p.refuse(s, "", "", CodeMalformed, errNotObject.Error())
			return nil
		}
		c := checker{members: p.members[:0]}
		c.collect(all[s.start:s.end])
		p.members = c.members
		if c.depth > MaxDepth-2 {
			return placed(data, s.start, errDepth)
		}
		p.take(s, &c)
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	return p.objects, p.problems, nil
}

// version is what STIX tells objects apart by. Times are all in UTC, so they
// compare with ==.
type version struct {
	id       string
	modified time.Time
}

// intake collects what ParseBundle returns.
type intake struct {
	data     []byte
	objects  []Object
	problems []Problem
	seen     map[version]int // place in objects
	members  []member        // reused
}

func (p *intake) refuse(s span, id, property, code, text string) {
	path := s.list + "[" + strconv.Itoa(s.ordinal) + "]"
	if s.list == "." {
		path = ""
	}
	if property != "" {
		path = strings.TrimPrefix(path+"."+property, ".")
	}
	p.problems = append(p.problems, Problem{Path: path, ID: clip(id), Text: text, Code: code})
}

// clip keeps a hostile id from filling a log.
func clip(s string) string {
	if len(s) > 100 {
		s = s[:100] + "…"
	}
	return strings.ToValidUTF8(s, "")
}

func (p *intake) take(s span, c *checker) {
	o, faults := c.check()
	for _, f := range faults {
		p.refuse(s, o.ID, f.property, f.code, f.text)
	}
	if len(faults) > 0 {
		return
	}
	raw := p.data[s.start:s.end]
	o.Raw = raw
	if c.old {
		o.Raw, o.Upgraded = upgrade(raw, c), true
	}
	key := version{o.ID, o.Modified}
	first, again := p.seen[key]
	switch {
	case !again:
		p.seen[key] = len(p.objects)
		p.objects = append(p.objects, o)
	case bytes.Equal(compact(nil, string(o.Raw)), compact(nil, string(p.objects[first].Raw))):
		p.refuse(s, o.ID, "", CodeRepeated, "the same object again")
	default:
		p.refuse(s, o.ID, "id", CodeDuplicate, "same id and modified as an object before, other content")
	}
}

// upgrade makes a STIX 2.0 object a 2.1 one, see ParseBundle.
func upgrade(raw []byte, c *checker) []byte {
	out := make([]byte, 0, len(raw)+64)
	if v, ok := c.find("spec_version"); ok {
		// An object that says 2.0 itself has the number replaced.
		out = append(append(append(out, raw[:v.at]...), `"2.1"`...), raw[v.at+len(v.value):]...)
		raw, out = out, make([]byte, 0, len(raw)+64)
		out = append(out, '{')
	} else {
		out = append(out, `{"spec_version":"2.1",`...)
	}
	if _, ok := c.find("pattern_type"); !ok && c.kind == "indicator" {
		out = append(out, `"pattern_type":"stix",`...)
	}
	if _, ok := c.find("is_family"); !ok && c.kind == "malware" {
		out = append(out, `"is_family":true,`...)
	}
	return append(out, raw[1:]...)
}

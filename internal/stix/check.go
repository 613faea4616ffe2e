package stix

import (
	"fmt"
	"strings"
	"time"
)

// member is one property of an object.
type member struct {
	name, value string // value as JSON
	at          int    // where value starts in the object
}

// fault is one broken rule.
type fault struct{ property, code, text string }

// checker holds one object's properties and collects its faults.
type checker struct {
	members []member
	kind    string
	id      string
	depth   int
	old     bool // STIX 2.0
	faults  []fault
}

// collect lists the properties of a valid JSON object.
func (c *checker) collect(s string) {
	cur := walkOver(s)
	cur.enter('{')
	for cur.more() {
		name := cur.text()
		cur.space()
		at := cur.i
		cur.skip()
		c.members = append(c.members, member{name, s[at:cur.i], at})
	}
	c.depth = cur.deepest + 1
}

func (c *checker) find(name string) (member, bool) {
	for _, m := range c.members {
		if m.name == name {
			return m, true
		}
	}
	return member{}, false
}

func (c *checker) bad(property, code, format string, args ...any) {
	c.faults = append(c.faults, fault{property, code, fmt.Sprintf(format, args...)})
}

// str returns a string property; "" with a fault if it is something else.
func (c *checker) str(name string) (string, bool) {
	m, ok := c.find(name)
	if !ok {
		return "", false
	}
	if !strings.HasPrefix(m.value, `"`) {
		c.bad(name, CodeMalformed, "not a string")
		return "", false
	}
	cur := cursor{s: m.value}
	return cur.text(), true
}

func (c *checker) time(name string) time.Time {
	s, ok := c.str(name)
	if !ok {
		return time.Time{}
	}
	t, err := ParseTime(s)
	if err != nil {
		c.bad(name, CodeMalformed, "%v", err)
	}
	return t
}

// check applies the rules, cheapest first, and returns the object without its
// Raw.
func (c *checker) check() (Object, []fault) {
	var o Object
	var ok bool
	if c.kind, ok = c.str("type"); !ok || !validType(c.kind) {
		c.need("type", ok)
		return o, c.faults
	}
	if c.id, ok = c.str("id"); !ok || !ValidID(c.id) || IDType(c.id) != c.kind {
		o.ID = c.id
		c.need("id", ok)
		return o, c.faults
	}
	o.Type, o.ID = c.kind, c.id
	c.version()
	c.times(&o)
	if o.CreatedBy, ok = c.str("created_by_ref"); ok && !refTo(o.CreatedBy, "identity") {
		c.bad("created_by_ref", CodeMalformed, "not the id of an identity")
	}
	if m, ok := c.find("revoked"); ok {
		if o.Revoked = m.value == "true"; !o.Revoked && m.value != "false" {
			c.bad("revoked", CodeMalformed, "neither true nor false")
		}
	}
	if m, ok := c.find("confidence"); ok {
		cur := cursor{s: m.value}
		if n := cur.int(); n < 0 || n > 100 || strings.Trim(m.value, "0123456789") != "" {
			c.bad("confidence", CodeMalformed, "not a whole number of 0 to 100")
		}
	}
	c.required()
	c.lists()
	c.special()
	return o, c.faults
}

// need tells of a property that is missing, or there but of the wrong form.
func (c *checker) need(name string, there bool) {
	switch {
	case len(c.faults) > 0: // told already: not a string
	case !there:
		c.bad(name, CodeMissing, "%s is required", name)
	case name == "id" && ValidID(c.id):
		c.bad(name, CodeMalformed, "id names another type than %s", c.kind)
	case name == "id":
		c.bad(name, CodeMalformed, "not of the form type--UUID")
	default:
		c.bad(name, CodeMalformed, "not a STIX type name")
	}
}

// version settles whether this is STIX 2.0: section 3.2 gives objects without
// spec_version the version 2.0, but observables 2.1.
func (c *checker) version() {
	v, ok := c.str("spec_version")
	switch {
	case !ok:
		_, created := c.find("created")
		c.old = !observable(c.kind) && (known(c.kind) || created)
	case v == "2.0":
		c.old = true
	case v != "2.1":
		c.bad("spec_version", CodeUnsupported, "version %.20q is not known", v)
	}
}

// times reads created and modified, where the type has them.
func (c *checker) times(o *Object) {
	if observable(c.kind) {
		return // process has a created of its own
	}
	_, created := c.find("created")
	_, modified := c.find("modified")
	if !created && (modified || known(c.kind)) {
		c.bad("created", CodeMissing, "created is required")
	}
	if !modified && c.kind != "marking-definition" && (created || known(c.kind)) {
		c.bad("modified", CodeMissing, "modified is required")
	}
	o.Created = c.time("created")
	if c.kind != "marking-definition" {
		o.Modified = c.time("modified")
	}
	if !o.Modified.IsZero() && o.Modified.Before(o.Created) {
		c.bad("modified", CodeMalformed, "earlier than created")
	}
}

// lists applies two rules to all properties: no list is empty (section 2.11),
// and references are ids. Custom properties and extensions are their
// authors' business.
func (c *checker) lists() {
	for _, m := range c.members {
		if strings.HasPrefix(m.name, "x_") || m.name == "extensions" {
			continue
		}
		if emptyList(m.value) {
			c.bad(m.name, CodeMalformed, "empty list")
			continue
		}
		switch {
		case m.name == "object_marking_refs":
			c.refs(m, "marking-definition")
		case m.name == "object_refs" || m.name == "where_sighted_refs" || m.name == "observed_data_refs":
			c.refs(m, "")
		case m.name == "source_ref" || m.name == "target_ref" || m.name == "sighting_of_ref" || m.name == "object_ref":
			if s, ok := c.str(m.name); ok && !ValidID(s) {
				c.bad(m.name, CodeMalformed, "not an id")
			}
		}
	}
}

func (c *checker) refs(m member, kind string) {
	cur := cursor{s: m.value}
	if !cur.enter('[') {
		c.bad(m.name, CodeMalformed, "not a list")
		return
	}
	for i := 0; cur.more(); i++ {
		if s := cur.text(); !refTo(s, kind) {
			c.bad(fmt.Sprintf("%s[%d]", m.name, i), CodeMalformed, "not an id %s", of(kind))
			return
		}
	}
}

func of(kind string) string {
	if kind == "" {
		return "of an object"
	}
	return "of a " + kind
}

func refTo(id, kind string) bool {
	return ValidID(id) && (kind == "" || IDType(id) == kind)
}

// emptyList tells whether there is an empty list anywhere in a JSON value.
func emptyList(s string) bool {
	if strings.IndexByte(s, '[') < 0 {
		return false
	}
	c := cursor{s: s}
	for {
		switch c.peek() {
		case 0:
			return false
		case '"':
			c.rawString()
		case '[':
			c.i++
			if c.peek() == ']' {
				return true
			}
		case '{', '}', ']':
			c.i++
		default:
			c.scalar()
		}
	}
}

package intake

import (
	"bytes"
	"fmt"
	"time"

	"github.com/tipmesh/tipmesh/internal/stix"
)

// bundleTarget is how many bytes of JSON go into one bundle, as long as single
// objects are not larger: enough to compress well, little enough to arrive soon.
const bundleTarget = 200 << 10

// ComposeOptions say in whose name and how the content of a Batch is shared.
type ComposeOptions struct {
	Author stix.Author
	// AuthorModified is when the author's identity last changed; zero: never.
	AuthorModified time.Time
	// ShareID names the act of sharing: a grouping's STIX id.
	ShareID string
	Title   string
	// Handling is what the author says with every value. Its TLP is the least
	// strict the share may have; its Action goes to STIX objects that say none.
	Handling stix.Handling
	// Held gives the newest version of an object that the author shared before.
	// Nil: nothing is held.
	Held func(stixID string) (HeldVersion, bool)
	Now  time.Time
}

// HeldVersion is a version of an object that was shared before.
type HeldVersion struct {
	Content           [8]byte // start of stix.ContentHash
	Created, Modified time.Time
	Revoked           bool // withdrawn, for good: what is said anew gets another identifier
}

// Composed is what is to be shared.
type Composed struct {
	ShareID string
	// Bundles are STIX bundles. Each holds the author, the TLP markings used,
	// one grouping that records the share, and some of the objects.
	Bundles [][]byte
	// IDs are the ids of all objects in order, those held already included.
	IDs []string
	New int // objects in Bundles, without what every bundle repeats
	TLP stix.TLP
	// LeftOut is what Compose left out, in addition to the Batch's own.
	LeftOut []LeftOut
	// Raised names the first object whose own TLP is stricter than the one
	// asked for; it made TLP what it is. RaisedBy counts such objects.
	Raised   string
	RaisedBy int
	// NoContext counts indicators that come without context: no family or the
	// like they belong to, or no times at which they were seen.
	NoContext int
}

// Compose turns what was read into bundles. Values become indicators in the
// author's name, with a malware object and relationships to it where a family is
// given; STIX objects pass byte for byte. What the author has shared before with
// the same content is left out; with other content it becomes a new version.
func Compose(b *Batch, o ComposeOptions) (*Composed, error) {
	if !stix.ValidID(o.Author.ID) || stix.IDType(o.ShareID) != "grouping" {
		return nil, fmt.Errorf("compose share: author %q or share %q is no STIX id", o.Author.ID, o.ShareID)
	}
	if o.Held == nil {
		o.Held = func(string) (HeldVersion, bool) { return HeldVersion{}, false }
	}
	out := &Composed{TLP: o.Handling.TLP, ShareID: o.ShareID}
	c := &composer{o: o, out: out}
	facts := out.survey(b.Objects)
	o.Handling.TLP, c.o.Handling.TLP = out.TLP, out.TLP
	c.pack.prepare(o, b.Objects, facts)
	for i := range b.Objects {
		c.object(&b.Objects[i], &facts[i])
	}
	if len(b.Values) > 0 {
		c.family()
	}
	for i := range b.Values {
		c.value(&b.Values[i])
	}
	c.pack.flush()
	out.Bundles, out.New = c.pack.bundles, c.pack.count
	return out, nil
}

// composer goes through a batch.
type composer struct {
	o       ComposeOptions
	out     *Composed
	pack    packer
	malware string // id of the family all values belong to
	asked   string // the id that was last looked for among what is held, and what was found
	found   HeldVersion
	held    bool
}

// heldAs is Held, which is asked once for each id in a row.
func (c *composer) heldAs(id string) (HeldVersion, bool) {
	if c.asked != id {
		c.asked = id
		c.found, c.held = c.o.Held(id)
	}
	return c.found, c.held
}

// family begins with the malware object that the values' relationships name.
func (c *composer) family() {
	// When and how surely the values were seen says nothing of the family.
	m := stix.NewMalware(c.o.Author, c.o.Handling.Malware, stix.Handling{TLP: c.o.Handling.TLP}, c.o.Now)
	if m.ID == "" {
		return
	}
	m = c.unwithdrawn(m)
	c.malware = m.ID
	c.out.IDs = append(c.out.IDs, m.ID)
	if c.settle(&m) != versionSame {
		c.pack.add(m)
	}
}

// value shares one value.
func (c *composer) value(item *Item) {
	h := &c.o.Handling
	ind := stix.NewIndicator(c.o.Author, string(item.Value.Type), item.Value.Text, *h, c.o.Now)
	if ind.ID == "" {
		c.out.LeftOut = append(c.out.LeftOut, LeftOut{Value: item.Value.Defanged(), Line: item.Line, Reason: "no_form",
			Text: "no indicator can be made of a " + string(item.Value.Type), Refused: true})
		return
	}
	ind = c.unwithdrawn(ind)
	c.out.IDs = append(c.out.IDs, ind.ID)
	if h.Malware == "" || h.FirstSeen.IsZero() || h.LastSeen.IsZero() {
		c.out.NoContext++
	}
	switch c.settle(&ind) {
	case versionSame:
		c.out.LeftOut = append(c.out.LeftOut, LeftOut{Value: item.Value.Defanged(), Line: item.Line, Reason: "duplicate",
			Text: "shared before, unchanged"})
		return
	case versionFirst:
		c.pack.add(ind)
		c.relate(ind.ID, false)
	case versionNext:
		c.pack.add(ind)
		c.relate(ind.ID, true)
	}
}

// relate says that an indicator indicates the family.
func (c *composer) relate(indicator string, perhapsHeld bool) {
	if c.malware == "" {
		return
	}
	rel := stix.NewRelationship(c.o.Author, "indicates", indicator, c.malware, stix.Handling{TLP: c.o.Handling.TLP}, c.o.Now)
	if perhapsHeld {
		rel = c.unwithdrawn(rel)
	}
	c.out.IDs = append(c.out.IDs, rel.ID)
	if !perhapsHeld || c.settle(&rel) != versionSame {
		c.pack.add(rel)
	}
}

// version says how something of our own stands to what is held.
type version uint8

const (
	versionFirst version = iota // not held
	versionSame                 // held with the same content
	versionNext                 // held with other content
)

// settle compares an object just made with the one held, and makes it the next
// version of that one if it says something else.
func (c *composer) settle(o *stix.Object) version {
	held, ok := c.heldAs(o.ID)
	if !ok {
		return versionFirst
	}
	if sameContent(o, held) {
		return versionSame
	}
	modified := c.o.Now
	// A clock that was set back must not make the new version the older one.
	if next := held.Modified.Add(time.Millisecond); modified.Before(next) {
		modified = next
	}
	restamp(o, held.Created, modified)
	return versionNext
}

func sameContent(o *stix.Object, held HeldVersion) bool {
	sum := stix.ContentHash(*o)
	return [8]byte(sum[:8]) == held.Content
}

// restamp changes the times in an object that package stix has just made, which
// writes each property once and all times with 24 characters.
func restamp(o *stix.Object, created, modified time.Time) {
	set := func(name string, t time.Time) {
		if i := bytes.Index(o.Raw, []byte(`"`+name+`":"`)); i >= 0 {
			stix.AppendTime(o.Raw[:i+len(name)+4], t.UTC().Truncate(time.Millisecond))
		}
	}
	set("created", created)
	set("modified", modified)
	o.Created, o.Modified = created, modified
}

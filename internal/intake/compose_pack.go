package intake

import (
	"slices"

	"github.com/tipmesh/tipmesh/internal/stix"
)

// refBytes is what an object's line in the grouping takes, about.
const refBytes = 64

// repeated tells the types that every bundle which refers to them repeats, so
// that each can be read alone. The index does not count them.
func repeated(kind string) bool {
	return kind == "marking-definition" || kind == "extension-definition"
}

// packer cuts objects into bundles.
type packer struct {
	o       ComposeOptions
	given   []stix.Object // markings and extensions that came with the input
	always  []stix.Object // in front of every bundle, unless the bundle has them
	each    bool          // given goes into every bundle, not only the first
	objects []stix.Object
	size    int
	count   int
	bundles [][]byte
	plain   bool // no grouping records what the bundles bring
}

// prepare decides what stands in front of every bundle.
func (p *packer) prepare(o ComposeOptions, objects []stix.Object, facts []stix.Facts) {
	p.o = o
	have := map[string]bool{}
	size := 0
	for i := range objects {
		if repeated(objects[i].Type) && !have[objects[i].ID] {
			have[objects[i].ID] = true
			p.given = append(p.given, objects[i])
			size += len(objects[i].Raw)
		}
	}
	p.each = size <= bundleTarget/8
	author := o.Author.Identity()
	if o.AuthorModified.After(author.Created) {
		restamp(&author, author.Created, o.AuthorModified)
	}
	p.always = []stix.Object{author}
	used := map[stix.TLP]bool{o.Handling.TLP: true}
	for i := range facts {
		used[facts[i].TLP] = true
	}
	for _, tlp := range stix.TLPs() {
		if used[tlp] {
			p.always = append(p.always, tlp.Marking())
		}
	}
	p.always = append(p.always, stix.HandlingExtension())
}

// add puts an object into the bundle that is being filled, or begins another.
func (p *packer) add(o stix.Object) {
	n := len(o.Raw) + refBytes
	if p.size+n > bundleTarget {
		p.flush()
	}
	p.objects = append(p.objects, o)
	p.size += n
	p.count++
}

// flush ends a bundle.
func (p *packer) flush() {
	if len(p.objects) == 0 {
		return
	}
	part := len(p.bundles)
	refs := make([]string, len(p.objects))
	for i := range p.objects {
		refs[i] = p.objects[i].ID
	}
	h := stix.Handling{TLP: p.o.Handling.TLP, Action: p.o.Handling.Action}
	all := p.front(part == 0, refs)
	if !p.plain {
		all = append(all, stix.NewGroupingPart(p.o.Author, p.o.ShareID, part, p.o.Title, refs, h, p.o.Now))
	}
	all = append(all, p.objects...)
	size := 128
	for i := range all {
		size += len(all[i].Raw) + 1
	}
	p.bundles = append(p.bundles, stix.AppendBundle(make([]byte, 0, size), bundleID(), all))
	p.objects, p.size = p.objects[:0], 0
}

// front gives what a bundle begins with: the author, the markings and the
// extension, except what the bundle has from its input.
func (p *packer) front(first bool, ids []string) []stix.Object {
	given := p.given
	if !first && !p.each {
		given = nil
	}
	out := make([]stix.Object, 0, len(p.always)+len(given)+len(ids)+1)
	for _, o := range p.always {
		same := func(g stix.Object) bool { return g.ID == o.ID }
		if !slices.ContainsFunc(given, same) && !slices.Contains(ids, o.ID) {
			out = append(out, o)
		}
	}
	return append(out, given...)
}

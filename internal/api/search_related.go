package api

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/tipmesh/tipmesh/internal/verdict"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// byFamilies finds what filters by name ask for: the things of that name, what
// refers to them, and what a relationship ties to them.
func (x *searching) byFamilies() error {
	var found []store.Object
	for i, f := range x.q.families {
		list, err := x.ofFamily(f)
		if err != nil {
			return err
		}
		if i == 0 {
			found = list
			continue
		}
		in := idsOf(list)
		found = slices.DeleteFunc(found, func(o store.Object) bool { return !in[o.ID] })
	}
	if len(x.q.tokens) > 0 || x.q.prefix != "" {
		return x.byWords(idsOf(found))
	}
	return x.listed(found)
}

func idsOf(list []store.Object) map[string]bool {
	out := make(map[string]bool, len(list))
	for _, o := range list {
		out[o.ID] = true
	}
	return out
}

// ofFamily gives what one filter by name finds, none twice.
func (x *searching) ofFamily(f family) ([]store.Object, error) {
	index := x.s.n.Store().Index()
	q := f.q
	q.Limit = mostNamed
	named, next, err := index.Search(q)
	if err != nil {
		return nil, fmt.Errorf("search %s: %w", f.text, err)
	}
	if next != 0 {
		x.note(fmt.Sprintf("more than %d things are %s: of others nothing is told", mostNamed, f.text))
	}
	named = slices.DeleteFunc(x.s.n.Visible(named), func(o store.Object) bool { return o.Revoked || !x.s.used(&o) })
	set := &objectSet{seen: map[objectIn]bool{}}
	set.add(named...)
	asked, related := map[string]bool{}, 0
	for i := range named {
		id := named[i].ID
		if asked[id] {
			continue
		}
		asked[id] = true
		list, err := index.Referring(id, mostRelated-related+1)
		if err != nil {
			return nil, err
		}
		if related += len(list); related > mostRelated {
			x.note(fmt.Sprintf("more than %d things refer to %s: the newest are told", mostRelated, f.text))
			list = list[:len(list)-1]
		}
		if err := x.through(set, id, x.s.n.Visible(list)); err != nil {
			return nil, err
		}
		if related >= mostRelated {
			break
		}
	}
	return set.list, nil
}

// through adds what refers to something; of relationships what they tie to it.
func (x *searching) through(set *objectSet, id string, list []store.Object) error {
	for _, o := range list {
		set.add(o)
		if o.Type != "relationship" || o.Revoked || !x.s.used(&o) {
			continue
		}
		c := x.content.of(&o)
		if c == nil {
			x.note("some relationships were not read: their entries are gone, or too many to open")
			continue
		}
		for _, other := range c.refs {
			if other == id {
				continue
			}
			ends, err := x.s.n.Store().Index().ByID(other)
			if err != nil {
				return err
			}
			set.add(x.s.n.Visible(ends)...)
		}
	}
	return nil
}

// objectIn is an object in one member's name.
type objectIn struct {
	member protocol.MemberID
	id     string
}

type objectSet struct {
	list []store.Object
	seen map[objectIn]bool
}

func (t *objectSet) add(list ...store.Object) {
	for _, o := range list {
		if k := (objectIn{o.Member, o.ID}); !t.seen[k] {
			t.seen[k] = true
			t.list = append(t.list, o)
		}
	}
}

// bySaid finds what opinions or sightings are about.
func (x *searching) bySaid(kind string) error {
	index := x.s.n.Store().Index()
	q := store.Query{Tokens: []string{"type=" + kind}, Limit: mostRelated}
	list, next, err := index.Search(q)
	if err != nil {
		return fmt.Errorf("search: %w", err)
	}
	if next != 0 {
		x.note(fmt.Sprintf("of more than %d of type %s the newest were read", mostRelated, kind))
	}
	set := &objectSet{seen: map[objectIn]bool{}}
	asked := map[string]bool{}
	for _, o := range x.s.n.Visible(list) {
		c := x.content.of(&o)
		if c == nil || o.Revoked || !x.s.used(&o) {
			continue
		}
		for _, id := range c.refs {
			if asked[id] || len(asked) >= mostRelated {
				continue
			}
			asked[id] = true
			about, err := index.ByID(id)
			if err != nil {
				return err
			}
			set.add(x.s.n.Visible(about)...)
		}
	}
	return x.listed(set.list)
}

// listed pages through a list that was found as a whole. Indicators without text
// stand together, one line for a member's, unless their type is asked for.
func (x *searching) listed(list []store.Object) error {
	slices.SortFunc(list, func(a, b store.Object) int {
		return cmp.Or(cmp.Compare(store.PositionOf(&b), store.PositionOf(&a)), cmp.Compare(a.ID, b.ID))
	})
	together := map[objectIn]int{} // of a member and TLP: the place in groups
	type group struct {
		first store.Object
		count int
	}
	var groups []group
	for i := range list {
		o := &list[i]
		ok, err := x.stands(o)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if o.Type == "indicator" && x.q.kind == "" {
			k := objectIn{o.Member, o.Summary.TLP}
			if at, held := together[k]; held {
				groups[at].count++
				continue
			}
			together[k] = len(groups)
		}
		groups = append(groups, group{first: *o, count: 1})
	}
	if x.before != 0 {
		x.unused, x.sum.Held = 0, 0 // told with the first page
	}
	for _, g := range groups {
		if p := store.PositionOf(&g.first); x.before != 0 && p >= x.before {
			continue
		}
		if len(x.hits) == x.limit {
			return nil
		}
		x.next = store.PositionOf(&g.first)
		h := x.hit(&g.first)
		if g.count > 1 {
			h = Hit{Kind: "hit", Type: "indicator", Title: fmt.Sprintf("%d indicators", g.count), Member: h.Member, TLP: h.TLP, Time: h.Time, Count: g.count}
		}
		x.hits = append(x.hits, h)
	}
	return x.end()
}

// said tells whether what is asked for is said of an object: that it is disputed,
// that it was sighted.
func (x *searching) said(o *store.Object) (bool, error) {
	if !x.q.disputed && !x.q.sighted {
		return true, nil
	}
	if x.refs == nil {
		return false, nil
	}
	list, err := x.s.n.Store().Index().Referring(o.ID, mostReferring)
	if err != nil {
		return false, err
	}
	disputed, sighted := false, false
	for _, r := range x.s.n.Visible(list) {
		if r.Type != "opinion" && r.Type != "sighting" || r.Revoked || !x.s.used(&r) {
			continue
		}
		if by, ok := x.s.identity(r.Summary.CreatedBy); ok && by != r.Member {
			continue // nobody speaks for another member
		}
		said, ok := x.refs.read(&r)
		if !ok {
			continue
		}
		level, ok := verdict.ParseLevel(said.level)
		disputed = disputed || r.Type == "opinion" && ok && level < verdict.Neutral
		sighted = sighted || r.Type == "sighting" && said.of == o.ID && said.count > 0
	}
	return (!x.q.disputed || disputed) && (!x.q.sighted || sighted), nil
}

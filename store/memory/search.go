package memory

import (
	"cmp"
	"slices"

	"github.com/tipmesh/tipmesh/store"
)

// Near visits all values.
func (x *Index) Near(v store.Value, limit int) (found []store.Near, err error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.closed {
		return nil, store.ErrClosed
	}
	var above, below []store.Value
	for other := range x.values {
		switch {
		case !x.answers(other):
		case store.Contains(other, v):
			above = append(above, other)
		case store.Contains(v, other):
			below = append(below, other)
		}
	}
	slices.SortFunc(above, func(a, b store.Value) int {
		return cmp.Or(nearer(a, b), -cmp.Compare(len(a.Text), len(b.Text)), cmp.Compare(a.Text, b.Text))
	})
	slices.SortFunc(below, func(a, b store.Value) int { return cmp.Compare(a.Text, b.Text) })
	for _, o := range above[:min(limit, len(above))] {
		found = append(found, store.Near{Value: o, Relation: store.RelationContains})
	}
	for _, o := range below[:min(limit, len(below))] {
		found = append(found, store.Near{Value: o, Relation: store.RelationWithin})
	}
	return found, nil
}

// nearer orders values that contain a third: what lies within another is nearer.
func nearer(a, b store.Value) int {
	in, out := store.Contains(b, a), store.Contains(a, b)
	switch {
	case in && !out:
		return -1
	case out && !in:
		return 1
	}
	return 0
}

// answers reports whether a newest version is about a value.
func (x *Index) answers(v store.Value) bool {
	for key := range x.values[v] {
		if list := x.objects[key]; len(list) > 0 && slices.Contains(list[0].Values, v) {
			return true
		}
	}
	return false
}

// Referring visits all objects.
func (x *Index) Referring(stixID string, limit int) ([]store.Object, error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.closed {
		return nil, store.ErrClosed
	}
	found := x.newestOf(func(o *store.Object) bool { return slices.Contains(o.Refs, stixID) })
	return found[:min(limit, len(found))], nil
}

// newestOf gives the newest versions that want takes, newest arrival first.
func (x *Index) newestOf(want func(*store.Object) bool) (found []store.Object) {
	for _, list := range x.objects {
		if want(&list[0]) {
			found = append(found, shown(list[0]))
		}
	}
	slices.SortFunc(found, func(a, b store.Object) int {
		return cmp.Or(cmp.Compare(b.Arrival, a.Arrival), cmp.Compare(b.Ordinal, a.Ordinal), cmp.Compare(a.ID, b.ID), a.Member.Compare(b.Member))
	})
	return found
}

// Search visits all objects.
func (x *Index) Search(q store.Query) (found []store.Object, next uint64, err error) {
	if len(q.Tokens) == 0 && q.Prefix == "" {
		return nil, 0, store.ErrBroad
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.closed {
		return nil, 0, store.ErrClosed
	}
	all := x.newestOf(func(o *store.Object) bool { return matches(o, &q) })
	for i, o := range all {
		if len(found) >= max(q.Limit, 1) && store.PositionOf(&o) != store.PositionOf(&all[i-1]) {
			return found, store.PositionOf(&all[i-1]), nil
		}
		found = append(found, o)
	}
	return found, 0, nil
}

func matches(o *store.Object, q *store.Query) bool {
	for _, t := range q.Tokens {
		if !slices.Contains(o.Words, t) {
			return false
		}
	}
	if q.Prefix != "" && !slices.ContainsFunc(o.Words, func(w string) bool { return store.HasPrefix(w, q.Prefix) }) {
		return false
	}
	return q.Has(o)
}

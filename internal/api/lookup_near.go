package api

import (
	"slices"

	"github.com/tipmesh/tipmesh/internal/observable"
	"github.com/tipmesh/tipmesh/store"
)

// Limits of what is near a value, of each relation.
const (
	mostNear     = 100 // where it was asked for
	mostNearOnce = 20  // beside a single value
)

// near finds what contains a value or lies within it, as far as members whose
// word is used here say something of it.
func (q *inquiry) near(v observable.Value, most int) ([]Near, error) {
	out := []Near{}
	list, err := q.s.n.Store().Index().Near(store.Value{Type: string(v.Type), Text: v.Text}, most)
	if err != nil || len(list) == 0 {
		return out, err
	}
	values := make([]store.Value, len(list))
	for i, n := range list {
		values[i] = n.Value
	}
	found, err := q.s.n.Lookup(values)
	if err != nil {
		return nil, err
	}
	var same []store.Value
	for _, t := range twins(v) {
		same = append(same, store.Value{Type: string(t.Type), Text: t.Text})
	}
	for i, n := range list {
		if slices.Contains(same, n.Value) {
			continue // a URL with the other scheme: its assertions are shown already
		}
		f, err := q.finding(asked{value: observable.Value{Type: observable.Type(n.Value.Type), Text: n.Value.Text}}, found[i])
		if err != nil {
			return nil, err
		}
		if len(f.Assertions) == 0 {
			continue
		}
		x := Near{Value: f.Value, Type: f.Type, Relation: string(n.Relation), Verdict: f.Verdict}
		seen := map[string]bool{}
		for _, a := range f.Assertions {
			if !seen[a.Member.ID] {
				seen[a.Member.ID] = true
				x.Members = append(x.Members, a.Member)
			}
		}
		out = append(out, x)
	}
	return out, nil
}

package badger

import (
	"bytes"

	kv "github.com/dgraph-io/badger/v4"

	"github.com/tipmesh/tipmesh/store"
)

// nearVisits bounds the keys that Near looks at for what lies within a value.
const nearVisits = 4096

// Near asks for what may contain the value and reads on from where lies what is
// within it.
func (x *Index) Near(v store.Value, limit int) (found []store.Near, err error) {
	s, ok := store.SiteOf(v)
	if !ok {
		return nil, nil
	}
	err = x.view(func(txn *kv.Txn) error {
		for _, above := range s.Above(x.lengths(&s)) {
			if len(found) >= limit {
				break
			}
			held, err := x.answers(txn, appendSite([]byte{indexValue}, &above), above.Value())
			if err != nil {
				return err
			}
			if held {
				found = append(found, store.Near{Value: above.Value(), Relation: store.RelationContains})
			}
		}
		below, err := x.below(txn, &s, limit)
		found = append(found, below...)
		return err
	})
	return found, err
}

// below gives values that lie within a site.
func (x *Index) below(txn *kv.Txn, s *store.Site, limit int) (found []store.Near, err error) {
	where := within(indexValue, s)
	it := keys(txn, where.prefix)
	defer it.Close()
	visits := 0
	for it.Seek(where.from); it.Valid() && len(found) < limit && visits < nearVisits; it.Next() {
		visits++
		key := it.Item().Key()
		if where.last != nil && bytes.Compare(key, where.last) > 0 {
			break
		}
		inner, ok := siteOfKey(key[1:])
		if !ok {
			text, err := valueOf(it.Item())
			if err != nil {
				return nil, err
			}
			list, err := parsePostings(text)
			if err != nil {
				return nil, err
			}
			if inner, ok = siteOfText(list.text); !ok {
				continue
			}
		}
		if !s.Contains(inner) || inner.Contains(*s) {
			continue
		}
		v := inner.Value()
		held, err := x.answers(txn, bytes.Clone(key), v)
		if err != nil {
			return nil, err
		}
		if held {
			found = append(found, store.Near{Value: v, Relation: store.RelationWithin})
		}
	}
	return found, nil
}

// lengths are those of networks that may be held, the longest first.
func (x *Index) lengths(s *store.Site) func(func(int) bool) {
	return func(yield func(int) bool) {
		if !s.Net.IsValid() {
			return
		}
		lengths := x.state.lengthsOf(s.Net)
		for n := s.Net.Bits() - 1; n >= 0; n-- {
			if lengths.has(n) && !yield(n) {
				return
			}
		}
	}
}

// textOfSite is what a row keeps of a value whose key was cut.
func textOfSite(v store.Value) []byte { return []byte(v.Type + " " + v.Text) }

func siteOfText(text []byte) (store.Site, bool) {
	kind, rest, _ := bytes.Cut(text, []byte(" "))
	return store.SiteOf(store.Value{Type: string(kind), Text: string(rest)})
}

package badger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	kv "github.com/dgraph-io/badger/v4"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// view runs fn in a read transaction and keeps the index open meanwhile.
func (x *Index) view(fn func(*kv.Txn) error) error {
	err := x.viewOpen(fn)
	if err == nil || errors.Is(err, store.ErrClosed) || errors.Is(err, store.ErrBroad) {
		return err
	}
	if !errors.Is(err, store.ErrRebuild) {
		x.suspect(err)
	}
	return fmt.Errorf("look up in index: %w", err)
}

func (x *Index) viewOpen(fn func(*kv.Txn) error) (err error) {
	x.open.RLock()
	defer x.open.RUnlock()
	if x.closed {
		return store.ErrClosed
	}
	if err := x.whole(); err != nil {
		return err
	}
	defer caught(&err)()
	return x.db.View(fn)
}

// keys is an iterator that reads no values until asked.
func keys(txn *kv.Txn, prefix []byte) *kv.Iterator {
	opt := kv.DefaultIteratorOptions
	opt.PrefetchValues, opt.Prefix = false, prefix
	return txn.NewIterator(opt)
}

// read calls fn with a row; found is false where there is none.
func read(txn *kv.Txn, key []byte, fn func([]byte) error) (found bool, err error) {
	item, err := txn.Get(key)
	if errors.Is(err, kv.ErrKeyNotFound) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	return true, item.Value(fn)
}

// ByValue gives the newest versions that are about a value.
func (x *Index) ByValue(v store.Value) (found []store.Object, err error) {
	var buf [96]byte
	sum := sumOfValue(v)
	key := valueKey(buf[:0], v, &sum)
	err = x.view(func(txn *kv.Txn) error {
		return x.eachAbout(txn, key, &sum, func(row *objectRow, held *version) (bool, error) {
			o, err := x.object(txn, row, held)
			found = append(found, o)
			return true, err
		})
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// eachAbout calls fn for the newest versions that are about a value, until it
// gives false.
func (x *Index) eachAbout(txn *kv.Txn, key []byte, sum *[32]byte, fn func(*objectRow, *version) (bool, error)) error {
	var last postings
	_, err := read(txn, key, func(raw []byte) (err error) {
		last, err = parsePostings(raw)
		last.list = bytes.Clone(last.list)
		return err
	})
	if err != nil {
		return err
	}
	var seen map[posting]bool // where there are parts, a posting may stand in several
	if last.parts > 0 {
		seen = map[posting]bool{}
	}
	more := true
	each := func(p posting, _, _ int) (bool, error) {
		if seen != nil {
			if seen[p] {
				return true, nil
			}
			seen[p] = true
		}
		var buf [1 + idLen]byte
		err := x.row(txn, append(append(buf[:0], indexObject), p.id[:]...), func(row *objectRow) error {
			v, ok, err := row.of(p.member)
			if err == nil && ok && v.about(sum[32-digestLen:]) {
				more, err = fn(row, &v)
			}
			return err
		})
		return more, err
	}
	if err := eachPosting(last.list, each); err != nil {
		return err
	}
	for part := range last.parts {
		if !more {
			break
		}
		var list []byte
		ok, err := read(txn, partKey(key, part), func(raw []byte) error {
			list = bytes.Clone(raw)
			return nil
		})
		if err == nil && !ok {
			err = fmt.Errorf("%w: part %d of a value's postings is not there", ErrDamaged, part)
		}
		if err == nil {
			err = eachPosting(list, each)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// row reads an object's row; fn is not called where there is none.
func (x *Index) row(txn *kv.Txn, key []byte, fn func(*objectRow) error) error {
	_, err := read(txn, key, func(raw []byte) error {
		row, err := parseObject(raw)
		if err != nil {
			return err
		}
		return fn(&row)
	})
	return err
}

// object makes a version whole.
func (x *Index) object(txn *kv.Txn, row *objectRow, v *version) (store.Object, error) {
	c, err := x.state.common(txn, v.common)
	if err != nil {
		return store.Object{}, err
	}
	o, err := v.object(c)
	o.ID = row.text()
	return o, err
}

// ByID gives the newest version of an object in every member's name.
func (x *Index) ByID(stixID string) (found []store.Object, err error) {
	sum := sumOfID(stixID)
	err = x.view(func(txn *kv.Txn) error {
		return x.row(txn, objectKey(nil, &sum), func(row *objectRow) error {
			if row.text() != stixID {
				return nil
			}
			return row.each(func(v *version) (bool, error) {
				o, err := x.object(txn, row, v)
				found = append(found, o)
				return true, err
			})
		})
	})
	return found, err
}

// ByRef gives the newest versions of objects whose short code begins so.
func (x *Index) ByRef(prefix []byte, bits, limit int) (found []store.Object, err error) {
	whole := append([]byte{indexObject}, prefix[:min(bits/8, idLen, len(prefix))]...)
	err = x.view(func(txn *kv.Txn) error {
		it := keys(txn, whole)
		defer it.Close()
		for it.Seek(whole); it.Valid() && len(found) < limit; it.Next() {
			err := it.Item().Value(func(raw []byte) error {
				row, err := parseObject(raw)
				if err != nil {
					return err
				}
				if sum := sumOfID(row.text()); !hasBits(sum[:], prefix, bits) {
					return nil
				}
				return row.each(func(v *version) (bool, error) {
					o, err := x.object(txn, &row, v)
					found = append(found, o)
					return len(found) < limit, err
				})
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return found, err
}

// hasBits reports whether the first bits of sum are prefix's.
func hasBits(sum, prefix []byte, bits int) bool {
	if bits > 8*len(sum) || bits > 8*len(prefix) {
		return false
	}
	whole, rest := bits/8, bits%8
	if !bytes.Equal(sum[:whole], prefix[:whole]) {
		return false
	}
	return rest == 0 || (sum[whole]^prefix[whole])>>(8-rest) == 0
}

// newestAt gives the newest versions of an object that came at a place.
func (x *Index) newestAt(txn *kv.Txn, place []byte) (found []store.Object, err error) {
	arrival, ordinal := ^binary.BigEndian.Uint64(place), ^binary.BigEndian.Uint32(place[8:])
	key := append([]byte{indexObject}, place[placeLen-idLen:placeLen]...)
	err = x.row(txn, key, func(row *objectRow) error {
		return row.each(func(v *version) (bool, error) {
			if v.ordinal != ordinal {
				return true, nil
			}
			o, err := x.object(txn, row, v)
			if err == nil && o.Arrival == arrival {
				found = append(found, o)
			}
			return true, err
		})
	})
	return found, err
}

// answers reports whether a newest version is about a value.
func (x *Index) answers(txn *kv.Txn, key []byte, v store.Value) (held bool, err error) {
	sum := sumOfValue(v)
	err = x.eachAbout(txn, key, &sum, func(*objectRow, *version) (bool, error) {
		held = true
		return false, nil
	})
	return held, err
}

// Versions gives all versions of an object in one member's name, newest first;
// of rival contents of one version the later arrival first.
func (x *Index) Versions(member protocol.MemberID, stixID string) (found []store.Object, err error) {
	sum := sumOfID(stixID)
	err = x.view(func(txn *kv.Txn) error {
		number, ok := x.state.known(member)
		if !ok {
			return nil
		}
		return x.row(txn, objectKey(nil, &sum), func(row *objectRow) error {
			held, ok, err := row.of(number)
			if err != nil || !ok || row.text() != stixID {
				return err
			}
			o, err := x.object(txn, row, &held)
			found = append(found, o)
			if err != nil || held.flags&hasOlder == 0 {
				return err
			}
			return x.eachOlder(txn, row, sum[:idLen], number, &found)
		})
	})
	slices.SortStableFunc(found, func(a, b store.Object) int {
		if newer(a.Modified, b.Modified, a.Arrival, b.Arrival, a.Ordinal, b.Ordinal) {
			return -1
		}
		return 1
	})
	return found, err
}

func (x *Index) eachOlder(txn *kv.Txn, row *objectRow, id []byte, member uint32, found *[]store.Object) error {
	prefix := olderPrefix(id, member)
	it := keys(txn, prefix)
	defer it.Close()
	for it.Seek(prefix); it.Valid(); it.Next() {
		err := it.Item().Value(func(raw []byte) error {
			v, err := parseVersion(raw)
			if err != nil {
				return err
			}
			o, err := x.object(txn, row, &v)
			*found = append(*found, o)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

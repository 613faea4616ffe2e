package badger

import (
	"bytes"
	"fmt"

	kv "github.com/dgraph-io/badger/v4"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// view runs fn in a read transaction and keeps the index open meanwhile.
func (x *Index) view(fn func(*kv.Txn) error) error {
	x.open.RLock()
	defer x.open.RUnlock()
	if x.closed {
		return store.ErrClosed
	}
	if err := x.db.View(fn); err != nil {
		return fmt.Errorf("look up in index: %w", err)
	}
	return nil
}

// keys is an iterator that reads no values until asked.
func keys(txn *kv.Txn, prefix []byte) *kv.Iterator {
	opt := kv.DefaultIteratorOptions
	opt.PrefetchValues, opt.Prefix = false, prefix
	return txn.NewIterator(opt)
}

// ByValue gives the newest versions that are about a value.
func (x *Index) ByValue(v store.Value) (found []store.Object, err error) {
	sum := sumOfValue(v)
	prefix := append([]byte{indexValue}, sum[:16]...)
	err = x.view(func(txn *kv.Txn) error {
		hits := newestPerObject(txn, prefix)
		if len(hits) == 0 {
			return nil
		}
		for _, h := range hits {
			// An iterator of its own looks only into tables that may hold the
			// object; one for all objects would seek in every table.
			it := keys(txn, h.objectPrefix())
			o, key, err := newest(it, h.objectPrefix())
			it.Close()
			if err != nil {
				return err
			}
			// A newer version may be about something else; so may the other of
			// two rival contents.
			if key != nil && h.about(key) {
				found = append(found, o)
			}
		}
		return nil
	})
	return found, err
}

// hit is a run of value keys: a member, an ID, and the versions about the value.
type hit struct {
	member, id []byte
	versions   [][]byte
}

func (h *hit) objectPrefix() []byte {
	key := append(make([]byte, 0, 25), indexObject)
	return append(append(key, h.id...), h.member...)
}

func (h *hit) about(objectKey []byte) bool {
	for _, v := range h.versions {
		if bytes.Equal(v, objectKey[25:]) {
			return true
		}
	}
	return false
}

// newestPerObject gives the newest version about a value of each member and ID,
// with all its contents.
func newestPerObject(txn *kv.Txn, prefix []byte) (hits []hit) {
	it := keys(txn, prefix)
	defer it.Close()
	for it.Seek(prefix); it.Valid(); it.Next() {
		key := it.Item().KeyCopy(nil)
		if len(key) != valueKeyLen {
			continue
		}
		member, id, version := key[17:25], key[25:41], key[41:]
		if n := len(hits); n > 0 && bytes.Equal(hits[n-1].member, member) && bytes.Equal(hits[n-1].id, id) {
			if last := &hits[n-1]; bytes.Equal(last.versions[0][:8], version[:8]) {
				last.versions = append(last.versions, version)
			}
			continue
		}
		hits = append(hits, hit{member: member, id: id, versions: [][]byte{version}})
	}
	return hits
}

// newest finds the newest version below a prefix of ID and member; of rival
// contents of one version the one that arrived last, whatever order they were
// fed in. key is nil where there is none.
func newest(it *kv.Iterator, prefix []byte) (o store.Object, key []byte, err error) {
	for it.Seek(prefix); it.ValidForPrefix(prefix); it.Next() {
		k := it.Item().Key()
		if len(k) != objectKeyLen || key != nil && !bytes.Equal(k[25:33], key[25:33]) {
			break
		}
		next, err := rowOf(it.Item())
		if err != nil {
			return o, nil, err
		}
		if key == nil || after(&next, &o) {
			o, key = next, bytes.Clone(k)
		}
	}
	return o, key, nil
}

// after orders rival contents of one version.
func after(a, b *store.Object) bool {
	if a.Arrival != b.Arrival {
		return a.Arrival > b.Arrival
	}
	return a.Ordinal > b.Ordinal
}

func rowOf(item *kv.Item) (o store.Object, err error) {
	err = item.Value(func(b []byte) error {
		o, err = parseRow(b)
		return err
	})
	return o, err
}

// ByID gives the newest version of an object in every member's name.
func (x *Index) ByID(stixID string) ([]store.Object, error) {
	sum := sumOfID(stixID)
	return x.newestBelow(sum[:16], func(o *store.Object) bool { return o.ID == stixID }, 1<<30)
}

// ByRef gives the newest versions of objects whose short code begins so.
func (x *Index) ByRef(prefix []byte, bits, limit int) ([]store.Object, error) {
	whole := min(bits/8, 16, len(prefix))
	return x.newestBelow(prefix[:whole], func(o *store.Object) bool {
		sum := sumOfID(o.ID)
		return hasBits(sum[:], prefix, bits)
	}, limit)
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

// newestBelow gives the newest versions of the objects whose ID's digest begins
// with some bytes and that want takes, at most limit.
func (x *Index) newestBelow(digest []byte, want func(*store.Object) bool, limit int) (found []store.Object, err error) {
	prefix := append([]byte{indexObject}, digest...)
	err = x.view(func(txn *kv.Txn) error {
		it := keys(txn, prefix)
		defer it.Close()
		for it.Seek(prefix); it.Valid() && len(found) < limit; {
			k := it.Item().Key()
			if len(k) != objectKeyLen {
				return fmt.Errorf("key of %d bytes", len(k))
			}
			object := bytes.Clone(k[:25])
			o, _, err := newest(it, object)
			if err != nil {
				return err
			}
			if want(&o) {
				found = append(found, o)
			}
			for it.ValidForPrefix(object) { // older versions
				it.Next()
			}
		}
		return nil
	})
	return found, err
}

// Census counts the objects of members, by their keys alone.
func (x *Index) Census(members []protocol.MemberID) ([]uint64, error) {
	out, at := make([]uint64, len(members)), map[[8]byte]int{}
	for i, m := range members {
		at[[8]byte(m[:8])] = i
	}
	err := x.view(func(txn *kv.Txn) error {
		it := keys(txn, []byte{indexObject})
		defer it.Close()
		var last [25]byte // of the object before
		for it.Rewind(); it.Valid(); it.Next() {
			k := it.Item().Key()
			if len(k) != objectKeyLen {
				return fmt.Errorf("key of %d bytes", len(k))
			}
			if [25]byte(k) == last {
				continue // another version
			}
			last = [25]byte(k)
			if i, ok := at[[8]byte(k[17:25])]; ok {
				out[i]++
			}
		}
		return nil
	})
	return out, err
}

// Versions gives all versions of an object in one member's name, newest first;
// of rival contents of one version the later arrival first.
func (x *Index) Versions(member protocol.MemberID, stixID string) (found []store.Object, err error) {
	sum := sumOfID(stixID)
	prefix := append(append([]byte{indexObject}, sum[:16]...), member[:8]...)
	err = x.view(func(txn *kv.Txn) error {
		return scan(txn, prefix, nil, true, func(item *kv.Item) (bool, error) {
			o, err := rowOf(item)
			if err == nil && o.Member == member && o.ID == stixID {
				found = append(found, o)
			}
			return true, err
		})
	})
	for i := 1; i < len(found); i++ {
		for j := i; j > 0 && found[j].Modified == found[j-1].Modified && after(&found[j], &found[j-1]); j-- {
			found[j], found[j-1] = found[j-1], found[j]
		}
	}
	return found, err
}

// idLen is how much of an ID's digest stands in keys.
const idLen = 16

// newestAt gives the newest versions of an object that came at a place.
func (x *Index) newestAt(txn *kv.Txn, place []byte) (found []store.Object, err error) {
	prefix := append([]byte{indexObject}, place[placeLen-idLen:placeLen]...)
	it := keys(txn, prefix)
	defer it.Close()
	for it.Seek(prefix); it.Valid(); {
		object := bytes.Clone(it.Item().Key()[:25])
		o, _, err := newest(it, object)
		if err != nil {
			return nil, err
		}
		if bytes.HasPrefix(appendPlace(nil, &o, sumOfID(o.ID)), place) {
			found = append(found, o)
		}
		for it.ValidForPrefix(object) { // older versions
			it.Next()
		}
	}
	return found, nil
}

// answers reports whether a newest version is about a value.
func (x *Index) answers(_ *kv.Txn, v store.Value, _ *store.Site) (bool, error) {
	found, err := x.ByValue(v)
	return len(found) > 0, err
}

package memory

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// Index is a store.Index in memory. Of two arrivals that hold the same version
// with the same content, the one fed last answers.
type Index struct {
	mu         sync.RWMutex
	closed     bool
	checkpoint uint64
	objects    map[objectKey][]store.Object // newest first, each with its values
	ids        map[string][]protocol.MemberID
	values     map[store.Value]map[objectKey]struct{} // all versions' values
	versions   uint64
}

type objectKey struct {
	member protocol.MemberID
	id     string
}

var _ store.Index = (*Index)(nil)

func newIndex() *Index {
	x := new(Index)
	x.empty()
	return x
}

func (x *Index) empty() {
	x.checkpoint, x.versions = 0, 0
	x.objects, x.ids = map[objectKey][]store.Object{}, map[string][]protocol.MemberID{}
	x.values = map[store.Value]map[objectKey]struct{}{}
}

func (x *Index) clone() *Index {
	x.mu.RLock()
	defer x.mu.RUnlock()
	c := newIndex()
	for _, versions := range x.objects {
		for i := range versions {
			c.add(versions[i])
		}
	}
	c.checkpoint = x.checkpoint
	return c
}

func (x *Index) close() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.closed = true
}

// newer orders versions newest first; of rival contents of one version the
// later arrival comes first.
func newer(a, b store.Object) int {
	return cmp.Or(cmp.Compare(b.Modified, a.Modified), cmp.Compare(b.Arrival, a.Arrival), cmp.Compare(b.Ordinal, a.Ordinal))
}

// Put adds a batch and moves the checkpoint.
func (x *Index) Put(b *store.IndexBatch) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return store.ErrClosed
	}
	if b.After > x.checkpoint {
		return fmt.Errorf("put into index: %w: it has come to arrival %d only", store.ErrRebuild, x.checkpoint)
	}
	for _, o := range b.Objects {
		o.Values, o.Refs, o.Words = slices.Clone(o.Values), slices.Clone(o.Refs), slices.Clone(o.Words)
		x.add(o)
	}
	x.checkpoint = max(x.checkpoint, b.Checkpoint)
	return nil
}

func (x *Index) add(o store.Object) {
	key := objectKey{o.Member, o.ID}
	versions := x.objects[key]
	if versions == nil {
		x.ids[o.ID] = append(x.ids[o.ID], o.Member)
	}
	i := slices.IndexFunc(versions, func(v store.Object) bool {
		return v.Modified == o.Modified && v.Content == o.Content
	})
	if i >= 0 {
		versions[i] = o
	} else {
		versions = append(versions, o)
		x.versions++
	}
	slices.SortStableFunc(versions, newer)
	x.objects[key] = versions
	for _, v := range o.Values {
		if x.values[v] == nil {
			x.values[v] = map[objectKey]struct{}{}
		}
		x.values[v][key] = struct{}{}
	}
}

// Remove takes out versions that came with some arrivals.
func (x *Index) Remove(objects []store.Object) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return store.ErrClosed
	}
	for _, o := range objects {
		key := objectKey{o.Member, o.ID}
		x.objects[key] = slices.DeleteFunc(x.objects[key], func(v store.Object) bool {
			return v.Modified == o.Modified && v.Content == o.Content && v.Arrival == o.Arrival
		})
		if len(x.objects[key]) > 0 {
			continue // values that no version has any more do no harm
		}
		delete(x.objects, key)
		for _, v := range o.Values {
			delete(x.values[v], key)
		}
		if x.ids[o.ID] = slices.DeleteFunc(x.ids[o.ID], func(m protocol.MemberID) bool { return m == o.Member }); len(x.ids[o.ID]) == 0 {
			delete(x.ids, o.ID)
		}
	}
	return nil
}

// Checkpoint is the last arrival that look-ups include.
func (x *Index) Checkpoint() uint64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.checkpoint
}

// shown is an object as look-ups give it.
func shown(o store.Object) store.Object {
	o.Values, o.Refs, o.Words = nil, nil, nil
	return o
}

// ByValue gives the newest versions that are about a value.
func (x *Index) ByValue(v store.Value) (found []store.Object, err error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.closed {
		return nil, store.ErrClosed
	}
	for key := range x.values[v] {
		if list := x.objects[key]; len(list) > 0 && slices.Contains(list[0].Values, v) {
			o := list[0]
			found = append(found, shown(o))
		}
	}
	sortObjects(found)
	return found, nil
}

// sortObjects makes the order of answers the same every time.
func sortObjects(found []store.Object) {
	slices.SortFunc(found, func(a, b store.Object) int {
		return cmp.Or(a.Member.Compare(b.Member), cmp.Compare(a.ID, b.ID))
	})
}

// ByID gives the newest version of an object in every member's name.
func (x *Index) ByID(stixID string) (found []store.Object, err error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.closed {
		return nil, store.ErrClosed
	}
	for _, member := range x.ids[stixID] {
		found = append(found, shown(x.objects[objectKey{member, stixID}][0]))
	}
	sortObjects(found)
	return found, nil
}

// Versions gives all versions of an object in one member's name, newest first.
func (x *Index) Versions(member protocol.MemberID, stixID string) (found []store.Object, err error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.closed {
		return nil, store.ErrClosed
	}
	for _, o := range x.objects[objectKey{member, stixID}] {
		found = append(found, shown(o))
	}
	return found, nil
}

// ByRef gives the newest versions of objects whose short code begins so.
func (x *Index) ByRef(prefix []byte, bits, limit int) (found []store.Object, err error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.closed {
		return nil, store.ErrClosed
	}
	for _, id := range slices.Sorted(maps.Keys(x.ids)) {
		sum := sha256.Sum256([]byte(id))
		for _, member := range x.ids[id] {
			if len(found) < limit && hasBits(sum[:], prefix, bits) {
				found = append(found, shown(x.objects[objectKey{member, id}][0]))
			}
		}
	}
	return found, nil
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

// Count is the number of distinct objects.
func (x *Index) Count() uint64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return uint64(len(x.objects))
}

// Census counts the objects of members.
func (x *Index) Census(members []protocol.MemberID) ([]uint64, error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.closed {
		return nil, store.ErrClosed
	}
	out := make([]uint64, len(members))
	for key := range x.objects {
		if i := slices.Index(members, key.member); i >= 0 {
			out[i]++
		}
	}
	return out, nil
}

// Emptied never receives.
func (x *Index) Emptied() <-chan struct{} { return nil }

// Reset empties the index.
func (x *Index) Reset() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return store.ErrClosed
	}
	x.empty()
	return nil
}

// Size is about the bytes that the versions take.
func (x *Index) Size() uint64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.versions * 400
}

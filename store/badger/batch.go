package badger

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"

	kv "github.com/dgraph-io/badger/v4"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// flushBytes is how much a batch holds before it is written: well below what a
// transaction takes.
const flushBytes = memTableIndex / 16

// batch changes the index. What it wrote it reads again, though that is not in
// the database yet; each flush is one transaction, which leaves the index sound.
type batch struct {
	x       *Index
	txn     *kv.Txn           // what is in the database
	rows    map[string][]byte // what is not yet; nil: to be deleted
	bytes   int
	commons map[uint64]*common // read or made
	made    map[commonOf]*common
	counts  map[uint32]int64 // objects more, by member
	key     []byte           // scratch
	sums    []byte           // scratch
}

// commonOf tells who leans on one common.
type commonOf struct {
	arrival uint64
	member  uint32
	kind    string
}

func (x *Index) newBatch() *batch {
	return &batch{
		x: x, txn: x.db.NewTransaction(false), rows: map[string][]byte{}, commons: map[uint64]*common{}, made: map[commonOf]*common{}, counts: map[uint32]int64{},
	}
}

func (b *batch) close() { b.txn.Discard() }

// get reads a row, nil where there is none. It is not to be changed.
func (b *batch) get(key []byte) ([]byte, error) {
	if row, ok := b.rows[string(key)]; ok {
		return row, nil
	}
	item, err := b.txn.Get(key)
	if errors.Is(err, kv.ErrKeyNotFound) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return valueOf(item)
}

// set keeps a row to be written; the key is copied.
func (b *batch) set(key, row []byte) {
	b.rows[string(key)] = row
	b.bytes += len(key) + len(row) + 64
}

// common gives what versions lean on.
func (b *batch) common(number uint64) (*common, error) {
	if c := b.commons[number]; c != nil {
		return c, nil
	}
	raw, err := b.get(commonKey(number))
	if err == nil && raw == nil {
		err = fmt.Errorf("%w: what objects have in common is not there", ErrDamaged)
	}
	if err != nil {
		return nil, err
	}
	c, err := parseCommon(number, raw)
	if err == nil {
		b.commons[number] = c
	}
	return c, err
}

// release takes a version off what it leans on.
func (b *batch) release(v *version) error {
	c, err := b.common(v.common)
	if err != nil {
		return err
	}
	if c.uses == 0 {
		return fmt.Errorf("%w: more versions lean on an arrival than are counted", ErrDamaged)
	}
	c.uses--
	c.dirty = true
	return nil
}

// lean gives the common of an object, made where it is the first of its kind.
func (b *batch) lean(o *store.Object, member uint32) *common {
	of := commonOf{o.Arrival, member, o.Type}
	c := b.made[of]
	if c == nil {
		c = &common{number: b.x.state.nextCommon(), member: member, o: *o}
		c.o.ID, c.o.Member, c.o.Values, c.o.Refs, c.o.Words = "", protocol.MemberID{}, nil, nil, nil
		c.o.Revoked, c.o.Summary.Partial = false, false
		b.made[of], b.commons[c.number] = c, c
	}
	c.uses++
	c.dirty = true
	return c
}

// newer reports whether a version counts as newer than another: times as they
// are, arrival and ordinal.
func newer(modified, than int64, arrival, thanArrival uint64, ordinal, thanOrdinal uint32) bool {
	return cmp.Or(cmp.Compare(modified, than), cmp.Compare(arrival, thanArrival), cmp.Compare(ordinal, thanOrdinal)) > 0
}

// add puts one version.
func (b *batch) add(o *store.Object) error {
	id := sumOfID(o.ID)
	member := b.x.state.numberOf(o.Member)
	b.key = objectKey(b.key[:0], &id)
	raw, err := b.get(b.key)
	if err != nil {
		return err
	}
	row := objectRow{id: raw}
	if raw == nil {
		row.id = appendID(make([]byte, 0, 96), o.ID)
	} else if row, err = parseObject(raw); err != nil {
		return err
	} else if row.text() != o.ID {
		return nil // see idLen
	}
	held, known, err := row.of(member)
	if err != nil {
		return err
	}
	b.sums = b.sums[:0]
	for _, v := range o.Values {
		sum := sumOfValue(v)
		b.sums = append(b.sums, sum[:]...)
	}
	if !known {
		b.counts[member]++
		err = b.putNewest(id[:idLen], &row, o, member, false)
	} else {
		err = b.addTo(id[:idLen], &row, &held, o, member)
	}
	if err != nil {
		return err
	}
	for i, v := range o.Values {
		if err := b.post(v, (*[32]byte)(b.sums[32*i:]), posting{[idLen]byte(id[:]), member}); err != nil {
			return err
		}
		if err := b.flushFull(); err != nil {
			return err
		}
	}
	return b.place(o, &id, []byte{})
}

// digests are those of the values of the object that is being put.
func (b *batch) digests() []byte {
	out := make([]byte, 0, len(b.sums)/32*digestLen)
	for at := 0; at < len(b.sums); at += 32 {
		out = append(out, b.sums[at+32-digestLen:at+32]...)
	}
	return out
}

// putNewest makes a version the newest of its member; what was is the caller's.
func (b *batch) putNewest(id []byte, row *objectRow, o *store.Object, member uint32, older bool) error {
	raw, err := row.with(member, false, appendVersion(nil, o, b.lean(o, member), b.digests(), older))
	if err == nil {
		b.set(append(append(b.key[:0], indexObject), id...), raw)
	}
	return err
}

// addTo puts a version of an object of which there are some.
func (b *batch) addTo(id []byte, row *objectRow, held *version, o *store.Object, member uint32) error {
	c, err := b.common(held.common)
	if err != nil {
		return err
	}
	modified, older := c.o.Modified+held.times[0], held.flags&hasOlder != 0
	if modified == o.Modified && held.content == o.Content {
		back := newer(modified, o.Modified, c.o.Arrival, o.Arrival, held.ordinal, o.Ordinal)
		if err := b.release(held); err != nil {
			return err
		}
		if err := b.putNewest(id, row, o, member, older); err != nil || !older || !back {
			return err
		}
		return b.settle(id, member) // a rival content may be the newer now
	}
	key := olderKey(id, member, o.Modified, o.Content)
	same, err := b.get(key) // the version itself, where it is among the older ones
	if err != nil {
		return err
	}
	if same != nil {
		v, err := parseVersion(same)
		if err == nil {
			err = b.release(&v)
		}
		if err != nil {
			return err
		}
	}
	if newer(o.Modified, modified, o.Arrival, c.o.Arrival, o.Ordinal, held.ordinal) {
		if same != nil {
			b.set(key, nil)
		}
		b.set(olderKey(id, member, modified, held.content), bytes.Clone(held.raw))
		return b.putNewest(id, row, o, member, true)
	}
	b.set(key, appendVersion(nil, o, b.lean(o, member), b.digests(), false))
	if older {
		return nil
	}
	return b.replace(id, row, held, true)
}

// replace writes a version as the newest of its member, with or without older
// ones beside it.
func (b *batch) replace(id []byte, row *objectRow, v *version, older bool) error {
	flags := v.flags &^ hasOlder
	if older {
		flags |= hasOlder
	}
	raw := binary.AppendUvarint(nil, uint64(v.member))
	raw = binary.AppendUvarint(raw, v.common)
	skip := rowReader{b: v.raw}
	skip.uvarint()
	skip.uvarint()
	skip.uvarint()
	raw = append(binary.AppendUvarint(raw, flags), skip.b...)
	next, err := row.with(v.member, false, raw)
	if err == nil {
		b.set(append([]byte{indexObject}, id...), next)
	}
	return err
}

// post adds an object to those of a value.
func (b *batch) post(v store.Value, sum *[32]byte, p posting) error {
	b.key = valueKey(b.key[:0], v, sum)
	raw, err := b.get(b.key)
	if err != nil {
		return err
	}
	var list postings
	if raw != nil {
		if list, err = parsePostings(raw); err != nil {
			return err
		}
		// In full parts it may stand once more, which look-ups pass over.
		if _, _, held, err := find(list.list, p); err != nil || held {
			return err
		}
		if len(list.list) >= postingsMost {
			b.set(partKey(b.key, list.parts), bytes.Clone(list.list))
			list.parts++
			list.list = nil
		}
	} else if s, ok := store.SiteOf(v); ok {
		if len(b.key) > siteCut {
			list.text = textOfSite(v)
		}
		b.x.state.noteLength(&s)
	}
	out := list.append(make([]byte, 0, len(raw)+idLen+4+len(list.text)))
	b.set(b.key, appendPosting(out, p))
	return nil
}

// place writes the rows by which references and words are found, or takes them
// away where row is nil.
func (b *batch) place(o *store.Object, id *[32]byte, row []byte) error {
	for _, target := range o.Refs {
		b.set(appendPlace(refKey(target), o, id), row)
		if err := b.flushFull(); err != nil {
			return err
		}
	}
	for _, word := range o.Words {
		b.set(appendPlace(tokenKey(word), o, id), row)
		if err := b.flushFull(); err != nil {
			return err
		}
	}
	return nil
}

// flushFull flushes where a transaction would grow too large. It may fall between
// the rows of one object: the checkpoint tells that its arrival is to be fed again.
func (b *batch) flushFull() error {
	if b.bytes < flushBytes {
		return nil
	}
	return b.flush(b.x.Checkpoint())
}

// flush writes what was changed, with the checkpoint.
func (b *batch) flush(checkpoint uint64) error {
	for number, c := range b.commons {
		if !c.dirty {
			continue
		}
		c.dirty = false
		if c.uses == 0 {
			b.set(commonKey(number), nil)
		} else {
			b.set(commonKey(number), c.append(nil))
		}
	}
	b.x.state.rows(b.counts, checkpoint, func(key, row []byte) { b.set(key, row) })
	txn := b.x.db.NewTransaction(true)
	defer txn.Discard()
	for key, row := range b.rows {
		var err error
		if row == nil {
			err = txn.Delete([]byte(key))
		} else {
			err = txn.Set([]byte(key), row)
		}
		if err != nil {
			return err
		}
	}
	if err := txn.Commit(); err != nil {
		return err
	}
	b.x.state.written(b.counts)
	b.x.checkpoint.Store(checkpoint)
	b.txn.Discard()
	b.txn = b.x.db.NewTransaction(false)
	clear(b.rows)
	clear(b.counts)
	b.bytes = 0
	return nil
}

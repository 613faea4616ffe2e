package badger

import (
	"bytes"

	"github.com/tipmesh/tipmesh/store"
)

// take removes one version, unless another arrival brought it too, later.
func (b *batch) take(o *store.Object) error {
	id := sumOfID(o.ID)
	if err := b.place(o, &id, nil); err != nil {
		return err
	}
	raw, err := b.get(objectKey(nil, &id))
	if err != nil || raw == nil {
		return err
	}
	row, err := parseObject(raw)
	if err != nil || row.text() != o.ID {
		return err
	}
	member := b.x.state.numberOf(o.Member)
	held, known, err := row.of(member)
	if err != nil || !known {
		return err
	}
	c, err := b.common(held.common)
	if err != nil {
		return err
	}
	if c.o.Modified+held.times[0] == o.Modified && held.content == o.Content {
		if c.o.Arrival != o.Arrival {
			return nil
		}
		err = b.takeNewest(id[:idLen], &row, &held)
	} else {
		var gone bool
		if gone, err = b.takeOlder(olderKey(id[:idLen], member, o.Modified, o.Content), o); !gone {
			return err
		}
	}
	if err != nil {
		return err
	}
	return b.unpost(o, posting{[idLen]byte(id[:]), member})
}

// takeNewest removes the newest version of a member; the next one follows.
func (b *batch) takeNewest(id []byte, row *objectRow, held *version) error {
	var older []olderVersion
	if held.flags&hasOlder != 0 {
		var err error
		if older, err = b.older(id, held.member); err != nil {
			return err
		}
	}
	if err := b.release(held); err != nil {
		return err
	}
	if older != nil {
		if best := newestOf(older); best != nil {
			b.set(best.key, nil)
			return b.replace(id, row, &best.version, len(older) > 1)
		}
	}
	next, err := row.with(held.member, true, nil)
	if err != nil {
		return err
	}
	if len(next) == len(row.id) {
		next = nil
	}
	b.counts[held.member]--
	b.set(append([]byte{indexObject}, id...), next)
	return nil
}

// takeOlder removes a version that is not the newest.
func (b *batch) takeOlder(key []byte, o *store.Object) (gone bool, err error) {
	raw, err := b.get(key)
	if err != nil || raw == nil {
		return false, err
	}
	v, err := parseVersion(raw)
	if err != nil {
		return false, err
	}
	c, err := b.common(v.common)
	if err != nil || c.o.Arrival != o.Arrival {
		return false, err
	}
	b.set(key, nil)
	return true, b.release(&v)
}

// settle makes the newest of a member's versions the newest again.
func (b *batch) settle(id []byte, member uint32) error {
	older, err := b.older(id, member)
	if err != nil {
		return err
	}
	best := newestOf(older)
	if best == nil {
		return nil
	}
	row, held, err := b.held(id, member)
	if err != nil {
		return err
	}
	c, err := b.common(held.common)
	if err != nil {
		return err
	}
	modified := c.o.Modified + held.times[0]
	if !newer(best.modified, modified, best.arrival, c.o.Arrival, best.ordinal, held.ordinal) {
		return nil
	}
	b.set(best.key, nil)
	b.set(olderKey(id, member, modified, held.content), bytes.Clone(held.raw))
	return b.replace(id, row, &best.version, true)
}

// held gives an object's row and the newest version of one member, which is there.
func (b *batch) held(id []byte, member uint32) (*objectRow, *version, error) {
	raw, err := b.get(append([]byte{indexObject}, id...))
	if err != nil {
		return nil, nil, err
	}
	row, err := parseObject(raw)
	if err != nil {
		return nil, nil, err
	}
	v, ok, err := row.of(member)
	if err == nil && !ok {
		err = errRow
	}
	return &row, &v, err
}

// olderVersion is a version that is not the newest of its member.
type olderVersion struct {
	version
	key      []byte
	modified int64
	arrival  uint64
}

// older reads the older versions of a member. What was changed is written
// before, since it reads the database in order.
func (b *batch) older(id []byte, member uint32) (list []olderVersion, err error) {
	if err := b.flush(b.x.Checkpoint()); err != nil {
		return nil, err
	}
	prefix := olderPrefix(id, member)
	it := keys(b.txn, prefix)
	defer it.Close()
	for it.Seek(prefix); it.Valid(); it.Next() {
		raw, err := valueOf(it.Item())
		if err != nil {
			return nil, err
		}
		v, err := parseVersion(raw)
		if err != nil {
			return nil, err
		}
		c, err := b.common(v.common)
		if err != nil {
			return nil, err
		}
		list = append(list, olderVersion{v, it.Item().KeyCopy(nil), c.o.Modified + v.times[0], c.o.Arrival})
	}
	return list, nil
}

// newestOf gives the newest of versions, nil where there is none.
func newestOf(list []olderVersion) (best *olderVersion) {
	for i := range list {
		if v := &list[i]; best == nil || newer(v.modified, best.modified, v.arrival, best.arrival, v.ordinal, best.ordinal) {
			best = v
		}
	}
	return best
}

// unpost takes an object off the values that none of its versions has any more.
// In full parts of long lists it stays, which look-ups pass over.
func (b *batch) unpost(o *store.Object, p posting) error {
	var left []version
	raw, err := b.get(append([]byte{indexObject}, p.id[:]...))
	if err != nil {
		return err
	}
	if raw != nil {
		row, err := parseObject(raw)
		if err != nil {
			return err
		}
		v, ok, err := row.of(p.member)
		if err != nil {
			return err
		}
		if ok {
			left = append(left, v)
		}
		if ok && v.flags&hasOlder != 0 {
			older, err := b.older(p.id[:], p.member)
			if err != nil {
				return err
			}
			for _, v := range older {
				left = append(left, v.version)
			}
		}
	}
values:
	for _, v := range o.Values {
		sum := sumOfValue(v)
		for i := range left {
			if left[i].about(sum[32-digestLen:]) {
				continue values
			}
		}
		key := valueKey(nil, v, &sum)
		raw, err := b.get(key)
		if err != nil {
			return err
		}
		if raw == nil {
			continue
		}
		list, err := parsePostings(raw)
		if err != nil {
			return err
		}
		at, end, ok, err := find(list.list, p)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if list.list = append(list.list[:at:at], list.list[end:]...); len(list.list) == 0 && list.parts == 0 {
			b.set(key, nil)
		} else {
			b.set(key, list.append(nil))
		}
		if err := b.flushFull(); err != nil {
			return err
		}
	}
	return nil
}

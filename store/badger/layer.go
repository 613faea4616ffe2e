package badger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// layer is a draft of changes over what is below: one commit's over its
// group's, the group's over the store. A refused commit's layer is dropped, so
// it takes nothing from its neighbours.
type layer struct {
	s       *Store
	below   *layer // nil: the store itself
	feeds   map[protocol.FeedID]*feed
	fresh   map[store.Place][]byte   // headers not in the database yet
	arrived map[store.Place]struct{} // arrivals not in the database yet
	last    uint64
	units   []unit
}

// unit is operations that must stay together for the database to be sound after
// a crash.
type unit []op

type op struct {
	key, value []byte // nil value deletes
}

func newLayer(s *Store, below *layer) *layer {
	l := &layer{
		s: s, below: below, last: s.last.Load(), feeds: map[protocol.FeedID]*feed{},
		fresh: map[store.Place][]byte{}, arrived: map[store.Place]struct{}{},
	}
	if below != nil {
		l.last = below.last
	}
	return l
}

// merge takes over the draft above.
func (l *layer) merge(above *layer) {
	for id, f := range above.feeds {
		l.feeds[id] = f
	}
	for p, raw := range above.fresh {
		l.fresh[p] = raw
	}
	for p := range above.arrived {
		l.arrived[p] = struct{}{}
	}
	l.last = above.last
}

// view finds a feed to look at; nil where nothing is held.
func (l *layer) view(id protocol.FeedID) *feed {
	for at := l; at != nil; at = at.below {
		if f := at.feeds[id]; f != nil {
			return f
		}
	}
	return l.s.feeds[id] // only the committer writes it, and this is the committer
}

// edit finds a feed to change, as this layer's own.
func (l *layer) edit(id protocol.FeedID) *feed {
	if f := l.feeds[id]; f != nil {
		return f
	}
	f := l.view(id).clone()
	l.feeds[id] = f
	return f
}

func (l *layer) header(p store.Place) ([]byte, error) {
	for at := l; at != nil; at = at.below {
		if raw := at.fresh[p]; raw != nil {
			return raw, nil
		}
	}
	return get(l.s.db, headerKey(p))
}

func (l *layer) hasArrived(p store.Place) (bool, error) {
	for at := l; at != nil; at = at.below {
		if _, ok := at.arrived[p]; ok {
			return true, nil
		}
		if at.fresh[p] != nil {
			return false, nil // the database does not know the place
		}
	}
	_, err := get(l.s.db, placeKey(keyArrived, p))
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// add checks a commit and drafts it. Payloads have been checked against their
// headers before.
func (l *layer) add(c *store.Commit) error {
	for _, st := range c.Statements {
		l.units = append(l.units, unit{{statementKey(st.ID()), st.Raw()}})
	}
	for i := range c.Entries {
		if err := l.addEntry(&c.Entries[i]); err != nil {
			return err
		}
	}
	if err := l.addErased(c.Erase); err != nil {
		return err
	}
	for _, p := range c.Readable {
		if err := l.addArrival(p); err != nil {
			return err
		}
	}
	for name, value := range c.Settings {
		l.units = append(l.units, unit{{settingKey(name), value}})
	}
	return nil
}

func (l *layer) addEntry(e *store.Entry) error {
	h := e.Header
	f := l.view(h.Feed)
	switch {
	case f != nil && h.Seq <= f.head:
		return l.addAgain(e)
	case f == nil && h.Seq != 1, f != nil && (h.Seq != f.head+1 || h.Prev != f.headID):
		return fmt.Errorf("commit entry %d of feed %s: %w", h.Seq, h.Feed.Short(), store.ErrOrder)
	}
	if f == nil {
		l.feeds[h.Feed] = &feed{node: h.Node, kind: h.Kind}
	}
	f = l.edit(h.Feed)
	p := store.Place{Feed: h.Feed, Seq: h.Seq}
	f.head, f.headID = h.Seq, h.ID()
	l.fresh[p] = h.Raw()
	u := unit{{headerKey(p), h.Raw()}}
	if e.Payload != nil {
		f.bytes += h.Size
		u = append(u, op{payloadKey(p), e.Payload})
	} else {
		f.missing = f.missing.Add(h.Seq)
		u = append(u, op{placeKey(keyMissing, p), []byte{}})
	}
	l.units = append(l.units, append(u, op{feedKey(h.Feed), f.record()}))
	return nil
}

// addAgain takes an entry whose place is held: it may fill in the payload.
func (l *layer) addAgain(e *store.Entry) error {
	h := e.Header
	p := store.Place{Feed: h.Feed, Seq: h.Seq}
	raw, err := l.header(p)
	if err != nil {
		return fmt.Errorf("commit entry %d of feed %s: read held header: %w", h.Seq, h.Feed.Short(), err)
	}
	if !bytes.Equal(raw, h.Raw()) {
		// The identifier leaves the signature out, so other bytes may be the same entry.
		held, err := protocol.ReadHeader(raw)
		if err != nil {
			return fmt.Errorf("commit entry %d of feed %s: read held header: %w", h.Seq, h.Feed.Short(), err)
		}
		if held.ID() != h.ID() {
			return fmt.Errorf("commit entry %d of feed %s: %w", h.Seq, h.Feed.Short(), store.ErrConflict)
		}
	}
	if f := l.view(h.Feed); e.Payload == nil || f.holds(h.Seq) || f.erased.Has(h.Seq) {
		return nil
	}
	f := l.edit(h.Feed)
	f.bytes += h.Size
	f.missing = f.missing.Remove(h.Seq)
	l.units = append(l.units, unit{
		{payloadKey(p), e.Payload}, {placeKey(keyMissing, p), nil}, {feedKey(h.Feed), f.record()},
	})
	return nil
}

func (l *layer) addArrival(p store.Place) error {
	f := l.view(p.Feed)
	if f != nil && f.erased.Has(p.Seq) {
		return nil
	}
	if f == nil || !f.holds(p.Seq) {
		return fmt.Errorf("commit arrival of entry %d of feed %s: payload: %w", p.Seq, p.Feed.Short(), store.ErrNotFound)
	}
	if had, err := l.hasArrived(p); err != nil || had {
		return err
	}
	l.last++
	l.arrived[p] = struct{}{}
	l.units = append(l.units, unit{
		{arrivalKey(l.last), encodePlace(p)},
		{placeKey(keyArrived, p), binary.BigEndian.AppendUint64(nil, l.last)},
	})
	return nil
}

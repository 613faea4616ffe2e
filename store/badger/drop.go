package badger

import (
	"context"
	"errors"
	"fmt"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// dropRun is how many entries are dropped before readers see it.
const dropRun = 256

// Drop takes away the entries of a feed from a place on, the last first, so that
// the feed is sound whenever it stops.
func (s *Store) Drop(ctx context.Context, from store.Place) error {
	if err := s.use.enter(); err != nil {
		return err
	}
	defer s.use.leave()
	if s.cfg.ReadOnly {
		return errors.New("drop entries: the store is open for reading only")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	r := &request{drop: &from, answer: make(chan answer, 1)}
	select {
	case s.queue <- r:
	case <-ctx.Done():
		return ctx.Err()
	}
	return (<-r.answer).err
}

// dropAlone does a Drop; the commit loop calls it.
func (s *Store) dropAlone(from store.Place) error {
	from.Seq = max(from.Seq, 1)
	for s.failed == nil {
		f := s.feeds[from.Feed] // only the committer writes it, and this is the committer
		if f == nil || f.head < from.Seq {
			return nil
		}
		f = f.clone()
		var units []unit
		for len(units) < dropRun && f.head >= from.Seq {
			u, err := s.dropLast(from.Feed, f)
			if err != nil {
				return fmt.Errorf("drop entries of feed %s: %w", from.Feed.Short(), err)
			}
			units = append(units, u)
		}
		if err := s.write([][]unit{units}); err != nil {
			s.failed = fmt.Errorf("drop entries: database in %s needs to be opened again: %w", s.cfg.Dir, err)
			break
		}
		s.mu.Lock()
		if s.feeds[from.Feed] = f; f.head == 0 {
			delete(s.feeds, from.Feed)
		}
		s.mu.Unlock()
	}
	return s.failed
}

// dropLast takes the last entry off a feed and gives what the disk must do.
func (s *Store) dropLast(id protocol.FeedID, f *feed) (unit, error) {
	p := store.Place{Feed: id, Seq: f.head}
	raw, err := get(s.db, headerKey(p))
	if err != nil {
		return nil, fmt.Errorf("read entry %d: %w", p.Seq, err)
	}
	h, err := protocol.ReadHeader(raw)
	if err != nil {
		return nil, fmt.Errorf("read entry %d: %w", p.Seq, err)
	}
	u := unit{{headerKey(p), nil}}
	switch {
	case f.erased.Has(p.Seq):
		f.erased = f.erased.Cut(p.Seq - 1)
		u = append(u, erasedOp(id, f))
	case f.holds(p.Seq):
		f.bytes -= h.Size
		u = append(u, op{payloadKey(p), nil})
	default:
		f.missing = f.missing.Remove(p.Seq)
		u = append(u, op{placeKey(keyMissing, p), nil})
	}
	switch number, err := get(s.db, placeKey(keyArrived, p)); {
	case err == nil:
		u = append(u, op{append([]byte{keyArrival}, number...), encodePlace(store.Place{})}, op{placeKey(keyArrived, p), nil})
	case !errors.Is(err, store.ErrNotFound):
		return nil, fmt.Errorf("read arrival of entry %d: %w", p.Seq, err)
	}
	f.head, f.headID = h.Seq-1, h.Prev
	if f.head == 0 {
		return append(u, op{feedKey(id), nil}), nil
	}
	return append(u, op{feedKey(id), f.record()}), nil
}

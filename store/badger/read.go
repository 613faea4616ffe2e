package badger

import (
	"encoding/binary"
	"errors"
	"fmt"

	kv "github.com/dgraph-io/badger/v4"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// view runs fn in a read transaction and keeps the database open meanwhile.
func (s *Store) view(fn func(*kv.Txn) error) error {
	if err := s.use.enter(); err != nil {
		return err
	}
	defer s.use.leave()
	return s.db.View(fn)
}

// Statements calls fn for every statement held.
func (s *Store) Statements(fn func(*protocol.Statement) error) error {
	return s.view(func(txn *kv.Txn) error {
		return scan(txn, []byte{keyStatement}, nil, true, func(item *kv.Item) (bool, error) {
			raw, err := valueOf(item)
			if err != nil {
				return false, fmt.Errorf("read statement: %w", err)
			}
			st, err := protocol.ParseStatement(raw)
			if err != nil {
				return false, err
			}
			return true, fn(st)
		})
	})
}

// Entry reads one entry; store.ErrNotFound where it is not held.
func (s *Store) Entry(p store.Place) (e store.Entry, err error) {
	err = s.view(func(txn *kv.Txn) error {
		if e.Header, err = headerIn(txn, p); err != nil {
			return err
		}
		e.Payload, err = getIn(txn, payloadKey(p))
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	})
	if err != nil {
		return store.Entry{}, fmt.Errorf("read entry %d of feed %s: %w", p.Seq, p.Feed.Short(), err)
	}
	return e, nil
}

// Header reads one header; store.ErrNotFound where it is not held.
func (s *Store) Header(p store.Place) (h *protocol.Header, err error) {
	err = s.view(func(txn *kv.Txn) error {
		h, err = headerIn(txn, p)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read entry %d of feed %s: %w", p.Seq, p.Feed.Short(), err)
	}
	return h, nil
}

func headerIn(txn *kv.Txn, p store.Place) (*protocol.Header, error) {
	raw, err := getIn(txn, headerKey(p))
	if err != nil {
		return nil, err
	}
	return protocol.ReadHeader(raw)
}

// Range calls fn for the entries of a feed from a sequence number on, until it
// gives false. It sees the feed as it was when it was called.
func (s *Store) Range(feed protocol.FeedID, from uint64, fn func(store.Entry) bool) error {
	err := s.view(func(txn *kv.Txn) error {
		prefix := append([]byte{keyEntry}, feed[:]...)
		var e store.Entry // waits for its payload, which follows its header
		more := true
		err := scan(txn, prefix, headerKey(store.Place{Feed: feed, Seq: from}), false, func(item *kv.Item) (bool, error) {
			value, err := valueOf(item)
			if err != nil {
				return false, err
			}
			if key := item.Key(); key[len(key)-1] == partPayload {
				e.Payload = value
				return true, nil
			}
			if e.Header != nil {
				if more = fn(e); !more {
					return false, nil
				}
			}
			e = store.Entry{}
			e.Header, err = protocol.ReadHeader(value)
			return true, err
		})
		if err == nil && more && e.Header != nil {
			fn(e)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("read feed %s: %w", feed.Short(), err)
	}
	return nil
}

// Setting reads a named value; store.ErrNotFound where there is none.
func (s *Store) Setting(name string) (value []byte, err error) {
	err = s.view(func(txn *kv.Txn) error {
		value, err = getIn(txn, settingKey(name))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read setting %q: %w", name, err)
	}
	return value, nil
}

// Settings calls fn for the named values that begin with prefix, by name.
func (s *Store) Settings(prefix string, fn func(name string, value []byte) error) error {
	return s.view(func(txn *kv.Txn) error {
		return scan(txn, settingKey(prefix), nil, true, func(item *kv.Item) (bool, error) {
			value, err := valueOf(item)
			if err != nil {
				return false, fmt.Errorf("read setting %q: %w", item.Key()[1:], err)
			}
			return true, fn(string(item.Key()[1:]), value)
		})
	})
}

// LastArrival is the number of the newest arrival.
func (s *Store) LastArrival() uint64 { return s.last.Load() }

// ArrivalOf is the number of the arrival of a place.
func (s *Store) ArrivalOf(p store.Place) (number uint64, ok bool) {
	err := s.view(func(txn *kv.Txn) error {
		raw, err := getIn(txn, placeKey(keyArrived, p))
		if err == nil && len(raw) == 8 {
			number, ok = binary.BigEndian.Uint64(raw), true
		}
		return err
	})
	return number, ok && err == nil && number <= s.last.Load()
}

// Arrivals calls fn for the arrivals after a number, in order, until it gives
// false. It gives none that LastArrival did not include when it was called.
func (s *Store) Arrivals(after uint64, fn func(store.Arrival) bool) error {
	last := s.last.Load()
	if after >= last {
		return nil
	}
	err := s.view(func(txn *kv.Txn) error {
		return scan(txn, []byte{keyArrival}, arrivalKey(after+1), true, func(item *kv.Item) (bool, error) {
			number := binary.BigEndian.Uint64(item.Key()[1:])
			if number > last {
				return false, nil
			}
			value, err := valueOf(item)
			if err != nil {
				return false, err
			}
			p, err := decodePlace(value)
			if err != nil {
				return false, err
			}
			return fn(store.Arrival{Number: number, Place: p}), nil
		})
	})
	if err != nil {
		return fmt.Errorf("read arrivals: %w", err)
	}
	return nil
}

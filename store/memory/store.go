// Package memory is a store in maps, for simulations of many nodes and for
// tests. What it acknowledges is as durable as the process; Clone gives what a
// restart would find.
package memory

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// Store is a store.Store in memory.
type Store struct {
	incarnation protocol.Hash
	index       *Index

	mu         sync.RWMutex
	closed     bool
	statements map[protocol.StatementID]*protocol.Statement
	feeds      map[protocol.FeedID]*feed
	settings   map[string][]byte
	arrivals   []store.Place
	arrived    map[store.Place]uint64
	bytes      uint64
}

type feed struct {
	entries []store.Entry // by sequence number, from 1
	missing store.Ranges
	erased  store.Ranges // shared by clones: a change makes another
	bytes   uint64
}

var _ store.Store = (*Store)(nil)

// New gives an empty store.
func New() *Store {
	s := &Store{
		statements: map[protocol.StatementID]*protocol.Statement{}, feeds: map[protocol.FeedID]*feed{},
		settings: map[string][]byte{}, arrived: map[store.Place]uint64{}, index: newIndex(),
	}
	rand.Read(s.incarnation[:])
	return s
}

// Clone gives a second store with the same content and incarnation, as a
// restart after a crash would find it. Entries and payloads are shared: they
// never change.
func (s *Store) Clone() *Store {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c := &Store{
		incarnation: s.incarnation, index: s.index.clone(), bytes: s.bytes,
		statements: maps.Clone(s.statements), feeds: make(map[protocol.FeedID]*feed, len(s.feeds)),
		settings: maps.Clone(s.settings), arrivals: slices.Clone(s.arrivals), arrived: maps.Clone(s.arrived),
	}
	for id, f := range s.feeds {
		c.feeds[id] = f.clone()
	}
	if c.index.checkpoint > uint64(len(c.arrivals)) { // as on disk: an index of another history
		c.index = newIndex()
	}
	return c
}

func (f *feed) clone() *feed {
	return &feed{entries: slices.Clone(f.entries), missing: slices.Clone(f.missing), erased: f.erased, bytes: f.bytes}
}

func (f *feed) head() uint64 {
	if f == nil {
		return 0
	}
	return uint64(len(f.entries))
}

func (f *feed) public(id protocol.FeedID) store.Feed {
	first, last := f.entries[0].Header, f.entries[len(f.entries)-1].Header
	return store.Feed{
		ID: id, Node: first.Node, Head: f.head(), HeadID: last.ID(), Kind: first.Kind,
		Missing: slices.Clone(f.missing), Erased: f.erased, Bytes: f.bytes,
	}
}

// Index gives the index.
func (s *Store) Index() store.Index { return s.index }

// Incarnation is made by New.
func (s *Store) Incarnation() protocol.Hash { return s.incarnation }

// Close makes later calls fail with store.ErrClosed. Clone still works.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.index.close()
	return nil
}

// draft is a checked commit: what it will append and fill.
type draft struct {
	s       *Store
	added   map[protocol.FeedID][]store.Entry
	filled  map[store.Place][]byte
	erased  map[store.Place]bool
	arrived []store.Place
}

// gone reports whether a payload went for good, or will with this commit.
func (d *draft) gone(p store.Place) bool {
	f := d.s.feeds[p.Feed]
	return d.erased[p] || f != nil && f.erased.Has(p.Seq)
}

// Commit makes all of the changes or none.
func (s *Store) Commit(ctx context.Context, c *store.Commit) (uint64, error) {
	for i := range c.Entries {
		e := &c.Entries[i]
		if e.Payload != nil && !e.Header.Fits(e.Payload) {
			return 0, fmt.Errorf("commit entry %d of feed %s: payload: %w", e.Header.Seq, e.Header.Feed.Short(), store.ErrConflict)
		}
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, store.ErrClosed
	}
	d := &draft{s: s, added: map[protocol.FeedID][]store.Entry{}, filled: map[store.Place][]byte{}, erased: map[store.Place]bool{}}
	for _, e := range c.Entries {
		if err := d.entry(e); err != nil {
			return 0, err
		}
	}
	for _, p := range c.Erase {
		if d.at(p) == nil {
			return 0, fmt.Errorf("erase entry %d of feed %s: %w", p.Seq, p.Feed.Short(), store.ErrNotFound)
		}
		d.erased[p] = true
	}
	seen := map[store.Place]bool{}
	for _, p := range c.Readable {
		if d.gone(p) {
			continue
		}
		if e := d.at(p); e == nil || e.Payload == nil && d.filled[p] == nil {
			return 0, fmt.Errorf("commit arrival of entry %d of feed %s: payload: %w", p.Seq, p.Feed.Short(), store.ErrNotFound)
		}
		if _, had := s.arrived[p]; !had && !seen[p] {
			seen[p] = true
			d.arrived = append(d.arrived, p)
		}
	}
	d.apply(c)
	return uint64(len(s.arrivals)), nil
}

// at finds a held or drafted entry.
func (d *draft) at(p store.Place) *store.Entry {
	held, added := d.s.feeds[p.Feed], d.added[p.Feed]
	switch n := held.head(); {
	case p.Seq == 0 || p.Seq > n+uint64(len(added)):
		return nil
	case p.Seq > n:
		return &added[p.Seq-n-1]
	default:
		return &held.entries[p.Seq-1]
	}
}

func (d *draft) entry(e store.Entry) error {
	h := e.Header
	p := store.Place{Feed: h.Feed, Seq: h.Seq}
	fail := func(err error) error {
		return fmt.Errorf("commit entry %d of feed %s: %w", h.Seq, h.Feed.Short(), err)
	}
	if held := d.at(p); held != nil {
		if held.Header.ID() != h.ID() {
			return fail(store.ErrConflict)
		}
		if e.Payload != nil && held.Payload == nil && !d.gone(p) {
			d.filled[p] = e.Payload
		}
		return nil
	}
	before := d.at(store.Place{Feed: h.Feed, Seq: h.Seq - 1})
	if h.Seq != 1 && (before == nil || before.Header.ID() != h.Prev) {
		return fail(store.ErrOrder)
	}
	d.added[h.Feed] = append(d.added[h.Feed], e)
	return nil
}

func (d *draft) apply(c *store.Commit) {
	s := d.s
	for _, st := range c.Statements {
		s.statements[st.ID()] = st
	}
	for id, entries := range d.added {
		f := s.feeds[id]
		if f == nil {
			f = new(feed)
			s.feeds[id] = f
		}
		for _, e := range entries {
			e.Payload = slices.Clone(e.Payload)
			if e.Payload == nil {
				f.missing = f.missing.Add(e.Header.Seq)
			}
			f.bytes += uint64(len(e.Payload))
			s.bytes += uint64(len(e.Payload) + len(e.Header.Raw()))
			f.entries = append(f.entries, e)
		}
	}
	for p, payload := range d.filled {
		f := s.feeds[p.Feed]
		f.entries[p.Seq-1].Payload = slices.Clone(payload)
		f.missing = f.missing.Remove(p.Seq)
		f.bytes += uint64(len(payload))
		s.bytes += uint64(len(payload))
	}
	for p := range d.erased {
		s.feeds[p.Feed].erase(p.Seq, &s.bytes)
	}
	for _, p := range d.arrived {
		s.arrivals = append(s.arrivals, p)
		s.arrived[p] = uint64(len(s.arrivals))
	}
	for name, value := range c.Settings {
		if value == nil {
			delete(s.settings, name)
		} else {
			s.settings[name] = slices.Clone(value)
		}
	}
}

// erase lets a payload go.
func (f *feed) erase(seq uint64, total *uint64) {
	e := &f.entries[seq-1]
	f.bytes -= uint64(len(e.Payload))
	*total -= uint64(len(e.Payload))
	e.Payload = nil
	f.missing = f.missing.Remove(seq)
	f.erased = f.erased.Clone().Add(seq)
}

// Drop takes away the entries of a feed from a place on.
func (s *Store) Drop(ctx context.Context, from store.Place) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return store.ErrClosed
	}
	f := s.feeds[from.Feed]
	from.Seq = max(from.Seq, 1)
	if f.head() < from.Seq {
		return nil
	}
	f = f.clone() // readers may have the old one
	for _, e := range f.entries[from.Seq-1:] {
		f.missing = f.missing.Remove(e.Header.Seq)
		f.bytes -= uint64(len(e.Payload))
		s.bytes -= uint64(len(e.Payload) + len(e.Header.Raw()))
		delete(s.arrived, store.Place{Feed: from.Feed, Seq: e.Header.Seq})
	}
	f.entries = f.entries[:from.Seq-1]
	f.erased = f.erased.Cut(from.Seq - 1)
	s.arrivals = slices.Clone(s.arrivals) // readers may have the old ones
	for i, p := range s.arrivals {
		if p.Feed == from.Feed && p.Seq >= from.Seq {
			s.arrivals[i] = store.Place{}
		}
	}
	if s.feeds[from.Feed] = f; from.Seq == 1 {
		delete(s.feeds, from.Feed)
	}
	return nil
}

// read gives fn's result unless the store is closed. Callbacks of the caller
// run outside of it, so that they may use the store.
func read[T any](s *Store, fn func() (T, error)) (T, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		var zero T
		return zero, store.ErrClosed
	}
	return fn()
}

// Statements calls fn for every statement held.
func (s *Store) Statements(fn func(*protocol.Statement) error) error {
	all, err := read(s, func() ([]*protocol.Statement, error) {
		return slices.Collect(maps.Values(s.statements)), nil
	})
	for _, st := range all {
		if err := fn(st); err != nil {
			return err
		}
	}
	return err
}

// Feeds gives what is held of every feed, in ascending order.
func (s *Store) Feeds() []store.Feed {
	s.mu.RLock()
	defer s.mu.RUnlock()
	feeds := make([]store.Feed, 0, len(s.feeds))
	for _, id := range slices.SortedFunc(maps.Keys(s.feeds), protocol.FeedID.Compare) {
		feeds = append(feeds, s.feeds[id].public(id))
	}
	return feeds
}

// Feed gives what is held of one feed.
func (s *Store) Feed(id protocol.FeedID) (store.Feed, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	f := s.feeds[id]
	if f == nil {
		return store.Feed{}, false
	}
	return f.public(id), true
}

// Entry reads one entry; store.ErrNotFound where it is not held.
func (s *Store) Entry(p store.Place) (store.Entry, error) {
	return read(s, func() (store.Entry, error) {
		f := s.feeds[p.Feed]
		if p.Seq == 0 || p.Seq > f.head() {
			return store.Entry{}, fmt.Errorf("read entry %d of feed %s: %w", p.Seq, p.Feed.Short(), store.ErrNotFound)
		}
		return f.entries[p.Seq-1], nil
	})
}

// Header reads one header; store.ErrNotFound where it is not held.
func (s *Store) Header(p store.Place) (*protocol.Header, error) {
	e, err := s.Entry(p)
	return e.Header, err
}

// Range calls fn for the entries of a feed from a sequence number on, until it
// gives false. It sees the feed as it was when it was called.
func (s *Store) Range(id protocol.FeedID, from uint64, fn func(store.Entry) bool) error {
	entries, err := read(s, func() ([]store.Entry, error) {
		f := s.feeds[id]
		from = max(from, 1)
		if from > f.head() {
			return nil, nil
		}
		return slices.Clone(f.entries[from-1:]), nil
	})
	for _, e := range entries {
		if !fn(e) {
			break
		}
	}
	return err
}

// Setting reads a named value; store.ErrNotFound where there is none.
func (s *Store) Setting(name string) ([]byte, error) {
	return read(s, func() ([]byte, error) {
		value, ok := s.settings[name]
		if !ok {
			return nil, fmt.Errorf("read setting %q: %w", name, store.ErrNotFound)
		}
		return slices.Clone(value), nil
	})
}

// Settings calls fn for the named values that begin with prefix, by name.
func (s *Store) Settings(prefix string, fn func(name string, value []byte) error) error {
	found, err := read(s, func() (map[string][]byte, error) {
		found := map[string][]byte{}
		for name, value := range s.settings {
			if strings.HasPrefix(name, prefix) {
				found[name] = slices.Clone(value)
			}
		}
		return found, nil
	})
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if err := fn(name, found[name]); err != nil {
			return err
		}
	}
	return err
}

// LastArrival is the number of the newest arrival.
func (s *Store) LastArrival() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return uint64(len(s.arrivals))
}

// ArrivalOf is the number of the arrival of a place.
func (s *Store) ArrivalOf(p store.Place) (number uint64, ok bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	number, ok = s.arrived[p]
	return number, ok
}

// Arrivals calls fn for the arrivals after a number, in order, until it gives
// false.
func (s *Store) Arrivals(after uint64, fn func(store.Arrival) bool) error {
	places, err := read(s, func() ([]store.Place, error) {
		if after >= uint64(len(s.arrivals)) {
			return nil, nil
		}
		return s.arrivals[after:], nil // appended to, and replaced, but not changed
	})
	for i, p := range places {
		if !fn(store.Arrival{Number: after + uint64(i) + 1, Place: p}) {
			break
		}
	}
	return err
}

// Size is the bytes of headers and payloads.
func (s *Store) Size() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.bytes
}

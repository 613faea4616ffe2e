package badger

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	kv "github.com/dgraph-io/badger/v4"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// feed is what is kept in memory of one feed. Published feeds are not changed:
// the committer works on clones.
type feed struct {
	node    protocol.Key
	head    uint64
	headID  protocol.EntryID
	kind    protocol.EntryKind
	bytes   uint64
	missing store.Ranges
	erased  store.Ranges // shared by clones: a change makes another
}

func (f *feed) clone() *feed {
	c := *f
	c.missing = slices.Clone(f.missing)
	return &c
}

// holds reports whether the payload at seq is held.
func (f *feed) holds(seq uint64) bool {
	return seq >= 1 && seq <= f.head && !f.missing.Has(seq) && !f.erased.Has(seq)
}

func (f *feed) public(id protocol.FeedID) store.Feed {
	return store.Feed{
		ID: id, Node: f.node, Head: f.head, HeadID: f.headID, Kind: f.kind,
		Missing: slices.Clone(f.missing), Erased: f.erased, Bytes: f.bytes,
	}
}

const feedRecordLen = 32 + 8 + 32 + 8 + 8

// record is the feed as stored; missing payloads have keys of their own.
func (f *feed) record() []byte {
	b := make([]byte, 0, feedRecordLen)
	b = append(b, f.node[:]...)
	b = binary.BigEndian.AppendUint64(b, f.head)
	b = append(b, f.headID[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(f.kind))
	return binary.BigEndian.AppendUint64(b, f.bytes)
}

func parseFeed(b []byte) (*feed, error) {
	if len(b) != feedRecordLen {
		return nil, fmt.Errorf("read feed: %d bytes", len(b))
	}
	return &feed{
		node:   protocol.Key(b[:32]),
		head:   binary.BigEndian.Uint64(b[32:]),
		headID: protocol.EntryID(b[40:72]),
		kind:   protocol.EntryKind(binary.BigEndian.Uint64(b[72:])),
		bytes:  binary.BigEndian.Uint64(b[80:]),
	}, nil
}

// loadFeeds reads the feeds' records and the marks of missing payloads; it
// visits no entry.
func loadFeeds(txn *kv.Txn) (map[protocol.FeedID]*feed, error) {
	feeds := map[protocol.FeedID]*feed{}
	err := scan(txn, []byte{keyFeed}, nil, true, func(item *kv.Item) (bool, error) {
		value, err := valueOf(item)
		if err != nil {
			return false, err
		}
		f, err := parseFeed(value)
		if err != nil || len(item.Key()) != 33 {
			return false, fmt.Errorf("read feed %x: %w", item.Key()[1:], err)
		}
		feeds[protocol.FeedID(item.Key()[1:])] = f
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	err = scan(txn, []byte{keyMissing}, nil, false, func(item *kv.Item) (bool, error) {
		p, err := parsePlace(item.Key())
		if err != nil {
			return false, err
		}
		f := feeds[p.Feed]
		if f == nil || p.Seq > f.head {
			return false, fmt.Errorf("read feed %s: entry %d without a record", p.Feed.Short(), p.Seq)
		}
		f.missing = f.missing.Add(p.Seq)
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	return feeds, scan(txn, []byte{keyErased}, nil, true, func(item *kv.Item) (bool, error) {
		value, err := valueOf(item)
		if err != nil || len(item.Key()) != 33 {
			return false, fmt.Errorf("read erased payloads %x: %w", item.Key(), err)
		}
		f := feeds[protocol.FeedID(item.Key()[1:])]
		if f == nil {
			return false, fmt.Errorf("read erased payloads %x: no such feed", item.Key())
		}
		f.erased, err = store.ParseRanges(value)
		return true, err
	})
}

// lastArrival reads the newest arrival's number.
func lastArrival(txn *kv.Txn) (uint64, error) {
	opt := kv.DefaultIteratorOptions
	opt.PrefetchValues, opt.Reverse = false, true
	it := txn.NewIterator(opt)
	defer it.Close()
	it.Seek(arrivalKey(^uint64(0)))
	if !it.ValidForPrefix([]byte{keyArrival}) {
		return 0, nil
	}
	key := it.Item().Key()
	if len(key) != 9 {
		return 0, fmt.Errorf("read arrival: key of %d bytes", len(key))
	}
	return binary.BigEndian.Uint64(key[1:]), nil
}

// scan calls fn for the items whose keys begin with prefix, from the key from
// on (nil: all), until it gives false or an error.
func scan(txn *kv.Txn, prefix, from []byte, values bool, fn func(*kv.Item) (bool, error)) error {
	opt := kv.DefaultIteratorOptions
	opt.PrefetchValues, opt.Prefix = values, prefix
	it := txn.NewIterator(opt)
	defer it.Close()
	if from == nil {
		from = prefix
	}
	for it.Seek(from); it.Valid(); it.Next() {
		more, err := fn(it.Item())
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// Feeds gives what is held of every feed, in ascending order.
func (s *Store) Feeds() []store.Feed {
	s.mu.RLock()
	defer s.mu.RUnlock()
	ids := slices.SortedFunc(maps.Keys(s.feeds), protocol.FeedID.Compare)
	feeds := make([]store.Feed, len(ids))
	for i, id := range ids {
		feeds[i] = s.feeds[id].public(id)
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

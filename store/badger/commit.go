package badger

import (
	"context"
	"errors"
	"fmt"

	kv "github.com/dgraph-io/badger/v4"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// maxPayloads bounds the payload bytes of one transaction, so that one value
// log file can hold it.
const maxPayloads = 32 << 20

// request is a commit on its way.
type request struct {
	commit *store.Commit
	drop   *store.Place // instead of a commit
	bytes  int          // payloads
	answer chan answer
}

// size is the bytes that the commit adds to the disk, roughly.
func (r *request) size() int {
	n := r.bytes + 512*len(r.commit.Entries)
	for _, st := range r.commit.Statements {
		n += len(st.Raw())
	}
	for _, value := range r.commit.Settings {
		n += len(value)
	}
	return n
}

type answer struct {
	last uint64
	err  error
}

// Commit makes the changes durable. Commits that run at the same time share
// transactions and syncs; an invalid one fails alone.
//
// A commit is atomic as long as it fits one of badger's transactions: about
// 1,000 entries or 1 MB of headers, statements and small values, and 32 MiB of
// payloads. A larger one is written in parts, in the order statements, entries,
// arrivals, settings; a crash then leaves the first parts, which are sound in
// themselves, and the commit can be made again.
//
// The context counts until the commit is queued; after that the outcome is
// waited for, since it can no longer be taken back. After an error of the disk
// the store takes no further commits until it is opened again: what a failed
// sync left behind is not known. With too little room on the disk it fails with
// store.ErrDiskFull before anything is written, and goes on once there is room.
func (s *Store) Commit(ctx context.Context, c *store.Commit) (uint64, error) {
	if err := s.use.enter(); err != nil {
		return 0, err
	}
	defer s.use.leave()
	if s.cfg.ReadOnly {
		return 0, errors.New("commit entries: the store is open for reading only")
	}
	r := &request{commit: c, answer: make(chan answer, 1)}
	for i := range c.Entries {
		e := &c.Entries[i]
		r.bytes += len(e.Payload)
		if e.Payload != nil && !e.Header.Fits(e.Payload) {
			return 0, fmt.Errorf("commit entry %d of feed %s: payload: %w", e.Header.Seq, e.Header.Feed.Short(), store.ErrConflict)
		}
	}
	for name, value := range c.Settings {
		// Badger would refuse these in the middle of a group.
		if len(name) > 1024 || len(value) > protocol.MaxPayload {
			return 0, fmt.Errorf("commit setting: name of %d and value of %d bytes are too long", len(name), len(value))
		}
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	select {
	case s.queue <- r:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	a := <-r.answer
	return a.last, a.err
}

// commitLoop is the one writer of the entries database.
func (s *Store) commitLoop() {
	var next *request
	for {
		r := next
		if next = nil; r == nil {
			select {
			case <-s.stop:
				return // no Commit is under way: Close has waited for them
			case r = <-s.queue:
			}
		}
		if r.drop != nil {
			r.answer <- answer{err: s.dropAlone(*r.drop)}
			continue
		}
		var group []*request
		group, next = s.gather(r)
		s.commitGroup(group)
	}
}

// gather takes what waits, up to what one transaction holds and to a request
// that cannot share one.
func (s *Store) gather(first *request) (group []*request, next *request) {
	group, bytes := []*request{first}, first.bytes
	for bytes < maxPayloads {
		select {
		case r := <-s.queue:
			if r.drop != nil {
				return group, r
			}
			group = append(group, r)
			bytes += r.bytes
		default:
			return group, nil
		}
	}
	return group, nil
}

func (s *Store) commitGroup(group []*request) {
	if s.failed != nil {
		for _, r := range group {
			r.answer <- answer{err: s.failed}
		}
		return
	}
	draft := newLayer(s, nil)
	var valid []*request
	var commits [][]unit
	for _, r := range group {
		// Before anything is drafted: an entry is in whole or not at all.
		if err := s.space.admit(r.size(), len(r.commit.Entries) > 0); err != nil {
			r.answer <- answer{err: fmt.Errorf("commit entries: %w", err)}
			continue
		}
		own := newLayer(s, draft)
		if err := own.add(r.commit); err != nil {
			r.answer <- answer{err: err}
			continue
		}
		draft.merge(own)
		valid, commits = append(valid, r), append(commits, own.units)
	}
	err := s.write(commits)
	if err != nil {
		s.failed = fmt.Errorf("commit entries: database in %s needs to be opened again: %w", s.cfg.Dir, err)
		err = s.failed
	} else {
		s.publish(draft)
	}
	for _, r := range valid {
		r.answer <- answer{last: draft.last, err: err}
	}
}

// publish shows a durable draft to readers.
func (s *Store) publish(draft *layer) {
	s.mu.Lock()
	for id, f := range draft.feeds {
		s.feeds[id] = f
	}
	s.mu.Unlock()
	s.last.Store(draft.last)
}

// write puts commits into as few transactions as fit and gives them to the disk
// in order. A transaction is synced when badger has taken it.
func (s *Store) write(commits [][]unit) error {
	t := transaction{s: s}
	defer t.discard()
	for _, units := range commits {
		var whole size
		for _, u := range units {
			whole = whole.plus(sizeOfUnit(u))
		}
		// A commit that fits a transaction of its own is not split over two.
		if !t.fits(whole) && t.used.keys > 0 {
			if err := t.commit(); err != nil {
				return err
			}
		}
		for _, u := range units {
			if err := t.add(u); err != nil {
				return err
			}
		}
	}
	return t.commit()
}

// size is what badger's limits and ours count.
type size struct {
	keys     int64
	tree     int64 // bytes in the memtable
	payloads int64 // bytes in the value log
}

func (a size) plus(b size) size {
	return size{a.keys + b.keys, a.tree + b.tree, a.payloads + b.payloads}
}

func sizeOfUnit(u unit) (total size) {
	for _, o := range u {
		n := size{keys: 1, tree: int64(len(o.key)) + 32}
		if len(o.value) < valueThreshold {
			n.tree += int64(len(o.value))
		} else {
			n.payloads = int64(len(o.value))
		}
		total = total.plus(n)
	}
	return total
}

// transaction fills and commits badger's transactions one after the other.
type transaction struct {
	s    *Store
	txn  *kv.Txn
	used size
}

func (t *transaction) fits(n size) bool {
	sum := t.used.plus(n)
	return sum.keys < t.s.db.MaxBatchCount()-8 && sum.tree < t.s.db.MaxBatchSize()-1024 && sum.payloads <= maxPayloads
}

func (t *transaction) add(u unit) error {
	n := sizeOfUnit(u)
	if !t.fits(n) {
		if err := t.commit(); err != nil {
			return err
		}
	}
	if t.txn == nil {
		t.txn = t.s.db.NewTransaction(true)
	}
	for _, o := range u {
		var err error
		if o.value == nil {
			err = t.txn.Delete(o.key)
		} else {
			err = t.txn.Set(o.key, o.value)
		}
		if err != nil {
			return fmt.Errorf("fill transaction: %w", err)
		}
	}
	t.used = t.used.plus(n)
	return nil
}

func (t *transaction) commit() error {
	if t.txn == nil {
		return nil
	}
	err := t.txn.Commit()
	t.txn, t.used = nil, size{}
	if err != nil {
		return fmt.Errorf("write transaction: %w", err)
	}
	if err := t.s.log.err(); err != nil {
		return fmt.Errorf("sync value log: %w", err)
	}
	return t.s.folder.sync()
}

func (t *transaction) discard() {
	if t.txn != nil {
		t.txn.Discard()
	}
}

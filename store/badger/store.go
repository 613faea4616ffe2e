// Package badger is the store of a node on disk: two badger databases, both
// encrypted. "entries" is the truth and is synced before a commit returns;
// "index" is not synced and is made again from the entries where it is missing,
// damaged or of another time.
package badger

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	kv "github.com/dgraph-io/badger/v4"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// Config says where a store is and how it opens.
type Config struct {
	Dir      string // holds entries/ and index/; made where missing
	Key      []byte // 32 bytes; encrypts both databases at rest
	ReadOnly bool   // no commits; the store must have been closed properly
	// Reserve is the bytes of the disk to keep free: below, commits with entries
	// fail with store.ErrDiskFull until there is room. 0: 256 MiB, less on a
	// small disk; below 0: none.
	Reserve int64

	small bool // small value log, so that tests copy folders quickly
}

// Store is a store.Store on disk. See Open.
type Store struct {
	cfg         Config
	db          *kv.DB
	log         *watch
	index       *Index
	space       *space
	folder      folder // of the entries; the committer's
	incarnation protocol.Hash

	mu    sync.RWMutex // guards feeds against the committer's publishing
	feeds map[protocol.FeedID]*feed
	last  atomic.Uint64 // arrivals visible

	queue  chan *request
	failed error // set by the committer alone: no commit is taken after a failed one

	use  usage
	stop chan struct{}
	done sync.WaitGroup
}

var (
	_ store.Store = (*Store)(nil)
	_ store.Room  = (*Store)(nil)
)

// Open opens the store in cfg.Dir and makes it where there is none. Errors wrap
// ErrKey, ErrInUse or ErrDamaged and name the database and its folder. A damaged
// index is set aside as index.damaged and begun anew.
func Open(cfg Config) (*Store, error) {
	if len(cfg.Key) != 32 {
		return nil, fmt.Errorf("open store: key of %d bytes, want 32", len(cfg.Key))
	}
	s := &Store{cfg: cfg, log: new(watch), space: newSpace(cfg.Dir, cfg.Reserve), folder: folder{dir: filepath.Join(cfg.Dir, "entries")}, queue: make(chan *request, 256), stop: make(chan struct{})}
	var err error
	tables, _ := filepath.Glob(filepath.Join(cfg.Dir, "entries", "*.sst"))
	if s.db, err = openDB("entries", entriesOptions(filepath.Join(cfg.Dir, "entries"), cfg, s.log)); err != nil {
		return nil, err
	}
	if err := s.load(len(tables) == 0); err != nil {
		err = fmt.Errorf("read entries database in %s: %w: %w", filepath.Join(cfg.Dir, "entries"), ErrDamaged, err)
		return nil, errors.Join(err, s.db.Close())
	}
	if s.index, err = openIndex(cfg, s.incarnation, s.last.Load()); err != nil {
		return nil, errors.Join(err, s.db.Close())
	}
	s.index.space = s.space
	if !cfg.ReadOnly {
		// The first commit writes to a log that opening made: its name is synced
		// before, those of the folders too.
		err := errors.Join(s.folder.sync(), syncFolder(cfg.Dir), syncFolder(filepath.Dir(cfg.Dir)))
		if err == nil {
			err = restrict(cfg.Dir)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("prepare folder: %w", err), s.index.close(), s.db.Close())
		}
		s.done.Go(s.commitLoop)
		s.done.Go(s.collectLoop)
		s.done.Go(func() { s.index.inspectLoop(s.stop) })
	}
	return s, nil
}

// Index gives the index.
func (s *Store) Index() store.Index { return s.index }

// Incarnation is made when the entries database is.
func (s *Store) Incarnation() protocol.Hash { return s.incarnation }

// Close waits for calls under way, then closes both databases. It must not be
// called from a callback of the store. Calls after it fail with store.ErrClosed.
func (s *Store) Close() error {
	if !s.use.close() {
		return nil
	}
	close(s.stop)
	s.done.Wait()
	if err := errors.Join(s.index.close(), s.db.Close(), s.log.err()); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// Size is the bytes that both databases take on disk.
func (s *Store) Size() uint64 { return sizeOf(filepath.Join(s.cfg.Dir, "entries")) }

// load reads the incarnation, or makes it where the database may be new, and
// what is kept in memory.
func (s *Store) load(fresh bool) error {
	if err := s.loadMeta(fresh); err != nil {
		return err
	}
	return s.db.View(func(txn *kv.Txn) error {
		feeds, err := loadFeeds(txn)
		if err != nil {
			return err
		}
		s.feeds = feeds
		last, err := lastArrival(txn)
		s.last.Store(last)
		return err
	})
}

const entriesFormat = 1

func (s *Store) loadMeta(fresh bool) error {
	meta, err := get(s.db, []byte{keyMeta})
	if errors.Is(err, store.ErrNotFound) && fresh && !s.cfg.ReadOnly {
		meta = make([]byte, 33)
		meta[0] = entriesFormat
		rand.Read(meta[1:])
		err = s.db.Update(func(txn *kv.Txn) error { return txn.Set([]byte{keyMeta}, meta) })
	}
	if err != nil {
		return fmt.Errorf("read format: %w", err)
	}
	if len(meta) != 33 || meta[0] != entriesFormat {
		return fmt.Errorf("read format: %x is unknown to this version of tipmesh", meta[:min(1, len(meta))])
	}
	s.incarnation = protocol.Hash(meta[1:])
	return nil
}

// collectLoop gives back the space of erased payloads.
func (s *Store) collectLoop() {
	tick := time.NewTicker(10 * time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
		}
		// One call rewrites one file; the error says there is none left. The
		// index keeps nothing in its value log.
		for s.db.RunValueLogGC(0.5) == nil {
			select {
			case <-s.stop:
				return
			default:
			}
		}
	}
}

// usage counts calls under way, so that closing can wait for them.
type usage struct {
	mu     sync.Mutex
	calls  int
	closed bool
	idle   chan struct{}
}

func (u *usage) enter() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return store.ErrClosed
	}
	u.calls++
	return nil
}

func (u *usage) leave() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.calls--; u.calls == 0 && u.closed {
		close(u.idle)
	}
}

// close waits until no call is under way; it gives false where it was called
// before.
func (u *usage) close() bool {
	u.mu.Lock()
	if u.closed {
		u.mu.Unlock()
		return false
	}
	u.closed, u.idle = true, make(chan struct{})
	if u.calls == 0 {
		close(u.idle)
	}
	u.mu.Unlock()
	<-u.idle
	return true
}

// get reads one value; store.ErrNotFound where there is none.
func get(db *kv.DB, key []byte) (value []byte, err error) {
	err = db.View(func(txn *kv.Txn) error {
		value, err = getIn(txn, key)
		return err
	})
	return value, err
}

func getIn(txn *kv.Txn, key []byte) ([]byte, error) {
	item, err := txn.Get(key)
	if errors.Is(err, kv.ErrKeyNotFound) {
		return nil, store.ErrNotFound
	} else if err != nil {
		return nil, err
	}
	return valueOf(item)
}

// valueOf copies a value; an empty one is not nil.
func valueOf(item *kv.Item) ([]byte, error) {
	return item.ValueCopy(make([]byte, 0, 64))
}

// sizeOf adds up the files below dir.
func sizeOf(dir string) (total uint64) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	for _, f := range files {
		if info, err := f.Info(); err == nil && info.Mode().IsRegular() {
			total += onDisk(info)
		}
	}
	return total
}

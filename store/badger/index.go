package badger

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	kv "github.com/dgraph-io/badger/v4"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// Index is the index on disk. Of two arrivals that hold the same version with
// the same content, the one fed last answers.
type Index struct {
	dir         string
	db          *kv.DB
	readOnly    bool
	incarnation protocol.Hash
	space       *space

	put        sync.Mutex   // one Put at a time
	open       sync.RWMutex // held for writing by Reset and close
	closed     bool
	checkpoint atomic.Uint64

	state *indexState // another one after the index was emptied

	opt    kv.Options            // to open it again
	broken atomic.Pointer[error] // since when it is damaged, until it is emptied
	goal   atomic.Uint64         // the checkpoint before it was
	dead   atomic.Pointer[error] // why it cannot be made again
	lost   chan struct{}         // see Emptied
	heals  int                   // how often it was emptied for damage

	stampsMu sync.Mutex
	stamps   map[uint64]stamp // of tables, as seen last
}

var _ store.Index = (*Index)(nil)

// openIndex opens the index of a store with the given incarnation and last
// arrival. An index that does not fit is emptied, a damaged one set aside.
func openIndex(cfg Config, incarnation protocol.Hash, last uint64) (*Index, error) {
	x := &Index{dir: filepath.Join(cfg.Dir, "index"), readOnly: cfg.ReadOnly, incarnation: incarnation, state: newState(incarnation), lost: make(chan struct{}, 1)}
	opt := indexOptions(x.dir, cfg, new(watch))
	x.opt = opt
	err := x.openAt(opt, last)
	if err == nil || cfg.ReadOnly || errors.Is(err, ErrInUse) {
		return x, err
	}
	aside := x.dir + ".damaged"
	if err2 := errors.Join(os.RemoveAll(aside), os.Rename(x.dir, aside)); err2 != nil {
		return nil, errors.Join(err, fmt.Errorf("set index aside: %w", err2))
	}
	return x, x.openAt(opt, last)
}

func (x *Index) openAt(opt kv.Options, last uint64) error {
	var err error
	if x.db, err = openDB("index", opt); err != nil {
		return err
	}
	fits, err := x.load(last)
	if err == nil && !x.readOnly {
		if !fits {
			err = x.empty()
		}
		if err == nil {
			err = x.db.Update(func(txn *kv.Txn) error { return txn.Set([]byte{indexDirty}, bootID()) })
		}
	}
	if err != nil {
		return errors.Join(fmt.Errorf("read index database in %s: %w: %w", x.dir, ErrDamaged, err), x.db.Close())
	}
	return nil
}

// load reads what is kept in memory and reports whether the index belongs to the
// store and can be relied on.
func (x *Index) load(last uint64) (fits bool, err error) {
	meta, err := get(x.db, []byte{indexMeta})
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	state := newState(x.incarnation)
	checkpoint, fits := state.read(meta)
	if !fits || checkpoint > last {
		return false, nil
	}
	// The kernel writes an unsynced log's pages in any order and badger's logs
	// apart from each other: after a power loss a checkpoint may be there
	// without what was written before it. The death of the process alone loses
	// no page.
	boot, err := get(x.db, []byte{indexDirty})
	if err == nil && (len(boot) == 0 || !bytes.Equal(boot, bootID())) && !x.readOnly {
		return false, nil
	} else if err != nil && !errors.Is(err, store.ErrNotFound) {
		return false, err
	}
	if err := x.db.View(state.readMembers); err != nil {
		return false, err
	}
	x.state = state
	x.checkpoint.Store(checkpoint)
	return true, nil
}

// empty drops everything and begins anew.
func (x *Index) empty() error {
	if err := x.db.DropAll(); err != nil {
		return fmt.Errorf("empty index: %w", err)
	}
	x.state = newState(x.incarnation)
	x.checkpoint.Store(0)
	x.goal.Store(0)
	err := x.db.Update(func(txn *kv.Txn) error {
		if err := txn.Set([]byte{indexDirty}, bootID()); err != nil {
			return err
		}
		return txn.Set([]byte{indexMeta}, x.state.meta(0))
	})
	if err != nil {
		return fmt.Errorf("empty index: %w", err)
	}
	return nil
}

// Put adds a batch and moves the checkpoint. The checkpoint is written with the
// last rows, so that it is never ahead of them.
func (x *Index) Put(b *store.IndexBatch) error {
	err := x.change(len(b.Objects), func(w *batch) error {
		if b.After > x.Checkpoint() {
			return fmt.Errorf("%w: it has come to arrival %d only", store.ErrRebuild, x.Checkpoint())
		}
		for i := range b.Objects {
			if err := w.add(&b.Objects[i]); err != nil {
				return err
			}
			if err := w.flushFull(); err != nil {
				return err
			}
		}
		return w.flush(max(b.Checkpoint, x.Checkpoint()))
	})
	if err != nil {
		return fmt.Errorf("put into index: %w", err)
	}
	return nil
}

// Remove takes out versions that came with some arrivals.
func (x *Index) Remove(objects []store.Object) error {
	err := x.change(0, func(w *batch) error {
		for i := range objects {
			if err := w.take(&objects[i]); err != nil {
				return err
			}
			if err := w.flushFull(); err != nil {
				return err
			}
		}
		return w.flush(x.Checkpoint())
	})
	if err != nil {
		return fmt.Errorf("remove from index: %w", err)
	}
	return nil
}

// change runs fn with a batch, one at a time.
func (x *Index) change(objects int, fn func(*batch) error) error {
	if x.readOnly {
		return errors.New("it is open for reading only")
	}
	if objects > 0 {
		if err := x.space.admitIndex(objects); err != nil {
			return err
		}
	}
	err := x.changeOpen(fn)
	if err == nil || x.dead.Load() != nil || errors.Is(err, store.ErrClosed) || errors.Is(err, store.ErrRebuild) || errors.Is(err, syscall.ENOSPC) {
		return err
	}
	x.suspect(err)
	return fmt.Errorf("%w: %w", store.ErrRebuild, err)
}

func (x *Index) changeOpen(fn func(*batch) error) (err error) {
	x.put.Lock()
	defer x.put.Unlock()
	x.open.RLock()
	defer x.open.RUnlock()
	if x.closed {
		return store.ErrClosed
	}
	if dead := x.dead.Load(); dead != nil {
		return *dead
	}
	if cause := x.broken.Load(); cause != nil {
		return fmt.Errorf("%w: %w", store.ErrRebuild, *cause)
	}
	defer caught(&err)()
	w := x.newBatch()
	defer w.close()
	return fn(w)
}

// Checkpoint is the last arrival that look-ups include.
func (x *Index) Checkpoint() uint64 { return x.checkpoint.Load() }

// Count is the number of objects.
func (x *Index) Count() uint64 {
	x.open.RLock()
	defer x.open.RUnlock()
	return x.state.count()
}

// Census gives the numbers of objects of members.
func (x *Index) Census(members []protocol.MemberID) ([]uint64, error) {
	x.open.RLock()
	defer x.open.RUnlock()
	if x.closed {
		return nil, store.ErrClosed
	}
	return x.state.census(members), nil
}

// Reset empties the index.
func (x *Index) Reset() error {
	x.put.Lock()
	defer x.put.Unlock()
	x.open.Lock()
	defer x.open.Unlock()
	if x.closed {
		return store.ErrClosed
	}
	if x.readOnly {
		return errors.New("empty index: it is open for reading only")
	}
	if x.db == nil {
		return *x.dead.Load()
	}
	return x.empty()
}

// Size is the bytes that the index takes on disk.
func (x *Index) Size() uint64 { return sizeOf(x.dir) }

func (x *Index) close() error {
	x.open.Lock()
	defer x.open.Unlock()
	if x.closed {
		return nil
	}
	x.closed = true
	switch {
	case x.db == nil:
		return nil
	case x.broken.Load() != nil:
		return x.setAside() // so that nobody relies on it
	}
	var err error
	if !x.readOnly {
		err = x.db.Update(func(txn *kv.Txn) error { return txn.Delete([]byte{indexDirty}) })
	}
	return errors.Join(err, x.db.Close())
}

// bootID tells this run of the kernel from others; empty where the system has
// no such thing, which makes every unclean end a reason to rebuild.
func bootID() []byte {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil
	}
	return []byte(strings.TrimSpace(string(id)))
}

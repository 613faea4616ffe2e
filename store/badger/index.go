package badger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

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

	countMu sync.Mutex
	count   sketch
}

var _ store.Index = (*Index)(nil)

// openIndex opens the index of a store with the given incarnation and last
// arrival. An index that does not fit is emptied, a damaged one set aside.
func openIndex(cfg Config, incarnation protocol.Hash, last uint64) (*Index, error) {
	x := &Index{dir: filepath.Join(cfg.Dir, "index"), readOnly: cfg.ReadOnly, incarnation: incarnation}
	opt := indexOptions(x.dir, cfg, new(watch))
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

// load reads checkpoint and count and reports whether the index belongs to the
// store and can be relied on.
func (x *Index) load(last uint64) (fits bool, err error) {
	meta, err := get(x.db, []byte{indexMeta})
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	if len(meta) != 41 || !bytes.Equal(meta[:33], x.meta(0)[:33]) {
		return false, nil
	}
	checkpoint := binary.BigEndian.Uint64(meta[33:])
	if checkpoint > last {
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
	sum, err := get(x.db, []byte{indexCount})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return false, err
	}
	copy(x.count[:], sum)
	x.checkpoint.Store(checkpoint)
	return true, nil
}

// meta is format, incarnation and checkpoint.
func (x *Index) meta(checkpoint uint64) []byte {
	b := append([]byte{rowFormat}, x.incarnation[:]...)
	return binary.BigEndian.AppendUint64(b, checkpoint)
}

// empty drops everything and begins anew.
func (x *Index) empty() error {
	if err := x.db.DropAll(); err != nil {
		return fmt.Errorf("empty index: %w", err)
	}
	x.countMu.Lock()
	x.count = sketch{}
	x.countMu.Unlock()
	x.checkpoint.Store(0)
	err := x.db.Update(func(txn *kv.Txn) error {
		if err := txn.Set([]byte{indexDirty}, bootID()); err != nil {
			return err
		}
		return txn.Set([]byte{indexMeta}, x.meta(0))
	})
	if err != nil {
		return fmt.Errorf("empty index: %w", err)
	}
	return nil
}

// Put adds a batch and moves the checkpoint. Nothing is read. The checkpoint is
// written with the rows or after them, so that it is never ahead of them.
func (x *Index) Put(b *store.IndexBatch) error {
	if x.readOnly {
		return errors.New("put into index: it is open for reading only")
	}
	x.put.Lock()
	defer x.put.Unlock()
	x.open.RLock()
	defer x.open.RUnlock()
	if x.closed {
		return store.ErrClosed
	}
	if err := x.space.admitIndex(len(b.Objects)); err != nil {
		return fmt.Errorf("put into index: %w", err)
	}
	rows, grown := x.rowsOf(b.Objects)
	checkpoint := max(b.Checkpoint, x.checkpoint.Load())
	err := x.putTogether(rows, grown, checkpoint)
	if errors.Is(err, kv.ErrTxnTooBig) {
		if err = x.putRows(rows); err == nil {
			err = x.putTogether(nil, grown, checkpoint)
		}
	}
	if err != nil {
		return fmt.Errorf("put into index: %w", err)
	}
	x.checkpoint.Store(checkpoint)
	return nil
}

// Remove takes out versions that came with some arrivals.
func (x *Index) Remove(objects []store.Object) error {
	if x.readOnly {
		return errors.New("remove from index: it is open for reading only")
	}
	x.put.Lock()
	defer x.put.Unlock()
	x.open.RLock()
	defer x.open.RUnlock()
	if x.closed {
		return store.ErrClosed
	}
	wb := x.db.NewWriteBatch()
	defer wb.Cancel()
	for i := range objects {
		if err := x.remove(wb, &objects[i]); err != nil {
			return fmt.Errorf("remove from index: %w", err)
		}
	}
	if err := wb.Flush(); err != nil {
		return fmt.Errorf("remove from index: %w", err)
	}
	return nil
}

// remove takes out one version, unless another arrival brought it too, later.
func (x *Index) remove(wb *kv.WriteBatch, o *store.Object) error {
	id := sumOfID(o.ID)
	raw, err := get(x.db, objectKey(id, o))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	if held, err := parseRow(raw); err != nil || held.Arrival != o.Arrival {
		return err
	}
	if err := wb.Delete(objectKey(id, o)); err != nil {
		return err
	}
	for _, v := range o.Values {
		if err := wb.Delete(valueKey(v, id, o)); err != nil {
			return err
		}
	}
	for _, key := range placed(o, id) {
		if err := wb.Delete(key); err != nil {
			return err
		}
	}
	return nil
}

// placed gives the keys by which a version is found by references and words.
func placed(o *store.Object, id [32]byte) (keys [][]byte) {
	for _, target := range o.Refs {
		keys = append(keys, appendPlace(refKey(target), o, id))
	}
	for _, word := range o.Words {
		keys = append(keys, appendPlace(tokenKey(word), o, id))
	}
	return keys
}

// row is one key and its value.
type row struct{ key, value []byte }

// rowsOf makes the rows of the objects and counts them.
func (x *Index) rowsOf(objects []store.Object) (rows []row, grown bool) {
	rows = make([]row, 0, 2*len(objects))
	var buf []byte // shared by rows, so that each costs no allocation
	for i := range objects {
		o := &objects[i]
		id := sumOfID(o.ID)
		if cap(buf)-len(buf) < 4<<10 {
			buf = make([]byte, 0, 64<<10)
		}
		start := len(buf)
		buf = appendRow(buf, o)
		key := objectKey(id, o)
		x.countMu.Lock()
		grown = x.count.add(key) || grown
		x.countMu.Unlock()
		rows = append(rows, row{key, buf[start:len(buf):len(buf)]})
		for _, v := range o.Values {
			rows = append(rows, row{valueKey(v, id, o), nil})
			if s, ok := store.SiteOf(v); ok {
				key := appendSite([]byte{indexSite}, &s)
				var text []byte
				if len(key) > siteCut {
					text = textOfSite(v)
				}
				rows = append(rows, row{key, text})
			}
		}
		for _, key := range placed(o, id) {
			rows = append(rows, row{key, nil})
		}
	}
	return rows, grown
}

// maxTogether is how many rows are tried in one transaction.
const maxTogether = 2000

// putTogether writes rows, count and checkpoint in one transaction, or fails
// with kv.ErrTxnTooBig.
func (x *Index) putTogether(rows []row, grown bool, checkpoint uint64) error {
	if len(rows) > maxTogether {
		return kv.ErrTxnTooBig
	}
	return x.db.Update(func(txn *kv.Txn) error {
		for _, r := range rows {
			if err := txn.Set(r.key, r.value); err != nil {
				return err
			}
		}
		if grown {
			x.countMu.Lock()
			sum := bytes.Clone(x.count[:])
			x.countMu.Unlock()
			if err := txn.Set([]byte{indexCount}, sum); err != nil {
				return err
			}
		}
		return txn.Set([]byte{indexMeta}, x.meta(checkpoint))
	})
}

// putRows writes many rows, in as many transactions as they take.
func (x *Index) putRows(rows []row) error {
	wb := x.db.NewWriteBatch()
	defer wb.Cancel()
	for _, r := range rows {
		if err := wb.Set(r.key, r.value); err != nil {
			return err
		}
	}
	return wb.Flush()
}

// Checkpoint is the last arrival that look-ups include.
func (x *Index) Checkpoint() uint64 { return x.checkpoint.Load() }

// Count is the number of distinct objects, to about 2 %.
func (x *Index) Count() uint64 {
	x.countMu.Lock()
	defer x.countMu.Unlock()
	return x.count.count()
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

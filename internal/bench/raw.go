package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"time"

	kv "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/tipmesh/tipmesh/internal/keyring"
)

// Bounds of what is taken from an index.
const (
	mostGets  = 20_000
	mostPairs = 1_000_000
)

// rawOptions are those of store/badger for its index.
func rawOptions(dir string, key []byte) kv.Options {
	o := kv.DefaultOptions(dir)
	o.Logger, o.MetricsEnabled, o.DetectConflicts, o.EncryptionKey = nil, false, false, key
	o.MemTableSize, o.NumMemtables, o.NumCompactors = 8<<20, 2, 2
	o.Compression, o.ChecksumVerificationMode = options.None, options.OnBlockRead
	o.BlockCacheSize, o.IndexCacheSize = 16<<20, 4<<20
	o.ValueThreshold, o.ValueLogFileSize = 64<<10, 1<<20
	return o
}

// rawStore is what Badger by itself does with an index.
type rawStore struct {
	open   time.Duration   // to open both databases of the store
	gets   []time.Duration // of keys at random
	all    time.Duration   // of as many gets as values are looked up at a time
	keys   int             // in the index
	pairs  int             // of these written to a new database
	writes time.Duration
}

// measureRaw opens the databases of a home whose node does not run.
func measureRaw(dir, scratch string) (r rawStore, err error) {
	keys, err := keyring.Load(filepath.Join(dir, "keys"), nil)
	if err != nil {
		return r, err
	}
	began := time.Now()
	entries, err := kv.Open(rawOptions(filepath.Join(dir, "store", "entries"), keys.Store))
	if err != nil {
		return r, fmt.Errorf("open entries: %w", err)
	}
	db, err := kv.Open(rawOptions(filepath.Join(dir, "store", "index"), keys.Store))
	if err != nil {
		return r, errors.Join(fmt.Errorf("open index: %w", err), entries.Close())
	}
	r.open = time.Since(began)
	defer func() { err = errors.Join(err, db.Close(), entries.Close()) }()
	picked, pairs, err := r.read(db)
	if err != nil {
		return r, err
	}
	if err := r.get(db, picked); err != nil {
		return r, err
	}
	return r, r.write(scratch, keys.Store, pairs)
}

type keyValue struct{ key, value []byte }

// read counts the keys, picks some at random and takes the first pairs.
func (r *rawStore) read(db *kv.DB) (picked [][]byte, pairs []keyValue, err error) {
	chance := rand.New(rand.NewPCG(seed, 3))
	err = db.View(func(txn *kv.Txn) error {
		opt := kv.DefaultIteratorOptions
		opt.PrefetchValues = false
		it := txn.NewIterator(opt)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			r.keys++
			if len(picked) < mostGets {
				picked = append(picked, it.Item().KeyCopy(nil))
			} else if at := chance.IntN(r.keys); at < mostGets {
				picked[at] = it.Item().KeyCopy(picked[at])
			}
			if len(pairs) < mostPairs {
				value, err := it.Item().ValueCopy(nil)
				if err != nil {
					return err
				}
				pairs = append(pairs, keyValue{it.Item().KeyCopy(nil), value})
			}
		}
		return nil
	})
	chance.Shuffle(len(picked), func(i, j int) { picked[i], picked[j] = picked[j], picked[i] })
	// An index takes values in any order.
	chance.Shuffle(len(pairs), func(i, j int) { pairs[i], pairs[j] = pairs[j], pairs[i] })
	return picked, pairs, err
}

func (r *rawStore) get(db *kv.DB, picked [][]byte) error {
	began := time.Now()
	var buf []byte
	for _, key := range picked {
		at := time.Now()
		err := db.View(func(txn *kv.Txn) error {
			item, err := txn.Get(key)
			if err != nil {
				return err
			}
			buf, err = item.ValueCopy(buf)
			return err
		})
		if err != nil {
			return fmt.Errorf("get: %w", err)
		}
		r.gets = append(r.gets, time.Since(at))
	}
	r.all = time.Since(began)
	return nil
}

// write puts the pairs into a new database.
func (r *rawStore) write(dir string, key []byte, pairs []keyValue) (err error) {
	db, err := kv.Open(rawOptions(dir, key))
	if err != nil {
		return fmt.Errorf("open new database: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	began := time.Now()
	batch := db.NewWriteBatch()
	defer batch.Cancel()
	for _, p := range pairs {
		if err := batch.Set(p.key, p.value); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	if err := batch.Flush(); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	r.writes, r.pairs = time.Since(began), len(pairs)
	return nil
}

package main

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	kv "github.com/dgraph-io/badger/v4"
)

// disks are raw Badgers that sync each write.
type disks struct {
	dbs  []*kv.DB
	next uint64
}

func newDisks(dir string, count int) (d *disks, err error) {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	d = &disks{}
	for i := range count {
		db, err := kv.Open(rawOptions(filepath.Join(dir, fmt.Sprint(i)), key).WithSyncWrites(true))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open raw Badger: %w", err), d.close())
		}
		d.dbs = append(d.dbs, db)
	}
	return d, nil
}

// write writes a message of so many bytes at the first, then at all others at
// once, and gives the time.
func (d *disks) write(bytes int) (time.Duration, error) {
	msg := make([]byte, bytes)
	if _, err := rand.Read(msg); err != nil {
		return 0, err
	}
	d.next++
	key := binary.BigEndian.AppendUint64(nil, d.next)
	set := func(db *kv.DB) error { return db.Update(func(txn *kv.Txn) error { return txn.Set(key, msg) }) }
	began := time.Now()
	if err := set(d.dbs[0]); err != nil {
		return 0, fmt.Errorf("write: %w", err)
	}
	faults := make([]error, len(d.dbs))
	var wg sync.WaitGroup
	for i, db := range d.dbs[1:] {
		wg.Go(func() { faults[i] = set(db) })
	}
	wg.Wait()
	return time.Since(began), errors.Join(faults...)
}

func (d *disks) close() error {
	var err error
	for _, db := range d.dbs {
		err = errors.Join(err, db.Close())
	}
	return err
}

package badger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/tipmesh/tipmesh/store"
)

// An index whose files are damaged or go while it is open is set aside and begun
// anew. What a look-up reads is checked block by block; that whole files are as
// they were written is looked after now and then.
const (
	inspectEvery = 2 * time.Second
	closeWait    = 20 * time.Second // for a damaged database to close
	maxHeals     = 5                // of one opening: a disk that fails so often is not mended by this
)

// caught makes an error of what badger panics with on damage, and of faults of
// its maps where files were cut. Use it as defer caught(&err)().
func caught(err *error) func() {
	before := debug.SetPanicOnFault(true)
	return func() {
		debug.SetPanicOnFault(before)
		if r := recover(); r != nil {
			*err = fmt.Errorf("%w: %v", ErrDamaged, r)
		}
	}
}

// whole reports in its error that look-ups would not give all.
func (x *Index) whole() error {
	if dead := x.dead.Load(); dead != nil {
		return *dead
	}
	if cause := x.broken.Load(); cause != nil {
		return fmt.Errorf("%w: %w", store.ErrRebuild, *cause)
	}
	if at, goal := x.Checkpoint(), x.goal.Load(); at < goal {
		return fmt.Errorf("%w: it has come to arrival %d of %d", store.ErrRebuild, at, goal)
	}
	return nil
}

// suspect takes the index out of use and has it made again, for a damage.
func (x *Index) suspect(cause error) {
	if !x.readOnly && x.dead.Load() == nil && x.broken.CompareAndSwap(nil, &cause) {
		go x.heal(cause)
	}
}

// heal sets the database aside and begins another. Who feeds the index sees by
// the checkpoint where to go on.
func (x *Index) heal(cause error) {
	x.put.Lock()
	defer x.put.Unlock()
	x.open.Lock()
	defer x.open.Unlock()
	if x.closed {
		return
	}
	defer func() {
		select {
		case x.lost <- struct{}{}:
		default:
		}
	}()
	goal := max(x.goal.Load(), x.Checkpoint())
	x.heals++
	err := x.setAside()
	switch {
	case err == nil && x.heals > maxHeals:
		err = fmt.Errorf("it was damaged %d times", x.heals)
	case err == nil:
		err = x.openAt(x.opt, 0)
	}
	if err != nil {
		err = fmt.Errorf("index in %s: %w: %w; it could not be made again: %w", x.dir, ErrDamaged, cause, err)
		x.dead.Store(&err)
		return
	}
	x.goal.Store(goal)
	x.broken.Store(nil)
}

// Emptied receives when the index was emptied for damage, or cannot be made again.
func (x *Index) Emptied() <-chan struct{} { return x.lost }

// setAside closes the database and renames its folder.
func (x *Index) setAside() error {
	x.checkpoint.Store(0)
	// Closing writes what is in memory, and tries for ever where it cannot.
	if err := os.MkdirAll(x.dir, 0o700); err != nil {
		return err
	}
	done := make(chan error, 1)
	db := x.db
	go func() {
		var err error
		defer func() { done <- err }()
		defer caught(&err)()
		err = db.Close()
	}()
	select {
	case <-done: // whether it closed well says nothing that is not known
	case <-time.After(closeWait):
		return errors.New("its database does not close")
	}
	x.db, x.stamps = nil, nil
	aside := x.dir + ".damaged"
	return errors.Join(os.RemoveAll(aside), os.Rename(x.dir, aside))
}

// stamp tells a file from one that was put in its place or written over.
type stamp struct {
	size  int64
	mtime time.Time
	file  fs.FileInfo
}

// inspectLoop looks after the files until stop.
func (x *Index) inspectLoop(stop <-chan struct{}) {
	tick := time.NewTicker(inspectEvery)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			if err := x.inspect(); err != nil {
				x.suspect(err)
			}
		}
	}
}

// inspect reports in its error that a file is missing or not as it was.
func (x *Index) inspect() (err error) {
	x.open.RLock()
	defer x.open.RUnlock()
	if x.closed || x.db == nil || x.broken.Load() != nil {
		return nil
	}
	defer caught(&err)()
	x.stampsMu.Lock()
	defer x.stampsMu.Unlock()
	seen, wrong := map[uint64]stamp{}, map[uint64]error{}
	for _, t := range x.db.Tables() {
		info, err := os.Stat(x.tableFile(t.ID))
		if err != nil {
			wrong[t.ID] = err
			continue
		}
		now := stamp{info.Size(), info.ModTime(), info}
		if was, known := x.stamps[t.ID]; known && (was.size != now.size || !was.mtime.Equal(now.mtime) || !os.SameFile(was.file, now.file)) {
			wrong[t.ID] = fmt.Errorf("%s was written over", x.tableFile(t.ID))
		}
		seen[t.ID] = now
	}
	x.stamps = seen
	if len(wrong) > 0 { // unless compaction did away with the table meanwhile
		for _, t := range x.db.Tables() {
			if err := wrong[t.ID]; err != nil {
				return fmt.Errorf("%w: %w", ErrDamaged, err)
			}
		}
	}
	for _, pattern := range []string{"MANIFEST", "KEYREGISTRY", "*.mem"} {
		if list, err := filepath.Glob(filepath.Join(x.dir, pattern)); err == nil && len(list) == 0 {
			return fmt.Errorf("%w: %s is missing in %s", ErrDamaged, pattern, x.dir)
		}
	}
	return nil
}

func (x *Index) tableFile(id uint64) string {
	return filepath.Join(x.dir, fmt.Sprintf("%06d.sst", id))
}

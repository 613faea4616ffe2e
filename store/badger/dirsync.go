package badger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"time"
)

// folder syncs a database's folder after files were made in it. Badger syncs the
// content of a new log and not the name: where a disk loses its power, a log
// without a name is gone with all that was acknowledged in it. Most file systems
// write the name along with the content; none has to.
type folder struct {
	dir    string
	synced time.Time // the folder's time when it was last synced
}

// clockGrain is how coarse the times of a file system may be: a change as young
// as that may be followed by another of the same time.
const clockGrain = 50 * time.Millisecond

// sync syncs the folder if files came or went since. It costs one look at the
// folder where none did.
func (f *folder) sync() error {
	info, err := os.Stat(f.dir)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	if changed := info.ModTime(); changed.Equal(f.synced) {
		return nil
	} else if time.Since(changed) > clockGrain {
		f.synced = changed
	}
	return syncFolder(f.dir)
}

func syncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // folders cannot be synced there
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	err = errors.Join(d.Sync(), d.Close())
	if errors.Is(err, fs.ErrInvalid) {
		return nil // a file system that knows no such thing
	}
	return err
}

//go:build unix

package home

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// lock keeps other processes out of a home.
type lock struct{ f *os.File }

// lockHome takes the home's lock; ErrRunning where another process has it. The
// kernel frees it when the process ends, however that happens.
func lockHome(dir string) (*lock, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock home: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = ErrRunning
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock home %s: %w", dir, err), f.Close())
	}
	return &lock{f}, nil
}

func (l *lock) release() { ignore(l.f.Close()) }

// syncFolder makes the names in a folder durable.
func syncFolder(dir string) error {
	d, err := os.Open(dir) // #nosec G304 -- the home folder
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

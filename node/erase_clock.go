package node

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tipmesh/tipmesh/store"
)

// ranSetting is how long this node has run in all, in milliseconds.
const ranSetting = "ran"

// runningTime counts how long a node has run, over all its starts, by clocks
// that nobody can set. What must not happen too early waits for so much of it:
// a wrong clock cannot hasten that, and a node that is off only delays it.
type runningTime struct {
	mu     sync.Mutex
	before time.Duration // in earlier runs
	since  time.Time     // with Go's monotonic clock
}

func loadRunningTime(s store.Entries) (*runningTime, error) {
	raw, err := s.Setting(ranSetting)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("read how long this node has run: %w", err)
	}
	r := &runningTime{since: time.Now()}
	if len(raw) == 8 {
		r.before = time.Duration(binary.BigEndian.Uint64(raw)) * time.Millisecond
	}
	return r, nil
}

// now is how long the node has run so far. What is lost in a crash, less than
// the time between two sweeps, only delays.
func (r *runningTime) now() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.before + time.Since(r.since)
}

// setting is the running time as it is kept.
func (r *runningTime) setting() []byte { return millisOf(r.now()) }

func millisOf(d time.Duration) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(d.Milliseconds()))
}

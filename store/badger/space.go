package badger

import (
	"fmt"
	"sync"
	"time"

	"github.com/tipmesh/tipmesh/store"
)

// The reserve leaves room for what badger writes after a commit was taken: three
// memtables of each database, their tables, and a compaction beside what it
// replaces. On a full disk badger dies of SIGBUS, since its logs are maps.
const (
	mostReserve  = 256 << 20
	reserveShare = 4 // of a small disk it is so much: its tables are small too

	spaceEvery = time.Second // the disk is asked again after so long
	spaceBytes = 4 << 20     // or after so many bytes of commits,

	spaceObject = 1 << 10 // which an object in the index counts for
)

// space watches the bytes that are free on the disk of a folder. Below the
// reserve no entries are taken, below a half the index does not grow, below a
// quarter nothing is written.
type space struct {
	dir     string
	reserve int64 // 0: the default, less: none
	probe   func(dir string) (free, total uint64, ok bool)

	mu      sync.Mutex
	asked   time.Time
	written int64 // since
	free    int64
	floor   int64 // the reserve that counts
	low     bool
}

func newSpace(dir string, reserve int64) *space {
	return &space{dir: dir, reserve: reserve, probe: diskSpace}
}

// look brings free, floor and low up to date before so many bytes are written. A
// disk that does not tell counts as empty. The caller holds the lock.
func (s *space) look(bytes int64) (left int64) {
	if s.written += bytes; s.asked.IsZero() || s.written > spaceBytes || time.Since(s.asked) > spaceEvery {
		free, total, ok := s.probe(s.dir)
		s.asked, s.written, s.free = time.Now(), bytes, int64(min(free, 1<<62))
		if s.floor = s.reserve; s.reserve == 0 {
			s.floor = int64(min(mostReserve, total/reserveShare))
		}
		if !ok {
			s.floor = 0
		}
	}
	left = s.free - s.written
	// A little more must be free before it goes on, so that it does not flutter.
	if s.low {
		s.low = left < s.floor+s.floor/8
	} else {
		s.low = left < s.floor
	}
	return left
}

// full says that there is no room for entries.
func (s *space) full() bool {
	if s.reserve < 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.look(0)
	return s.low
}

// admit says whether a commit of so many bytes may be written.
func (s *space) admit(bytes int, entries bool) error {
	if s.reserve < 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	left := s.look(int64(bytes))
	if entries && s.low || left < s.floor/4 {
		s.written -= int64(bytes)
		return s.fault(left)
	}
	return nil
}

// admitIndex says whether the index may grow by so many objects.
func (s *space) admitIndex(objects int) error {
	if s.reserve < 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if left := s.look(int64(objects) * spaceObject); left < s.floor/2 {
		return s.fault(left)
	}
	return nil
}

func (s *space) fault(left int64) error {
	return fmt.Errorf("%w: %d MiB are free for %s, %d MiB are kept back", store.ErrDiskFull, max(0, left)>>20, s.dir, s.floor>>20)
}

// Full reports whether entries are refused for lack of room on the disk.
func (s *Store) Full() bool { return !s.cfg.ReadOnly && s.space.full() }

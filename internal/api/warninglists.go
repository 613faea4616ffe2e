package api

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/tipmesh/tipmesh/internal/warninglist"
)

// WarninglistFolder is the folder in a home that warninglists stand in.
const WarninglistFolder = "warninglists"

// listsAge is how long warninglists are used without a look at whether their
// folder has changed.
const listsAge = 2 * time.Second

// warninglists are the lists of a folder, loaded again when it has changed.
type warninglists struct {
	dir string // empty: there are none
	log *slog.Logger

	mu     sync.Mutex
	looked time.Time // when the folder was looked at
	stamp  string    // of what is loaded
	set    *warninglist.Set
	status Warninglists
}

// current gives the lists as they stand in the folder, as far as they can be
// read: those loaded before stay where the folder as a whole cannot be.
func (l *warninglists) current(now time.Time) *warninglist.Set {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refresh(now)
	return l.set
}

// state says what is loaded.
func (l *warninglists) state(now time.Time) Warninglists {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refresh(now)
	return l.status
}

// refresh loads the lists where they are not, or no more, what is in the folder.
// The lock is held: whoever asks meanwhile waits for the answer that is right.
func (l *warninglists) refresh(now time.Time) {
	if l.dir == "" || !l.looked.IsZero() && now.Sub(l.looked) < listsAge && !now.Before(l.looked) {
		return
	}
	l.looked = now
	folder := os.DirFS(l.dir)
	stamp, err := warninglist.Stamp(folder)
	if errors.Is(err, fs.ErrNotExist) {
		l.stamp, l.set, l.status = "", nil, Warninglists{}
		return
	}
	if err == nil && stamp == l.stamp {
		return
	}
	var set *warninglist.Set
	var faults []warninglist.Fault
	if err == nil {
		set, faults, err = warninglist.Load(folder)
	}
	l.stamp = stamp
	if err != nil {
		if l.status.Fault != err.Error() {
			l.log.Warn("warninglists are not loaded", "folder", l.dir, "err", err)
		}
		l.status.Fault = err.Error()
		return
	}
	l.set, l.status = set, Warninglists{Lists: set.Len(), LeftOut: len(faults)}
	for _, list := range set.Lists() {
		l.status.Values += list.Entries
	}
	for _, f := range faults {
		l.log.Warn("left out of the warninglists", "fault", f.String())
	}
	l.log.Info("warninglists are loaded", "lists", l.status.Lists, "values", l.status.Values)
}

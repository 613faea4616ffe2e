package home

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
)

const (
	watchFolder = "watch"
	watchFile   = "watch.json"
)

var watchName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// Errors of saved watches.
var (
	ErrWatchName = errors.New("the name of a watch has 1 to 32 lower case letters, digits and hyphens")
	ErrWatched   = errors.New("another process follows this watch")
)

// Watch is a saved watch: what it is about, and how far it has got. It never leaves
// the home.
type Watch struct {
	Filter []string `json:"filter"`
	Cursor string   `json:"cursor"`

	dir  string
	lock *lock
}

// OpenWatch opens a saved watch of a home for this process alone, or begins one: its
// cursor is empty then. ErrWatched where another process has it open.
func OpenWatch(dir, name string) (*Watch, error) {
	if !watchName.MatchString(name) {
		return nil, ErrWatchName
	}
	if _, err := readMesh(dir); err != nil {
		return nil, fmt.Errorf("open watch: %w", err)
	}
	w := &Watch{dir: filepath.Join(dir, watchFolder, name)}
	if err := os.MkdirAll(w.dir, 0o700); err != nil {
		return nil, fmt.Errorf("open watch: %w", err)
	}
	var err error
	if w.lock, err = lockHome(w.dir); err != nil {
		if errors.Is(err, ErrRunning) {
			err = ErrWatched
		}
		return nil, fmt.Errorf("open watch %s: %w", name, err)
	}
	// What a killed process was about to replace the file with.
	if left, err := filepath.Glob(filepath.Join(w.dir, "."+watchFile+"-*")); err == nil {
		for _, name := range left {
			ignore(os.Remove(name))
		}
	}
	raw, err := readSmall(filepath.Join(w.dir, watchFile))
	if errors.Is(err, fs.ErrNotExist) {
		return w, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, w)
	}
	if err != nil {
		w.Close()
		return nil, fmt.Errorf("open watch %s: %w", name, err)
	}
	return w, nil
}

// Keep notes how far the watch has got. After a crash the last one kept is there, or
// the one before it.
func (w *Watch) Keep(cursor string) error {
	if cursor == w.Cursor {
		return nil
	}
	next := Watch{Filter: w.Filter, Cursor: cursor}
	raw, err := json.Marshal(&next)
	if err == nil {
		err = writeSmall(filepath.Join(w.dir, watchFile), append(raw, '\n'))
	}
	if err != nil {
		return fmt.Errorf("keep how far the watch has got: %w", err)
	}
	w.Cursor = cursor
	return nil
}

// Close lets others open the watch.
func (w *Watch) Close() { w.lock.release() }

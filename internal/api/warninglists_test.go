package api

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/internal/observable"
)

// Lists are loaded again when their folder has changed, kept while it cannot be
// read as a whole, and gone when it is.
func TestWarninglistsFollowTheirFolder(t *testing.T) {
	home := t.TempDir()
	dir := filepath.Join(home, WarninglistFolder)
	l := &warninglists{dir: dir, log: slog.New(slog.DiscardHandler)}
	now := time.Unix(1e9, 0)
	warned := func() int {
		v, err := observable.Parse("popular.kwaad.nl")
		if err != nil {
			t.Fatal(err)
		}
		now = now.Add(listsAge)
		return len(l.current(now).Lookup(v))
	}
	if warned() != 0 || l.state(now) != (Warninglists{}) {
		t.Error("lists without a folder")
	}
	writeList(t, home, "one", "popular.kwaad.nl")
	if l.current(now.Add(listsAge-1)) != nil {
		t.Error("the folder is looked at all the time")
	}
	if warned() != 1 || l.state(now) != (Warninglists{Lists: 1, Values: 1}) {
		t.Errorf("one list: %+v", l.state(now))
	}
	before := l.current(now)
	if now = now.Add(listsAge); l.current(now) != before {
		t.Error("loaded again though nothing has changed")
	}
	writeList(t, home, "two", "popular.kwaad.nl", "other.kwaad.nl")
	if warned() != 2 {
		t.Error("a second list is not loaded")
	}
	if err := os.WriteFile(filepath.Join(dir, "two", "list.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if warned() != 1 || l.state(now).LeftOut != 1 {
		t.Errorf("a broken list: %+v", l.state(now))
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // not a folder any more
		t.Fatal(err)
	}
	if warned() != 1 || l.state(now).Fault == "" {
		t.Errorf("no folder: %+v", l.state(now))
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if warned() != 0 || l.state(now) != (Warninglists{}) {
		t.Errorf("gone: %+v", l.state(now))
	}
}

package badger

import (
	"bytes"
	"flag"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/tipmesh/tipmesh/store"
	"github.com/tipmesh/tipmesh/store/storetest"
)

var losses = flag.Int("losses", 6, "power losses of TestPowerLoss")

const (
	pageSize   = 4096
	sectorSize = 512
)

// TestPowerLoss rebuilds folders as a disk may hold them when its power fails
// during a commit, and opens them. What is known is what was synced: the folder
// as of the commit before, at rest. Of what the commit under way wrote, any
// pages, or sectors of them, may have reached the disk: first the value log's,
// and once that was synced, the write-ahead log's. A file made meanwhile may be
// there, in part, or not.
func TestPowerLoss(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 9))
	dir := t.TempDir()
	s, err := Open(Config{Dir: dir, Key: testKey, small: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { s.Close() }()
	w := storetest.NewWriter("a")
	seen := map[string]int{}
	for range *losses {
		for range rng.IntN(30) {
			powerCommit(t, s, w, rng)
		}
		synced := powerCommit(t, s, w, rng)
		before, after := snapshot(t, dir), ""
		late := powerCommit(t, s, w, rng)
		after = snapshot(t, dir)
		m := &mixer{t: t, rng: rng, before: before, after: after, to: filepath.Join(t.TempDir(), "lost"), seen: seen}
		m.mix()
		held := m.check(w.Feed(), synced, late)
		seen[map[bool]string{true: "the commit under way is in", false: "it is not"}[held == late]]++
		for _, d := range []string{before, after, m.to} {
			if err := os.RemoveAll(d); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("%d power losses: %v", *losses, seen)
}

// powerCommit commits five entries of random sizes and gives the last number.
func powerCommit(t *testing.T, s *Store, w *storetest.Writer, rng *rand.Rand) uint64 {
	t.Helper()
	c := new(store.Commit)
	for range 5 {
		e := w.Next(storetest.Payload(rng.Uint64(), 200+rng.IntN(60_000)))
		c.Entries, c.Readable = append(c.Entries, e), append(c.Readable, w.At(e.Header.Seq))
	}
	storetest.Commit(t, s, c)
	return c.Entries[4].Header.Seq
}

func snapshot(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "at")
	if err := copyFolder(dir, to); err != nil {
		t.Fatal(err)
	}
	return to
}

// mixer makes a folder from two moments of one.
type mixer struct {
	t                 *testing.T
	rng               *rand.Rand
	before, after, to string
	logSynced         bool // the value log was synced, the write-ahead log is on its way
	flushed           bool // the manifest with a table made meanwhile was synced, too
	seen              map[string]int
}

func (m *mixer) mix() {
	m.t.Helper()
	m.logSynced = m.rng.IntN(2) == 0
	same := bytes.Equal(m.read(m.before, "entries/MANIFEST"), m.read(m.after, "entries/MANIFEST"))
	if !same {
		m.seen["a table made meanwhile"]++
		m.flushed = m.logSynced && m.rng.IntN(2) == 0
	}
	names := map[string]bool{}
	for _, dir := range []string{m.before, m.after} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				rel, _ := filepath.Rel(dir, path)
				names[rel] = true
			}
			return err
		})
		if err != nil {
			m.t.Fatal(err)
		}
	}
	for name := range names {
		m.file(name)
	}
}

// file makes one file. Where the manifest is of the moment before, what was made
// since is not needed, and what was removed since is still there.
func (m *mixer) file(name string) {
	m.t.Helper()
	old, new := m.read(m.before, name), m.read(m.after, name)
	var data []byte
	ext := filepath.Ext(name)
	switch {
	case filepath.Dir(name) == "index", ext != ".vlog" && ext != ".mem":
		if data = old; m.flushed && filepath.Dir(name) == "entries" {
			data = new
		}
		if data == nil {
			return
		}
	case old == nil:
		m.seen["a "+ext+" made meanwhile"]++
		if m.rng.IntN(2) == 0 {
			return
		}
		data = m.pages(nil, new)
	case new == nil && m.flushed && m.rng.IntN(2) == 0:
		return // the log of the table, removed
	case new == nil, ext == ".mem" && !m.logSynced:
		data = old
	case ext == ".vlog" && m.logSynced:
		data = new
	default:
		data = m.pages(old, new)
	}
	path := filepath.Join(m.to, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// pages takes each page, or each sector of it, from one or the other.
func (m *mixer) pages(old, new []byte) []byte {
	out := make([]byte, max(len(old), len(new)))
	copy(out, old)
	likely := 100
	if m.rng.IntN(2) == 0 {
		likely = m.rng.IntN(100)
	}
	for at := 0; at < len(new); at += pageSize {
		end := min(at+pageSize, len(new))
		if bytes.Equal(out[at:end], new[at:end]) {
			continue
		}
		step := pageSize
		if m.rng.IntN(4) == 0 {
			step = sectorSize
		}
		for from := at; from < end; from += step {
			if m.rng.IntN(100) < likely {
				copy(out[from:min(from+step, end)], new[from:])
			}
		}
	}
	return out
}

func (m *mixer) read(dir, name string) []byte {
	m.t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if os.IsNotExist(err) {
		return nil
	} else if err != nil {
		m.t.Fatal(err)
	}
	return data
}

// check opens the folder: the acknowledged entries are there, and the commit
// under way as a whole or not at all; and it can be written to.
func (m *mixer) check(feed [32]byte, synced, late uint64) (held uint64) {
	m.t.Helper()
	s, err := Open(Config{Dir: m.to, Key: testKey, small: true})
	if err != nil {
		m.t.Fatalf("open after a power loss (value log synced: %v): %v", m.logSynced, err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			m.t.Error(err)
		}
	}()
	err = s.Range(feed, 1, func(e store.Entry) bool {
		held++
		if e.Header.Seq != held || !e.Header.Fits(e.Payload) {
			m.t.Errorf("entry %d is not whole", held)
		}
		return true
	})
	f, _ := s.Feed(feed)
	arrivals := uint64(0)
	err2 := s.Arrivals(0, func(a store.Arrival) bool {
		arrivals++
		return a.Number == arrivals && a.Place.Seq == arrivals
	})
	if err != nil || err2 != nil || held != synced && held != late || f.Head != held || s.LastArrival() != held || arrivals != held {
		m.t.Fatalf("%d entries, %d acknowledged, %d with the commit under way; head %d, arrival %d (%d): %v %v", held, synced, late,
			f.Head, s.LastArrival(), arrivals, err, err2)
	}
	if _, err := s.Commit(m.t.Context(), &store.Commit{Settings: map[string][]byte{"after": {1}}}); err != nil {
		m.t.Error(err)
	}
	return held
}

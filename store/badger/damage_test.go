package badger

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tipmesh/tipmesh/store"
	"github.com/tipmesh/tipmesh/store/storetest"
)

// filled makes a closed store with 400 entries and one object a entry.
func filled(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	s, err := Open(Config{Dir: dir, Key: testKey, small: true})
	if err != nil {
		t.Fatal(err)
	}
	w := storetest.NewWriter("a")
	c := new(store.Commit)
	for i := range uint64(400) {
		c.Entries = append(c.Entries, w.Next(storetest.Payload(i, 2000)))
		c.Readable = append(c.Readable, w.At(i+1))
	}
	storetest.Commit(t, s, c)
	if err := s.Index().Put(&store.IndexBatch{Objects: benchObjects(400, 0), Checkpoint: 400}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func fails(t *testing.T, cfg Config, want error, says ...string) {
	t.Helper()
	s, err := Open(cfg)
	if err == nil {
		s.Close()
	}
	if !errors.Is(err, want) {
		t.Fatalf("open: error %v, want %v", err, want)
	}
	for _, text := range says {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error %q does not say %q", err, text)
		}
	}
}

func TestWrongKey(t *testing.T) {
	dir := filled(t)
	fails(t, Config{Dir: dir, Key: bytes.Repeat([]byte{8}, 32)}, ErrKey, "entries", dir)
	if _, err := Open(Config{Dir: dir, Key: testKey[:16]}); err == nil {
		t.Fatal("a short key was taken")
	}
}

func TestInUse(t *testing.T) {
	dir := filled(t)
	s, err := Open(Config{Dir: dir, Key: testKey})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	fails(t, Config{Dir: dir, Key: testKey}, ErrInUse, "entries", dir)
}

func TestModes(t *testing.T) {
	dir := filled(t)
	s, err := Open(Config{Dir: dir, Key: testKey})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if info, err := d.Info(); err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestReadOnly(t *testing.T) {
	dir := filled(t)
	s, err := Open(Config{Dir: dir, Key: testKey, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.LastArrival() != 400 || s.Index().Checkpoint() != 400 {
		t.Errorf("arrival %d, checkpoint %d", s.LastArrival(), s.Index().Checkpoint())
	}
	if _, err := s.Commit(t.Context(), new(store.Commit)); err == nil {
		t.Error("a commit was taken")
	}
}

// garble damages the biggest file of a kind.
func garble(t *testing.T, dir, pattern string, damage func([]byte) []byte) {
	t.Helper()
	var biggest string
	var size uint64
	files, _ := filepath.Glob(filepath.Join(dir, pattern))
	for _, f := range files {
		if info, err := os.Stat(f); err == nil && onDisk(info) >= size {
			biggest, size = f, onDisk(info)
		}
	}
	data, err := os.ReadFile(biggest)
	if err != nil {
		t.Fatalf("no %s in %s: %v", pattern, dir, err)
	}
	if err := os.WriteFile(biggest, damage(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

var damages = map[string]func([]byte) []byte{
	"cut": func(b []byte) []byte { return b[:len(b)/2] },
	"noise": func(b []byte) []byte {
		for i := range b {
			b[i] ^= byte(i*31 + 7)
		}
		return b
	},
	"empty": func(b []byte) []byte { return nil },
}

func TestDamagedEntries(t *testing.T) {
	for name, damage := range damages {
		for _, pattern := range []string{"MANIFEST", "KEYREGISTRY", "*.sst"} {
			t.Run(name+" "+pattern, func(t *testing.T) {
				dir := filled(t)
				garble(t, filepath.Join(dir, "entries"), pattern, damage)
				s, err := Open(Config{Dir: dir, Key: testKey, small: true})
				if err == nil {
					s.Close()
					t.Fatal("opened")
				}
				// Noise in the key registry cannot be told from another key.
				if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), "entries database in "+dir) {
					t.Fatalf("open: %v", err)
				}
			})
		}
	}
}

func TestDamagedIndex(t *testing.T) {
	for name, damage := range damages {
		for _, pattern := range []string{"MANIFEST", "KEYREGISTRY", "*.sst"} {
			t.Run(name+" "+pattern, func(t *testing.T) {
				dir := filled(t)
				garble(t, filepath.Join(dir, "index"), pattern, damage)
				s, err := Open(Config{Dir: dir, Key: testKey, small: true})
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				if x := s.Index(); x.Checkpoint() != 0 || x.Count() != 0 || s.LastArrival() != 400 {
					t.Errorf("checkpoint %d, count %d, arrival %d", x.Checkpoint(), x.Count(), s.LastArrival())
				}
				if err := s.Index().Put(&store.IndexBatch{Objects: benchObjects(1, 0), Checkpoint: 1}); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestIndexOfAnother puts another store's index in place.
func TestIndexOfAnother(t *testing.T) {
	a, b := filled(t), filled(t)
	if err := errors.Join(os.RemoveAll(filepath.Join(a, "index")), os.Rename(filepath.Join(b, "index"), filepath.Join(a, "index"))); err != nil {
		t.Fatal(err)
	}
	s, err := Open(Config{Dir: a, Key: testKey, small: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Index().Checkpoint() != 0 {
		t.Error("another store's index was taken")
	}
}

package badger

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/tipmesh/tipmesh/store"
	"github.com/tipmesh/tipmesh/store/storetest"
)

var testKey = bytes.Repeat([]byte{7}, 32)

// harness crashes by copying the folder as the disk shows it while the store is
// open: what a process that died would leave, since its maps are the kernel's.
type harness struct {
	t   *testing.T
	dir string
	s   *Store
}

func (h *harness) Open() store.Store {
	h.t.Helper()
	s, err := Open(Config{Dir: h.dir, Key: testKey, small: true})
	if err != nil {
		h.t.Fatalf("open: %v", err)
	}
	h.s = s
	h.t.Cleanup(func() { s.Close() })
	return s
}

func (h *harness) Crash() {
	h.t.Helper()
	copied := filepath.Join(h.t.TempDir(), "crashed")
	if err := copyFolder(h.dir, copied); err != nil {
		h.t.Fatal(err)
	}
	old := h.dir
	h.s.Close()
	os.RemoveAll(old)
	h.dir = copied
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Harness { return &harness{t: t, dir: t.TempDir()} })
}

// copyFolder copies a folder whose files may change meanwhile. It does so again
// where a file came or went or a manifest changed, so that the copy is of one
// moment; the test itself writes nothing then.
func copyFolder(from, to string) error {
	for {
		before, err := listing(from)
		if err != nil {
			return err
		}
		err = filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			rel, _ := filepath.Rel(from, path)
			if d.IsDir() {
				return os.MkdirAll(filepath.Join(to, rel), 0o700)
			}
			return copySparse(path, filepath.Join(to, rel))
		})
		after, err2 := listing(from)
		if err == nil && err2 == nil && before == after {
			return nil
		}
		if err := os.RemoveAll(to); err != nil {
			return err
		}
	}
}

func listing(dir string) (string, error) {
	var b bytes.Buffer
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		b.WriteString(path + "\n")
		if d.Name() == "MANIFEST" {
			data, err := os.ReadFile(path)
			b.Write(data)
			return err
		}
		return nil
	})
	return b.String(), err
}

// copySparse copies what is written of a file and leaves the holes out.
func copySparse(from, to string) error {
	const seekData, seekHole = 3, 4
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	info, err := src.Stat()
	if err != nil {
		return err
	}
	dst, err := os.Create(to)
	if err != nil {
		return err
	}
	defer dst.Close()
	for at := int64(0); at < info.Size(); {
		start, err := src.Seek(at, seekData)
		if err != nil {
			break // no data after at
		}
		end, err := src.Seek(start, seekHole)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.NewOffsetWriter(dst, start), io.NewSectionReader(src, start, end-start)); err != nil {
			return err
		}
		at = end
	}
	return dst.Truncate(info.Size())
}

package badger

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/tipmesh/tipmesh/store"
)

// TestIndexDamagedWhileOpen damages the files of an open index. Look-ups fail or
// answer right, whenever they are made, until it has been made again.
func TestIndexDamagedWhileOpen(t *testing.T) {
	remove := func(pattern string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			files, _ := filepath.Glob(filepath.Join(dir, pattern))
			if len(files) == 0 {
				t.Fatalf("no %s", pattern)
			}
			for _, f := range files {
				if err := os.RemoveAll(f); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	ways := map[string]func(*testing.T, string){
		"folder removed": remove(""), "tables removed": remove("*.sst"), "manifest removed": remove("MANIFEST"), "logs removed": remove("*.mem"),
		"keys removed": remove("KEYREGISTRY"),
	}
	for name, damage := range damages {
		ways["tables "+name] = func(t *testing.T, dir string) { garble(t, dir, "*.sst", damage) }
	}
	for name, damage := range ways {
		t.Run(name, func(t *testing.T) {
			s, err := Open(Config{Dir: filled(t), Key: testKey, small: true})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			x, objects := s.index, benchObjects(400, 0)
			if err := x.inspect(); err != nil {
				t.Fatal(err)
			}
			lookUp := func() (failed int) {
				t.Helper()
				for i := range objects {
					found, err := x.ByValue(objects[i].Values[0])
					if err != nil {
						failed++
					} else if len(found) != 1 || found[0].ID != objects[i].ID {
						t.Errorf("value %d: %v", i, found)
					}
				}
				return failed
			}
			if n := lookUp(); n > 0 {
				t.Fatalf("%d look-ups fail before", n)
			}
			var group sync.WaitGroup
			stop := make(chan struct{})
			group.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						lookUp()
					}
				}
			})
			damage(t, filepath.Join(s.cfg.Dir, "index"))
			if err := x.inspect(); err != nil {
				x.suspect(err)
			} else if x.whole() == nil {
				t.Error("the damage is not seen")
			}
			if <-x.Emptied(); x.dead.Load() != nil {
				t.Fatal(*x.dead.Load())
			}
			if n := lookUp(); n != len(objects) {
				t.Errorf("%d of %d look-ups fail while the index is empty", n, len(objects))
			}
			// Who feeds on from where it was is sent back.
			if err := x.Put(&store.IndexBatch{After: 400, Checkpoint: 401}); !errors.Is(err, store.ErrRebuild) {
				t.Errorf("put: %v", err)
			}
			for at := range uint64(4) {
				err := x.Put(&store.IndexBatch{Objects: objects[at*100 : at*100+100], After: at * 100, Checkpoint: at*100 + 100})
				if err != nil {
					t.Fatal(err)
				}
			}
			close(stop)
			group.Wait()
			if n := lookUp(); n != 0 {
				t.Errorf("%d look-ups fail after", n)
			}
			if err := x.inspect(); err != nil {
				t.Error(err)
			}
		})
	}
}

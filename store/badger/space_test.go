//go:build linux

package badger

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/store"
	"github.com/tipmesh/tipmesh/store/storetest"
)

// tmpfs mounts a disk of a test's own.
func tmpfs(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("a small disk cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// filler shares at a store until there is no room.
type filler struct {
	t     *testing.T
	s     *Store
	disk  string
	w     *storetest.Writer
	next  []store.Entry // drafted and refused: goes in later
	acked uint64
	least uint64 // bytes that were free
}

// put makes one commit of five entries and puts their objects into the index.
func (f *filler) put(size int) error {
	f.t.Helper()
	if f.next == nil {
		for range 5 {
			f.next = append(f.next, f.w.Next(storetest.Payload(f.acked, size)))
		}
	}
	c := &store.Commit{Entries: f.next}
	for _, e := range f.next {
		c.Readable = append(c.Readable, f.w.At(e.Header.Seq))
	}
	last, err := f.s.Commit(f.t.Context(), c)
	if err != nil {
		return err
	}
	f.acked, f.next = f.next[4].Header.Seq, nil
	from := f.s.Index().Checkpoint()
	err = f.s.Index().Put(&store.IndexBatch{Objects: benchObjects(int(last-from), int(from)), Checkpoint: last})
	if err != nil && !errors.Is(err, store.ErrDiskFull) {
		f.t.Fatal(err)
	}
	return nil
}

func (f *filler) fill() {
	f.t.Helper()
	for i := 0; ; i++ {
		err := f.put([]int{2_000, 20_000, 12_000, 200}[i%4])
		if free, _, _ := diskSpace(f.disk); f.least == 0 || free < f.least {
			f.least = free
		}
		if errors.Is(err, store.ErrDiskFull) {
			return
		} else if err != nil {
			f.t.Fatal(err)
		}
	}
}

// check reads all that was acknowledged.
func (f *filler) check() {
	f.t.Helper()
	n := uint64(0)
	err := f.s.Range(f.w.Feed(), 1, func(e store.Entry) bool {
		n++
		if e.Header.Seq != n || !e.Header.Fits(e.Payload) {
			f.t.Errorf("entry %d is not whole", n)
		}
		return true
	})
	if err != nil || n != f.acked || f.s.LastArrival() != n {
		f.t.Fatalf("%d entries of %d acknowledged, arrival %d: %v", n, f.acked, f.s.LastArrival(), err)
	}
}

func (f *filler) reopen(dir string) {
	f.t.Helper()
	if f.s != nil {
		if err := f.s.Close(); err != nil {
			f.t.Fatal(err)
		}
	}
	var err error
	if f.s, err = Open(Config{Dir: dir, Key: testKey, small: true}); err != nil {
		f.t.Fatal(err)
	}
}

// TestDiskFull fills a small disk until the store takes no more, and makes room
// again.
func TestDiskFull(t *testing.T) {
	disk := tmpfs(t, "160m")
	balloon, dir := filepath.Join(disk, "balloon"), filepath.Join(disk, "store")
	if err := os.WriteFile(balloon, make([]byte, 40<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	f := &filler{t: t, disk: disk, w: storetest.NewWriter("a")}
	f.reopen(dir)
	defer func() { f.s.Close() }()
	f.fill()
	if !f.s.Full() {
		t.Error("the store does not say that it is full")
	}
	f.check()
	t.Logf("full after %d entries; at the least %d MiB of 160 were free", f.acked, f.least>>20)
	// What is small and matters goes on: a removal must bite on a full disk too.
	if _, err := f.s.Commit(t.Context(), &store.Commit{Settings: map[string][]byte{"a": []byte("b")}}); err != nil {
		t.Errorf("a setting: %v", err)
	}
	f.reopen(dir)
	f.check()
	if err := f.put(2000); !errors.Is(err, store.ErrDiskFull) && err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(balloon); err != nil {
		t.Fatal(err)
	}
	f.awaitRoom()
	before := f.acked
	f.fill()
	f.reopen(dir)
	f.check()
	t.Logf("%d entries more with the room of the balloon; at the least %d MiB of 160 were free", f.acked-before, f.least>>20)
	if f.acked == before {
		t.Error("nothing more was taken once there was room")
	}
}

// awaitRoom waits until the store sees the room that was made.
func (f *filler) awaitRoom() {
	f.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); f.s.Full(); <-tick.C {
		if time.Now().After(deadline) {
			f.t.Fatal("the store does not see that there is room")
		}
	}
}

// TestSpaceLevels goes through the levels of a disk without one.
func TestSpaceLevels(t *testing.T) {
	free := uint64(1 << 30)
	s := newSpace("x", 0)
	s.probe = func(string) (uint64, uint64, bool) { return free, 400 << 20, true }
	for _, c := range []struct {
		free                   uint64
		entries, index, others bool
	}{
		{150 << 20, true, true, true}, {99 << 20, false, true, true}, {105 << 20, false, true, true}, // does not flutter
		{115 << 20, true, true, true}, {49 << 20, false, false, true}, {20 << 20, false, false, false}, {300 << 20, true, true, true},
	} {
		free, s.asked = c.free, time.Time{}
		entries, others, index := s.admit(0, true), s.admit(0, false), s.admitIndex(0)
		if (entries == nil) != c.entries || (others == nil) != c.others || (index == nil) != c.index || s.full() == c.entries {
			t.Errorf("%d MiB free: entries %v, others %v, index %v, full %v", c.free>>20, entries, others, index, s.full())
		}
	}
}

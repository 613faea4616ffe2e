package badger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"testing"

	kv "github.com/dgraph-io/badger/v4"

	"github.com/tipmesh/tipmesh/store"
	"github.com/tipmesh/tipmesh/store/storetest"
)

// dump reads every record of a database but its incarnation.
func dump(t *testing.T, s *Store) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := s.view(func(txn *kv.Txn) error {
		return scan(txn, nil, nil, false, func(item *kv.Item) (bool, error) {
			value, err := valueOf(item)
			if item.Key()[0] != keyMeta {
				all[string(item.Key())] = string(value)
			}
			return true, err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func restored(t *testing.T, r io.Reader) *Store {
	t.Helper()
	cfg := Config{Dir: filepath.Join(t.TempDir(), "restored"), Key: bytes.Repeat([]byte{9}, 32), small: true}
	if err := Restore(cfg, r); err != nil {
		t.Fatal(err)
	}
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// meanwhile is a reader's side that lets something happen after the first bytes.
type meanwhile struct {
	bytes.Buffer
	act func()
}

func (m *meanwhile) Write(p []byte) (int, error) {
	if act := m.act; act != nil {
		m.act = nil
		act()
	}
	return m.Buffer.Write(p)
}

// A copy is the store as it was when the copy began, whatever is written, in
// several feeds and with large payloads, while it is being made.
func TestCopyIsOfOneMoment(t *testing.T) {
	h := &harness{t: t, dir: t.TempDir()}
	s := h.Open().(*Store)
	a, b := storetest.NewWriter("a"), storetest.NewWriter("b")
	for i := range 40 {
		size := 100
		if i%8 == 0 {
			size = 300 << 10 // in the value log
		}
		x, y := a.Next(storetest.Payload(uint64(i), size)), b.Next(storetest.Payload(uint64(i), 50))
		if i%5 == 0 {
			y = storetest.Header(y)
		}
		c := &store.Commit{Entries: []store.Entry{x, y}, Settings: map[string][]byte{"n": fmt.Append(nil, i)}}
		c.Readable = []store.Place{{Feed: x.Header.Feed, Seq: x.Header.Seq}}
		storetest.Commit(t, s, c)
	}
	want := dump(t, s)
	out := &meanwhile{act: func() {
		for i := range 40 {
			storetest.Commit(t, s, &store.Commit{Entries: []store.Entry{a.Next(storetest.Payload(uint64(i), 300<<10)), b.Next(nil)},
				Settings: map[string][]byte{"n": []byte("later"), "new": {1}}})
		}
	}}
	if err := s.Copy(context.Background(), out); err != nil {
		t.Fatal(err)
	}
	if n, err := CheckCopy(bytes.NewReader(out.Bytes())); err != nil || n != uint64(len(want)) {
		t.Errorf("%d records, %v; want %d", n, err, len(want))
	}
	got := restored(t, bytes.NewReader(out.Bytes()))
	if all := dump(t, got); len(all) != len(want) {
		t.Errorf("%d records came back, want %d", len(all), len(want))
	} else {
		for k, v := range want {
			if all[k] != v {
				t.Fatalf("record %x came back as another", k)
			}
		}
	}
	if f, _ := got.Feed(a.Feed()); f.Head != 40 || got.LastArrival() != 40 || got.Incarnation() == s.Incarnation() {
		t.Errorf("head %d, arrivals %d, the incarnation is the same: %v", f.Head, got.LastArrival(), got.Incarnation() == s.Incarnation())
	}
}

// A copy with one byte changed, cut or added somewhere is refused.
func TestDamagedCopyIsRefused(t *testing.T) {
	h := &harness{t: t, dir: t.TempDir()}
	s := h.Open().(*Store)
	w := storetest.NewWriter("a")
	storetest.Commit(t, s, &store.Commit{Entries: []store.Entry{w.Next([]byte("one")), w.Next([]byte("two"))}})
	var out bytes.Buffer
	if err := s.Copy(context.Background(), &out); err != nil {
		t.Fatal(err)
	}
	whole := out.Bytes()
	for i := range whole {
		bad := bytes.Clone(whole)
		bad[i] ^= 0x40
		if _, err := CheckCopy(bytes.NewReader(bad)); !errors.Is(err, ErrCopy) {
			t.Fatalf("byte %d of %d changed: %v", i, len(whole), err)
		}
		if _, err := CheckCopy(bytes.NewReader(whole[:i])); !errors.Is(err, ErrCopy) {
			t.Fatalf("cut at %d of %d: %v", i, len(whole), err)
		}
	}
	cfg := Config{Dir: h.dir, Key: testKey, small: true}
	if err := Restore(cfg, bytes.NewReader(whole)); err == nil {
		t.Error("restored over a store")
	}
}

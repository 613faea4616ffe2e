package storetest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// testErase lets payloads go: for good, and over a crash.
func testErase(t *testing.T, f Factory) {
	h := f(t)
	s := h.Open()
	w := NewWriter("a")
	var list []store.Entry
	for i := range uint64(6) {
		list = append(list, w.Next(Payload(i, 20_000)))
	}
	Commit(t, s, &store.Commit{Entries: []store.Entry{list[0], list[1], Header(list[2]), list[3], list[4], Header(list[5])}, Readable: []store.Place{w.At(2), w.At(1)}})
	is := func(bytes uint64) {
		t.Helper()
		fd, _ := s.Feed(w.Feed())
		if !slices.Equal(fd.Erased, []store.Range{{First: 2, Last: 4}}) || !slices.Equal(fd.Missing, []store.Range{{First: 6, Last: 6}}) || fd.Bytes != bytes || fd.Head != 6 {
			t.Errorf("feed: %+v", fd)
		}
		for seq, gone := range map[uint64]bool{1: false, 2: true, 3: true, 4: true, 5: false} {
			e, err := s.Entry(w.At(seq))
			if err != nil || e.Header.ID() != list[seq-1].Header.ID() || (e.Payload == nil) != gone {
				t.Errorf("entry %d: %v, payload of %d bytes", seq, err, len(e.Payload))
			}
		}
		seqs := uint64(0)
		check(t, s.Range(w.Feed(), 1, func(e store.Entry) bool { seqs++; return e.Header.Seq == seqs }))
		if got := arrivals(t, s, 0); seqs != 6 || !slices.Equal(got, []store.Place{w.At(2), w.At(1)}) {
			t.Errorf("%d entries, arrivals %v", seqs, got)
		}
	}
	Commit(t, s, &store.Commit{Erase: []store.Place{w.At(4), w.At(2), w.At(3), w.At(2)}})
	is(40_000)
	// What brings them again is passed over, and harms nothing beside it.
	last := Commit(t, s, &store.Commit{Entries: list[:4], Readable: []store.Place{w.At(3), w.At(2)}, Erase: []store.Place{w.At(2)}})
	if last != 2 {
		t.Errorf("last arrival %d", last)
	}
	is(40_000)
	h.Crash()
	s = h.Open()
	is(40_000)
	Commit(t, s, entries(list[2]))
	is(40_000)
	refused(t, s, store.ErrNotFound, &store.Commit{Erase: []store.Place{w.At(1), w.At(7)}})
	refused(t, s, store.ErrNotFound, &store.Commit{Erase: []store.Place{{Feed: protocol.FeedID{1}, Seq: 1}}})
	is(40_000)
	// A branch that is dropped takes with it what was erased of it.
	check(t, s.Drop(context.Background(), w.At(3)))
	h.Crash()
	s = h.Open()
	Commit(t, s, entries(list[2:]...))
	if fd, _ := s.Feed(w.Feed()); !slices.Equal(fd.Erased, []store.Range{{First: 2, Last: 2}}) || len(fd.Missing) != 0 || fd.Bytes != 100_000 {
		t.Errorf("after the branch was dropped: %+v", fd)
	}
	check(t, s.Drop(context.Background(), w.At(1)))
	h.Crash()
	s = h.Open()
	Commit(t, s, entries(list...))
	if fd, _ := s.Feed(w.Feed()); len(fd.Erased) != 0 || fd.Bytes != 120_000 {
		t.Errorf("after all was dropped: %+v", fd)
	}
	check(t, s.Close())
	if _, err := s.Commit(context.Background(), &store.Commit{Erase: []store.Place{w.At(1)}}); !errors.Is(err, store.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// testEraseMany erases more than one transaction holds, in the commit that brings
// it too, and every second payload so that nothing runs together.
func testEraseMany(t *testing.T, f Factory) {
	h := f(t)
	s := h.Open()
	w := NewWriter("a")
	var list []store.Entry
	var odd []store.Place
	for i := range uint64(3000) {
		list = append(list, w.Next(Payload(i, 10)))
		if i%2 == 0 {
			odd = append(odd, w.At(i+1))
		}
	}
	Commit(t, s, &store.Commit{Entries: list[:1500]})
	Commit(t, s, &store.Commit{Entries: list[1500:], Erase: odd})
	for range 2 {
		fd, _ := s.Feed(w.Feed())
		if len(fd.Erased) != 1500 || store.Ranges(fd.Erased).Count() != 1500 || fd.Bytes != 15_000 || fd.Head != 3000 || len(fd.Missing) != 0 {
			t.Fatalf("%d runs erased, %d bytes, head %d", len(fd.Erased), fd.Bytes, fd.Head)
		}
		check(t, s.Range(w.Feed(), 1, func(e store.Entry) bool {
			if (e.Payload == nil) != (e.Header.Seq%2 == 1) {
				t.Errorf("entry %d: payload of %d bytes", e.Header.Seq, len(e.Payload))
			}
			return true
		}))
		h.Crash()
		s = h.Open()
	}
}

// testIndexRemove takes versions out of the index by the arrival they came with.
func testIndexRemove(t *testing.T, f Factory) {
	h := f(t)
	s := h.Open()
	x := s.Index()
	a, b := store.Value{Type: "domain", Text: "a.com"}, store.Value{Type: "domain", Text: "b.com"}
	const id = "indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f"
	version := func(arrival uint64, modified int64, v store.Value) store.Object {
		return store.Object{Member: Member("m"), ID: id, Type: "indicator", Modified: modified, Arrival: arrival, Content: [8]byte{byte(modified)}, Values: []store.Value{v}}
	}
	first, second, again := version(1, 100, a), version(2, 200, b), version(3, 100, a)
	check(t, x.Put(&store.IndexBatch{Objects: []store.Object{first, second}, Checkpoint: 2}))
	finds := func(v store.Value, want int) {
		t.Helper()
		found, err := x.ByValue(v)
		if err != nil || len(found) != want {
			t.Errorf("%s: %v %v", v.Text, found, err)
		}
	}
	check(t, x.Remove([]store.Object{first}))
	if list, err := x.Versions(first.Member, id); err != nil || len(list) != 1 || list[0].Modified != 200 {
		t.Errorf("versions: %v %v", list, err)
	}
	finds(b, 1)
	check(t, x.Put(&store.IndexBatch{Objects: []store.Object{again}, Checkpoint: 3}))
	check(t, x.Remove([]store.Object{first, second})) // the first has come again since
	finds(a, 1)
	finds(b, 0)
	check(t, x.Remove([]store.Object{again, again}))
	finds(a, 0)
	if list, err := x.ByID(id); err != nil || len(list) != 0 || x.Checkpoint() != 3 {
		t.Errorf("by ID: %v %v", list, err)
	}
	check(t, s.Close())
}

package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/tipmesh/tipmesh/store"
)

// testDrop replaces a branch of a feed by its rival.
func testDrop(t *testing.T, f Factory) {
	h := f(t)
	s := h.Open()
	w := NewWriter("a")
	e1, e2 := w.Next(Payload(1, 10)), w.Next(Payload(2, 3000))
	rival := w.Fork()
	e3, e4 := w.Next(Payload(3, 3000)), w.Next(Payload(4, 10))
	r3, r4 := rival.Next(Payload(33, 20)), rival.Next(Payload(34, 30))
	other := NewWriter("b")
	Commit(t, s, &store.Commit{Entries: []store.Entry{e1, Header(e2), e3, Header(e4), other.Next(Payload(5, 10))},
		Readable: []store.Place{w.At(3), other.At(1), w.At(1)}})
	drop := func(seq uint64) { t.Helper(); check(t, s.Drop(context.Background(), w.At(seq))) }
	is := func(head store.Entry, bytes uint64, want ...store.Place) {
		t.Helper()
		fd, ok := s.Feed(w.Feed())
		if !ok || fd.Head != head.Header.Seq || fd.HeadID != head.Header.ID() || fd.Bytes != bytes {
			t.Errorf("feed: %+v", fd)
		}
		if _, err := s.Entry(w.At(head.Header.Seq + 1)); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("entry after the head: %v", err)
		}
		if got := arrivals(t, s, 0); !slices.Equal(got, want) || s.LastArrival() != uint64(len(want)) {
			t.Errorf("arrivals %v, want %v", got, want)
		}
		count := uint64(0)
		check(t, s.Range(w.Feed(), 1, func(store.Entry) bool { count++; return true }))
		if count != head.Header.Seq {
			t.Errorf("%d entries of %d", count, head.Header.Seq)
		}
	}
	drop(5) // nothing there
	is(e4, 3010, w.At(3), other.At(1), w.At(1))
	drop(3)
	is(e2, 10, store.Place{}, other.At(1), w.At(1))
	if fd, _ := s.Feed(w.Feed()); !slices.Equal(fd.Missing, []store.Range{{First: 2, Last: 2}}) {
		t.Errorf("missing: %v", fd.Missing)
	}
	refused(t, s, store.ErrNotFound, &store.Commit{Readable: []store.Place{w.At(3)}})
	h.Crash()
	s = h.Open()
	is(e2, 10, store.Place{}, other.At(1), w.At(1))
	if n := Commit(t, s, &store.Commit{Entries: []store.Entry{r3, r4}, Readable: []store.Place{w.At(3)}}); n != 4 {
		t.Errorf("last arrival %d", n)
	}
	is(r4, 60, store.Place{}, other.At(1), w.At(1), w.At(3))
	refused(t, s, store.ErrConflict, entries(e3))
	drop(0)
	if _, ok := s.Feed(w.Feed()); ok || len(s.Feeds()) != 1 {
		t.Errorf("feeds: %v", s.Feeds())
	}
	drop(1)
	check(t, s.Drop(context.Background(), NewWriter("c").At(1)))
	h.Crash()
	s = h.Open()
	if _, ok := s.Feed(w.Feed()); ok || len(s.Feeds()) != 1 {
		t.Errorf("feeds after a crash: %v", s.Feeds())
	}
	Commit(t, s, entries(e1, e2, e3))
	is(e3, 6010, store.Place{}, other.At(1), store.Place{}, store.Place{})
	check(t, s.Close())
	if err := s.Drop(context.Background(), w.At(1)); !errors.Is(err, store.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// testDropLong drops more than one transaction holds, beside commits.
func testDropLong(t *testing.T, f Factory) {
	h := f(t)
	s := h.Open()
	w := NewWriter("a")
	var list []store.Entry
	for i := range uint64(3000) {
		list = append(list, w.Next(Payload(i, 10)))
	}
	Commit(t, s, entries(list...))
	done := make(chan error, 1)
	go func() { done <- s.Drop(context.Background(), w.At(11)) }()
	for i := range 50 {
		Commit(t, s, &store.Commit{Entries: []store.Entry{NewWriter(fmt.Sprint(i)).Next(nil)}, Settings: map[string][]byte{"a": {byte(i)}}})
	}
	check(t, <-done)
	Commit(t, s, entries(list[10:20]...))
	h.Crash()
	s = h.Open()
	if fd, _ := s.Feed(w.Feed()); fd.Head != 20 || fd.HeadID != list[19].Header.ID() || fd.Bytes != 200 || len(s.Feeds()) != 51 {
		t.Errorf("feed %+v, %d feeds", fd, len(s.Feeds()))
	}
}

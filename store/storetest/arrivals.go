package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// arrivals lists the places of all arrivals and fails on a gap.
func arrivals(t testing.TB, s store.Store, after uint64) (places []store.Place) {
	t.Helper()
	next := after + 1
	check(t, s.Arrivals(after, func(a store.Arrival) bool {
		if number, ok := s.ArrivalOf(a.Place); ok != (a.Place != store.Place{}) || ok && number != a.Number {
			t.Fatalf("arrival %d: of its place it is %d", a.Number, number)
		}
		if a.Number != next {
			t.Fatalf("arrival %d where %d should be", a.Number, next)
		}
		next++
		places = append(places, a.Place)
		return true
	}))
	return places
}

func testArrivals(t *testing.T, f Factory) {
	h := f(t)
	s := h.Open()
	w := NewWriter("a")
	var all []store.Entry
	for i := range uint64(5) {
		all = append(all, w.Next(Payload(i, 1500)))
	}
	Commit(t, s, &store.Commit{Entries: []store.Entry{all[0], Header(all[1]), all[2]}})
	if s.LastArrival() != 0 || len(arrivals(t, s, 0)) != 0 {
		t.Fatal("an arrival that nobody named")
	}
	refused(t, s, store.ErrNotFound, &store.Commit{Readable: []store.Place{w.At(3), w.At(2)}})
	refused(t, s, store.ErrNotFound, &store.Commit{Readable: []store.Place{w.At(9)}})
	if n := Commit(t, s, &store.Commit{Readable: []store.Place{w.At(3), w.At(1), w.At(3)}}); n != 2 {
		t.Fatalf("last arrival %d, want 2", n)
	}
	n := Commit(t, s, &store.Commit{Entries: all, Readable: []store.Place{w.At(1), w.At(5), w.At(2)}})
	want := []store.Place{w.At(3), w.At(1), w.At(5), w.At(2)}
	if n != 4 || s.LastArrival() != 4 || !slices.Equal(arrivals(t, s, 0), want) {
		t.Fatalf("arrivals to %d: %v", n, arrivals(t, s, 0))
	}
	incarnation := s.Incarnation()
	h.Crash()
	s = h.Open()
	if s.Incarnation() != incarnation || incarnation.IsZero() {
		t.Fatal("another incarnation")
	}
	if s.LastArrival() != 4 || !slices.Equal(arrivals(t, s, 2), want[2:]) || len(arrivals(t, s, 4)) != 0 {
		t.Fatalf("after a crash: %v", arrivals(t, s, 0))
	}
	if n := Commit(t, s, &store.Commit{Readable: []store.Place{w.At(4), w.At(3)}}); n != 5 {
		t.Fatalf("last arrival %d, want 5", n)
	}
	n = 0
	check(t, s.Arrivals(0, func(store.Arrival) bool { n++; return n < 3 }))
	if n != 3 {
		t.Fatalf("%d arrivals after the callback said no", n)
	}
}

// testConcurrent writes small entries from many goroutines while readers check
// that what they see is whole.
func testConcurrent(t *testing.T, f Factory) {
	h := f(t)
	s := h.Open()
	const writers, each = 8, 125
	stop := make(chan struct{})
	var readers, wg sync.WaitGroup
	readers.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			last := s.LastArrival()
			seen := uint64(0)
			err := s.Arrivals(0, func(a store.Arrival) bool {
				seen++
				return a.Number == seen
			})
			if err != nil || seen < last {
				t.Errorf("%d of %d arrivals: %v", seen, last, err)
				return
			}
			for _, fd := range s.Feeds() {
				if e, err := s.Entry(store.Place{Feed: fd.ID, Seq: fd.Head}); err != nil || e.Header.ID() != fd.HeadID || e.Payload == nil {
					t.Errorf("head %d of %s: %v", fd.Head, fd.ID.Short(), err)
					return
				}
			}
		}
	})
	for n := range writers {
		wg.Go(func() {
			w := NewWriter(fmt.Sprint("writer ", n))
			for i := range uint64(each) {
				e := w.Next(Payload(i, 100))
				_, err := s.Commit(context.Background(), &store.Commit{Entries: []store.Entry{e}, Readable: []store.Place{w.At(e.Header.Seq)}})
				if err != nil {
					t.Errorf("commit %d of writer %d: %v", i, n, err)
					return
				}
				if got, _ := s.Feed(w.Feed()); got.Head != e.Header.Seq {
					t.Errorf("writer %d: head %d after commit of %d", n, got.Head, e.Header.Seq)
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	readers.Wait()
	h.Crash()
	s = h.Open()
	if s.LastArrival() != writers*each || len(arrivals(t, s, 0)) != writers*each {
		t.Fatalf("%d arrivals", s.LastArrival())
	}
	for _, fd := range s.Feeds() {
		if fd.Head != each || len(fd.Missing) != 0 {
			t.Errorf("feed %s: head %d", fd.ID.Short(), fd.Head)
		}
	}
}

// testInvalidNeighbours mixes good and bad commits that run at the same time.
func testInvalidNeighbours(t *testing.T, f Factory) {
	s := f(t).Open()
	good, bad := NewWriter("good"), NewWriter("bad")
	bad.Next(nil)
	orphan := bad.Next(Payload(1, 10))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				c := &store.Commit{Entries: []store.Entry{orphan}, Settings: map[string][]byte{"bad": {1}}, Statements: []*protocol.Statement{statement(t, 9)}}
				if _, err := s.Commit(context.Background(), c); !errors.Is(err, store.ErrOrder) {
					t.Errorf("bad commit: %v", err)
				}
			}
		})
	}
	wg.Go(func() {
		for i := range uint64(100) {
			if _, err := s.Commit(context.Background(), entries(good.Next(Payload(i, 2000)))); err != nil {
				t.Errorf("good commit: %v", err)
			}
		}
	})
	wg.Wait()
	if fd, _ := s.Feed(good.Feed()); fd.Head != 100 || len(s.Feeds()) != 1 || countStatements(t, s) != 0 {
		t.Fatalf("feeds %v", s.Feeds())
	}
}

// testCrash crashes again and again; everything acknowledged must stay.
func testCrash(t *testing.T, f Factory) {
	h := f(t)
	w := NewWriter("a")
	var acked uint64
	for round := range uint64(4) {
		s := h.Open()
		if fd, _ := s.Feed(w.Feed()); fd.Head != acked || len(fd.Missing) != 0 {
			t.Fatalf("round %d: head %d, %d acknowledged, missing %v", round, fd.Head, acked, fd.Missing)
		}
		var batch []store.Entry
		var places []store.Place
		for i := range uint64(250) {
			batch = append(batch, w.Next(Payload(round<<32|i, 3000)))
			places = append(places, w.At(acked+i+1))
		}
		Commit(t, s, &store.Commit{Entries: batch, Readable: places})
		acked += 250
		n := uint64(0)
		h.Crash()
		s = h.Open()
		check(t, s.Range(w.Feed(), 1, func(e store.Entry) bool {
			n++
			return e.Header.Seq == n && e.Header.Fits(e.Payload)
		}))
		if n != acked || s.LastArrival() != acked {
			t.Fatalf("round %d: %d of %d entries whole, arrival %d", round, n, acked, s.LastArrival())
		}
		check(t, s.Close())
	}
}

func testClosed(t *testing.T, f Factory) {
	s := f(t).Open()
	w := NewWriter("a")
	Commit(t, s, entries(w.Next(Payload(1, 10))))
	check(t, s.Close())
	check(t, s.Close())
	_, err := s.Entry(w.At(1))
	_, err2 := s.Setting("x")
	_, err3 := s.Index().ByID("x")
	for _, err := range []error{
		err, err2, err3, s.Range(w.Feed(), 1, func(store.Entry) bool { return true }),
		s.Statements(func(*protocol.Statement) error { return nil }), s.Index().Put(&store.IndexBatch{}),
	} {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
	refused(t, s, store.ErrClosed, entries(w.Next(nil)))
}

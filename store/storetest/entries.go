package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

func refused(t testing.TB, s store.Store, want error, c *store.Commit) {
	t.Helper()
	if _, err := s.Commit(context.Background(), c); !errors.Is(err, want) {
		t.Fatalf("commit: error %v, want %v", err, want)
	}
}

func entries(list ...store.Entry) *store.Commit { return &store.Commit{Entries: list} }

func testOrder(t *testing.T, f Factory) {
	s := f(t).Open()
	w := NewWriter("a")
	e1, e2, e3 := w.Next(Payload(1, 10)), w.Next(Payload(2, 2000)), w.Next(Payload(3, 30))
	refused(t, s, store.ErrOrder, entries(e2))
	Commit(t, s, entries(e1))
	refused(t, s, store.ErrOrder, entries(e3))
	refused(t, s, store.ErrOrder, entries(e3, e2))
	Commit(t, s, entries(e2, e3))
	got, ok := s.Feed(w.Feed())
	want := store.Feed{
		ID: w.Feed(), Node: e1.Header.Node, Head: 3, HeadID: e3.Header.ID(),
		Kind: protocol.EntrySealed, Bytes: 2040,
	}
	if !ok || !cmp.Equal(got, want) {
		t.Fatalf("feed: %s", cmp.Diff(want, got))
	}
	other := NewWriter("b")
	Commit(t, s, entries(other.Next(nil)))
	feeds := s.Feeds()
	if len(feeds) != 2 || feeds[0].ID.Compare(feeds[1].ID) >= 0 {
		t.Fatalf("feeds: %v", feeds)
	}
	if _, ok := s.Feed(protocol.FeedID{1}); ok {
		t.Fatal("a feed that is not held was found")
	}
}

func testConflict(t *testing.T, f Factory) {
	s := f(t).Open()
	w := NewWriter("a")
	Commit(t, s, entries(w.Next(Payload(1, 10))))
	rival := w.Fork()
	e2 := w.Next(Payload(2, 10))
	r2 := rival.Next(Payload(22, 10))
	r3 := rival.Next(Payload(23, 10))
	refused(t, s, store.ErrConflict, entries(e2, r2))
	Commit(t, s, entries(e2))
	refused(t, s, store.ErrConflict, entries(r2))
	refused(t, s, store.ErrOrder, entries(r3)) // right number, wrong chain
	e3 := w.Next(Payload(3, 10))
	refused(t, s, store.ErrConflict, entries(store.Entry{Header: e3.Header, Payload: Payload(4, 10)}))
	refused(t, s, store.ErrConflict, entries(store.Entry{Header: e3.Header, Payload: e3.Payload[:9]}))
	Commit(t, s, entries(e3))
}

func testCommitIsAtomic(t *testing.T, f Factory) {
	s := f(t).Open()
	w := NewWriter("a")
	e1, _, e3 := w.Next(Payload(1, 10)), w.Next(Payload(2, 10)), w.Next(Payload(3, 10))
	refused(t, s, store.ErrOrder, &store.Commit{
		Statements: []*protocol.Statement{statement(t, 1)}, Entries: []store.Entry{e1, e3},
		Readable: []store.Place{w.At(1)}, Settings: map[string][]byte{"x": {1}},
	})
	if len(s.Feeds()) != 0 || s.LastArrival() != 0 || countStatements(t, s) != 0 {
		t.Fatal("a refused commit left something")
	}
	if _, err := s.Setting("x"); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("a refused commit left a setting: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Commit(ctx, entries(e1)); !errors.Is(err, context.Canceled) || len(s.Feeds()) != 0 {
		t.Fatalf("a cancelled commit: %v", err)
	}
	Commit(t, s, entries(e1))
	Commit(t, s, new(store.Commit))
}

func testFillIn(t *testing.T, f Factory) {
	h := f(t)
	s := h.Open()
	w := NewWriter("a")
	var all []store.Entry
	for i := range uint64(9) {
		all = append(all, w.Next(Payload(i, 500*int(i)+1)))
	}
	var heads []store.Entry
	for i, e := range all {
		if i == 4 {
			heads = append(heads, e)
		} else {
			heads = append(heads, Header(e))
		}
	}
	Commit(t, s, entries(heads...))
	missing := func(want ...store.Range) {
		t.Helper()
		got, _ := s.Feed(w.Feed())
		if !slices.Equal(got.Missing, want) {
			t.Fatalf("missing: %v, want %v", got.Missing, want)
		}
	}
	missing(store.Range{First: 1, Last: 4}, store.Range{First: 6, Last: 9})
	if e, err := s.Entry(w.At(2)); err != nil || e.Payload != nil || e.Header.ID() != all[1].Header.ID() {
		t.Fatalf("entry without payload: %v %v", e, err)
	}
	refused(t, s, store.ErrConflict, entries(store.Entry{Header: all[1].Header, Payload: []byte("other")}))
	Commit(t, s, entries(all[1], all[1], all[8]))
	missing(store.Range{First: 1, Last: 1}, store.Range{First: 3, Last: 4}, store.Range{First: 6, Last: 8})
	Commit(t, s, entries(all[1], Header(all[8]))) // held: nothing happens
	check(t, s.Close())
	s = h.Open()
	missing(store.Range{First: 1, Last: 1}, store.Range{First: 3, Last: 4}, store.Range{First: 6, Last: 8})
	Commit(t, s, entries(all...))
	missing()
	var total uint64
	for i, e := range all {
		got, err := s.Entry(w.At(uint64(i + 1)))
		if err != nil || !bytes.Equal(got.Payload, e.Payload) {
			t.Fatalf("entry %d: %v", i+1, err)
		}
		total += e.Header.Size
	}
	if got, _ := s.Feed(w.Feed()); got.Bytes != total {
		t.Fatalf("%d bytes, want %d", got.Bytes, total)
	}
}

func testEmptyPayload(t *testing.T, f Factory) {
	h := f(t)
	s := h.Open()
	w := NewWriter("a")
	e1, e2 := w.Next([]byte{}), w.Next([]byte{})
	Commit(t, s, entries(e1, Header(e2)))
	check(t, s.Close())
	s = h.Open()
	got1, err1 := s.Entry(w.At(1))
	got2, err2 := s.Entry(w.At(2))
	if err1 != nil || err2 != nil || got1.Payload == nil || got2.Payload != nil {
		t.Fatalf("held: %v %v, not held: %v %v", got1.Payload == nil, err1, got2.Payload == nil, err2)
	}
}

func testBigPayloads(t *testing.T, f Factory) {
	h := f(t)
	s := h.Open()
	w := NewWriter("a")
	var all []store.Entry
	for i := range uint64(12) { // more than one transaction holds
		all = append(all, w.Next(Payload(i, protocol.MaxPayload)))
	}
	Commit(t, s, entries(all[:3]...))
	Commit(t, s, &store.Commit{Entries: all[3:], Readable: []store.Place{w.At(12)}})
	h.Crash()
	s = h.Open()
	n := 0
	check(t, s.Range(w.Feed(), 1, func(e store.Entry) bool {
		if !bytes.Equal(e.Payload, all[n].Payload) {
			t.Errorf("payload %d differs", n+1)
		}
		n++
		return true
	}))
	if n != 12 || s.LastArrival() != 1 || s.Size() == 0 {
		t.Fatalf("%d entries, arrival %d, size %d", n, s.LastArrival(), s.Size())
	}
}

func testRange(t *testing.T, f Factory) {
	s := f(t).Open()
	w, other := NewWriter("a"), NewWriter("b")
	for i := range uint64(300) {
		e := w.Next(Payload(i, int(i)*10))
		if i%3 == 0 {
			e = Header(e)
		}
		Commit(t, s, entries(e, other.Next(Payload(i, 5))))
	}
	for _, from := range []uint64{0, 1, 2, 255, 256, 257, 300, 301} {
		seq, want := max(from, 1), max(from, 1)
		check(t, s.Range(w.Feed(), from, func(e store.Entry) bool {
			if e.Header.Feed != w.Feed() || e.Header.Seq != seq || (e.Payload == nil) != ((seq-1)%3 == 0) {
				t.Errorf("from %d: entry %d, payload %v", from, e.Header.Seq, e.Payload != nil)
			}
			seq++
			return seq < want+100
		}))
		if seq != min(want+100, 301) {
			t.Errorf("from %d: ended at %d", from, seq)
		}
	}
	check(t, s.Range(protocol.FeedID{}, 1, func(store.Entry) bool { t.Error("an entry of no feed"); return false }))
	for _, p := range []store.Place{w.At(0), w.At(301), {Seq: 1}} {
		_, err := s.Entry(p)
		_, err2 := s.Header(p)
		if !errors.Is(err, store.ErrNotFound) || !errors.Is(err2, store.ErrNotFound) {
			t.Errorf("place %v: %v, %v", p, err, err2)
		}
	}
	if h, err := s.Header(w.At(7)); err != nil || h.Seq != 7 {
		t.Errorf("header: %v %v", h, err)
	}
}

func testSettings(t *testing.T, f Factory) {
	h := f(t)
	s := h.Open()
	big := Payload(1, 100_000)
	Commit(t, s, &store.Commit{Settings: map[string][]byte{"a": {1}, "p/1": {2}, "p/2": big, "p": {}, "q": {4}}})
	Commit(t, s, &store.Commit{Settings: map[string][]byte{"a": nil, "p/1": {22}, "gone": nil}})
	h.Crash()
	s = h.Open()
	var names []string
	check(t, s.Settings("p", func(name string, value []byte) error {
		names = append(names, fmt.Sprint(name, len(value)))
		return nil
	}))
	if want := []string{"p0", "p/11", "p/2100000"}; !slices.Equal(names, want) {
		t.Fatalf("settings %v, want %v", names, want)
	}
	if v, err := s.Setting("p/1"); err != nil || !bytes.Equal(v, []byte{22}) {
		t.Fatalf("setting: %v %v", v, err)
	}
	if v, err := s.Setting("p"); err != nil || v == nil {
		t.Fatalf("empty setting: %v %v", v, err)
	}
	if _, err := s.Setting("a"); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("deleted setting: %v", err)
	}
	stop := errors.New("stop")
	if err := s.Settings("", func(string, []byte) error { return stop }); !errors.Is(err, stop) {
		t.Fatalf("callback's error: %v", err)
	}
}

func statement(t testing.TB, n byte) *protocol.Statement {
	t.Helper()
	st, err := protocol.NewStatement(Mesh, &protocol.Approval{Subject: protocol.StatementID{n}}, int64(n), Key("governor"))
	check(t, err)
	return st
}

func countStatements(t testing.TB, s store.Store) (n int) {
	t.Helper()
	check(t, s.Statements(func(*protocol.Statement) error { n++; return nil }))
	return n
}

func testStatements(t *testing.T, f Factory) {
	h := f(t)
	s := h.Open()
	a, b := statement(t, 1), statement(t, 2)
	Commit(t, s, &store.Commit{Statements: []*protocol.Statement{a, b, a}})
	Commit(t, s, &store.Commit{Statements: []*protocol.Statement{a}})
	h.Crash()
	s = h.Open()
	held := map[protocol.StatementID]bool{}
	check(t, s.Statements(func(st *protocol.Statement) error { held[st.ID()] = true; return nil }))
	if countStatements(t, s) != 2 || !held[a.ID()] || !held[b.ID()] {
		t.Fatalf("statements %v", held)
	}
	stop := errors.New("stop")
	if err := s.Statements(func(*protocol.Statement) error { return stop }); !errors.Is(err, stop) {
		t.Fatalf("callback's error: %v", err)
	}
}

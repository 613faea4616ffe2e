package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// testModel runs random commits against a store and a simple model, with
// closing and crashing in between. The seeds are fixed: a failure repeats.
func testModel(t *testing.T, f Factory) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			m := &model{
				h: f(t), rng: rand.New(rand.NewPCG(seed, 7)), entries: map[store.Place]store.Entry{}, erased: map[store.Place]bool{},
				settings: map[string][]byte{}, statements: map[protocol.StatementID]bool{},
			}
			for i := range 3 {
				m.writers = append(m.writers, newHistory(fmt.Sprint("feed ", i), 40))
			}
			m.s = m.h.Open()
			for range 60 {
				m.step(t)
			}
			m.compare(t)
			check(t, m.s.Close())
		})
	}
}

// history is a feed written beforehand and a rival of it.
type history struct {
	w           *Writer
	list, rival []store.Entry
}

func newHistory(name string, n int) *history {
	w := NewWriter(name)
	h := &history{w: w}
	rival := w.Fork()
	for i := range uint64(n) {
		h.list = append(h.list, w.Next(Payload(i, int(i)*100)))
		h.rival = append(h.rival, rival.Next(Payload(i+1000, 50)))
	}
	return h
}

// model is what a store should hold, told as plainly as possible.
type model struct {
	h   Harness
	s   store.Store
	rng *rand.Rand

	writers    []*history
	entries    map[store.Place]store.Entry
	erased     map[store.Place]bool
	arrivals   []store.Place
	settings   map[string][]byte
	statements map[protocol.StatementID]bool
}

func (m *model) clone() *model {
	c := *m
	c.entries, c.settings, c.statements, c.erased = maps.Clone(m.entries), maps.Clone(m.settings), maps.Clone(m.statements), maps.Clone(m.erased)
	return &c
}

func (m *model) head(feed protocol.FeedID) (n uint64) {
	for m.entries[store.Place{Feed: feed, Seq: n + 1}].Header != nil {
		n++
	}
	return n
}

func (m *model) step(t *testing.T) {
	switch m.rng.IntN(20) {
	case 0:
		m.h.Crash()
		m.s = m.h.Open()
		m.compare(t)
	case 1:
		check(t, m.s.Close())
		m.s = m.h.Open()
		m.compare(t)
	case 2:
		from := m.writers[m.rng.IntN(len(m.writers))].w.At(uint64(m.rng.IntN(30)))
		check(t, m.s.Drop(context.Background(), from))
		m.drop(from)
	default:
		c := m.commit(t)
		next := m.clone()
		want := next.apply(c)
		last, err := m.s.Commit(context.Background(), c)
		if !errors.Is(err, want) || err != nil && want == nil {
			t.Fatalf("commit: error %v, want %v", err, want)
		}
		if err == nil {
			*m = *next
			if last != uint64(len(m.arrivals)) {
				t.Fatalf("last arrival %d, want %d", last, len(m.arrivals))
			}
		}
	}
}

// commit makes a random commit, mostly valid.
func (m *model) commit(t *testing.T) *store.Commit {
	c := &store.Commit{Settings: map[string][]byte{}}
	for range m.rng.IntN(3) {
		hist := m.writers[m.rng.IntN(len(m.writers))]
		from := int(m.head(hist.w.Feed())) - m.rng.IntN(4) + m.rng.IntN(20)/19
		from = max(from, 0)
		for i := from; i < min(from+m.rng.IntN(8), len(hist.list)); i++ {
			e := hist.list[i]
			switch m.rng.IntN(30) {
			case 0:
				e = hist.rival[i]
			case 1:
				e.Payload = []byte("not the payload")
			case 2, 3, 4, 5, 6, 7, 8, 9, 10:
				e = Header(e)
			}
			c.Entries = append(c.Entries, e)
			if m.rng.IntN(12) == 0 || e.Payload != nil && m.rng.IntN(2) == 0 {
				c.Readable = append(c.Readable, hist.w.At(uint64(i+1)))
			}
		}
	}
	for range m.rng.IntN(6) - 2 {
		w := m.writers[m.rng.IntN(len(m.writers))].w
		c.Erase = append(c.Erase, w.At(1+uint64(m.rng.IntN(int(m.head(w.Feed()))+2))))
	}
	if m.rng.IntN(3) == 0 {
		name := string(rune('a' + m.rng.IntN(5)))
		c.Settings[name] = [][]byte{nil, {}, {1}, Payload(m.rng.Uint64(), 3000)}[m.rng.IntN(4)]
	}
	if m.rng.IntN(5) == 0 {
		c.Statements = append(c.Statements, statement(t, byte(m.rng.IntN(10))))
	}
	return c
}

// apply changes the model and gives the error that the store should give.
func (m *model) apply(c *store.Commit) error {
	for _, e := range c.Entries {
		if e.Payload != nil && !e.Header.Fits(e.Payload) {
			return store.ErrConflict
		}
	}
	for _, e := range c.Entries {
		p := store.Place{Feed: e.Header.Feed, Seq: e.Header.Seq}
		held := m.entries[p]
		switch head := m.head(p.Feed); {
		case held.Header != nil && held.Header.ID() != e.Header.ID():
			return store.ErrConflict
		case held.Header != nil && (held.Payload != nil || e.Payload == nil || m.erased[p]):
		case held.Header != nil, p.Seq == 1:
			m.entries[p] = e
		case p.Seq != head+1 || m.entries[store.Place{Feed: p.Feed, Seq: head}].Header.ID() != e.Header.Prev:
			return store.ErrOrder
		default:
			m.entries[p] = e
		}
	}
	for _, p := range c.Erase {
		e := m.entries[p]
		if e.Header == nil {
			return store.ErrNotFound
		}
		m.entries[p], m.erased[p] = Header(e), true
	}
	for _, p := range c.Readable {
		if m.erased[p] {
			continue
		}
		if m.entries[p].Payload == nil {
			return store.ErrNotFound
		}
		known := false
		for _, q := range m.arrivals {
			known = known || p == q
		}
		if !known {
			m.arrivals = append(m.arrivals[:len(m.arrivals):len(m.arrivals)], p)
		}
	}
	for name, value := range c.Settings {
		if value == nil {
			delete(m.settings, name)
		} else {
			m.settings[name] = value
		}
	}
	for _, st := range c.Statements {
		m.statements[st.ID()] = true
	}
	return nil
}

func (m *model) drop(from store.Place) {
	gone := func(p store.Place) bool { return p.Feed == from.Feed && p.Seq >= from.Seq }
	maps.DeleteFunc(m.entries, func(p store.Place, _ store.Entry) bool { return gone(p) })
	maps.DeleteFunc(m.erased, func(p store.Place, _ bool) bool { return gone(p) })
	for i, p := range m.arrivals {
		if gone(p) {
			m.arrivals[i] = store.Place{}
		}
	}
}

// compare checks that the store says what the model says, by every method.
func (m *model) compare(t *testing.T) {
	t.Helper()
	feeds := 0
	for _, hist := range m.writers {
		id := hist.w.Feed()
		head := m.head(id)
		fd, ok := m.s.Feed(id)
		if ok != (head > 0) || fd.Head != head {
			t.Fatalf("feed %s: head %d, want %d", id.Short(), fd.Head, head)
		}
		if !ok {
			continue
		}
		feeds++
		var missing, erased store.Ranges
		var size uint64
		for seq := uint64(1); seq <= head; seq++ {
			want := m.entries[hist.w.At(seq)]
			got, err := m.s.Entry(hist.w.At(seq))
			if err != nil || got.Header.ID() != want.Header.ID() || (got.Payload == nil) != (want.Payload == nil) || !bytes.Equal(got.Payload, want.Payload) {
				t.Fatalf("entry %d of %s: %v", seq, id.Short(), err)
			}
			size += uint64(len(want.Payload))
			switch {
			case m.erased[hist.w.At(seq)]:
				erased = erased.Add(seq)
			case want.Payload == nil:
				missing = missing.Add(seq)
			}
		}
		if fmt.Sprint(erased) != fmt.Sprint(fd.Erased) {
			t.Fatalf("feed %s: erased %v, want %v", id.Short(), fd.Erased, erased)
		}
		if !cmp.Equal([]store.Range(missing), fd.Missing, cmp.Transformer("list", func(r []store.Range) string { return fmt.Sprint(r) })) || fd.Bytes != size {
			t.Fatalf("feed %s: missing %v, want %v; %d bytes, want %d", id.Short(), fd.Missing, missing, fd.Bytes, size)
		}
	}
	if n := len(m.s.Feeds()); n != feeds {
		t.Fatalf("%d feeds, want %d", n, feeds)
	}
	if got := arrivals(t, m.s, 0); fmt.Sprint(got) != fmt.Sprint(m.arrivals) {
		t.Fatalf("arrivals %v, want %v", got, m.arrivals)
	}
	settings := map[string][]byte{}
	check(t, m.s.Settings("", func(name string, value []byte) error { settings[name] = value; return nil }))
	if !cmp.Equal(settings, m.settings) {
		t.Fatalf("settings: %s", cmp.Diff(m.settings, settings))
	}
	if n := countStatements(t, m.s); n != len(m.statements) {
		t.Fatalf("%d statements, want %d", n, len(m.statements))
	}
}

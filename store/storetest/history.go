package storetest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// SameIndexes feeds random histories to two kinds of store, one of which is
// opened again now and then, and compares every answer of their indexes:
// versions out of order, rivals, arrivals fed again, removals, values that
// change from version to version. The seeds are fixed: a failure repeats.
func SameIndexes(t *testing.T, f Factory, other func() store.Index) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			h := &indexHistory{h: f(t), want: other(), rng: rand.New(rand.NewPCG(seed, 11))}
			h.s = h.h.Open()
			w := NewWriter("a")
			c := new(store.Commit)
			for i := range uint64(historyArrivals) {
				c.Entries, c.Readable = append(c.Entries, w.Next([]byte{byte(i)})), append(c.Readable, w.At(i+1))
			}
			Commit(t, h.s, c)
			for arrival := uint64(1); arrival <= historyArrivals; {
				arrival += h.step(t, arrival)
				if h.rng.IntN(10) == 0 {
					h.compare(t)
				}
			}
			h.compare(t)
			check(t, h.s.Close())
		})
	}
}

const historyArrivals = 150

type indexHistory struct {
	h     Harness
	s     store.Store
	want  store.Index
	rng   *rand.Rand
	batch [][]store.Object // by arrival, from 1 on
}

// step does something to both indexes and gives how many arrivals it fed.
func (h *indexHistory) step(t *testing.T, arrival uint64) uint64 {
	both := func(fn func(store.Index) error) {
		t.Helper()
		check(t, fn(h.s.Index()))
		check(t, fn(h.want))
	}
	switch h.rng.IntN(24) {
	case 0:
		h.h.Crash()
		h.s = h.h.Open()
	case 1:
		check(t, h.s.Close())
		h.s = h.h.Open()
	case 2, 3, 4, 5: // what some arrival brought goes, once or twice
		if len(h.batch) > 0 {
			gone := h.batch[h.rng.IntN(len(h.batch))]
			both(func(x store.Index) error { return x.Remove(gone) })
		}
	case 6, 7, 8: // some arrivals again
		from := h.rng.IntN(len(h.batch) + 1)
		var objects []store.Object
		for _, list := range h.batch[from:min(from+3, len(h.batch))] {
			objects = append(objects, list...)
		}
		both(func(x store.Index) error { return x.Put(&store.IndexBatch{Objects: objects, Checkpoint: arrival - 1}) })
	default:
		var objects []store.Object
		n := min(1+h.rng.Uint64N(3), historyArrivals+1-arrival)
		for i := range n {
			list := h.objects(arrival + i)
			h.batch = append(h.batch, list)
			objects = append(objects, list...)
		}
		both(func(x store.Index) error {
			return x.Put(&store.IndexBatch{Objects: objects, Checkpoint: arrival + n - 1})
		})
		return n
	}
	return 0
}

var historyValues = []store.Value{
	{Type: "ipv4", Text: "10.1.2.3"}, {Type: "ipv4", Text: "10.1.3.3"}, {Type: "ipv4-net", Text: "10.1.0.0/16"}, {Type: "ipv4-net", Text: "10.1.2.0/24"},
	{Type: "ipv4-net", Text: "10.1.2.0/28"}, {Type: "ipv6", Text: "2001:db8::1"}, {Type: "ipv6-net", Text: "2001:db8::/64"}, {Type: "ipv6-net", Text: "2001:db8::/127"},
	{Type: "domain", Text: "evil.example"}, {Type: "domain", Text: "www.evil.example"}, {Type: "domain", Text: "a.www.evil.example"}, {Type: "domain", Text: "notevil.example"},
	{Type: "url", Text: "http://evil.example/"}, {Type: "url", Text: "https://evil.example/a"}, {Type: "url", Text: "http://www.evil.example/a/b?c=d"},
	{Type: "url", Text: "http://10.1.2.3:8080/x"}, {Type: "url", Text: "http://10.1.2.3:8080/x/y"}, {Type: "url", Text: "http://evil.example/" + strings.Repeat("p/", 100)},
	{Type: "url", Text: "http://evil.example/" + strings.Repeat("p/", 101)}, {Type: "sha256", Text: strings.Repeat("ab", 32)}, {Type: "email", Text: "a@evil.example"},
	{Type: "filename", Text: ""},
}

var (
	historyWords = []string{"alpha", "alphabet", "beta", "type=report", "type=indicator", "label=x"}
	historyIDs   = []string{
		"indicator--00000000-0000-4000-8000-000000000001", "indicator--00000000-0000-4000-8000-000000000002", "report--00000000-0000-4000-8000-000000000001",
		"indicator--00000000-0000-4000-8000-00000000000A", "odd", "", "malware--00000000-0000-4000-8000-000000000003",
	}
	historyMembers = []protocol.MemberID{Member("a"), Member("b"), Member("c")}
)

func some[T any](rng *rand.Rand, from []T, most int) (out []T) {
	for _, i := range rng.Perm(len(from))[:rng.IntN(most+1)] {
		out = append(out, from[i])
	}
	return out
}

// objects makes what an arrival brings: one member's.
func (h *indexHistory) objects(arrival uint64) (list []store.Object) {
	member := historyMembers[h.rng.IntN(len(historyMembers))]
	for ordinal := range h.rng.IntN(6) {
		content := byte(h.rng.IntN(3))
		o := store.Object{
			Member: member, ID: historyIDs[h.rng.IntN(len(historyIDs))], Modified: int64(h.rng.IntN(6)) - 1, Arrival: arrival, Ordinal: uint32(ordinal),
			Content: [8]byte{content}, Created: int64(h.rng.IntN(3)), Revoked: h.rng.IntN(5) == 0, Type: []string{"indicator", "report"}[h.rng.IntN(2)],
			Values: some(h.rng, historyValues, 3), Refs: some(h.rng, historyIDs, 2), Words: some(h.rng, historyWords, 4),
		}
		s := &o.Summary
		s.Says, s.Action, s.TLP, s.PAP = fmt.Sprint(h.rng.IntN(3)), fmt.Sprint(h.rng.IntN(2)), fmt.Sprint(h.rng.IntN(2)), fmt.Sprint(h.rng.IntN(2))
		s.Confidence, s.ValidFrom, s.ValidUntil = h.rng.IntN(3)-1, int64(h.rng.IntN(2)), int64(h.rng.IntN(2))
		s.FirstSeen, s.LastSeen, s.Received = int64(h.rng.IntN(2)), int64(h.rng.IntN(2)), int64(h.rng.IntN(4))
		s.CreatedBy, s.Share, s.Audience[0], s.Partial = fmt.Sprint(h.rng.IntN(2)), fmt.Sprint(arrival, h.rng.IntN(5)/4), byte(h.rng.IntN(5)/4), h.rng.IntN(4) == 0
		list = append(list, o)
	}
	return list
}

func byName(list []store.Object) []store.Object {
	slices.SortFunc(list, func(a, b store.Object) int { return cmp.Or(a.Member.Compare(b.Member), cmp.Compare(a.ID, b.ID)) })
	return list
}

// compare asks both indexes all there is to ask.
func (h *indexHistory) compare(t *testing.T) {
	t.Helper()
	x := h.s.Index()
	same := func(what string, ask func(store.Index) (any, error)) {
		t.Helper()
		got, err := ask(x)
		check(t, err)
		want, err := ask(h.want)
		check(t, err)
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Fatalf("%s after %d arrivals (-want +got): %s", what, len(h.batch), diff)
		}
	}
	objects := func(what string, ask func(store.Index) ([]store.Object, error)) {
		t.Helper()
		same(what, func(x store.Index) (any, error) {
			list, err := ask(x)
			return slices.Clip(append([]store.Object{}, list...)), err
		})
	}
	same("checkpoint and count", func(x store.Index) (any, error) { return []uint64{x.Checkpoint(), x.Count()}, nil })
	same("census", func(x store.Index) (any, error) { return x.Census(historyMembers) })
	for _, v := range historyValues {
		objects(v.Text, func(x store.Index) ([]store.Object, error) {
			list, err := x.ByValue(v)
			return byName(list), err
		})
	}
	for _, v := range append(historyValues, domain("example"), store.Value{Type: "ipv4-net", Text: "10.0.0.0/8"}, store.Value{Type: "ipv6-net", Text: "::/0"}) {
		same("near "+v.Text, func(x store.Index) (any, error) { return near(t, x, v, 100), nil })
	}
	for _, id := range historyIDs {
		objects(id, func(x store.Index) ([]store.Object, error) {
			list, err := x.ByID(id)
			return byName(list), err
		})
		for _, m := range historyMembers {
			objects("versions of "+id, func(x store.Index) ([]store.Object, error) { return x.Versions(m, id) })
		}
		objects("referring to "+id, func(x store.Index) ([]store.Object, error) { return x.Referring(id, 100) })
	}
	objects("all", func(x store.Index) ([]store.Object, error) {
		list, err := x.ByRef(nil, 0, 1000)
		return byName(list), err
	})
	for _, word := range historyWords {
		for _, prefix := range []string{"", "alp", "type=", "b"} {
			objects(word+" "+prefix, func(x store.Index) (all []store.Object, err error) {
				q := store.Query{Tokens: []string{word}, Prefix: prefix, Since: 1, Limit: 2}
				for {
					found, next, err := x.Search(q)
					if all = append(all, found...); err != nil || next == 0 {
						return all, err
					}
					q.Before = next
				}
			})
		}
	}
}

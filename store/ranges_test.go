package store_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tipmesh/tipmesh/store"
)

func TestRangesAgainstMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var set store.Ranges
	model := map[uint64]bool{}
	for step := range 20_000 {
		seq := 1 + rng.Uint64N(60)
		if rng.IntN(2) == 0 {
			set, model[seq] = set.Add(seq), true
		} else {
			set, model[seq] = set.Remove(seq), false
		}
		for i, r := range set {
			if r.First > r.Last || i > 0 && r.First <= set[i-1].Last+1 {
				t.Fatalf("step %d: ranges %v", step, set)
			}
		}
		for seq := uint64(0); seq < 62; seq++ {
			if set.Has(seq) != model[seq] {
				t.Fatalf("step %d: Has(%d) = %v in %v", step, seq, set.Has(seq), set)
			}
		}
	}
}

func TestRangesTogether(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	random := func() (set store.Ranges) {
		for range rng.IntN(20) {
			set = set.Add(1 + rng.Uint64N(40))
		}
		return set
	}
	for range 5000 {
		a, b := random(), random()
		first := rng.Uint64N(40)
		last := first + rng.Uint64N(20)
		wasA, wasB := a.Clone(), b.Clone()
		with, without, within := a.With(b), a.Without(b), a.Within(first, last)
		for seq := uint64(0); seq < 64; seq++ {
			if with.Has(seq) != (a.Has(seq) || b.Has(seq)) || without.Has(seq) != (a.Has(seq) && !b.Has(seq)) ||
				within.Has(seq) != (a.Has(seq) && first <= seq && seq <= last) {
				t.Fatalf("%v and %v, %d to %d: with %v, without %v, within %v", a, b, first, last, with, without, within)
			}
		}
		for _, set := range []store.Ranges{with, without, within} {
			for i := range set {
				if set[i].First > set[i].Last || i > 0 && set[i].First <= set[i-1].Last+1 {
					t.Fatalf("%v and %v, %d to %d: ranges %v", a, b, first, last, set)
				}
			}
		}
		if !slices.Equal(a, wasA) || !slices.Equal(b, wasB) {
			t.Fatal("a set was changed")
		}
	}
}

func TestRangesEncode(t *testing.T) {
	var r store.Ranges
	for _, seq := range []uint64{1, 2, 3, 7, 9, 10, 1 << 40} {
		r = r.Add(seq)
	}
	got, err := store.ParseRanges(r.Encode())
	if err != nil || !slices.Equal(got, r) || got.Count() != 7 {
		t.Errorf("%v %v", got, err)
	}
	if c := r.Cut(9); !slices.Equal(c, store.Ranges{{First: 1, Last: 3}, {First: 7, Last: 7}, {First: 9, Last: 9}}) || r[2].Last != 10 {
		t.Errorf("cut: %v of %v", c, r)
	}
	for _, bad := range [][]byte{{1}, {0, 1}, {1, 0x80}, {0x80}} {
		if got, err := store.ParseRanges(bad); err == nil {
			t.Errorf("%v: %v", bad, got)
		}
	}
}

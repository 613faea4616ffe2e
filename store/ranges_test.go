package store_test

import (
	"math/rand/v2"
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

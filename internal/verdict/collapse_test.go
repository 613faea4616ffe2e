package verdict_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tipmesh/tipmesh/internal/verdict"
)

func TestCollapse(t *testing.T) {
	of := func(s string) (all []verdict.Assertion) {
		for _, c := range s {
			claim := verdict.ClaimMalicious
			if c == 'h' {
				claim = verdict.ClaimHarmless
			}
			all = append(all, verdict.Assertion{Claim: claim})
		}
		return all
	}
	for _, c := range []struct {
		says         string // a letter each; h is harmless
		shown, alike []int
	}{
		{"", nil, nil},
		{"aaa", []int{0, 1, 2}, nil},
		{"aaaa", []int{0, 1, 2, 3}, nil},
		{"aaaaa", []int{0, 1, 2}, []int{3, 4}},
		{"abaaahaa", []int{0, 1, 2, 3, 5}, []int{4, 6, 7}},
		{"hhhhhhh", []int{0, 1, 2, 3, 4, 5, 6}, nil},
	} {
		shown, alike := verdict.Collapse(of(c.says), func(i int) string { return c.says[i : i+1] })
		if diff := cmp.Diff([][]int{c.shown, c.alike}, [][]int{shown, alike}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.says, diff)
		}
	}
}

// Nothing is lost, and what is said is always shown by somebody.
func TestCollapseLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rating := rated(t)
		all := rapid.SliceOfN(anyAssertion(rating), 0, 20).Draw(t, "assertions")
		shown, alike := verdict.Collapse(all, func(i int) string { return all[i].ID })
		if len(shown)+len(alike) != len(all) {
			t.Fatalf("%d shown and %d alike of %d", len(shown), len(alike), len(all))
		}
		for _, i := range alike {
			n := 0
			for _, j := range shown {
				if all[j].Claim == all[i].Claim && all[j].ID == all[i].ID {
					n++
				}
			}
			if n != verdict.MaxAlike || all[i].Claim == verdict.ClaimHarmless {
				t.Fatalf("%d (claim %d) collapses beside %d", i, all[i].Claim, n)
			}
		}
	})
}

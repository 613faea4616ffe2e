package verdict

import (
	"math"
	"slices"
)

// tally adds up independent sources. Copies of one origin are one source, and
// so is a member, whatever origins it names: only the heaviest of each counts.
// Both ways of counting can only grow by more sources, so the lesser of the two
// does too.
type tally struct {
	byMember, byOrigin map[string]float64
}

func newTally() tally { return tally{map[string]float64{}, map[string]float64{}} }

func (t tally) add(member, origin string, p float64) {
	t.byMember[member] = max(t.byMember[member], p)
	t.byOrigin[origin] = max(t.byOrigin[origin], p)
}

func (t tally) none() bool { return len(t.byMember) == 0 }

// percent is the weight of all, 0 to 100. The tiny addend takes 0.4999999999
// for the half that it is meant to be.
func (t tally) percent() int {
	return int(math.Floor(min(together(t.byMember), together(t.byOrigin))*100 + 0.5 + 1e-9))
}

// together is 1 less the chance that all err. Sorted, so that the order of the
// sources does not show in the last bits.
func together(m map[string]float64) float64 {
	all := make([]float64, 0, len(m))
	for _, p := range m {
		all = append(all, p)
	}
	slices.Sort(all)
	wrong := 1.0
	for _, p := range all {
		wrong *= 1 - p
	}
	return 1 - wrong
}

package verdict

// MaxAlike is how many assertions that say the same are shown to people; what
// is more collapses.
const MaxAlike = 3

// Collapse gives the places of the assertions to show to people, in their
// order, and of those that say the same as shown ones and can be left at a
// count. says tells what the i-th says, beyond its claim. Whoever says that the
// value is harmless is always shown, and so is a lone one that would be left
// over: naming it is as short as counting it.
func Collapse(all []Assertion, says func(i int) string) (shown, alike []int) {
	type saying struct {
		claim Claim
		text  string
	}
	key := func(i int) saying { return saying{all[i].Claim, says(i)} }
	total, given := map[saying]int{}, map[saying]int{}
	for i := range all {
		total[key(i)]++
	}
	for i := range all {
		k := key(i)
		if all[i].Claim != ClaimHarmless && given[k] >= MaxAlike && total[k] > MaxAlike+1 {
			alike = append(alike, i)
			continue
		}
		given[k]++
		shown = append(shown, i)
	}
	return shown, alike
}

package store

import "sort"

// Ranges is a set of sequence numbers: ascending ranges with gaps between them.
// Methods that change it may reuse its memory.
type Ranges []Range

// at is the place of the first range that ends at seq or later.
func (r Ranges) at(seq uint64) int {
	return sort.Search(len(r), func(i int) bool { return r[i].Last >= seq })
}

// Has reports whether seq is in the set.
func (r Ranges) Has(seq uint64) bool {
	i := r.at(seq)
	return i < len(r) && r[i].First <= seq
}

// Add puts seq into the set.
func (r Ranges) Add(seq uint64) Ranges {
	i := r.at(seq)
	if i < len(r) && r[i].First <= seq {
		return r
	}
	left := i > 0 && r[i-1].Last+1 == seq
	right := i < len(r) && r[i].First == seq+1
	switch {
	case left && right:
		r[i-1].Last = r[i].Last
		return append(r[:i], r[i+1:]...)
	case left:
		r[i-1].Last = seq
	case right:
		r[i].First = seq
	default:
		r = append(r, Range{})
		copy(r[i+1:], r[i:])
		r[i] = Range{seq, seq}
	}
	return r
}

// Remove takes seq out of the set.
func (r Ranges) Remove(seq uint64) Ranges {
	i := r.at(seq)
	if i == len(r) || r[i].First > seq {
		return r
	}
	switch {
	case r[i].First == r[i].Last:
		return append(r[:i], r[i+1:]...)
	case r[i].First == seq:
		r[i].First++
	case r[i].Last == seq:
		r[i].Last--
	default:
		r = append(r, Range{})
		copy(r[i+1:], r[i:])
		r[i].Last, r[i+1].First = seq-1, seq+1
	}
	return r
}

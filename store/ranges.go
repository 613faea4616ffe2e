package store

import (
	"encoding/binary"
	"errors"
	"sort"
)

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

// Clone gives a set of its own memory.
func (r Ranges) Clone() Ranges { return append(Ranges(nil), r...) }

// Within gives what is in the set from first to last.
func (r Ranges) Within(first, last uint64) (out Ranges) {
	for i := r.at(first); i < len(r) && r[i].First <= last; i++ {
		out = append(out, Range{max(first, r[i].First), min(last, r[i].Last)})
	}
	return out
}

// Without gives what is in the set and not in another.
func (r Ranges) Without(o Ranges) (out Ranges) {
	for _, x := range r {
		for _, gone := range o.Within(x.First, x.Last) {
			if x.First < gone.First {
				out = append(out, Range{x.First, gone.First - 1})
			}
			x.First = gone.Last + 1
		}
		if x.First <= x.Last {
			out = append(out, x)
		}
	}
	return out
}

// With gives what is in either set.
func (r Ranges) With(o Ranges) (out Ranges) {
	for len(r)+len(o) > 0 {
		if len(r) == 0 || len(o) > 0 && o[0].First < r[0].First {
			r, o = o, r
		}
		x := r[0]
		r = r[1:]
		if n := len(out); n > 0 && x.First <= out[n-1].Last+1 {
			out[n-1].Last = max(out[n-1].Last, x.Last)
		} else {
			out = append(out, x)
		}
	}
	return out
}

// Cut takes out all that is greater than last.
func (r Ranges) Cut(last uint64) Ranges {
	for len(r) > 0 && r[len(r)-1].First > last {
		r = r[:len(r)-1]
	}
	if n := len(r); n > 0 && r[n-1].Last > last {
		r = r.Clone()
		r[n-1].Last = last
	}
	return r
}

// Count is how many sequence numbers are in the set.
func (r Ranges) Count() (n uint64) {
	for _, x := range r {
		n += x.Last - x.First + 1
	}
	return n
}

// Encode writes the set; ParseRanges reads it.
func (r Ranges) Encode() []byte {
	b, last := []byte{}, uint64(0)
	for _, x := range r {
		b = binary.AppendUvarint(b, x.First-last)
		b = binary.AppendUvarint(b, x.Last-x.First)
		last = x.Last
	}
	return b
}

// ParseRanges reads what Encode wrote.
func ParseRanges(b []byte) (r Ranges, err error) {
	last := uint64(0)
	for len(b) > 0 {
		skip, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, errRanges
		}
		more, m := binary.Uvarint(b[n:])
		if m <= 0 || skip == 0 || last+skip < last || last+skip+more < last {
			return nil, errRanges
		}
		x := Range{last + skip, last + skip + more}
		r, b, last = append(r, x), b[n+m:], x.Last
	}
	return r, nil
}

var errRanges = errors.New("ranges are cut or out of order")

package badger

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// sketch is a HyperLogLog of distinct objects. Writes to the index are blind,
// so nothing could count exactly; feeding twice does not change a sketch. Its
// error is about 1.6 %, much less for small counts.
type sketch [1 << sketchBits]byte

const sketchBits = 12

// add takes an object's key (its ID and member digests are uniform already) and
// reports whether the sketch changed.
func (s *sketch) add(objectKey []byte) bool {
	h := binary.BigEndian.Uint64(objectKey[1:9]) ^ bits.RotateLeft64(binary.BigEndian.Uint64(objectKey[17:25]), 29)
	slot, rest := h>>(64-sketchBits), h<<sketchBits|1<<(sketchBits-1)
	rank := byte(bits.LeadingZeros64(rest) + 1)
	if s[slot] >= rank {
		return false
	}
	s[slot] = rank
	return true
}

func (s *sketch) count() uint64 {
	const m = 1 << sketchBits
	sum, empty := 0.0, 0
	for _, rank := range s {
		sum += math.Ldexp(1, -int(rank))
		if rank == 0 {
			empty++
		}
	}
	estimate := 0.7213 / (1 + 1.079/m) * m * m / sum
	if estimate <= 2.5*m && empty > 0 {
		estimate = m * math.Log(float64(m)/float64(empty))
	}
	return uint64(math.Round(estimate))
}

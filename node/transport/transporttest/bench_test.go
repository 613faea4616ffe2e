package transporttest_test

import (
	"encoding/binary"
	"testing"

	"github.com/tipmesh/tipmesh/node/transport/transporttest"
)

// BenchmarkSpread is the time until the last of ten nodes has a message of
// 1.5 kB: the floor under every share.
func BenchmarkSpread(b *testing.B) {
	spread := transporttest.Spread(b, 10)
	msg := make([]byte, 1500)
	var i uint64
	for b.Loop() {
		i++
		binary.BigEndian.PutUint64(msg, i)
		spread(msg)
	}
}

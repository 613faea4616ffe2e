package replica

import (
	"bytes"
	"slices"
	"testing"

	"github.com/tipmesh/tipmesh/protocol"
)

// What was erased here is told as missing, and never asked for.
func TestErasedIsNotAskedFor(t *testing.T) {
	mine := FeedState{Head: 100, Missing: []uint64{5, 60, 70, 70}, Erased: []uint64{1, 2, 5, 20, 30, 59, 70, 90}}
	theirs := FeedState{Head: 90, Missing: []uint64{22, 25}}
	if got, want := slices.Collect(missing(&mine, &theirs)), []uint64{21, 26, 27, 28, 29, 60}; !slices.Equal(got, want) {
		t.Errorf("asks for %v, want %v", got, want)
	}
	if mine.Holds(7) {
		t.Error("what was erased is told as held")
	}
	told := mine
	told.Erased = nil
	if !bytes.Equal(protocol.Marshal(&mine), protocol.Marshal(&told)) {
		t.Error("what was erased travels apart")
	}
}

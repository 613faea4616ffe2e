package replica

import (
	"bytes"
	"slices"
	"testing"
	"time"

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

// Where more payloads are missing than can be told, what follows the headers is
// asked for all the same.
func TestFullOfHolesAsksOn(t *testing.T) {
	m, me, other := lying()
	id := feedOf("f1")
	for range 200 {
		me.write(id, 1, 10)
	}
	told := FeedState{Feed: id, Head: 300, HeadID: protocol.EntryID{1}}
	for i := range me.feeds[id] {
		if me.feeds[id][i].full = i%2 == 0; i%2 != 0 && len(told.Missing) < 2*MaxRanges {
			told.Missing = append(told.Missing, uint64(i+1), uint64(i+1))
		}
	}
	if s, _ := me.State(id); s.Head != 65 || s.Headers != 200 {
		t.Fatalf("told head %d of %d", s.Head, s.Headers)
	}
	m.Received(testTime, other, &Statements{})
	m.Received(testTime, other, &Vector{Feeds: []FeedState{told}})
	m.Tick(testTime.Add(time.Second))
	if get := m.peers[other].pending[0].msg.(*GetEntries); get.From != 201 {
		t.Errorf("asks from %d on", get.From)
	}
}

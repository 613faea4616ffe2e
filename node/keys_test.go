package node

import (
	"crypto/ed25519"
	"encoding/binary"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
	"github.com/tipmesh/tipmesh/protocol/seal"
	"github.com/tipmesh/tipmesh/store/memory"
)

// Large epochs of one maker, in letters of many, take no more room than it may
// have, and leave others theirs.
func TestEpochBytesAreBounded(t *testing.T) {
	mesh := protocol.MeshID{1}
	k, err := loadKeys(memory.New(), mesh)
	if err != nil {
		t.Fatal(err)
	}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	id, err := seal.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	readers := make([]protocol.MemberID, protocol.MaxReaders)
	for i := range readers {
		binary.BigEndian.PutUint64(readers[i][:], uint64(i+1))
	}
	number := uint64(0)
	epoch := func(maker byte) *protocol.Epoch {
		number++
		e := protocol.Epoch{Mesh: mesh, Audience: protocol.Everyone(mesh), Maker: protocol.MemberID{maker}, Readers: readers, Identity: id.String(), Time: 1}
		binary.BigEndian.PutUint64(e.State[:], number)
		made, err := e.Sign(key)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	size := len(epoch(1).Raw())
	held := 0
	for range maxEpochBytesOf/size/protocol.MaxGrantEpochs + 2 {
		var letter []*protocol.Epoch
		for range protocol.MaxGrantEpochs {
			if e := epoch(1); k.room(e, letter...) == nil {
				letter = append(letter, e)
			}
		}
		for _, e := range letter {
			if err := k.put(e); err != nil {
				t.Fatal(err)
			}
		}
		held += len(letter)
	}
	if want := maxEpochBytesOf / size; held != want {
		t.Errorf("%d epochs of %d bytes are kept of one maker, want %d", held, size, want)
	}
	if err := k.room(epoch(2)); err != nil {
		t.Errorf("another maker: %v", err)
	}
}

// A node that holds more than 4,096 epochs and states asks more seldom, in
// proportion to the marks in a request, up to as many as one has.
func TestAsksMoreSeldomWhereMuchIsHeld(t *testing.T) {
	book := &groupBook{states: map[protocol.Hash]*toldState{}}
	n := &Node{keys: &keys{byID: map[protocol.EpochID]*epoch{}}, groups: &groups{by: map[protocol.AudienceID]*groupBook{{}: book}}}
	for _, x := range []struct {
		epochs, states int
		within         time.Duration
	}{
		{0, 0, 5 * time.Minute},
		{4096, 0, 5 * time.Minute},
		{4000, 96, 5 * time.Minute},
		{4000, 97, 10 * time.Minute},
		{8192, 0, 10 * time.Minute},
		{8192, 1, 20 * time.Minute},
		{0, 16385, 40 * time.Minute},
		{16384, 100_000, 40 * time.Minute},
	} {
		clear(n.keys.byID)
		clear(book.states)
		for i := range x.epochs {
			n.keys.byID[protocol.EpochID(numbered(i))] = &epoch{}
		}
		for i := range x.states {
			book.states[numbered(i)] = &toldState{}
		}
		if got := n.askWithin(); got != x.within {
			t.Errorf("with %d epochs and %d states it asks within %v, want %v", x.epochs, x.states, got, x.within)
		}
	}
}

func numbered(i int) (h protocol.Hash) {
	binary.BigEndian.PutUint64(h[:], uint64(i))
	return h
}

// However much is held, a request has as many marks as one may have, and each in
// another salt.
func TestMarksOfARequestAreBounded(t *testing.T) {
	id := protocol.EpochID{1}
	n := &Node{keys: &keys{byID: map[protocol.EpochID]*epoch{id: {Epoch: &protocol.Epoch{}}}},
		groups: &groups{by: map[protocol.AudienceID]*groupBook{}}}
	var few, again replica.GetEpochs
	n.markHeld(&few)
	n.markHeld(&again)
	first := n.keys.byID[id].ID()
	mark := replica.MarkOf(few.Salt, protocol.Hash(first))
	if len(few.Held) != leastMarks*replica.MarkLen || !few.Marks()[mark] {
		t.Errorf("%d bytes of marks, of what is held %v", len(few.Held), few.Marks()[mark])
	}
	if again.Marks()[mark] {
		t.Error("two requests have the same mark of one epoch")
	}
	book := &groupBook{states: map[protocol.Hash]*toldState{}}
	n.groups.by[protocol.AudienceID{}] = book
	for i := range replica.MaxMarks + 1 {
		book.states[numbered(i)] = &toldState{}
	}
	var many replica.GetEpochs
	n.markHeld(&many)
	if len(many.Held) != replica.MaxMarks*replica.MarkLen {
		t.Errorf("%d marks, want %d", len(many.Held)/replica.MarkLen, replica.MaxMarks)
	}
}

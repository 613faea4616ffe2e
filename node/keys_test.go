package node

import (
	"crypto/ed25519"
	"encoding/binary"
	"testing"

	"github.com/tipmesh/tipmesh/protocol"
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

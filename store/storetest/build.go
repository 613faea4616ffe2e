package storetest

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"testing"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// Writer makes signed entries of one feed, the same for the same name.
type Writer struct {
	key  ed25519.PrivateKey
	salt protocol.Hash
	seq  uint64
	prev protocol.EntryID
}

// NewWriter gives the writer of a name.
func NewWriter(name string) *Writer {
	return &Writer{key: Key("node of " + name), salt: protocol.HashOf([]byte("feed of " + name))}
}

// Key gives the private key of a name.
func Key(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

// Mesh is the mesh of all test entries.
var Mesh = protocol.MeshID(protocol.HashOf([]byte("test mesh")))

// Feed is the writer's feed.
func (w *Writer) Feed() protocol.FeedID { return protocol.FeedOf(protocol.KeyOf(w.key), w.salt) }

// At is a place in the writer's feed.
func (w *Writer) At(seq uint64) store.Place { return store.Place{Feed: w.Feed(), Seq: seq} }

// Next makes the next entry.
func (w *Writer) Next(payload []byte) store.Entry {
	h := protocol.Header{
		Mesh: Mesh, Salt: w.salt, Seq: w.seq + 1, Prev: w.prev, Time: int64(w.seq), Kind: protocol.EntrySealed,
		Tag: protocol.Tag{1}, Payload: protocol.HashOf(payload), Size: uint64(len(payload)),
	}
	signed, err := h.Sign(w.key)
	if err != nil {
		panic(err) // the builder is wrong, not the store
	}
	w.seq, w.prev = signed.Seq, signed.ID()
	return store.Entry{Header: signed, Payload: payload}
}

// Fork gives a writer that goes on from here by itself.
func (w *Writer) Fork() *Writer {
	f := *w
	return &f
}

// Payload gives size bytes that depend on n.
func Payload(n uint64, size int) []byte {
	out := make([]byte, 0, size+32)
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, n))
	for len(out) < size {
		out = append(out, sum[:]...)
		binary.BigEndian.PutUint64(sum[:], binary.BigEndian.Uint64(sum[:])+1)
	}
	return out[:size]
}

// Header is an entry without its payload.
func Header(e store.Entry) store.Entry { return store.Entry{Header: e.Header} }

// Commit commits and fails the test where that fails.
func Commit(t testing.TB, s store.Store, c *store.Commit) uint64 {
	t.Helper()
	last, err := s.Commit(context.Background(), c)
	if err != nil {
		t.Fatalf("commit: %v", err)
	}
	return last
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

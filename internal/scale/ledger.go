package main

import (
	"crypto/ed25519"
	"encoding/binary"
	"slices"

	"github.com/tipmesh/tipmesh/protocol"
)

// ledger holds all that is ever written in a simulated mesh, once: nodes only note
// how much of it they have. Headers are real and signed; payloads are zeros of the
// real length.
type ledger struct {
	mesh   protocol.MeshID
	roster protocol.Hash
	feeds  []*feedLog // ascending
	index  map[protocol.FeedID]int
	of     map[[2]int]*feedLog // by node and kind
}

type feedLog struct {
	id      protocol.FeedID
	number  int // among the feeds
	key     ed25519.PrivateKey
	salt    protocol.Hash
	kind    protocol.EntryKind
	entries []*item
}

// item is an entry.
type item struct {
	feed    *feedLog
	seq     uint64
	raw     []byte
	id      protocol.EntryID
	payload []byte
	spread  *spread // of whom it has reached, where that is asked
}

func seedOf(what string, seed uint64, i int) []byte {
	b := binary.BigEndian.AppendUint64([]byte(what), seed)
	h := protocol.HashOf(binary.BigEndian.AppendUint64(b, uint64(i)))
	return h[:]
}

// newLedger has one feed of each kind for each key.
func newLedger(mesh protocol.MeshID, keys []ed25519.PrivateKey) *ledger {
	l := &ledger{mesh: mesh, index: map[protocol.FeedID]int{}, of: map[[2]int]*feedLog{}}
	for i, key := range keys {
		for _, kind := range []protocol.EntryKind{protocol.EntrySealed, protocol.EntryDirect} {
			f := &feedLog{key: key, kind: kind, salt: protocol.Hash(seedOf("salt", uint64(kind), i))}
			f.id = protocol.FeedOf(protocol.KeyOf(key), f.salt)
			l.feeds = append(l.feeds, f)
			l.of[[2]int{i, int(kind)}] = f
		}
	}
	slices.SortFunc(l.feeds, func(a, b *feedLog) int { return a.id.Compare(b.id) })
	for i, f := range l.feeds {
		f.number, l.index[f.id] = i, i
	}
	return l
}

// write appends an entry with a payload of a length to a feed.
func (l *ledger) write(f *feedLog, size int, at int64) *item {
	payload := make([]byte, size)
	h := protocol.Header{Mesh: l.mesh, Salt: f.salt, Seq: uint64(len(f.entries) + 1), Time: at, Roster: l.roster,
		Kind: f.kind, Payload: protocol.HashOf(payload), Size: uint64(size)}
	if f.kind == protocol.EntrySealed {
		h.Tag = protocol.Tag(f.salt[:16])
	}
	if n := len(f.entries); n > 0 {
		h.Prev = f.entries[n-1].id
	}
	signed := must(h.Sign(f.key))
	x := &item{feed: f, seq: h.Seq, raw: signed.Raw(), id: signed.ID(), payload: payload}
	f.entries = append(f.entries, x)
	return x
}

// must is for what only a fault in the simulation makes fail.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

package replica

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"sync"

	"github.com/tipmesh/tipmesh/protocol"
)

func keyOf(name string) protocol.Key {
	k := protocol.Key(protocol.HashOf([]byte("node " + name)))
	k[0] = name[0] // neighbours sort by their names
	return k
}

func feedOf(name string) protocol.FeedID {
	f := protocol.FeedID(protocol.HashOf([]byte("feed " + name)))
	f[0] = name[0]
	return f
}

// testStatements are statements of no meaning, made once.
var testStatements = sync.OnceValue(func() []*protocol.Statement {
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	var out []*protocol.Statement
	for i := range 24 {
		doc := &protocol.Approval{Subject: protocol.StatementID(protocol.HashOf([]byte{byte(i)}))}
		s, err := protocol.NewStatement(protocol.MeshID{1}, doc, int64(i), key)
		if err != nil {
			panic(err)
		}
		out = append(out, s)
	}
	return out
})

// testEntry stands for a signed header; it is its own encoding.
type testEntry struct {
	feed protocol.FeedID
	seq  uint64
	prev protocol.EntryID
	salt uint64
	size uint32 // of the payload
}

func (e testEntry) header() []byte {
	b := append([]byte(nil), e.feed[:]...)
	b = binary.BigEndian.AppendUint64(b, e.seq)
	b = append(b, e.prev[:]...)
	b = binary.BigEndian.AppendUint64(b, e.salt)
	return binary.BigEndian.AppendUint32(b, e.size)
}

// id is a hash that is no secure one: simulations make very many.
func (e testEntry) id() (id protocol.EntryID) {
	a, b := e.salt, e.seq<<32|uint64(e.size)
	for i := 0; i < 32; i += 8 {
		a = bits.RotateLeft64((a^binary.BigEndian.Uint64(e.feed[i:]))*0x9e3779b97f4a7c15, 29)
		b = bits.RotateLeft64((b^binary.BigEndian.Uint64(e.prev[i:]))*0xbf58476d1ce4e5b9, 31)
		a, b = a+b, b^a
	}
	binary.BigEndian.PutUint64(id[:], a*0x94d049bb133111eb)
	binary.BigEndian.PutUint64(id[8:], b)
	return id
}

func (e testEntry) payload() []byte {
	id := e.id()
	b := make([]byte, e.size)
	copy(b, id[:])
	return b
}

func (e testEntry) fits(data []byte) bool {
	id := e.id()
	return len(data) == int(e.size) && string(data[:min(32, len(data))]) == string(id[:min(32, len(data))])
}

func parseEntry(b []byte) (e testEntry, ok bool) {
	if len(b) != 84 {
		return e, false
	}
	e.feed, e.seq = protocol.FeedID(b[:32]), binary.BigEndian.Uint64(b[32:])
	e.prev, e.salt = protocol.EntryID(b[40:72]), binary.BigEndian.Uint64(b[72:])
	e.size = binary.BigEndian.Uint32(b[80:])
	return e, true
}

// held is an entry at home.
type held struct {
	testEntry
	full bool // the payload is held
	name protocol.EntryID
}

func newHeld(e testEntry, full bool) held { return held{testEntry: e, full: full, name: e.id()} }

// home is a View in memory and what the runtime does around the machine.
type home struct {
	key        protocol.Key
	feeds      map[protocol.FeedID][]held
	parked     map[protocol.FeedID]map[uint64]held
	direct     map[protocol.FeedID]bool
	limits     map[protocol.FeedID]uint64
	forked     map[protocol.FeedID]bool
	refused    map[protocol.FeedID]bool // their entries are not taken
	statements map[protocol.StatementID]*protocol.Statement
	unlinked   []protocol.Key
	addresses  []string
	unread     bool
	onFork     func(protocol.FeedID)

	vector, stated protocol.Hash // zero where they must be computed
	digests        []byte
}

var _ View = (*home)(nil)

func newHome(name string) *home {
	return &home{
		key: keyOf(name), feeds: map[protocol.FeedID][]held{}, parked: map[protocol.FeedID]map[uint64]held{},
		direct: map[protocol.FeedID]bool{}, limits: map[protocol.FeedID]uint64{}, forked: map[protocol.FeedID]bool{},
		refused: map[protocol.FeedID]bool{}, statements: map[protocol.StatementID]*protocol.Statement{},
	}
}

func (h *home) Greeting() Hello {
	if h.vector.IsZero() {
		h.vector = DigestStates(func(yield func(*FeedState) bool) {
			all, _ := h.States(protocol.FeedID{}, math.MaxInt)
			for i := range all {
				if !yield(&all[i]) {
					return
				}
			}
		})
	}
	h.StatementDigests()
	return Hello{
		Version: 1, Mesh: protocol.MeshID{1}, Statements: h.stated, Vector: h.vector,
		Addresses: h.addresses, Agent: "test", Unread: h.unread,
	}
}

func (h *home) StatementDigests() []byte {
	if h.stated.IsZero() {
		h.digests = make([]byte, Buckets*BucketDigest)
		var buckets [Buckets][]protocol.StatementID
		for id := range h.statements {
			buckets[id[0]] = append(buckets[id[0]], id)
		}
		for b, ids := range buckets {
			sum := DigestStatements(protocol.Sorted(ids))
			copy(h.digests[b*BucketDigest:], sum[:])
		}
		h.stated = protocol.HashOf(h.digests)
	}
	return h.digests
}

func (h *home) StatementsIn(bucket byte) (out []*protocol.Statement) {
	for id, s := range h.statements {
		if id[0] == bucket {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b *protocol.Statement) int { return a.ID().Compare(b.ID()) })
	return out
}

func (h *home) State(id protocol.FeedID) (FeedState, bool) {
	s := FeedState{Feed: id, Direct: h.direct[id]}
	list := h.feeds[id]
	if last, ok := h.limits[id]; ok && last < uint64(len(list)) {
		list = list[:last]
	}
	s.Headers = uint64(len(list))
	for i, e := range list {
		seq := uint64(i + 1)
		if e.full {
			continue
		}
		if n := len(s.Missing); n > 0 && s.Missing[n-1] == seq-1 {
			s.Missing[n-1] = seq
		} else if n == 2*MaxRanges {
			list = list[:i]
			break
		} else {
			s.Missing = append(s.Missing, seq, seq)
		}
	}
	if len(list) == 0 {
		return FeedState{Feed: id}, false
	}
	s.Head, s.HeadID = uint64(len(list)), list[len(list)-1].name
	return s, true
}

func (h *home) States(after protocol.FeedID, limit int) (out []FeedState, more bool) {
	var ids []protocol.FeedID
	for id := range h.feeds {
		if id.Compare(after) > 0 {
			ids = append(ids, id)
		}
	}
	for _, id := range protocol.Sorted(ids) {
		s, ok := h.State(id)
		if !ok {
			continue
		}
		if len(out) == limit {
			return out, true
		}
		out = append(out, s)
	}
	return out, false
}

func (h *home) Wanted(id protocol.FeedID) uint64 {
	wanted := uint64(math.MaxUint64)
	if last, ok := h.limits[id]; ok {
		wanted = last
	}
	if h.forked[id] {
		wanted = min(wanted, uint64(len(h.feeds[id])))
	}
	return wanted
}

func (h *home) Entries(id protocol.FeedID, from uint64, budget int) (out []Entry) {
	s, _ := h.State(id)
	size := 0
	for seq := from; seq <= s.Head; seq++ {
		e := h.feeds[id][seq-1]
		x := Entry{Header: e.header()}
		if e.full {
			x.Payload = e.payload()
		}
		if size += len(x.Header) + len(x.Payload); len(out) > 0 && (size > budget || len(out) == MaxEntries) {
			break
		}
		out = append(out, x)
	}
	return out
}

func (h *home) Gap(id protocol.FeedID, head uint64) (gap uint64) {
	for seq := range h.parked[id] {
		if seq > head+1 && (gap == 0 || seq-1 < gap) {
			gap = seq - 1
		}
	}
	return gap
}

func (h *home) Payload(id protocol.FeedID, seq uint64) []byte {
	if s, ok := h.State(id); !ok || !s.Holds(seq) {
		return nil
	}
	return h.feeds[id][seq-1].payload()
}

func (h *home) Unlinked() []protocol.Key { return h.unlinked }

func (h *home) AddressesOf(nodes []protocol.Key) (out []NodeAddresses) {
	for _, k := range nodes {
		out = append(out, NodeAddresses{Node: k, Addresses: []string{fmt.Sprintf("192.0.2.%d:4001", k[0])}})
	}
	return out
}

// write appends an entry of this node's own.
func (h *home) write(id protocol.FeedID, salt uint64, size uint32) testEntry {
	e := testEntry{feed: id, seq: uint64(len(h.feeds[id]) + 1), salt: salt, size: size}
	if e.seq > 1 {
		e.prev = h.feeds[id][e.seq-2].name
	}
	h.feeds[id] = append(h.feeds[id], newHeld(e, true))
	h.vector = protocol.Hash{}
	return e
}

// store takes what a neighbour answered, as the runtime does.
func (h *home) store(s Store) (usable, diverged, changed bool) {
	usable = !h.refused[s.Feed]
	for _, x := range s.Items {
		list := h.feeds[s.Feed]
		if x.Seq > uint64(len(list)) || !list[x.Seq-1].fits(x.Data) {
			usable = false
		} else if !list[x.Seq-1].full {
			list[x.Seq-1].full, changed = true, true
		}
	}
	if !usable && len(s.Items) == 0 {
		return false, false, false
	}
	for _, x := range s.Entries {
		e, ok := parseEntry(x.Header)
		if !ok || e.feed != s.Feed || e.seq == 0 {
			return false, diverged, changed
		}
		full := x.Payload != nil || e.size == 0
		if x.Payload != nil && !e.fits(x.Payload) {
			usable, full = false, false
		}
		h.put(newHeld(e, full), &changed)
	}
	diverged = h.follow(s.Feed, &changed)
	if changed {
		h.vector = protocol.Hash{}
	}
	return usable, diverged, changed
}

func (h *home) put(e held, changed *bool) {
	list := h.feeds[e.feed]
	switch {
	case e.seq > uint64(len(list)):
		if h.parked[e.feed] == nil {
			h.parked[e.feed] = map[uint64]held{}
		}
		if old, ok := h.parked[e.feed][e.seq]; !ok || e.full && !old.full {
			h.parked[e.feed][e.seq] = e
		}
	case list[e.seq-1].name != e.name:
		if h.onFork != nil {
			h.onFork(e.feed)
		}
	case e.full && !list[e.seq-1].full:
		list[e.seq-1].full, *changed = true, true
	}
}

func (h *home) follow(id protocol.FeedID, changed *bool) (diverged bool) {
	for {
		list := h.feeds[id]
		seq := uint64(len(list) + 1)
		e, ok := h.parked[id][seq]
		if !ok || seq > h.Wanted(id) {
			return false
		}
		delete(h.parked[id], seq)
		prev := protocol.EntryID{}
		if seq > 1 {
			prev = list[seq-2].name
		}
		if e.prev != prev {
			return true
		}
		h.feeds[id] = append(list, e)
		*changed = true
	}
}

// learn takes statements and reports whether any was new.
func (h *home) learn(raws [][]byte) (fresh bool) {
	for _, raw := range raws {
		for _, s := range testStatements() {
			if string(raw) == string(s.Raw()) && h.statements[s.ID()] == nil {
				h.statements[s.ID()] = s
				fresh = true
			}
		}
	}
	if fresh {
		h.stated = protocol.Hash{}
	}
	return fresh
}

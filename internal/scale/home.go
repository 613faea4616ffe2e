package main

import (
	"math"
	"slices"
	"sort"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
)

// home is what one node holds of the ledger, as the machine reads it.
type home struct {
	l         *ledger
	heads     []uint64
	missing   map[int][]uint64        // payloads up to the head that are not held, by feed
	parked    map[int]map[uint64]bool // entries past the head, and whether their payloads are held
	set       *stateSet
	addresses []string
	vector    protocol.Hash // zero where it must be computed
	now       func() int64
	got       func(*item) // a payload is held now
}

var _ replica.View = (*home)(nil)

func newHome(l *ledger, set *stateSet, now func() int64, got func(*item)) *home {
	return &home{l: l, set: set, now: now, got: got, heads: make([]uint64, len(l.feeds)), missing: map[int][]uint64{}, parked: map[int]map[uint64]bool{}}
}

func (h *home) Greeting() replica.Hello {
	if h.vector.IsZero() {
		h.vector = replica.DigestStates(func(yield func(*replica.FeedState) bool) {
			for i := range h.heads {
				if s, ok := h.state(i); ok && !yield(&s) {
					return
				}
			}
		})
	}
	return replica.Hello{Version: 1, Mesh: h.l.mesh, Time: h.now(), Statements: h.set.sum, Vector: h.vector,
		Addresses: h.addresses, Agent: "tipmesh/0.4.0"}
}

func (h *home) StatementDigests() []byte { return h.set.digests }

func (h *home) StatementsIn(bucket byte) []*protocol.Statement { return h.set.in(bucket) }

func (h *home) State(id protocol.FeedID) (replica.FeedState, bool) {
	return h.state(h.l.index[id])
}

func (h *home) state(feed int) (s replica.FeedState, ok bool) {
	f := h.l.feeds[feed]
	head := h.heads[feed]
	s = replica.FeedState{Feed: f.id, Headers: head}
	if head == 0 {
		return s, false
	}
	for _, seq := range h.missing[feed] {
		if n := len(s.Missing); n > 0 && s.Missing[n-1] == seq-1 {
			s.Missing[n-1] = seq
		} else if n == 2*replica.MaxRanges {
			head = seq - 1
			break
		} else {
			s.Missing = append(s.Missing, seq, seq)
		}
	}
	s.Head, s.HeadID, s.Direct = head, f.entries[head-1].id, f.kind == protocol.EntryDirect
	return s, true
}

func (h *home) States(after protocol.FeedID, limit int) (out []replica.FeedState, more bool) {
	from := sort.Search(len(h.l.feeds), func(i int) bool { return h.l.feeds[i].id.Compare(after) > 0 })
	for i := from; i < len(h.l.feeds); i++ {
		if s, ok := h.state(i); ok {
			if len(out) == limit {
				return out, true
			}
			out = append(out, s)
		}
	}
	return out, false
}

func (h *home) Wanted(protocol.FeedID) uint64 { return math.MaxUint64 }

func (h *home) Entries(id protocol.FeedID, from uint64, budget int) (out []replica.Entry) {
	feed, size := h.l.index[id], 0
	for seq := from; seq <= h.heads[feed]; seq++ {
		e := h.l.feeds[feed].entries[seq-1]
		x := replica.Entry{Header: e.raw}
		if !h.lacks(feed, seq) {
			x.Payload = e.payload
		}
		if size += len(x.Header) + len(x.Payload); len(out) > 0 && (size > budget || len(out) == replica.MaxEntries) {
			break
		}
		out = append(out, x)
	}
	return out
}

func (h *home) lacks(feed int, seq uint64) bool {
	_, lacks := slices.BinarySearch(h.missing[feed], seq)
	return lacks
}

func (h *home) Gap(id protocol.FeedID, head uint64) (gap uint64) {
	for seq := range h.parked[h.l.index[id]] {
		if seq > head+1 && (gap == 0 || seq-1 < gap) {
			gap = seq - 1
		}
	}
	return gap
}

func (h *home) Payload(id protocol.FeedID, seq uint64) []byte {
	feed := h.l.index[id]
	if seq == 0 || seq > h.heads[feed] || h.lacks(feed, seq) {
		return nil
	}
	return h.l.feeds[feed].entries[seq-1].payload
}

func (h *home) Unlinked() []protocol.Key { return nil }

func (h *home) AddressesOf([]protocol.Key) []replica.NodeAddresses { return nil }

// put takes an entry in, with or without its payload, and those parked behind it;
// it reports whether more is held than before.
func (h *home) put(x *item, full bool) (changed bool) {
	feed := x.feed.number
	switch head := h.heads[feed]; {
	case x.seq > head+1:
		if h.parked[feed] == nil {
			h.parked[feed] = map[uint64]bool{}
		}
		h.parked[feed][x.seq] = h.parked[feed][x.seq] || full
		return false
	case x.seq <= head && (!full || !h.lacks(feed, x.seq)):
		return false
	case x.seq <= head:
		list := h.missing[feed]
		at, _ := slices.BinarySearch(list, x.seq)
		h.missing[feed] = slices.Delete(list, at, at+1)
	default:
		h.heads[feed]++
		if !full {
			h.missing[feed] = append(h.missing[feed], x.seq)
		}
	}
	h.vector = protocol.Hash{}
	if full {
		h.got(x)
	}
	if full, ok := h.parked[feed][h.heads[feed]+1]; ok {
		delete(h.parked[feed], h.heads[feed]+1)
		h.put(x.feed.entries[h.heads[feed]], full)
	}
	return true
}

// store takes what a neighbour answered.
func (h *home) store(s replica.Store) (changed bool) {
	log := h.l.feeds[h.l.index[s.Feed]].entries
	for _, x := range s.Items {
		changed = h.put(log[x.Seq-1], true) || changed
	}
	for _, x := range s.Entries {
		e := log[must(protocol.ReadHeader(x.Header)).Seq-1]
		changed = h.put(e, x.Payload != nil) || changed
	}
	return changed
}

package replica

import (
	"crypto/sha256"
	"encoding/binary"
	"iter"

	"github.com/tipmesh/tipmesh/protocol"
)

// View is what the machine reads of the local store. Implementations are safe
// for concurrent use: Answer runs beside the machine.
type View interface {
	// Greeting is this node's hello at present, digests included.
	Greeting() Hello
	// StatementDigests are the buckets' digests, one after the other: see
	// DigestStatements.
	StatementDigests() []byte
	// StatementsIn gives the statements whose ID begins with the byte, in
	// ascending order of their IDs.
	StatementsIn(bucket byte) []*protocol.Statement
	// State is what is held of one feed, as told to others.
	State(feed protocol.FeedID) (FeedState, bool)
	// States gives at most limit states after a feed, ascending, and whether
	// there are more.
	States(after protocol.FeedID, limit int) ([]FeedState, bool)
	// Wanted is the last sequence number of a feed that this node would store:
	// less than what others may hold where the feed is cut or forked.
	Wanted(feed protocol.FeedID) uint64
	// Entries gives entries from a sequence number on, of at most budget bytes
	// in all but at least one, payloads included where held.
	Entries(feed protocol.FeedID, from uint64, budget int) []Entry
	// Unlinked names nodes of the roster that this one would like to be connected
	// to and is not, at most MaxAsked.
	Unlinked() []protocol.Key
	// AddressesOf gives what is known of where the nodes can be reached.
	AddressesOf(nodes []protocol.Key) []NodeAddresses
	// Gap is the last entry past a head that must be asked for before what is at
	// hand already can be stored; 0 where nothing is at hand.
	Gap(feed protocol.FeedID, head uint64) uint64
	// Payload gives one payload, or nil where it is not held.
	Payload(feed protocol.FeedID, seq uint64) []byte
}

// Answer answers a request from the view. It gives nil for messages that have no
// answer (Have) or that the caller must answer itself (GetEpochs).
func Answer(v View, request Message) Message {
	switch m := request.(type) {
	case *Hello:
		w := Welcome(v.Greeting())
		return &w
	case *GetStatements:
		return answerStatements(v, m)
	case *GetVector:
		return answerVector(v, m)
	case *GetEntries:
		list := v.Entries(m.Feed, m.From, int(m.Budget))
		if m.To != 0 && uint64(len(list)) > m.To-m.From+1 {
			list = list[:m.To-m.From+1]
		}
		return &Entries{Feed: m.Feed, From: m.From, Entries: list}
	case *GetPayloads:
		return answerPayloads(v, m)
	case *GetAddresses:
		return &Addresses{List: v.AddressesOf(m.Nodes)}
	}
	return nil
}

func answerStatements(v View, m *GetStatements) *Statements {
	mine := v.StatementDigests()
	out := &Statements{}
	size := 0
	for b := int(m.After[0]); b < Buckets; b++ {
		at := b * BucketDigest
		if string(mine[at:at+BucketDigest]) == string(m.Digests[at:at+BucketDigest]) {
			continue
		}
		for _, s := range v.StatementsIn(byte(b)) {
			if s.ID().Compare(m.After) <= 0 {
				continue
			}
			size += len(s.Raw())
			if len(out.Raw) > 0 && (size > MaxBudget || len(out.Raw) == MaxStatements) {
				return out
			}
			out.Raw = append(out.Raw, s.Raw())
			out.Next = s.ID()
		}
	}
	out.Next = protocol.StatementID{}
	return out
}

func answerVector(v View, m *GetVector) *Vector {
	out := &Vector{}
	if len(m.Digests) == 0 {
		out.Feeds, out.More = v.States(m.After, MaxFeeds)
		return out
	}
	out.Differ = make([]byte, Buckets/8)
	next := int(m.After[0])
	for list := range bucketsFrom(v, m.After[0]) {
		b := int(list[0].Feed[0])
		for ; next < b; next++ {
			out.differs(m, next, [BucketDigest]byte{})
		}
		next++
		if !out.differs(m, b, digestBucket(list)) {
			continue
		}
		for _, f := range list {
			if f.Feed.Compare(m.After) <= 0 {
				continue
			}
			if len(out.Feeds) == MaxFeeds {
				out.More = true
				return out
			}
			out.Feeds = append(out.Feeds, f)
		}
	}
	for ; next < Buckets; next++ {
		out.differs(m, next, [BucketDigest]byte{})
	}
	return out
}

// differs notes and reports whether a bucket's digest is not the asker's.
func (v *Vector) differs(m *GetVector, b int, digest [BucketDigest]byte) bool {
	if at := b * BucketDigest; string(digest[:]) == string(m.Digests[at:at+BucketDigest]) {
		return false
	}
	v.Differ[b/8] |= 0x80 >> (b % 8)
	return true
}

// bucketsFrom gives the states of each bucket that is not empty, from one on.
func bucketsFrom(v View, first byte) iter.Seq[[]FeedState] {
	var after protocol.FeedID // the last that is in no bucket asked for
	if first > 0 {
		after[0] = first - 1
		for i := range after[1:] {
			after[1+i] = 0xff
		}
	}
	return func(yield func([]FeedState) bool) {
		var list []FeedState
		for more := true; more; {
			var part []FeedState
			part, more = v.States(after, MaxFeeds)
			for i := range part {
				if len(list) > 0 && list[0].Feed[0] != part[i].Feed[0] {
					if !yield(list) {
						return
					}
					list = nil
				}
				list, after = append(list, part[i]), part[i].Feed
			}
		}
		if len(list) > 0 {
			yield(list)
		}
	}
}

func answerPayloads(v View, m *GetPayloads) *Payloads {
	out := &Payloads{Feed: m.Feed}
	size := 0
	for _, seq := range m.Seqs {
		data := v.Payload(m.Feed, seq)
		if data == nil {
			continue
		}
		size += len(data)
		if len(out.Items) > 0 && size > int(m.Budget) {
			break
		}
		out.Items = append(out.Items, Payload{Seq: seq, Data: data})
	}
	return out
}

// DigestStatements digests the ascending IDs of one bucket: the first
// BucketDigest bytes of SHA-256 over domain and IDs, zeros for an empty bucket.
func DigestStatements(ids []protocol.StatementID) [BucketDigest]byte {
	if len(ids) == 0 {
		return [BucketDigest]byte{}
	}
	parts := make([][]byte, len(ids))
	for i := range ids {
		parts[i] = ids[i][:]
	}
	sum := protocol.DomainDigest.Sum(parts...)
	return [BucketDigest]byte(sum[:BucketDigest])
}

// DigestStates digests a node's whole vector: SHA-256 over domain and the
// canonical bytes of each state, ascending by feed.
func DigestStates(each func(yield func(*FeedState) bool)) protocol.Hash {
	h := sha256.New()
	h.Write([]byte(protocol.DomainDigest))
	var buf []byte
	each(func(f *FeedState) bool {
		buf = appendState(buf[:0], f)
		h.Write(buf)
		return true
	})
	return protocol.Hash(h.Sum(nil))
}

// DigestBuckets digests a vector's buckets, one after the other: of each the first
// BucketDigest bytes of what DigestStates gives for its states, zeros where it is
// empty. The states are ascending by feed.
func DigestBuckets(states []FeedState) []byte {
	out := make([]byte, Buckets*BucketDigest)
	for len(states) > 0 {
		b, n := states[0].Feed[0], 1
		for n < len(states) && states[n].Feed[0] == b {
			n++
		}
		sum := digestBucket(states[:n])
		copy(out[int(b)*BucketDigest:], sum[:])
		states = states[n:]
	}
	return out
}

func digestBucket(states []FeedState) [BucketDigest]byte {
	sum := DigestStates(func(yield func(*FeedState) bool) {
		for i := range states {
			if !yield(&states[i]) {
				return
			}
		}
	})
	return [BucketDigest]byte(sum[:BucketDigest])
}

// appendState appends the canonical bytes of a state, as protocol.Marshal gives
// them: every change of any feed has all of them digested again, and the codec
// takes ten times as long.
func appendState(b []byte, f *FeedState) []byte {
	fields := uint64(3)
	if len(f.Missing) > 0 {
		fields++
	}
	if f.Direct {
		fields++
	}
	b = appendHead(b, 5, fields)
	b = append(append(b, 1, 0x58, 32), f.Feed[:]...)
	b = appendHead(append(b, 2), 0, f.Head)
	b = append(append(b, 3, 0x58, 32), f.HeadID[:]...)
	if len(f.Missing) > 0 {
		b = appendHead(append(b, 4), 4, uint64(len(f.Missing)))
		for _, seq := range f.Missing {
			b = appendHead(b, 0, seq)
		}
	}
	if f.Direct {
		b = append(b, 5, 0xf5)
	}
	return b
}

// appendHead appends the head of a CBOR item: its major type and its number.
func appendHead(b []byte, major byte, n uint64) []byte {
	major <<= 5
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n <= 0xff:
		return append(b, major|24, byte(n))
	case n <= 0xffff:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n <= 0xffffffff:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), n)
}

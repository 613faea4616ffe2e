package replica

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"testing"

	"github.com/tipmesh/tipmesh/protocol"
)

// samples are one message of every kind, and the least of some.
func samples() map[string]Message {
	f1 := FeedState{Feed: protocol.FeedID{1}, Head: 9, HeadID: protocol.EntryID{9}, Missing: []uint64{2, 3, 7, 7}}
	f2 := FeedState{Feed: protocol.FeedID{2}, Head: 1, HeadID: protocol.EntryID{1}, Direct: true}
	hello := &Hello{
		Version: 1, Mesh: protocol.MeshID{1}, Time: 1795341600000, Statements: protocol.Hash{2}, Vector: protocol.Hash{3},
		Addresses: []string{"192.0.2.1:4001", "[2001:db8::1]:4001"}, Agent: "tipmesh/1.0.0", Unread: true,
	}
	return map[string]Message{
		"hello": hello, "hello, least": &Hello{Version: 1}, "welcome": (*Welcome)(hello),
		"get statements":        &GetStatements{Digests: bytes.Repeat([]byte{7}, Buckets*BucketDigest)},
		"get statements, later": &GetStatements{Digests: make([]byte, Buckets*BucketDigest), After: protocol.StatementID{5}},
		"statements":            &Statements{Raw: [][]byte{testStatements()[0].Raw()}},
		"statements, more":      &Statements{Raw: [][]byte{testStatements()[0].Raw()}, Next: testStatements()[0].ID()},
		"get vector":            &GetVector{}, "get vector, later": &GetVector{After: f1.Feed},
		"get vector, by buckets": &GetVector{Digests: bytes.Repeat([]byte{7}, Buckets*BucketDigest)},
		"vector, by buckets":     &Vector{Feeds: []FeedState{f1, f2}, Differ: append([]byte{0x80}, make([]byte, Buckets/8-1)...)},
		"get entries, gap":       &GetEntries{Feed: f1.Feed, From: 4, Budget: MaxBudget, To: 5},
		"vector":                 &Vector{Feeds: []FeedState{f1, f2}, More: true}, "vector, empty": &Vector{},
		"get entries": &GetEntries{Feed: f1.Feed, From: 4, Budget: MaxBudget},
		"entries": &Entries{Feed: f1.Feed, From: 4, Entries: []Entry{
			{Header: []byte("a signed header"), Payload: []byte("its payload")}, {Header: []byte("another")}}},
		"get payloads": &GetPayloads{Feed: f1.Feed, Seqs: []uint64{2, 3, 7}, Budget: 65536},
		"payloads":     &Payloads{Feed: f1.Feed, Items: []Payload{{Seq: 2, Data: []byte("a payload")}, {Seq: 3, Data: []byte{}}}},
		"get epochs":   &GetEpochs{Salt: protocol.Hash{1}, Held: []byte{1, 2, 3, 4, 5, 6, 7, 8}}, "epochs": &Epochs{Sealed: []byte("a sealed grant")},
		"epochs, none": &Epochs{}, "have": &Have{Feeds: []FeedState{f1, f2}},
		"have, gone":    &Have{Feeds: []FeedState{{Feed: f1.Feed}}},
		"get addresses": &GetAddresses{Nodes: []protocol.Key{{1}, {2}}},
		"addresses":     &Addresses{List: []NodeAddresses{{Node: protocol.Key{1}, Addresses: []string{"192.0.2.1:4001"}}}},
	}
}

// invalid are messages that must be refused, by what is wrong with them.
func invalid() map[string]Message {
	state := func(change func(*FeedState)) *Have {
		f := FeedState{Feed: protocol.FeedID{1}, Head: 9, HeadID: protocol.EntryID{9}}
		change(&f)
		return &Have{Feeds: []FeedState{f}}
	}
	many := func(n int) (out []FeedState) {
		for i := range n {
			out = append(out, FeedState{Feed: protocol.FeedID{byte(i >> 8), byte(i)}, Head: 1, HeadID: protocol.EntryID{1}})
		}
		return out
	}
	entry := func(header, payload int) *Entries {
		return &Entries{Entries: []Entry{{Header: make([]byte, header), Payload: make([]byte, payload)}}}
	}
	list := func(n, length int) []string {
		out := make([]string, n)
		for i := range out {
			out[i] = string(bytes.Repeat([]byte("a"), length))
		}
		return out
	}
	return map[string]Message{
		"agent too long": &Hello{Agent: list(1, 65)[0]}, "too many addresses": &Welcome{Addresses: list(9, 1)},
		"address too long": &Hello{Addresses: list(1, 257)}, "too few digests": &GetStatements{Digests: make([]byte, 2047)},
		"too many statements":         &Statements{Raw: make([][]byte, MaxStatements+1)},
		"no statements, more to come": &Statements{Next: protocol.StatementID{1}},
		"statement too long":          &Statements{Raw: [][]byte{make([]byte, protocol.MaxStatement+1)}},
		"too many feeds":              &Vector{Feeds: many(MaxFeeds + 1)}, "no feeds, more to come": &Vector{More: true},
		"feeds out of order":        &Vector{Feeds: []FeedState{many(2)[1], many(2)[0]}},
		"one feed twice":            &Have{Feeds: []FeedState{many(1)[0], many(1)[0]}},
		"vector by too few digests": &GetVector{Digests: make([]byte, 2047)}, "vector by too few buckets": &Vector{Differ: make([]byte, 31)},
		"gap that ends before it begins": &GetEntries{From: 4, To: 3}, "gap without end": &GetEntries{From: 4, To: maxHead + 1},
		"vector of nothing": &Vector{Feeds: []FeedState{{Feed: protocol.FeedID{1}}}},
		"head too great":    state(func(f *FeedState) { f.Head = maxHead + 1 }),
		"head without ID":   state(func(f *FeedState) { f.HeadID = protocol.EntryID{} }),
		"ID without head":   state(func(f *FeedState) { f.Head = 0 }),
		"half a range":      state(func(f *FeedState) { f.Missing = []uint64{1} }),
		"range from 0":      state(func(f *FeedState) { f.Missing = []uint64{0, 1} }),
		"range backwards":   state(func(f *FeedState) { f.Missing = []uint64{3, 2} }),
		"range beyond head": state(func(f *FeedState) { f.Missing = []uint64{3, 10} }),
		"ranges overlap":    state(func(f *FeedState) { f.Missing = []uint64{3, 5, 5, 6} }),
		"too many ranges": state(func(f *FeedState) {
			f.Head = 1000
			for i := range uint64(MaxRanges + 1) {
				f.Missing = append(f.Missing, 3*i+1, 3*i+1)
			}
		}),
		"entries from 0": &GetEntries{Budget: 1}, "budget too great": &GetEntries{From: 1, Budget: MaxBudget + 1},
		"entries from beyond": &GetEntries{From: maxHead + 1}, "too many entries": &Entries{Entries: make([]Entry, MaxEntries+1)},
		"header too long": entry(protocol.MaxHeader+1, 0), "payload too long": entry(1, protocol.MaxPayload+1),
		"no payloads asked": &GetPayloads{}, "payloads out of order": &GetPayloads{Seqs: []uint64{2, 2}},
		"payload 0":             &GetPayloads{Seqs: []uint64{0}},
		"payload budget":        &GetPayloads{Seqs: []uint64{1}, Budget: MaxBudget + 1},
		"too many payloads":     &Payloads{Items: make([]Payload, MaxEntries+1)},
		"payload twice":         &Payloads{Items: []Payload{{Seq: 1, Data: []byte{}}, {Seq: 1, Data: []byte{}}}},
		"too many marks":        &GetEpochs{Held: make([]byte, (MaxMarks+1)*MarkLen)},
		"a part of a mark":      &GetEpochs{Held: make([]byte, MarkLen+1)},
		"too many nodes":        &GetAddresses{Nodes: make([]protocol.Key, MaxAsked+1)},
		"too many told":         &Addresses{List: make([]NodeAddresses, MaxAsked+1)},
		"too many of one":       &Addresses{List: []NodeAddresses{{Addresses: list(9, 1)}}},
		"told address too long": &Addresses{List: []NodeAddresses{{Addresses: list(1, 257)}}},
	}
}

func TestLimits(t *testing.T) {
	for name, m := range samples() {
		if _, err := Decode(Encode(m)[4:]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, m := range invalid() {
		if got, err := Decode(Encode(m)[4:]); !errors.Is(err, protocol.ErrMalformed) || got != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for _, frame := range [][]byte{nil, {}, {0}, {14}, {17, 0xa0}, {255}, {1}, {1, 0xf6}, {5, 0xa1, 1, 0xf6}} {
		if got, err := Decode(frame); !errors.Is(err, protocol.ErrMalformed) || got != nil {
			t.Errorf("frame %x: %v, %v", frame, got, err)
		}
	}
}

// TestAnswersFit checks that the greatest messages that a node sends can be read.
func TestAnswersFit(t *testing.T) {
	feeds := make([]FeedState, MaxFeeds)
	for i := range feeds {
		feeds[i] = FeedState{Feed: protocol.FeedID{byte(i >> 8), byte(i), 1}, Head: maxHead, HeadID: protocol.EntryID{1}}
		for j := range uint64(MaxRanges) {
			feeds[i].Missing = append(feeds[i].Missing, maxHead/2+2*j, maxHead/2+2*j)
		}
	}
	get := &GetPayloads{Budget: MaxBudget}
	for i := range uint64(MaxEntries) {
		get.Seqs = append(get.Seqs, maxHead/2+i)
	}
	for _, m := range []Message{&Have{Feeds: feeds}, get, &GetEpochs{Held: make([]byte, MaxMarks*MarkLen)}} {
		if frame := Encode(m); len(frame) > MaxRequest {
			t.Errorf("%T of %d bytes", m, len(frame))
		} else if _, err := Decode(frame[4:]); err != nil {
			t.Error(err)
		}
	}
	big := Entry{Header: make([]byte, protocol.MaxHeader), Payload: make([]byte, protocol.MaxPayload)}
	if n := len(Encode(&Entries{Entries: []Entry{big}})); n+MaxBudget > MaxFrame+8<<10 {
		t.Errorf("the greatest entry makes a frame of %d bytes", n)
	}
}

func FuzzDecode(f *testing.F) {
	for _, m := range samples() {
		f.Add(Encode(m)[4:])
	}
	for _, m := range invalid() {
		if frame := Encode(m)[4:]; len(frame) < 4096 {
			f.Add(frame)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Decode(data)
		if err != nil {
			if !errors.Is(err, protocol.ErrMalformed) || m != nil {
				t.Fatalf("refused with %v, %v", m, err)
			}
			return
		}
		if again := Encode(m)[4:]; !bytes.Equal(again, data) {
			t.Fatalf("taken, but made anew it is %x instead of %x", again, data)
		}
		Answer(newHome("alpha"), m)
	})
}

func FuzzDecodeGossip(f *testing.F) {
	f.Add(EncodeGossip(&Gossip{Entry: &Entry{Header: []byte("header"), Payload: []byte("payload")}}))
	f.Add(EncodeGossip(&Gossip{Entry: &Entry{Header: []byte("header")}}))
	f.Add(EncodeGossip(&Gossip{Statements: [][]byte{testStatements()[0].Raw()}}))
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, data []byte) {
		g, err := DecodeGossip(data)
		if err != nil {
			if !errors.Is(err, protocol.ErrMalformed) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		if again := EncodeGossip(g); !bytes.Equal(again, data) {
			t.Fatalf("taken, but made anew it is %x instead of %x", again, data)
		}
		if g.Entry != nil && len(g.Entry.Payload) > protocol.MaxInline {
			t.Fatal("a payload too large for gossip")
		}
	})
}

func FuzzReadFrame(f *testing.F) {
	f.Add(Encode(&GetVector{}))
	f.Add([]byte{0, 0, 0, 0})
	f.Add([]byte{255, 255, 255, 255, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		frame, err := ReadFrame(bytes.NewReader(data), MaxRequest)
		if err != nil {
			return
		}
		if n := binary.BigEndian.Uint32(data); int(n) != len(frame) || !bytes.Equal(frame, data[4:4+n]) {
			t.Fatalf("%x is read as %x", data, frame)
		}
	})
}

func TestReadFrame(t *testing.T) {
	frame := func(n, arrives int) []byte {
		return append(binary.BigEndian.AppendUint32(nil, uint32(n)), make([]byte, arrives)...)
	}
	for _, c := range []struct {
		name string
		data []byte
		want error
	}{
		{"whole", frame(100_000, 100_000), nil},
		{"at its limit", frame(MaxRequest, MaxRequest), nil},
		{"empty", frame(0, 0), protocol.ErrMalformed},
		{"over its limit", frame(MaxRequest+1, 100), protocol.ErrMalformed},
		{"hostile", frame(1<<32-1, 100), protocol.ErrMalformed},
		{"cut short", frame(1000, 999), io.ErrUnexpectedEOF},
		{"nothing follows", frame(1000, 0), io.EOF},
		{"nothing at all", nil, io.EOF},
		{"half a length", []byte{0, 0}, io.ErrUnexpectedEOF},
	} {
		if _, err := ReadFrame(bytes.NewReader(c.data), MaxRequest); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// TestReadFrameMemory checks that a length alone takes no memory.
func TestReadFrameMemory(t *testing.T) {
	data := append(binary.BigEndian.AppendUint32(nil, MaxFrame), make([]byte, 1000)...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const times = 100
	for range times {
		if _, err := ReadFrame(bytes.NewReader(data), MaxFrame); err == nil {
			t.Fatal("a frame that did not arrive was read")
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / times; each > 256<<10 {
		t.Errorf("a length of 6 MiB takes %d bytes", each)
	}
}

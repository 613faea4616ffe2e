package nodetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/node/transport"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
)

// A member that opens streams and lets them hang, half a frame written, and that
// answers nothing, gets as many as one may have; they end by themselves.
func TestHostileSlowStreams(t *testing.T) {
	amid(t, 3, 430, func(t *testing.T, l *liar) {
		l.mu.Lock()
		l.lie = func(protocol.Key, replica.Message, replica.Message) replica.Message { return nil }
		l.mu.Unlock()
		time.Sleep(time.Minute)
		before := runtime.NumGoroutine()
		const tries = 40
		ended := make(chan struct{}, tries)
		for range tries {
			s := l.stream(0)
			go func() {
				_, err := s.Write([]byte{0, 15, 0, 0, 1}) // a frame of 983,040 bytes begins
				if err == nil {
					_, err = s.Read(make([]byte, 1))
				}
				ignoreErr(err)
				ended <- struct{}{}
			}()
		}
		time.Sleep(10 * time.Second)
		if n := len(ended); n != tries-transport.MaxStreams {
			t.Errorf("%d of %d streams were refused", n, tries)
		}
		if n := runtime.NumGoroutine() - before; n > 60 {
			t.Errorf("%d goroutines more", n)
		}
		time.Sleep(6 * time.Minute)
		if n := len(ended); n != tries {
			t.Errorf("%d streams still hang", tries-n)
		}
		l.unharmed(0, 1)
	})
}

// Frames that are too long, empty, of no known message, or without bottom end
// their stream at once and take no memory.
func TestHostileFrames(t *testing.T) {
	amid(t, 3, 431, func(t *testing.T, l *liar) {
		before := heap()
		frame := func(n uint32, body ...byte) []byte { return append(binary.BigEndian.AppendUint32(nil, n), body...) }
		deep := bytes.Repeat([]byte{0x81}, 1<<16)
		for i, f := range [][]byte{
			frame(0), frame(1<<32 - 1), frame(replica.MaxRequest + 1), frame(1, 255),
			frame(uint32(len(deep)+1), append([]byte{byte(replica.TypeHello)}, deep...)...),
			frame(10, byte(replica.TypeHave), 0x9b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
			replica.Encode(&replica.Vector{}), // an answer on the asking side
			replica.Encode(&replica.Hello{Version: 9, Mesh: l.ID}),
			replica.Encode(&replica.Hello{Version: protocol.Version}),
		} {
			s := l.stream(0)
			_, err := s.Write(f)
			l.must(err)
			l.must(s.SetReadDeadline(time.Now().Add(5 * time.Second)))
			if n, err := io.Copy(io.Discard, s); n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("frame %d is answered with %d bytes, %v", i, n, err)
			}
			ignoreErr(s.Reset())
			time.Sleep(time.Second)
		}
		if grown := int64(heap()) - int64(before); grown > 4<<20 {
			t.Errorf("%d bytes more", grown)
		}
		if n := l.refused(0, node.ReasonMalformed); n < 6 {
			t.Errorf("%d refusals counted", n)
		}
		l.unharmed(0, 1)
	})
}

// A flood of sync requests whose answers nobody reads, on as many streams as one
// may have, holds nobody else up.
func TestHostileRequests(t *testing.T) {
	amid(t, 3, 432, func(t *testing.T, l *liar) {
		before, routines := heap(), runtime.NumGoroutine()
		asks := [][]byte{
			replica.Encode(&replica.GetStatements{Digests: make([]byte, replica.Buckets*replica.BucketDigest)}),
			replica.Encode(&replica.GetVector{}),
			replica.Encode(&replica.GetEpochs{}),
			replica.Encode(&replica.GetEntries{Feed: l.acked[0].Places[0].Feed, From: 1, Budget: replica.MaxBudget}),
		}
		for i := range transport.MaxStreams {
			s := l.stream(0)
			go func() {
				for range 2000 {
					if _, err := s.Write(asks[i%len(asks)]); err != nil {
						return
					}
				}
			}()
		}
		time.Sleep(5 * time.Second)
		for i := range 5 {
			l.must(l.Share(i%2, fmt.Sprintf("meanwhile-%d.com", i)))
		}
		time.Sleep(10 * time.Second)
		for i := range 5 {
			if !l.Reads(0, i%2, fmt.Sprintf("meanwhile-%d.com", i)) || !l.Reads(1, i%2, fmt.Sprintf("meanwhile-%d.com", i)) {
				t.Error("a share of meanwhile has not arrived")
			}
		}
		if grown := int64(heap()) - int64(before); grown > 64<<20 {
			t.Errorf("%d bytes more", grown)
		}
		if n := runtime.NumGoroutine() - routines; n > 60 {
			t.Errorf("%d goroutines more", n)
		}
		l.unharmed(0, 1)
	})
}

// A flood of gossip, of nonsense and of entries far ahead of anything, is refused
// or forgotten.
func TestHostileGossip(t *testing.T) {
	amid(t, 3, 433, func(t *testing.T, l *liar) {
		before := heap()
		payload := make([]byte, 1024)
		for i := range 1000 {
			ahead := l.entry(i%8, nil, payload, func(h *protocol.Header) { h.Seq, h.Prev = uint64(2+i/8), protocol.EntryID{1} })
			for _, msg := range [][]byte{
				binary.BigEndian.AppendUint64([]byte("nonsense"), uint64(i)),
				replica.EncodeGossip(&replica.Gossip{Statements: [][]byte{binary.BigEndian.AppendUint64(nil, uint64(i))}}),
				replica.EncodeGossip(&replica.Gossip{Entry: &replica.Entry{Header: ahead.h.Raw(), Payload: payload}}),
			} {
				l.must(l.tr.Publish(msg))
			}
			if i%100 == 0 {
				time.Sleep(100 * time.Millisecond)
			}
		}
		if err := l.tr.Publish(make([]byte, transport.MaxMessage+1)); err == nil {
			t.Error("an oversized message goes out")
		}
		l.must(l.Share(0, "meanwhile.com"))
		time.Sleep(10 * time.Second)
		if !l.Reads(1, 0, "meanwhile.com") {
			t.Error("a share of meanwhile has not arrived")
		}
		for j := range 2 {
			if n := l.refused(j, node.ReasonMalformed); n < 1000 {
				t.Errorf("node %d refused %d messages", j, n)
			}
			if n := l.feedsOf(j, 2); n > 2 { // what its node wrote before
				t.Errorf("node %d holds %d feeds of the liar", j, n)
			}
		}
		if grown := int64(heap()) - int64(before); grown > 32<<20 {
			t.Errorf("%d bytes more", grown)
		}
		l.unharmed(0, 1)
	})
}

// Hellos of far-off times, and a neighbour that tells of thousands of feeds that
// do not exist, change nothing for others. More feeds than these three thousand
// cost the sync machine time that grows with their square.
func TestHostileBoasting(t *testing.T) {
	amid(t, 3, 434, func(t *testing.T, l *liar) {
		l.mu.Lock()
		l.lie = func(_ protocol.Key, _, a replica.Message) replica.Message {
			if w, ok := a.(*replica.Welcome); ok {
				w.Time, w.Vector, w.Statements = -forever-1, protocol.Hash{byte(time.Now().UnixNano())}, protocol.Hash{1}
			}
			return a
		}
		l.mu.Unlock()
		before := heap()
		s := l.stream(0)
		_, err := s.Write(replica.Encode(&replica.Hello{Version: protocol.Version, Mesh: l.ID, Time: forever}))
		l.must(err)
		for page := range 3 {
			have := &replica.Have{}
			for i := range replica.MaxFeeds {
				have.Feeds = append(have.Feeds, replica.FeedState{Feed: protocol.FeedID{byte(page), byte(i >> 8), byte(i)}, Head: 7, HeadID: protocol.EntryID{1}})
			}
			_, err := s.Write(replica.Encode(have))
			l.must(err)
		}
		time.Sleep(20 * time.Second)
		if grown := int64(heap()) - int64(before); grown > 64<<20 {
			t.Errorf("%d bytes more", grown)
		}
		l.unharmed(0, 1)
	})
}

// A neighbour that is told of a removal and hides it delays nobody who has one
// honest neighbour; nothing written once it is seen is for who was removed.
func TestHostileHidesRemoval(t *testing.T) {
	amid(t, 4, 440, func(t *testing.T, l *liar) {
		l.Net.Partition([]int{0}, []int{1, 2, 3})
		time.Sleep(time.Minute)
		l.Remove(2)
		time.Sleep(2 * time.Minute)
		if l.sees(1, 2) {
			t.Fatal("the removal went through the partition")
		}
		l.Net.Heal()
		began := time.Now()
		for !l.sees(1, 2) && time.Since(began) < 5*time.Minute {
			time.Sleep(time.Second)
		}
		if d := time.Since(began); d > 2*time.Minute {
			t.Errorf("node 1 learns of the removal after %v", d)
		}
		l.must(l.Share(1, "after-it-was-seen.com"))
		time.Sleep(time.Minute)
		a := l.acked[len(l.acked)-1]
		if l.opens(1, a.Places[0], l.identities(2)) {
			t.Error("the removed member can read what was written afterwards")
		}
		l.unharmed(0, 1)
	})
}

// A newcomer that reaches a liar alone learns nothing wrong; with one honest
// neighbour it gets everything.
func TestHostileEclipse(t *testing.T) {
	amid(t, 4, 441, func(t *testing.T, l *liar) {
		l.must(l.Share(1, "history.com"))
		n := l.late()
		l.admitted(n)
		time.Sleep(5 * time.Second)
		l.tr.Allow([]protocol.Key{l.nodeOf(0), l.nodeOf(1), l.nodeOf(2), l.nodeOf(n)})
		l.Net.Partition([]int{0, 1, 2}, []int{3, n})
		l.Start(n)
		time.Sleep(3 * time.Minute)
		if l.Reads(n, 1, "history.com") || len(l.Members[n].Store.Feeds()) > 0 {
			t.Fatal("the newcomer reaches others: the test is blind")
		}
		if l.times(replica.TypeHello) == 0 {
			t.Fatal("the newcomer does not reach the liar: the test is blind")
		}
		l.Net.Heal()
		l.Net.Partition([]int{1, 2}, []int{0, 3, n}) // one honest neighbour
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
		defer cancel()
		began := time.Now()
		for !l.Reads(n, 1, "history.com") && ctx.Err() == nil {
			time.Sleep(time.Second)
		}
		if ctx.Err() != nil {
			t.Fatal("the newcomer does not get the history")
		}
		t.Logf("after %v", time.Since(began))
		l.Net.Heal()
		time.Sleep(2 * time.Minute)
		l.unharmed(0, 1, 2, n)
	})
}

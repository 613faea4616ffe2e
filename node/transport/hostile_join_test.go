package transport

import (
	"bytes"
	"context"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"

	"github.com/tipmesh/tipmesh/node"
)

// Many strangers at once connect to the join host again and again, and say
// nothing, open streams and let them hang, or send a megabyte of garbage. It
// serves as many at a time as it has places for, and a true joiner gets in.
func TestHostileJoinFlood(t *testing.T) {
	var serving, most, served atomic.Int64
	j, err := ListenJoin(JoinConfig{Listen: []string{"127.0.0.1:0"}, Serve: func(s node.Stream) {
		served.Add(1)
		now := serving.Add(1)
		defer serving.Add(-1)
		for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
		}
		s.SetReadDeadline(time.Now().Add(time.Second))
		first := make([]byte, 4)
		if _, err := io.ReadFull(s, first); err == nil && string(first) == "card" {
			s.Write([]byte("in"))
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	target, err := peerOf(j.Key())
	if err != nil {
		t.Fatal(err)
	}
	forms, err := multiaddrs(j.Addresses()[0])
	if err != nil {
		t.Fatal(err)
	}
	var hosts []host.Host
	for range joinConns + 8 {
		h := plainHost(t)
		h.Peerstore().AddAddrs(target, forms, peerstore.PermanentAddrTTL)
		hosts = append(hosts, h)
	}
	routines, before := runtime.NumGoroutine(), liveHeap()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var flood sync.WaitGroup
	defer flood.Wait()
	defer cancel()
	garbage := bytes.Repeat([]byte{0xff}, 1<<20)
	for i, h := range hosts {
		flood.Go(func() {
			for ctx.Err() == nil {
				if i%4 == 0 {
					h.Connect(ctx, peer.AddrInfo{ID: target, Addrs: forms}) // and nothing more
				} else if s, err := h.NewStream(ctx, target, JoinProtocol); err == nil {
					s.SetWriteDeadline(time.Now().Add(time.Second))
					if i%4 == 1 {
						s.Write(garbage)
					} else {
						s.Write([]byte("c"))
					}
					s.SetReadDeadline(time.Now().Add(2 * time.Second))
					s.Read(make([]byte, 1))
					s.Reset()
				}
				select {
				case <-ctx.Done():
				case <-time.After(20 * time.Millisecond):
				}
			}
		})
	}
	eventually(t, "the flood", func() bool { return served.Load() > joinConns })
	peak := runtime.NumGoroutine() - routines
	eventually(t, "the true joiner's turn", func() bool {
		short, done := context.WithTimeout(ctx, 2*time.Second)
		defer done()
		s, err := DialJoin(short, j.Key(), j.Addresses(), nil)
		if err != nil {
			return false
		}
		defer s.Reset()
		s.SetReadDeadline(time.Now().Add(2 * time.Second))
		if _, err := s.Write([]byte("card")); err != nil {
			return false
		}
		in := make([]byte, 2)
		_, err = io.ReadFull(s, in)
		return err == nil && string(in) == "in"
	})
	peak = max(peak, runtime.NumGoroutine()-routines)
	grown := liveHeap() - before
	t.Logf("%d served, %d at a time, %d goroutines and %d bytes more, strangers' included", served.Load(), most.Load(), peak, grown)
	if most.Load() > joinConns {
		t.Errorf("%d served at a time", most.Load())
	}
	if peak > 40*(joinConns+len(hosts)) {
		t.Errorf("%d goroutines more", peak)
	}
	if grown > 64<<20 {
		t.Errorf("%d bytes more", grown)
	}
}

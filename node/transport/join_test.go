package transport

import (
	"bytes"
	"context"
	"io"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	core "github.com/libp2p/go-libp2p/core/protocol"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
)

func TestJoin(t *testing.T) {
	got := make(chan []byte, 1)
	j, err := ListenJoin(JoinConfig{Listen: []string{"127.0.0.1:0"}, Serve: func(s node.Stream) {
		s.SetReadDeadline(time.Now().Add(wait))
		data, _ := io.ReadAll(s)
		got <- data
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	// More than a window of bytes, written just before closing: all arrive.
	want := bytes.Repeat([]byte("card"), 1<<18)
	for range 3 {
		s, err := DialJoin(ctx, j.Key(), append([]string{"127.0.0.1:1", "no address"}, j.Addresses()...), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write(want); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if data := next(t, "the card", got); !bytes.Equal(data, want) {
			t.Fatalf("%d of %d bytes arrived", len(data), len(want))
		}
	}
	if _, err := DialJoin(ctx, protocol.Key{1}, j.Addresses(), nil); err == nil {
		t.Error("another key answered")
	}
}

func TestJoinHostSpeaksOnlyJoin(t *testing.T) {
	release := make(chan struct{})
	j, err := ListenJoin(JoinConfig{Listen: []string{"127.0.0.1:0"}, Serve: func(s node.Stream) {
		s.Write([]byte("."))
		<-release
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	h := plainHost(t)
	target, _ := peerOf(j.Key())
	forms, _ := multiaddrs(j.Addresses()[0])
	h.Peerstore().AddAddrs(target, forms, peerstore.PermanentAddrTTL)
	if err := h.Connect(ctx, peer.AddrInfo{ID: target}); err != nil {
		t.Fatal(err)
	}
	protocols, _ := h.Peerstore().GetProtocols(target)
	for _, p := range protocols {
		if p != JoinProtocol && p != "/ipfs/id/1.0.0" && p != "/ipfs/id/push/1.0.0" {
			t.Errorf("the join host speaks %s", p)
		}
	}
	if s, err := h.NewStream(ctx, target, core.ID(SyncProtocol)); err == nil {
		s.Reset()
		t.Error("the join host speaks sync")
	}
	h.Close()
	// So many joiners fill it; one more waits for a place.
	var open []node.Stream
	for range joinConns {
		eventually(t, "a place", func() bool {
			s, err := DialJoin(ctx, j.Key(), j.Addresses(), nil)
			if err == nil {
				open = append(open, s)
			}
			return err == nil
		})
	}
	short, cancelShort := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancelShort()
	if s, err := DialJoin(short, j.Key(), j.Addresses(), nil); err == nil {
		s.Write([]byte("."))
		s.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		if _, err := s.Read(make([]byte, 1)); err == nil {
			t.Error("one joiner too many was served")
		}
		s.Reset()
	}
	close(release)
	for _, s := range open {
		s.Reset()
	}
}

package transport

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peerstore"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
)

// JoinProtocol names the streams of the join host.
const JoinProtocol = "/tipmesh/join/1"

const (
	joinConns  = 32               // connections to the join host at a time,
	joinOfAddr = 8                // and from one address
	joinIdle   = 10 * time.Second // before a connection without a stream is closed
	joinLinger = 5 * time.Second  // for the last bytes of a stream to arrive
)

// JoinConfig says where a join host listens and who serves it.
type JoinConfig struct {
	Key    ed25519.PrivateKey // a fresh one if nil
	Listen []string           // host:port, as in Config
	Serve  func(node.Stream)  // handles one joiner; called on a goroutine each
	Log    *slog.Logger       // nothing is logged if nil
}

// JoinHost is a short-lived host that anyone may reach. It has a key of its own
// and shares nothing with the node.
type JoinHost struct {
	host host.Host
	key  protocol.Key

	mu     sync.Mutex
	timers map[network.Conn]*time.Timer
	closed bool
	calls  sync.WaitGroup
}

// strangerHost makes a host that talks to strangers, with a fresh key if none is
// given.
func strangerHost(priv ed25519.PrivateKey) (host.Host, protocol.Key, error) {
	if priv == nil {
		var err error
		if _, priv, err = ed25519.GenerateKey(rand.Reader); err != nil {
			return nil, protocol.Key{}, fmt.Errorf("make key: %w", err)
		}
	}
	key, pub, err := identity(priv)
	if err != nil {
		return nil, pub, err
	}
	h, err := newHost(key, nil, joinBounds(), nil)
	if err != nil {
		return nil, pub, fmt.Errorf("build host: %w", err)
	}
	return h, pub, nil
}

// ListenJoin starts a join host.
func ListenJoin(cfg JoinConfig) (*JoinHost, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	h, key, err := strangerHost(cfg.Key)
	if err != nil {
		return nil, err
	}
	j := &JoinHost{host: h, key: key, timers: map[network.Conn]*time.Timer{}}
	h.Network().Notify(&network.NotifyBundle{
		ConnectedF:    func(_ network.Network, c network.Conn) { j.connected(c) },
		DisconnectedF: func(_ network.Network, c network.Conn) { j.busy(c) },
	})
	h.SetStreamHandler(JoinProtocol, func(s network.Stream) {
		if !j.enter() {
			s.Reset()
			return
		}
		defer j.calls.Done()
		j.busy(s.Conn())
		cfg.Log.Debug("joiner connected", "peer", s.Conn().RemotePeer().String())
		cfg.Serve(s)
		finish(s)
		// One stream is all a joiner needs; the place is for the next.
		s.Conn().Close()
	})
	if _, err := listenOn(h, cfg.Listen, false); err != nil {
		j.Close()
		return nil, err
	}
	return j, nil
}

func (j *JoinHost) enter() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return false
	}
	j.calls.Add(1)
	return true
}

// connected gives a connection its time to open a stream.
func (j *JoinHost) connected(c network.Conn) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.closed {
		j.timers[c] = time.AfterFunc(joinIdle, func() { c.Close() })
	}
}

// busy ends the wait for a stream.
func (j *JoinHost) busy(c network.Conn) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if timer := j.timers[c]; timer != nil {
		timer.Stop()
		delete(j.timers, c)
	}
}

// Key is the key that a ticket names.
func (j *JoinHost) Key() protocol.Key { return j.key }

// Addresses are the host:port pairs at which joiners may reach the host.
func (j *JoinHost) Addresses() []string { return addressesOf(j.host) }

// Close ends all connections and waits until Serve has returned everywhere.
func (j *JoinHost) Close() error {
	j.mu.Lock()
	j.closed = true
	for _, timer := range j.timers {
		timer.Stop()
	}
	j.mu.Unlock()
	err := j.host.Close()
	j.calls.Wait()
	return err
}

// finish ends a stream so that what was written arrives: closing a connection
// drops whatever the other side has not read yet.
func finish(s network.Stream) {
	if s.CloseWrite() == nil {
		s.SetReadDeadline(time.Now().Add(joinLinger))
		io.Copy(io.Discard, io.LimitReader(s, 1<<20))
	}
	s.Close()
}

// joinStream is the joiner's end; the host lives as long as the stream.
type joinStream struct {
	network.Stream
	host host.Host
	once sync.Once
}

// Close ends the stream, and the host with it.
func (s *joinStream) Close() (err error) {
	s.once.Do(func() {
		finish(s.Stream)
		err = s.host.Close()
	})
	return err
}

// Reset ends the stream at once, and the host with it.
func (s *joinStream) Reset() (err error) {
	s.once.Do(func() {
		s.Stream.Reset()
		err = s.host.Close()
	})
	return err
}

// DialJoin opens a stream to a join host, from a temporary host with a new key,
// by QUIC and TCP at every address. Closing the stream closes that host.
func DialJoin(ctx context.Context, key protocol.Key, addresses []string, log *slog.Logger) (node.Stream, error) {
	p, err := peerOf(key)
	if err != nil {
		return nil, err
	}
	addrs := dialAddrs(addresses, false)
	if len(addrs) == 0 {
		return nil, errors.New("dial join host: no usable address")
	}
	h, _, err := strangerHost(nil)
	if err != nil {
		return nil, err
	}
	h.Peerstore().AddAddrs(p, addrs, peerstore.TempAddrTTL)
	s, err := h.NewStream(ctx, p, JoinProtocol)
	if err != nil {
		h.Close()
		return nil, fmt.Errorf("dial join host: %w", err)
	}
	if log != nil {
		log.Debug("join host reached", "peer", p.String())
	}
	return &joinStream{Stream: s, host: h}, nil
}

package demo

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/node/transport"
	"github.com/tipmesh/tipmesh/protocol"
)

// watcher notes whatever a stranger is given.
type watcher struct{ got chan string }

func (w *watcher) note(what string) {
	select {
	case w.got <- what:
	default:
	}
}

func (w *watcher) Up(protocol.Key)   { w.note("a connection") }
func (w *watcher) Down(protocol.Key) {}
func (w *watcher) Serve(_ protocol.Key, s node.Stream) {
	w.note("a stream")
	if err := s.Reset(); err != nil {
		w.note("a stream that does not end")
	}
}

func (w *watcher) Gossip(protocol.Key, []byte) node.Verdict {
	w.note("gossip")
	return node.Ignore
}

// strangers lets a node of another mesh, and one of none, try to connect.
func (s *story) strangers(ctx context.Context, target *member) error {
	key := target.home.Node.Key()
	addresses := target.home.Addresses()
	for _, x := range []struct {
		text string
		mesh protocol.MeshID
	}{{"a node of another mesh", protocol.MeshID(protocol.HashOf([]byte("another mesh")))}, {"a node without a mesh", protocol.MeshID{}},
		{"a node that names this mesh", target.home.Mesh}} {
		given, err := knock(ctx, x.mesh, key, addresses)
		if err != nil {
			return err
		}
		if err := s.tell(ctx, fact{member: "stranger", what: "stranger", text: x.text + " knocks at " + target.handle, right: "given: " + given,
			ok: given == "nothing", facts: map[string]any{"given": given}}); err != nil {
			return err
		}
	}
	return nil
}

// knock connects with a fresh key, and says what a stranger is given.
func knock(ctx context.Context, mesh protocol.MeshID, target protocol.Key, addresses []string) (given string, err error) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return "", fmt.Errorf("make key: %w", err)
	}
	t, err := transport.New(transport.Config{Key: key, Mesh: mesh, Listen: []string{loopback}})
	if err != nil {
		return "", err
	}
	w := &watcher{got: make(chan string, 16)}
	defer func() { err = errors.Join(err, t.Close()) }()
	if err := t.Start(w); err != nil {
		return "", err
	}
	t.Allow([]protocol.Key{target})
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if t.Connect(ctx, target, addresses) == nil {
		if st, err := t.Open(ctx, target); err == nil {
			if told := listen(st); told > 0 {
				w.note(fmt.Sprintf("%d bytes", told))
			}
		}
	}
	select {
	case what := <-w.got:
		return what, nil
	case <-time.After(500 * time.Millisecond):
		return "nothing", ctx.Err()
	}
}

// listen counts what a stream tells.
func listen(s node.Stream) int {
	if s.SetReadDeadline(time.Now().Add(time.Second)) != nil {
		return 0
	}
	n, err := io.Copy(io.Discard, io.LimitReader(s, 1<<16))
	if errors.Is(err, io.ErrUnexpectedEOF) || s.Reset() != nil {
		return int(n)
	}
	return int(n)
}

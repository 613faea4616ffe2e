package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tipmesh/tipmesh/protocol/replica"
	"github.com/tipmesh/tipmesh/store"
)

// How long a node that has started looks for entries of its own before it
// writes.
const (
	ownAlone = 3 * time.Second  // while no neighbour is connected
	ownMost  = 15 * time.Second // in all: one that does not answer must not stop it for good
	ownLook  = 50 * time.Millisecond
)

const haltSetting = "halted"

// halt is why this node must not write, empty where it may. It outlives a
// restart: a home that is in use twice stays so.
type halt struct {
	mu  sync.Mutex
	why string
}

func (h *halt) load(s store.Entries) error {
	raw, err := s.Setting(haltSetting)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("read why this node must not write: %w", err)
	}
	h.why = string(raw)
	return nil
}

func (h *halt) get() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.why
}

// set keeps the first reason, on disk too before it returns, and reports whether
// it was this one.
func (h *halt) set(ctx context.Context, s store.Entries, why string) (first bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.why != "" {
		return false, nil
	}
	h.why = why
	_, err = s.Commit(ctx, &store.Commit{Settings: map[string][]byte{haltSetting: []byte(why)}})
	return true, err
}

// lookForOwn lets the node write once a neighbour has told what it holds, and
// this node holds all of it that is its own: a home that was put back from an
// older copy learns so before it would use a sequence number twice. Without
// others, or while none is there, it does not wait for long.
func (n *Node) lookForOwn() {
	began := time.Now()
	tick := time.NewTicker(ownLook)
	defer tick.Stop()
	for !n.mayBegin(time.Since(began)) {
		select {
		case <-n.ctx.Done():
			return
		case <-tick.C:
		}
	}
	n.own.Store(true)
	n.pulse.beat()
}

func (n *Node) mayBegin(waited time.Duration) bool {
	if waited >= ownMost || n.halted.get() != "" || len(n.neighbours()) == 0 {
		return true
	}
	if len(n.links.connected()) == 0 {
		return waited >= ownAlone
	}
	heard := n.links.heard()
	if len(heard) == 0 {
		return false
	}
	behind := false
	feeds := n.store.Feeds()
	return n.consult(func(m *replica.Machine, _ time.Time) {
		for _, k := range heard {
			for _, f := range feeds {
				theirs, _ := m.State(k, f.ID)
				behind = behind || f.Node == n.key && theirs.Head > f.Head
			}
		}
	}) && !behind
}

// begun waits until the node may write its first entry since it started.
func (n *Node) begun(ctx context.Context) error {
	if n.ctx == nil {
		return nil
	}
	if !n.own.Load() {
		if err := n.until(ctx, n.own.Load); err != nil {
			return err
		}
	}
	return n.awaitOthers(ctx)
}

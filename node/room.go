package node

import (
	"context"
	"errors"
	"time"

	"github.com/tipmesh/tipmesh/store"
)

// roomLook is how often a node with a full disk looks whether there is room:
// nobody tells it.
const roomLook = time.Second

// full reports whether the store takes no entries for lack of room.
func (n *Node) full() bool {
	r, ok := n.store.(store.Room)
	return ok && r.Full()
}

// awaitRoom waits while the disk is full.
func (n *Node) awaitRoom() error {
	if !n.full() {
		return nil
	}
	n.log.Error("disk full: nothing is fetched until there is room")
	tick := time.NewTicker(roomLook)
	defer tick.Stop()
	for n.full() {
		if err := await(n.ctx, tick.C); err != nil {
			return err
		}
	}
	n.log.Info("there is room on the disk again")
	return nil
}

// putIndex writes to the index, and on a full disk once there is room.
func (n *Node) putIndex(b *store.IndexBatch) error {
	err := n.store.Index().Put(b)
	if !errors.Is(err, store.ErrDiskFull) {
		return err
	}
	tick := time.NewTicker(roomLook)
	defer tick.Stop()
	for errors.Is(err, store.ErrDiskFull) {
		if err := await(n.ctx, tick.C); err != nil {
			return err
		}
		err = n.store.Index().Put(b)
	}
	return err
}

func await(ctx context.Context, tick <-chan time.Time) error {
	select {
	case <-tick:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

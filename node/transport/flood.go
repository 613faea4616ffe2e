package transport

import (
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
)

// How much gossip one neighbour may send. What is beyond is dropped, and left to
// sync: gossipsub remembers every message that it has looked at for two minutes.
const (
	floodBurst   = 32 << 20 // bytes in a row,
	floodRate    = 4 << 20  // and so many a second,
	floodMessage = 4 << 10  // of which each message, and each frame, counts for so many more
)

// floods measures what neighbours send. Only gossipsub's event loop calls it.
type floods struct {
	by map[peer.ID]*flood
}

// flood is what a neighbour may still send at a time.
type flood struct {
	left int
	at   time.Time
}

// allows takes the size of a frame from what a neighbour may send.
func (f *floods) allows(p peer.ID, size int, now time.Time) bool {
	b := f.by[p]
	if b == nil {
		if f.by == nil {
			f.by = map[peer.ID]*flood{}
		}
		b = &flood{left: floodBurst, at: now}
		f.by[p] = b
	}
	since := min(max(now.Sub(b.at), 0), floodBurst/floodRate*time.Second)
	b.left = min(b.left+int(since*floodRate/time.Second), floodBurst)
	b.at = now
	if b.left < size {
		return false
	}
	b.left -= size
	return true
}

// inspect strips a frame of all but subscriptions where its sender sends too much.
func (t *Transport) inspect(p peer.ID, rpc *pubsub.RPC) error {
	size := floodMessage
	for _, m := range rpc.GetPublish() {
		size += floodMessage + len(m.GetData())
	}
	if !t.floods.allows(p, size, time.Now()) {
		t.counts.flooded.Add(uint64(len(rpc.GetPublish())))
		rpc.Publish, rpc.Control = nil, nil
	}
	return nil
}

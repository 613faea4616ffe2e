package transport

import (
	"maps"
	"sync"
	"sync/atomic"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
	core "github.com/libp2p/go-libp2p/core/protocol"

	"github.com/tipmesh/tipmesh/protocol"
)

// Stats counts what the transport did since it was made.
type Stats struct {
	Published  uint64 // messages of our own given to the gossip
	Accepted   uint64 // messages that the handler accepted
	Ignored    uint64 // messages that it ignored
	Rejected   uint64 // messages that it rejected, or that were malformed
	Duplicates uint64 // messages seen before
	Overrun    uint64 // incoming messages dropped because a queue was full
	Flooded    uint64 // incoming messages dropped because a neighbour sent too many
	Unsent     uint64 // outgoing messages dropped because a neighbour is slow
	Strangers  uint64 // connections refused: not an allowed node
	Mute       uint64 // nodes closed because they did not speak tipmesh, or did not gossip
	Streams    uint64 // sync streams refused: too many at a time
}

// counts is Stats in the making; pubsub calls it as its tracer.
type counts struct {
	published, accepted, ignored, rejected, duplicates, overrun, flooded, unsent, mute, streams atomic.Uint64

	mu     sync.Mutex
	blamed map[protocol.Key]uint64
}

func (c *counts) reject(from protocol.Key) {
	c.rejected.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.blamed == nil {
		c.blamed = map[protocol.Key]uint64{}
	}
	c.blamed[from]++
}

// Stats gives the counters.
func (t *Transport) Stats() Stats {
	c := &t.counts
	return Stats{
		Published: c.published.Load(), Accepted: c.accepted.Load(), Ignored: c.ignored.Load(),
		Rejected: c.rejected.Load(), Duplicates: c.duplicates.Load(), Overrun: c.overrun.Load(),
		Flooded: c.flooded.Load(), Unsent: c.unsent.Load(), Strangers: t.gate.refused.Load(), Mute: c.mute.Load(), Streams: c.streams.Load(),
	}
}

// Connected gives the nodes that a connection is open to, whoever they are.
func (t *Transport) Connected() []protocol.Key {
	var out []protocol.Key
	for _, p := range t.host.Network().Peers() {
		if key, ok := keyOf(p); ok {
			out = append(out, key)
		}
	}
	return out
}

// Rejections counts, by neighbour, the messages that were rejected. Nothing
// else follows from it here: what a broken neighbour deserves is for people to
// decide.
func (t *Transport) Rejections() map[protocol.Key]uint64 {
	t.counts.mu.Lock()
	defer t.counts.mu.Unlock()
	return maps.Clone(t.counts.blamed)
}

// RejectMessage implements pubsub.RawTracer.
func (c *counts) RejectMessage(_ *pubsub.Message, reason string) {
	if reason == pubsub.RejectValidationQueueFull || reason == pubsub.RejectValidationThrottled {
		c.overrun.Add(1)
	}
}

// DuplicateMessage implements pubsub.RawTracer.
func (c *counts) DuplicateMessage(*pubsub.Message) { c.duplicates.Add(1) }

// DropRPC implements pubsub.RawTracer.
func (c *counts) DropRPC(rpc *pubsub.RPC, _ peer.ID) { c.unsent.Add(uint64(len(rpc.GetPublish()))) }

// The rest of pubsub.RawTracer says nothing of interest.

func (c *counts) OnNewOutboundStream(peer.ID, core.ID) {}
func (c *counts) OnClosedOutboundStream(peer.ID)       {}
func (c *counts) Join(string)                          {}
func (c *counts) Leave(string)                         {}
func (c *counts) Graft(peer.ID, string)                {}
func (c *counts) Prune(peer.ID, string)                {}
func (c *counts) ValidateMessage(*pubsub.Message)      {}
func (c *counts) DeliverMessage(*pubsub.Message)       {}
func (c *counts) ThrottlePeer(peer.ID)                 {}
func (c *counts) RecvRPC(*pubsub.RPC)                  {}
func (c *counts) SendRPC(*pubsub.RPC, peer.ID)         {}
func (c *counts) UndeliverableMessage(*pubsub.Message) {}

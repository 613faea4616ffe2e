package node

import (
	"context"
	"io"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
)

// Transport carries bytes between the nodes that the roster names. Nodes run
// node/transport (libp2p); simulations run node/nodetest's.
//
// A node's key is its address and its identity: whatever arrives from a key was
// sent by its holder.
type Transport interface {
	// Start begins to listen and to call h. It returns once listening.
	Start(h Handler) error
	// Addresses are the host:port pairs at which others may reach this node, by
	// QUIC and by TCP.
	Addresses() []string
	// Allow replaces the set of nodes that may be connected: all others are
	// refused from now on, and their live connections are closed before it
	// returns.
	Allow(nodes []protocol.Key)
	// Connect dials a node unless it is connected already. It returns once the
	// connection stands; Handler.Up follows when the other side has shown that
	// it speaks tipmesh.
	Connect(ctx context.Context, node protocol.Key, addresses []string) error
	// Disconnect closes the connections to a node.
	Disconnect(node protocol.Key)
	// Open opens a sync stream to a connected node.
	Open(ctx context.Context, node protocol.Key) (Stream, error)
	// Publish gives a message to the gossip. It is a hint: no error means no
	// delivery.
	Publish(msg []byte) error
	// Close stops everything and waits for it.
	Close() error
}

// Stream is one sync stream: bytes in order, both ways.
type Stream interface {
	io.ReadWriteCloser
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
	// Reset ends the stream at once, in both directions.
	Reset() error
}

// Handler is what a transport calls. Calls come from several goroutines at a
// time.
type Handler interface {
	// Up says that an allowed node is connected and speaks tipmesh.
	Up(node protocol.Key)
	// Down says that its last connection is gone.
	Down(node protocol.Key)
	// Serve handles a sync stream that a node opened, until it ends.
	Serve(node protocol.Key, s Stream)
	// Gossip judges a message before it is passed on to others; from is the
	// neighbour it came from. It must be quick.
	Gossip(from protocol.Key, msg []byte) Verdict
}

// Verdict is what becomes of a gossip message.
type Verdict uint8

// The verdicts.
const (
	Ignore Verdict = iota // not passed on, nobody blamed
	Accept                // passed on
	Reject                // not passed on, and held against the neighbour
)

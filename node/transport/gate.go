package transport

import (
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/tipmesh/tipmesh/protocol"
)

// gate is the set of nodes that may be connected, and libp2p's connection
// gater over it.
type gate struct {
	peers   atomic.Pointer[map[peer.ID]protocol.Key]
	refused atomic.Uint64 // handshakes of strangers
}

func newGate() *gate {
	g := new(gate)
	g.peers.Store(&map[peer.ID]protocol.Key{})
	return g
}

// replace installs the new set and returns the old one.
func (g *gate) replace(peers map[peer.ID]protocol.Key) map[peer.ID]protocol.Key {
	return *g.peers.Swap(&peers)
}

// key gives the node key of an allowed peer.
func (g *gate) key(p peer.ID) (protocol.Key, bool) {
	k, ok := (*g.peers.Load())[p]
	return k, ok
}

func (g *gate) allows(p peer.ID) bool {
	_, ok := g.key(p)
	return ok
}

// InterceptPeerDial implements connmgr.ConnectionGater.
func (g *gate) InterceptPeerDial(p peer.ID) bool { return g.allows(p) }

// InterceptAddrDial implements connmgr.ConnectionGater.
func (g *gate) InterceptAddrDial(p peer.ID, _ ma.Multiaddr) bool { return g.allows(p) }

// InterceptAccept implements connmgr.ConnectionGater. Nothing is known of the
// other side yet; the resource manager bounds how many may try.
func (g *gate) InterceptAccept(network.ConnMultiaddrs) bool { return true }

// InterceptSecured implements connmgr.ConnectionGater. It runs once the other
// side has proved its key and before any stream: QUIC included.
func (g *gate) InterceptSecured(_ network.Direction, p peer.ID, _ network.ConnMultiaddrs) bool {
	if !g.allows(p) {
		g.refused.Add(1)
		return false
	}
	return true
}

// InterceptUpgraded implements connmgr.ConnectionGater. It asks again because
// the set may have changed since the handshake.
func (g *gate) InterceptUpgraded(c network.Conn) (bool, control.DisconnectReason) {
	return g.allows(c.RemotePeer()), 0
}

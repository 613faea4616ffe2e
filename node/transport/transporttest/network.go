// Package transporttest runs transports where tests need them: over a
// simulated network with faults, inside a testing/synctest bubble, or over the
// loopback device for benchmarks.
package transporttest

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/marcopolo/simnet"

	"github.com/tipmesh/tipmesh/node/transport"
)

// Options describe a simulated network; zero values choose the defaults.
type Options struct {
	Latency time.Duration // one way; 10 ms
	Mbps    int           // each node's link, each way; 100
	Seed    uint64        // of the losses
}

// Network is a simulated network of UDP endpoints. Make and close it inside
// the bubble. Under the race detector set GOMAXPROCS to 1 first (golang/go
// issue 78156), and call synctest.Wait after starting nodes and before
// connecting them.
type Network struct {
	sim  *simnet.Simnet
	link simnet.NodeBiDiLinkSettings

	mu     sync.Mutex
	rng    *rand.Rand
	loss   float64
	island map[netip.AddrPort]int
	filter func(from, to netip.AddrPort) bool
	counts map[netip.AddrPort]uint64
}

// NewNetwork starts a network on which every packet arrives.
func NewNetwork(o Options) *Network {
	if o.Latency <= 0 {
		o.Latency = 10 * time.Millisecond
	}
	if o.Mbps <= 0 {
		o.Mbps = 100
	}
	link := simnet.LinkSettings{BitsPerSecond: o.Mbps * 1_000_000, MTU: 1500}
	n := &Network{
		// The logger reports packets to nodes that are down: no news.
		sim:    &simnet.Simnet{LatencyFunc: simnet.StaticLatency(o.Latency), Logger: slog.New(slog.DiscardHandler)},
		link:   simnet.NodeBiDiLinkSettings{Uplink: link, Downlink: link},
		rng:    rand.New(rand.NewPCG(o.Seed, 1)),
		counts: map[netip.AddrPort]uint64{},
	}
	n.sim.Start()
	return n
}

// Address is the host:port of node i: its transport.Config.Listen.
func (n *Network) Address(i int) string { return addrOf(i).String() }

func addrOf(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{1, byte(i >> 16), byte(i >> 8), byte(i)}), 4101)
}

// Packets is transport.Config.Packets for every node.
func (n *Network) Packets(addr *net.UDPAddr) (net.PacketConn, error) {
	at := addr.AddrPort()
	if !at.Addr().Unmap().Is4() || at.Addr().IsUnspecified() || at.Port() == 0 {
		return nil, fmt.Errorf("open simulated socket: %s is no address of this network", addr)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return &endpoint{PacketConn: n.sim.NewEndpoint(short(addr), n.link), network: n, at: plain(at)}, nil
}

// Lose drops this share of all packets, 0 to 1.
func (n *Network) Lose(share float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loss = share
}

// Partition lets packets pass only within each of the groups of node numbers.
// Nodes in no group form one more.
func (n *Network) Partition(groups ...[]int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.island = map[netip.AddrPort]int{}
	for g, nodes := range groups {
		for _, i := range nodes {
			n.island[addrOf(i)] = g + 1
		}
	}
}

// Heal ends loss, partition and filter.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loss, n.island, n.filter = 0, nil, nil
}

// Filter asks pass about every packet; it must be quick. Number turns an
// address back into a node's number.
func (n *Network) Filter(pass func(from, to netip.AddrPort) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.filter = pass
}

// Number is the node at an address.
func Number(at netip.AddrPort) int {
	b := at.Addr().As4()
	return int(b[1])<<16 | int(b[2])<<8 | int(b[3])
}

// Sent is how many bytes node i sent, lost ones included.
func (n *Network) Sent(i int) uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.counts[addrOf(i)]
}

// Close ends the network; close the transports first.
func (n *Network) Close() { n.sim.Close() }

// passes decides about one packet.
func (n *Network) passes(from, to netip.AddrPort, size int) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.counts[from] += uint64(size)
	if n.island != nil && n.island[from] != n.island[to] {
		return false
	}
	if n.filter != nil && !n.filter(from, to) {
		return false
	}
	return n.loss <= 0 || n.rng.Float64() >= n.loss
}

// endpoint is a node's socket. simnet has no faults of its own.
type endpoint struct {
	net.PacketConn
	network *Network
	at      netip.AddrPort
}

// WriteTo implements net.PacketConn.
func (e *endpoint) WriteTo(p []byte, to net.Addr) (int, error) {
	udp, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, fmt.Errorf("write packet: %s is no UDP address", to)
	}
	if !e.network.passes(e.at, plain(udp.AddrPort()), len(p)) {
		return len(p), nil
	}
	return e.PacketConn.WriteTo(p, short(udp))
}

// short gives the four-byte form: simnet takes the sixteen-byte form of the
// same address for another.
func short(a *net.UDPAddr) *net.UDPAddr {
	if ip := a.IP.To4(); ip != nil {
		return &net.UDPAddr{IP: ip, Port: a.Port}
	}
	return a
}

func plain(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

var _ transport.ListenPacket = (*Network)(nil).Packets

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
	Seed    uint64        // of all that is random
}

// Link is how a node is connected.
type Link struct {
	Extra time.Duration // added to the latency of every packet it sends or gets
	Kbps  int           // of sockets opened from then on; 0: as all others
}

// Network is a simulated network of UDP endpoints. Make and close it inside
// the bubble. Under the race detector set GOMAXPROCS to 1 first (golang/go
// issue 78156), and call synctest.Wait after starting nodes and before
// connecting them.
type Network struct {
	sim     *simnet.Simnet
	latency time.Duration
	bits    int // a second, of a node's link

	mu     sync.Mutex
	rng    *rand.Rand
	loss   float64
	twice  float64
	spread time.Duration
	slow   map[netip.AddrPort]Link
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
	n := &Network{
		latency: o.Latency,
		bits:    o.Mbps * 1_000_000,
		rng:     rand.New(rand.NewPCG(o.Seed, 1)),
		slow:    map[netip.AddrPort]Link{},
		counts:  map[netip.AddrPort]uint64{},
	}
	// The logger reports packets to nodes that are down: no news.
	n.sim = &simnet.Simnet{LatencyFunc: n.takes, Logger: slog.New(slog.DiscardHandler)}
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
	link := simnet.LinkSettings{BitsPerSecond: n.bits, MTU: 1500}
	if l := n.slow[plain(at)]; l.Kbps > 0 {
		link.BitsPerSecond = l.Kbps * 1000
	}
	both := simnet.NodeBiDiLinkSettings{Uplink: link, Downlink: link}
	return &endpoint{PacketConn: n.sim.NewEndpoint(short(addr), both), network: n, at: plain(at)}, nil
}

// takes is how long a packet travels.
func (n *Network) takes(p *simnet.Packet) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	d := n.latency
	for _, a := range []net.Addr{p.From, p.To} {
		if udp, ok := a.(*net.UDPAddr); ok {
			d += n.slow[plain(udp.AddrPort())].Extra
		}
	}
	if n.spread > 0 {
		d += time.Duration(n.rng.Int64N(int64(n.spread)))
	}
	return d
}

// Lose drops this share of all packets, 0 to 1.
func (n *Network) Lose(share float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loss = share
}

// Spread adds up to so much to the latency of every packet, at random, so that
// packets overtake each other.
func (n *Network) Spread(most time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.spread = most
}

// Double sends this share of all packets twice, 0 to 1.
func (n *Network) Double(share float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.twice = share
}

// Slow gives node i a link of its own.
func (n *Network) Slow(i int, l Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.slow[addrOf(i)] = l
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

// Heal ends loss, doubling, spread, partition and filter.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loss, n.twice, n.spread, n.island, n.filter = 0, 0, 0, nil, nil
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

// copies decides how often one packet is sent: not at all, once or twice.
func (n *Network) copies(from, to netip.AddrPort, size int) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.counts[from] += uint64(size)
	switch {
	case n.island != nil && n.island[from] != n.island[to]:
		return 0
	case n.filter != nil && !n.filter(from, to):
		return 0
	case n.loss > 0 && n.rng.Float64() < n.loss:
		return 0
	case n.twice > 0 && n.rng.Float64() < n.twice:
		return 2
	}
	return 1
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
	for range e.network.copies(e.at, plain(udp.AddrPort()), len(p)) {
		if _, err := e.PacketConn.WriteTo(p, short(udp)); err != nil {
			return 0, err
		}
	}
	return len(p), nil
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

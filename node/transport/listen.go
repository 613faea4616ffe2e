package transport

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// maxAddresses is how many addresses a node announces.
const maxAddresses = 8

// listenTries is how often a free port is looked for that UDP and TCP share.
const listenTries = 16

// listenOn listens on every host:port and returns what was bound, in order.
// An empty host means every address of the machine.
func listenOn(h host.Host, listen []string, packetsOnly bool) ([]string, error) {
	var bound []string
	for _, entry := range listen {
		name, portText, err := net.SplitHostPort(entry)
		if err != nil {
			return nil, fmt.Errorf("read listen address %q: %w", entry, err)
		}
		port, err := strconv.ParseUint(portText, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("read listen address %q: %w", entry, err)
		}
		ips, optional, err := listenIPs(name)
		if err != nil {
			return nil, fmt.Errorf("read listen address %q: %w", entry, err)
		}
		for i, ip := range ips {
			at, err := listenPair(h, netip.AddrPortFrom(ip, uint16(port)), packetsOnly)
			if err != nil && i > 0 && optional {
				continue // a machine without IPv6
			}
			if err != nil {
				return nil, fmt.Errorf("listen on %s: %w", entry, err)
			}
			port = uint64(at.Port())
			bound = append(bound, at.String())
		}
	}
	if len(bound) == 0 {
		return nil, errors.New("listen: no address given")
	}
	return bound, nil
}

// listenIPs reads the host of a listen address. With optional, only the first
// of the addresses must work.
func listenIPs(name string) (ips []netip.Addr, optional bool, err error) {
	switch name {
	case "":
		return []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}, true, nil
	case "localhost":
		name = "127.0.0.1"
	}
	ip, err := netip.ParseAddr(name)
	if err != nil {
		return nil, false, err
	}
	return []netip.Addr{ip.Unmap()}, false, nil
}

// listenPair listens on one address by UDP and TCP with the same port, which
// it chooses if none is given.
func listenPair(h host.Host, at netip.AddrPort, packetsOnly bool) (netip.AddrPort, error) {
	sw, ok := h.Network().(*swarm.Swarm)
	if !ok {
		return at, errors.New("not a swarm")
	}
	fixed := at.Port() != 0 || packetsOnly
	var err error
	for range listenTries {
		try := at
		if !fixed {
			if try, err = freePort(at.Addr()); err != nil {
				continue
			}
		}
		if err = addListeners(sw, try, packetsOnly); err == nil {
			return try, nil
		}
		if fixed {
			break
		}
	}
	return at, err
}

func addListeners(sw *swarm.Swarm, at netip.AddrPort, packetsOnly bool) error {
	addrs, err := multiaddrs(at.String())
	if err != nil {
		return err
	}
	if packetsOnly {
		addrs = addrs[:1]
	}
	for i, a := range addrs {
		if err := sw.AddListenAddr(a); err != nil {
			sw.ListenClose(addrs[:i]...)
			return err
		}
	}
	return nil
}

// freePort finds a port that is free for UDP and TCP alike. Another process may
// take it before it is used: callers try again.
func freePort(ip netip.Addr) (netip.AddrPort, error) {
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, 0)))
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer l.Close()
	at := netip.AddrPortFrom(ip, uint16(l.Addr().(*net.TCPAddr).Port))
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return netip.AddrPort{}, err
	}
	return at, c.Close()
}

// reachable orders and thins the addresses a host tells others: no link-local
// ones, and loopback only where there is nothing else.
func reachable(addrs []ma.Multiaddr) []ma.Multiaddr {
	var near, far []ma.Multiaddr
	for _, a := range addrs {
		ip, err := manet.ToIP(a)
		switch {
		case err != nil || ip.IsUnspecified() || ip.IsLinkLocalUnicast() || ip.IsMulticast():
		case ip.IsLoopback():
			near = append(near, a)
		default:
			far = append(far, a)
		}
	}
	if len(far) == 0 {
		return near
	}
	slices.SortStableFunc(far, func(a, b ma.Multiaddr) int { return cmp.Compare(rank(a), rank(b)) })
	return far
}

// rank puts public addresses first, and IPv4 before IPv6 among equals.
func rank(a ma.Multiaddr) int {
	r := 0
	if !manet.IsPublicAddr(a) {
		r = 2
	}
	if _, err := a.ValueForProtocol(ma.P_IP6); err == nil {
		r++
	}
	return r
}

// addressesOf gives the host:port pairs at which a host can be reached.
func addressesOf(h host.Host) []string {
	addrs, err := h.Network().InterfaceListenAddresses()
	if err != nil {
		addrs = h.Network().ListenAddresses()
	}
	var out []string
	for _, a := range reachable(addrs) {
		// The first two components are IP and port, of QUIC as of TCP.
		ip, err := manet.ToIP(a)
		if err != nil || len(a) < 2 {
			continue
		}
		hostport := net.JoinHostPort(ip.String(), a[1].Value())
		if len(out) < maxAddresses && !slices.Contains(out, hostport) {
			out = append(out, hostport)
		}
	}
	return out
}

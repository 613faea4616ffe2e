package transport

import (
	"cmp"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/gologshim"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	basicconnmgr "github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	tls "github.com/libp2p/go-libp2p/p2p/security/tls"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/libp2p/go-libp2p/x/rate"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/quic-go/quic-go"
	"go.uber.org/fx"
)

// userAgent is all that identify says of the software.
const userAgent = "tipmesh"

// dialTimeout bounds one attempt at one address.
const dialTimeout = 10 * time.Second

// libp2p and quic-go write to standard error on their own. What matters is
// reported through Config.Log; a developer asks for the rest by environment.
func init() {
	if os.Getenv("GOLOG_LOG_LEVEL") == "" {
		gologshim.SetDefaultHandler(slog.DiscardHandler)
	}
	if os.Getenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING") == "" {
		os.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true")
	}
}

// maxHandshakes bounds the connections whose other side is not known yet.
const maxHandshakes = 512

// bounds sizes a host.
type bounds struct {
	conns   int   // connections
	streams int   // streams over all connections
	perPeer int   // connections and, times 16, streams of one peer
	perAddr int   // connections from one address
	rate    int   // new connections per second and address
	memory  int64 // bytes of all buffers
}

// nodeBounds suit a roster of n nodes, dozens of which may share one address.
// Strangers are counted too, as they can be told apart only after the
// handshake: one address must not take all the places where handshakes wait.
func nodeBounds(n int) bounds {
	return bounds{
		conns: 4*n + 512, streams: 64*n + 4096, perPeer: 16,
		perAddr: maxHandshakes / 4, rate: 16, memory: 1 << 30,
	}
}

// joinBounds suit the join host, which anyone can reach.
func joinBounds() bounds {
	return bounds{conns: joinConns, streams: 4 * joinConns, perPeer: 2, perAddr: joinOfAddr, rate: 4, memory: 64 << 20}
}

// limiter is libp2p's resource manager for these bounds.
func (b bounds) limiter() (network.ResourceManager, error) {
	num := func(n int) rcmgr.LimitVal { return rcmgr.LimitVal(n) }
	transient := min(b.conns, maxHandshakes)
	limits := rcmgr.PartialLimitConfig{
		System: rcmgr.ResourceLimits{
			Conns: num(b.conns), ConnsInbound: num(b.conns), ConnsOutbound: num(b.conns), FD: num(b.conns),
			Streams: num(b.streams), StreamsInbound: num(b.streams), StreamsOutbound: num(b.streams),
			Memory: rcmgr.LimitVal64(b.memory),
		},
		Transient: rcmgr.ResourceLimits{
			Conns: num(transient), ConnsInbound: num(transient), ConnsOutbound: num(transient), FD: num(transient),
			Streams: num(b.streams), StreamsInbound: num(b.streams), StreamsOutbound: num(b.streams),
			Memory: rcmgr.LimitVal64(b.memory / 4),
		},
		PeerDefault: rcmgr.ResourceLimits{
			Conns: num(b.perPeer), ConnsInbound: num(b.perPeer), ConnsOutbound: num(b.perPeer), FD: num(b.perPeer),
			Streams: num(16 * b.perPeer), StreamsInbound: num(16 * b.perPeer), StreamsOutbound: num(16 * b.perPeer),
			Memory: rcmgr.LimitVal64(b.memory / 4),
		},
	}
	// Eight connections and one per five seconds and address are built in, and
	// checked before the gater: members behind one address need more.
	each := rate.Limit{RPS: float64(b.rate), Burst: 2 * b.perAddr}
	return rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limits.Build(rcmgr.InfiniteLimits)),
		rcmgr.WithMetricsDisabled(),
		rcmgr.WithLimitPerSubnet(
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: b.perAddr}},
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 56, ConnCount: b.perAddr}, {PrefixLength: 48, ConnCount: 2 * b.perAddr}}),
		rcmgr.WithNetworkPrefixLimit(
			[]rcmgr.NetworkPrefixLimit{{Network: netip.MustParsePrefix("127.0.0.0/8"), ConnCount: math.MaxInt}},
			[]rcmgr.NetworkPrefixLimit{{Network: netip.MustParsePrefix("::1/128"), ConnCount: math.MaxInt}}),
		rcmgr.WithConnRateLimiters(&rate.Limiter{
			NetworkPrefixLimits: []rate.PrefixLimit{
				{Prefix: netip.MustParsePrefix("127.0.0.0/8")}, {Prefix: netip.MustParsePrefix("::1/128")},
			},
			SubnetRateLimiter: rate.SubnetLimiter{
				IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: each}},
				IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 56, Limit: each}},
				GracePeriod:      time.Minute,
			},
		}))
}

// newHost builds a host that speaks QUIC and TCP, does not listen yet, and has
// every service off that would talk to others unasked.
func newHost(key crypto.PrivKey, g connmgr.ConnectionGater, b bounds, packets ListenPacket) (host.Host, error) {
	resources, err := b.limiter()
	if err != nil {
		return nil, err
	}
	// Members are protected, so the manager only ever trims what is left over.
	manager, err := basicconnmgr.NewConnManager(b.conns, 2*b.conns)
	if err != nil {
		resources.Close()
		return nil, err
	}
	opts := []libp2p.Option{
		libp2p.Identity(key), libp2p.UserAgent(userAgent), libp2p.ProtocolVersion(userAgent + "/1"),
		libp2p.NoListenAddrs, libp2p.DisableRelay(), libp2p.Ping(false), libp2p.DisableMetrics(),
		// Static reachability keeps AutoNAT's prober from starting.
		libp2p.ForceReachabilityPublic(), libp2p.DisableIdentifyAddressDiscovery(),
		libp2p.AddrsFactory(reachable), libp2p.WithDialTimeout(dialTimeout),
		libp2p.SwarmOpts(swarm.WithDialRanker(inTurn)),
		// Whether UDP works is for each dial to find out, not for a statistic.
		libp2p.UDPBlackHoleSuccessCounter(nil), libp2p.IPv6BlackHoleSuccessCounter(nil),
		libp2p.ResourceManager(resources), libp2p.ConnectionManager(manager),
		libp2p.Transport(libp2pquic.NewTransport),
	}
	if g != nil {
		opts = append(opts, libp2p.ConnectionGater(g))
	}
	if packets != nil {
		opts = append(opts, simulated(packets))
	} else {
		// With SO_REUSEPORT a second node on the same port would go unnoticed.
		opts = append(opts, libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport()))
	}
	opts = append(opts, libp2p.Security(tls.ID, tls.New), libp2p.Security(noise.ID, noise.New), libp2p.DefaultMuxers)
	return libp2p.New(opts...)
}

// Between the attempts of one dial, and before its first by TCP.
const (
	dialStep  = 250 * time.Millisecond
	dialByTCP = time.Second
)

// inTurn has one dial try QUIC at every address and then TCP, each a little
// later than the one before. A node that accepts two connections of one dial
// sees one close at once; gossipsub may then forget for good what the other
// side subscribed to.
func inTurn(addrs []ma.Multiaddr) []network.AddrDelay {
	out := make([]network.AddrDelay, 0, len(addrs))
	var quics, tcps time.Duration
	for _, a := range addrs {
		if _, err := a.ValueForProtocol(ma.P_TCP); err == nil {
			out = append(out, network.AddrDelay{Addr: a, Delay: dialByTCP + tcps})
			tcps += dialStep
			continue
		}
		out = append(out, network.AddrDelay{Addr: a, Delay: quics})
		quics += dialStep
	}
	if quics == 0 {
		for i := range out {
			out[i].Delay -= dialByTCP
		}
	}
	slices.SortStableFunc(out, func(a, b network.AddrDelay) int { return cmp.Compare(a.Delay, b.Delay) })
	return out
}

// fixedSource names the source address of a simulated endpoint; there is no
// routing table to ask.
type fixedSource struct{ ip net.IP }

func (s *fixedSource) PreferredSourceIPForDestination(*net.UDPAddr) (net.IP, error) { return s.ip, nil }

// simulated puts QUIC on packet connections of the caller's making.
func simulated(listen ListenPacket) libp2p.Option {
	source := new(fixedSource)
	return libp2p.QUICReuse(
		func(l fx.Lifecycle, reset quic.StatelessResetKey, token quic.TokenGeneratorKey, opts ...quicreuse.Option) (*quicreuse.ConnManager, error) {
			cm, err := quicreuse.NewConnManager(reset, token, opts...)
			if err != nil {
				return nil, err
			}
			l.Append(fx.StopHook(cm.Close))
			return cm, nil
		},
		quicreuse.OverrideSourceIPSelector(func() (quicreuse.SourceIPSelector, error) { return source, nil }),
		quicreuse.OverrideListenUDP(func(_ string, addr *net.UDPAddr) (net.PacketConn, error) {
			source.ip = addr.IP
			return listen(addr)
		}))
}

// multiaddrs gives the QUIC and the TCP form of a host:port; names are left to
// the resolver.
func multiaddrs(hostport string) ([]ma.Multiaddr, error) {
	name, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return nil, err
	}
	kind := "dns"
	if ip, err := netip.ParseAddr(name); err == nil {
		ip = ip.Unmap()
		name, kind = ip.String(), "ip4"
		if ip.Is6() {
			kind = "ip6"
		}
	}
	quicAddr, err := ma.NewMultiaddr("/" + kind + "/" + name + "/udp/" + port + "/quic-v1")
	if err != nil {
		return nil, err
	}
	tcpAddr, err := ma.NewMultiaddr("/" + kind + "/" + name + "/tcp/" + port)
	if err != nil {
		return nil, err
	}
	return []ma.Multiaddr{quicAddr, tcpAddr}, nil
}

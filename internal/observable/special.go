package observable

import (
	"net/netip"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// Special tells in a few words why a value must not be shared as an indicator, or "" if nothing speaks against
// it: addresses of the IANA special-purpose registries (RFC 6890), names of RFC 6761 and its successors, reverse
// zones, bare public suffixes, under which strangers live, and networks so wide that they hold half a continent.
func (v Value) Special() string {
	switch v.Type {
	case IPv4, IPv6:
		a, ok := v.Addr()
		if !ok {
			return "not an address"
		}
		return specialAddr(a)
	case IPv4Net, IPv6Net:
		return specialNet(v.Text)
	case Domain:
		if why := specialName(v.Text); why != "" {
			return why
		}
		return bareSuffix(v.Text)
	case URL, Email:
		host := v.Host()
		if a, err := netip.ParseAddr(host); err == nil {
			return specialAddr(a)
		}
		return specialName(host)
	}
	return ""
}

// Reversed gives the address with its octets in reverse order, where v is a reserved, multicast or "this
// network" IPv4 address and the reverse is a public one: a common slip with names such as 1.2.3.4.in-addr.arpa.
func (v Value) Reversed() (Value, bool) {
	a, ok := v.Addr()
	if !ok || !a.Is4() {
		return Value{}, false
	}
	b := a.As4()
	if b[0] != 0 && b[0] < 224 || b[3] == 0 {
		return Value{}, false
	}
	r := netip.AddrFrom4([4]byte{b[3], b[2], b[1], b[0]})
	if specialAddr(r) != "" {
		return Value{}, false
	}
	return addrValue(r), true
}

type prefixRule struct {
	p   netip.Prefix
	why string
}

// specialPrefixes: IANA IPv4 and IPv6 special-purpose address registries, RFC 6890 and later additions.
var specialPrefixes = func() (rules []prefixRule) {
	for _, r := range [][2]string{
		{"0.0.0.0/8", "reserved"}, {"10.0.0.0/8", "private address"}, {"100.64.0.0/10", "shared address of carriers"},
		{"127.0.0.0/8", "loopback"}, {"169.254.0.0/16", "link-local"}, {"172.16.0.0/12", "private address"},
		{"192.0.0.0/24", "reserved"}, {"192.0.2.0/24", "documentation"}, {"192.88.99.0/24", "reserved"},
		{"192.168.0.0/16", "private address"}, {"198.18.0.0/15", "benchmarking"}, {"198.51.100.0/24", "documentation"},
		{"203.0.113.0/24", "documentation"}, {"224.0.0.0/4", "multicast"}, {"240.0.0.0/4", "reserved"},
		{"::/128", "reserved"}, {"::1/128", "loopback"}, {"64:ff9b:1::/48", "private address"}, {"100::/64", "discard"},
		{"2001:2::/48", "benchmarking"}, {"2001:10::/28", "reserved"}, {"2001:20::/28", "reserved"},
		{"2001:db8::/32", "documentation"}, {"3fff::/20", "documentation"}, {"fc00::/7", "private address"},
		{"fe80::/10", "link-local"}, {"ff00::/8", "multicast"},
	} {
		rules = append(rules, prefixRule{netip.MustParsePrefix(r[0]), r[1]})
	}
	return rules
}()

// globalV6 is the only part of IPv6 handed out to networks; nat64 (RFC 6052) stands for IPv4 addresses.
var (
	globalV6 = netip.MustParsePrefix("2000::/3")
	nat64    = netip.MustParsePrefix("64:ff9b::/96")
)

func specialAddr(a netip.Addr) string {
	a = a.Unmap()
	for _, r := range specialPrefixes {
		if r.p.Contains(a) {
			return r.why
		}
	}
	if a.Is6() && !globalV6.Contains(a) && !nat64.Contains(a) {
		return "reserved"
	}
	return ""
}

func specialNet(s string) string {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return "not a network"
	}
	for _, r := range specialPrefixes {
		if r.p.Overlaps(p) {
			if r.p.Bits() <= p.Bits() {
				return r.why
			}
			return "holds " + r.p.String() + ", " + r.why
		}
	}
	if p.Addr().Is4() && p.Bits() < 8 || p.Addr().Is6() && p.Bits() < 16 {
		return "too wide a network"
	}
	if p.Addr().Is6() && !globalV6.Overlaps(p) {
		return "reserved"
	}
	return ""
}

var specialTLD = map[string]string{
	"local": "local network name", "localhost": "loopback", "invalid": "reserved name", "test": "reserved name",
	"example": "documentation", "internal": "local network name", "alt": "reserved name", "arpa": "reverse lookup name",
	"lan": "local network name", "localdomain": "local network name", "home": "local network name",
	"corp": "local network name", "intranet": "local network name",
}

// specialName: RFC 6761 (localhost, test, invalid, example), 6762 (local), 8375 (home.arpa), 9476 (alt), ICANN's
// internal, and names that local networks use although nobody gave them out.
func specialName(host string) string {
	last := host[strings.LastIndexByte(host, '.')+1:]
	switch last {
	case "com", "net", "org":
		base := "example." + last
		if host == base || strings.HasSuffix(host, "."+base) {
			return "documentation"
		}
		return ""
	case "arpa":
		if host == "home.arpa" || strings.HasSuffix(host, ".home.arpa") {
			return "local network name"
		}
	}
	if host == last && last != "localhost" {
		return ""
	}
	return specialTLD[last]
}

// bareSuffix tells a name under which a registry or a hoster gives names to strangers: co.uk, duckdns.org.
func bareSuffix(host string) string {
	suffix, icann := publicsuffix.PublicSuffix(host)
	if suffix != host || !icann && !strings.Contains(host, ".") {
		return ""
	}
	if icann {
		return "public suffix"
	}
	return "public suffix of a hoster"
}

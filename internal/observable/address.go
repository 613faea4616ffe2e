package observable

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// parseAddress reads an address, address:port, [v6]:port or network. ok tells that s is meant as one of these,
// so that err is the answer; else s is something else. An IPv4 address with a path is something else: a URL.
func parseAddress(s string) (v Value, ok bool, err error) {
	if s[0] == '[' {
		return parseBracketed(s)
	}
	host, tail := s, ""
	if i := strings.IndexByte(s, '/'); i >= 0 {
		host, tail = s[:i], s[i:]
	}
	if strings.Count(host, ":") >= 2 {
		return parseIPv6(host, tail)
	}
	ip, port, hasPort := strings.Cut(host, ":")
	if !dottedDigits(ip) {
		return Value{}, false, nil
	}
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return Value{}, true, errors.New("not an IPv4 address: four numbers from 0 to 255 without leading zeros")
	}
	if hasPort {
		if _, err := portNumber(port); err != nil {
			return Value{}, true, err
		}
		return addrValue(a), tail == "", nil
	}
	if tail == "" {
		return addrValue(a), true, nil
	}
	if !digitsOnly(tail[1:]) {
		return Value{}, false, nil
	}
	v, err = network(a, tail[1:])
	return v, true, err
}

func parseBracketed(s string) (Value, bool, error) {
	end := strings.IndexByte(s, ']')
	if end < 0 {
		return Value{}, true, errors.New("an opening bracket without its closing one")
	}
	rest := s[end+1:]
	if strings.HasPrefix(rest, ":") {
		port, _, _ := strings.Cut(rest[1:], "/")
		if _, err := portNumber(port); err != nil {
			return Value{}, true, err
		}
		rest = rest[1+len(port):]
	}
	if rest != "" {
		return Value{}, false, nil
	}
	inner := s[1:end]
	if inner == "" {
		return Value{}, true, errEmpty
	}
	if strings.Count(inner, ":") >= 2 {
		return parseIPv6(inner, "")
	}
	// A person's way to defang an IPv4 address whole: [1.2.3.4].
	if dottedDigits(inner) {
		return parseAddress(inner)
	}
	return Value{}, true, errors.New("brackets around something that is no address")
}

func parseIPv6(host, tail string) (Value, bool, error) {
	host, zone, _ := strings.Cut(host, "%")
	a, err := netip.ParseAddr(host)
	if err != nil {
		// host:port:/path and the like: colons, but no IPv6.
		for i := range len(host) {
			if !isHex(host[i]) && host[i] != ':' && host[i] != '.' {
				return Value{}, false, nil
			}
		}
		return Value{}, true, errors.New("not an IPv6 address")
	}
	_ = zone // A zone names an interface of one machine; it says nothing to others.
	if tail == "" {
		return addrValue(a.Unmap()), true, nil
	}
	v, err := network(a, tail[1:])
	return v, true, err
}

// network masks an address to its prefix length; a full length is the address.
func network(a netip.Addr, bits string) (Value, error) {
	n := 0
	for i := range len(bits) {
		if !isDigit(bits[i]) || i > 2 {
			return Value{}, errors.New("the prefix length is not a number")
		}
		n = n*10 + int(bits[i]-'0')
	}
	if bits == "" || n > a.BitLen() {
		return Value{}, fmt.Errorf("the prefix length is 0 to %d", a.BitLen())
	}
	if a.Is4In6() && n >= 96 {
		a, n = a.Unmap(), n-96
	}
	if n == a.BitLen() {
		return addrValue(a), nil
	}
	p := netip.PrefixFrom(a, n).Masked()
	if a.Is4() {
		return Value{IPv4Net, p.String()}, nil
	}
	return Value{IPv6Net, p.String()}, nil
}

// addrValue writes an address; netip's text is RFC 5952's.
func addrValue(a netip.Addr) Value {
	if a = a.Unmap(); a.Is4() {
		return Value{IPv4, a.String()}
	}
	return Value{IPv6, a.WithZone("").String()}
}

// dottedDigits tells whether s is digits and exactly three dots, the shape of an IPv4 address.
func dottedDigits(s string) bool {
	dots := 0
	for i := range len(s) {
		if s[i] == '.' {
			dots++
		} else if !isDigit(s[i]) {
			return false
		}
	}
	return dots == 3
}

func digitsOnly(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != ""
}

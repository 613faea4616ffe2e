package observable

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// defaultPorts are dropped from a URL (RFC 3986, 6.2.3).
var defaultPorts = map[string]int{"http": 80, "https": 443, "ftp": 21, "ws": 80, "wss": 443}

type urlParts struct {
	scheme, user, host, port, rest string // user with its @; rest from the path on, fragment included
}

// splitURL cuts a URL at its first "://"; the text is taken as RFC 3986 cuts it, without decoding.
func splitURL(s string) urlParts {
	scheme, s, _ := strings.Cut(s, "://")
	p := urlParts{scheme: scheme}
	end := strings.IndexAny(s, "/?#\\")
	if end < 0 {
		end = len(s)
	}
	auth := s[:end]
	p.rest = s[end:]
	if at := strings.LastIndexByte(auth, '@'); at >= 0 {
		p.user, auth = auth[:at+1], auth[at+1:]
	}
	p.host = auth
	if strings.HasPrefix(auth, "[") {
		if i := strings.IndexByte(auth, ']'); i > 0 {
			p.host, p.port = auth[1:i], strings.TrimPrefix(auth[i+1:], ":")
		}
		return p
	}
	if i := strings.LastIndexByte(auth, ':'); i >= 0 {
		p.host, p.port = auth[:i], auth[i+1:]
	}
	return p
}

// parseURL normalises scheme://host; see the package comment for the rules.
func parseURL(s string) (Value, error) {
	p := splitURL(s)
	scheme := strings.ToLower(p.scheme)
	if !validScheme(scheme) {
		return Value{}, errors.New("not a URL scheme before ://")
	}
	host, err := urlHost(p.host)
	if err != nil {
		return Value{}, err
	}
	var b strings.Builder
	b.Grow(len(s) + 2)
	b.WriteString(scheme + "://" + p.user + host)
	if p.port != "" {
		n, err := portNumber(p.port)
		if err != nil {
			return Value{}, err
		}
		if n != defaultPorts[scheme] {
			b.WriteString(":" + strconv.Itoa(n))
		}
	}
	rest, _, _ := strings.Cut(p.rest, "#")
	if rest == "" || rest[0] != '/' {
		b.WriteByte('/')
	}
	b.WriteString(rest)
	if b.Len() > MaxLength {
		return Value{}, errTooLong
	}
	return Value{URL, b.String()}, nil
}

func urlHost(host string) (string, error) {
	if host == "" {
		return "", errors.New("a URL without a host")
	}
	if strings.Contains(host, ":") {
		a, err := netip.ParseAddr(host)
		if err != nil {
			return "", errors.New("not an IPv6 address in the URL")
		}
		if a = a.Unmap(); a.Is6() {
			return "[" + a.WithZone("").String() + "]", nil
		}
		return a.String(), nil
	}
	if dottedDigits(host) {
		a, err := netip.ParseAddr(host)
		if err != nil {
			return "", fmt.Errorf("%q is not an IPv4 address", host)
		}
		return a.String(), nil
	}
	d, err := parseDomain(host)
	return d.Text, err
}

func validScheme(s string) bool {
	if s == "" || len(s) > 20 || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for i := range len(s) {
		if !isAlnum(s[i]) && s[i] != '+' && s[i] != '-' && s[i] != '.' {
			return false
		}
	}
	return true
}

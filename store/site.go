package store

import (
	"net/netip"
	"strings"
)

// Types of values that contain others, as internal/observable names them.
const (
	typeIPv4    = "ipv4"
	typeIPv6    = "ipv6"
	typeIPv4Net = "ipv4-net"
	typeIPv6Net = "ipv6-net"
	typeDomain  = "domain"
	typeURL     = "url"
)

// Site is where a value lies among those that contain each other.
type Site struct {
	Net  netip.Prefix // an address or a network, or a URL's host; not valid where that is a name
	Name string       // a domain, or a URL's host
	// Of a URL alone: the path with the query, which is never empty, and what
	// stands before it.
	Path, Scheme, User, Port string
}

// SiteOf gives the site of a value; ok is false where it has none: no other
// value contains it or lies within it.
func SiteOf(v Value) (s Site, ok bool) {
	switch v.Type {
	case typeIPv4, typeIPv6:
		a, err := netip.ParseAddr(v.Text)
		if err != nil {
			return s, false
		}
		s.Net = netip.PrefixFrom(a, a.BitLen())
	case typeIPv4Net, typeIPv6Net:
		p, err := netip.ParsePrefix(v.Text)
		if err != nil || p.Masked() != p || p.IsSingleIP() {
			return s, false
		}
		s.Net = p
	case typeDomain:
		s.Name = v.Text
	case typeURL:
		if s, ok = cutURL(v.Text); !ok {
			return s, false
		}
	default:
		return s, false
	}
	for i := range len(v.Text) {
		if v.Text[i] <= ' ' {
			return s, false // keys end at such bytes
		}
	}
	if !s.Net.IsValid() && (s.Name == "" || s.Name[0] == '.' || s.Name[len(s.Name)-1] == '.' || strings.Contains(s.Name, "..")) {
		return s, false
	}
	return s, s.Value() == v
}

// cutURL takes a normalised URL apart.
func cutURL(text string) (s Site, ok bool) {
	scheme, rest, ok := strings.Cut(text, "://")
	slash := strings.IndexByte(rest, '/')
	if !ok || slash < 0 {
		return s, false
	}
	s.Scheme, s.Path = scheme, rest[slash:]
	host := rest[:slash]
	if at := strings.LastIndexByte(host, '@'); at >= 0 {
		s.User, host = host[:at+1], host[at+1:]
	}
	if colon := strings.LastIndexByte(host, ':'); colon > strings.LastIndexByte(host, ']') {
		s.Port, host = host[colon:], host[:colon]
	}
	if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		s.Net = netip.PrefixFrom(a, a.BitLen())
	} else {
		s.Name = host
	}
	return s, true
}

// Value is the value at a site.
func (s Site) Value() Value {
	if s.Path != "" {
		host := s.Name
		if s.Net.IsValid() {
			if host = s.Net.Addr().String(); s.Net.Addr().Is6() {
				host = "[" + host + "]"
			}
		}
		return Value{typeURL, s.Scheme + "://" + s.User + host + s.Port + s.Path}
	}
	switch {
	case !s.Net.IsValid():
		return Value{typeDomain, s.Name}
	case s.Net.Addr().Is4() && s.Net.IsSingleIP():
		return Value{typeIPv4, s.Net.Addr().String()}
	case s.Net.IsSingleIP():
		return Value{typeIPv6, s.Net.Addr().String()}
	case s.Net.Addr().Is4():
		return Value{typeIPv4Net, s.Net.String()}
	}
	return Value{typeIPv6Net, s.Net.String()}
}

// Contains reports whether one value contains another: a network an address, a
// smaller network and URLs there; a domain the names below it and URLs there; a
// URL those whose path goes on from its own. http and https are the same here.
func Contains(outer, inner Value) bool {
	o, ok1 := SiteOf(outer)
	i, ok2 := SiteOf(inner)
	return ok1 && ok2 && o.Contains(i)
}

// Contains is Contains of the values at two sites.
func (s Site) Contains(inner Site) bool {
	if s.Path != "" {
		return s.Net == inner.Net && s.Name == inner.Name && s.User == inner.User && s.Port == inner.Port &&
			(s.Scheme == inner.Scheme || s.Scheme == OtherScheme(inner.Scheme)) && s != inner && goesOn(s.Path, inner.Path)
	}
	if s.Net.IsValid() != inner.Net.IsValid() {
		return false
	}
	if s.Net.IsValid() {
		return s.Net.Contains(inner.Net.Addr()) && (s.Net.Bits() < inner.Net.Bits() || s.Net == inner.Net && inner.Path != "")
	}
	under := strings.HasSuffix(inner.Name, s.Name) && len(inner.Name) > len(s.Name) && inner.Name[len(inner.Name)-len(s.Name)-1] == '.'
	return under || inner.Name == s.Name && inner.Path != ""
}

// OtherScheme is https for http and the other way round, else the same.
func OtherScheme(scheme string) string {
	switch scheme {
	case "http":
		return "https"
	case "https":
		return "http"
	}
	return scheme
}

// goesOn reports whether a path is another one or continues it.
func goesOn(path, on string) bool {
	if !strings.HasPrefix(on, path) {
		return false
	}
	return len(on) == len(path) || path[len(path)-1] == '/' || endsPart(on[len(path)])
}

// endsPart are the bytes at which a part of a path or query ends.
func endsPart(b byte) bool { return b == '/' || b == '?' || b == '&' }

// maxSites bounds the sites that may contain one.
const maxSites = 128

// Above gives the sites that may contain this one, the nearest first, but for
// networks, which are asked for by their lengths in use: bits says which.
func (s Site) Above(bits func(yield func(int) bool)) (out []Site) {
	if s.Path != "" {
		out = s.startsOfPath()
		s = Site{Net: s.Net, Name: s.Name}
		out = append(out, s)
	}
	if !s.Net.IsValid() {
		for name := s.Name; len(out) < maxSites; {
			_, up, ok := strings.Cut(name, ".")
			if !ok {
				break
			}
			name = up
			out = append(out, Site{Name: name})
		}
		return out
	}
	for n := range bits {
		if n < s.Net.Bits() {
			p, _ := s.Net.Addr().Prefix(n)
			out = append(out, Site{Net: p})
		}
	}
	return out
}

// startsOfPath gives the URLs whose path this one's continues.
func (s Site) startsOfPath() (out []Site) {
	full := s
	add := func(path string) {
		u := full
		u.Path = path
		if u != full {
			out = append(out, u)
		}
		if u.Scheme = OtherScheme(full.Scheme); u.Scheme != full.Scheme {
			out = append(out, u)
		}
	}
	add(s.Path)
	for i := len(s.Path) - 1; i > 0 && len(out) < maxSites/2; i-- {
		if s.Path[i] == '/' && i+1 < len(s.Path) {
			add(s.Path[:i+1])
		}
		if i > 0 && endsPart(s.Path[i]) && s.Path[i-1] != '/' {
			add(s.Path[:i])
		}
	}
	if s.Path == "/" {
		return out
	}
	add("/") // always: the far parts between may be left out
	return out
}

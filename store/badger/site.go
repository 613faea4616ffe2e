package badger

import (
	"bytes"
	"crypto/sha256"
	"net/netip"
	"strings"

	"github.com/tipmesh/tipmesh/store"
)

// Values that contain others have keys that sort by where they are, so that what
// lies within one of them stands together: addresses by their bytes, names by
// their labels from the last to the first, URLs below their host.
const (
	site4    = '4' // addr4 length [URL]
	site6    = '6' // addr16 length [URL]
	siteName = 'd' // label 1 label 1 label 0 [URL]
	siteNone = 'x' // digest of type and text; of all other values

	endLabel = 1
	endPart  = 0 // of a URL: path 0 scheme 0 user 0 port
)

// Longer keys are cut and end in a digest; the text stands in the row.
const (
	siteKeyMost = 184
	siteCut     = siteKeyMost + 16
)

// appendHost encodes where a site's address, network or name is.
func appendHost(key []byte, s *store.Site) []byte {
	if s.Net.IsValid() {
		a := s.Net.Addr()
		if a.Is4() {
			b := a.As4()
			key = append(append(key, site4), b[:]...)
		} else {
			b := a.As16()
			key = append(append(key, site6), b[:]...)
		}
		return append(key, byte(s.Net.Bits()))
	}
	key = append(key, siteName)
	for name := s.Name; ; {
		dot := strings.LastIndexByte(name, '.')
		key = append(key, name[dot+1:]...)
		if dot < 0 {
			return append(key, endPart)
		}
		key, name = append(key, endLabel), name[:dot]
	}
}

// appendSite encodes a site.
func appendSite(key []byte, s *store.Site) []byte {
	start := len(key)
	key = appendHost(key, s)
	if s.Path != "" {
		for i, part := range [...]string{s.Path, s.Scheme, s.User, s.Port} {
			if i > 0 {
				key = append(key, endPart)
			}
			key = append(key, part...)
		}
	}
	if len(key)-start > siteKeyMost {
		sum := sha256.Sum256(key[start:])
		key = append(key[:start+siteKeyMost], sum[:16]...)
	}
	return key
}

// siteOfKey decodes what appendSite made; ok is false where it was cut.
func siteOfKey(key []byte) (s store.Site, ok bool) {
	if len(key) < 2 || len(key) >= siteCut {
		return s, false
	}
	rest := key[1:]
	switch key[0] {
	case site4, site6:
		n := 4
		if key[0] == site6 {
			n = 16
		}
		if len(rest) < n+1 {
			return s, false
		}
		a, _ := netip.AddrFromSlice(rest[:n])
		s.Net, rest = netip.PrefixFrom(a, int(rest[n])), rest[n+1:]
	case siteName:
		end := bytes.IndexByte(rest, endPart)
		if end < 0 {
			return s, false
		}
		labels := rest[:end]
		var b strings.Builder
		for {
			dot := bytes.LastIndexByte(labels, endLabel)
			b.Write(labels[dot+1:])
			if dot < 0 {
				break
			}
			b.WriteByte('.')
			labels = labels[:dot]
		}
		s.Name, rest = b.String(), rest[end+1:]
	default:
		return s, false
	}
	if len(rest) > 0 {
		parts := bytes.Split(rest, []byte{endPart})
		if len(parts) != 4 {
			return s, false
		}
		s.Path, s.Scheme, s.User, s.Port = string(parts[0]), string(parts[1]), string(parts[2]), string(parts[3])
	}
	return s, true
}

// span is the keys from one on that begin with a prefix and are not after last.
type span struct{ prefix, from, last []byte }

// within gives where the keys of what lies within a site are. What is found
// there has to be compared still.
func within(letter byte, s *store.Site) span {
	host := appendHost([]byte{letter}, s)
	if s.Path != "" {
		prefix := append(host, s.Path...)
		prefix = prefix[:min(len(prefix), 1+siteKeyMost)]
		return span{prefix: prefix, from: prefix}
	}
	if !s.Net.IsValid() {
		prefix := host[:len(host)-1] // the end of the name: what goes on is below
		return span{prefix: prefix, from: append(bytes.Clone(host), endPart+1), last: append(bytes.Clone(prefix), endLabel, 0xFF)}
	}
	if s.Net.IsSingleIP() {
		return span{prefix: host, from: append(bytes.Clone(host), 0)}
	}
	at, whole := 2, s.Net.Bits()/8 // the letter and the kind stand before the address
	last := bytes.Clone(host)
	for i := s.Net.Bits(); i < s.Net.Addr().BitLen(); i++ {
		last[at+i/8] |= 0x80 >> (i % 8)
	}
	last[len(last)-1] = 0xFF
	from := bytes.Clone(host)
	from[len(from)-1]++
	return span{prefix: host[:at+whole], from: from, last: last}
}

// Package observable holds the values that threat intelligence is about: addresses, networks, names, URLs,
// mail addresses, hashes and file names. It takes the defanging off, normalises, classifies, tells which values
// must not be shared as indicators, and finds values in free text.
//
// Two values are the same when their Type and Text are the same. Text is live (never defanged) and normalised:
//
//   - hosts are lower case, in punycode, without a trailing dot, under a known public suffix;
//   - addresses are written as RFC 5952 and dotted decimal without leading zeros; an IPv4-mapped address is the
//     IPv4 address; networks are masked, and a /32 or /128 is the address;
//   - a URL has scheme and host in lower case, no default port, no fragment, and "/" for an empty path. Path,
//     query and user information are kept byte for byte: "http://bank.com@evil.com/" is a trick whose point is
//     the user information. A value without scheme, "host/path", becomes "http://host/path"; Schemeless gives
//     the form in which it meets its https twin;
//   - a mail address is lower case whole. RFC 5321 lets the local part differ by case, no large provider does,
//     and a comparison that misses by case is worse than one that is too wide by it;
//   - hashes are lower case hexadecimal.
//
// The package does no I/O and keeps no state; every function is safe for concurrent use.
package observable

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Type is the kind of a value.
type Type string

// The kinds of values.
const (
	IPv4     Type = "ipv4"
	IPv6     Type = "ipv6"
	IPv4Net  Type = "ipv4-net"
	IPv6Net  Type = "ipv6-net"
	Domain   Type = "domain"
	URL      Type = "url"
	Email    Type = "email"
	MD5      Type = "md5"
	SHA1     Type = "sha1"
	SHA256   Type = "sha256"
	SHA512   Type = "sha512"
	Filename Type = "filename"
)

// MaxLength is the longest value taken, in bytes.
const MaxLength = 4096

// Value is one normalised, live value.
type Value struct {
	Type Type
	Text string
}

var (
	errEmpty   = errors.New("empty value")
	errTooLong = fmt.Errorf("longer than %d bytes", MaxLength)
)

// Parse reads one value as a person or a list writes it: it trims blanks, quotes and a trailing comma, takes the
// defanging off, classifies and normalises. It never gives a Filename: a bare word says too little. The error
// says in plain words why the value was not understood.
func Parse(s string) (Value, error) {
	s, err := clean(s)
	if err != nil {
		return Value{}, err
	}
	if t := hashType(s); t != "" {
		return Value{t, strings.ToLower(s)}, nil
	}
	if head, rest, ok := strings.Cut(s, ":"); ok {
		if v, ok := parseLabelled(strings.ToLower(head), rest); ok {
			return v, nil
		}
	}
	return classify(s)
}

// parseLabelled reads "sha256:HEX" and "mailto:a@b.c".
func parseLabelled(label, rest string) (Value, bool) {
	switch label {
	case "md5", "sha1", "sha256", "sha512", "sha-1", "sha-256", "sha-512":
		v, err := parseHash(Type(strings.Replace(label, "-", "", 1)), strings.TrimSpace(rest))
		return v, err == nil
	case "mailto":
		v, err := parseEmail(rest)
		return v, err == nil
	}
	return Value{}, false
}

func classify(s string) (Value, error) {
	if strings.Contains(s, "://") {
		return parseURL(s)
	}
	if v, ok, err := parseAddress(s); ok {
		return v, err
	}
	slash := strings.IndexAny(s, "/?")
	if at := strings.IndexByte(s, '@'); at >= 0 && (slash < 0 || at < slash) {
		return parseEmail(s)
	}
	if slash == 0 {
		return Value{}, errors.New("a path without a host")
	}
	if slash > 0 {
		return parseURL("http://" + s)
	}
	host, err := cutPort(s)
	if err != nil {
		return Value{}, err
	}
	return parseDomain(host)
}

// ParseAs normalises s as a value of type t, as where a STIX pattern or the column of a table says the type. It
// differs from Parse in what it refuses: anything that is not a t. A host/path without scheme is taken as a URL,
// a lone host too; an IPv4Net or IPv6Net with a full prefix comes back as the address it is, and an address
// given as a network likewise. A Domain that is written as an address comes back as the address.
func ParseAs(t Type, s string) (Value, error) {
	if t == Filename {
		return parseFilename(s)
	}
	s, err := clean(s)
	if err != nil {
		return Value{}, err
	}
	switch t {
	case MD5, SHA1, SHA256, SHA512:
		return parseHash(t, s)
	case Email:
		return parseEmail(s)
	case URL:
		if !strings.Contains(s, "://") {
			s = "http://" + s
		}
		return parseURL(s)
	case IPv4, IPv6, IPv4Net, IPv6Net:
		v, ok, err := parseAddress(s)
		if err != nil {
			return Value{}, err
		}
		if !ok || strings.HasPrefix(string(t), "ipv4") != strings.HasPrefix(string(v.Type), "ipv4") || v.Type == URL {
			return Value{}, fmt.Errorf("not an %s", t)
		}
		if (t == IPv4 || t == IPv6) && v.Type != t {
			return Value{}, fmt.Errorf("a network, not an %s address", t)
		}
		return v, nil
	case Domain:
		if v, ok, err := parseAddress(s); ok && err == nil && (v.Type == IPv4 || v.Type == IPv6) {
			return v, nil
		}
		host, err := cutPort(s)
		if err != nil {
			return Value{}, err
		}
		return parseDomain(host)
	}
	return Value{}, fmt.Errorf("unknown type %q", string(t))
}

// ParseTerm normalises s as a value of type t, as where a STIX object states it:
// as ParseAs, but an address may carry a prefix length and is a network then.
func ParseTerm(t Type, s string) (Value, error) {
	switch t {
	case IPv4:
		t = IPv4Net
	case IPv6:
		t = IPv6Net
	}
	return ParseAs(t, s)
}

// clean trims and refangs a whole token.
func clean(s string) (string, error) {
	if len(s) > 4*MaxLength {
		return "", errTooLong
	}
	// Until nothing changes, so that a value parsed again is itself; "[[.]]" needs two rounds.
	for round := 0; ; round++ {
		was := s
		s = strings.TrimFunc(s, func(r rune) bool { return unicode.IsSpace(r) || r == '\uFEFF' })
		s = trimPair(strings.TrimRight(s, ",;"))
		s = spokenToDots(Refang(s))
		if s == was {
			break
		}
		if round == 8 {
			return "", errors.New("wrapped or defanged too many times over")
		}
	}
	switch {
	case s == "":
		return "", errEmpty
	case len(s) > MaxLength:
		return "", errTooLong
	case !utf8.ValidString(s):
		return "", errors.New("not valid UTF-8")
	}
	for _, r := range s {
		if r < ' ' || r == 0x7f || unicode.IsSpace(r) {
			return "", errors.New("a blank or control character inside the value")
		}
	}
	return s, nil
}

// trimPair takes quotes, backticks or angle brackets off both ends.
func trimPair(s string) string {
	if len(s) < 2 {
		return s
	}
	last := s[len(s)-1]
	switch first := s[0]; first {
	case '"', '\'', '`':
		if last == first {
			return s[1 : len(s)-1]
		}
	case '<':
		if last == '>' {
			return s[1 : len(s)-1]
		}
	}
	return s
}

// hashType tells the kind of a hash by its length, or "" if s is none.
func hashType(s string) Type {
	var t Type
	switch len(s) {
	case 32:
		t = MD5
	case 40:
		t = SHA1
	case 64:
		t = SHA256
	case 128:
		t = SHA512
	default:
		return ""
	}
	for i := range len(s) {
		if !isHex(s[i]) {
			return ""
		}
	}
	return t
}

func parseHash(t Type, s string) (Value, error) {
	if got := hashType(s); got != t {
		return Value{}, fmt.Errorf("not a %s hash in hexadecimal", t)
	}
	return Value{t, strings.ToLower(s)}, nil
}

// parseEmail takes the dot-atom form of RFC 5322, with UTF-8 (RFC 6532) in the local part; quoted local parts
// are refused.
func parseEmail(s string) (Value, error) {
	at := strings.LastIndexByte(s, '@')
	if at <= 0 {
		return Value{}, errors.New("a mail address needs something on both sides of @")
	}
	local := strings.ToLower(s[:at])
	if len(local) > 64 {
		return Value{}, errors.New("the part before @ is longer than 64 bytes")
	}
	for _, r := range local {
		if r < 0x80 && !isAlnum(byte(r)) && !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~.", r) {
			return Value{}, fmt.Errorf("character %q in the part before @", r)
		}
	}
	d, err := parseDomain(s[at+1:])
	if err != nil {
		return Value{}, err
	}
	return Value{Email, local + "@" + d.Text}, nil
}

func parseFilename(s string) (Value, error) {
	s = strings.TrimSpace(s)
	switch {
	case s == "":
		return Value{}, errEmpty
	case len(s) > MaxLength:
		return Value{}, errTooLong
	case !utf8.ValidString(s):
		return Value{}, errors.New("not valid UTF-8")
	}
	for _, r := range s {
		if r < ' ' || r == 0x7f {
			return Value{}, errors.New("a control character in the file name")
		}
	}
	return Value{Filename, s}, nil
}

// Host gives the host part of a Domain, URL or Email, or the address itself; "" for hashes, networks and files.
func (v Value) Host() string {
	switch v.Type {
	case Domain, IPv4, IPv6:
		return v.Text
	case Email:
		return v.Text[strings.LastIndexByte(v.Text, '@')+1:]
	case URL:
		return splitURL(v.Text).host
	}
	return ""
}

// Schemeless gives a URL without "scheme://", the form in which http, https and scheme-less writings of one
// address meet; ports that are the default of one scheme only are kept apart. Other values are given as they are.
func (v Value) Schemeless() string {
	if v.Type != URL {
		return v.Text
	}
	_, rest, _ := strings.Cut(v.Text, "://")
	return rest
}

// Addr gives the address of an IPv4 or IPv6 value.
func (v Value) Addr() (netip.Addr, bool) {
	if v.Type != IPv4 && v.Type != IPv6 {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(v.Text)
	return a, err == nil
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}
func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

package observable

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// idnaProfile is UTS 46 non-transitional, but takes the underscore of service names such as _dmarc.evil.com,
// which idna.Lookup refuses. What the profile lets through is checked again by checkHost.
var idnaProfile = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.Transitional(false),
	idna.StrictDomainName(false), idna.CheckHyphens(false))

// otherRoots are top-level names outside the root of the DNS that malware uses: onion (RFC 7686), i2p, and
// names of Namecoin, Emercoin, Handshake-like and Ethereum roots.
var otherRoots = map[string]bool{
	"onion": true, "i2p": true, "bit": true, "bazar": true, "coin": true, "emc": true, "lib": true,
	"eth": true, "crypto": true,
}

func parseDomain(s string) (Value, error) {
	host, err := normalHost(s)
	if err != nil {
		return Value{}, err
	}
	if !knownSuffix(host) && specialName(host) == "" {
		if !strings.Contains(host, ".") {
			return Value{}, errors.New("a single word, not a name with a domain")
		}
		return Value{}, fmt.Errorf("%q is not a known top-level domain", host[strings.LastIndexByte(host, '.')+1:])
	}
	return Value{Domain, host}, nil
}

// normalHost lower-cases a host name, turns it to punycode, strips the trailing dot and checks lengths and
// characters (RFC 1035 lengths; letters, digits, hyphen and underscore).
func normalHost(s string) (string, error) {
	if len(s) > maxHostText {
		return "", errors.New("the host name is longer than 253 bytes")
	}
	if ascii, upper := asciiCase(s); !ascii {
		t, err := idnaProfile.ToASCII(s)
		if err != nil {
			return "", fmt.Errorf("not a host name: %w", err)
		}
		// ToASCII maps some characters to upper-case or full-stop forms only in what it decodes.
		s = strings.ToLower(t)
	} else if upper {
		s = strings.ToLower(s)
	}
	s = strings.TrimSuffix(s, ".")
	return s, checkHost(s)
}

func asciiCase(s string) (ascii, upper bool) {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false, false
		}
		upper = upper || s[i] >= 'A' && s[i] <= 'Z'
	}
	return true, upper
}

func checkHost(s string) error {
	if s == "" {
		return errors.New("no host")
	}
	if len(s) > 253 {
		return errors.New("the host name is longer than 253 bytes")
	}
	if s[0] == '.' {
		return errors.New("begins with a dot; all names under a domain are no one value")
	}
	start := 0
	for i := 0; i <= len(s); i++ {
		if i < len(s) && s[i] != '.' {
			if c := s[i]; c == '*' {
				return errors.New("a wildcard; give the name itself")
			} else if !isAlnum(c) && c != '-' && c != '_' {
				return fmt.Errorf("character %q in a host name", rune(c))
			}
			continue
		}
		if i == start {
			return errors.New("an empty label in the host name")
		}
		if i-start > 63 {
			return errors.New("a label of the host name is longer than 63 bytes")
		}
		start = i + 1
	}
	return nil
}

// knownSuffix tells whether a normalised name of two labels or more ends in a public suffix (publicsuffix.org,
// both its sections) or one of otherRoots.
func knownSuffix(host string) bool {
	dot := strings.LastIndexByte(host, '.')
	// No top-level name begins with a digit; publicsuffix takes an address for a suffix.
	if dot < 0 || isDigit(host[dot+1]) {
		return false
	}
	if otherRoots[host[dot+1:]] {
		return true
	}
	suffix, icann := publicsuffix.PublicSuffix(host)
	// An unlisted top-level name falls under the list's default rule: one label, not ICANN's.
	return icann || strings.Contains(suffix, ".")
}

// cutPort takes ":port" off a host; an unbracketed IPv6 address never comes here.
func cutPort(s string) (string, error) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return s, nil
	}
	if _, err := portNumber(s[i+1:]); err != nil {
		return "", err
	}
	return s[:i], nil
}

func portNumber(s string) (int, error) {
	n := 0
	for i := range len(s) {
		if !isDigit(s[i]) || i > 8 {
			return 0, errors.New("what follows the colon is not a port")
		}
		n = n*10 + int(s[i]-'0')
	}
	if n == 0 || n > 65535 {
		return 0, errors.New("a port is a number from 1 to 65535")
	}
	return n, nil
}

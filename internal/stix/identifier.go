package stix

import (
	"crypto/sha1" // #nosec G505 -- UUIDv5 is defined over SHA-1
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/gowebpki/jcs"
)

type uuid [16]byte

// namespaceSCO is STIX 2.1 section 2.9's namespace for the ids of observables.
var namespaceSCO = uuid{0x00, 0xab, 0xed, 0xb4, 0xaa, 0x42, 0x46, 0x6c, 0x9c, 0x01, 0xfe, 0xd2, 0x33, 0x15, 0xa9, 0xb7}

// namespaceTipmesh is ours, for the ids of authored objects:
// e1c83f6b-ef8c-4704-9608-285c4560c740.
var namespaceTipmesh = uuid{0xe1, 0xc8, 0x3f, 0x6b, 0xef, 0x8c, 0x47, 0x04, 0x96, 0x08, 0x28, 0x5c, 0x45, 0x60, 0xc7, 0x40}

// uuid5 is RFC 9562's name-based UUID over SHA-1.
func uuid5(namespace uuid, name []byte) uuid {
	var stack [512]byte
	buf := append(append(stack[:0], namespace[:]...), name...)
	sum := sha1.Sum(buf) // #nosec G401
	var id uuid
	copy(id[:], sum[:])
	id[6] = id[6]&0x0f | 0x50
	id[8] = id[8]&0x3f | 0x80
	return id
}

func (u uuid) append(dst []byte) []byte {
	var b [36]byte
	hex.Encode(b[0:8], u[0:4])
	hex.Encode(b[9:13], u[4:6])
	hex.Encode(b[14:18], u[6:8])
	hex.Encode(b[19:23], u[8:10])
	hex.Encode(b[24:36], u[10:16])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return append(dst, b[:]...)
}

// derivedID is the id of an object we author: the same parts always give the
// same id, so that a thing said twice is one object with two versions. Parts
// are joined with NUL, which none of them may hold.
func derivedID(kind string, parts ...string) string {
	var stack [384]byte
	name := append(stack[:0], kind...)
	for _, p := range parts {
		name = append(append(name, 0), p...)
	}
	var out [96]byte
	dst := append(append(out[:0], kind...), '-', '-')
	return string(uuid5(namespaceTipmesh, name).append(dst))
}

// ValidID tells whether id has the form type--UUID of STIX 2.1 section 2.9:
// a type of lower-case letters, digits and hyphens, and an RFC 9562 UUID of
// any version.
func ValidID(id string) bool {
	kind, u, ok := strings.Cut(id, "--")
	return ok && validType(kind) && validUUID(u)
}

// IDType returns the type part of an id, "" if it has none.
func IDType(id string) string {
	kind, _, ok := strings.Cut(id, "--")
	if !ok {
		return ""
	}
	return kind
}

// validType is section 3.1: 3 to 250 of a-z, 0-9 and hyphen, the latter not
// first, last or doubled.
func validType(s string) bool {
	if len(s) < 3 || len(s) > 250 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		case c == '-' && s[i-1] != '-':
		default:
			return false
		}
	}
	return true
}

func validUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F') {
				return false
			}
		}
	}
	return true
}

// contributing lists the id-contributing properties of each SCO type, STIX
// 2.1 section 6. Types whose list is empty (process) or who are not here take
// a random UUID.
var contributing = map[string][]string{
	"artifact":             {"hashes", "payload_bin"},
	"autonomous-system":    {"number"},
	"directory":            {"path"},
	"domain-name":          {"value"},
	"email-addr":           {"value"},
	"email-message":        {"from_ref", "subject", "body"},
	"file":                 {"hashes", "name", "parent_directory_ref", "extensions"},
	"ipv4-addr":            {"value"},
	"ipv6-addr":            {"value"},
	"mac-addr":             {"value"},
	"mutex":                {"name"},
	"network-traffic":      {"start", "end", "src_ref", "dst_ref", "src_port", "dst_port", "protocols", "extensions"},
	"software":             {"name", "cpe", "swid", "vendor", "version"},
	"url":                  {"value"},
	"user-account":         {"account_type", "user_id", "account_login"},
	"windows-registry-key": {"key", "values"},
	"x509-certificate":     {"hashes", "serial_number"},
}

// ObservableID returns the deterministic id of a cyber observable: UUIDv5 in
// the SCO namespace over the canonical JSON (RFC 8785) of those of props that
// contribute to the id (STIX 2.1 section 2.9). Of hashes one contributes: the
// first there is of MD5, SHA-1, SHA-256, SHA-512. It returns "" where the id
// cannot be derived: a type without contributing properties, none of them in
// props, or values that JSON cannot hold.
func ObservableID(kind string, props map[string]any) string {
	chosen := make(map[string]any)
	for _, name := range contributing[kind] {
		v, ok := props[name]
		if !ok {
			continue
		}
		if name == "hashes" {
			if v = oneHash(v); v == nil {
				continue
			}
		}
		chosen[name] = v
	}
	if len(chosen) == 0 {
		return ""
	}
	raw, err := json.Marshal(chosen)
	if err != nil {
		return ""
	}
	canonical, err := jcs.Transform(raw)
	if err != nil {
		return ""
	}
	return string(uuid5(namespaceSCO, canonical).append([]byte(kind + "--")))
}

// oneHash picks the hash that contributes, by section 2.9's order of
// preference; any other algorithm only where it is the only one.
func oneHash(v any) any {
	all := make(map[string]string)
	switch m := v.(type) {
	case map[string]string:
		all = m
	case map[string]any:
		for k, x := range m {
			if s, ok := x.(string); ok {
				all[k] = s
			}
		}
	}
	for _, name := range []string{"MD5", "SHA-1", "SHA-256", "SHA-512"} {
		if h, ok := all[name]; ok {
			return map[string]string{name: h}
		}
	}
	first := ""
	for k := range all {
		if first == "" || k < first {
			first = k
		}
	}
	if first == "" {
		return nil
	}
	return map[string]string{first: all[first]}
}

// ParseTime reads a STIX timestamp (section 2.16): RFC 3339 with an upper-case
// T and Z, any number of fraction digits, of which nine are kept. A 60th
// second, allowed there, becomes the next minute's start.
func ParseTime(s string) (time.Time, error) {
	bad := func() (time.Time, error) {
		return time.Time{}, fmt.Errorf("parse timestamp %.40q: not RFC 3339 in UTC", s)
	}
	if len(s) < 20 || s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':' || s[len(s)-1] != 'Z' {
		return bad()
	}
	y, mo, d := digits(s[0:4]), digits(s[5:7]), digits(s[8:10])
	h, mi, sec := digits(s[11:13]), digits(s[14:16]), digits(s[17:19])
	if y < 1 || mo < 1 || mo > 12 || d < 1 || d > 31 || h < 0 || h > 23 || mi < 0 || mi > 59 || sec < 0 || sec > 60 {
		return bad()
	}
	nano := 0
	if frac := s[19 : len(s)-1]; frac != "" {
		if frac[0] != '.' || len(frac) < 2 {
			return bad()
		}
		scale := 100_000_000
		for _, c := range []byte(frac[1:]) {
			if c < '0' || c > '9' {
				return bad()
			}
			nano += int(c-'0') * scale
			scale /= 10
		}
	}
	t := time.Date(y, time.Month(mo), d, h, mi, sec, nano, time.UTC)
	if t.Day() != d && sec != 60 {
		return bad() // 31 April
	}
	return t, nil
}

func digits(s string) int {
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return -1
		}
		n = n*10 + int(s[i]-'0')
	}
	return n
}

// AppendTime appends t in UTC with milliseconds, the precision of all we write.
func AppendTime(dst []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	if year < 0 || year > 9999 {
		return t.AppendFormat(dst, "2006-01-02T15:04:05.000Z")
	}
	hour, minute, second := t.Clock()
	dst = appendDigits(dst, year, 4, '-')
	dst = appendDigits(dst, int(month), 2, '-')
	dst = appendDigits(dst, day, 2, 'T')
	dst = appendDigits(dst, hour, 2, ':')
	dst = appendDigits(dst, minute, 2, ':')
	dst = appendDigits(dst, second, 2, '.')
	return appendDigits(dst, t.Nanosecond()/1e6, 3, 'Z')
}

// appendDigits appends n with leading zeros, and what follows it.
func appendDigits(dst []byte, n, width int, then byte) []byte {
	var b [4]byte
	for i := width - 1; i >= 0; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
	return append(append(dst, b[:width]...), then)
}

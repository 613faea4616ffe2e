package stix

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// cursor walks JSON that jsontext has already found valid, so it checks
// bounds but not grammar. It is what makes Scan fast: no token is built for
// a value that nobody asked for.
type cursor struct {
	s       string
	i       int
	deepest int  // nesting of the deepest value skipped
	plain   bool // there is no escape in s

	// The last timestamp: created, modified and valid_from are often one,
	// and all the objects of a share have the same.
	stamp string
	at    time.Time
}

// walkOver returns a cursor at the start of valid JSON.
func walkOver(s string) cursor {
	return cursor{s: s, plain: strings.IndexByte(s, '\\') < 0}
}

func (c *cursor) space() {
	for c.i < len(c.s) {
		switch c.s[c.i] {
		case ' ', '\t', '\r', '\n', ',', ':':
			// Separators carry nothing in valid JSON.
			c.i++
		default:
			return
		}
	}
}

// peek returns the first byte of the next value or closing bracket; 0 at the end.
func (c *cursor) peek() byte {
	c.space()
	if c.i >= len(c.s) {
		return 0
	}
	return c.s[c.i]
}

// enter steps over an opening bracket if it is the next thing.
func (c *cursor) enter(open byte) bool {
	if c.peek() != open {
		return false
	}
	c.i++
	return true
}

// more tells whether another member or element follows, and otherwise steps
// over the closing bracket.
func (c *cursor) more() bool {
	switch c.peek() {
	case 0:
		return false
	case '}', ']':
		c.i++
		return false
	}
	return true
}

// rawString returns what stands between the quotes of the next string,
// escapes as they are, and whether there are any.
func (c *cursor) rawString() (s string, escaped bool) {
	if c.peek() != '"' {
		c.skip()
		return "", false
	}
	start := c.i + 1
	i := start
	if end := strings.IndexByte(c.s[start:], '"'); end >= 0 &&
		(c.plain || strings.IndexByte(c.s[start:start+end], '\\') < 0) {
		c.i = start + end + 1
		return c.s[start : start+end], false
	}
	for i < len(c.s) && c.s[i] != '"' {
		if c.s[i] == '\\' {
			i++
		}
		i++
	}
	i = min(i, len(c.s))
	c.i = min(i+1, len(c.s))
	return c.s[start:i], true
}

// text returns the next string unescaped, and "" (the value skipped) if the
// next value is no string.
func (c *cursor) text() string {
	s, escaped := c.rawString()
	if escaped {
		return unescape(s)
	}
	return s
}

// skip steps over the next value.
func (c *cursor) skip() {
	depth := 0
	for {
		switch c.peek() {
		case 0:
			return
		case '"':
			c.rawString()
		case '{', '[':
			depth++
			c.deepest = max(c.deepest, depth)
			c.i++
		case '}', ']':
			depth--
			c.i++
		default:
			c.scalar()
		}
		if depth <= 0 {
			return
		}
	}
}

// scalar returns the next number or literal.
func (c *cursor) scalar() string {
	c.space()
	start := c.i
	for c.i < len(c.s) {
		switch c.s[c.i] {
		case ',', '}', ']', ' ', '\t', '\r', '\n', ':', '"', '{', '[':
			if c.i == start {
				c.i++ // never stand still, whatever the input
			}
			return c.s[start:c.i]
		}
		c.i++
	}
	return c.s[start:]
}

// value returns the bytes of the next value, whatever it is.
func (c *cursor) value() string {
	c.space()
	start := c.i
	c.skip()
	return c.s[start:c.i]
}

// bool reads the next value; anything but true is false.
func (c *cursor) bool() bool { return c.value() == "true" }

// time reads the next value as a timestamp, zero if it is none.
func (c *cursor) time() time.Time {
	s := c.text()
	if s != c.stamp {
		c.stamp = s
		var err error
		if c.at, err = ParseTime(s); err != nil {
			c.at = time.Time{}
		}
	}
	return c.at
}

// int reads the next value as a number, -1 if it is none in 0..1e6.
func (c *cursor) int() int {
	s := c.value()
	if len(s) > 0 && len(s) < 7 {
		if n := digits(s); n >= 0 {
			return n
		}
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || n < 0 || n > 1e6 {
		return -1
	}
	return int(n)
}

// unescape resolves the escapes of a valid JSON string's inside.
func unescape(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); {
		if s[i] != '\\' || i+1 >= len(s) {
			b.WriteByte(s[i])
			i++
			continue
		}
		if s[i+1] != 'u' {
			b.WriteByte(simpleEscape(s[i+1]))
			i += 2
			continue
		}
		r := hex4(s[i+2:])
		i = min(i+6, len(s))
		if utf16.IsSurrogate(r) && strings.HasPrefix(s[i:], `\u`) {
			if d := utf16.DecodeRune(r, hex4(s[i+2:])); d != utf8.RuneError {
				r = d
				i = min(i+6, len(s))
			}
		}
		b.WriteRune(r)
	}
	return b.String()
}

func simpleEscape(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}

func hex4(s string) rune {
	if len(s) < 4 {
		return utf8.RuneError
	}
	n, err := strconv.ParseUint(s[:4], 16, 16)
	if err != nil {
		return utf8.RuneError
	}
	return rune(n)
}

// depthOf returns the deepest nesting in a valid JSON value.
func depthOf(s string) int {
	c := walkOver(s)
	c.skip()
	return c.deepest
}

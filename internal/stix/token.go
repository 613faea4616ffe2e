package stix

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// tokenKind is the kind of a pattern's token.
type tokenKind uint8

const (
	tokEnd     tokenKind = iota
	tokWord              // identifier or keyword, hyphens included
	tokInt               // 12, -3
	tokFloat             // 1.5
	tokString            // '…'
	tokTime              // t'…'
	tokHex               // h'…'
	tokBinary            // b'…'
	tokCompare           // = != < <= > >=
	tokPunct             // ( ) [ ] , : . *
)

type token struct {
	kind tokenKind
	text string // unescaped for tokString, without prefix and quotes for literals
	pos  int
}

// lexer cuts a pattern into tokens, by the STIX patterning grammar (STIX 2.1
// section 9, and OASIS's STIXPattern.g4).
type lexer struct {
	s string
	i int
}

func (l *lexer) fail(pos int, format string, args ...any) error {
	return fmt.Errorf("parse pattern: byte %d: %s", pos, fmt.Sprintf(format, args...))
}

func (l *lexer) next() (token, error) {
	if err := l.blank(); err != nil {
		return token{}, err
	}
	if l.i >= len(l.s) {
		return token{kind: tokEnd, pos: l.i}, nil
	}
	start := l.i
	c := l.s[l.i]
	switch {
	case c == '\'':
		return l.quoted(tokString, start, 0)
	case (c == 't' || c == 'h' || c == 'b') && start+1 < len(l.s) && l.s[start+1] == '\'':
		kind := map[byte]tokenKind{'t': tokTime, 'h': tokHex, 'b': tokBinary}[c]
		return l.quoted(kind, start, 1)
	case letter(c):
		for l.i < len(l.s) && (letter(l.s[l.i]) || digit(l.s[l.i]) || l.s[l.i] == '-') {
			l.i++
		}
		return token{tokWord, l.s[start:l.i], start}, nil
	case digit(c), (c == '-' || c == '+' || c == '.') && start+1 < len(l.s) && (digit(l.s[start+1]) || l.s[start+1] == '.'):
		return l.number(start)
	case strings.IndexByte("()[],:.*", c) >= 0:
		l.i++
		return token{tokPunct, l.s[start:l.i], start}, nil
	}
	return l.operator(start)
}

// blank steps over white space and comments.
func (l *lexer) blank() error {
	for l.i < len(l.s) {
		rest := l.s[l.i:]
		switch {
		case rest[0] == ' ' || rest[0] >= '\t' && rest[0] <= '\r':
			l.i++
		case strings.HasPrefix(rest, "//"):
			n := strings.IndexByte(rest, '\n')
			if n < 0 {
				n = len(rest)
			}
			l.i += n
		case strings.HasPrefix(rest, "/*"):
			n := strings.Index(rest[2:], "*/")
			if n < 0 {
				return l.fail(l.i, "comment without an end")
			}
			l.i += n + 4
		case rest[0] >= utf8.RuneSelf:
			n := wideSpace(rest)
			if n == 0 {
				return nil
			}
			l.i += n
		default:
			return nil
		}
	}
	return nil
}

// wideSpace returns the length of a white space beyond ASCII at the start of
// s, as the grammar lists them.
func wideSpace(s string) int {
	switch r, n := utf8.DecodeRuneInString(s); {
	case r == 0x85, r == 0xA0, r == 0x1680, r >= 0x2000 && r <= 0x200A,
		r == 0x2028, r == 0x2029, r == 0x202F, r == 0x205F, r == 0x3000:
		return n
	}
	return 0
}

func (l *lexer) operator(start int) (token, error) {
	rest := l.s[start:]
	for _, op := range [...]struct{ text, as string }{
		{"==", "="}, {"!=", "!="}, {"<>", "!="}, {"<=", "<="}, {">=", ">="}, {"=", "="}, {"<", "<"}, {">", ">"},
	} {
		if strings.HasPrefix(rest, op.text) {
			l.i += len(op.text)
			return token{tokCompare, op.as, start}, nil
		}
	}
	r, _ := utf8.DecodeRuneInString(rest)
	return token{}, l.fail(start, "unexpected %q", r)
}

func (l *lexer) number(start int) (token, error) {
	if l.s[l.i] == '-' || l.s[l.i] == '+' {
		l.i++
	}
	whole := l.i
	for l.i < len(l.s) && digit(l.s[l.i]) {
		l.i++
	}
	if l.i-whole > 1 && l.s[whole] == '0' {
		return token{}, l.fail(start, "number with a leading zero")
	}
	kind := tokInt
	if l.i+1 < len(l.s) && l.s[l.i] == '.' && digit(l.s[l.i+1]) {
		kind = tokFloat
		for l.i++; l.i < len(l.s) && digit(l.s[l.i]); l.i++ {
		}
	}
	if l.i == whole {
		l.i = start + 1
		if l.s[start] != '.' {
			return token{}, l.fail(start, "unexpected %q", l.s[start])
		}
		return token{tokPunct, ".", start}, nil
	}
	return token{kind, strings.TrimPrefix(l.s[start:l.i], "+"), start}, nil
}

// quoted reads '…' and its prefixed likes. Only \' and \\ are escapes, and
// only in strings.
func (l *lexer) quoted(kind tokenKind, start, prefix int) (token, error) {
	l.i = start + prefix + 1
	begin, escaped := l.i, false
	for l.i < len(l.s) && l.s[l.i] != '\'' {
		if l.s[l.i] == '\\' {
			escaped = true
			l.i++
			if l.i >= len(l.s) || l.s[l.i] != '\'' && l.s[l.i] != '\\' {
				return token{}, l.fail(l.i-1, `backslash before neither ' nor \`)
			}
		}
		l.i++
	}
	if l.i >= len(l.s) {
		return token{}, l.fail(start, "string without an end")
	}
	text := l.s[begin:l.i]
	l.i++
	if kind != tokString {
		return token{kind, text, start}, l.checkLiteral(kind, text, start)
	}
	if escaped {
		text = patternUnescape(text)
	}
	return token{kind, text, start}, nil
}

func (l *lexer) checkLiteral(kind tokenKind, text string, start int) error {
	switch kind {
	case tokTime:
		if _, err := ParseTime(text); err != nil {
			return l.fail(start, "timestamp not RFC 3339 in UTC")
		}
	case tokHex:
		if len(text)%2 != 0 || strings.Trim(text, "0123456789abcdefABCDEF") != "" {
			return l.fail(start, "hex literal not of pairs of digits")
		}
	case tokBinary:
		body := strings.TrimRight(text, "=")
		if text == "" || len(text)%4 != 0 || len(text)-len(body) > 2 || strings.IndexFunc(body, notBase64) >= 0 {
			return l.fail(start, "binary literal not base64")
		}
	}
	return nil
}

func notBase64(r rune) bool {
	return !(r < utf8.RuneSelf && (letter(byte(r)) && r != '_' || digit(byte(r)) || r == '+' || r == '/'))
}

func patternUnescape(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func letter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' }

func digit(c byte) bool { return c >= '0' && c <= '9' }

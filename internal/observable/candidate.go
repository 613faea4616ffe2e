package observable

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxHostText bounds, in bytes, what is looked at as a host, before punycode makes it shorter or longer.
const maxHostText = 1024

// textSchemes are the schemes after which free text has a URL; tcp and udp only name the host behind them.
var textSchemes = map[string]bool{
	"http": true, "https": true, "ftp": true, "ftps": true, "sftp": true, "tftp": true, "ws": true, "wss": true,
	"smb": true, "ldap": true, "ldaps": true, "rtsp": true, "rmi": true,
}

// url notes the URL whose scheme ends at j; it gives 0 where there is none.
func (x *extractor) url(i, j int) int {
	b := x.b
	s := j
	for s > i && isAlnum(b[s-1]) {
		s--
	}
	if j-s > 8 || !textSchemes[strings.ToLower(b[s:j])] {
		return 0
	}
	e := x.urlEnd(s, j+3, false)
	v, err := ParseAs(URL, b[s:e])
	if err != nil {
		x.malformed(s, e, err)
		return e
	}
	c := x.context(s, e)
	c.link = c.link || x.isLink(s, e)
	x.add(v, s, e, c)
	if c.link && !c.defanged {
		// A link to a report on a sample, not a path chosen by malware.
		x.hashes(j, e)
	}
	return e
}

// urlEnd gives where the URL that began at s ends; from is past its scheme or host. Without a scheme a comma ends
// it: lists of host/path are more common than commas in paths.
func (x *extractor) urlEnd(s, from int, bare bool) int {
	b := x.b
	e := from
scan:
	for e < len(b) {
		switch c := b[e]; {
		case c <= ' ' || c == 0x7f || c == '<' || c == '>' || c == '"' || c == '`' || c == '|' || c == '\\':
			break scan
		case c == '[' && e > from || c == ']' && !strings.HasPrefix(b[from:e], "["):
			break scan // "https://site[words]" of AsciiDoc
		case (c == ',' || c == ';') && (bare || startsURL(b[e+1:])):
			break scan
		case c >= utf8.RuneSelf:
			r, n := utf8.DecodeRuneInString(b[e:])
			if r == utf8.RuneError || unicode.IsSpace(r) || unicode.In(r, unicode.Pi, unicode.Pf, unicode.Ps, unicode.Pe) {
				break scan
			}
			e += n - 1
		}
		e++
	}
	return trimTail(b, s, from, e)
}

func startsURL(s string) bool {
	return strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "ftp://")
}

// trimTail takes off what belongs to the sentence rather than to the URL [s,e).
func trimTail(b string, s, from, e int) int {
	plus := s > 0 && (b[s-1] == '+' || b[s-1] == '*' || b[s-1] == '_')
	open := strings.Count(b[from:e], "(") - strings.Count(b[from:e], ")")
	for e > from {
		switch c := b[e-1]; c {
		case '.', ',', ';', ':', '!', '\'', '{', '}', '(':
			if c == '(' {
				open--
			}
		case ')':
			if open >= 0 {
				return e
			}
			open++
		case '+', '*', '_':
			if !plus {
				return e
			}
		default:
			return e
		}
		e--
	}
	return e
}

// email notes the mail address whose @ stands at j.
func (x *extractor) email(i, j int) int {
	b := x.b
	s := i
	for s > 0 && j-s < 64 && (wordByte[b[s-1]] || b[s-1] == '+' || b[s-1] == '%') {
		s--
	}
	for s < j && !isAlnum(b[s]) && b[s] < utf8.RuneSelf {
		s++
	}
	e := x.wordEnd(j + 1)
	for e > j+1 && !isAlnum(b[e-1]) && b[e-1] < utf8.RuneSelf {
		e--
	}
	if s == j || e == j+1 {
		return 0
	}
	v, err := parseEmail(b[s:e])
	if err != nil {
		x.malformed(s, e, err)
		return e
	}
	x.add(v, s, e, x.context(s, e))
	return e
}

// ipv6 notes the IPv6 address or network that begins at i.
func (x *extractor) ipv6(i int) int {
	b := x.b
	if i > 0 && (isAlnum(b[i-1]) || b[i-1] == ':' || b[i-1] == '.') {
		return 0
	}
	e, colons := i, 0
	for e < len(b) && e-i < 46 && (isHex(b[e]) || b[e] == ':' || b[e] == '.') {
		if b[e] == ':' {
			colons++
		}
		e++
	}
	if colons < 2 || e < len(b) && isAlnum(b[e]) {
		return 0
	}
	for e > i && (b[e-1] == '.' || b[e-1] == ':' && !strings.HasSuffix(b[i:e], "::")) {
		e--
	}
	v, ok, err := parseIPv6(b[i:e], "")
	if !ok || err != nil || v.Type == IPv6 && v.Special() == "reserved" && !marked(x.edits, i, e) {
		return 0 // a::b is C++ more often than a reserved address
	}
	if n := prefixEnd(b, e); n > e {
		if p, _, err := parseIPv6(b[i:e], b[e:n]); err == nil {
			v, e = p, n
		}
	}
	x.add(v, i, e, x.context(i, e))
	return e
}

// prefixEnd gives the end of "/24" at e, or e where there is no prefix length.
func prefixEnd(b string, e int) int {
	if e >= len(b) || b[e] != '/' {
		return e
	}
	n := e + 1
	for n < len(b) && n-e <= 3 && isDigit(b[n]) {
		n++
	}
	if n == e+1 || n < len(b) && (isAlnum(b[n]) || b[n] == '/' || b[n] == '-' || b[n] == '_') {
		return e
	}
	return n
}

// host notes the address, network, name or host/path that the word [i,j) begins.
func (x *extractor) host(i, j int) int {
	b := x.b
	s, e := trimWord(b, i, j)
	if s >= e || e-s > maxHostText || !strings.Contains(b[s:e], ".") {
		return 0
	}
	// A part of a path, of a detection's name, or of a program's version: Win32/Turla.BT, Chrome/41.0.2227.0.
	if s > 0 && strings.IndexByte("/\\$%", b[s-1]) >= 0 && !strings.HasSuffix(b[:s], "://") && !marked(x.edits, s, e) {
		return 0
	}
	v, ok, err := parseAddress(b[s:e])
	if !ok {
		v, err = parseDomain(b[s:e])
	}
	if err != nil {
		if !strings.Contains(b[s:e], "..") && plausibleHost(b[s:e]) {
			x.malformed(s, e, err)
		}
		return 0
	}
	if v.Type == Domain && !marked(x.edits, s, e) && !plainName(b, s, e) {
		return 0
	}
	if n := prefixEnd(b, e); n > e && v.Type == IPv4 {
		if p, ok, err := parseAddress(b[s:n]); ok && err == nil {
			x.add(p, s, n, x.context(s, n))
			return n
		}
	}
	return x.hostTail(v, s, e)
}

// hostTail looks for a port and a path behind a host, and notes what it all is.
func (x *extractor) hostTail(v Value, s, e int) int {
	b := x.b
	end := e
	if end < len(b) && b[end] == ':' {
		p := end + 1
		for p < len(b) && p-end <= 5 && isDigit(b[p]) {
			p++
		}
		if p > end+1 && (p == len(b) || !isAlnum(b[p])) {
			end = p
		}
	}
	if end+1 < len(b) && (b[end] == '/' || b[end] == '?') && b[end+1] > ' ' {
		u := x.urlEnd(s, end, true)
		c := x.context(s, u)
		defanged := marked(x.edits, s, e)
		// A name before a slash in running text, "evil.com/good.com", says too little.
		if u > end+1 && (defanged || c.alone) {
			if pv, err := ParseAs(URL, b[s:u]); err == nil {
				c.defanged = defanged
				x.add(pv, s, u, c)
				return u
			}
		}
		if u > end+1 && v.Type == Domain {
			c.Found = Found{LeftOut: "warninglist", Why: "a link without scheme in running text, not defanged"}
			if pv, err := ParseAs(URL, b[s:u]); err == nil {
				x.add(pv, s, u, c)
			}
			return u
		}
		x.add(v, s, e, c)
		return u
	}
	x.add(v, s, e, x.context(s, end))
	return end
}

// trimWord takes off the dots, hyphens and underscores of the sentence; a leading underscore stays where it
// begins a service name and does not come in a pair.
func trimWord(b string, i, j int) (int, int) {
	pair := b[i] == '_' && b[j-1] == '_'
	for i < j && (b[i] == '.' || b[i] == '-' || pair && b[i] == '_') {
		i++
	}
	for i < j && (b[j-1] == '.' || b[j-1] == '-' || b[j-1] == '_') {
		j--
	}
	return i, j
}

// hostRune tells whether a rune beyond ASCII can stand in a host name, and whether its script is written
// without blanks between words, so that it may touch a name it does not belong to.
func hostRune(r rune) (ok, unspaced bool) {
	if r == utf8.RuneError || !unicode.In(r, unicode.L, unicode.M, unicode.Nd) {
		return false, false
	}
	return true, unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao,
		unicode.Khmer, unicode.Myanmar)
}

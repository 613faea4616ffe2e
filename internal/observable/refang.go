package observable

import (
	"sort"
	"strings"
	"unicode/utf8"
)

// Refang takes the defanging off: hxxp and its cousins, [.] (.) {.} [dot] (dot) [:] [://] [/] [@] [at] (at) and
// the like, one-sided brackets as in "evil[.com", \. and \[.\] as Markdown writes them, full-width dots, and
// zero-width characters. Inside the path of a URL only the square-bracket forms are taken off: the other ones
// may be part of it. Text without any of these comes back as it is.
func Refang(s string) string {
	out, _ := refang(s)
	return out
}

// edit is one place where refang changed the text.
type edit struct {
	in, inLen, out, outLen int
	mark                   bool // a sign that somebody defanged here
}

// trigger marks the bytes at which refang has to look closer.
var trigger = func() (t [256]bool) {
	for _, c := range []byte("[({\\.hHfFmM/ \t\n\xc2\xe2\xe3\xef") {
		t[c] = true
	}
	return t
}()

// refang gives the text and where it was changed, in one pass over s.
func refang(s string) (string, []edit) {
	var out []byte
	var edits []edit
	last, inPath, authority := 0, false, -1
	for i := 0; i < len(s); {
		c := s[i]
		if !trigger[c] {
			i++
			continue
		}
		switch c {
		case ' ', '\t', '\n':
			inPath, authority = false, -1
		case '/':
			if i > 1 && s[i-1] == '/' && (s[i-2] == ':' || s[i-2] == ']') {
				authority = i + 1
			} else if authority >= 0 && i > authority {
				inPath = true
			}
		}
		n, rep, mark := matchDefang(s, i, inPath)
		if n == 0 {
			i++
			continue
		}
		from := i
		// A mark that stands between blanks, "evil [.] com", takes one on each side with it.
		if mark && c != 'h' && c != 'H' && i > last && s[i-1] == ' ' && i > 1 && isAlnum(s[i-2]) &&
			i+n+1 < len(s) && s[i+n] == ' ' && isAlnum(s[i+n+1]) && (rep == "." || rep == "@") {
			from, n = i-1, n+2
		}
		out = append(out, s[last:from]...)
		edits = append(edits, edit{from, n, len(out), len(rep), mark})
		out = append(out, rep...)
		if strings.HasSuffix(rep, "://") {
			inPath, authority = false, from+n
		}
		i = from + n
		last = i
	}
	if edits == nil {
		return s, nil
	}
	return string(append(out, s[last:]...)), edits
}

// matchDefang looks at s[i]: how many bytes are a defanging, and what they stand for.
func matchDefang(s string, i int, inPath bool) (n int, rep string, mark bool) {
	prev, next := byte(0), byte(0)
	if i > 0 {
		prev = s[i-1]
	}
	if i+1 < len(s) {
		next = s[i+1]
	}
	switch c := s[i]; c {
	case '[', '(', '{':
		if n, rep = matchBracket(s, i); n > 0 {
			after := byte(0)
			if i+n < len(s) {
				after = s[i+n]
			}
			// "(.)" alone may be a regular expression; "[.]" is not used for anything else.
			if c == '[' || !inPath && (isAlnum(prev) && isAlnum(after) || n > 3) {
				return n, rep, true
			}
			return 0, "", false
		}
		if c == '[' && next == '.' && isAlnum(prev) && i+2 < len(s) && isAlnum(s[i+2]) {
			return 2, ".", true
		}
	case '.':
		if next == ']' && isAlnum(prev) && i+2 < len(s) && isAlnum(s[i+2]) {
			return 2, ".", true
		}
	case '\\':
		if next == '[' {
			if n, rep = matchBracket(s, i+1); n > 0 {
				return n + 1, rep, true
			}
		}
		if next == '.' && !inPath && isAlnum(prev) && i+2 < len(s) && isAlnum(s[i+2]) {
			return 2, ".", true
		}
	case 'h', 'H', 'f', 'F', 'm', 'M':
		if !isAlnum(prev) && (!inPath || prev == ',' || prev == ';') {
			return matchScheme(s, i)
		}
	case 0xc2, 0xe2, 0xe3, 0xef:
		return matchWide(s, i)
	}
	return 0, "", false
}

// brackets maps what stands inside a pair of brackets to what is meant.
var brackets = map[string]string{
	".": ".", "dot": ".", "d0t": ".", "punkt": ".", "point": ".", ":": ":", "://": "://", "/": "/", "//": "//",
	"@": "@", "at": "@", "et": "@", ":/": ":/", "colon": ":", "slash": "/",
}

// matchBracket matches an opening bracket at i, a known inside, and any closing bracket.
func matchBracket(s string, i int) (n int, rep string) {
	end := min(len(s), i+10)
	for j := i + 1; j < end; j++ {
		switch s[j] {
		case ']', ')', '}':
			inner := s[i+1 : j]
			if len(inner) == 1 {
				if inner[0] == '.' || inner[0] == ':' || inner[0] == '@' || inner[0] == '/' {
					return j + 1 - i, inner
				}
				return 0, ""
			}
			inner = strings.TrimSuffix(strings.TrimSpace(inner), "\\")
			if rep = brackets[strings.ToLower(inner)]; rep == "" {
				return 0, ""
			}
			return j + 1 - i, rep
		case '[', '(', '{', '\n':
			return 0, ""
		}
	}
	return 0, ""
}

// schemes lists the ways to break a URL scheme; each may be followed by s.
var schemes = []struct{ broken, live string }{
	{"hxxp", "http"}, {"hxtp", "http"}, {"htxp", "http"}, {"h**p", "http"}, {"h__p", "http"}, {"h++p", "http"},
	{"hxp", "http"}, {"htp", "http"}, {"meow", "http"}, {"fxp", "ftp"}, {"fxtp", "ftp"}, {"http", "http"},
}

// matchScheme matches a broken scheme at i up to and with its "://".
func matchScheme(s string, i int) (int, string, bool) {
	if i+5 > len(s) || s[i+1] == 't' && s[i+2] == 't' && s[i+3] == 'p' && s[i+4] != '[' && s[i+4] != 's' {
		return 0, "", false
	}
	for _, f := range schemes {
		l := len(f.broken)
		if i+l > len(s) || !strings.EqualFold(s[i:i+l], f.broken) {
			continue
		}
		live, rest := f.live, s[i+l:]
		for _, t := range []string{"s", "S", "[s]", "(s)", "[S]"} {
			if strings.HasPrefix(rest, t) {
				live, rest = live+"s", rest[len(t):]
				break
			}
		}
		for _, sep := range []string{"://", "[:]//", "[://]", "[:]/[/]", "[:][//]", "[:]\\\\", "(:)//", "{:}//", ":\\\\", ":[//]", "[:/]/"} {
			if strings.HasPrefix(rest, sep) {
				n := len(s) - i - len(rest) + len(sep)
				if live = live + "://"; s[i:i+n] == live {
					return 0, "", false
				}
				// A scheme in capitals is odd, but not defanged.
				return n, live, !strings.EqualFold(s[i:i+n], live)
			}
		}
	}
	return 0, "", false
}

// matchWide matches zero-width characters, which vanish, and full-width dots between ASCII letters or digits.
func matchWide(s string, i int) (int, string, bool) {
	r, n := utf8.DecodeRuneInString(s[i:])
	switch r {
	case '\u200B', '\u200C', '\u200D', '\u2060', '\uFEFF', '\u00AD':
		return n, "", false
	case '\uFF0E', '\u3002', '\uFF61', '\u2024':
		if i > 0 && isAlnum(s[i-1]) && i+n < len(s) && isAlnum(s[i+n]) {
			return n, ".", true
		}
	}
	return 0, "", false
}

// spokenToDots reads a whole token that spells its dots, "evil dot com" or "user at evil dot com".
func spokenToDots(s string) string {
	if !strings.Contains(s, " ") {
		return s
	}
	words := strings.Fields(s)
	if len(words)%2 == 0 {
		return s
	}
	var b strings.Builder
	for i, w := range words {
		if i%2 == 0 {
			b.WriteString(w)
			continue
		}
		switch strings.ToLower(w) {
		case "dot", "d0t":
			b.WriteByte('.')
		case "at":
			b.WriteByte('@')
		default:
			return s
		}
	}
	return b.String()
}

// rawRange maps [start,end) of the refanged text back to the text as it was.
func rawRange(edits []edit, start, end int) (int, int) {
	return rawStart(edits, start), rawEnd(edits, end)
}

func rawStart(edits []edit, pos int) int {
	// The last edit that begins at or before pos.
	i := sort.Search(len(edits), func(i int) bool { return edits[i].out > pos }) - 1
	if i < 0 {
		return pos
	}
	e := edits[i]
	if pos < e.out+e.outLen {
		return e.in
	}
	return e.in + e.inLen + pos - e.out - e.outLen
}

func rawEnd(edits []edit, pos int) int {
	i := sort.Search(len(edits), func(i int) bool { return edits[i].out >= pos }) - 1
	if i < 0 {
		return pos
	}
	e := edits[i]
	return e.in + e.inLen + max(0, pos-e.out-e.outLen)
}

// marked tells whether somebody defanged inside [start,end) of the refanged text.
func marked(edits []edit, start, end int) bool {
	i := sort.Search(len(edits), func(i int) bool { return edits[i].out >= start })
	for ; i < len(edits) && edits[i].out < end; i++ {
		if edits[i].mark {
			return true
		}
	}
	return false
}

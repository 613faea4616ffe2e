package observable

import (
	"net/netip"
	"strings"
)

// context tells how [s,e) stands in the line: alone in its line, cell or code span, and whether quoted.
func (x *extractor) context(s, e int) candidate {
	b := x.b
	l, r := s, e
	for l > 0 && decoration(b[l-1]) {
		l--
	}
	for r < len(b) && decoration(b[r]) {
		r++
	}
	l = skipNumber(b, l)
	left := l == 0 || b[l-1] == '|' || b[l-1] == '`' || b[l-1] == '\t'
	right := r == len(b) || b[r] == '|' || b[r] == '`' || b[r] == '\t'
	c := candidate{alone: left && right}
	c.quoted = x.fence != "" || l > 0 && r < len(b) && b[l-1] != '\t' || l > 0 && b[l-1] == '|' || r < len(b) && b[r] == '|'
	c.link = x.fence == "" && x.isReference()
	return c
}

// decoration is what may stand beside a value that is alone in its cell.
func decoration(c byte) bool {
	switch c {
	case ' ', '*', '+', '-', '_', '"', '\'', '(', ')', '[', ']', '{', '}', '<', '>', ',', ';', '.', '~', '=', '#', '\r':
		return true
	}
	return false
}

// skipNumber goes back over "12. " at the begin of a line.
func skipNumber(b string, l int) int {
	n := l
	for n > 0 && l-n < 4 && isDigit(b[n-1]) {
		n--
	}
	if n < l && n == 0 && l < len(b) && (b[l] == '.' || b[l] == ')') {
		return 0
	}
	return l
}

// isLink tells whether the URL [s,e) is the target of a link: [words](url) and <url> of Markdown, url[words] of
// AsciiDoc, href="url" of HTML.
func (x *extractor) isLink(s, e int) bool {
	before, b := x.b[:s], x.b
	if strings.HasSuffix(before, "](") || strings.HasSuffix(before, "]: ") || strings.HasSuffix(before, "href=\"") ||
		strings.HasSuffix(before, "src=\"") || strings.HasSuffix(before, "link:") {
		return true
	}
	return e < len(b) && (b[e] == '[' || b[e] == ']' && s > 0 && b[s-1] == '[' && e+1 < len(b) && b[e+1] == '(')
}

var referenceWords = []string{
	"reference", "references", "source", "sources", "see", "see also", "blog", "blog post", "blogpost", "report",
	"link", "links", "via", "read more", "more information", "ref",
}

// isReference tells whether the line says of itself that it names a source: "# Reference: https://...".
func (x *extractor) isReference() bool {
	if x.refs == 0 {
		x.refs = -1
		head := x.b[:min(len(x.b), 40)]
		if i := strings.IndexByte(head, ':'); i > 0 {
			head = strings.ToLower(strings.Trim(head[:i], " \t#*-_/;>|"))
			for _, w := range referenceWords {
				if head == w {
					x.refs = 1
				}
			}
		}
	}
	return x.refs > 0
}

// plainName tells whether an undefanged word can be meant as a name: not a call, and not Turla.BT or System.Net,
// where the last label is capitalised otherwise than the rest.
func plainName(b string, s, e int) bool {
	if e < len(b) && b[e] == '(' {
		return false
	}
	word := b[s:e]
	last := word[strings.LastIndexByte(word, '.')+1:]
	return last == strings.ToLower(last) || word == strings.ToUpper(word)
}

// plausibleHost tells whether a word that is no known name was yet meant as one, so that it is worth a mention.
func plausibleHost(s string) bool {
	last := s[strings.LastIndexByte(s, '.')+1:]
	return len(last) >= 2 && last[0] > '9'
}

// fileEndings are the endings of files that are top-level domains too. Poland's pl and Serbia's rs are too
// large as domains to be taken for Perl and Rust.
var fileEndings = map[string]bool{
	"zip": true, "md": true, "mov": true, "sh": true, "py": true, "cab": true, "inc": true, "so": true,
	"app": true, "dot": true, "ps": true, "data": true,
}

// looksLikeFile tells a name such as readme.md that is more likely a file than a domain.
func looksLikeFile(name string) bool {
	i := strings.LastIndexByte(name, '.')
	if i < 0 || !fileEndings[name[i+1:]] {
		return false
	}
	switch name[i+1:] {
	case "app", "so", "ps", "data":
		return strings.Count(name, ".") == 1
	}
	return !strings.HasPrefix(name, "www.")
}

// packageRoots begin the reversed names of Java and Android packages and Apple's bundles.
var packageRoots = []string{"com.", "org.", "net.", "io.", "android.", "java.", "javax."}

// lookalike says what an undefanged name is likely to be instead of a domain, or "".
func lookalike(raw string, v Value) string {
	if v.Type != Domain {
		return ""
	}
	if looksLikeFile(v.Text) {
		return "looks like a file name; defang it if it is a domain"
	}
	if strings.Count(v.Text, ".") >= 2 {
		for _, p := range packageRoots {
			if strings.HasPrefix(raw, p) {
				return "looks like the name of a package; defang it if it is a domain"
			}
		}
	}
	return ""
}

// addressURL tells a URL whose host is an address: nobody cites a source that way.
func addressURL(v Value) bool {
	_, err := netip.ParseAddr(v.Host())
	return err == nil
}

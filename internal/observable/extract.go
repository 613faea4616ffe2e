package observable

import (
	"math"
	"strings"
	"unicode/utf8"
)

// Found is one value met in free text.
type Found struct {
	Value Value
	// Line is 1-based.
	Line int
	// Raw is the value as the text has it.
	Raw string
	// LeftOut is "" for a value to be used, or a code of the closed list of reasons: not_actionable,
	// warninglist, malformed. Why says it in words, defanged.
	LeftOut, Why string
}

// Extract finds every value in free text, defanged or not, in order and with repetitions.
//
// What counts: hashes (hexadecimal runs of 32, 40, 64 or 128 that touch no letter or digit, and are not part of
// a URL or name that is itself found), addresses, networks, URLs, mail addresses, and names with a known public
// suffix. In a text that defangs its values, what is not defanged is a reference and is left out as
// "warninglist", except hashes, addresses, URLs whose host is an address, names alone in a line, table cell or
// code span, and URLs alone in a table cell, code span or line of a code block. Links of Markdown and AsciiDoc
// and lines such as "Reference: https://..." are left out everywhere unless defanged. Names that look like files
// (readme.md, update.zip), packages (com.example.app) or detections (Win32/Turla.BT) are no domains unless
// defanged. Private, reserved and other special values are left out as not_actionable.
//
// It takes time linear in the length of the text. Values longer than MaxLength are passed over.
func Extract(text string) []Found {
	found, _ := ExtractAtMost(text, math.MaxInt)
	return found
}

// ExtractAtMost is Extract, but stops behind the line in which it has met n values or more, repeated ones and those
// left out included; all tells whether it came to the end. Memory is about 300 bytes a value.
func ExtractAtMost(text string, n int) (found []Found, all bool) {
	var x extractor
	for len(text) > 0 && len(x.found) < n {
		line := text
		if i := strings.IndexByte(text, '\n'); i >= 0 {
			line, text = text[:i], text[i+1:]
		} else {
			text = ""
		}
		x.number++
		x.scan(strings.TrimSuffix(line, "\r"))
	}
	return x.decide(), len(text) == 0
}

// candidate is a value together with what the decision needs to know of where it stood.
type candidate struct {
	Found
	defanged bool
	alone    bool // fills its line, cell or code span
	quoted   bool // stands in a code block, code span or table
	link     bool // target of a link, or behind "Reference:"
}

type extractor struct {
	found  []candidate
	number int
	fence  string // the mark that ends the current code block, "" outside

	raw, b string // the line as it was, and refanged
	edits  []edit
	refs   int8 // whether the line is a reference: 0 not known yet, 1 yes, -1 no
}

func (x *extractor) scan(raw string) {
	if x.fenceLine(raw) {
		return
	}
	x.raw = raw
	x.b, x.edits = refang(raw)
	x.refs = 0
	for i := 0; i < len(x.b); {
		c := x.b[i]
		if c < utf8.RuneSelf && !wordByte[c] {
			i++
			continue
		}
		j := x.wordEnd(i)
		if j == i {
			_, n := utf8.DecodeRuneInString(x.b[i:])
			i += n
			continue
		}
		i = max(x.word(i, j), i+1)
	}
}

// fenceLine keeps track of code blocks: ``` and ~~~ of Markdown, ---- and .... of AsciiDoc.
func (x *extractor) fenceLine(raw string) bool {
	t := strings.TrimSpace(raw)
	if len(t) < 3 {
		return false
	}
	for _, f := range []string{"```", "~~~", "----", "...."} {
		if !strings.HasPrefix(t, f) {
			continue
		}
		if (f == "----" || f == "....") && strings.Trim(t, f[:1]) != "" {
			return false
		}
		switch {
		case x.fence == "":
			x.fence = f
		case x.fence == f:
			x.fence = ""
		}
		// Some open a block and go on in the same line; the rest is text like any other.
		return strings.Trim(t, f[:1]) == ""
	}
	return false
}

// wordByte are the bytes of host names and hashes.
var wordByte = func() (t [256]bool) {
	for c := range 256 {
		t[c] = isAlnum(byte(c)) || c == '.' || c == '-' || c == '_'
	}
	return t
}()

// wordEnd gives the end of the run of host characters that begins at i.
func (x *extractor) wordEnd(i int) int {
	b := x.b
	wide, ascii := false, false
	for i < len(b) {
		if c := b[i]; c < utf8.RuneSelf {
			if !wordByte[c] || wide && isAlnum(c) {
				return i
			}
			ascii = isAlnum(c)
			wide = wide && isAlnum(c)
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(b[i:])
		ok, unspaced := hostRune(r)
		if !ok || unspaced && ascii {
			return i
		}
		wide, ascii = unspaced, false
		i += n
	}
	return i
}

// word looks at the word [i,j) and what surrounds it, and gives where to go on.
func (x *extractor) word(i, j int) int {
	b := x.b
	if j+3 <= len(b) && b[j:j+3] == "://" {
		if end := x.url(i, j); end > 0 {
			return end
		}
		x.hashes(i, j)
		return j + 3
	}
	if j < len(b) && b[j] == '@' {
		if end := x.email(i, j); end > 0 {
			return end
		}
	}
	if j < len(b) && b[j] == ':' && j-i <= 4 {
		if end := x.ipv6(i); end > 0 {
			return end
		}
	}
	if end := x.host(i, j); end > 0 {
		return end
	}
	x.hashes(i, j)
	return j
}

// add notes a value that stands in [s,e) of the refanged line.
func (x *extractor) add(v Value, s, e int, c candidate) {
	rs, re := rawRange(x.edits, s, e)
	c.Value, c.Line, c.Raw = v, x.number, x.raw[rs:re]
	c.defanged = c.defanged || marked(x.edits, s, e)
	x.found = append(x.found, c)
}

// malformed notes something that was defanged, so meant as a value, and is none.
func (x *extractor) malformed(s, e int, err error) {
	if !marked(x.edits, s, e) {
		return
	}
	x.add(Value{}, s, e, candidate{Found: Found{LeftOut: "malformed", Why: err.Error()}})
}

// hashes notes the hashes in a word; those of a longer word count where they touch no letter or digit.
func (x *extractor) hashes(i, j int) {
	for i < j {
		s := i
		for i < j && isAlnum(x.b[i]) {
			i++
		}
		if n := i - s; n == 32 || n == 40 || n == 64 || n == 128 {
			if t := hashType(x.b[s:i]); t != "" && (i == j || x.b[i] < utf8.RuneSelf) {
				x.add(Value{t, strings.ToLower(x.b[s:i])}, s, i, candidate{})
			}
		}
		i++
	}
}

// decide applies the rules that need the whole text.
func (x *extractor) decide() []Found {
	defangs := false
	for i := range x.found {
		if x.found[i].defanged {
			defangs = true
			break
		}
	}
	out := make([]Found, 0, len(x.found))
	for _, c := range x.found {
		if c.LeftOut == "" {
			c.LeftOut, c.Why = c.reason(defangs)
		}
		if c.Value.Type == Domain && !c.defanged && looksLikeFile(c.Value.Text) {
			c.Value = Value{Filename, c.Raw}
		}
		out = append(out, c.Found)
	}
	return out
}

func (c *candidate) reason(defangs bool) (code, why string) {
	v := c.Value
	if special := v.Special(); special != "" {
		if r, ok := v.Reversed(); ok {
			special += "; reversed it is " + r.Defanged() + ". Meant?"
		}
		return "not_actionable", special
	}
	if c.defanged {
		return "", ""
	}
	switch v.Type {
	case URL:
		if c.link {
			return "warninglist", "a link of the text, not defanged"
		}
		if defangs && !(c.alone && c.quoted) && !addressURL(v) {
			return "warninglist", "not defanged where the rest is"
		}
	case Domain, Email:
		if why := lookalike(c.Raw, v); why != "" {
			return "not_actionable", why
		}
		if defangs && !c.alone {
			return "warninglist", "not defanged where the rest is"
		}
	}
	return "", ""
}

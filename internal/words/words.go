// Package words cuts text that people wrote into the tokens it can be found by.
//
// Words are those of Unicode's rules for boundaries (UAX #29), folded: no case,
// no accents, compatible forms made one. So "Café" and "CAFE" are one token.
// Values and identifiers stay whole, however they were written: an address, a
// domain, a URL, a mail address or a hash is the token that package observable
// makes of it, defanged or not; CVE-2018-0296, T1059.001 and APT28 are one token
// each. Other words with hyphens are cut at these. Han and kana give a token a
// character: no dictionary is asked.
//
// A token has no blanks, no control characters and no "=", which is what facets
// are told apart by: see Facet.
package words

import (
	"strings"
	"unicode"
	"unicode/utf8"

	segment "github.com/clipperhouse/uax29/v2/words"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/tipmesh/tipmesh/internal/observable"
)

// Limits of what one object can be found by.
const (
	MaxTokens = 2048      // of one object
	MaxBytes  = 64        // of a token: a longer one is cut, in questions too
	MaxText   = 128 << 10 // bytes of an object's text that are looked at
)

// Tokens gives what texts can be found by, each token once, in order. No more
// than max are given and no more than MaxText bytes looked at.
func Tokens(max int, texts ...string) []string {
	c := cutter{max: max, seen: make(map[string]bool, 64), parts: true}
	left := MaxText
	for _, text := range texts {
		text = upTo(text, left)
		left -= len(text)
		c.text(text)
	}
	return c.out
}

// Query gives the tokens of a question: what it asks for has them all. It has no
// more than MaxTokens.
func Query(text string) []string {
	c := cutter{max: MaxTokens, seen: map[string]bool{}}
	c.text(upTo(text, MaxText))
	return c.out
}

// Facet is the token of a property: of a type, a label, a name. The value counts
// as a whole, folded, blanks made one.
func Facet(key, value string) string {
	return key + "=" + upTo(strings.Join(strings.Fields(Fold(value)), " "), MaxBytes)
}

// Fold makes texts alike that differ in case, accents or compatible forms only,
// and takes out what cannot be seen.
func Fold(s string) string {
	if ascii(s) {
		return strings.ToLower(s)
	}
	s = norm.NFKD.String(strings.ToValidUTF8(s, " "))
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 0x300 && r <= 0x36F, unicode.Is(unicode.Cf, r):
			return -1
		case unicode.IsControl(r):
			return ' '
		case r == '’':
			return '\''
		case r >= '\u2010' && r <= '\u2015': // hyphens and dashes
			return '-'
		}
		return r
	}, s)
	return norm.NFC.String(cases.Fold().String(s))
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// upTo cuts a text at a rune's border.
func upTo(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// cutter collects tokens.
type cutter struct {
	out   []string
	seen  map[string]bool
	max   int
	parts bool // give the parts of an identifier too
}

func (c *cutter) add(token string) {
	token = upTo(token, MaxBytes)
	if strings.IndexByte(token, '=') >= 0 {
		token = strings.ReplaceAll(token, "=", "_")
	}
	if token == "" || len(c.out) >= c.max || c.seen[token] {
		return
	}
	token = strings.Clone(token)
	c.seen[token] = true
	c.out = append(c.out, token)
}

func (c *cutter) text(text string) {
	for piece := range strings.FieldsSeq(observable.Refang(Fold(text))) {
		if len(c.out) >= c.max {
			return
		}
		if !c.value(piece) {
			c.words(piece)
		}
	}
}

// around is what stands around a value in a sentence.
const around = "\"'`()<>[]{}|*,;:!?.…“”‘«»"

// longestValue bounds what is tried as a value.
const longestValue = 1024

// value takes a piece between blanks as a value, if it is one.
func (c *cutter) value(piece string) bool {
	piece = strings.Trim(piece, around)
	if len(piece) > longestValue || !strings.ContainsAny(piece, ".:@") {
		return false
	}
	v, err := observable.Parse(piece)
	if err != nil || strings.ContainsFunc(v.Text, unseen) {
		return false
	}
	c.add(v.Text)
	if c.parts && v.Type == observable.URL {
		c.add(v.Host())
	}
	return true
}

func unseen(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r == utf8.RuneError }

// words takes the words of a piece. Those with hyphens between are one where a
// digit is in them, an identifier, and else each by itself.
func (c *cutter) words(piece string) {
	it := segment.FromString(piece)
	from, to := -1, -1 // what belongs together so far
	joins := false     // and whether a hyphen follows it
	for it.Next() {
		w, at := it.Value(), it.Start()
		switch {
		case strings.ContainsFunc(w, meaning):
			if from >= 0 && !(joins && at == to+len("-")) {
				c.compound(piece[from:to])
				from = -1
			}
			if from < 0 {
				from = at
			}
			to, joins = it.End(), false
		case w == "-":
			joins = at == to
		}
	}
	if from >= 0 {
		c.compound(piece[from:to])
	}
}

func (c *cutter) compound(w string) {
	w = strings.TrimSuffix(w, "'s")
	if strings.IndexByte(w, '-') < 0 {
		c.add(w)
		return
	}
	whole := strings.ContainsFunc(w, unicode.IsDigit)
	if whole {
		c.add(w)
	}
	for part := range strings.SplitSeq(w, "-") {
		if !whole || c.parts && !strings.ContainsFunc(part, unicode.IsDigit) {
			c.add(part)
		}
	}
}

func meaning(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

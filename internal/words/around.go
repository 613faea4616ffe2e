package words

import (
	"strings"
	"unicode/utf8"
)

// Around quotes at most n bytes of a text about the first word that begins with
// one of the tokens; "" where there is none.
func Around(text string, tokens []string, n int) string {
	for from := 0; from < len(text); {
		end := from + strings.IndexAny(text[from:]+" ", " \t\r\n")
		if end > from && begins(text[from:end], tokens) {
			return strings.Join(strings.Fields(window(text, from, n)), " ")
		}
		from = end + 1
	}
	return ""
}

func begins(piece string, tokens []string) bool {
	for _, w := range Tokens(16, piece) {
		for _, t := range tokens {
			if strings.HasPrefix(w, t) {
				return true
			}
		}
	}
	return false
}

// window cuts n bytes, a third of them before a place, at borders of runes, and at
// blanks where these are near.
func window(text string, at, n int) string {
	from := max(0, at-n/3)
	if i := strings.IndexByte(text[from:at], ' '); from > 0 && i >= 0 {
		from += i + 1
	}
	for from > 0 && !utf8.RuneStart(text[from]) {
		from++
	}
	end := min(len(text), from+n)
	if end < len(text) {
		if i := strings.LastIndexByte(text[at:end], ' '); i > 0 {
			end = at + i
		}
	}
	for end < len(text) && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[from:end]
}

package stix

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const maxSays = 200

// say makes Says. Objects of one share mostly say the same, so the string of
// the object before is used again where it fits.
func (r *reader) say() {
	if r.saidBefore() {
		return
	}
	r.saidName, r.saidDescription, r.saidN = r.name, r.description, r.n
	r.saidWords = r.words
	r.says = r.says[:0]
	for _, w := range r.words[:r.n] {
		if leads(w) {
			r.clause(strings.ToLower(w))
		}
	}
	r.clause(r.name)
	for _, w := range r.words[:r.n] {
		if !leads(w) {
			r.clause(w)
		}
	}
	line, _, _ := strings.Cut(r.description, "\n")
	r.clause(line)
	r.facts.Says = string(r.says)
}

// leads tells whether a word turns the meaning of an object round, so that it
// stands first in Says whatever the name is.
func leads(word string) bool {
	return strings.EqualFold(word, "benign") || strings.EqualFold(word, "sinkhole") || strings.EqualFold(word, "sinkholed")
}

// Benign tells from what an indicator says whether its author holds the value for
// harmless: STIX's indicator type, in STIX 2.0 the label.
func Benign(says string) bool { return leading(says, "benign") }

// Sinkholed tells from what an object says whether its author labelled the value
// as a sinkhole.
func Sinkholed(says string) bool { return leading(says, "sinkhole", "sinkholed") }

// leading looks for words among the first clauses that lead.
func leading(says string, words ...string) bool {
	for clause := range strings.SplitSeq(says, "; ") {
		if !leads(clause) {
			return false
		}
		if slices.Contains(words, clause) {
			return true
		}
	}
	return false
}

// saidBefore tells whether Says would come out as it stands.
func (r *reader) saidBefore() bool {
	if r.n != r.saidN || r.name != r.saidName || r.description != r.saidDescription {
		return false
	}
	for i := range r.n {
		if r.words[i] != r.saidWords[i] {
			return false
		}
	}
	return true
}

// clause appends one part, cut at a rune's border, without what could move a
// terminal's cursor or hide text.
func (r *reader) clause(s string) {
	if s == "" || len(r.says) >= maxSays-2 {
		return
	}
	if len(r.says) > 0 {
		r.says = append(r.says, ';', ' ')
	}
	for _, c := range s {
		if unprintable(c) {
			c = ' '
		}
		if len(r.says)+utf8.RuneLen(c) > maxSays {
			return
		}
		r.says = utf8.AppendRune(r.says, c)
	}
}

// unprintable tells whether a rune may not be shown as it is: controls, and
// the marks that reorder or hide text.
func unprintable(r rune) bool {
	if r < 0x7f {
		return r < 0x20
	}
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029'
}

package warninglist

import "strings"

// gramBytes is how much of a substring's beginning it is found by.
const gramBytes = 3

// substrings finds all of many short texts in one text. At each place of the
// text only those that begin with the bytes there are compared.
type substrings struct {
	byGram map[[gramBytes]byte][]substring
	pairs  [1 << 10]uint64 // a bit for each two bytes that a gram begins with: most places end here
	short  []substring     // shorter than a gram
}

// pair is where the bit of two bytes stands.
func pair(a, b byte) (word int, bit uint64) {
	n := int(a)<<8 | int(b)
	return n >> 6, 1 << (n & 63)
}

type substring struct {
	text string
	of   group
}

func (s *substrings) add(text string, g group) {
	if len(text) < gramBytes {
		s.short = append(s.short, substring{text, g})
		return
	}
	if s.byGram == nil {
		s.byGram = map[[gramBytes]byte][]substring{}
	}
	word, bit := pair(text[0], text[1])
	s.pairs[word] |= bit
	gram := [gramBytes]byte{text[0], text[1], text[2]}
	s.byGram[gram] = append(s.byGram[gram], substring{text, g})
}

func (s *substrings) find(in string, fn func(text string, g group)) {
	for _, x := range s.short {
		if strings.Contains(in, x.text) {
			fn(x.text, x.of)
		}
	}
	if len(s.byGram) == 0 {
		return
	}
	for i := 0; i+gramBytes <= len(in); i++ {
		if word, bit := pair(in[i], in[i+1]); s.pairs[word]&bit == 0 {
			continue
		}
		for _, x := range s.byGram[[gramBytes]byte{in[i], in[i+1], in[i+2]}] {
			if strings.HasPrefix(in[i:], x.text) {
				fn(x.text, x.of)
			}
		}
	}
}

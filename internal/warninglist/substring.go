package warninglist

import "strings"

// gramBytes is how much of a substring's beginning it is found by.
const gramBytes = 3

// substrings finds all of many short texts in one text. At each place of the
// text only those that begin with the bytes there are compared.
type substrings struct {
	byGram map[[gramBytes]byte][]substring
	short  []substring // shorter than a gram
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
	gram := [gramBytes]byte([]byte(text[:gramBytes]))
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
		for _, x := range s.byGram[[gramBytes]byte{in[i], in[i+1], in[i+2]}] {
			if strings.HasPrefix(in[i:], x.text) {
				fn(x.text, x.of)
			}
		}
	}
}

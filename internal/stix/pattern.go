package stix

import (
	"strings"
)

// Comparison is one comparison of a pattern, such as file:name = 'a.exe'.
type Comparison struct {
	// Path is the object path with its keys unquoted where that is
	// unambiguous: file:hashes.SHA-256, process:opened_connection_refs[*].dst_ref.value.
	Path string
	// Op is one of = != < <= > >= IN LIKE MATCHES ISSUBSET ISSUPERSET EXISTS.
	Op string
	// Values are the literals, strings unescaped, others as written.
	Values []string
	// Negated is whether NOT stands before the operator.
	Negated bool
	// Alone is whether this comparison suffices for the pattern to match:
	// nothing else is asked for with AND or FOLLOWEDBY.
	Alone bool

	text bool // the values are strings
}

// Pattern is a parsed STIX pattern (STIX 2.1 section 9).
type Pattern struct {
	comparisons []Comparison
}

// Comparisons returns the pattern's comparisons in the order they stand in.
func (p *Pattern) Comparisons() []Comparison { return p.comparisons }

// Terms returns the values that the pattern asks to be equal to something:
// = and IN not negated, and ISSUBSET of a network. What a pattern excludes,
// or only describes (LIKE, MATCHES), is no term.
func (p *Pattern) Terms() []Term { return p.appendTerms(nil) }

func (p *Pattern) appendTerms(dst []Term) []Term {
	for _, c := range p.comparisons {
		if c.Negated || c.Op != "=" && c.Op != "IN" && c.Op != "ISSUBSET" {
			continue
		}
		for _, v := range c.Values {
			kind := ""
			if c.text {
				kind = kindOf(c.Path, v)
			}
			if c.Op == "ISSUBSET" && kind != "ipv4" && kind != "ipv6" {
				continue
			}
			dst = append(dst, Term{kind, c.Path, v, c.Alone})
		}
	}
	return dst
}

// appendPatternTerms is Terms with a short cut for the one comparison that
// nearly every shared indicator is made of. A pattern that does not parse has
// no terms.
func appendPatternTerms(dst []Term, pattern string) []Term {
	if t, ok := quickTerm(pattern); ok {
		return append(dst, t)
	}
	p, err := ParsePattern(pattern)
	if err != nil {
		return dst
	}
	return p.appendTerms(dst)
}

// quickTerm reads [path = 'text'] where path is a common one and text has no
// escapes; everything else is left to the parser.
func quickTerm(p string) (Term, bool) {
	if len(p) < 8 || p[0] != '[' || p[len(p)-1] != ']' {
		return Term{}, false
	}
	eq := strings.IndexByte(p, '=')
	if eq < 0 {
		return Term{}, false
	}
	path := quickPath(strings.TrimSpace(p[1:eq]))
	if path == "" {
		return Term{}, false
	}
	text := strings.TrimSpace(p[eq+1 : len(p)-1])
	if len(text) < 2 || text[0] != '\'' || strings.IndexByte(text, '\\') >= 0 ||
		strings.IndexByte(text[1:], '\'') != len(text)-2 {
		return Term{}, false
	}
	text = text[1 : len(text)-1]
	return Term{kindOf(path, text), path, text, true}, true
}

// quickPath gives the common paths as Comparison.Path spells them.
func quickPath(s string) string {
	switch s {
	case "ipv4-addr:value", "ipv6-addr:value", "domain-name:value", "url:value",
		"email-addr:value", "file:name", "process:name":
		return s
	case "file:hashes.'SHA-256'":
		return "file:hashes.SHA-256"
	case "file:hashes.'SHA-1'":
		return "file:hashes.SHA-1"
	case "file:hashes.'SHA-512'":
		return "file:hashes.SHA-512"
	case "file:hashes.MD5", "file:hashes.'MD5'":
		return "file:hashes.MD5"
	}
	return ""
}

// ParsePattern parses a pattern in the STIX pattern language. The error names
// the byte at which it went wrong, counted from 0.
func ParsePattern(s string) (*Pattern, error) {
	p := parser{lexer: lexer{s: s}}
	if len(s) > MaxPatternBytes {
		return nil, p.fail(MaxPatternBytes, "longer than %d bytes", MaxPatternBytes)
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if err := p.observations(); err != nil {
		return nil, err
	}
	if p.tok.kind != tokEnd {
		return nil, p.unexpected("the end")
	}
	return &Pattern{p.found}, nil
}

// parser is a recursive descent over observation and comparison expressions.
// It keeps no tree: what is asked of patterns here is which values they
// compare, and whether each suffices.
type parser struct {
	lexer
	tok   token
	depth int
	found []Comparison
}

func (p *parser) advance() (err error) {
	p.tok, err = p.next()
	return err
}

func (p *parser) unexpected(want string) error {
	if p.tok.kind == tokEnd {
		return p.fail(p.tok.pos, "ends where %s was expected", want)
	}
	return p.fail(p.tok.pos, "%.20q where %s was expected", p.tok.text, want)
}

// word steps over a keyword, and tells whether it was there.
func (p *parser) word(w string) (bool, error) {
	if p.tok.kind != tokWord || p.tok.text != w {
		return false, nil
	}
	return true, p.advance()
}

func (p *parser) isPunct(c string) bool { return p.tok.kind == tokPunct && p.tok.text == c }

func (p *parser) punct(c string) error {
	if !p.isPunct(c) {
		return p.unexpected("'" + c + "'")
	}
	return p.advance()
}

func (p *parser) down() error {
	p.depth++
	if p.depth > MaxPatternDepth {
		return p.fail(p.tok.pos, "nested deeper than %d", MaxPatternDepth)
	}
	return nil
}

// chain parses operands joined by the word op. Where joined is set, having
// more than one operand means that none of them suffices.
func (p *parser) chain(op string, joined bool, operand func() error) error {
	first := len(p.found)
	for n := 1; ; n++ {
		if err := operand(); err != nil {
			return err
		}
		again, err := p.word(op)
		if err != nil {
			return err
		}
		if again {
			continue
		}
		if joined && n > 1 {
			for i := first; i < len(p.found); i++ {
				p.found[i].Alone = false
			}
		}
		return nil
	}
}

// observations: FOLLOWEDBY binds loosest, then OR, then AND.
func (p *parser) observations() error {
	return p.chain("FOLLOWEDBY", true, func() error {
		return p.chain("OR", false, func() error {
			return p.chain("AND", true, p.observation)
		})
	})
}

func (p *parser) observation() error {
	if err := p.down(); err != nil {
		return err
	}
	defer func() { p.depth-- }()
	open, inner := "[", p.comparisonsIn
	if p.isPunct("(") {
		open, inner = "(", p.observations
	}
	if !p.isPunct(open) {
		return p.unexpected("'[' or '('")
	}
	if err := p.advance(); err != nil {
		return err
	}
	if err := inner(); err != nil {
		return err
	}
	if err := p.punct(map[string]string{"[": "]", "(": ")"}[open]); err != nil {
		return err
	}
	return p.qualifiers()
}

// comparisonsIn parses what stands in square brackets; AND binds tighter.
func (p *parser) comparisonsIn() error {
	return p.chain("OR", false, func() error {
		return p.chain("AND", true, p.comparison)
	})
}

// qualifiers: START t STOP t, WITHIN n SECONDS, REPEATS n TIMES, in any order.
func (p *parser) qualifiers() error {
	for p.tok.kind == tokWord {
		var err error
		switch p.tok.text {
		case "START":
			err = p.sequence("START", tokTime, "STOP", tokTime)
		case "WITHIN":
			err = p.sequence("WITHIN", tokFloat, "SECONDS", tokEnd)
		case "REPEATS":
			err = p.sequence("REPEATS", tokInt, "TIMES", tokEnd)
		default:
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sequence reads a keyword, a literal, a keyword and, unless it is tokEnd,
// another literal. A float may be written as an integer; numbers may not be
// negative.
func (p *parser) sequence(word string, lit tokenKind, word2 string, lit2 tokenKind) error {
	for i, want := range []tokenKind{tokWord, lit, tokWord, lit2} {
		text := word
		if i == 2 {
			text = word2
		}
		switch {
		case i == 3 && want == tokEnd:
			return nil
		case want == tokWord && p.tok.text != text:
			return p.unexpected(text)
		case p.tok.kind != want && !(want == tokFloat && p.tok.kind == tokInt):
			return p.unexpected("another kind of value")
		case (want == tokFloat || want == tokInt) && strings.HasPrefix(p.tok.text, "-"):
			return p.unexpected("a positive number")
		}
		if err := p.advance(); err != nil {
			return err
		}
	}
	return nil
}

package stix

import "strings"

// comparison parses one test: (…), EXISTS path, or path NOT? operator literal.
func (p *parser) comparison() error {
	if p.isPunct("(") {
		if err := p.down(); err != nil {
			return err
		}
		defer func() { p.depth-- }()
		if err := p.advance(); err != nil {
			return err
		}
		if err := p.comparisonsIn(); err != nil {
			return err
		}
		return p.punct(")")
	}
	c := Comparison{Alone: true}
	negated, exists, err := p.exists()
	if err != nil {
		return err
	}
	if c.Path, err = p.path(); err != nil {
		return err
	}
	if exists {
		c.Op, c.Negated = "EXISTS", negated
		p.found = append(p.found, c)
		return nil
	}
	if c.Negated, err = p.word("NOT"); err != nil {
		return err
	}
	if err := p.operand(&c); err != nil {
		return err
	}
	p.found = append(p.found, c)
	return nil
}

// exists reads EXISTS, or NOT EXISTS as STIX 2.1 section 9.6.1 has it. A path
// may begin with a type of that name, so the colon decides.
func (p *parser) exists() (negated, exists bool, err error) {
	if p.tok.kind != tokWord || p.tok.text != "EXISTS" && p.tok.text != "NOT" {
		return false, false, nil
	}
	negated, err = p.word("NOT")
	if err != nil {
		return false, false, err
	}
	exists, err = p.word("EXISTS")
	if err == nil && !exists {
		err = p.unexpected("EXISTS")
	}
	return negated, exists, err
}

func (p *parser) operand(c *Comparison) error {
	switch {
	case p.tok.kind == tokCompare:
		c.Op = p.tok.text
		if err := p.advance(); err != nil {
			return err
		}
		return p.literal(c)
	case p.tok.kind != tokWord:
		return p.unexpected("an operator")
	}
	c.Op = p.tok.text
	switch c.Op {
	case "IN":
		if err := p.advance(); err != nil {
			return err
		}
		return p.set(c)
	case "LIKE", "MATCHES", "ISSUBSET", "ISSUPERSET":
		if err := p.advance(); err != nil {
			return err
		}
		if p.tok.kind != tokString {
			return p.unexpected("a string")
		}
		return p.literal(c)
	}
	return p.unexpected("an operator")
}

func (p *parser) set(c *Comparison) error {
	if err := p.punct("("); err != nil {
		return err
	}
	if p.isPunct(")") {
		return p.advance()
	}
	for {
		if err := p.literal(c); err != nil {
			return err
		}
		if !p.isPunct(",") {
			return p.punct(")")
		}
		if err := p.advance(); err != nil {
			return err
		}
	}
}

func (p *parser) literal(c *Comparison) error {
	ordered := c.Op != "=" && c.Op != "!=" && c.Op != "IN"
	switch {
	case p.tok.kind == tokString:
		c.text = true
	case p.tok.kind >= tokInt && p.tok.kind <= tokBinary:
	case p.tok.kind == tokWord && !ordered && (p.tok.text == "true" || p.tok.text == "false"):
	default:
		return p.unexpected("a literal")
	}
	c.Values = append(c.Values, p.tok.text)
	return p.advance()
}

// path parses type:key.key[*].'other key' (section 9.5).
func (p *parser) path() (string, error) {
	if p.tok.kind != tokWord || keyword(p.tok.text) {
		return "", p.unexpected("an object path")
	}
	var b strings.Builder
	b.WriteString(p.tok.text)
	if err := p.advance(); err != nil {
		return "", err
	}
	if err := p.punct(":"); err != nil {
		return "", err
	}
	b.WriteByte(':')
	if err := p.key(&b); err != nil {
		return "", err
	}
	for {
		switch {
		case p.isPunct("."):
			if err := p.advance(); err != nil {
				return "", err
			}
			b.WriteByte('.')
			if err := p.key(&b); err != nil {
				return "", err
			}
		case p.isPunct("["):
			if err := p.index(&b); err != nil {
				return "", err
			}
		default:
			return b.String(), nil
		}
	}
}

func (p *parser) key(b *strings.Builder) error {
	switch {
	case p.tok.kind == tokString:
		if plainKey(p.tok.text) {
			b.WriteString(p.tok.text)
		} else {
			b.WriteString(quotePattern(p.tok.text))
		}
	case p.tok.kind == tokWord && !strings.Contains(p.tok.text, "-") && !keyword(p.tok.text):
		b.WriteString(p.tok.text)
	default:
		return p.unexpected("a key")
	}
	return p.advance()
}

func (p *parser) index(b *strings.Builder) error {
	if err := p.advance(); err != nil {
		return err
	}
	if !p.isPunct("*") && (p.tok.kind != tokInt || p.tok.text[0] == '-') {
		return p.unexpected("an index or '*'")
	}
	b.WriteByte('[')
	b.WriteString(p.tok.text)
	b.WriteByte(']')
	if err := p.advance(); err != nil {
		return err
	}
	return p.punct("]")
}

// plainKey tells whether a quoted key reads the same without its quotes.
func plainKey(s string) bool {
	for i := range len(s) {
		if !letter(s[i]) && !digit(s[i]) && s[i] != '-' {
			return false
		}
	}
	return s != ""
}

// keyword tells whether the grammar keeps the word for itself.
func keyword(s string) bool {
	switch s {
	case "AND", "OR", "NOT", "FOLLOWEDBY", "LIKE", "MATCHES", "ISSUPERSET", "ISSUBSET", "EXISTS",
		"LAST", "IN", "START", "STOP", "SECONDS", "true", "false", "WITHIN", "REPEATS", "TIMES":
		return true
	}
	return false
}

// quotePattern writes s as a string of the pattern language.
func quotePattern(s string) string { return string(appendPatternString(nil, s)) }

func appendPatternString(dst []byte, s string) []byte {
	dst = append(dst, '\'')
	for i := range len(s) {
		if s[i] == '\'' || s[i] == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, s[i])
	}
	return append(dst, '\'')
}

package stix

// terms fills Values from the pattern, the observable itself, or the
// observables embedded in observed data.
func (r *reader) terms() {
	f := &r.facts
	if r.pattern != "" {
		if r.patternType == "" || r.patternType == "stix" {
			f.Values = appendPatternTerms(f.Values, r.pattern)
		}
		return
	}
	switch f.Type {
	case "file", "artifact", "x509-certificate":
		f.Values = appendHashTerms(f.Values, f.Type, r.hashes)
		if f.Type == "file" && r.name != "" {
			f.Values = append(f.Values, Term{"filename", "file:name", r.name, true})
		}
	case "ipv4-addr", "ipv6-addr", "domain-name", "url", "email-addr":
		f.Values = appendValueTerm(f.Values, f.Type, r.value)
	case "observed-data":
		r.embedded()
	}
}

func appendValueTerm(dst []Term, kind, value string) []Term {
	if value == "" {
		return dst
	}
	path := ""
	switch kind {
	case "ipv4-addr":
		path = "ipv4-addr:value"
	case "ipv6-addr":
		path = "ipv6-addr:value"
	case "domain-name":
		path = "domain-name:value"
	case "url":
		path = "url:value"
	case "email-addr":
		path = "email-addr:value"
	default:
		return dst
	}
	return append(dst, Term{kindOf(path, value), path, value, true})
}

func appendHashTerms(dst []Term, kind, raw string) []Term {
	c := cursor{s: raw}
	if !c.enter('{') {
		return dst
	}
	for c.more() {
		name := c.text()
		text := c.text()
		if k := hashKind(name); k != "" && text != "" {
			dst = append(dst, Term{k, kind + ":hashes." + name, text, true})
		}
	}
	return dst
}

// embedded reads the objects of STIX 2.0 observed data.
func (r *reader) embedded() {
	c := cursor{s: r.objects}
	if !c.enter('{') {
		return
	}
	for c.more() {
		c.skip() // its key
		if !c.enter('{') {
			c.skip()
			continue
		}
		kind, name, value, hashes := "", "", "", ""
		for c.more() {
			switch c.text() {
			case "type":
				kind = c.text()
			case "name":
				name = c.text()
			case "value":
				value = c.text()
			case "hashes":
				hashes = c.value()
			default:
				c.skip()
			}
		}
		f := &r.facts
		f.Values = appendHashTerms(f.Values, kind, hashes)
		f.Values = appendValueTerm(f.Values, kind, value)
		if kind == "file" && name != "" {
			f.Values = append(f.Values, Term{"filename", "file:name", name, true})
		}
	}
}

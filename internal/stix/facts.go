package stix

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Action is what an author would have done about an indicator; "" if it says
// nothing. MISP's to_ids is detect.
type Action string

// The actions an indicator's author may ask for.
const (
	ActionBlock  Action = "block"
	ActionDetect Action = "detect"
	ActionNone   Action = "none"
)

// Term is one observable value that an object asserts something about.
type Term struct {
	// Kind is ipv4, ipv6, domain, url, email, md5, sha1, sha256, sha512 or
	// filename, judged by path and text; "" if it is none of them. ipv4 and
	// ipv6 may carry a prefix length.
	Kind string
	// Path is the STIX object path, keys unquoted: file:hashes.SHA-256.
	Path string
	// Text is the value as it came, not normalised.
	Text string
	// Alone is whether the value suffices by itself. It is false where the
	// pattern asks for more (AND, FOLLOWEDBY).
	Alone bool
}

// Facts is what an index needs to know of an object.
type Facts struct {
	Type, ID, CreatedBy   string
	Created, Modified     time.Time
	ValidFrom, ValidUntil time.Time
	// FirstSeen and LastSeen are first_seen, first_observed or what the
	// handling extension says, and their likes.
	FirstSeen, LastSeen time.Time
	Revoked             bool
	Confidence          int // 0 to 100, -1 absent
	// Says is what the object asserts, for people: name, types, labels, kill
	// chain phases, the description's first line. At most 200 bytes, no
	// control characters.
	Says string
	// TLP is the strictest of the object's own TLP markings.
	TLP    TLP
	Action Action
	Values []Term
}

// Scan calls fn for each object of a bundle, in order, with its place in the
// bundle, its bytes and its facts. It is for bundles that ParseBundle accepted
// or that another member's node did: it checks JSON, depth and size, not STIX,
// and leaves zero what it cannot read.
//
// f and f.Values are reused: copy what is kept. The strings in f never change,
// but share one copy of the whole bundle: strings.Clone those kept for long.
// raw aliases bundle. An error of fn ends the scan and is returned as it is.
func Scan(bundle []byte, fn func(ordinal int, raw []byte, f *Facts) error) error {
	all := string(bundle)
	var r reader
	return walk(bundle, func(s span) error {
		if s.kind != '{' {
			return placed(bundle, s.start, errNotObject)
		}
		if s.end-s.start > MaxObjectBytes {
			return placed(bundle, s.start, errTooLarge)
		}
		if !r.read(all[s.start:s.end]) {
			return placed(bundle, s.start, errDepth)
		}
		return fn(s.ordinal, bundle[s.start:s.end], &r.facts)
	})
}

// FactsOf reads the facts of one object. Unlike Scan's they are the caller's
// to keep.
func FactsOf(o Object) Facts {
	var r reader
	r.read(string(o.Raw))
	return r.facts
}

// reader collects one object's facts after the other.
type reader struct {
	facts       Facts
	pattern     string
	patternType string
	hashes      string // raw JSON of an SCO's hashes
	objects     string // raw JSON of observed-data's embedded objects
	name        string
	value       string
	description string
	words       [maxWords]string // labels, types, phases
	n           int
	says        []byte
	said        [maxWords + 2]string // what Says was made of
	stamp       string
	at          time.Time
}

const maxWords = 12

// read fills r.facts from one valid JSON object; false if it is nested too
// deeply.
func (r *reader) read(s string) bool {
	values := r.facts.Values[:0]
	r.facts = Facts{Confidence: -1, Values: values, Says: r.facts.Says}
	r.pattern, r.patternType, r.hashes, r.objects = "", "", "", ""
	r.name, r.value, r.description, r.n = "", "", "", 0
	c := walkOver(s)
	c.stamp, c.at = r.stamp, r.at
	if !c.enter('{') {
		return true
	}
	for c.more() {
		r.member(&c, c.text())
	}
	if c.deepest > MaxDepth-3 {
		return false
	}
	r.stamp, r.at = c.stamp, c.at
	r.terms()
	r.say()
	return true
}

func (r *reader) member(c *cursor, key string) {
	f := &r.facts
	switch key {
	case "type":
		f.Type = c.text()
	case "id":
		f.ID = c.text()
	case "created_by_ref":
		f.CreatedBy = c.text()
	case "created":
		f.Created = c.time()
	case "modified":
		f.Modified = c.time()
	case "valid_from":
		f.ValidFrom = c.time()
	case "valid_until":
		f.ValidUntil = c.time()
	case "first_seen", "first_observed":
		f.FirstSeen = c.time()
	case "last_seen", "last_observed":
		f.LastSeen = c.time()
	case "revoked":
		f.Revoked = c.bool()
	case "confidence":
		if n := c.int(); n <= 100 {
			f.Confidence = n
		}
	case "object_marking_refs":
		r.markings(c)
	case "extensions":
		r.extensions(c)
	default:
		r.wording(c, key)
	}
}

// wording takes the members that end up in Says or in Values.
func (r *reader) wording(c *cursor, key string) {
	switch key {
	case "pattern":
		r.pattern = c.text()
	case "pattern_type":
		r.patternType = c.text()
	case "name":
		r.name = c.text()
	case "description", "abstract", "summary":
		r.keepDescription(c)
	case "value":
		r.value = c.text()
	case "hashes":
		r.hashes = c.value()
	case "objects":
		r.objects = c.value()
	case "labels", "indicator_types", "malware_types", "report_types", "threat_actor_types",
		"tool_types", "infrastructure_types", "kill_chain_phases", "opinion", "relationship_type":
		r.list(c)
	default:
		c.skip()
	}
}

func (r *reader) keepDescription(c *cursor) {
	if s := c.text(); r.description == "" {
		r.description = s
	}
}

// list collects words: a string, strings, or the phase names of kill chains.
func (r *reader) list(c *cursor) {
	if c.peek() == '"' {
		r.word(c.text())
		return
	}
	if !c.enter('[') {
		c.skip()
		return
	}
	for c.more() {
		if !c.enter('{') {
			r.word(c.text())
			continue
		}
		for c.more() {
			if c.text() == "phase_name" {
				r.word(c.text())
			} else {
				c.skip()
			}
		}
	}
}

func (r *reader) word(s string) {
	if s != "" && r.n < maxWords {
		r.words[r.n] = s
		r.n++
	}
}

func (r *reader) markings(c *cursor) {
	if !c.enter('[') {
		c.skip()
		return
	}
	for c.more() {
		if t := TLPOfMarking(c.text()); t.Rank() > r.facts.TLP.Rank() {
			r.facts.TLP = t
		}
	}
}

func (r *reader) extensions(c *cursor) {
	if !c.enter('{') {
		c.skip()
		return
	}
	for c.more() {
		if c.text() != ExtensionHandling || !c.enter('{') {
			c.skip()
			continue
		}
		for c.more() {
			switch c.text() {
			case "action":
				r.facts.Action = parseAction(c.text())
			case "first_seen":
				r.facts.FirstSeen = c.time()
			case "last_seen":
				r.facts.LastSeen = c.time()
			default:
				c.skip()
			}
		}
	}
}

func parseAction(s string) Action {
	switch a := Action(s); a {
	case ActionBlock, ActionDetect, ActionNone:
		return a
	}
	return ""
}

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

const maxSays = 200

// say makes Says. Objects of one share mostly say the same, so the string of
// the object before is used again where it fits.
func (r *reader) say() {
	made := [maxWords + 2]string{r.name, r.description}
	copy(made[2:], r.words[:r.n])
	if made == r.said {
		return
	}
	r.said = made
	r.says = r.says[:0]
	r.clause(r.name)
	for _, w := range r.words[:r.n] {
		r.clause(w)
	}
	line, _, _ := strings.Cut(r.description, "\n")
	r.clause(line)
	r.facts.Says = string(r.says)
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

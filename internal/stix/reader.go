package stix

import (
	"strings"
	"time"
)

// reader collects one object's facts after the other.
type reader struct {
	facts       Facts
	pattern     string
	patternType string
	hashes      string // raw JSON of an SCO's hashes
	objects     string // raw JSON of observed-data's embedded objects
	defines     TLP
	name        string
	value       string
	description string
	words       [maxWords]string // labels, types, phases, an opinion
	n           int
	says        []byte
	// What Says was made of.
	saidName, saidDescription string
	saidWords                 [maxWords]string
	saidN                     int
	stamp                     string
	at                        time.Time
}

const maxWords = 12

// read fills r.facts from one valid JSON object; false if it is nested too
// deeply.
func (r *reader) read(s string) bool {
	f := &r.facts
	r.facts = Facts{Confidence: -1, Says: f.Says, Values: f.Values[:0], Aliases: f.Aliases[:0], Labels: f.Labels[:0],
		External: f.External[:0], Prose: f.Prose[:0], Refs: f.Refs[:0]}
	r.pattern, r.patternType, r.hashes, r.objects = "", "", "", ""
	r.defines = ""
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
	if r.facts.Type == "marking-definition" {
		r.mark(r.defines)
	}
	f.Name = r.name
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
	case "granular_markings":
		r.granular(c)
	case "definition":
		r.field(c, "tlp", r.label)
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
	case "description", "abstract", "summary", "content", "explanation":
		r.keepProse(c)
	case "value":
		r.value = c.text()
	case "hashes":
		r.hashes = c.value()
	case "objects":
		r.objects = c.value()
	case "labels":
		r.each(c, func(s string) { r.facts.Labels = append(r.facts.Labels, s); r.word(s) })
	case "aliases", "x_mitre_aliases":
		r.each(c, func(s string) { r.facts.Aliases = append(r.facts.Aliases, s) })
	case "external_references":
		r.external(c)
	case "opinion":
		r.facts.Opinion = c.text()
		r.word(r.facts.Opinion)
	case "indicator_types", "malware_types", "report_types", "threat_actor_types",
		"tool_types", "infrastructure_types", "kill_chain_phases", "relationship_type":
		r.list(c)
	default:
		r.refs(c, key)
	}
}

func (r *reader) keepProse(c *cursor) {
	s := c.text()
	if s == "" {
		return
	}
	r.facts.Prose = append(r.facts.Prose, s)
	if r.description == "" {
		r.description = s
	}
}

// refs takes the members that refer to other objects: their names say so.
func (r *reader) refs(c *cursor, key string) {
	if strings.HasSuffix(key, "_refs") || strings.HasSuffix(key, "_ref") {
		r.each(c, func(s string) { r.facts.Refs = append(r.facts.Refs, s) })
		return
	}
	c.skip()
}

// each calls use with a string, or with those of a list.
func (r *reader) each(c *cursor, use func(string)) {
	one := func() {
		if s := c.text(); s != "" {
			use(s)
		}
	}
	if !c.enter('[') {
		one()
		return
	}
	for c.more() {
		one()
	}
}

func (r *reader) external(c *cursor) {
	if !c.enter('[') {
		c.skip()
		return
	}
	for c.more() {
		r.field(c, "external_id", func(s string) {
			if s != "" {
				r.facts.External = append(r.facts.External, s)
			}
		})
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
		r.mark(TLPOfMarking(c.text()))
	}
}

func (r *reader) granular(c *cursor) {
	if !c.enter('[') {
		c.skip()
		return
	}
	for c.more() {
		r.field(c, "marking_ref", func(id string) { r.mark(TLPOfMarking(id)) })
	}
}

// mark keeps the strictest label.
func (r *reader) mark(t TLP) {
	if t.Rank() > r.facts.TLP.Rank() {
		r.facts.TLP = t
	}
}

// label keeps what may turn out to be the label that a marking definition
// defines: its type can come last.
func (r *reader) label(s string) {
	if t, err := ParseTLP(s); err == nil {
		r.defines = t
	}
}

// field calls use with the string members of that name in the next object.
func (r *reader) field(c *cursor, name string, use func(string)) {
	if !c.enter('{') {
		c.skip()
		return
	}
	for c.more() {
		if c.text() == name {
			use(c.text())
		} else {
			c.skip()
		}
	}
}

func (r *reader) extensions(c *cursor) {
	if !c.enter('{') {
		c.skip()
		return
	}
	for c.more() {
		switch c.text() {
		case ExtensionHandling:
			r.handling(c)
		case ExtensionTLP:
			r.field(c, "tlp_2_0", r.label)
		default:
			c.skip()
		}
	}
}

func (r *reader) handling(c *cursor) {
	if !c.enter('{') {
		c.skip()
		return
	}
	for c.more() {
		switch c.text() {
		case "action":
			r.facts.Action = parseAction(c.text())
		case "share":
			r.facts.Share = c.text()
		case "first_seen":
			r.facts.FirstSeen = c.time()
		case "last_seen":
			r.facts.LastSeen = c.time()
		default:
			c.skip()
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

package stix

import "strings"

// form is what a required property must look like.
type form byte

const (
	formText form = 's' // a string, not empty
	formTime form = 't'
	formBool form = 'b'
	formInt  form = 'i'
	formList form = 'l'
	formRef  form = 'r'
)

type need struct {
	name string
	form form
}

// needs lists the properties that STIX 2.1 requires of each type beside the
// common ones: sections 4 (SDO), 5 (SRO) and 7 (meta objects).
var needs = map[string][]need{
	"attack-pattern":       {{"name", formText}},
	"campaign":             {{"name", formText}},
	"course-of-action":     {{"name", formText}},
	"grouping":             {{"context", formText}, {"object_refs", formList}},
	"identity":             {{"name", formText}},
	"incident":             {{"name", formText}},
	"indicator":            {{"pattern", formText}, {"pattern_type", formText}, {"valid_from", formTime}},
	"infrastructure":       {{"name", formText}},
	"intrusion-set":        {{"name", formText}},
	"location":             nil,
	"malware":              {{"is_family", formBool}},
	"malware-analysis":     {{"product", formText}},
	"note":                 {{"content", formText}, {"object_refs", formList}},
	"observed-data":        {{"first_observed", formTime}, {"last_observed", formTime}, {"number_observed", formInt}},
	"opinion":              {{"opinion", formText}, {"object_refs", formList}},
	"report":               {{"name", formText}, {"published", formTime}, {"object_refs", formList}},
	"threat-actor":         {{"name", formText}},
	"tool":                 {{"name", formText}},
	"vulnerability":        {{"name", formText}},
	"relationship":         {{"relationship_type", formText}, {"source_ref", formRef}, {"target_ref", formRef}},
	"sighting":             {{"sighting_of_ref", formRef}},
	"marking-definition":   nil,
	"language-content":     {{"object_ref", formRef}},
	"extension-definition": {{"name", formText}, {"schema", formText}, {"version", formText}, {"extension_types", formList}},
}

// observableNeeds is the same for cyber observables, section 6.
var observableNeeds = map[string][]need{
	"artifact":             nil,
	"autonomous-system":    {{"number", formInt}},
	"directory":            {{"path", formText}},
	"domain-name":          {{"value", formText}},
	"email-addr":           {{"value", formText}},
	"email-message":        {{"is_multipart", formBool}},
	"file":                 nil,
	"ipv4-addr":            {{"value", formText}},
	"ipv6-addr":            {{"value", formText}},
	"mac-addr":             {{"value", formText}},
	"mutex":                {{"name", formText}},
	"network-traffic":      {{"protocols", formList}},
	"process":              nil,
	"software":             {{"name", formText}},
	"url":                  {{"value", formText}},
	"user-account":         nil,
	"windows-registry-key": nil,
	"x509-certificate":     nil,
}

// known tells whether STIX 2.1 defines the type as an SDO, SRO or meta object.
func known(kind string) bool { _, ok := needs[kind]; return ok }

// observable tells whether STIX 2.1 defines the type as a cyber observable.
func observable(kind string) bool { _, ok := observableNeeds[kind]; return ok }

// required applies the tables. What upgrade inserts is not missed in 2.0.
func (c *checker) required() {
	table := needs[c.kind]
	if observable(c.kind) {
		table = observableNeeds[c.kind]
	}
	for _, n := range table {
		m, ok := c.find(n.name)
		switch {
		case !ok && c.old && (n.name == "pattern_type" || n.name == "is_family"):
		case !ok:
			c.bad(n.name, CodeMissing, "%s is required of %s", n.name, c.kind)
		default:
			c.form(n, m)
		}
	}
}

func (c *checker) form(n need, m member) {
	switch n.form {
	case formText:
		if s, ok := c.str(n.name); ok && s == "" {
			c.bad(n.name, CodeMalformed, "empty")
		}
	case formTime:
		c.time(n.name)
	case formBool:
		if m.value != "true" && m.value != "false" {
			c.bad(n.name, CodeMalformed, "neither true nor false")
		}
	case formInt:
		if strings.Trim(m.value, "0123456789") != "" {
			c.bad(n.name, CodeMalformed, "not a whole number")
		}
	case formList:
		if !strings.HasPrefix(m.value, "[") {
			c.bad(n.name, CodeMalformed, "not a list")
		}
	case formRef:
		c.str(n.name)
	}
}

// special applies the rules that hold for one type only.
func (c *checker) special() {
	switch c.kind {
	case "indicator":
		c.indicator()
	case "opinion":
		switch s, _ := c.str("opinion"); s {
		case "strongly-disagree", "disagree", "neutral", "agree", "strongly-agree", "":
		default:
			c.bad("opinion", CodeMalformed, "not a word of opinion-enum") // section 4.14
		}
	case "observed-data":
		if !c.any("objects", "object_refs") {
			c.bad("object_refs", CodeMissing, "object_refs or objects is required of observed-data")
		}
		c.order("first_observed", "last_observed", true)
	case "file":
		if !c.any("hashes", "name") {
			c.bad("hashes", CodeMissing, "hashes or name is required of file") // section 6.7
		}
	case "marking-definition":
		if !c.any("definition", "extensions") {
			c.bad("definition", CodeMissing, "definition or extensions is required of marking-definition")
		}
	case "sighting", "malware", "campaign", "intrusion-set", "infrastructure", "threat-actor":
		c.order("first_seen", "last_seen", true)
	case "relationship":
		c.order("start_time", "stop_time", false)
	case "malware-analysis":
		if !c.old && !c.any("result", "analysis_sco_refs") {
			c.bad("result", CodeMissing, "result or analysis_sco_refs is required of malware-analysis")
		}
	case "location":
		if !c.any("region", "country", "latitude") {
			c.bad("region", CodeMissing, "region, country or latitude is required of location")
		}
	}
}

func (c *checker) indicator() {
	c.order("valid_from", "valid_until", false) // section 4.7
	kind, there := c.str("pattern_type")
	if there && kind != "stix" {
		return // yara, sigma, snort …: theirs to parse
	}
	if pattern, ok := c.str("pattern"); ok && pattern != "" {
		if _, quick := quickTerm(pattern); quick {
			return
		}
		if _, err := ParsePattern(pattern); err != nil {
			c.bad("pattern", CodeMalformed, "%v", err)
		}
	}
}

func (c *checker) any(names ...string) bool {
	for _, n := range names {
		if _, ok := c.find(n); ok {
			return true
		}
	}
	return false
}

// order applies the rule that one time is not before the other, and where
// equal is false, later.
func (c *checker) order(first, last string, equal bool) {
	before := len(c.faults)
	a, b := c.time(first), c.time(last)
	if len(c.faults) > before {
		// required tells of the mandatory ones; once is enough.
		c.faults = dedupe(c.faults)
		return
	}
	if !a.IsZero() && !b.IsZero() && (b.Before(a) || !equal && b.Equal(a)) {
		c.bad(last, CodeMalformed, "not later than %s", first)
	}
}

func dedupe(all []fault) []fault {
	out := all[:0]
	seen := make(map[fault]bool)
	for _, f := range all {
		if !seen[f] {
			seen[f] = true
			out = append(out, f)
		}
	}
	return out
}

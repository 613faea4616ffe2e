package stix

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Why is why an object was withdrawn.
type Why string

// The reasons for withdrawing an object.
const (
	WhyFalsePositive Why = "false-positive"
	WhyError         Why = "error"
	WhyLeak          Why = "leak" // what it said should never have been said
	WhyTerms         Why = "terms"
	WhyAuthor        Why = "author" // the author's own decision
)

// ParseWhy reads a reason for withdrawing.
func ParseWhy(text string) (Why, error) {
	switch w := Why(text); w {
	case WhyFalsePositive, WhyError, WhyLeak, WhyTerms, WhyAuthor:
		return w, nil
	}
	return "", fmt.Errorf("why %.40q: want false-positive, error, leak, terms or author", text)
}

// withdrawnText stands for what a leak said.
const withdrawnText = "withdrawn"

// leakKeeps are the properties that stay of an object withdrawn as a leak: who
// said it when, and what STIX requires that is no text of its author's.
var leakKeeps = map[string]bool{
	"type": true, "spec_version": true, "id": true, "created_by_ref": true, "created": true, "object_marking_refs": true,
	"pattern_type": true, "valid_from": true, "relationship_type": true, "source_ref": true, "target_ref": true,
	"sighting_of_ref": true, "object_ref": true, "object_refs": true, "context": true, "opinion": true, "published": true,
	"first_observed": true, "last_observed": true, "number_observed": true, "is_family": true, "product": true,
}

// Revoke gives the version of an object that withdraws it, for good: as it was,
// revoked, of the given time and with the reason in the handling extension. Of a
// leak it says no more than STIX requires. Objects without versions (observables)
// cannot be revoked.
func Revoke(o Object, why Why, modified time.Time) (Object, error) {
	var c checker
	c.collect(string(o.Raw))
	if _, ok := c.find("modified"); !ok {
		return Object{}, fmt.Errorf("revoke %s: it has no versions", clip(o.ID))
	}
	modified, text := stamp(modified)
	w := writer{b: make([]byte, 0, len(o.Raw)+256)}
	w.b = append(w.b, '{')
	put := func(name, value string) {
		if len(w.b) > 1 {
			w.b = append(w.b, ',')
		}
		w.b = append(append(appendJSON(w.b, name), ':'), value...)
	}
	extensions := map[string]json.RawMessage{}
	for _, m := range c.members {
		switch {
		case m.name == "revoked":
		case m.name == "modified":
			put("modified", `"`+string(text)+`"`)
		case m.name == "extensions":
			if err := json.Unmarshal([]byte(m.value), &extensions); err != nil {
				return Object{}, fmt.Errorf("revoke %s: %w", clip(o.ID), err)
			}
		case why != WhyLeak || leakKeeps[m.name]:
			put(m.name, m.value)
		case m.name == "pattern":
			put(m.name, string(appendJSON(nil, "[x-withdrawn:id = '"+o.ID+"']")))
		case m.name == "name" || m.name == "content":
			put(m.name, `"`+withdrawnText+`"`)
		}
	}
	handling := map[string]json.RawMessage{}
	if raw := extensions[ExtensionHandling]; raw != nil {
		if err := json.Unmarshal(raw, &handling); err != nil {
			return Object{}, fmt.Errorf("revoke %s: %w", clip(o.ID), err)
		}
	}
	if why == WhyLeak { // which share it came in stays
		handling = map[string]json.RawMessage{"share": handling["share"]}
		if handling["share"] == nil {
			delete(handling, "share")
		}
		extensions = map[string]json.RawMessage{}
	}
	handling["extension_type"] = json.RawMessage(`"property-extension"`)
	handling["withdrawn"] = json.RawMessage(`"` + string(why) + `"`)
	extensions[ExtensionHandling], _ = json.Marshal(handling) // of valid JSON: cannot fail
	raw, err := json.Marshal(extensions)
	if err != nil {
		return Object{}, fmt.Errorf("revoke %s: %w", clip(o.ID), err)
	}
	put("revoked", "true")
	put("extensions", string(raw))
	w.b = append(w.b, '}')
	o.Raw, o.Modified, o.Revoked = w.b, modified, true
	return o, nil
}

// WithdrawnWhy is the reason that a revoked object gives, empty where it gives
// none that is known.
func WithdrawnWhy(raw []byte) Why {
	var o struct {
		Extensions map[string]struct {
			Withdrawn string `json:"withdrawn"`
		} `json:"extensions"`
	}
	if json.Unmarshal(raw, &o) != nil {
		return ""
	}
	why, _ := ParseWhy(strings.ToLower(o.Extensions[ExtensionHandling].Withdrawn))
	return why
}

// Again gives an object of ours another identifier: the nth of what it is about.
// A revoked object stays revoked, so what is said anew is another object.
func Again(o Object, n int) Object {
	id := derivedID(o.Type, o.ID, strconv.Itoa(n))
	o.Raw = bytes.Replace(o.Raw, []byte(`"id":"`+o.ID+`"`), []byte(`"id":"`+id+`"`), 1)
	o.ID = id
	return o
}

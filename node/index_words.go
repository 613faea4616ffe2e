package node

import (
	"slices"
	"strings"

	"github.com/tipmesh/tipmesh/internal/stix"
	"github.com/tipmesh/tipmesh/internal/words"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// Bounds of what one object is found by, beside words.MaxTokens.
const (
	maxRefs   = 4096 // identifiers it refers to
	maxFacets = 64   // labels, and names as a facet
)

// Facets that objects with text are found by: see words.Facet. The type is the STIX
// type; the record of a share is of type share. A technique is found by its own
// identifier and by that of the technique above it.
const (
	FacetType      = "type"
	FacetLabel     = "label"
	FacetMalware   = "malware"
	FacetActor     = "actor"
	FacetTechnique = "technique"
	FacetTLP       = "tlp"
	FacetMember    = "member"
)

// TypeShare is what FacetType says of the record of a share.
const TypeShare = "share"

// worded tells which types are found by words. Others, indicators and observables
// first of all, are only where somebody wrote a text about them: what comes in
// bulk is found by value.
func worded(kind string) bool {
	switch kind {
	case "report", "grouping", "note", "opinion", "sighting", "incident",
		"malware", "tool", "threat-actor", "intrusion-set", "campaign", "attack-pattern", "vulnerability",
		"infrastructure", "identity", "course-of-action":
		return true
	}
	return false
}

// refsOf gives what an object refers to. The record of a share names all that
// came with it, which is no news.
func refsOf(f *stix.Facts, record bool) []string {
	if record || len(f.Refs) == 0 {
		return nil
	}
	out := make([]string, 0, min(len(f.Refs), maxRefs))
	for _, id := range f.Refs[:min(len(f.Refs), maxRefs)] {
		if !stix.ValidID(id) || len(out) < 16 && slices.Contains(out, id) {
			continue
		}
		out = append(out, strings.Clone(id))
	}
	return out
}

// wordsOf gives the tokens that an object is found by, all but its TLP, which
// the share it came in may raise.
func wordsOf(f *stix.Facts, member protocol.MemberID, record bool) []string {
	switch {
	case record && (f.ID != f.Share || f.Name == ""):
		return nil // the first part of a share tells its title
	case !worded(f.Type) && len(f.Prose) == 0:
		return nil
	}
	kind := f.Type
	if record {
		kind = TypeShare
	}
	facets := []string{words.Facet(FacetType, kind), MemberFacet(member)}
	each := func(key string, list ...string) {
		for _, v := range list[:min(len(list), maxFacets)] {
			if t := words.Facet(key, v); len(t) > len(key)+1 && len(facets) < words.MaxTokens && !slices.Contains(facets, t) {
				facets = append(facets, t)
			}
		}
	}
	each(FacetLabel, f.Labels...)
	switch f.Type {
	case "malware":
		each(FacetMalware, f.Name)
		each(FacetMalware, f.Aliases...)
	case "threat-actor", "intrusion-set":
		each(FacetActor, f.Name)
		each(FacetActor, f.Aliases...)
	case "attack-pattern":
		each(FacetTechnique, f.Name)
		for _, id := range f.External[:min(len(f.External), maxFacets)] {
			above, _, _ := strings.Cut(id, ".")
			each(FacetTechnique, id, above)
		}
	}
	texts := slices.Concat([]string{f.Name}, f.Aliases, f.External, f.Labels, f.Prose)
	return append(facets, words.Tokens(words.MaxTokens-len(facets), texts...)...)
}

// MemberFacet is the token of what a member shared.
func MemberFacet(m protocol.MemberID) string { return FacetMember + "=" + m.String() }

// tlpFacet adds the token of the label that holds.
func tlpFacet(o *store.Object) {
	if len(o.Words) > 0 && o.Summary.TLP != "" {
		o.Words = append(o.Words, words.Facet(FacetTLP, o.Summary.TLP))
	}
}

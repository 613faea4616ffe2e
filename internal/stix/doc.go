// Package stix reads, checks and writes STIX 2.1: objects, bundles, patterns,
// versions and TLP markings.
//
// Objects keep the bytes they came in: unknown properties, their order and
// the spelling of numbers all survive, because nothing is re-marshalled. Two
// readers share one tokenizer: ParseBundle is for what comes from outside and
// says what is wrong with each object; Scan is for what was already accepted
// and hands out the few facts that an index needs, fast.
//
// STIX 2.0 objects (those without spec_version, STIX 2.1 section 3.2) are
// upgraded by inserting what 2.1 requires in front of their first property;
// see ParseBundle.
package stix

// Limits on what is read. They bound memory and stack for hostile input.
const (
	// MaxDepth is the deepest nesting of arrays and objects in a document,
	// the bundle itself counting as 1.
	MaxDepth = 64
	// MaxObjectBytes is the largest single object, in bytes as it came.
	MaxObjectBytes = 1 << 20
	// MaxObjects is the largest number of objects in a bundle.
	MaxObjects = 1_000_000
	// MaxPatternBytes is the longest pattern that is parsed, in bytes.
	MaxPatternBytes = 64 << 10
	// MaxPatternDepth is the deepest nesting of parentheses and brackets in
	// a pattern.
	MaxPatternDepth = 64
)

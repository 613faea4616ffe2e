package stix

import "time"

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
	// TLP is the strictest of the object's TLP markings, those of its parts
	// (granular markings) included. Of a marking definition it is the label
	// that it defines, whatever its id.
	TLP    TLP
	Action Action
	// Share is the share that a grouping of ours records.
	Share  string
	Values []Term
	// Name, Aliases, Labels and External, the identifiers that others know it by
	// (external_references), are as they came; Opinion is that of an opinion.
	Name, Opinion             string
	Aliases, Labels, External []string
	// Prose is what people wrote of it: description, abstract, content,
	// explanation.
	Prose []string
	// Refs are the identifiers it refers to, but for its author and markings.
	Refs []string
}

// Scan calls fn for each object of a bundle, in order, with its place in the
// bundle, its bytes and its facts. It is for bundles that ParseBundle accepted
// or that another member's node did: it checks JSON, depth and size, not STIX,
// and leaves zero what it cannot read.
//
// f and its lists are reused: copy what is kept. The strings in f never change,
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

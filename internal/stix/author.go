package stix

import (
	"strconv"
	"strings"
	"time"
)

func appendInt(dst []byte, n int) []byte { return strconv.AppendInt(dst, int64(n), 10) }

// made completes an Object whose bytes w holds.
func (w *writer) made(kind, id, author string, now time.Time) Object {
	return Object{Type: kind, ID: id, CreatedBy: author, Created: now, Modified: now, Raw: w.b}
}

// stamp rounds a time to what is written, so that Object and bytes agree.
func stamp(t time.Time) (time.Time, []byte) {
	t = t.UTC().Truncate(time.Millisecond)
	return t, AppendTime(make([]byte, 0, 24), t)
}

// Identity is the author's identity object, an organization. It carries
// itself as its author, which consumers that follow OASIS's interoperability
// profile ask for. The same Author always gives the same bytes.
func (a Author) Identity() Object {
	at, text := stamp(a.Created)
	var w writer
	w.begin("identity", a.ID, a.ID, text)
	w.text("name", a.Name)
	w.text("identity_class", "organization")
	w.b = append(w.b, '}')
	return w.made("identity", a.ID, a.ID, at)
}

// NewIndicator makes an indicator of one value. Kind is ipv4, ipv4-net, ipv6,
// ipv6-net, domain, url, email, md5, sha1, sha256, sha512 or filename; of any
// other kind, or without a value, the zero Object comes back. The value is
// taken as it is: normalise it first.
//
// The id follows from author, kind, value and malware name, so that a value
// shared twice is one object in two versions. Networks are compared with
// ISSUBSET. Without a malware name there is no name: the pattern says it all.
func NewIndicator(a Author, kind, value string, h Handling, now time.Time) Object {
	open, closing := patternOf(kind)
	if open == "" || value == "" {
		return Object{}
	}
	id := derivedID("indicator", a.ID, kind, value, h.Malware)
	at, text := stamp(now)
	w := writer{make([]byte, 0, 768+len(value))}
	w.begin("indicator", id, a.ID, text)
	w.text("name", h.Malware)
	w.list("indicator_types", orDefault(h.IndicatorTypes))
	w.key("pattern")
	w.b = append(append(w.b, '"'), open...)
	w.b = appendQuotedTwice(w.b, value)
	w.b = append(w.b, closing...)
	w.b = append(w.b, `","pattern_type":"stix","valid_from":"`...)
	from := at
	if h.ValidFrom.IsZero() {
		w.b = append(w.b, text...)
	} else {
		from = h.ValidFrom.Truncate(time.Millisecond)
		w.b = AppendTime(w.b, from)
	}
	w.b = append(w.b, '"')
	// Section 4.7 wants valid_until later than valid_from.
	if h.ValidUntil.Truncate(time.Millisecond).After(from) {
		w.time("valid_until", h.ValidUntil)
	}
	w.end(&h, "", true)
	return w.made("indicator", id, a.ID, at)
}

var maliciousActivity = []string{"malicious-activity"}

func orDefault(types []string) []string {
	if len(types) == 0 {
		return maliciousActivity
	}
	return types
}

// patternOf gives what stands around the quoted value in a pattern, already
// escaped for JSON.
func patternOf(kind string) (open, closing string) {
	switch kind {
	case "ipv4":
		return "[ipv4-addr:value = ", "]"
	case "ipv6":
		return "[ipv6-addr:value = ", "]"
	case "ipv4-net":
		return "[ipv4-addr:value ISSUBSET ", "]"
	case "ipv6-net":
		return "[ipv6-addr:value ISSUBSET ", "]"
	case "domain":
		return "[domain-name:value = ", "]"
	case "url":
		return "[url:value = ", "]"
	case "email":
		return "[email-addr:value = ", "]"
	case "md5":
		return "[file:hashes.MD5 = ", "]"
	case "sha1":
		return "[file:hashes.'SHA-1' = ", "]"
	case "sha256":
		return "[file:hashes.'SHA-256' = ", "]"
	case "sha512":
		return "[file:hashes.'SHA-512' = ", "]"
	case "filename":
		return "[file:name = ", "]"
	}
	return "", ""
}

// appendQuotedTwice appends s as a pattern's string inside a JSON string.
func appendQuotedTwice(dst []byte, s string) []byte {
	if strings.IndexByte(s, '\'') >= 0 || strings.IndexByte(s, '\\') >= 0 {
		s = quotePattern(s)
		s = s[1 : len(s)-1]
	}
	n := len(dst)
	dst = appendJSON(dst, s)
	// The JSON quotes' places are those of the pattern's quotes.
	dst[n], dst[len(dst)-1] = '\'', '\''
	return dst
}

// NewMalware makes a malware family. Its id follows from author and name;
// without a name the zero Object comes back.
func NewMalware(a Author, name string, h Handling, now time.Time) Object {
	if name == "" {
		return Object{}
	}
	id := derivedID("malware", a.ID, name)
	at, text := stamp(now)
	var w writer
	w.begin("malware", id, a.ID, text)
	w.text("name", name)
	w.b = append(w.b, `,"is_family":true`...)
	w.time("first_seen", h.FirstSeen)
	if !h.LastSeen.Before(h.FirstSeen) {
		w.time("last_seen", h.LastSeen)
	}
	w.end(&h, "", false)
	return w.made("malware", id, a.ID, at)
}

// NewRelationship makes a relationship of a kind ("indicates") from src to
// dst, both object ids. Its id follows from author, kind and both.
func NewRelationship(a Author, kind, src, dst string, h Handling, now time.Time) Object {
	id := derivedID("relationship", a.ID, kind, src, dst)
	at, text := stamp(now)
	w := writer{make([]byte, 0, 640)}
	w.begin("relationship", id, a.ID, text)
	w.text("relationship_type", kind)
	w.text("source_ref", src)
	w.text("target_ref", dst)
	w.end(&h, "", false)
	return w.made("relationship", id, a.ID, at)
}

// NewGrouping makes the record of a share: what was shared together, under
// which share id and name. Its id follows from author and share id. STIX
// allows no empty list, so without refs the zero Object comes back.
func NewGrouping(a Author, shareID, name string, refs []string, h Handling, now time.Time) Object {
	return NewGroupingPart(a, shareID, 0, name, refs, h, now)
}

// NewGroupingPart is NewGrouping for one of the parts, counted from 0, of a
// share that does not fit into one bundle: see GroupingID.
func NewGroupingPart(a Author, shareID string, part int, name string, refs []string, h Handling, now time.Time) Object {
	if len(refs) == 0 {
		return Object{}
	}
	id := GroupingID(a.ID, shareID, part)
	at, text := stamp(now)
	w := writer{make([]byte, 0, 768+64*len(refs))}
	w.begin("grouping", id, a.ID, text)
	w.text("name", name)
	w.text("context", "unspecified")
	w.list("object_refs", refs)
	w.end(&h, shareID, true)
	return w.made("grouping", id, a.ID, at)
}

// GroupingID is the id of the grouping that records a part of a share. A share
// id that is a grouping's id is that of its first part.
func GroupingID(author, shareID string, part int) string {
	switch {
	case part > 0:
		return derivedID("grouping", author, shareID, strconv.Itoa(part))
	case IDType(shareID) == "grouping" && ValidID(shareID):
		return shareID
	}
	return derivedID("grouping", author, shareID)
}

// HandlingExtension is the definition of ExtensionHandling, to ship in
// bundles that use it, together with ProjectIdentity, its author.
func HandlingExtension() Object {
	at, _ := ParseTime(published)
	var w writer
	w.begin("extension-definition", ExtensionHandling, projectIdentity, []byte(published))
	w.text("name", "tipmesh handling")
	w.text("description", "How the author would have an object handled: action is block, detect or none; "+
		"share names the act of sharing that brought it; first_seen and last_seen are when the author saw it.")
	w.text("schema", "https://github.com/tipmesh/tipmesh/blob/main/docs/stix/handling.schema.json")
	w.text("version", "1.0.0")
	w.list("extension_types", []string{"property-extension"})
	w.b = append(w.b, '}')
	return w.made("extension-definition", ExtensionHandling, projectIdentity, at)
}

// ProjectIdentity is the tipmesh project, author of the extension definition.
func ProjectIdentity() Object {
	at, _ := ParseTime(published)
	return Author{ID: projectIdentity, Name: "tipmesh", Created: at}.Identity()
}

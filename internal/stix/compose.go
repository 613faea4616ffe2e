package stix

import (
	"time"
	"unicode/utf8"
)

// ExtensionHandling is the id of the property extension with which an object
// carries how its author would have it handled: action, share, and the times
// that indicators have no property for.
const ExtensionHandling = "extension-definition--181b5c98-e424-4f7e-9072-4edee49aad30"

// projectIdentity is the author of the extension definition.
const projectIdentity = "identity--bc0b6362-a805-49b6-b163-feae87d8ff49"

// published is when the extension was first published.
const published = "2026-11-22T00:00:00.000Z"

// Author is the member that objects are authored by.
type Author struct {
	ID      string // identity--UUID
	Name    string
	Created time.Time
}

// Handling is what an author says with an object beside the value. The zero
// value says nothing.
type Handling struct {
	TLP    TLP
	Action Action
	// Labels are free words. IndicatorTypes are STIX's vocabulary; without
	// any it is malicious-activity.
	Labels, IndicatorTypes []string
	// Malware is the name of the family or campaign; it becomes the
	// indicator's name.
	Malware string
	// Confidence is 1 to 100; 0 and less say nothing.
	Confidence            int
	FirstSeen, LastSeen   time.Time
	ValidFrom, ValidUntil time.Time // ValidFrom zero: now
}

// writer appends one JSON object.
type writer struct{ b []byte }

// begin writes the common properties, in the order all our objects have, so
// that they compress well against each other.
func (w *writer) begin(kind, id, author string, now []byte) {
	w.b = append(w.b, `{"type":"`...)
	w.b = append(w.b, kind...)
	w.b = append(w.b, `","spec_version":"2.1","id":"`...)
	w.b = append(w.b, id...)
	if author != "" {
		w.b = append(w.b, `","created_by_ref":`...)
		w.b = appendJSON(w.b, author)
		w.b = append(w.b, `,"created":"`...)
	} else {
		w.b = append(w.b, `","created":"`...)
	}
	w.b = append(w.b, now...)
	w.b = append(w.b, `","modified":"`...)
	w.b = append(w.b, now...)
	w.b = append(w.b, '"')
}

func (w *writer) key(name string) {
	w.b = append(w.b, ',', '"')
	w.b = append(w.b, name...)
	w.b = append(w.b, '"', ':')
}

func (w *writer) text(name, s string) {
	if s != "" {
		w.key(name)
		w.b = appendJSON(w.b, s)
	}
}

func (w *writer) time(name string, t time.Time) {
	if !t.IsZero() {
		w.key(name)
		w.b = append(w.b, '"')
		w.b = AppendTime(w.b, t)
		w.b = append(w.b, '"')
	}
}

func (w *writer) list(name string, all []string) {
	if len(all) == 0 {
		return
	}
	w.key(name)
	for i, s := range all {
		if i == 0 {
			w.b = append(w.b, '[')
		} else {
			w.b = append(w.b, ',')
		}
		w.b = appendJSON(w.b, s)
	}
	w.b = append(w.b, ']')
}

// end writes what handling adds to any object, and closes it.
func (w *writer) end(h *Handling, share string, seen bool) {
	w.list("labels", h.Labels)
	if h.Confidence > 0 {
		w.key("confidence")
		w.b = appendInt(w.b, min(h.Confidence, 100))
	}
	if id := h.TLP.MarkingID(); id != "" {
		w.b = append(w.b, `,"object_marking_refs":["`...)
		w.b = append(w.b, id...)
		w.b = append(w.b, `"]`...)
	}
	seen = seen && !(h.FirstSeen.IsZero() && h.LastSeen.IsZero())
	if h.Action != "" || share != "" || seen {
		w.b = append(w.b, `,"extensions":{"`+ExtensionHandling+`":{"extension_type":"property-extension"`...)
		w.text("action", string(h.Action))
		w.text("share", share)
		if seen {
			w.time("first_seen", h.FirstSeen)
			w.time("last_seen", h.LastSeen)
		}
		w.b = append(w.b, '}', '}')
	}
	w.b = append(w.b, '}')
}

// appendJSON appends s as a JSON string. What is not UTF-8 becomes U+FFFD.
func appendJSON(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		n := 1
		if c >= utf8.RuneSelf {
			var r rune
			if r, n = utf8.DecodeRuneInString(s[i:]); r != utf8.RuneError || n > 1 {
				i += n
				continue
			}
		}
		dst = append(dst, s[start:i]...)
		switch {
		case c >= utf8.RuneSelf:
			dst = append(dst, "\uFFFD"...)
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		default:
			const hexDigits = "0123456789abcdef"
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i += n
		start = i
	}
	return append(append(dst, s[start:]...), '"')
}

// AppendBundle appends a bundle of the objects' raw bytes. Objects without
// any are left out.
func AppendBundle(dst []byte, id string, objs []Object) []byte {
	dst = append(dst, `{"type":"bundle","id":`...)
	dst = appendJSON(dst, id)
	sep := `,"objects":[`
	for i := range objs {
		if len(objs[i].Raw) == 0 {
			continue
		}
		dst = append(append(dst, sep...), objs[i].Raw...)
		sep = ","
	}
	// STIX allows no empty list: a bundle of nothing has no objects.
	if sep == "," {
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

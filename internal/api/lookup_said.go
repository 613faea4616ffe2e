package api

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/tipmesh/tipmesh/internal/stix"
	"github.com/tipmesh/tipmesh/store"
)

// maxSaidText bounds the explanation of an opinion that a finding gives, in
// bytes.
const maxSaidText = 500

// maxSightingCount is STIX's bound of a sighting's count.
const maxSightingCount = 999_999_999

// said is what the index does not keep of an opinion or a sighting.
type said struct {
	level, text string // of an opinion
	of          string // what was sighted,
	count       uint64 // so often; 0: it was looked for and not met
}

// read gives what an opinion or a sighting says; ok is false where its entry
// cannot be opened, or too many were in this call.
func (r *references) read(o *store.Object) (said, bool) {
	p := saidPlace{o.Arrival, o.Ordinal}
	if s, ok := r.s.said.get(p); ok {
		return s, true
	}
	if r.room.Add(-1) < 0 {
		return said{}, false
	}
	bundle, _, err := r.s.bundleOf(o.Arrival)
	if err != nil {
		return said{}, false
	}
	var out said
	found := false
	// What does not parse was shared by a member that breaks the rules: it says nothing.
	_ = stix.Scan(bundle, func(ordinal int, raw []byte, f *stix.Facts) error {
		if f.Type != "opinion" && f.Type != "sighting" {
			return nil
		}
		s := readSaid(raw)
		r.s.said.put(saidPlace{o.Arrival, uint32(ordinal)}, s)
		if uint32(ordinal) == o.Ordinal {
			out, found = s, true
		}
		return nil
	})
	return out, found
}

func readSaid(raw []byte) said {
	var x struct {
		Opinion     string  `json:"opinion"`
		Explanation string  `json:"explanation"`
		Of          string  `json:"sighting_of_ref"`
		Count       *uint64 `json:"count"`
	}
	if err := json.Unmarshal(raw, &x); err != nil {
		return said{}
	}
	s := said{level: strings.Clone(x.Opinion), text: shortened(x.Explanation, maxSaidText), of: x.Of, count: 1}
	if x.Count != nil {
		s.count = min(*x.Count, maxSightingCount)
	}
	return s
}

// shortened cuts a text to so many bytes, at a rune's border.
func shortened(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return strings.Clone(s[:most])
}

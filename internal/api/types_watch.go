package api

import "time"

// What an event of a watch says has happened.
const (
	WhatShared    = "shared"
	WhatRevised   = "revised"   // all of it was shared before, in other versions
	WhatWithdrawn = "withdrawn" // for good, by who had shared it
	WhatSeen      = "seen"      // sightings
	WhatOpinion   = "opinion"
	WhatNote      = "note"
	WhatRoster    = "roster"  // who is in, or the house rules, changed
	WhatFork      = "fork"    // a feed parted, which is proven
	WhatRefused   = "refused" // entries or statements were not taken
	WhatGap       = "gap"     // arrivals of which nothing can be told, or that are told again: see Reason
)

// Reasons of a gap that are not an arrival's (those are node.Gap...).
const (
	GapIncarnation = "incarnation" // the store is another than the cursor's: all it holds is told
	GapPutBack     = "put_back"    // the store holds less than the cursor had seen
)

// Event is something that happened, as GET /v1/watch tells it: all of one kind
// (What) that came with one entry, as far as it passes the filter.
type Event struct {
	Kind    string         `json:"kind"`   // event
	Cursor  string         `json:"cursor"` // what comes after this event is told from here
	Time    time.Time      `json:"time"`   // when it arrived here
	What    string         `json:"what"`
	Ref     string         `json:"ref,omitempty"`    // the share, or the object where it is one
	Member  *Name          `json:"member,omitempty"` // who shared it, or whom it is about
	Summary string         `json:"summary"`
	Reason  string         `json:"reason,omitempty"` // of a gap
	Title   string         `json:"title,omitempty"`
	TLP     string         `json:"tlp,omitempty"` // the strictest
	To      string         `json:"audience,omitempty"`
	Found   map[string]int `json:"found,omitempty"` // objects by type; of refused: how many by reason
	Total   int            `json:"total"`           // objects
	Values  []Value        `json:"values,omitempty"`
	// Objects are the first ones, all of them where each was asked for.
	Objects []ObjectLine `json:"objects,omitempty"`
	About   []ObjectLine `json:"about,omitempty"` // what a note, opinion or sighting is about
	Skipped []Skipped    `json:"skipped,omitempty"`
	// Arrival is the number of the entry in this store; of a gap the last of as many
	// as Arrivals says.
	Arrival  uint64    `json:"arrival,omitempty"`
	Arrivals int       `json:"arrivals,omitempty"`
	Written  time.Time `json:"written,omitzero"` // by its writer's clock

	seen int    // times, so far
	why  string // of a withdrawal
}

// WatchRequest says what to watch, and from where on.
type WatchRequest struct {
	Filter []string // words as type:report; all must hold, one of those that begin alike
	Since  string   // a cursor, a duration as 15m, or "all"; empty: from now on
	Each   bool     // list every object of an event
}

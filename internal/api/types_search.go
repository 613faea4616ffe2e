package api

import "time"

// SearchRequest asks what is found by words and filters.
type SearchRequest struct {
	// Query is words, all of which must be there, and filters: type:report
	// member:alder tlp:amber label:x malware:VPNFilter actor:APT28 technique:T1496
	// since:7d until:2026-01-31 is:new is:disputed has:sighting. A value with blanks
	// stands in quotes: malware:"Black Basta". A word or name that ends in * stands
	// for all that begin so.
	Query string `json:"query,omitempty"`
	Saved string `json:"saved,omitempty"` // instead of Query: a saved one
	Limit int    `json:"limit,omitempty"` // 0: DefaultHits
	After string `json:"after,omitempty"` // next of the answer before
	// Snippets asks for the text around the words, for which payloads are opened.
	Snippets bool `json:"snippets,omitempty"`
}

// DefaultHits and MaxHits bound one answer of a search.
const (
	DefaultHits = 50
	MaxHits     = 1000
)

// Hit is one thing found. Times are when it came here.
type Hit struct {
	Kind   string    `json:"kind"` // hit
	Ref    string    `json:"ref,omitempty"`
	ID     string    `json:"id,omitempty"`
	Type   string    `json:"type"`
	Title  string    `json:"title"`
	Member Name      `json:"member"`
	TLP    string    `json:"tlp,omitempty"`
	Time   time.Time `json:"time"`
	// Snippet is what stands around the first of the words, where a text was
	// searched and could be opened.
	Snippet string `json:"snippet,omitempty"`
	// Count tells that this stands for so many objects of a type that one member
	// shared, which have no text of their own: type:indicator lists them.
	Count int `json:"count,omitempty"`
	// Values are what the object is about.
	Values []Value `json:"values,omitempty"`
}

// SearchSummary ends the answer.
type SearchSummary struct {
	Kind  string `json:"kind"` // summary
	Query string `json:"query"`
	// Total is absent where more follows: then it was not counted.
	Total     *int      `json:"total,omitempty"`
	Shown     int       `json:"shown"`
	Next      string    `json:"next,omitempty"` // After of what follows
	WorkingOn []Name    `json:"working_on"`     // members that said so: not told yet, always empty
	Held      int       `json:"held"`           // found, and held apart
	Skipped   []Skipped `json:"skipped,omitempty"`
	Notes     []string  `json:"notes,omitempty"` // what the answer leaves open
	Searched  uint64    `json:"searched"`
	TookS     float64   `json:"took_s"`
}

// Exit is the exit code of the answer.
func (s *SearchSummary) Exit() int {
	if s.Shown == 0 {
		return ExitNothing
	}
	return ExitDone
}

// SavedSearch is a query kept under a name.
type SavedSearch struct {
	Kind  string `json:"kind"` // search
	Name  string `json:"name"`
	Query string `json:"query"`
}

package api

import "time"

// TrustOthers names the default line where a member is asked for.
const TrustOthers = "others"

// Trust is what this member decided about another, or the default line, whose
// member is "others" without an ID.
type Trust struct {
	Kind        string    `json:"kind"` // trust
	Member      Name      `json:"member"`
	Use         string    `json:"use"`
	Send        string    `json:"send"`
	Reliability string    `json:"reliability"`
	Alias       string    `json:"alias,omitempty"`
	Note        string    `json:"note,omitempty"`
	Until       time.Time `json:"until,omitzero"`
	Since       time.Time `json:"since,omitzero"`
	By          string    `json:"by,omitempty"`
	Version     uint64    `json:"version"`
	Default     bool      `json:"default"`          // the default line applies
	Lapsed      bool      `json:"lapsed,omitempty"` // what was decided ended at Until
	Changed     bool      `json:"changed,omitempty"`
}

// TrustChange is what to change of a decision; nil leaves a field as it is. A
// zero Until is for good.
type TrustChange struct {
	Use         *string    `json:"use,omitempty"`
	Send        *string    `json:"send,omitempty"`
	Reliability *string    `json:"reliability,omitempty"`
	Alias       *string    `json:"alias,omitempty"`
	Note        *string    `json:"note,omitempty"`
	Until       *time.Time `json:"until,omitempty"`
	Why         string     `json:"why,omitempty"`
	By          string     `json:"by,omitempty"`
	// Planned is the version of the list that the change was planned for: if it is
	// another one, nothing changes. Nil takes any.
	Planned *uint64 `json:"planned,omitempty"`
}

// TrustPlanRequest asks what a change would do: of the list to what a file says,
// or of one line.
type TrustPlanRequest struct {
	File   string       `json:"file,omitempty"` // its name, for messages
	Text   string       `json:"text,omitempty"` // TOML
	Who    string       `json:"who,omitempty"`  // a member or "others": Change, not Text, counts
	Change *TrustChange `json:"change,omitempty"`
}

// TrustApplyRequest has the list become what a file says.
type TrustApplyRequest struct {
	File    string  `json:"file,omitempty"`
	Text    string  `json:"text"`
	Why     string  `json:"why,omitempty"`
	By      string  `json:"by,omitempty"`
	Planned *uint64 `json:"planned,omitempty"` // as in TrustChange
}

// TrustPlan is what a change of the trust list would do, or, applied, has done.
type TrustPlan struct {
	Kind      string       `json:"kind"` // plan
	Changes   []TrustField `json:"changes"`
	Lines     int          `json:"lines"`     // that change
	Unchanged int          `json:"unchanged"` // lines of the file that say what holds
	Effects   TrustEffects `json:"effects"`
	Version   uint64       `json:"version"` // of the list: as planned for, or as applied
	Applied   bool         `json:"applied"`
}

// Exit is 1 where there are changes that are not applied.
func (p *TrustPlan) Exit() int {
	if p.Lines > 0 && !p.Applied {
		return ExitNothing
	}
	return ExitDone
}

// What happens to a line.
const (
	TrustAdd     = "add" // the default line applied before
	TrustChanged = "change"
	TrustDrop    = "drop" // the default line applies again
)

// TrustField is one field of a line that changes. Where a line is dropped, the
// field "line" goes from "own" to "default".
type TrustField struct {
	Member Name   `json:"member"`
	Op     string `json:"op"` // add, change, drop
	Field  string `json:"field"`
	From   string `json:"from"`
	To     string `json:"to"`
}

// TrustEffects is what comes of a change.
type TrustEffects struct {
	Sends   []TrustSend   `json:"sends"`
	Lookups []TrustLookup `json:"lookups"`
	Hidden  uint64        `json:"hidden"` // objects that "none" keeps out of look-ups, afterwards,
	Held    uint64        `json:"held"`   // and that "hold" holds apart
	Unhold  uint64        `json:"unhold"` // objects that are held apart no more
}

// TrustSend tells of a member what it is sent from the next write on.
type TrustSend struct {
	Member Name     `json:"member"`
	Starts []string `json:"starts"` // TLP labels that it receives from then on,
	Stops  []string `json:"stops"`  // and no more
}

// How look-ups show what a member says.
const (
	TrustShown  = "shown"
	TrustHeld   = "held"   // apart
	TrustHidden = "hidden" // not at all
)

// TrustLookup tells how many objects of a member look-ups show otherwise.
type TrustLookup struct {
	Member  Name   `json:"member"`
	From    string `json:"from"` // shown, held, hidden
	To      string `json:"to"`
	Objects uint64 `json:"objects"`
}

// TrustRecord is a line of the trust list's history, newest first.
type TrustRecord struct {
	Kind    string       `json:"kind"` // record
	Time    time.Time    `json:"time"`
	Member  Name         `json:"member"` // "others" without an ID: the default line
	By      string       `json:"by,omitempty"`
	Why     string       `json:"why,omitempty"`
	Version uint64       `json:"version"`
	Changes []TrustField `json:"changes"`
}

// TrustFile is the trust list as a file.
type TrustFile struct {
	Kind    string `json:"kind"` // file
	Version uint64 `json:"version"`
	Text    string `json:"text"` // TOML
}

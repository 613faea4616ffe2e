package api

import (
	"encoding/json"
	"time"
)

// Name names a member: its full ID and its handle.
type Name struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// LeftOut is a part of an input that was not taken. Value is defanged text or a
// STIX ID; Line is 1-based, 0 where there is none; Reason is from the closed list.
type LeftOut struct {
	Value  string `json:"value"`
	Line   int    `json:"line"`
	Reason string `json:"reason"`
	Text   string `json:"text"`
}

// Audience is who receives something.
type Audience struct {
	Name    string `json:"name"`
	Members []Name `json:"members"` // the others
}

// HeldBy counts the other members whose nodes said that they hold something.
type HeldBy struct {
	Have    int    `json:"have"`
	Of      int    `json:"of"`
	Members []Name `json:"members"`
}

// Share answers a share. With DryRun nothing was sent and there is no Ref.
type Share struct {
	Kind      string         `json:"kind"` // share
	Ref       string         `json:"ref"`
	ID        string         `json:"id"`
	IDs       []string       `json:"ids"` // of all objects, those held before included
	Name      string         `json:"name,omitempty"`
	Title     string         `json:"title,omitempty"`
	Format    string         `json:"format"`
	Found     map[string]int `json:"found"` // by type
	New       int            `json:"new"`   // objects that were not held, or in another version
	LeftOut   []LeftOut      `json:"left_out"`
	Warnings  []Warning      `json:"warnings"`
	Audience  Audience       `json:"audience"`
	TLP       string         `json:"tlp"`
	PAP       string         `json:"pap,omitempty"`
	Action    string         `json:"action"`
	KeepWeeks uint64         `json:"keep_weeks,omitempty"` // after which all let it go; 0: never
	Durable   bool           `json:"durable"`
	HeldBy    HeldBy         `json:"held_by"`
	TookS     float64        `json:"took_s"`
	DiskS     float64        `json:"disk_s"`    // of TookS until all was on disk
	Refused   bool           `json:"refused"`   // a part was refused: exit 7
	TimedOut  bool           `json:"timed_out"` // the wait was too short: exit 6
	DryRun    bool           `json:"dry_run,omitempty"`
}

// Warning is something that was done and should be known.
type Warning struct {
	Code  string `json:"code"` // no_context, tlp_raised, ...
	Count int    `json:"count,omitempty"`
	Text  string `json:"text"`
}

// Exit is the exit code of the answer.
func (s *Share) Exit() int {
	switch {
	case s.TimedOut:
		return exitOf(CodeUnavailable)
	case s.Refused:
		return exitOf(CodePartial)
	}
	return ExitDone
}

// Object is one STIX object in one member's name.
type Object struct {
	Kind     string          `json:"kind"` // object
	Ref      string          `json:"ref"`
	ID       string          `json:"id"`
	Type     string          `json:"type"`
	Member   Name            `json:"member"`
	Says     string          `json:"says"`
	Values   []Value         `json:"values"`
	STIX     json.RawMessage `json:"stix"` // as its author wrote it
	Versions []Version       `json:"versions"`
	Handling Handling        `json:"handling"`
	Audience string          `json:"audience"` // everyone, or @ and a group's name
	Readers  []Name          `json:"readers"`
	Holders  Holders         `json:"holders"`
	Share    string          `json:"share,omitempty"` // ref of the share it came in
	Live     bool            `json:"live"`
	Received time.Time       `json:"received,omitzero"`
	Relayed  string          `json:"relayed_from,omitempty"`
	// Others are the versions of the same object in other members' names.
	Others    []Object   `json:"others,omitempty"`
	Withdrawn *Withdrawn `json:"withdrawn,omitempty"`

	Thread     []Said     `json:"thread"`    // oldest first
	Relations  []Relation `json:"relations"` // oldest first
	Exports    []Export   `json:"exports"`   // there are none yet
	ValidFrom  time.Time  `json:"valid_from,omitzero"`
	ValidUntil time.Time  `json:"valid_until,omitzero"`
	KillChain  []string   `json:"kill_chain,omitempty"`
	Gone       bool       `json:"gone,omitempty"` // its payload was erased: there is no STIX
}

// Value is an observable, live.
type Value struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// Version is one version of an object, newest first.
type Version struct {
	N        int       `json:"n"` // from 1, the oldest that is held
	Modified time.Time `json:"modified"`
	Revoked  bool      `json:"revoked,omitempty"`
	Action   string    `json:"action,omitempty"`
	Received time.Time `json:"received,omitzero"`
	Says     string    `json:"says,omitempty"`
}

// Handling says what may be done with an object.
type Handling struct {
	TLP    string `json:"tlp"`
	Action string `json:"action,omitempty"`
}

// Holders are the members that hold something, ourselves included.
type Holders struct {
	Have    int    `json:"have"`
	Of      int    `json:"of"`
	Missing []Name `json:"missing"`
}

// SharedView is a share, shown: what it holds.
type SharedView struct {
	Kind      string         `json:"kind"` // share
	Ref       string         `json:"ref"`
	ID        string         `json:"id"`
	Title     string         `json:"title,omitempty"`
	Member    Name           `json:"member"`
	TLP       string         `json:"tlp"`
	Audience  string         `json:"audience"` // everyone, or @ and a group's name
	Action    string         `json:"action,omitempty"`
	Received  time.Time      `json:"received,omitzero"`
	Found     map[string]int `json:"found"` // objects by type
	Objects   []ObjectLine   `json:"objects"`
	Total     int            `json:"total"` // objects, where not all are listed
	Holders   Holders        `json:"holders"`
	Withdrawn *Withdrawn     `json:"withdrawn,omitempty"`
	Gone      bool           `json:"gone,omitempty"` // the record of a part of it was erased
}

// ObjectLine is an object in a list.
type ObjectLine struct {
	Ref  string `json:"ref"`
	ID   string `json:"id"`
	Type string `json:"type"`
	Says string `json:"says,omitempty"`
	// Values are those of an indicator or an observable.
	Values    []Value `json:"values,omitempty"`
	Withdrawn bool    `json:"withdrawn,omitempty"`
}

// Shown is what a short name means: one of the two is set.
type Shown struct {
	Object *Object
	Share  *SharedView
}

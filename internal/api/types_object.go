package api

import (
	"encoding/json"
	"time"
)

// Said is what a member said about an object: a note, an opinion or a sighting.
type Said struct {
	Time   time.Time `json:"time"`
	Member Name      `json:"member"`
	What   string    `json:"what"` // note, opinion, seen
	Ref    string    `json:"ref"`
	ID     string    `json:"id"`
	Says   string    `json:"says,omitempty"`  // of an opinion: strongly-disagree to strongly-agree
	Text   string    `json:"text,omitempty"`  // of a note, or why
	Count  int       `json:"count,omitempty"` // of a sighting: how often
	First  time.Time `json:"first_seen,omitzero"`
	Last   time.Time `json:"last_seen,omitzero"`
	TLP    string    `json:"tlp,omitempty"`
	// RelayedFrom is its author's STIX identity, where that is not the member.
	RelayedFrom string `json:"relayed_from,omitempty"`
}

// Relation is an object that another has to do with.
type Relation struct {
	Type   string     `json:"type"` // indicates, ...; "in" for a report or grouping that names it
	Out    bool       `json:"out"`  // from the object shown to the other
	Other  ObjectLine `json:"other"`
	Member Name       `json:"member"` // who says so
	Ref    string     `json:"ref"`    // of what says so
}

// Diff is how two versions of an object differ.
type Diff struct {
	Kind    string   `json:"kind"` // diff
	Ref     string   `json:"ref"`
	ID      string   `json:"id"`
	Member  Name     `json:"member"`
	From    Version  `json:"from"`
	To      Version  `json:"to"`
	Changes []Change `json:"changes"`
}

// Change is one field that differs. A side without it is absent.
type Change struct {
	Field string          `json:"field"` // as labels[2] or extensions.NAME.action
	Was   json.RawMessage `json:"was,omitempty"`
	Is    json.RawMessage `json:"is,omitempty"`
}

// Exit is 1 where the versions differ, as of diff.
func (d *Diff) Exit() int {
	if len(d.Changes) > 0 {
		return ExitNothing
	}
	return ExitDone
}

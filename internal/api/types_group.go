package api

import "time"

// Group is a sharing group that this member is or was in.
type Group struct {
	Kind     string    `json:"kind"` // group
	Ref      string    `json:"ref"`
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Owner    Name      `json:"owner"`
	Deputies []Name    `json:"deputies"` // in the order they take over
	Members  []Name    `json:"members"`
	You      string    `json:"you"`     // owner, deputy, member or out
	Version  uint64    `json:"version"` // number of its newest state
	History  string    `json:"history"` // what newcomers see: none, all or a duration as 30d
	Since    time.Time `json:"since,omitzero"`
	State    string    `json:"state"` // open, read-only or ended
	Changed  bool      `json:"changed,omitempty"`
	Alerts   []string  `json:"alerts,omitempty"`
}

// The states of a group.
const (
	GroupOpen     = "open"
	GroupReadOnly = "read-only" // neither owner nor deputy is left
	GroupEnded    = "ended"
)

// GroupCreate says what group to found.
type GroupCreate struct {
	Name     string   `json:"name"`
	Members  []string `json:"members"` // handles or IDs
	Deputies []string `json:"deputies,omitempty"`
	History  string   `json:"history,omitempty"` // none (the default), all or a duration as 30d
	DryRun   bool     `json:"dry_run,omitempty"`
}

// GroupChange names members to add or remove.
type GroupChange struct {
	Members []string `json:"members,omitempty"`
	DryRun  bool     `json:"dry_run,omitempty"`
}

// The verbs of a change of a group.
const (
	GroupAdd    = "add"
	GroupRemove = "remove"
	GroupLeave  = "leave"
)

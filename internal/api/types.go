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
	Kind     string         `json:"kind"` // share
	Ref      string         `json:"ref"`
	ID       string         `json:"id"`
	IDs      []string       `json:"ids"` // of all objects, those held before included
	Name     string         `json:"name,omitempty"`
	Title    string         `json:"title,omitempty"`
	Format   string         `json:"format"`
	Found    map[string]int `json:"found"` // by type
	New      int            `json:"new"`   // objects that were not held, or in another version
	LeftOut  []LeftOut      `json:"left_out"`
	Warnings []Warning      `json:"warnings"`
	Audience Audience       `json:"audience"`
	TLP      string         `json:"tlp"`
	PAP      string         `json:"pap,omitempty"`
	Action   string         `json:"action"`
	Durable  bool           `json:"durable"`
	HeldBy   HeldBy         `json:"held_by"`
	TookS    float64        `json:"took_s"`
	DiskS    float64        `json:"disk_s"`    // of TookS until all was on disk
	Refused  bool           `json:"refused"`   // a part was refused: exit 7
	TimedOut bool           `json:"timed_out"` // the wait was too short: exit 6
	DryRun   bool           `json:"dry_run,omitempty"`
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

// The verdicts of a look-up, as far as they are given yet.
const (
	VerdictMalicious  = "malicious"
	VerdictSuspicious = "suspicious"
	VerdictUnknown    = "unknown"
)

// Finding answers about one value.
type Finding struct {
	Kind       string      `json:"kind"` // finding
	Value      string      `json:"value"`
	Type       string      `json:"type"`
	Line       int         `json:"line,omitempty"` // of the text that was asked about
	Verdict    string      `json:"verdict"`
	Assertions []Assertion `json:"assertions"`
	Held       int         `json:"held"` // said by members whose intelligence is held here
	Skipped    []Skipped   `json:"skipped,omitempty"`
}

// Skipped counts what was left out of an answer, by reason.
type Skipped struct {
	Reason string `json:"reason"`
	Count  int    `json:"count"`
	Text   string `json:"text,omitempty"`
}

// Assertion is what one member says about a value with one object.
type Assertion struct {
	Member      Name      `json:"member"`
	Ref         string    `json:"ref"`
	ID          string    `json:"id"`
	Type        string    `json:"type"`
	Says        string    `json:"says"`
	Action      string    `json:"action,omitempty"` // block, detect, none
	Confidence  *int      `json:"confidence,omitempty"`
	Reliability string    `json:"reliability"` // Admiralty code, as this member judges the other
	Use         string    `json:"use"`         // what the member's intelligence may do here
	TLP         string    `json:"tlp,omitempty"`
	FirstSeen   time.Time `json:"first_seen,omitzero"`
	LastSeen    time.Time `json:"last_seen,omitzero"`
	ValidFrom   time.Time `json:"valid_from,omitzero"`
	ValidUntil  time.Time `json:"valid_until,omitzero"`
	Received    time.Time `json:"received,omitzero"`
	Modified    time.Time `json:"modified,omitzero"`
	Share       string    `json:"share,omitempty"`        // ref of the share it came in
	RelayedFrom string    `json:"relayed_from,omitempty"` // STIX identity of its author, if that is not the member
	Partial     bool      `json:"partial,omitempty"`      // its pattern asks for more than this value
	Live        bool      `json:"live"`                   // neither revoked nor expired
	Revoked     bool      `json:"revoked,omitempty"`
}

// LookupSummary ends a look-up.
type LookupSummary struct {
	Kind        string         `json:"kind"` // summary
	Values      int            `json:"values"`
	Verdicts    map[string]int `json:"verdicts"`
	UnreadLines []int          `json:"unread_lines"`
	Searched    uint64         `json:"searched"` // objects held
	TookS       float64        `json:"took_s"`
}

// Exit is 0 where anything malicious or suspicious is known, else 1.
func (s *LookupSummary) Exit() int {
	if s.Verdicts[VerdictMalicious]+s.Verdicts[VerdictSuspicious] > 0 {
		return ExitDone
	}
	return ExitNothing
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
	Readers  []Name          `json:"readers"`
	Holders  Holders         `json:"holders"`
	Share    string          `json:"share,omitempty"` // ref of the share it came in
	Live     bool            `json:"live"`
	Received time.Time       `json:"received,omitzero"`
	Relayed  string          `json:"relayed_from,omitempty"`
	// Others are the versions of the same object in other members' names.
	Others []Object `json:"others,omitempty"`
}

// Value is an observable, live.
type Value struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// Version is one version of an object, newest first.
type Version struct {
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
	Kind     string         `json:"kind"` // share
	Ref      string         `json:"ref"`
	ID       string         `json:"id"`
	Title    string         `json:"title,omitempty"`
	Member   Name           `json:"member"`
	TLP      string         `json:"tlp"`
	Action   string         `json:"action,omitempty"`
	Received time.Time      `json:"received,omitzero"`
	Found    map[string]int `json:"found"` // objects by type
	Objects  []ObjectLine   `json:"objects"`
	Total    int            `json:"total"` // objects, where not all are listed
	Holders  Holders        `json:"holders"`
}

// ObjectLine is an object in a list.
type ObjectLine struct {
	Ref  string `json:"ref"`
	ID   string `json:"id"`
	Type string `json:"type"`
	Says string `json:"says,omitempty"`
}

// Shown is what a short name means: one of the two is set.
type Shown struct {
	Object *Object
	Share  *SharedView
}

// Member is a member as the roster and its nodes have it.
type Member struct {
	Kind      string       `json:"kind"` // member
	ID        string       `json:"id"`
	Ref       string       `json:"ref"`
	Handle    string       `json:"handle"`
	Name      string       `json:"name"`
	State     string       `json:"state"` // proposed, active, suspended, removed
	Us        bool         `json:"us"`
	Governor  bool         `json:"governor"`
	Sectors   []string     `json:"sectors"`
	Regions   []string     `json:"regions"`
	Contact   string       `json:"contact"`
	Duty      string       `json:"duty,omitempty"`
	Identity  string       `json:"identity"` // STIX
	Since     time.Time    `json:"since,omitzero"`
	Card      uint64       `json:"card"` // its version
	WorkingOn []string     `json:"working_on"`
	Consent   *Consent     `json:"consent,omitempty"`
	Nodes     []MemberNode `json:"nodes"`
	Trust     *Trust       `json:"trust,omitempty"` // what we decided; absent for ourselves
}

// MemberNode is a node of a member.
type MemberNode struct {
	ID      string    `json:"id"`  // libp2p peer ID
	Key     string    `json:"key"` // hexadecimal
	Version string    `json:"version,omitempty"`
	Up      bool      `json:"up"`
	SkewS   float64   `json:"skew_s"`
	Behind  uint64    `json:"behind"`
	Heard   time.Time `json:"heard,omitzero"`
	Self    bool      `json:"self,omitempty"`
}

// Consent is a standing consent to early shares.
type Consent struct {
	TLP  string `json:"tlp"`
	ForS uint64 `json:"for_s"`
}

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
	Default     bool      `json:"default"` // the default line applies
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
}

// Roster is who is in, who governs and what is proposed.
type Roster struct {
	Kind      string       `json:"kind"` // roster
	Version   uint64       `json:"version"`
	Head      string       `json:"head"` // digest: equal on nodes that agree
	Mesh      MeshName     `json:"mesh"`
	Members   []MemberLine `json:"members"`
	Governors []Name       `json:"governors"`
	Threshold int          `json:"threshold"`
	Open      []Proposal   `json:"open"`
	Alarms    []string     `json:"alarms"`
}

// MemberLine is a member in a list.
type MemberLine struct {
	ID     string `json:"id"`
	Name   string `json:"name"` // handle
	State  string `json:"state"`
	Title  string `json:"title"` // the organisation's name
	Member string `json:"ref"`
}

// MeshName names a mesh.
type MeshName struct {
	ID   string `json:"id"`
	Ref  string `json:"ref"`
	Name string `json:"name"`
}

// Operations that can be proposed.
const (
	OpAdd       = "add"
	OpRemove    = "remove"
	OpGovernors = "governors"
)

// Propose says what to propose.
type Propose struct {
	Op        string   `json:"op"`
	Subject   string   `json:"subject,omitempty"` // handle or ID: for remove; for add a member that was removed or proposed
	Card      string   `json:"card,omitempty"`    // for add: a first card, base64 or hexadecimal
	Why       string   `json:"why,omitempty"`
	Governors []string `json:"governors,omitempty"` // handles or IDs
	Sign      int      `json:"sign,omitempty"`      // how many governors must
}

// Proposal is a change of the roster that was proposed.
type Proposal struct {
	Kind      string    `json:"kind"` // proposal
	Ref       string    `json:"ref"`
	ID        string    `json:"id"`
	Op        string    `json:"op"` // add, remove, governors, cut
	Subject   *Name     `json:"subject,omitempty"`
	Title     string    `json:"title,omitempty"` // the subject's organisation
	Contact   string    `json:"contact,omitempty"`
	Governors []Name    `json:"governors,omitempty"` // the new ones
	Sign      int       `json:"sign,omitempty"`      // and how many of them must
	By        *Name     `json:"by,omitempty"`
	Why       string    `json:"why,omitempty"`
	Time      time.Time `json:"time,omitzero"`
	Signed    []Name    `json:"signed"`
	Needs     int       `json:"needs"`
	Missing   []Name    `json:"missing"`         // who may still sign
	State     string    `json:"state"`           // open, done, suspends, rival, superseded, void
	Words     []string  `json:"words,omitempty"` // of a joiner whose ticket was made here
	Warnings  []Warning `json:"warnings,omitempty"`
}

// LogRecord is a line of the roster's log.
type LogRecord struct {
	Kind   string    `json:"kind"` // record
	Time   time.Time `json:"time"` // by the signer's clock
	What   string    `json:"what"` // charter, card, admission, removal, approval, governors, cut, fork-proof
	Ref    string    `json:"ref"`
	ID     string    `json:"id"`
	By     *Name     `json:"by,omitempty"`
	About  *Name     `json:"about,omitempty"`
	Target string    `json:"target,omitempty"` // ref of what an approval approves
	State  string    `json:"state,omitempty"`
	Detail string    `json:"detail,omitempty"`
}

// Card is this member's own card.
type Card struct {
	Kind      string   `json:"kind"` // card
	Member    Name     `json:"member"`
	Ref       string   `json:"ref"`
	Version   uint64   `json:"version"`
	Name      string   `json:"name"`
	Contact   string   `json:"contact"`
	Duty      string   `json:"duty,omitempty"`
	Sectors   []string `json:"sectors"`
	Regions   []string `json:"regions"`
	WorkingOn []string `json:"working_on"`
	Consent   *Consent `json:"consent,omitempty"`
	Identity  string   `json:"identity"`
	Nodes     []string `json:"nodes"`   // peer IDs
	AlsoOn    []Name   `json:"also_on"` // members that work on the same
	Statement string   `json:"card"`    // hexadecimal, for roster propose add
}

// CardChange is what to change of a card; nil leaves a field as it is.
type CardChange struct {
	Name      *string   `json:"name,omitempty"`
	Contact   *string   `json:"contact,omitempty"`
	Duty      *string   `json:"duty,omitempty"`
	Sectors   *[]string `json:"sectors,omitempty"`
	Regions   *[]string `json:"regions,omitempty"`
	WorkingOn *[]string `json:"working_on,omitempty"`
	Consent   *Consent  `json:"consent,omitempty"` // with an empty TLP: none
}

// Invite says how to invite. Zero ForS means the default of 48 hours.
type Invite struct {
	Name  string  `json:"name,omitempty"`
	ForS  float64 `json:"for_s,omitempty"`
	Admit bool    `json:"admit,omitempty"`
}

// Ticket is an invitation.
type Ticket struct {
	Kind      string      `json:"kind"` // ticket
	ID        string      `json:"id"`
	Ref       string      `json:"ref"`
	Text      string      `json:"text"`
	Name      string      `json:"name,omitempty"`
	Expires   time.Time   `json:"expires"`
	Addresses []string    `json:"addresses"`
	Admit     bool        `json:"admit"`
	Needs     TicketNeeds `json:"needs"`
}

// TicketNeeds says who must sign before a guest is in.
type TicketNeeds struct {
	Threshold int    `json:"threshold"`
	Governors []Name `json:"governors"`
}

// Status says how the node stands.
type Status struct {
	Kind       string            `json:"kind"`       // status
	State      string            `json:"state"`      // WELL, LOOK, BROKEN
	Membership string            `json:"membership"` // active, removed, suspended, unknown
	Mesh       MeshName          `json:"mesh"`
	Member     Name              `json:"member"`
	Node       NodeName          `json:"node"`
	Peers      []Peer            `json:"peers"`
	Members    UpOf              `json:"members"`
	Behind     map[string]uint64 `json:"behind"` // handles of members that miss entries
	Store      StoreStatus       `json:"store"`
	Refused    map[string]uint64 `json:"refused"`
	Forks      []Fork            `json:"forks"`
	Version    string            `json:"version"`
	UptimeS    float64           `json:"uptime_s"`
	InStep     bool              `json:"in_step"`
	Unreadable int               `json:"unreadable"` // entries whose key was not given
	Alerts     []string          `json:"alerts"`
	Addresses  []string          `json:"addresses"`
	Roster     uint64            `json:"roster"`      // its version
	RosterHead string            `json:"roster_head"` // its digest
	Halted     string            `json:"halted,omitempty"`
	TimedOut   bool              `json:"timed_out"` // what was waited for did not come: exit 6
}

// Exit is 0, 1 or 6 for WELL, LOOK and BROKEN, and 6 after a vain wait.
func (s *Status) Exit() int {
	switch {
	case s.TimedOut || s.State == "BROKEN":
		return exitOf(CodeUnavailable)
	case s.State == "LOOK":
		return ExitNothing
	}
	return ExitDone
}

// NodeName names a node.
type NodeName struct {
	ID  string `json:"id"`  // libp2p peer ID
	Key string `json:"key"` // hexadecimal
}

// Peer is another node of the roster.
type Peer struct {
	Node    string    `json:"node"` // libp2p peer ID
	Key     string    `json:"key"`
	Member  Name      `json:"member"`
	Up      bool      `json:"up"`
	Behind  uint64    `json:"behind"`
	SkewS   float64   `json:"skew_s"`
	Heard   time.Time `json:"heard,omitzero"`
	Version string    `json:"version,omitempty"`
}

// UpOf counts the other members: those with a node connected, and all.
type UpOf struct {
	Up int `json:"up"`
	Of int `json:"of"`
}

// StoreStatus counts what is held.
type StoreStatus struct {
	Entries  uint64 `json:"entries"`
	Objects  uint64 `json:"objects"`
	Bytes    uint64 `json:"bytes"`
	Indexed  uint64 `json:"indexed"`  // arrivals that look-ups include,
	Arrivals uint64 `json:"arrivals"` // of so many
}

// Fork is a feed that parted.
type Fork struct {
	Node     string `json:"node"`
	Member   *Name  `json:"member,omitempty"`
	Feed     string `json:"feed"`
	Seq      uint64 `json:"seq"`
	Resolved bool   `json:"resolved"`
}

// Summary ends a list.
type Summary struct {
	Kind  string `json:"kind"` // summary
	Total int    `json:"total"`
}

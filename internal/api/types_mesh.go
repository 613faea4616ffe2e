package api

import "time"

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

// Roster is who is in, who governs and what is proposed.
type Roster struct {
	Kind        string       `json:"kind"` // roster
	Version     uint64       `json:"version"`
	Head        string       `json:"head"` // digest: equal on nodes that agree
	Mesh        MeshName     `json:"mesh"`
	Members     []MemberLine `json:"members"`
	Governors   []Name       `json:"governors"`
	Threshold   int          `json:"threshold"`
	Open        []Proposal   `json:"open"`
	Alarms      []string     `json:"alarms"`
	Rules       *HouseRules  `json:"rules"`
	Suspensions []Suspension `json:"suspensions"`      // in force or to come
	Recovery    []string     `json:"recovery"`         // public keys, hexadecimal
	Guests      []Guest      `json:"guests,omitempty"` // joiners with tickets made here that nobody has proposed
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
	OpRules     = "rules"
	OpLift      = "lift"
)

// Propose says what to propose.
type Propose struct {
	Op        string      `json:"op"`
	Subject   string      `json:"subject,omitempty"` // handle or ID: for remove; for add a member that was removed or proposed
	Card      string      `json:"card,omitempty"`    // for add: a first card, base64 or hexadecimal
	Why       string      `json:"why,omitempty"`
	Governors []string    `json:"governors,omitempty"` // handles or IDs
	Sign      int         `json:"sign,omitempty"`      // how many governors must
	Rules     *HouseRules `json:"rules,omitempty"`     // what to change of them
}

// Proposal is a change of the roster that was proposed.
type Proposal struct {
	Kind           string      `json:"kind"` // proposal
	Ref            string      `json:"ref"`
	ID             string      `json:"id"`
	Op             string      `json:"op"` // add, remove, governors, rules, lift, cut
	Subject        *Name       `json:"subject,omitempty"`
	Title          string      `json:"title,omitempty"` // the subject's organisation
	Contact        string      `json:"contact,omitempty"`
	Governors      []Name      `json:"governors,omitempty"` // the new ones
	Sign           int         `json:"sign,omitempty"`      // and how many of them must
	By             *Name       `json:"by,omitempty"`
	Why            string      `json:"why,omitempty"`
	Time           time.Time   `json:"time,omitzero"`
	Signed         []Name      `json:"signed"`
	Needs          int         `json:"needs"`
	Missing        []Name      `json:"missing"`                   // who may still sign
	State          string      `json:"state"`                     // open, done, suspends, rival, superseded, void
	Rules          *HouseRules `json:"rules,omitempty"`           // the new ones
	RecoverySigned []string    `json:"recovery_signed,omitempty"` // recovery keys that signed a change of governors,
	RecoveryNeeds  int         `json:"recovery_needs,omitempty"`  // and how many in place of the present governors
	Words          []string    `json:"words,omitempty"`           // of a joiner whose ticket was made here
	Warnings       []Warning   `json:"warnings,omitempty"`
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
	Key       string   `json:"key"`     // the present member key
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
	Fresh      Freshness         `json:"fresh"`
	Lists      Warninglists      `json:"warninglists"`
	Quotas     Quotas            `json:"quotas"`
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
	Erased   uint64 `json:"erased"`   // payloads that went for good
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

package api

import (
	"time"

	"github.com/tipmesh/tipmesh/internal/verdict"
)

// The verdicts of a look-up.
const (
	VerdictMalicious  = string(verdict.Malicious)
	VerdictSuspicious = string(verdict.Suspicious)
	VerdictDisputed   = string(verdict.Disputed)
	VerdictHarmless   = string(verdict.Harmless)
	VerdictUnknown    = string(verdict.Unknown)
)

// Verdicts are all of them, the worst first.
var Verdicts = []string{VerdictMalicious, VerdictSuspicious, VerdictDisputed, VerdictHarmless, VerdictUnknown}

// The claims of an assertion. One that claims nothing judges nothing.
const (
	ClaimMalicious  = "malicious"
	ClaimSuspicious = "suspicious"
	ClaimHarmless   = "harmless"
)

// Finding answers about one value.
type Finding struct {
	Kind    string `json:"kind"` // finding
	Value   string `json:"value"`
	Type    string `json:"type"`
	Line    int    `json:"line,omitzero"` // of the text that was asked about
	Verdict string `json:"verdict"`
	// Confidence is what supports the claims, 0 to 100, dissent aside.
	Confidence   int           `json:"confidence"`
	Reasons      []Reason      `json:"reasons"`
	Assertions   []Assertion   `json:"assertions"`
	Sightings    Sightings     `json:"sightings"`
	Opinions     Opinions      `json:"opinions"`
	Warninglists []Warninglist `json:"warninglists"`
	Sinkhole     bool          `json:"sinkhole"` // detect it, do not block it
	Reports      []Report      `json:"reports"`
	// Near is what contains the value or lies within it: absent where that was
	// not looked for.
	Near      []Near      `json:"near,omitzero"`
	Held      int         `json:"held"`                 // said by members whose intelligence is held here:
	HeldApart []Assertion `json:"held_apart,omitempty"` // that, where it was asked for; no verdict rests on it
	Skipped   []Skipped   `json:"skipped,omitempty"`
}

// Reason is one thing that led to a verdict. Codes are only ever added.
type Reason struct {
	Code string `json:"code"`
	Text string `json:"text"`
}

// Sightings tell who met the value.
type Sightings struct {
	Count     uint64     `json:"count"`
	Members   int        `json:"members"`
	FirstSeen time.Time  `json:"first_seen,omitzero"`
	LastSeen  time.Time  `json:"last_seen,omitzero"`
	By        []Sighting `json:"by,omitempty"`
}

// Sighting is how often one member met the value.
type Sighting struct {
	Member      Name      `json:"member"`
	Reliability string    `json:"reliability"`
	Count       uint64    `json:"count"`
	FirstSeen   time.Time `json:"first_seen,omitzero"`
	LastSeen    time.Time `json:"last_seen,omitzero"`
	Received    time.Time `json:"received,omitzero"`
}

// Opinions tell what members think of the assertions. Each member counts once,
// as disagreeing where it disagrees with any.
type Opinions struct {
	Agree    int       `json:"agree"`
	Disagree int       `json:"disagree"`
	By       []Opinion `json:"by,omitempty"`
}

// Opinion is what one member thinks of one assertion, by its newest word.
type Opinion struct {
	Member      Name      `json:"member"`
	Reliability string    `json:"reliability"`
	Ref         string    `json:"ref"`
	About       string    `json:"about"` // ref of the assertion
	Level       string    `json:"level"` // strongly-disagree, disagree, neutral, agree, strongly-agree
	Text        string    `json:"text,omitempty"`
	Received    time.Time `json:"received,omitzero"`
}

// Warninglist is a list that holds the value, or its host alone.
type Warninglist struct {
	Name     string `json:"name"`
	Entry    string `json:"entry"`
	Meaning  string `json:"meaning"` // false_positive, known, sinkhole
	HostOnly bool   `json:"host_only,omitzero"`
}

// Report is a report that names one of the assertions.
type Report struct {
	Ref    string `json:"ref"`
	ID     string `json:"id"`
	Title  string `json:"title"`
	Member Name   `json:"member"`
	TLP    string `json:"tlp,omitempty"`
}

// Near is a value that contains the one asked about, or lies within it.
type Near struct {
	Value    string `json:"value"`
	Type     string `json:"type"`
	Relation string `json:"relation"` // contains, within
	Verdict  string `json:"verdict"`
	Members  []Name `json:"members"` // who says something about it
}

// Warninglists tells what is loaded.
type Warninglists struct {
	Lists   int    `json:"lists"`
	Values  int    `json:"values"`
	LeftOut int    `json:"left_out,omitzero"` // files or entries that could not be used; the log names them
	Fault   string `json:"fault,omitempty"`   // why the folder as a whole could not be read
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
	Confidence  *int      `json:"confidence,omitzero"`
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
	Partial     bool      `json:"partial,omitzero"`       // its pattern asks for more than this value
	Live        bool      `json:"live"`                   // neither revoked nor past its time
	Revoked     bool      `json:"revoked,omitzero"`
	Claim       string    `json:"claim,omitempty"` // malicious, suspicious, harmless
}

// LookupSummary ends a look-up.
type LookupSummary struct {
	Kind        string         `json:"kind"` // summary
	Values      int            `json:"values"`
	Verdicts    map[string]int `json:"verdicts"`
	UnreadLines []int          `json:"unread_lines"`
	Searched    uint64         `json:"searched"` // objects held
	TookS       float64        `json:"took_s"`
	Skipped     []Skipped      `json:"skipped,omitempty"` // what was not searched
}

// Exit is 0 where anything malicious or suspicious is known, else 1.
func (s *LookupSummary) Exit() int {
	if s.Verdicts[VerdictMalicious]+s.Verdicts[VerdictSuspicious] > 0 {
		return ExitDone
	}
	return ExitNothing
}

package trust

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/tipmesh/tipmesh/protocol"
)

// Use is what a member's intelligence may do here. Each use allows those below.
type Use uint8

// The uses.
const (
	UseNone   Use = iota // carried for others, not read here
	UseHold              // kept, shown to nobody until released
	UseRead              // people see it
	UseDetect            // and it raises alerts
	UseBlock             // and it blocks
)

var useNames = [...]string{"none", "hold", "read", "detect", "block"}

// String is the use's word.
func (u Use) String() string {
	if int(u) < len(useNames) {
		return useNames[u]
	}
	return fmt.Sprintf("use-%d", uint8(u))
}

// ParseUse reads a use from its word.
func ParseUse(word string) (Use, error) {
	i := slices.Index(useNames[:], word)
	if i < 0 {
		return 0, fmt.Errorf("parse use %.32q: want none, hold, read, detect or block", word)
	}
	return Use(i), nil
}

// MarshalText gives the word.
func (u Use) MarshalText() ([]byte, error) {
	if int(u) >= len(useNames) {
		return nil, fmt.Errorf("encode use %d: unknown", uint8(u))
	}
	return []byte(u.String()), nil
}

// UnmarshalText reads the word.
func (u *Use) UnmarshalText(text []byte) (err error) {
	*u, err = ParseUse(string(text))
	return err
}

// SendNone is the send level of a member that is sent nothing.
const SendNone = "none"

var tlpNames = [...]string{"clear", "green", "amber", "amber+strict", "red"}

// TLPNames are the TLP 2.0 labels in their order, lower case, without prefix.
func TLPNames() []string { return slices.Clone(tlpNames[:]) }

// TLPRank orders the TLP 2.0 labels in lower case, without prefix: clear 0 to
// red 4. It is false for any other text.
func TLPRank(label string) (int, bool) {
	i := slices.Index(tlpNames[:], label)
	return i, i >= 0
}

// Decision is what a member decided about another one.
type Decision struct {
	Use         Use    `json:"use"`
	Send        string `json:"send"`        // highest TLP it is sent, or none
	Reliability string `json:"reliability"` // Admiralty code, A to F
	Alias       string `json:"alias,omitempty"`
	Note        string `json:"note,omitempty"`
	Until       int64  `json:"until,omitempty"` // milliseconds since 1970; zero: for good
	Since       int64  `json:"since,omitempty"`
	By          string `json:"by,omitempty"`
	Why         string `json:"why,omitempty"`
	Version     uint64 `json:"version,omitempty"` // of the list when this was set
}

// DefaultDecision is the default line of a new list.
func DefaultDecision() Decision { return Decision{Use: UseRead, Send: "amber", Reliability: "F"} }

// Validate says what is wrong with a decision.
func (d Decision) Validate() error {
	if int(d.Use) >= len(useNames) {
		return fmt.Errorf("check decision: unknown use %d", uint8(d.Use))
	}
	if _, ok := TLPRank(d.Send); !ok && d.Send != SendNone {
		return fmt.Errorf("check decision: send %.32q, want none, clear, green, amber, amber+strict or red", d.Send)
	}
	if len(d.Reliability) != 1 || d.Reliability < "A" || d.Reliability > "F" {
		return fmt.Errorf("check decision: reliability %.32q, want A to F", d.Reliability)
	}
	if d.Alias != "" && !protocol.ValidHandle(d.Alias) {
		return fmt.Errorf("check decision: alias %.64q is no handle", d.Alias)
	}
	if len(d.Note) > protocol.MaxText || len(d.Why) > protocol.MaxText || len(d.By) > protocol.MaxName {
		return fmt.Errorf("check decision: note, reason or name too long")
	}
	return nil
}

// Change is one line of a list's history. It is not changed or dropped.
type Change struct {
	Version uint64            `json:"version"`
	Member  protocol.MemberID `json:"member,omitzero"` // zero: the default line
	Old     *Decision         `json:"old,omitempty"`   // nil: the default line applied
	New     *Decision         `json:"new,omitempty"`   // nil: the default line applies again
	Time    int64             `json:"time"`
	By      string            `json:"by,omitempty"`
	Why     string            `json:"why,omitempty"`
}

// List is one member's own trust list. It narrows what the roster allows and
// never widens it: callers ask the roster first. It is not safe for concurrent
// use; the zero value is not usable, see NewList.
type List struct {
	Default Decision                       `json:"default"`
	Members map[protocol.MemberID]Decision `json:"members"`
	Version uint64                         `json:"version"`
	History []Change                       `json:"history"` // oldest first
}

// NewList makes a list with the default line only.
func NewList() *List {
	return &List{Default: DefaultDecision(), Members: map[protocol.MemberID]Decision{}}
}

// Clone gives a copy that can be changed while l is read. Its history goes on
// where that of l ends.
func (l *List) Clone() *List {
	c := *l
	c.Members, c.History = maps.Clone(l.Members), slices.Clip(l.History)
	return &c
}

// Lapsed reports whether what was decided about a member is over at a time, so
// that the default line applies.
func (l *List) Lapsed(m protocol.MemberID, now int64) bool {
	own, ok := l.Members[m]
	return ok && own.Until != 0 && now >= own.Until
}

// For gives the decision that applies to a member at a time in milliseconds. A
// decision whose time is over falls back to the default line; alias and note
// stay.
func (l *List) For(m protocol.MemberID, now int64) Decision {
	own, ok := l.Members[m]
	switch {
	case !ok:
		return l.Default
	case !l.Lapsed(m, now):
		return own
	}
	d := l.Default
	d.Alias, d.Note = own.Alias, own.Note
	return d
}

// MaySend reports whether a member may be sent something of a TLP label. Unknown
// labels go to nobody.
func (l *List) MaySend(m protocol.MemberID, tlp string, now int64) bool {
	return l.For(m, now).Sends(tlp)
}

// Sends reports whether something of a TLP label goes to a member about whom
// this was decided.
func (d Decision) Sends(tlp string) bool {
	rank, ok := TLPRank(tlp)
	if !ok {
		return false
	}
	limit, ok := TLPRank(d.Send)
	return ok && rank <= limit
}

// MarshalJSON gives stable bytes: members ascending by ID.
func (l *List) MarshalJSON() ([]byte, error) {
	type plain List
	p := plain(*l)
	if p.Members == nil {
		p.Members = map[protocol.MemberID]Decision{}
	}
	if p.History == nil {
		p.History = []Change{}
	}
	return json.Marshal(p) // encoding/json sorts the keys of maps
}

// UnmarshalJSON reads a list and refuses one with a decision that Set would.
func (l *List) UnmarshalJSON(data []byte) error {
	type plain List
	var p plain
	if err := json.Unmarshal(data, &p); err != nil {
		return fmt.Errorf("read trust list: %w", err)
	}
	if err := p.Default.Validate(); err != nil {
		return fmt.Errorf("read trust list: %w", err)
	}
	for id, d := range p.Members {
		if err := d.Validate(); err != nil {
			return fmt.Errorf("read trust list: %s: %w", id.Short(), err)
		}
	}
	*l = List(p)
	return nil
}

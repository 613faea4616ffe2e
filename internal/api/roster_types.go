package api

import "time"

// HouseRules are the house rules, and as part of Propose those to change: nil
// leaves a rule as it is.
type HouseRules struct {
	TLP         *string  `json:"tlp,omitempty"`
	PAP         *string  `json:"pap,omitempty"`
	Context     *bool    `json:"require_context,omitempty"`
	AnswerS     *float64 `json:"answer_s,omitempty"` // seconds; 0: the default
	ErasureS    *float64 `json:"erasure_s,omitempty"`
	CutOffS     *float64 `json:"cut_off_s,omitempty"`
	FreshS      *float64 `json:"fresh_s,omitempty"`
	SettleS     *float64 `json:"settle_s,omitempty"`
	EpochWaitMS *float64 `json:"epoch_wait_ms,omitempty"`
	Text        *string  `json:"text,omitempty"`
	// Lifetimes by type of value.
	Lifetimes *Lifetimes `json:"lifetimes,omitempty"`
}

// Suspend says whom to suspend; zero ForS means the longest, 72 hours.
type Suspend struct {
	Member string  `json:"member"` // handle or ID
	ForS   float64 `json:"for_s,omitempty"`
	Why    string  `json:"why,omitempty"`
}

// Suspension keeps a member out for a time.
type Suspension struct {
	Kind   string    `json:"kind"` // suspension
	Ref    string    `json:"ref"`
	ID     string    `json:"id"`
	Member Name      `json:"member"`
	By     Name      `json:"by"`
	From   time.Time `json:"from"` // by the governor's clock
	Until  time.Time `json:"until"`
	Why    string    `json:"why,omitempty"`
}

// Freshness says whether enough governors have marked this node's roster lately.
type Freshness struct {
	Stale bool `json:"stale"`
	Marks int  `json:"marks"` // governors that have,
	Needs int  `json:"needs"` // and that must
}

package api

import (
	"context"
	"net/http"
	"time"
)

// Withdraw says what to withdraw, and why.
type Withdraw struct {
	Ref    string  `json:"ref"` // short name or STIX ID of a share or an object, or a value
	Why    string  `json:"why"` // false-positive, error, leak, terms, author
	DryRun bool    `json:"dry_run,omitempty"`
	WaitS  float64 `json:"wait_s,omitempty"` // how long to wait for receipts; 0: 5 seconds
	NoWait bool    `json:"no_wait,omitempty"`
}

// Withdrawal answers a withdrawal. With DryRun nothing was withdrawn.
type Withdrawal struct {
	Kind     string         `json:"kind"` // withdrawal
	Ref      string         `json:"ref"`
	IDs      []string       `json:"ids"`
	Why      string         `json:"why"`
	Found    map[string]int `json:"found"`    // objects by type
	Audience Audience       `json:"audience"` // who is told
	// ReadBy is who could read what is withdrawn, and since when: what left before.
	ReadBy   []ReadBy  `json:"read_by"`
	Receipts []Receipt `json:"receipts"`
	Exports  []Export  `json:"exports"`
	Durable  bool      `json:"durable"`
	TookS    float64   `json:"took_s"`
	DryRun   bool      `json:"dry_run,omitempty"`
}

// ReadBy is a member that could read something, and since when.
type ReadBy struct {
	Member Name      `json:"member"`
	Since  time.Time `json:"since"`
	Held   bool      `json:"held"` // one of its nodes said that it holds it
	Told   bool      `json:"told"` // it is told of the withdrawal
}

// The states of a receipt.
const (
	ReceiptApplied = "applied"
	ReceiptWaiting = "waiting" // not yet
	ReceiptOffline = "offline" // not yet: no node of the member is connected here
)

// Receipt says whether a member's node has done what was asked for.
type Receipt struct {
	Member Name      `json:"member"`
	State  string    `json:"state"`
	At     time.Time `json:"at,omitzero"`     // when this node heard so
	TookS  float64   `json:"took_s,omitzero"` // since the withdrawal
}

// Export is a way out of this member's systems that has what is withdrawn. There
// are no exports yet.
type Export struct {
	Name        string    `json:"name"`
	Since       time.Time `json:"since"`
	LastFetched time.Time `json:"last_fetched,omitzero"`
}

// Withdrawn says that an object was withdrawn, and, where it was ours, who of its
// readers has applied that.
type Withdrawn struct {
	Why      string    `json:"why,omitempty"`
	At       time.Time `json:"at"`
	Receipts []Receipt `json:"receipts,omitempty"`
}

// Withdraw takes back, for good, what this member shared.
func (c *Client) Withdraw(ctx context.Context, q Withdraw) (*Withdrawal, error) {
	out := new(Withdrawal)
	return out, c.send(ctx, http.MethodPost, "/v1/withdraw", q, out)
}

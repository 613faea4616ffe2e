package api

import "github.com/tipmesh/tipmesh/node"

// Quotas are how much of the disk what other members wrote may take, and takes.
type Quotas struct {
	MemberBytes uint64     `json:"member_bytes"` // one other member may take,
	AllBytes    uint64     `json:"all_bytes"`    // all of them may take,
	UsedBytes   uint64     `json:"used_bytes"`   // and take
	Members     []QuotaUse `json:"members"`      // the most first
	Skipped     []Skipped  `json:"skipped,omitempty"`
}

// QuotaUse is what one other member takes.
type QuotaUse struct {
	Member     Name   `json:"member"`
	UsedBytes  uint64 `json:"used_bytes"`
	LimitBytes uint64 `json:"limit_bytes"` // up to which its payloads are fetched
	Over       bool   `json:"over,omitempty"`
	Absent     uint64 `json:"absent,omitempty"` // payloads that are not held because of it
}

func quotasOf(q *node.QuotaStatus) Quotas {
	out := Quotas{MemberBytes: q.Member, AllBytes: q.All, UsedBytes: q.Bytes, Members: []QuotaUse{}}
	for _, u := range q.Members {
		out.Members = append(out.Members, QuotaUse{Member: Name{ID: u.Member.String(), Name: u.Handle}, UsedBytes: u.Bytes, LimitBytes: u.Limit,
			Over: u.Over, Absent: u.Absent})
	}
	out.Skipped = overQuota(q.Absent())
	return out
}

// overQuota counts payloads that are not held for lack of room.
func overQuota(n uint64) []Skipped {
	if n == 0 {
		return nil
	}
	return []Skipped{{Reason: node.ReasonQuota, Count: int(n), // #nosec G115 -- fewer than entries
		Text: "payloads of members that have reached their quota of the disk here"}}
}

package node

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// QuotaUse is what one other member takes on the disk here, roughly.
type QuotaUse struct {
	Member protocol.MemberID
	Handle string
	Bytes  uint64 // headers and payloads
	Limit  uint64 // up to which payloads of it are fetched
	Over   bool   // no more are fetched at present:
	Absent uint64 // so many are not held
}

// QuotaStatus is how the quotas stand.
type QuotaStatus struct {
	Quota
	Bytes   uint64     // that all other members take
	Members []QuotaUse // who takes anything, the most first
}

// Absent is how many payloads are not held for lack of room.
func (s *QuotaStatus) Absent() (count uint64) {
	for i := range s.Members {
		count += s.Members[i].Absent
	}
	return count
}

// Quotas tells how the quotas stand.
func (n *Node) Quotas() QuotaStatus {
	q, r := n.quota, n.Roster()
	out := QuotaStatus{Quota: q.Quota}
	absent := map[protocol.MemberID]uint64{}
	for _, f := range n.store.Feeds() {
		if q.over(r, f) {
			m, _ := q.other(r, f.Node)
			absent[m] += store.Ranges(f.Missing).Count()
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.look(r)
	for id, u := range q.members {
		if u.bytes == 0 {
			continue
		}
		x := QuotaUse{Member: id, Bytes: u.bytes, Limit: q.limit(id, levelSealed), Over: q.shut[id] != nil, Absent: absent[id]}
		if m, ok := r.Member(id); ok {
			x.Handle = m.Handle
		}
		out.Bytes += u.bytes
		out.Members = append(out.Members, x)
	}
	slices.SortFunc(out.Members, func(a, b QuotaUse) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), a.Member.Compare(b.Member))
	})
	return out
}

// alerts says who has reached a quota.
func (s *QuotaStatus) alerts() (out []string) {
	for i := range s.Members {
		if x := &s.Members[i]; x.Over {
			out = append(out, fmt.Sprintf("%s has reached its quota of the disk here: %d of its payloads are not held; tipmesh run --member-quota raises it", x.Handle, x.Absent))
		}
	}
	return out
}

// Withheld is how many payloads of others are not held for lack of room.
func (n *Node) Withheld() uint64 {
	n.quota.mu.Lock()
	room := len(n.quota.shut) == 0
	n.quota.mu.Unlock()
	if room {
		return 0
	}
	q := n.Quotas()
	return q.Absent()
}

package node

import (
	"math/rand/v2"
	"testing"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

// Whatever some members take, what all take stays within the quota of all, each gets
// what is kept for it, and what is refused once is taken when there is room.
func TestQuotaOfAll(t *testing.T) {
	const all, member, count = 1 << 20, 600 << 10, 8
	rng := rand.New(rand.NewPCG(7, 1))
	q := &quota{Quota: Quota{Member: member, All: all}, feeds: map[protocol.FeedID]feedUse{}, nodes: map[protocol.Key]uint64{},
		shut: map[protocol.MemberID]*[levels]uint64{}, roster: &trust.Roster{}, members: map[protocol.MemberID]memberUse{}}
	const reserved = all / reservedPart / count
	for m := range count {
		q.members[protocol.MemberID{byte(m)}] = memberUse{reserved: reserved}
		q.committed += reserved
	}
	grow := func(m int, size uint64) bool {
		id := protocol.MemberID{byte(m)}
		if !q.fits(id, levelSealed, size) {
			return false
		}
		u := q.members[id]
		q.committed -= u.committed()
		u.bytes += size
		q.committed += u.committed()
		q.members[id] = u
		return true
	}
	refused := 0
	for range 20_000 { // three of them flood
		if !grow(rng.IntN(3), 1+rng.Uint64N(2000)) {
			refused++
		}
		total := uint64(0)
		for id, u := range q.members {
			total += u.bytes
			if u.bytes > member {
				t.Fatalf("member %d takes %d", id[0], u.bytes)
			}
		}
		if total > all {
			t.Fatalf("all take %d", total)
		}
	}
	if refused < 1000 {
		t.Fatalf("%d refused: the test is blind", refused)
	}
	for m := 3; m < count; m++ {
		for q.members[protocol.MemberID{byte(m)}].bytes+1000 <= reserved {
			if !grow(m, 1000) {
				t.Fatalf("member %d does not get what is kept for it, at %d", m, q.members[protocol.MemberID{byte(m)}].bytes)
			}
		}
	}
	if q.committed > all {
		t.Errorf("%d are committed", q.committed)
	}
	first := protocol.MemberID{0}
	if grow(0, 1) {
		t.Error("who was refused gets more")
	}
	// It lets half of what it has go.
	u := q.members[first]
	q.committed -= u.committed()
	u.bytes /= 2
	q.committed += u.committed()
	q.members[first] = u
	if reopened := q.settle(q.roster, nil); len(reopened) == 0 || !grow(0, 1) {
		t.Errorf("reopened: %v", reopened)
	}
}

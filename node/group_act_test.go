package node

import (
	"crypto/ed25519"
	"testing"

	"github.com/tipmesh/tipmesh/protocol"
)

// A newcomer is told the states of a group in their order: of those whose
// predecessor is missing it keeps few, and many states take several letters.
func TestStatesAreToldInOrder(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	g := &groups{by: map[protocol.AudienceID]*groupBook{}, first: map[protocol.MemberID]int{}, bytes: map[protocol.MemberID]int{}}
	s := protocol.AudienceState{Mesh: protocol.MeshID{1}, Number: 1, Owner: protocol.MemberID{1}}
	var id protocol.AudienceID
	for range 300 {
		signed, err := s.Sign(key)
		if err != nil {
			t.Fatal(err)
		}
		id = groupOf(signed)
		g.book(id).keep(g, &toldState{AudienceState: signed})
		s.Audience, s.Number, s.Prev = id, s.Number+1, signed.ID()
	}
	list := (&Node{groups: g}).statesOf(id)
	if len(list) != 300 {
		t.Fatalf("%d states", len(list))
	}
	for i, x := range list {
		if n := x.(*protocol.AudienceState).Number; n != uint64(i)+1 {
			t.Fatalf("state %d comes at %d", n, i)
		}
	}
}

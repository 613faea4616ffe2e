package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
)

// renewPatience is how long a node that was renewed waits for its neighbours to
// hear of it. They close its links when they do.
const renewPatience = 5 * time.Second

// followCard does what a new card of this member asks of its nodes, as long as
// the node runs: the other nodes are told the age identity that it names, one that
// another node made is used, and a node that another has taken the place of ends.
func (n *Node) followCard() {
	n.reuseTrust()
	for {
		n.shareIdentity()
		n.useIdentities()
		if next := n.next.Load(); next != nil && Renewed(n.Roster(), n.cfg.Member, n.key, *next) {
			n.awaitHeard()
			n.stop(ErrRenewed)
			return
		}
		select {
		case <-n.carded:
		case <-n.ctx.Done():
			return
		}
	}
}

// awaitHeard waits until the neighbours have heard that this node is none.
func (n *Node) awaitHeard() {
	ctx, cancel := context.WithTimeout(n.ctx, renewPatience)
	defer cancel()
	ignore(n.poll(ctx, func() bool { return len(n.links.connected()) == 0 }))
}

// Renewed reports whether the member's card names the next node, and a former one
// no more.
func Renewed(r *trust.Roster, member protocol.MemberID, former, next protocol.Key) bool {
	m, ok := r.Member(member)
	return ok && slices.Contains(m.Nodes, next) && !slices.Contains(m.Nodes, former)
}

// Take prepares the store of a node for another key that takes its place: what
// stopped the former one does not stop it.
func Take(ctx context.Context, s store.Entries) error {
	_, err := s.Commit(ctx, &store.Commit{Settings: map[string][]byte{haltSetting: nil}})
	if err != nil {
		return fmt.Errorf("let the new node write: %w", err)
	}
	return nil
}

// Expect says which node is to take this one's place, as it was made before this
// one started.
func (n *Node) Expect(next protocol.Key) { n.next.Store(&next) }

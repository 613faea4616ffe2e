package node

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

// StandIns is how many members, the first of all in order, make the epoch that a
// departure asks for though they have nothing to write: else, where who completed
// the change has gone, the only one who writes would wait as long as its place
// among a thousand says.
const StandIns = 8

// departed reports whether one roster has departures that the other has not.
func departed(before, after *trust.Roster) bool {
	return !slices.Equal(before.Departures(), after.Departures())
}

// standIn makes the epoch for everyone if nobody before this node does.
func (n *Node) standIn() {
	to := protocol.Everyone(n.mesh)
	c, err := n.wholeCircle(to)
	place := slices.Index(c.readers, n.cfg.Member)
	if err != nil || place < 0 || place >= StandIns {
		return
	}
	me, _ := c.roster.Member(n.cfg.Member)
	each := time.Duration(n.Roster().Rules.EpochWait()) * time.Millisecond / 4
	among := max(slices.Index(me.Nodes, n.key), 0) // the member's other nodes stand in too
	ctx, cancel := context.WithTimeout(n.ctx, n.epochPatience(c.readers)+time.Duration(among)*each)
	defer cancel()
	err = n.until(ctx, func() bool {
		now, failed := n.wholeCircle(to)
		return failed != nil || departed(c.roster, now.roster) || n.present(now) != nil
	})
	if errors.Is(err, context.DeadlineExceeded) && n.ctx.Err() == nil {
		n.renewFor(to)
	}
}

package node

import (
	"fmt"
	"slices"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/audience"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

// groupsChanged has what was heard of groups, or a change of the roster, take
// its course.
func (n *Node) groupsChanged() {
	n.pulse.beat()
	if n.ctx == nil || n.groups.none() {
		return
	}
	n.spawn(func() {
		if n.begun(n.ctx) == nil {
			n.tidyGroups()
		}
	})
}

// tidyGroups does what falls to the one who acts for a group: it records in a
// state who left or was removed from the mesh, and makes the epoch that a
// departure asks for, so that the others need not. Of a member's nodes the first
// does it: states by two of them could contradict each other.
func (n *Node) tidyGroups() {
	n.groups.tidy.Lock()
	defer n.groups.tidy.Unlock()
	me, ok := n.Roster().Member(n.cfg.Member)
	if !ok || len(me.Nodes) == 0 || me.Nodes[0] != n.key {
		return
	}
	for _, g := range n.Groups() {
		if g.Acting != n.cfg.Member || g.Ended {
			continue
		}
		gone := slices.Clone(g.Gone)
		for _, m := range g.Members {
			if known, ok := n.Roster().Member(m); ok && known.State == trust.StateRemoved {
				gone = append(gone, m)
			}
		}
		if len(gone) > 0 {
			if _, err := n.GroupRemove(n.ctx, g.ID, gone...); err != nil {
				n.log.Error("record who left a group", "group", g.ID.Short(), "err", err)
			}
			continue
		}
		if n.keys.hasEpochOf(g.ID) {
			n.renewFor(g.ID)
		}
	}
}

// groupAlerts says what an operator must know about groups.
func (n *Node) groupAlerts() (out []string) {
	for _, g := range n.Groups() {
		if g.Conflict && g.In(n.cfg.Member) {
			out = append(out, fmt.Sprintf("two changes of the group %s by one member contradict each other: neither counts until that member makes another", groupName(g)))
		}
	}
	return out
}

func groupName(g *audience.Group) string { return fmt.Sprintf("@%s (%s)", g.Name, g.ID.Short()) }

// grouped reports whether any epoch is held that is not for everyone.
func (k *keys) grouped() bool { return k.others.Load() > 0 }

// hasEpochOf reports whether an epoch of an audience is held.
func (k *keys) hasEpochOf(id protocol.AudienceID) bool {
	return slices.ContainsFunc(k.all(), func(e *epoch) bool { return e.Audience == id })
}

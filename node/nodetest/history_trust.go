package nodetest

import (
	"slices"
	"strings"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

// distrust has a member send another one less, or everything again.
func (h *History) distrust(i int) {
	n := h.Members[i].Node
	if n == nil {
		return
	}
	who := h.some(n, 1)
	if len(who) == 0 {
		return
	}
	d := trust.DefaultDecision()
	d.Why = "test"
	if h.rng.IntN(3) > 0 {
		d.Send = "clear"
	}
	_, err := n.SetTrust(&who[0], d)
	h.say("%d sends %s up to TLP:%s: %v", i, h.nameOf(who[0]), strings.ToUpper(d.Send), err)
}

// writeNarrow shares as the trust list has it, and tells who has to know the share
// and who must not.
func (h *History) writeNarrow(p *Member, n *node.Node, name string) (Acked, error) {
	suspended := without(n.Roster())
	active, version := n.Roster().Active(), n.TrustList().Version
	readers, full := n.Readers("green")
	a, err := h.writeAs(p, n, name)
	a.At, a.Without = time.Now(), slices.DeleteFunc(suspended, func(m protocol.MemberID) bool { return !slices.Contains(without(n.Roster()), m) })
	then, fullThen := n.Readers("green")
	if full && fullThen {
		return a, err
	}
	// Nobody but those that the epoch was made for is given a narrow one.
	a.For = slices.DeleteFunc(slices.Clone(readers), func(m protocol.MemberID) bool { return !slices.Contains(then, m) })
	if version != n.TrustList().Version {
		return a, err
	}
	for _, m := range active {
		if !slices.Contains(readers, m.ID) {
			a.Never = append(a.Never, m.ID)
		}
	}
	return a, err
}

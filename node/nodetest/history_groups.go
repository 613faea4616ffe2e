package nodetest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/audience"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
)

// mostGroups is how many groups are founded in a history.
const mostGroups = 4

// insider is an acknowledged share with a group.
type insider struct {
	Acked
	group   *audience.Group     // as its writer saw it just before
	readers []protocol.MemberID // whom its trust list let have it
}

// behind runs f in the background, as long as a node may have to wait.
func (h *History) behind(f func(ctx context.Context)) {
	h.writes.Add(1)
	go func() {
		defer h.writes.Done()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		f(ctx)
	}()
}

// some chooses members that a node sees as active, other than its own.
func (h *History) some(n *node.Node, most int) (out []protocol.MemberID) {
	for _, j := range h.rng.Perm(len(h.Members)) {
		id := h.Members[j].ID
		m, ok := n.Roster().Member(id)
		if ok && m.State == trust.StateActive && id != n.Member() && !slices.Contains(out, id) && len(out) < most {
			out = append(out, id)
		}
	}
	return out
}

// found founds a group.
func (h *History) found(i int) {
	p := h.Members[i]
	if p.Node == nil || h.founded >= mostGroups {
		return
	}
	h.founded++
	t := node.GroupTerms{Name: fmt.Sprint("group ", h.founded), Members: h.some(p.Node, 1+h.rng.IntN(5))}
	t.Deputies = slices.Clone(t.Members[:h.rng.IntN(min(2, len(t.Members))+1)])
	t.History = []uint64{0, 20, audience.HistoryAll}[h.rng.IntN(3)]
	n := p.Node
	h.behind(func(ctx context.Context) {
		g, err := n.GroupCreate(ctx, t)
		if err != nil {
			h.say("%d cannot found a group: %v", i, err)
			return
		}
		h.say("%d founds group %s of %d, history %d", i, g.ID.Short(), len(g.Members), t.History)
	})
}

// anyGroup chooses one of the groups of a running node's member that may is true for.
func (h *History) anyGroup(i int, may func(*audience.Group) bool) *audience.Group {
	n := h.Members[i].Node
	if n == nil {
		return nil
	}
	list := slices.DeleteFunc(n.Groups(), func(g *audience.Group) bool { return !may(g) })
	if len(list) == 0 {
		return nil
	}
	return list[h.rng.IntN(len(list))]
}

// regroup has an owner or a deputy take somebody in, or put somebody out.
func (h *History) regroup(i int) {
	p := h.Members[i]
	g := h.anyGroup(i, func(g *audience.Group) bool { return g.MayChange(p.ID) })
	if g == nil {
		return
	}
	n, put := p.Node, h.rng.IntN(2) == 0
	var who []protocol.MemberID
	if put {
		who = slices.DeleteFunc(slices.Clone(g.Members), func(m protocol.MemberID) bool { return m == p.ID })
	} else {
		who = slices.DeleteFunc(h.some(n, len(h.Members)), g.In)
	}
	if len(who) == 0 {
		return
	}
	m := who[h.rng.IntN(len(who))]
	h.behind(func(ctx context.Context) {
		change := n.GroupAdd
		if put {
			change = n.GroupRemove
		}
		_, err := change(ctx, g.ID, m)
		h.say("%d changes group %s: %s is out %v: %v", i, g.ID.Short(), h.nameOf(m), put, err)
	})
}

// quit has a member leave a group.
func (h *History) quit(i int) {
	p := h.Members[i]
	g := h.anyGroup(i, func(g *audience.Group) bool { return g.In(p.ID) && g.Owner != p.ID })
	if g == nil {
		return
	}
	n := p.Node
	h.behind(func(ctx context.Context) { h.say("%d leaves group %s: %v", i, g.ID.Short(), n.GroupLeave(ctx, g.ID)) })
}

// confide shares with a group.
func (h *History) confide(i int) {
	p := h.Members[i]
	g := h.anyGroup(i, func(g *audience.Group) bool { return g.MayWrite(p.ID) })
	if g == nil {
		return
	}
	h.shares++
	n, alive, name := p.Node, p.alive, fmt.Sprintf("confided-%d.com", h.shares)
	h.behind(func(ctx context.Context) {
		seen, ok := n.Group(g.ID)
		if !ok {
			return
		}
		readers, _, _ := n.ReadersIn(g.ID, "green")
		a, err := h.writeAs(p, groupWriter{n, g.ID}, name)
		if err != nil || !alive.Load() {
			h.say("%s by %d for %s is not acknowledged: %v", name, i, g.ID.Short(), err)
			return
		}
		h.say("%s by %d for %s, state %d", name, i, g.ID.Short(), seen.Head.Number)
		h.note1(n, &a)
		then, _, _ := n.ReadersIn(g.ID, "green")
		readers = slices.DeleteFunc(slices.Clone(readers), func(m protocol.MemberID) bool { return !slices.Contains(then, m) })
		h.set(func() { h.inside = append(h.inside, insider{a, seen, readers}) })
	})
}

type groupWriter struct {
	n  *node.Node
	to protocol.AudienceID
}

func (w groupWriter) Write(ctx context.Context, bundles [][]byte, tlp string) ([]store.Place, error) {
	return w.n.WriteTo(ctx, w.to, bundles, tlp)
}

// note1 completes what is known of a share.
func (h *History) note1(n *node.Node, a *Acked) {
	a.Node = n.Key()
	if len(a.Places) > 0 {
		if x, err := n.Store().Header(a.Places[0]); err == nil {
			a.Payload = x.Payload
		}
	}
}

func (h *History) nameOf(m protocol.MemberID) string {
	i := slices.IndexFunc(h.Members, func(p *Member) bool { return p.ID == m })
	return fmt.Sprint("member ", i)
}

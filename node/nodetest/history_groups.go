package nodetest

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
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

// anyGroup chooses one of the groups that may is true for, at a running node: from
// the i-th on the first that has one.
func (h *History) anyGroup(i int, may func(*Member, *audience.Group) bool) (*Member, *audience.Group) {
	for k := range h.Members {
		p := h.Members[(i+k)%len(h.Members)]
		if p.Node == nil {
			continue
		}
		list := slices.DeleteFunc(p.Node.Groups(), func(g *audience.Group) bool { return !may(p, g) })
		if len(list) > 0 {
			return p, list[h.rng.IntN(len(list))]
		}
	}
	return nil, nil
}

// regroup has an owner or a deputy take somebody in, or put somebody out and share
// at once, while who is out perhaps does not hear the other, or is not heard.
func (h *History) regroup(i int) {
	p, g := h.anyGroup(i, func(p *Member, g *audience.Group) bool { return g.MayChange(p.ID) })
	if g == nil {
		return
	}
	i = p.Index
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
	alive, name := p.alive, h.confidedName()
	if out := slices.IndexFunc(h.Members, func(p *Member) bool { return p.ID == m }); put && h.rng.IntN(3) == 0 {
		way := [2]int{i, out}
		if h.rng.IntN(2) == 0 {
			way = [2]int{out, i}
		}
		h.set(func() { h.mute[way] = true })
		h.say("one way only: %d does not reach %d", way[0], way[1])
	}
	h.behind(func(ctx context.Context) {
		change := n.GroupAdd
		if put {
			change = n.GroupRemove
		}
		_, err := change(ctx, g.ID, m)
		h.say("%d changes group %s: %s is out %v: %v", i, g.ID.Short(), h.nameOf(m), put, err)
		if put && err == nil {
			h.confided(p, alive, groupWriter{n: n, to: g.ID}, name)
		}
	})
}

// quit has a member leave a group.
func (h *History) quit(i int) {
	p, g := h.anyGroup(i, func(p *Member, g *audience.Group) bool { return g.In(p.ID) && g.Owner != p.ID })
	if g == nil {
		return
	}
	n := p.Node
	h.behind(func(ctx context.Context) {
		h.say("%d leaves group %s: %v", p.Index, g.ID.Short(), n.GroupLeave(ctx, g.ID))
	})
}

// confide shares with a group.
func (h *History) confide(i int) {
	p, g := h.anyGroup(i, func(p *Member, g *audience.Group) bool { return g.MayWrite(p.ID) })
	if g == nil {
		return
	}
	alive, name := p.alive, h.confidedName()
	w := groupWriter{p.Node, g.ID, []uint64{0, 0, 1, 52}[h.rng.IntN(4)]}
	h.behind(func(context.Context) { h.confided(p, alive, w, name) })
}

func (h *History) confidedName() string {
	h.shares++
	return fmt.Sprintf("confided-%d.com", h.shares)
}

// confided shares with a group, and remembers what its writer saw of it before.
func (h *History) confided(p *Member, alive *atomic.Bool, w groupWriter, name string) {
	seen, ok := w.n.Group(w.to)
	if !ok {
		return
	}
	readers, _, _ := w.n.ReadersIn(w.to, "green")
	a, err := h.writeAs(p, w, name)
	if err != nil || !alive.Load() {
		h.say("%s by %d for %s is not acknowledged: %v", name, p.Index, w.to.Short(), err)
		return
	}
	h.say("%s by %d for %s, state %d", name, p.Index, w.to.Short(), seen.Head.Number)
	h.note1(w.n, &a)
	then, _, _ := w.n.ReadersIn(w.to, "green")
	readers = slices.DeleteFunc(slices.Clone(readers), func(m protocol.MemberID) bool { return !slices.Contains(then, m) })
	h.set(func() { h.inside = append(h.inside, insider{a, seen, readers}) })
}

// groupWriter shares with a group what is kept for so many weeks; 0: for good.
type groupWriter struct {
	n     *node.Node
	to    protocol.AudienceID
	weeks uint64
}

func (w groupWriter) Write(ctx context.Context, bundles [][]byte, tlp string) ([]store.Place, error) {
	return w.n.WriteKept(ctx, w.to, bundles, tlp, w.weeks)
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

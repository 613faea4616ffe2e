package nodetest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/seal"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
	"github.com/tipmesh/tipmesh/store/memory"
)

// governor finds a running node of a governor whose member is in, beginning with
// one chosen at random.
func (h *History) governor() *Member {
	from := h.rng.IntN(len(h.Members))
	for k := range h.Members {
		p := h.Members[(from+k)%len(h.Members)]
		if p.Node == nil || p.key == nil {
			continue
		}
		if me, ok := p.Node.Roster().Member(p.ID); ok && me.Governor && me.State == trust.StateActive {
			return p
		}
	}
	return nil
}

// propose has a governor propose something. Governors approve in govern.
func (h *History) propose(g *Member, c protocol.Content) {
	s, err := g.Node.State(c)
	if err != nil {
		h.say("%d cannot propose: %v", g.Index, err)
		return
	}
	h.say("%d proposes %s", g.Index, s.ID().Short())
}

// govern has every governor whose node runs approve what it is shown. Of changes
// of governors each approves one at a time, as people who talk to each other do.
func (h *History) govern() {
	for _, p := range h.Members {
		if p.Node == nil || p.key == nil {
			continue
		}
		r := p.Node.Roster()
		if me, ok := r.Member(p.ID); !ok || me.State != trust.StateActive {
			continue
		}
		for _, proposal := range r.Proposals {
			if !slices.Contains(r.Signers(proposal), p.ID) || proposal.Kind == protocol.KindGovernors && h.rival(r, proposal) {
				continue
			}
			if _, err := p.Node.State(&protocol.Approval{Subject: proposal.ID}); err != nil {
				h.say("%d cannot approve %s: %v", p.Index, proposal.ID.Short(), err)
			}
		}
	}
}

func (h *History) rival(r *trust.Roster, of *trust.Proposal) bool {
	return slices.ContainsFunc(r.Proposals, func(p *trust.Proposal) bool {
		return p.Kind == protocol.KindGovernors && p.ID != of.ID && (p.State == trust.ProposalOpen || p.State == trust.ProposalRival)
	})
}

// remove removes a member that is no governor, if not too many are out already.
func (h *History) remove(i int) {
	g := h.governor()
	if g == nil || i == 0 {
		return
	}
	if m := h.removable(g, i); m != nil {
		h.say("remove %d", i)
		h.expel(g, m)
	}
}

// readmit lets a removed member in again, with a new node and a new recipient.
// Its card and the news of its admission are carried by hand.
func (h *History) readmit(int) {
	g := h.governor()
	if g == nil {
		return
	}
	r := g.Node.Roster()
	out := slices.DeleteFunc(r.DepartedMembers(), func(m *trust.Member) bool { return m.Until != 0 })
	if len(out) == 0 {
		return
	}
	m := out[h.rng.IntN(len(out))]
	i := slices.IndexFunc(h.Members, func(p *Member) bool { return p.ID == m.ID })
	p := h.Members[i]
	if h.away[i] || h.moving[i] != nil || p.key == nil || h.copied[i] || h.cardOf(p) != m.CardID {
		return
	}
	h.say("readmit %d", i)
	if p.Node != nil {
		h.keep(i)
		h.Stop(i)
	}
	h.away[i] = true
	h.renew(p)
	card := *m.Card
	card.Version++
	card.Member, card.Prev, card.Recipient = m.ID, m.CardID, p.age.Recipient()
	card.Nodes = []protocol.CardNode{{Key: protocol.KeyOf(p.nodeKey), Recipient: p.nodeAge.Recipient()}}
	s, err := protocol.NewStatement(h.ID, &card, time.Now().UnixMilli(), p.key)
	h.must(err)
	h.must(g.Node.Submit(s))
	a := &protocol.Admission{Member: m.ID, Line: r.Line, Card: s.ID()}
	for _, q := range r.Proposals {
		if q.Subject == m.ID && removes(q) {
			a.Removed = append(a.Removed, q.ID)
		}
	}
	protocol.Sorted(a.Removed)
	h.propose(g, a)
}

// cardOf is a member's present card as its own node has it: it may have made one
// that nobody else knows of.
func (h *History) cardOf(p *Member) (id protocol.StatementID) {
	if p.Node != nil {
		if m, ok := p.Node.Roster().Member(p.ID); ok {
			return m.CardID
		}
	}
	if p.Node != nil || h.opt.Open != nil {
		return id
	}
	var list []*protocol.Statement
	h.must(p.Store.Statements(func(s *protocol.Statement) error {
		list = append(list, s)
		return nil
	}))
	if m, ok := trust.Fold(h.ID, list).Member(p.ID); ok {
		return m.CardID
	}
	return id
}

// renew gives a member a new node key and a new age identity.
func (h *History) renew(p *Member) {
	id, err := seal.NewIdentity()
	h.must(err)
	own, err := seal.NewIdentity()
	h.must(err)
	p.former, p.age, p.nodeAge = append(p.former, p.age), id, own
	p.nodeKey = seeded(h.opt.Seed, fmt.Sprint("node of run ", p.runs), p.Index)
}

// let starts the nodes of those who wait, once some running node has them in:
// they begin with its statements.
func (h *History) let() {
	for i := range h.Members {
		p := h.Members[i]
		if !h.away[i] {
			continue
		}
		for _, q := range h.Members {
			if q.Node == nil {
				continue
			}
			if m, ok := q.Node.Roster().ByNode(protocol.KeyOf(p.nodeKey)); !ok || m.ID != p.ID {
				continue
			}
			h.bring(p, q.Node.Statements())
			delete(h.away, i)
			h.start(i)
			break
		}
	}
}

// bring puts statements into the store of a member whose node does not run.
func (h *History) bring(p *Member, list []*protocol.Statement) {
	h.must(h.open(p))
	_, err := p.disk.Store.Commit(context.Background(), &store.Commit{Statements: list})
	h.must(err)
	h.must(h.close(p))
}

// join has a newcomer join with a ticket of a governor's, by the join protocol.
func (h *History) join(int) {
	g := h.governor()
	if g == nil || len(h.Members) >= h.opt.Nodes+3+h.seconds {
		return
	}
	i := len(h.Members)
	ticket, err := g.Node.Invite(fmt.Sprint("newcomer ", i), time.Now().Add(g.Clock+time.Hour), true)
	if err != nil {
		h.say("%d cannot invite: %v", g.Index, err)
		return
	}
	id, err := seal.NewIdentity()
	h.must(err)
	own, err := seal.NewIdentity()
	h.must(err)
	p := &Member{Index: i, At: i, Handle: fmt.Sprintf("m%d", i), Store: memory.New(), nodeKey: seeded(h.opt.Seed, "node", i),
		key: seeded(h.opt.Seed, "member", i), age: id, nodeAge: own}
	h.away[i] = true
	all := h.all
	h.Members = append(h.Members, p)
	h.introduce(i)
	h.all = all // its card travels by the ticket alone
	h.say("%d joins, invited by %d", i, g.Index)
	stream := g.porch.call()
	h.writes.Add(1)
	go func() {
		defer h.writes.Done()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		reply, err := node.Join(ctx, stream, ticket, p.card, []string{h.Net.Address(p.At)}, func(*node.JoinReply) {})
		if err != nil {
			h.say("%d has not been told that it is in: %v", i, err)
			return
		}
		var list []*protocol.Statement
		for _, raw := range reply.Statements {
			s, err := protocol.ParseStatement(raw)
			h.must(err)
			list = append(list, s)
		}
		r := trust.Fold(h.ID, list)
		if m, ok := r.Member(p.ID); !ok || m.State != trust.StateActive {
			h.T.Errorf("seed %d: %d was told that it is in, but the statements it was given do not say so", h.opt.Seed, i)
		}
	}()
}

// move replaces a member's node by another with a new key: first its card names
// both; once another node has seen that, the old one is retired, the member gets
// a new recipient, and the new one goes on with the store.
func (h *History) move(i int) {
	p := h.Members[i]
	if p.Node == nil || p.key == nil || i == 0 || h.copied[i] || h.away[i] {
		return
	}
	old := protocol.KeyOf(p.nodeKey)
	if m, ok := p.Node.Roster().ByNode(old); !ok || m.ID != p.ID || len(m.Nodes) > 1 && h.moving[i] == nil {
		return
	}
	if h.moving[i] == nil {
		to := seeded(h.opt.Seed, fmt.Sprint("moved ", p.runs), i)
		_, err := p.Node.SetCard(func(c *protocol.Card) error {
			c.Nodes = append(slices.Clone(c.Nodes), protocol.CardNode{Key: protocol.KeyOf(to), Recipient: p.nodeAge.Recipient()})
			slices.SortFunc(c.Nodes, func(a, b protocol.CardNode) int { return a.Key.Compare(b.Key) })
			return nil
		})
		h.say("%d names another node: %v", i, err)
		if err == nil {
			h.moving[i] = to
		}
		return
	}
	to := h.moving[i]
	seen := slices.ContainsFunc(h.Members, func(q *Member) bool {
		if q == p || q.Node == nil {
			return false
		}
		_, ok := q.Node.Roster().ByNode(protocol.KeyOf(to))
		return ok
	})
	if !seen {
		return
	}
	id, err := seal.NewIdentity()
	h.must(err)
	// Nothing may be written beyond the cut.
	h.writes.Wait()
	_, err = p.Node.SetCard(func(c *protocol.Card) error {
		c.Nodes = slices.DeleteFunc(slices.Clone(c.Nodes), func(n protocol.CardNode) bool { return n.Key == old })
		r := protocol.RetiredNode{Node: old}
		for _, f := range h.held(p).Feeds() {
			if f.Node == old {
				r.Cuts = append(r.Cuts, protocol.FeedCut{Feed: f.ID, Seq: f.Head})
			}
		}
		c.Retired = append(slices.Clone(c.Retired), r)
		slices.SortFunc(c.Retired, func(a, b protocol.RetiredNode) int { return a.Node.Compare(b.Node) })
		c.Recipient = id.Recipient()
		return nil
	})
	h.say("%d retires its node: %v", i, err)
	delete(h.moving, i)
	if err != nil {
		return
	}
	h.Stop(i)
	p.former, p.age, p.nodeKey = append(p.former, p.age), id, to
	h.start(i)
}

// elect changes the governors to one or three members, and makes what was
// decided before stay.
func (h *History) elect(int) {
	g := h.governor()
	if g == nil {
		return
	}
	r := g.Node.Roster()
	var list []protocol.MemberID
	if h.Members[0].key != nil {
		list = append(list, h.Members[0].ID)
	}
	if h.rng.IntN(3) > 0 {
		for _, k := range h.rng.Perm(len(h.Members)) {
			m, ok := r.Member(h.Members[k].ID)
			if ok && k != 0 && m.State == trust.StateActive && h.Members[k].Node != nil && h.Members[k].key != nil && !h.copied[k] && len(list) < 3 {
				list = append(list, m.ID)
			}
		}
	}
	if len(list) == 0 || slices.Equal(protocol.Sorted(list), r.Governors) || slices.ContainsFunc(r.Proposals, func(p *trust.Proposal) bool {
		return p.Kind == protocol.KindGovernors && p.State == trust.ProposalOpen
	}) {
		return
	}
	c := &protocol.Governors{Prev: r.Line, Governors: list, Threshold: uint64(len(list)/2 + 1), Accepts: accepts(r)}
	h.say("%d governors", len(list))
	h.propose(g, c)
}

package nodetest

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"slices"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/seal"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store/memory"
)

// steady gives a member that its node sees as active with this one node acting,
// whose home is whole, and which has the member key; nil where it is not so.
func (h *History) steady(i int) *trust.Member {
	p := h.Members[i]
	if p.Node == nil || p.key == nil || h.copied[i] || h.away[i] || h.moving[i] != nil {
		return nil
	}
	m, ok := p.Node.Roster().ByNode(protocol.KeyOf(p.nodeKey))
	if !ok || m.ID != p.ID {
		return nil
	}
	return m
}

// second gives a member a further node, as a person does: a request, a card that
// names it, a pack.
func (h *History) second(i int) {
	p, m := h.Members[i], h.steady(i)
	if m == nil || len(m.Nodes) > 1 || h.seconds >= 2 {
		return
	}
	h.seconds++
	j := len(h.Members)
	q := &Member{Index: j, At: j, ID: p.ID, Handle: p.Handle + "-too", Author: p.Author, Store: memory.New(), nodeKey: seeded(h.opt.Seed, "node", j), first: p}
	var err error
	q.nodeAge, err = seal.NewIdentity()
	h.must(err)
	text, err := protocol.NewNodeRequest(q.nodeKey, q.nodeAge.Recipient())
	h.must(err)
	request, err := protocol.ParseNodeRequest(text)
	h.must(err)
	if _, err = p.Node.SetCard(p.Node.AddsNode(request)); err != nil {
		h.say("%d cannot name a further node: %v", i, err)
		return
	}
	sealed, err := p.Node.Pack(request.Node)
	h.must(err)
	pack, err := node.OpenPack(sealed, request.Node, q.nodeAge)
	h.must(err)
	ids, err := pack.Identities()
	h.must(err)
	q.former, q.age = ids[:len(ids)-1], ids[len(ids)-1]
	h.Members = append(h.Members, q)
	h.must(h.open(q))
	h.must(pack.Unpack(context.Background(), q.disk.Store))
	h.must(h.close(q))
	h.sum("%d is a further node of %d", j, i)
	h.start(j)
}

// retire retires a further node, sometimes while it hears of nothing and goes on.
func (h *History) retire(int) {
	for j, q := range h.Members {
		if q.first == nil || h.ended[j] {
			continue
		}
		i := q.first.Index
		n := q.first.Node
		if m := h.steady(i); m == nil || !slices.Contains(m.Nodes, protocol.KeyOf(q.nodeKey)) {
			continue
		}
		act := func() {
			_, err := n.SetCard(n.Retires(protocol.KeyOf(q.nodeKey)))
			h.sum("%d retires %d: %v", i, j, err)
			h.ended[j] = err == nil
		}
		if q.Node == nil || h.rng.IntN(2) == 0 || !h.apart(j, i, act) {
			act()
		}
		return
	}
}

// age gives a member another age identity.
func (h *History) age(i int) {
	if h.steady(i) == nil {
		return
	}
	n := h.Members[i].Node
	_, err := n.SetCard(n.ChangesAge())
	h.sum("%d changes its age identity: %v", i, err)
}

// nextKey is the member key after so many others.
func (m *Mesh) nextKey(i, taken int) ed25519.PrivateKey {
	return seeded(m.opt.Seed, fmt.Sprint("member key ", taken+1), i)
}

// rotate has the next member key take over from the present one.
func (h *History) rotate(i int) {
	p := h.Members[i]
	if h.steady(i) == nil {
		return
	}
	key, after := h.nextKey(i, p.taken), protocol.KeyOf(h.nextKey(i, p.taken+1))
	u, err := p.Node.DraftTakeover(protocol.KeyOf(key), protocol.HashOf(after[:]), 0)
	if err != nil {
		h.say("%d cannot rotate its key: %v", i, err)
		return
	}
	s, err := u.Sign(key)
	h.must(err)
	p.taken, p.key = p.taken+1, key
	p.present.Store(&key)
	h.sum("%d rotates its key: %v", i, p.Node.Bring(s))
}

// restore loses a machine: a backup of it is restored under another node key, and
// a card that was signed elsewhere names it.
func (h *History) restore(i int) {
	p := h.Members[i]
	if m := h.steady(i); m == nil || len(m.Nodes) > 1 || i == 0 || h.opt.Open != nil || h.restored > 1 {
		return
	}
	older, err := h.image(p)
	h.must(err)
	h.shareSome(i, 1+h.rng.IntN(3))
	time.Sleep(time.Duration(h.rng.Int64N(int64(30 * time.Second))))
	h.writes.Wait()
	m := h.steady(i)
	if m == nil {
		return
	}
	at := slices.IndexFunc(h.Members, func(q *Member) bool {
		if q == p || q.Node == nil {
			return false
		}
		other, ok := q.Node.Roster().Member(p.ID)
		return ok && other.State == trust.StateActive && other.CardID == m.CardID
	})
	if at < 0 {
		return
	}
	h.restored++
	h.sum("%d loses its machine and restores a backup, %d is given the card", i, at)
	old := protocol.KeyOf(p.nodeKey)
	card := *m.Card
	h.swap(i, older)
	p.nodeKey = seeded(h.opt.Seed, fmt.Sprint("restored ", p.runs), i)
	p.nodeAge, err = seal.NewIdentity()
	h.must(err)
	card.Version, card.Member, card.Prev, card.Retired = card.Version+1, p.ID, m.CardID, nil
	card.Nodes = append(slices.Clone(card.Nodes), protocol.CardNode{Key: protocol.KeyOf(p.nodeKey), Recipient: p.nodeAge.Recipient()})
	slices.SortFunc(card.Nodes, func(a, b protocol.CardNode) int { return a.Key.Compare(b.Key) })
	s, err := protocol.NewStatement(h.ID, &card, time.Now().UnixMilli(), p.key)
	h.must(err)
	h.must(h.Members[at].Node.Submit(s))
	h.must(node.Adopt(context.Background(), p.Store, old))
	h.start(i)
}

// carryOver carries what one node shows to another, as a file would.
func (h *History) carryOver(i int) {
	j := h.rng.IntN(len(h.Members))
	p, q := h.Members[i], h.Members[j]
	if i == j || p.Node == nil || q.Node == nil {
		return
	}
	var raws [][]byte
	for _, s := range p.Node.Statements() {
		raws = append(raws, s.Raw())
	}
	took, _, err := q.Node.TakeStatements(raws)
	h.must(err)
	for _, f := range p.Node.Shown() {
		var list []node.RawEntry
		h.must(p.Node.Carry(context.Background(), f, 1, func(e node.RawEntry) error {
			list = append(list, e)
			return nil
		}))
		t, _, err := q.Node.TakeEntries(list)
		h.must(err)
		took.Add(t)
	}
	h.sum("carry from %d to %d: %d new, %d held, refused %v", i, j, took.New, took.Held, took.Refused)
}

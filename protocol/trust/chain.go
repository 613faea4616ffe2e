package trust

import (
	"cmp"
	"slices"

	"github.com/tipmesh/tipmesh/protocol"
)

// MaxKeys is how many member keys one chain of cards may go through.
const MaxKeys = 32

// maxCommitted bounds the next keys that cards are accepted from while rival
// commitments compete.
const maxCommitted = 4

// chain is what a member's cards come to.
type chain struct {
	id       protocol.MemberID
	path     []*node                // the cards that count, oldest first
	tree     []*node                // every card that hangs together, void ones too
	keys     []protocol.Key         // member keys in their order; the last is the present one
	next     []protocol.Hash        // the committed next key; several only while rivals compete
	conflict []protocol.StatementID // the rival cards, ascending
	surplus  []protocol.StatementID // cards over the bound
}

// node is a card in its tree.
type node struct {
	id       protocol.StatementID
	s        *protocol.Statement
	card     *protocol.Card
	parent   *node
	children []*node // by the same key
	stage    int     // index of its key
	commit   protocol.Hash
	since    uint64 // version of the card that committed
}

// tip is the card that counts now.
func (c *chain) tip() *node { return c.path[len(c.path)-1] }

// key is the present member key.
func (c *chain) key() protocol.Key { return c.keys[len(c.keys)-1] }

// stageOf gives the index of a key, or -1.
func (c *chain) stageOf(key protocol.Key) int { return slices.Index(c.keys, key) }

// newChain grows the chain of a first card from the member's other cards.
func newChain(root *protocol.Statement, cards []*protocol.Statement) *chain {
	c := &chain{id: protocol.MemberID(root.ID()), keys: []protocol.Key{root.Signer}}
	first := newNode(root, nil, 0)
	entries, byKey := []*node{first}, map[protocol.Key][]*protocol.Statement{}
	for _, s := range cards {
		byKey[s.Signer] = append(byKey[s.Signer], s)
	}
	signers := make([]protocol.Key, 0, len(byKey))
	for key, list := range byKey {
		byKey[key] = c.bound(key, list)
		signers = append(signers, key)
	}
	signers = protocol.Sorted(signers)
	c.surplus = protocol.Sorted(c.surplus)
	for stage := 0; ; stage++ {
		index := grow(entries, byKey[c.keys[stage]], stage)
		c.tree = append(c.tree, index.order...)
		rotation := c.rotation(index, signers, byKey)
		if len(rotation) == 0 || len(c.keys) == MaxKeys {
			c.next = committed(index.order)
			break
		}
		c.keys = append(c.keys, rotation[0].s.Signer)
		entries = rotation
	}
	c.settle(entries)
	return c
}

// bound sorts the cards of one key by version and ID and drops those over the
// limit. Lower versions go first, so later cards never push out earlier ones.
func (c *chain) bound(key protocol.Key, list []*protocol.Statement) []*protocol.Statement {
	slices.SortFunc(list, byVersion)
	limit := protocol.MaxCardsPerMember
	if key == c.keys[0] {
		limit-- // the first card
	}
	if len(list) <= limit {
		return list
	}
	for _, s := range list[limit:] {
		c.surplus = append(c.surplus, s.ID())
	}
	return list[:limit]
}

func byVersion(a, b *protocol.Statement) int {
	return cmp.Or(cmp.Compare(a.Doc().(*protocol.Card).Version, b.Doc().(*protocol.Card).Version), a.ID().Compare(b.ID()))
}

func newNode(s *protocol.Statement, parent *node, stage int) *node {
	n := &node{id: s.ID(), s: s, card: s.Doc().(*protocol.Card), parent: parent, stage: stage}
	if parent != nil && parent.stage == stage {
		n.commit, n.since = parent.commit, parent.since
	}
	if n.commit.IsZero() {
		n.commit, n.since = n.card.NextKey, n.card.Version
	}
	return n
}

// takes reports whether a card takes something away from what reads in the
// member's name as the card before has it: its recipient, one of its nodes, or
// what an old key may sign.
func (n *node) takes() bool {
	p := n.parent
	if p == nil {
		return false
	}
	return n.stage != p.stage || n.card.Recipient != p.card.Recipient || slices.ContainsFunc(p.card.Nodes, func(c protocol.CardNode) bool {
		return !names(n.card, c.Key) || retires(n.card, c.Key) && !retires(p.card, c.Key)
	})
}

func names(c *protocol.Card, node protocol.Key) bool {
	return slices.ContainsFunc(c.Nodes, func(n protocol.CardNode) bool { return n.Key == node })
}

func retires(c *protocol.Card, node protocol.Key) bool {
	return slices.ContainsFunc(c.Retired, func(r protocol.RetiredNode) bool { return r.Node == node })
}

// grown is the part of a tree that one key signed.
type grown struct {
	byID  map[protocol.StatementID]*node
	order []*node
}

// grow hangs a key's cards, sorted by version, under its entries.
func grow(entries []*node, cards []*protocol.Statement, stage int) grown {
	g := grown{byID: make(map[protocol.StatementID]*node, 1+len(cards))}
	for _, n := range entries {
		g.byID[n.id] = n
		g.order = append(g.order, n)
	}
	for _, s := range cards {
		parent := g.byID[s.Doc().(*protocol.Card).Prev]
		if parent == nil || g.byID[s.ID()] != nil || parent.card.Version+1 != s.Doc().(*protocol.Card).Version {
			continue
		}
		n := newNode(s, parent, stage)
		parent.children = append(parent.children, n)
		g.byID[n.id] = n
		g.order = append(g.order, n)
	}
	return g
}

// rotation gives the cards by which the next key takes over: none if no next key
// has spoken, or if two of equal standing have.
func (c *chain) rotation(g grown, signers []protocol.Key, byKey map[protocol.Key][]*protocol.Statement) []*node {
	var best []*node
	since, rival := uint64(0), false
	for _, key := range signers {
		if slices.Contains(c.keys, key) {
			continue
		}
		found, from := takeover(g, protocol.HashOf(key[:]), byKey[key], len(c.keys))
		switch {
		case len(found) == 0:
		case best == nil || from < since:
			best, since, rival = found, from, false
		case from == since:
			rival = true
			c.conflict = append(c.conflict, found[0].id, best[0].id)
		}
	}
	if rival {
		c.conflict = protocol.Sorted(c.conflict)
		return nil
	}
	c.conflict = nil
	return best
}

// takeover gives the cards of one key that a commitment in g allows, and the
// lowest version of such a commitment.
func takeover(g grown, hash protocol.Hash, cards []*protocol.Statement, stage int) (found []*node, since uint64) {
	for _, s := range cards {
		card := s.Doc().(*protocol.Card)
		parent := g.byID[card.Prev]
		if parent == nil || parent.commit != hash || parent.card.Version+1 != card.Version {
			continue
		}
		if found == nil || parent.since < since {
			since = parent.since
		}
		found = append(found, newNode(s, parent, stage))
	}
	return found, since
}

// committed gives the next keys that the earliest commitments allow.
func committed(order []*node) []protocol.Hash {
	var out []protocol.Hash
	lowest := uint64(0)
	for _, n := range order {
		switch {
		case n.commit.IsZero():
		case out == nil || n.since < lowest:
			out, lowest = []protocol.Hash{n.commit}, n.since
		case n.since == lowest:
			out = append(out, n.commit)
		}
	}
	out = protocol.Sorted(out)
	return out[:min(len(out), maxCommitted)]
}

// settle finds the path that counts: from the last key's only entry as far as
// the cards do not part.
func (c *chain) settle(entries []*node) {
	n := entries[0]
	if len(entries) > 1 {
		n = parting(entries)
		for _, e := range entries {
			c.conflict = append(c.conflict, e.id)
		}
	} else {
		for len(n.children) == 1 {
			n = n.children[0]
		}
		for _, child := range n.children {
			c.conflict = append(c.conflict, child.id)
		}
	}
	c.conflict = protocol.Sorted(c.conflict)
	for ; n != nil; n = n.parent {
		c.path = append(c.path, n)
	}
	slices.Reverse(c.path)
}

// parting is the last card that all entries descend from.
func parting(entries []*node) *node {
	common := entries[0].parent
	for _, e := range entries[1:] {
		other := e.parent
		for common != other {
			if common.card.Version > other.card.Version {
				common = common.parent
			} else if other.card.Version > common.card.Version {
				other = other.parent
			} else {
				common, other = common.parent, other.parent
			}
		}
	}
	return common
}

package node

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/seal"
)

// Errors of changes of the nodes and keys that a card names.
var (
	ErrNamed   = errors.New("the card names this node already")
	ErrUnnamed = errors.New("the card names no such node")
	ErrRetired = errors.New("this node was retired, which is for good: make a new one")
	ErrAlone   = errors.New("no other node is reachable: nobody would hear of the new key")
	ErrNextKey = errors.New("this is not the next member key that the card commits to")
)

// A CardChange changes a copy of the member's present card.
type CardChange func(*protocol.Card) error

// SetCard changes this member's card: change is given a copy of the present one.
// Changes come one after the other: two cards after one contradict each other.
func (n *Node) SetCard(change CardChange) (*protocol.Statement, error) {
	n.card.Lock()
	defer n.card.Unlock()
	if n.memberKey() == nil {
		return nil, ErrNoMemberKey
	}
	u, err := n.draftCard(change)
	if err != nil {
		return nil, err
	}
	s, err := n.SignDraft(u)
	if err != nil {
		return nil, err
	}
	return s, n.Submit(s)
}

// DraftCard prepares a card for the member key to sign elsewhere.
func (n *Node) DraftCard(change CardChange) (protocol.Unsigned, error) {
	n.card.Lock()
	defer n.card.Unlock()
	return n.draftCard(change)
}

func (n *Node) draftCard(change CardChange) (protocol.Unsigned, error) {
	m, ok := n.Roster().Member(n.cfg.Member)
	if !ok {
		return nil, ErrNotMember
	}
	card, err := follow(m.Card, m.CardID, m.ID, change)
	if err != nil {
		return nil, err
	}
	return n.Draft(card)
}

// follow makes the card after one. What older cards retired stays retired: the
// new one need not repeat it, and cards would grow for ever.
func follow(prev *protocol.Card, id protocol.StatementID, member protocol.MemberID, change CardChange) (*protocol.Card, error) {
	card := *prev
	card.Nodes, card.Retired = slices.Clone(prev.Nodes), nil
	if err := change(&card); err != nil {
		return nil, err
	}
	card.Version = prev.Version + 1
	card.Member, card.Prev = member, id
	return &card, nil
}

// DraftTakeover prepares the card by which the next member key, to which the
// member's cards commit, takes over from the present one, and commits to the one
// after it. Cards of the present key later than version after are void then;
// with 0 all that count stay. Errors: ErrNextKey.
func (n *Node) DraftTakeover(by protocol.Key, next protocol.Hash, after uint64) (protocol.Unsigned, error) {
	r := n.Roster()
	m, ok := r.Member(n.cfg.Member)
	if !ok {
		return nil, ErrNotMember
	}
	if !r.MayTakeOver(m.ID, by) {
		return nil, ErrNextKey
	}
	card, id := m.Card, m.CardID
	for after > 0 && card.Version > after {
		id = card.Prev
		prev := n.ledger.get(id)
		if prev == nil || prev.Signer != m.Key {
			return nil, fmt.Errorf("no card %d of the present member key", after)
		}
		card = prev.Doc().(*protocol.Card)
	}
	made, err := follow(card, id, m.ID, func(c *protocol.Card) error {
		c.NextKey = next
		return nil
	})
	if err != nil {
		return nil, err
	}
	return protocol.PrepareStatement(n.mesh, made, n.now().UnixMilli(), by)
}

// AddsNode names another node of this member's, as it has asked.
func (n *Node) AddsNode(q *protocol.NodeRequest) CardChange {
	return func(c *protocol.Card) error {
		if err := seal.ValidRecipient(q.Recipient); err != nil {
			return err
		}
		at, named := place(c, q.Node)
		if m, ok := n.Roster().Author(q.Node); ok && (m.ID != n.cfg.Member || !named) {
			return fmt.Errorf("node %s: %w", q.Node.Short(), ErrRetired)
		}
		if named {
			return ErrNamed
		}
		if len(c.Nodes) == protocol.MaxNodes {
			return fmt.Errorf("%w: a card names at most %d nodes: retire one first", protocol.ErrMalformed, protocol.MaxNodes)
		}
		c.Nodes = slices.Insert(c.Nodes, at, protocol.CardNode{Key: q.Node, Recipient: q.Recipient})
		return nil
	}
}

// Retires ends another node of this member's: its feeds end where they are held
// here, and a new age identity, which that node is not told, takes the place of
// the member's. The remaining nodes are told once the card counts.
func (n *Node) Retires(node protocol.Key) CardChange {
	return func(c *protocol.Card) error {
		if node == n.key {
			return fmt.Errorf("%w: retire it from another node, or renew it", ErrStopped)
		}
		return n.retire(c, node)
	}
}

// Renews puts a node with a new key in this one's place: this one's feeds end as
// they are held here, and the node of the new key goes on in the same home. It is
// the way on for a home that was copied, put back or stolen.
func (n *Node) Renews() CardChange {
	return func(c *protocol.Card) error {
		if n.cfg.NextNode == nil {
			return errors.New("this node cannot be renewed")
		}
		if len(n.neighbours()) > 0 && len(n.links.connected()) == 0 {
			return ErrAlone
		}
		next, err := n.cfg.NextNode()
		if err != nil {
			return err
		}
		n.next.Store(&next.Key)
		if err := n.retire(c, n.key); err != nil {
			return err
		}
		if at, named := place(c, next.Key); !named {
			c.Nodes = slices.Insert(c.Nodes, at, next)
		}
		return nil
	}
}

// ChangesAge puts a new age identity in the place of the member's. The old one
// still opens what was sealed to it; whoever else has it reads nothing new.
func (n *Node) ChangesAge() CardChange {
	return func(c *protocol.Card) error {
		id, err := n.nextIdentity()
		if err != nil {
			return err
		}
		c.Recipient = id.Recipient()
		return nil
	}
}

func (n *Node) retire(c *protocol.Card, node protocol.Key) error {
	at, named := place(c, node)
	if !named {
		return fmt.Errorf("node %s: %w", node.Short(), ErrUnnamed)
	}
	c.Nodes = slices.Delete(c.Nodes, at, at+1)
	c.Retired = append(c.Retired, protocol.RetiredNode{Node: node, Cuts: n.headsOf(node)})
	return n.ChangesAge()(c)
}

func place(c *protocol.Card, node protocol.Key) (int, bool) {
	return slices.BinarySearchFunc(c.Nodes, node, func(x protocol.CardNode, k protocol.Key) int { return x.Key.Compare(k) })
}

package node

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/tipmesh/tipmesh/protocol"
)

// ErrStaleCard tells that a card was signed after another one than the present
// one: kept, it would contradict the card that came in between.
var ErrStaleCard = errors.New("the card has changed since this one was prepared")

// memberKey gives the member key if it is at hand and is the member's present
// one, else nil: what an older key signs would count for nothing.
func (n *Node) memberKey() ed25519.PrivateKey {
	present := func(key *ed25519.PrivateKey) bool {
		m, ok := n.Roster().Member(n.cfg.Member)
		return key != nil && (!ok || m.Key == protocol.KeyOf(*key))
	}
	if key := n.member.Load(); present(key) {
		return *key
	}
	if n.cfg.LoadMemberKey != nil {
		if key := n.cfg.LoadMemberKey(); key != nil && present(&key) {
			n.member.Store(&key)
			return key
		}
	}
	return nil
}

// Sign signs a statement with the member key and keeps it to itself; Submit
// brings it out. Errors: ErrNoMemberKey.
func (n *Node) Sign(content protocol.Content) (*protocol.Statement, error) {
	key := n.memberKey()
	if key == nil {
		return nil, ErrNoMemberKey
	}
	return protocol.NewStatement(n.mesh, content, n.now().UnixMilli(), key)
}

// Draft prepares a statement that the member key is to sign, here with SignDraft
// or wherever the key is. Errors: ErrNotMember.
func (n *Node) Draft(content protocol.Content) (protocol.Unsigned, error) {
	m, ok := n.Roster().Member(n.cfg.Member)
	if !ok {
		return nil, ErrNotMember
	}
	return n.DraftFor(m.Key, content)
}

// DraftFor prepares a statement that another key is to sign elsewhere.
func (n *Node) DraftFor(key protocol.Key, content protocol.Content) (protocol.Unsigned, error) {
	return protocol.PrepareStatement(n.mesh, content, n.now().UnixMilli(), key)
}

// SignDraft signs what was prepared. Errors: ErrNoMemberKey where the key that it
// names is not here.
func (n *Node) SignDraft(u protocol.Unsigned) (*protocol.Statement, error) {
	s, err := u.Read()
	if err != nil {
		return nil, err
	}
	key := n.memberKey()
	if key == nil || protocol.KeyOf(key) != s.Signer {
		return nil, ErrNoMemberKey
	}
	return u.Sign(key)
}

// Bring takes in statements that were signed elsewhere, as Submit does, and says
// why where one is not kept. Those that are held already are no error. Errors:
// ErrStaleCard for a card of this member's that would contradict its present one.
func (n *Node) Bring(list ...*protocol.Statement) error {
	n.card.Lock()
	defer n.card.Unlock()
	for _, s := range list {
		if n.ledger.has(s.ID()) {
			continue
		}
		if err := n.stale(s); err != nil {
			return err
		}
	}
	if err := n.Submit(list...); err != nil {
		return err
	}
	for _, s := range list {
		if n.ledger.has(s.ID()) {
			continue
		}
		if err := n.Roster().Accept(s); err != nil {
			return err
		}
		return fmt.Errorf("the roster did not keep the %s", s.Kind)
	}
	return nil
}

// stale refuses a card by this member's present key that does not follow its
// present card.
func (n *Node) stale(s *protocol.Statement) error {
	card, ok := s.Doc().(*protocol.Card)
	m, in := n.Roster().Member(n.cfg.Member)
	if !ok || !in || card.Member != m.ID || s.Signer != m.Key || card.Prev == m.CardID {
		return nil
	}
	return fmt.Errorf("card %d: %w", card.Version, ErrStaleCard)
}

package node

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/seal"
	"github.com/tipmesh/tipmesh/store"
)

// ageOwn begins the names of the member's age identities among the values that
// its nodes keep in common: "age/" and the hash of the recipient. Each has a name
// of its own, so that two that were made at once are both kept.
const ageOwn = "age"

// presentAge reports whether a name is that of the age identity of the member's
// present card.
func (n *Node) presentAge(name string) bool {
	m, ok := n.Roster().Member(n.cfg.Member)
	return ok && name == ageName(m.Card.Recipient)
}

// nextAgePrefix names settings that hold identities made for a card that does
// not count yet. The other nodes are told once it does: until then the node that
// it retires is one of them.
const nextAgePrefix = "next-age/"

func ageName(recipient string) string {
	sum := protocol.HashOf([]byte(recipient))
	return ageOwn + "/" + hex.EncodeToString(sum[:])
}

// loadAge gathers the member's age identities: those of the key file, those that
// came since, and those that a card is to name.
func (n *Node) loadAge() error {
	list := slices.Clone(n.cfg.MemberAge)
	n.age.Store(&list)
	n.adopt()
	err := n.store.Settings(nextAgePrefix, func(_ string, raw []byte) error {
		id, err := seal.ParseIdentity(string(raw))
		if err == nil {
			n.addIdentity(id)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("read own age identities: %w", err)
	}
	return nil
}

// adopt takes in those of the identities by other own nodes that a card of the
// member's names, and gives them. A node that is stolen can make up any number,
// but no card.
func (n *Node) adopt() (fresh []*seal.Identity) {
	var came []protocol.Own
	for _, o := range n.private.all() {
		if strings.HasPrefix(o.Name, ageOwn+"/") && len(o.Value) > 0 {
			came = append(came, o)
		}
	}
	if len(came) == 0 {
		return nil
	}
	named := map[string]bool{}
	for _, s := range n.ledger.statements() {
		if card, ok := s.Doc().(*protocol.Card); ok && (card.Member == n.cfg.Member || protocol.MemberID(s.ID()) == n.cfg.Member) {
			named[ageName(card.Recipient)] = true
		}
	}
	for _, o := range came {
		if !named[o.Name] {
			continue
		}
		if id, err := parseAge(o); err == nil && n.addIdentity(id) {
			fresh = append(fresh, id)
		}
	}
	return fresh
}

func parseAge(o protocol.Own) (*seal.Identity, error) {
	id, err := seal.ParseIdentity(string(o.Value))
	if err == nil && ageName(id.Recipient()) != o.Name {
		err = protocol.ErrMalformed
	}
	return id, err
}

// Identities are the member's age identities: all that anything may have been
// sealed to.
func (n *Node) Identities() []*seal.Identity { return slices.Clone(*n.age.Load()) }

// openers are the identities that open letters here, those that are likely to fit
// first.
func (n *Node) openers() []*seal.Identity {
	out := n.Identities()
	slices.Reverse(out)
	if n.cfg.NodeAge != nil {
		out = append(out, n.cfg.NodeAge)
	}
	return out
}

// addIdentity takes an identity in; false where it is held.
func (n *Node) addIdentity(id *seal.Identity) bool {
	for {
		old := n.age.Load()
		if slices.ContainsFunc(*old, func(x *seal.Identity) bool { return x.String() == id.String() }) {
			return false
		}
		list := append(slices.Clone(*old), id)
		if n.age.CompareAndSwap(old, &list) {
			return true
		}
	}
}

// useIdentity has an identity that another own node told of looked at.
func (n *Node) useIdentity(o protocol.Own) {
	if _, err := parseAge(o); err != nil {
		n.refused.add(ReasonMalformed, 1)
		return
	}
	poke(n.carded)
}

// useIdentities takes in what a card names by now, and reads again what may have
// been sealed to it before it came.
func (n *Node) useIdentities() {
	fresh := n.adopt()
	if len(fresh) == 0 {
		return
	}
	n.spawn(func() {
		if err := n.rereadDirectFeeds(fresh...); err != nil {
			n.log.Error("read letters again", "err", err)
		}
		poke(n.keys.ask)
	})
}

// rereadDirectFeeds reads all letters that the identities open.
func (n *Node) rereadDirectFeeds(ids ...*seal.Identity) error {
	for _, f := range n.store.Feeds() {
		if f.Kind != protocol.EntryDirect || f.Node == n.key {
			continue
		}
		err := n.store.Range(f.ID, 1, func(e store.Entry) bool {
			if e.Header.Kind == protocol.EntryDirect && e.Payload != nil {
				n.readDirect(e, ids...)
			}
			return n.ctx.Err() == nil
		})
		if err != nil {
			return fmt.Errorf("read direct feed: %w", err)
		}
	}
	return nil
}

// nextIdentity makes an identity for a card to name, and keeps it.
func (n *Node) nextIdentity() (*seal.Identity, error) {
	id, err := seal.NewIdentity()
	if err != nil {
		return nil, err
	}
	name := nextAgePrefix + strings.TrimPrefix(ageName(id.Recipient()), ageOwn+"/")
	if _, err := n.store.Commit(n.context(), &store.Commit{Settings: map[string][]byte{name: []byte(id.String())}}); err != nil {
		return nil, fmt.Errorf("keep the new age identity: %w", err)
	}
	n.addIdentity(id)
	return id, nil
}

// shareIdentity tells the other own nodes the identity that the present card
// names, if it was made here and they have not been told.
func (n *Node) shareIdentity() {
	m, ok := n.Roster().Member(n.cfg.Member)
	if !ok {
		return
	}
	own := ageName(m.Card.Recipient)
	next := nextAgePrefix + strings.TrimPrefix(own, ageOwn+"/")
	raw, err := n.store.Setting(next)
	if err != nil {
		return // made elsewhere, or told
	}
	err = n.SetOwn(own, raw)
	if err == nil {
		_, err = n.store.Commit(n.context(), &store.Commit{Settings: map[string][]byte{next: nil}})
	}
	if err != nil {
		n.log.Error("tell own nodes the new age identity", "err", err)
	}
}

package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
	"github.com/tipmesh/tipmesh/protocol/seal"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
)

// What a pack holds at most, so that it can be sealed as one payload.
const (
	packStatements = 1 << 20 // bytes; in a large mesh those that are needed to get the rest by sync
	packTrust      = 256     // changes of the trust list, the newest
)

// Pack is what a further node of a member begins with. It travels sealed to the
// node's own recipient.
type Pack struct {
	Version    uint64                  `cbor:"1,keyasint"`
	Node       protocol.Key            `cbor:"2,keyasint"` // whom it is for
	Member     protocol.MemberID       `cbor:"3,keyasint"`
	Statements [][]byte                `cbor:"4,keyasint"`
	Age        []string                `cbor:"5,keyasint"` // the member's age identities, the newest last
	Own        []protocol.Own          `cbor:"6,keyasint"` // what the member's nodes keep in common
	Trust      []byte                  `cbor:"7,keyasint"` // the trust list with its history
	Addresses  []replica.NodeAddresses `cbor:"8,keyasint"`
	Pins       []protocol.StatementID  `cbor:"9,keyasint"`

	list []*protocol.Statement
}

// Pack makes the pack for a node of this member's that its card names. Errors:
// ErrUnnamed where it does not, or no longer.
func (n *Node) Pack(node protocol.Key) ([]byte, error) {
	m, ok := n.Roster().Member(n.cfg.Member)
	if !ok {
		return nil, ErrNotMember
	}
	at, named := place(m.Card, node)
	if !named || !slices.Contains(m.Nodes, node) {
		return nil, fmt.Errorf("node %s: %w", node.Short(), ErrUnnamed)
	}
	p := Pack{Version: protocol.Version, Node: node, Member: m.ID, Own: n.private.all(), Addresses: n.known(), Pins: n.ledger.pinned()}
	for _, id := range n.Identities() {
		p.Age = append(p.Age, id.String())
	}
	list := n.trust.now().Clone()
	list.History = list.History[max(0, len(list.History)-packTrust):]
	raw, err := json.Marshal(list)
	if err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	p.Trust = raw
	for _, s := range n.packed(m.ID) {
		p.Statements = append(p.Statements, s.Raw())
	}
	sealed, err := seal.Direct(protocol.Marshal(&p), []string{m.Card.Nodes[at].Recipient})
	if err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	return sealed, nil
}

func (n *Node) packed(member protocol.MemberID) []*protocol.Statement {
	all := n.ledger.statements()
	size := 0
	for _, s := range all {
		size += len(s.Raw())
	}
	if size > packStatements {
		return n.essential(all, member)
	}
	return all
}

// OpenPack opens a pack with the age identity of the node that it is for, and
// checks that it makes that node one of the member's. Errors wrap
// seal.ErrNotForUs, protocol.ErrMalformed or ErrUnnamed.
func OpenPack(sealed []byte, key protocol.Key, id *seal.Identity) (*Pack, error) {
	plain, err := seal.OpenDirect(sealed, id)
	if err != nil {
		return nil, fmt.Errorf("open pack: %w", err)
	}
	p := new(Pack)
	if err := protocol.Unmarshal(plain, protocol.MaxOpened, p); err != nil {
		return nil, fmt.Errorf("open pack: %w", err)
	}
	if p.Version != protocol.Version || p.Node != key {
		return nil, fmt.Errorf("open pack: %w: of version %d for node %s", protocol.ErrMalformed, p.Version, p.Node.Short())
	}
	for _, raw := range p.Statements {
		s, err := protocol.ParseStatement(raw)
		if errors.Is(err, protocol.ErrVersion) {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("open pack: %w", err)
		}
		p.list = append(p.list, s)
	}
	m, ok := p.roster().ByNode(key)
	if !ok || m.ID != p.Member {
		return nil, fmt.Errorf("open pack: node %s: %w", key.Short(), ErrUnnamed)
	}
	ids, err := p.Identities()
	if err != nil {
		return nil, fmt.Errorf("open pack: %w", err)
	}
	// Anybody can seal something to a node that a card names. Only the member has
	// the identity of the recipient that its card names.
	if !slices.ContainsFunc(ids, func(id *seal.Identity) bool { return id.Recipient() == m.Card.Recipient }) {
		return nil, fmt.Errorf("open pack: %w: it lacks the age identity of the member's card, so no node of the member may have made it", protocol.ErrMalformed)
	}
	return p, nil
}

func (p *Pack) roster() *trust.Roster {
	for _, s := range p.list {
		if s.Kind == protocol.KindCharter {
			return trust.Fold(protocol.MeshID(s.ID()), p.list, p.Pins...)
		}
	}
	return trust.Fold(protocol.MeshID{}, nil)
}

// Charter is the mesh's charter.
func (p *Pack) Charter() *protocol.Statement { return p.roster().Charter }

// Handle is the handle of the member that has got another node.
func (p *Pack) Handle() string {
	if m, ok := p.roster().Member(p.Member); ok {
		return m.Handle
	}
	return ""
}

// Identities are the member's age identities, the newest last.
func (p *Pack) Identities() ([]*seal.Identity, error) {
	if len(p.Age) == 0 {
		return nil, fmt.Errorf("%w: no age identity", protocol.ErrMalformed)
	}
	var out []*seal.Identity
	for _, text := range p.Age {
		id, err := seal.ParseIdentity(text)
		if err != nil {
			return nil, err
		}
		out = append(out, id)
	}
	return out, nil
}

// Unpack puts what a pack holds, but for the identities, into an empty store.
func (p *Pack) Unpack(ctx context.Context, s store.Entries) error {
	c := &store.Commit{Statements: p.list}
	list := trust.NewList()
	err := json.Unmarshal(p.Trust, list)
	if err == nil {
		c.Settings, err = trustSettings(list, list.History)
	}
	if err == nil {
		c.Settings[pinSetting], err = json.Marshal(p.Pins)
	}
	for _, a := range p.Addresses {
		if err == nil {
			c.Settings[addressPrefix+a.Node.String()], err = json.Marshal(a.Addresses)
		}
	}
	for _, o := range p.Own {
		c.Settings[privatePrefix+o.Name] = protocol.Marshal(&o)
	}
	if err == nil {
		_, err = s.Commit(ctx, c)
	}
	if err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	return nil
}

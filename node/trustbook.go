package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
)

const trustSetting = "trust"

// trustBook is this member's trust list, kept in the store.
type trustBook struct {
	mu   sync.RWMutex
	list *trust.List
}

func loadTrust(s store.Entries) (*trustBook, error) {
	b := &trustBook{list: trust.NewList()}
	raw, err := s.Setting(trustSetting)
	if errors.Is(err, store.ErrNotFound) {
		return b, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, b.list)
	}
	if err != nil {
		return nil, fmt.Errorf("read trust list: %w", err)
	}
	return b, nil
}

func (b *trustBook) maySend(m protocol.MemberID, tlp string, now int64) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.list.MaySend(m, tlp, now)
}

// Trust gives what this member decided about a member, now.
func (n *Node) Trust(m protocol.MemberID) trust.Decision {
	n.trust.mu.RLock()
	defer n.trust.mu.RUnlock()
	return n.trust.list.For(m, n.now().UnixMilli())
}

// TrustDefault gives the default line.
func (n *Node) TrustDefault() trust.Decision {
	n.trust.mu.RLock()
	defer n.trust.mu.RUnlock()
	return n.trust.list.Default
}

// TrustVersion is the number of the newest change of the trust list.
func (n *Node) TrustVersion() uint64 {
	n.trust.mu.RLock()
	defer n.trust.mu.RUnlock()
	return n.trust.list.Version
}

// SetTrust decides about a member, or, with nil, changes the default line. It is
// in force when it returns: what is written from then on is sealed accordingly.
// The member's other nodes are told.
func (n *Node) SetTrust(m *protocol.MemberID, d trust.Decision) (trust.Change, error) {
	return n.changeTrust(true, func(l *trust.List) (trust.Change, error) { return l.Set(m, d, n.now().UnixMilli()) })
}

// changeTrust makes a change of the trust list durable, and then has it bite.
// With tell the member's other nodes are told.
func (n *Node) changeTrust(tell bool, change func(*trust.List) (trust.Change, error)) (trust.Change, error) {
	n.gate.Lock()
	defer n.gate.Unlock()
	n.trust.mu.Lock()
	defer n.trust.mu.Unlock()
	raw, err := json.Marshal(n.trust.list)
	if err != nil {
		return trust.Change{}, fmt.Errorf("copy trust list: %w", err)
	}
	next := trust.NewList()
	if err := json.Unmarshal(raw, next); err != nil {
		return trust.Change{}, fmt.Errorf("copy trust list: %w", err)
	}
	c, err := change(next)
	if err != nil || c.Version == 0 {
		return c, err
	}
	if raw, err = json.Marshal(next); err != nil {
		return c, fmt.Errorf("write trust list: %w", err)
	}
	settings := map[string][]byte{trustSetting: raw}
	var staged *protocol.Own
	if tell {
		value, err := trustValue(c)
		if err != nil {
			return c, fmt.Errorf("write trust list: %w", err)
		}
		n.private.mu.Lock()
		defer n.private.mu.Unlock()
		o, more, err := n.private.stage(trustName(c.Member), value, n.now().UnixMilli())
		if err != nil {
			return c, fmt.Errorf("write trust list: %w", err)
		}
		maps.Copy(settings, more)
		if more != nil {
			staged = &o
		}
	}
	if _, err := n.store.Commit(n.context(), &store.Commit{Settings: settings}); err != nil {
		return c, fmt.Errorf("write trust list: %w", err)
	}
	if staged != nil {
		n.private.staged(*staged)
	}
	n.trust.list = next
	n.pulse.beat()
	return c, nil
}

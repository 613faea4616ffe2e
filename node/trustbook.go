package node

import (
	"encoding/json"
	"errors"
	"fmt"
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
func (n *Node) SetTrust(m *protocol.MemberID, d trust.Decision) (trust.Change, error) {
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
	change, err := next.Set(m, d, n.now().UnixMilli())
	if err != nil {
		return change, err
	}
	if raw, err = json.Marshal(next); err != nil {
		return change, fmt.Errorf("write trust list: %w", err)
	}
	if _, err := n.store.Commit(n.context(), &store.Commit{Settings: map[string][]byte{trustSetting: raw}}); err != nil {
		return change, fmt.Errorf("write trust list: %w", err)
	}
	n.trust.list = next
	n.pulse.beat()
	return change, nil
}

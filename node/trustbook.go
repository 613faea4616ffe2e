package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
)

// Settings of the trust list: what it decides, and each change of it by itself,
// so that a long history is not written anew with every change.
const (
	trustSetting   = "trust"
	trustLogPrefix = "trustlog/"
)

// ErrTrustMoved tells that the trust list is no more the version that a change
// was made for.
var ErrTrustMoved = errors.New("the trust list has changed meanwhile")

// trustBook is this member's trust list, kept in the store.
type trustBook struct {
	mu   sync.RWMutex
	list *trust.List // never changed, only replaced
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
	if err == nil {
		err = s.Settings(trustLogPrefix, func(_ string, raw []byte) error {
			var c trust.Change
			if err := json.Unmarshal(raw, &c); err != nil {
				return err
			}
			b.list.History = append(b.list.History, c)
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("read trust list: %w", err)
	}
	return b, nil
}

func (b *trustBook) maySend(m protocol.MemberID, tlp string, now int64) bool {
	return b.now().MaySend(m, tlp, now)
}

func (b *trustBook) now() *trust.List {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.list
}

// TrustList gives the trust list as it is now. The caller must not change it:
// see trust.List.Clone.
func (n *Node) TrustList() *trust.List { return n.trust.now() }

// Trust gives what this member decided about a member, now.
func (n *Node) Trust(m protocol.MemberID) trust.Decision {
	return n.trust.now().For(m, n.now().UnixMilli())
}

// TrustDefault gives the default line.
func (n *Node) TrustDefault() trust.Decision { return n.trust.now().Default }

// SetTrust decides about a member, or, with nil, changes the default line. It is
// in force when it returns: what is written from then on is sealed accordingly.
// The member's other nodes are told.
func (n *Node) SetTrust(m *protocol.MemberID, d trust.Decision) (trust.Change, error) {
	made, err := n.changeTrust(true, func(l *trust.List) ([]trust.Change, error) { return oneChange(l.Set(m, d, n.now().UnixMilli())) })
	if err != nil || len(made) == 0 {
		return trust.Change{}, err
	}
	return made[0], nil
}

// EditTrust makes edits of the trust list together, as SetTrust makes one, and
// gives what changed. With a version it fails with ErrTrustMoved unless the list
// is of that version.
func (n *Node) EditTrust(edits []trust.Edit, version *uint64) ([]trust.Change, error) {
	return n.changeTrust(true, func(l *trust.List) ([]trust.Change, error) {
		if version != nil && *version != l.Version {
			return nil, fmt.Errorf("%w: it is version %d, not %d", ErrTrustMoved, l.Version, *version)
		}
		return l.Apply(edits, n.now().UnixMilli())
	})
}

// oneChange is a change as a list of those that are one.
func oneChange(c trust.Change, err error) ([]trust.Change, error) {
	if err != nil || c.Version == 0 {
		return nil, err
	}
	return []trust.Change{c}, nil
}

// changeTrust makes changes of the trust list durable together, and then has them
// bite. With tell the member's other nodes are told.
func (n *Node) changeTrust(tell bool, change func(*trust.List) ([]trust.Change, error)) ([]trust.Change, error) {
	n.gate.Lock()
	defer n.gate.Unlock()
	next := n.trust.now().Clone()
	made, err := change(next)
	if err != nil || len(made) == 0 {
		return nil, err
	}
	settings, err := trustSettings(next, made)
	if err != nil {
		return nil, fmt.Errorf("write trust list: %w", err)
	}
	var staged []protocol.Own
	if tell {
		n.private.mu.Lock()
		defer n.private.mu.Unlock()
		for _, c := range made {
			value, err := trustValue(c)
			if err != nil {
				return nil, fmt.Errorf("write trust list: %w", err)
			}
			o, more, err := n.private.stage(trustName(c.Member), value, n.now().UnixMilli())
			if err != nil {
				return nil, fmt.Errorf("write trust list: %w", err)
			}
			maps.Copy(settings, more)
			if more != nil {
				staged = append(staged, o)
			}
		}
	}
	if _, err := n.store.Commit(n.context(), &store.Commit{Settings: settings}); err != nil {
		return nil, fmt.Errorf("write trust list: %w", err)
	}
	for _, o := range staged {
		n.private.staged(o)
	}
	n.trust.mu.Lock()
	n.trust.list = next
	n.trust.mu.Unlock()
	n.pulse.beat()
	return slices.Clone(made), nil
}

// trustSettings are what keeps a list and the changes that led to it.
func trustSettings(l *trust.List, made []trust.Change) (map[string][]byte, error) {
	line := *l
	line.History = nil
	raw, err := json.Marshal(&line)
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{trustSetting: raw}
	for _, c := range made {
		if out[fmt.Sprintf("%s%016x", trustLogPrefix, c.Version)], err = json.Marshal(c); err != nil {
			return nil, err
		}
	}
	return out, nil
}

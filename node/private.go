package node

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/seal"
	"github.com/tipmesh/tipmesh/store"
)

// The nodes of one member keep named values in common: its age identities, its
// trust list and whatever else is the member's and nobody else's. A value is kept
// in the settings and told to the other nodes in a letter sealed to each node's
// own recipient.
const (
	privatePrefix = "private/" // settings: the values
	untoldPrefix  = "untold/"  // settings: names of values that the other nodes have not been told

	maxPrivate      = 4096    // values,
	maxPrivateBytes = 1 << 20 // and bytes of all of them: a stolen node must not fill the others, and a pack takes them all
	maxPrivateValue = 256 << 10
	letterBytes     = 512 << 10 // values put into one letter

	// The latest time of a value: one by a stolen node must leave later ones to
	// those that take its place.
	maxPrivateTime = math.MaxInt64 / 2
)

// ErrPrivateFull tells that the nodes of this member keep too much in common.
var ErrPrivateFull = errors.New("too much is kept in common by the nodes of this member")

// ownNodes is what a node has to do with the others of its member, and with the
// member's keys.
type ownNodes struct {
	private *private
	age     atomic.Pointer[[]*seal.Identity]   // the member's; newest last
	member  atomic.Pointer[ed25519.PrivateKey] // the member key, nil where it is kept offline
	next    atomic.Pointer[protocol.Key]       // the node that is to take this one's place
	carded  chan struct{}                      // the roster has changed: see followCard
}

// private is what the nodes of this member keep in common.
type private struct {
	mu     sync.Mutex
	by     map[string]protocol.Own
	size   int
	untold map[string]bool
	wake   chan struct{} // there is something to tell

	// vital reports whether a name is kept however much there is. A stolen node that
	// fills up all room must not keep from the others what comes after it.
	vital func(name string) bool
}

func loadPrivate(s store.Entries) (*private, error) {
	p := &private{by: map[string]protocol.Own{}, untold: map[string]bool{}, wake: make(chan struct{}, 1)}
	err := s.Settings(privatePrefix, func(_ string, raw []byte) error {
		var o protocol.Own
		if err := protocol.Unmarshal(raw, protocol.MaxOpened, &o); err != nil {
			return err
		}
		p.put(o)
		return nil
	})
	if err == nil {
		err = s.Settings(untoldPrefix, func(name string, _ []byte) error {
			p.untold[strings.TrimPrefix(name, untoldPrefix)] = true
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("read what own nodes keep in common: %w", err)
	}
	return p, nil
}

func weight(o protocol.Own) int { return len(o.Name) + len(o.Value) }

// put takes a value in; the caller holds the lock.
func (p *private) put(o protocol.Own) {
	if old, ok := p.by[o.Name]; ok {
		p.size -= weight(old)
	}
	p.by[o.Name] = o
	p.size += weight(o)
}

// fits refuses a value that is too much; the caller holds the lock.
func (p *private) fits(o protocol.Own) error {
	old, held := p.by[o.Name]
	switch {
	case len(o.Name) == 0 || len(o.Name) > protocol.MaxName || len(o.Value) > maxPrivateValue || o.Time > maxPrivateTime:
		return fmt.Errorf("keep %.40q for own nodes: %w", o.Name, protocol.ErrMalformed)
	case p.vital != nil && p.vital(o.Name):
	case !held && len(p.by) >= maxPrivate, p.size+weight(o)-weight(old) > maxPrivateBytes:
		return ErrPrivateFull
	}
	return nil
}

// all gives the values, by name.
func (p *private) all() []protocol.Own {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]protocol.Own, 0, len(p.by))
	for _, o := range p.by {
		out = append(out, o)
	}
	slices.SortFunc(out, func(a, b protocol.Own) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// later reports whether one value of a name counts instead of another.
func later(a, b protocol.Own) bool {
	return a.Time > b.Time || a.Time == b.Time && bytes.Compare(a.Value, b.Value) > 0
}

// Own gives the value of a name that the nodes of this member keep in common.
func (n *Node) Own(name string) (value []byte, ok bool) {
	n.private.mu.Lock()
	defer n.private.mu.Unlock()
	o := n.private.by[name]
	return o.Value, len(o.Value) > 0
}

// SetOwn keeps a value that all nodes of this member shall have; none takes it
// away. It is durable when it returns, and the other nodes are told as soon as
// this one may write. Names begin with what they are for: "age/", "trust/".
func (n *Node) SetOwn(name string, value []byte) error {
	p := n.private
	p.mu.Lock()
	defer p.mu.Unlock()
	o, settings, err := p.stage(name, value, n.now().UnixMilli())
	if err != nil || settings == nil {
		return err
	}
	if _, err := n.store.Commit(n.context(), &store.Commit{Settings: settings}); err != nil {
		return fmt.Errorf("keep %s for own nodes: %w", name, err)
	}
	p.staged(o)
	return nil
}

// stage gives a value and the settings that keep it, none where it is held. The
// caller holds the lock, commits them and calls staged.
func (p *private) stage(name string, value []byte, at int64) (o protocol.Own, settings map[string][]byte, err error) {
	// A clock that was wrong once, here or at another node, must not make a value
	// stay for good.
	if old, ok := p.by[name]; ok {
		if bytes.Equal(old.Value, value) {
			return o, nil, nil
		}
		at = max(at, old.Time+1)
	}
	o = protocol.Own{Name: name, Value: value, Time: at}
	if err := p.fits(o); err != nil {
		return o, nil, err
	}
	return o, map[string][]byte{privatePrefix + name: protocol.Marshal(&o), untoldPrefix + name: {1}}, nil
}

// staged takes in a value that is durable, to be told.
func (p *private) staged(o protocol.Own) {
	p.put(o)
	p.untold[o.Name] = true
	poke(p.wake)
}

// takeOwn takes in what another node of this member said in a letter.
func (n *Node) takeOwn(h *protocol.Header, list []protocol.Own) {
	if len(list) == 0 {
		return
	}
	if m, ok := n.Roster().Author(h.Node); !ok || m.ID != n.cfg.Member {
		n.refused.add(ReasonNotAdmitted, len(list))
		n.log.Warn("a letter to own nodes by another member's node", "node", h.Node.Short())
		return
	}
	fresh := n.keepOwn(list)
	for _, o := range fresh {
		n.useOwn(o)
	}
	if len(fresh) > 0 {
		n.pulse.beat()
	}
}

// keepOwn keeps those of the values that count instead of the ones held.
func (n *Node) keepOwn(list []protocol.Own) (fresh []protocol.Own) {
	p := n.private
	p.mu.Lock()
	defer p.mu.Unlock()
	c := &store.Commit{Settings: map[string][]byte{}}
	for _, o := range list {
		old, held := p.by[o.Name]
		if held && !later(o, old) {
			continue
		}
		if err := p.fits(o); err != nil {
			n.refused.add(ReasonQuota, 1)
			continue
		}
		c.Settings[privatePrefix+o.Name] = protocol.Marshal(&o)
		c.Settings[untoldPrefix+o.Name] = nil
		fresh = append(fresh, o)
	}
	if len(fresh) == 0 {
		return nil
	}
	if _, err := n.store.Commit(n.context(), c); err != nil {
		n.unkept.Add(1)
		n.log.Error("keep what an own node said", "err", err)
		return nil
	}
	for _, o := range fresh {
		p.put(o)
		delete(p.untold, o.Name)
	}
	return fresh
}

// useOwn makes a value that has come from another node bite here.
func (n *Node) useOwn(o protocol.Own) {
	switch kind, _, _ := strings.Cut(o.Name, "/"); kind {
	case ageOwn:
		n.useIdentity(o)
	case trustOwn:
		n.useTrust(o)
	}
}

// siblings gives the recipients of the member's other nodes. A node whose card
// gives it none, or one that nothing can be sealed to, is left out.
func (n *Node) siblings() []string {
	m, ok := n.Roster().Member(n.cfg.Member)
	if !ok {
		return nil
	}
	var out []string
	for _, x := range m.Card.Nodes {
		if x.Key == n.key || x.Recipient == "" || !slices.Contains(m.Nodes, x.Key) {
			continue
		}
		if err := seal.ValidRecipient(x.Recipient); err != nil {
			n.log.Error("an own node's recipient is of no use", "node", x.Key.Short(), "err", err)
			continue
		}
		out = append(out, x.Recipient)
	}
	return out
}

// tellOwn tells the other nodes of this member what they have not been told, as
// long as the node runs.
func (n *Node) tellOwn() {
	if n.begun(n.ctx) != nil {
		return
	}
	poke(n.private.wake)
	for {
		select {
		case <-n.private.wake:
		case <-n.ctx.Done():
			return
		}
		for {
			more, err := n.tellSome()
			if err != nil {
				n.log.Debug("tell own nodes", "err", err)
			}
			if !more || err != nil {
				break
			}
		}
	}
}

// tellSome writes one letter of values that were not told yet. The gate is held
// from the choice of recipients until the letter is durable, so that no node that
// was retired is among them.
func (n *Node) tellSome() (more bool, err error) {
	n.writer.Lock()
	defer n.writer.Unlock()
	n.gate.RLock()
	defer n.gate.RUnlock()
	if err := n.mayWrite(); err != nil {
		return false, err
	}
	list, more := n.private.some()
	if len(list) == 0 {
		return false, nil
	}
	told := map[string][]byte{}
	parts := make([]any, len(list))
	for i, o := range list {
		told[untoldPrefix+o.Name] = nil
		parts[i] = o
	}
	recipients := n.siblings()
	if len(recipients) == 0 {
		// A node that is added later is given all values when it is.
		_, err = n.store.Commit(n.ctx, &store.Commit{Settings: told})
	} else {
		var entries []store.Entry
		if entries, err = n.appendLetter(recipients, told, parts...); err == nil {
			defer n.announce(entries)
		}
	}
	if err != nil {
		return false, err
	}
	n.private.told(list)
	return more, nil
}

// some gives values to tell, as many as one letter takes.
func (p *private) some() (list []protocol.Own, more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	size := 0
	for name := range p.untold {
		o := p.by[name]
		size += weight(o)
		if len(list) > 0 && size > letterBytes || len(list) == protocol.MaxParts {
			return list, true
		}
		list = append(list, o)
	}
	return list, false
}

// told forgets to tell values, except those that have changed since.
func (p *private) told(list []protocol.Own) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range list {
		if now := p.by[o.Name]; !later(now, o) {
			delete(p.untold, o.Name)
		} else {
			poke(p.wake)
		}
	}
}

package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
)

const pinSetting = "pins"

// loadPins reads what this node took as given when it founded or joined.
func loadPins(s store.Entries) (pins []protocol.StatementID, err error) {
	raw, err := s.Setting(pinSetting)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &pins)
	}
	if err != nil {
		return nil, fmt.Errorf("read pins: %w", err)
	}
	return pins, nil
}

// Pin takes statements as given where others rival them: changes of governors
// that a ticket named, and the first cards of founders. They stay pinned.
func (n *Node) Pin(ids ...protocol.StatementID) error {
	n.gate.Lock()
	defer n.gate.Unlock()
	before := n.Roster()
	pins := protocol.Sorted(append(n.ledger.pinned(), ids...))
	raw, err := json.Marshal(pins)
	if err != nil {
		return fmt.Errorf("pin: %w", err)
	}
	if _, err := n.store.Commit(n.context(), &store.Commit{Settings: map[string][]byte{pinSetting: raw}}); err != nil {
		return fmt.Errorf("pin: %w", err)
	}
	n.ledger.pin(pins)
	n.rosterChanged(before)
	return nil
}

// learnRaw checks statements from a neighbour and keeps those that may be kept.
// It gives how many were new, and whether any was broken.
func (n *Node) learnRaw(raws [][]byte) (fresh int, broken bool) {
	var list []*protocol.Statement
	for _, raw := range raws {
		s, err := protocol.ParseStatement(raw)
		switch {
		case errors.Is(err, protocol.ErrVersion):
		case err != nil:
			n.refused.add(ReasonMalformed, 1)
			broken = true
		case !n.ledger.has(s.ID()):
			list = append(list, s)
		}
	}
	if len(list) == 0 {
		return 0, broken
	}
	fresh, err := n.learn(list...)
	if err != nil {
		n.log.Error("keep statements", "err", err)
	}
	return fresh, broken
}

// learn keeps the statements that the roster lets a node keep, makes them
// durable and acts on the roster that follows. Some only become acceptable
// through others in the list, so it goes round until nothing more is. What the
// others in the list push over a bound is not kept.
func (n *Node) learn(list ...*protocol.Statement) (kept int, err error) {
	n.gate.Lock()
	defer n.gate.Unlock()
	before, moved := n.Roster(), false
	for {
		var take, rest []*protocol.Statement
		unknown := 0
		r := n.Roster()
		for _, s := range list {
			if n.ledger.has(s.ID()) {
				continue
			}
			err := r.Accept(s)
			if err == nil {
				take = append(take, s)
				continue
			}
			if errors.Is(err, trust.ErrUnknownSigner) {
				unknown++
			} else if s.Kind == protocol.KindMark {
				continue // a newer one is held: nothing is lost
			}
			rest = append(rest, s)
		}
		if len(take) == 0 {
			n.refused.add(ReasonNotAdmitted, unknown)
			n.refused.add(ReasonQuota, len(rest)-unknown)
			break
		}
		p := n.ledger.plan(take...)
		for _, s := range take {
			if s.Kind != protocol.KindMark && !slices.Contains(p.add, s) {
				n.refused.add(ReasonQuota, 1)
			}
		}
		if len(p.add) > 0 {
			if _, err := n.store.Commit(n.context(), commitOf(p.add)); err != nil {
				return kept, fmt.Errorf("store statements: %w", err)
			}
		}
		n.ledger.follow(p)
		kept += len(p.add)
		for _, s := range p.add {
			moved = moved || s.Kind != protocol.KindMark
		}
		list = rest
	}
	switch {
	case moved:
		n.rosterChanged(before)
	case kept > 0:
		n.marked()
	}
	return kept, nil
}

// context is the node's own while it runs, for work that must not stop half way
// because a caller has gone.
func (n *Node) context() context.Context {
	if n.ctx == nil {
		return context.Background()
	}
	return n.ctx
}

// rosterChanged makes a change of the roster bite. The caller holds the gate.
func (n *Node) rosterChanged(before *trust.Roster) {
	n.view.stale()
	if n.ctx == nil {
		return
	}
	n.allowRoster()
	n.book.look()
	poke(n.carded)
	poke(n.turned)
	poke(n.leaving.wake)
	after := n.Roster()
	if n.digests.add(before.Digest(), after.Digest()) {
		poke(n.remark)
	}
	n.spawn(n.dropVoided)
	if _, in := before.ByNode(n.key); in && departed(before, after) {
		n.spawn(n.standIn)
	}
	n.groupsChanged()
	n.spawn(func() {
		n.post(func(m *replica.Machine, now time.Time) {
			if before.Digest() != after.Digest() || !slices.Equal(suspended(before), suspended(after)) {
				m.Forgive(now)
			}
			m.Compare(now, time.Second)
		})
		n.pulse.beat()
	})
}

// gossipStatements judges a gossip message of statements. They are checked at
// once, so that only what is kept is passed on.
func (n *Node) gossipStatements(raws [][]byte) Verdict {
	if len(raws) > replica.MaxStatements {
		return Reject
	}
	fresh, broken := n.learnRaw(raws)
	switch {
	case broken:
		return Reject
	case fresh > 0:
		return Accept
	}
	return Ignore
}

// publish gossips statements of this node's own making, or just completed.
func (n *Node) publish(list ...*protocol.Statement) {
	g := &replica.Gossip{}
	for _, s := range list {
		g.Statements = append(g.Statements, s.Raw())
	}
	msg := replica.EncodeGossip(g)
	if msg == nil {
		return // sync carries what is too large for gossip
	}
	if err := n.transport.Publish(msg); err != nil {
		n.log.Debug("gossip", "err", err)
	}
}

// State signs a statement with the member key, keeps it and tells the others.
// Errors: ErrNoMemberKey, ErrNotMember; others where the roster would not keep
// it.
func (n *Node) State(content protocol.Content) (*protocol.Statement, error) {
	s, err := n.Sign(content)
	if err != nil {
		return nil, err
	}
	return s, n.Submit(s)
}

// Submit keeps statements that were signed here or elsewhere, tells the others
// of them, and, where they change the roster such that everyone needs an epoch,
// has it made at once: the others leave it to who completed the change.
func (n *Node) Submit(list ...*protocol.Statement) error {
	for _, s := range list {
		if err := n.Roster().Accept(s); err != nil && len(list) == 1 {
			return err
		}
	}
	before := n.Roster()
	if _, err := n.learn(list...); err != nil {
		return err
	}
	n.publish(list...)
	if before.Digest() != n.Roster().Digest() && n.ctx != nil {
		// Not waited for: whoever writes next waits for the epoch it needs.
		n.spawn(n.renewEpoch)
	}
	return nil
}

// reportFork states the proof that another node's feed parted.
func (n *Node) reportFork(a, b *protocol.Header) {
	if fork, ok := n.Roster().Fork(a.Node); ok && !fork.Resolved {
		return
	}
	n.log.Error("a feed has forked", "node", a.Node.Short(), "feed", a.Feed.Short(), "seq", a.Seq)
	s, err := protocol.NewStatement(n.mesh, protocol.NewForkProof(a, b), n.now().UnixMilli(), n.cfg.NodeKey)
	if err == nil {
		err = n.Submit(s)
	}
	if err != nil {
		n.log.Error("report a fork", "err", err)
	}
}

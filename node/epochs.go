package node

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/audience"
	"github.com/tipmesh/tipmesh/protocol/seal"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
)

const (
	epochLifetime = 30 * 24 * time.Hour
	epochAhead    = 24 * time.Hour // how far ahead the clock of an epoch's maker may be
)

// circle is who an entry for an audience may be sealed to, in one view of the
// roster, the group and the trust list.
type circle struct {
	audience   protocol.AudienceID
	roster     *trust.Roster
	group      *audience.Group // nil: everyone
	state      protocol.Hash
	readers    []protocol.MemberID // ascending, this member included
	full       bool                // they are all the audience has
	departures []protocol.Hash     // of roster and group
}

// circle gives who may read something of a TLP that is written for an audience
// now. Errors: ErrNoGroup, ErrReadOnly.
func (n *Node) circle(to protocol.AudienceID, tlp string) (circle, error) {
	c, err := n.wholeCircle(to)
	if err != nil {
		return c, err
	}
	now := n.now().UnixMilli()
	c.readers = slices.DeleteFunc(c.readers, func(m protocol.MemberID) bool {
		kept := m == n.cfg.Member || n.trust.maySend(m, tlp, now)
		c.full = c.full && kept
		return !kept
	})
	return c, nil
}

// wholeCircle is circle with nobody left out.
func (n *Node) wholeCircle(to protocol.AudienceID) (circle, error) {
	r := n.Roster()
	c := circle{audience: to, roster: r, full: true, state: r.Digest(), departures: r.Departures()}
	if to == protocol.Everyone(n.mesh) {
		for _, m := range r.Active() {
			c.readers = append(c.readers, m.ID)
		}
		c.readers = protocol.Sorted(c.readers)
		return c, nil
	}
	g, ok := n.groups.get(to, r)
	if !ok || !g.In(n.cfg.Member) {
		return c, ErrNoGroup
	}
	if !g.MayWrite(n.cfg.Member) {
		return c, ErrReadOnly
	}
	c.group, c.state, c.readers = g, g.Head.ID(), slices.Clone(g.Readers)
	c.departures = protocol.Sorted(slices.Concat(c.departures, g.Departures))
	return c, nil
}

// Readers gives the active members that may read something of a TLP shared with
// everyone: those this member sends that TLP, and itself. full is true if that
// is everybody.
func (n *Node) Readers(tlp string) (readers []protocol.MemberID, full bool) {
	c, _ := n.circle(protocol.Everyone(n.mesh), tlp) // everyone is always there
	return c.readers, c.full
}

// ReadersIn is Readers for any audience. Errors: ErrNoGroup, ErrReadOnly.
func (n *Node) ReadersIn(to protocol.AudienceID, tlp string) (readers []protocol.MemberID, full bool, err error) {
	c, err := n.circle(to, tlp)
	return c.readers, c.full, err
}

// feedSetting names the setting with the salt of the feed that entries of a kind
// go to. Each audience has one, whichever epochs it goes through: of the feeds
// that a node may begin, and a cut may name, epochs must not use up any.
func (n *Node) feedSetting(kind protocol.EntryKind, e *epoch) string {
	switch {
	case kind == protocol.EntryDirect:
		return ownFeed + "direct"
	case e == nil || e.Audience == protocol.Everyone(n.mesh):
		return ownFeed + "sealed"
	}
	return ownFeed + e.Audience.String()
}

// usable reports whether the epoch is for this circle: made in view of the same
// departures, by an active member's node, with no key that another audience may
// have, nobody in the circle who may not have it, and, unless it is for the whole audience, by this member for exactly
// those in it.
func (n *Node) usable(e *epoch, c circle) bool {
	if e.Audience != c.audience || !slices.Equal(e.Departures, c.departures) || !n.lives(e) || !n.keys.own(e) {
		return false
	}
	if m, ok := c.roster.ByNode(e.Node); !ok || m.ID != e.Maker || c.group != nil && !c.group.In(m.ID) {
		return false
	}
	// It may have been made before a suspension that was known was in force.
	if slices.ContainsFunc(e.Readers, func(id protocol.MemberID) bool { m, ok := c.roster.Member(id); return ok && m.Until != 0 }) {
		return false
	}
	if !c.full {
		return e.Narrow && e.Maker == n.cfg.Member && slices.Equal(e.Readers, c.readers)
	}
	return !e.Narrow && (c.group == nil || !slices.ContainsFunc(c.readers, func(m protocol.MemberID) bool { return !c.group.Entitled(m, e.Epoch) }))
}

// lives reports whether an epoch is neither too old nor of a time so far ahead
// that its maker would have it used for longer than epochs are.
func (n *Node) lives(e *epoch) bool {
	now := n.now()
	return e.Time >= now.Add(-epochLifetime).UnixMilli() && e.Time <= now.Add(epochAhead).UnixMilli()
}

// present gives the usable epoch of the lowest ID, or nil.
func (n *Node) present(c circle) (best *epoch) {
	for _, e := range n.keys.all() {
		if n.usable(e, c) && (best == nil || e.ID().Compare(best.ID()) < 0) {
			best = e
		}
	}
	return best
}

// epochFor gives the epoch to seal to. Where the whole audience needs a new one,
// it waits for whoever completed the change to make it, the longer the higher
// this member's place among all, and makes one itself if none has come.
func (n *Node) epochFor(ctx context.Context, to protocol.AudienceID, tlp string) (*epoch, error) {
	c, err := n.circle(to, tlp)
	if err != nil {
		return nil, err
	}
	all, err := n.wholeCircle(to)
	if err != nil {
		return nil, err
	}
	if len(c.readers) < 2 && len(all.readers) > 1 {
		return nil, fmt.Errorf("%w: the trust list sends TLP:%s to nobody", ErrNobody, tlp)
	}
	if e := n.present(c); e != nil {
		return e, nil
	}
	if c.full && len(c.readers) > 1 && (c.group == nil || c.group.Acting != n.cfg.Member) {
		var e *epoch
		waiting, cancel := context.WithTimeout(ctx, n.epochPatience(c.readers))
		defer cancel()
		err := n.until(waiting, func() bool {
			next, failed := n.circle(to, tlp)
			if failed != nil {
				return true
			}
			if c = next; c.full {
				e = n.present(c)
			}
			return e != nil || !c.full
		})
		if e != nil {
			return e, nil
		}
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return nil, err
		}
		if c, err = n.circle(to, tlp); err != nil {
			return nil, err
		}
	}
	return n.makeEpoch(c)
}

// epochPatience is how long this node leaves it to others to make an epoch.
func (n *Node) epochPatience(readers []protocol.MemberID) time.Duration {
	wait := time.Duration(n.Roster().Rules.EpochWait()) * time.Millisecond
	return EpochPatience(wait, max(slices.Index(readers, n.cfg.Member), 0))
}

// EpochPatience is how long the member at a place among all leaves it to others to
// make an epoch: half of wait longer for each of the first places, then ever
// less. So few write before the first of them has made one, whether ten or a
// thousand want to, and the last of a thousand waits eleven times as long as the
// first.
func EpochPatience(wait time.Duration, place int) time.Duration {
	return wait + time.Duration(float64(wait)*min(float64(place)/2, math.Log2(1+float64(place))))
}

// makeEpoch makes an epoch for a circle and grants it to those in it in this
// node's direct feed. Epoch and grant become durable together, before any use.
func (n *Node) makeEpoch(c circle) (*epoch, error) {
	n.writer.Lock()
	defer n.writer.Unlock()
	if e := n.present(c); e != nil {
		return e, nil
	}
	if err := n.mayWrite(); err != nil {
		return nil, err
	}
	id, err := seal.NewIdentity()
	if err != nil {
		return nil, fmt.Errorf("make epoch: %w", err)
	}
	made, err := protocol.Epoch{Mesh: n.mesh, Audience: c.audience, Maker: n.cfg.Member, State: c.state,
		Departures: c.departures, Readers: c.readers, Narrow: !c.full, Identity: id.String(), Time: n.now().UnixMilli(),
	}.Sign(n.cfg.NodeKey)
	if err != nil {
		return nil, fmt.Errorf("make epoch: %w", err)
	}
	settings := map[string][]byte{epochPrefix + made.ID().String(): made.Raw()}
	recipients := n.recipients(c.readers)
	if !c.full { // nobody else hands it to a further or restored node of this member
		recipients = n.allRecipients(c.readers)
	}
	if len(recipients) == 0 {
		if _, err := n.store.Commit(n.ctx, &store.Commit{Settings: settings}); err != nil {
			return nil, fmt.Errorf("make epoch: %w", err)
		}
	} else {
		entries, err := n.appendLetter(recipients, settings, made)
		if err != nil {
			return nil, fmt.Errorf("make epoch: %w", err)
		}
		defer n.announce(entries)
	}
	if err := n.keys.put(made); err != nil {
		return nil, fmt.Errorf("make epoch: %w", err)
	}
	n.pulse.beat()
	return &epoch{Epoch: made, identity: id}, nil
}

// recipients gives the age recipients that a letter to members is sealed to: of
// the active ones, and of this member only where it has other nodes.
func (n *Node) recipients(members []protocol.MemberID) (out []string) {
	me, ok := n.Roster().Member(n.cfg.Member)
	alone := !ok || len(me.Nodes) < 2
	return n.allRecipients(slices.DeleteFunc(slices.Clone(members), func(m protocol.MemberID) bool { return alone && m == n.cfg.Member }))
}

// allRecipients is recipients with this member, whose later nodes may need it.
func (n *Node) allRecipients(members []protocol.MemberID) (out []string) {
	r := n.Roster()
	for _, m := range members {
		member, ok := r.Member(m)
		if !ok || member.State != trust.StateActive {
			continue
		}
		// One card with a recipient that nothing can be sealed to must not keep
		// the letter from all the others.
		if err := seal.ValidRecipient(member.Card.Recipient); err != nil {
			n.log.Error("a member cannot be sent letters: its card's recipient is of no use", "member", member.Handle, "err", err)
			continue
		}
		out = append(out, member.Card.Recipient)
	}
	return out
}

// renewEpoch makes an epoch for everyone if there is none to use.
func (n *Node) renewEpoch() {
	if n.ctx != nil && !n.own.Load() {
		// Whoever changed the roster need not wait for it.
		n.spawn(func() {
			if n.begun(n.ctx) == nil {
				n.renewEpoch()
			}
		})
		return
	}
	n.renewFor(protocol.Everyone(n.mesh))
}

// renewFor makes an epoch for an audience if there is none to use.
func (n *Node) renewFor(to protocol.AudienceID) {
	c, err := n.wholeCircle(to)
	if err != nil || n.mayWrite() != nil || len(c.readers) < 2 {
		return
	}
	if _, err := n.makeEpoch(c); err != nil {
		n.log.Error("make the new epoch", "err", err)
	}
}

package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
	"github.com/tipmesh/tipmesh/protocol/seal"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
)

// How own entries are written.
const (
	feedEntries   = 65536  // a feed is closed and another begun
	writeRun      = 32     // entries sealed and made durable together
	gossipBurst   = 64     // own entries gossiped in a row; what is beyond goes by sync alone,
	gossipRefill  = 100    // and so many a second
	ownFeed       = "own/" // settings: salts of this node's present feeds
	epochLifetime = 30 * 24 * time.Hour
	epochAhead    = 24 * time.Hour // how far ahead the clock of an epoch's maker may be
)

// Readers gives the active members that may read something of a TLP shared with
// everyone: those this member sends that TLP, and itself. full is true if that
// is everybody.
func (n *Node) Readers(tlp string) (readers []protocol.MemberID, full bool) {
	full = true
	for _, m := range n.Roster().Active() {
		if m.ID == n.cfg.Member || n.trust.maySend(m.ID, tlp, n.now().UnixMilli()) {
			readers = append(readers, m.ID)
		} else {
			full = false
		}
	}
	return protocol.Sorted(readers), full
}

// Write seals bundles (STIX 2.1 JSON) for everyone who may read the TLP, makes
// the entries durable and gives their places, in order. Errors: ErrNotMember,
// ErrNobody, ErrStopped. On an error the places written so far are given too.
func (n *Node) Write(ctx context.Context, bundles [][]byte, tlp string) ([]store.Place, error) {
	if err := n.begun(ctx); err != nil {
		return nil, err
	}
	var places []store.Place
	for len(bundles) > 0 {
		run := bundles[:min(len(bundles), writeRun)]
		written, err := n.writeRun(ctx, run, tlp)
		places = append(places, written...)
		if errors.Is(err, errRosterMoved) {
			continue // sealed for readers of whom one has gone: seal again
		}
		if err != nil {
			return places, err
		}
		bundles = bundles[len(run):]
	}
	return places, nil
}

var errRosterMoved = errors.New("the roster has changed")

// mayWrite says why this node must not write, if so.
func (n *Node) mayWrite() error {
	if why := n.halted.get(); why != "" {
		return fmt.Errorf("%w: %s", ErrStopped, why)
	}
	if fork, ok := n.Roster().Fork(n.key); ok && !fork.Resolved {
		return fmt.Errorf("%w: its feed has forked", ErrStopped)
	}
	if _, ok := n.Roster().ByNode(n.key); !ok {
		return ErrNotMember
	}
	return nil
}

func (n *Node) writeRun(ctx context.Context, bundles [][]byte, tlp string) ([]store.Place, error) {
	if err := n.mayWrite(); err != nil {
		return nil, err
	}
	e, err := n.epochFor(ctx, tlp)
	if err != nil {
		return nil, err
	}
	payloads := make([][]byte, len(bundles))
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range bundles {
		g.Go(func() (err error) {
			payloads[i], err = seal.Bundle(bundles[i], e.identity)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	n.writer.Lock()
	defer n.writer.Unlock()
	n.gate.RLock()
	defer n.gate.RUnlock()
	if err := n.mayWrite(); err != nil { // what it says may have changed while waiting for an epoch
		return nil, err
	}
	if !n.fits(e, tlp) {
		return nil, errRosterMoved
	}
	entries, err := n.appendOwn(protocol.EntrySealed, e, payloads, nil)
	if err != nil {
		return nil, err
	}
	places := make([]store.Place, len(entries))
	for i, x := range entries {
		places[i] = store.Place{Feed: x.Header.Feed, Seq: x.Header.Seq}
		n.opened.put(places[i], bundles[i])
	}
	n.announce(entries)
	return places, nil
}

// appendOwn signs entries of this node's own, makes them durable together with
// the settings, and gives them. The caller holds the writer lock.
func (n *Node) appendOwn(kind protocol.EntryKind, e *epoch, payloads [][]byte, settings map[string][]byte) ([]store.Entry, error) {
	c := &store.Commit{Settings: map[string][]byte{}}
	for k, v := range settings {
		c.Settings[k] = v
	}
	name := ownFeed + "sealed"
	if kind == protocol.EntryDirect {
		name = ownFeed + "direct"
	}
	salt, err := n.store.Setting(name)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("read own feed: %w", err)
	}
	var f store.Feed
	if len(salt) == len(protocol.Hash{}) {
		id := protocol.FeedOf(n.key, protocol.Hash(salt))
		f, _ = n.store.Feed(id)
		// Beyond a cut nobody would take it.
		if _, ended := n.Roster().Limit(n.key, id); ended || f.Head >= n.cfg.FeedEntries {
			salt = nil
		}
	}
	sign := func(kind protocol.EntryKind, payload []byte) error {
		h := protocol.Header{Mesh: n.mesh, Salt: protocol.Hash(salt), Seq: f.Head + 1, Prev: f.HeadID,
			Time: n.now().UnixMilli(), Roster: n.Roster().Digest(), Kind: kind,
			Payload: protocol.HashOf(payload), Size: uint64(len(payload))}
		feed := protocol.FeedOf(n.key, h.Salt)
		if kind == protocol.EntrySealed {
			h.Tag = protocol.TagFor(e.Identity, feed)
			c.Readable = append(c.Readable, store.Place{Feed: feed, Seq: h.Seq})
		}
		signed, err := h.Sign(n.cfg.NodeKey)
		if err != nil {
			return err
		}
		f.Head, f.HeadID = signed.Seq, signed.ID()
		c.Entries = append(c.Entries, store.Entry{Header: signed, Payload: payload})
		return nil
	}
	for _, p := range payloads {
		if len(salt) > 0 && f.Head == n.cfg.FeedEntries-1 {
			if err := sign(protocol.EntryClose, []byte{}); err != nil {
				return nil, err
			}
			salt = nil
		}
		if len(salt) == 0 {
			salt = make([]byte, len(protocol.Hash{}))
			rand.Read(salt)
			f = store.Feed{}
			c.Settings[name] = salt
		}
		if err := sign(kind, p); err != nil {
			return nil, err
		}
	}
	if _, err := n.store.Commit(n.context(), c); err != nil {
		return nil, fmt.Errorf("store own entries: %w", err)
	}
	return slices.DeleteFunc(slices.Clone(c.Entries), func(x store.Entry) bool { return x.Header.Kind == protocol.EntryClose }), nil
}

// announce gossips own entries and tells neighbours of them.
func (n *Node) announce(entries []store.Entry) {
	feeds := map[protocol.FeedID]bool{}
	for _, x := range entries {
		feeds[x.Header.Feed] = true
		if !n.talk.may(n.now()) {
			continue
		}
		g := &replica.Gossip{Entry: &replica.Entry{Header: x.Header.Raw()}}
		if len(x.Payload) <= protocol.MaxInline {
			g.Entry.Payload = x.Payload
		}
		if msg := replica.EncodeGossip(g); msg != nil {
			if err := n.transport.Publish(msg); err != nil {
				n.log.Debug("gossip", "err", err)
			}
		}
	}
	for f := range feeds {
		n.changed(f)
	}
}

// talk bounds how many own entries are gossiped: a long run goes by sync, which
// carries it once to each, not many times.
type talk struct {
	mu   sync.Mutex
	left float64
	at   time.Time
}

func (t *talk) may(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.at.IsZero() {
		t.left = gossipBurst
	} else {
		t.left = min(gossipBurst, t.left+now.Sub(t.at).Seconds()*gossipRefill)
	}
	t.at = now
	if t.left < 1 {
		return false
	}
	t.left--
	return true
}

// fits reports whether an entry of a TLP may be sealed to the epoch now.
func (n *Node) fits(e *epoch, tlp string) bool {
	readers, full := n.Readers(tlp)
	return n.usable(e, readers, full)
}

// usable reports whether the epoch is for these readers: made in view of the
// same departures, by an active member's node, and, unless it is for everyone,
// by this member for exactly them.
func (n *Node) usable(e *epoch, readers []protocol.MemberID, full bool) bool {
	r := n.Roster()
	if !slices.Equal(e.Departures, r.Departures()) || !n.lives(e) {
		return false
	}
	if m, ok := r.ByNode(e.Node); !ok || m.ID != e.Maker {
		return false
	}
	if full {
		return !e.Narrow
	}
	return e.Narrow && e.Maker == n.cfg.Member && slices.Equal(e.Readers, readers)
}

// lives reports whether an epoch is neither too old nor of a time so far ahead
// that its maker would have it used for longer than epochs are.
func (n *Node) lives(e *epoch) bool {
	now := n.now()
	return e.Time >= now.Add(-epochLifetime).UnixMilli() && e.Time <= now.Add(epochAhead).UnixMilli()
}

// present gives the usable epoch of the lowest ID, or nil.
func (n *Node) present(readers []protocol.MemberID, full bool) (best *epoch) {
	for _, e := range n.keys.all() {
		if n.usable(e, readers, full) && (best == nil || e.ID().Compare(best.ID()) < 0) {
			best = e
		}
	}
	return best
}

// epochFor gives the epoch to seal to. Where everyone needs a new one, it waits
// for whoever completed the change to make it, the longer the higher this
// member's place among all, and makes one itself if none has come.
func (n *Node) epochFor(ctx context.Context, tlp string) (*epoch, error) {
	readers, full := n.Readers(tlp)
	if len(readers) < 2 && len(n.Roster().Active()) > 1 {
		return nil, fmt.Errorf("%w: the trust list sends TLP:%s to nobody", ErrNobody, tlp)
	}
	if e := n.present(readers, full); e != nil {
		return e, nil
	}
	if full && len(readers) > 1 {
		ctx, cancel := context.WithTimeout(ctx, n.epochPatience(readers))
		defer cancel()
		var e *epoch
		err := n.until(ctx, func() bool {
			if readers, full = n.Readers(tlp); full {
				e = n.present(readers, full)
			}
			return e != nil || !full
		})
		if e != nil {
			return e, nil
		}
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return nil, err
		}
	}
	return n.makeEpoch(readers, full)
}

// epochPatience is how long this node leaves it to others to make an epoch.
func (n *Node) epochPatience(readers []protocol.MemberID) time.Duration {
	wait := time.Duration(n.Roster().Rules.EpochWait()) * time.Millisecond
	rank := slices.Index(readers, n.cfg.Member)
	return wait + time.Duration(rank)*wait/2
}

// makeEpoch makes an epoch for the readers and grants it to them in this node's
// direct feed. Epoch and grant become durable together, before any use.
func (n *Node) makeEpoch(readers []protocol.MemberID, full bool) (*epoch, error) {
	n.writer.Lock()
	defer n.writer.Unlock()
	if e := n.present(readers, full); e != nil {
		return e, nil
	}
	if err := n.mayWrite(); err != nil {
		return nil, err
	}
	id, err := seal.NewIdentity()
	if err != nil {
		return nil, fmt.Errorf("make epoch: %w", err)
	}
	r := n.Roster()
	made, err := protocol.Epoch{Mesh: n.mesh, Audience: protocol.Everyone(n.mesh), Maker: n.cfg.Member, State: r.Digest(),
		Departures: r.Departures(), Readers: readers, Narrow: !full, Identity: id.String(), Time: n.now().UnixMilli(),
	}.Sign(n.cfg.NodeKey)
	if err != nil {
		return nil, fmt.Errorf("make epoch: %w", err)
	}
	settings := map[string][]byte{epochPrefix + made.ID().String(): made.Raw()}
	var recipients []string
	for _, m := range readers {
		member, ok := r.Member(m)
		if !ok || member.State != trust.StateActive || m == n.cfg.Member && len(member.Nodes) < 2 {
			continue
		}
		// One card with a recipient that nothing can be sealed to must not keep
		// the epoch from all the others.
		if err := seal.ValidRecipient(member.Card.Recipient); err != nil {
			n.log.Error("a member cannot be given the new epoch: its card's recipient is of no use", "member", member.Handle, "err", err)
			continue
		}
		recipients = append(recipients, member.Card.Recipient)
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
	readers := []protocol.MemberID{}
	for _, m := range n.Roster().Active() {
		readers = append(readers, m.ID)
	}
	protocol.Sorted(readers)
	if n.mayWrite() != nil || len(readers) < 2 {
		return
	}
	if _, err := n.makeEpoch(readers, true); err != nil {
		n.log.Error("make the new epoch", "err", err)
	}
}

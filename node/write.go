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
	"github.com/tipmesh/tipmesh/store"
)

// How own entries are written.
const (
	feedEntries  = 65536  // a feed is closed and another begun
	writeRun     = 32     // entries sealed and made durable together
	gossipBurst  = 64     // own entries gossiped in a row; what is beyond goes by sync alone,
	gossipRefill = 100    // and so many a second
	ownFeed      = "own/" // settings: salts of this node's present feeds
)

// Write is WriteTo for everyone.
func (n *Node) Write(ctx context.Context, bundles [][]byte, tlp string) ([]store.Place, error) {
	return n.WriteTo(ctx, protocol.Everyone(n.mesh), bundles, tlp)
}

// WriteTo seals bundles (STIX 2.1 JSON) for those of an audience who may read the
// TLP, makes the entries durable and gives their places, in order. Errors:
// ErrNotMember, ErrNobody, ErrStopped, ErrNoGroup, ErrReadOnly. On an error the
// places written so far are given too.
func (n *Node) WriteTo(ctx context.Context, to protocol.AudienceID, bundles [][]byte, tlp string) ([]store.Place, error) {
	return n.WriteKept(ctx, to, bundles, tlp, 0)
}

// WriteKept is WriteTo of what everybody lets go after so many weeks, at most
// protocol.MaxRetention; 0: never.
func (n *Node) WriteKept(ctx context.Context, to protocol.AudienceID, bundles [][]byte, tlp string, weeks uint64) ([]store.Place, error) {
	if err := n.begun(ctx); err != nil {
		return nil, err
	}
	var places []store.Place
	for len(bundles) > 0 {
		run := bundles[:min(len(bundles), writeRun)]
		written, err := n.writeRun(ctx, to, run, tlp, weeks)
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
	return n.heardSince()
}

func (n *Node) writeRun(ctx context.Context, to protocol.AudienceID, bundles [][]byte, tlp string, weeks uint64) ([]store.Place, error) {
	if err := n.mayWrite(); err != nil {
		return nil, err
	}
	e, err := n.epochFor(ctx, to, tlp)
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
	if c, err := n.circle(to, tlp); err != nil {
		return nil, err
	} else if !n.usable(e, c) {
		return nil, errRosterMoved
	}
	entries, err := n.appendOwn(protocol.EntrySealed, e, payloads, nil, weeks)
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
// the settings, and gives them. Their retention class is weeks. The caller holds
// the writer lock.
func (n *Node) appendOwn(kind protocol.EntryKind, e *epoch, payloads [][]byte, settings map[string][]byte, weeks uint64) ([]store.Entry, error) {
	c := &store.Commit{Settings: map[string][]byte{}}
	for k, v := range settings {
		c.Settings[k] = v
	}
	name := n.feedSetting(kind, e)
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
		if kind != protocol.EntryClose {
			h.Retention = weeks
		}
		feed := protocol.FeedOf(n.key, h.Salt)
		if kind == protocol.EntrySealed {
			h.Tag = protocol.TagFor(e.Identity, e.Audience, feed)
			c.Readable = append(c.Readable, store.Place{Feed: feed, Seq: h.Seq})
		}
		signed, err := h.Sign(n.cfg.NodeKey)
		if err != nil {
			return err
		}
		f.Head, f.HeadID = signed.Seq, signed.ID()
		c.Entries = append(c.Entries, store.Entry{Header: signed, Payload: payload})
		n.noteGoing(c.Settings, signed, payload)
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

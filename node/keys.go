package node

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
	"github.com/tipmesh/tipmesh/protocol/seal"
	"github.com/tipmesh/tipmesh/store"
)

// Names of settings that keys keeps.
const (
	epochPrefix  = "epoch/"
	unreadPrefix = "unread/"
	directPrefix = "direct/" // how far a direct feed has been read
)

// Limits of epochs, which stay for good. One that 1,000 members read takes 35 to
// 70 KB, and 60 of those a year at most 4.2 MB: one maker may make them all for
// years, and nobody takes all the room.
const (
	maxEpochs       = 16384
	maxEpochsOf     = 2048      // of one maker
	maxEpochBytes   = 256 << 20 // of all,
	maxEpochBytesOf = 48 << 20  // and of one maker
)

// How often a member's nodes may ask for epochs, each time costing a sealing: so
// often in a row, and then once in so long.
const (
	handOversAtOnce  = 32
	handOverInterval = 2 * time.Second
)

// epoch is an epoch this node has, ready to open with.
type epoch struct {
	*protocol.Epoch
	identity *seal.Identity
}

// keys are the epochs this node has been given, and the entries that wait for
// one it has not.
type keys struct {
	mu       sync.Mutex
	byID     map[protocol.EpochID]*epoch
	tags     *tags
	made     map[protocol.MemberID]epochSum // by maker
	total    epochSum
	given    *allowance[protocol.MemberID] // answers to a member's nodes that ask for epochs
	ask      chan struct{}                 // there may be epochs to ask for: see seekEpochs
	more     atomic.Bool                   // a neighbour seems to have more of them
	everyone protocol.AudienceID
	others   atomic.Int64                   // epochs of groups
	whose    map[string]protocol.AudienceID // identities: of the audience first heard of
}

func loadKeys(s store.Entries, mesh protocol.MeshID) (*keys, error) {
	k := &keys{byID: map[protocol.EpochID]*epoch{}, tags: newTags(),
		everyone: protocol.Everyone(mesh), whose: map[string]protocol.AudienceID{}, given: newAllowance[protocol.MemberID](handOversAtOnce, handOverInterval),
		made: map[protocol.MemberID]epochSum{}, ask: make(chan struct{}, 1)}
	err := s.Settings(epochPrefix, func(_ string, raw []byte) error {
		e, err := protocol.ParseEpoch(raw)
		if err != nil {
			return err
		}
		return k.put(e)
	})
	if err != nil {
		return nil, fmt.Errorf("read epochs: %w", err)
	}
	err = s.Settings(unreadPrefix, func(name string, tag []byte) error {
		place, ok := parseUnreadName(name)
		if !ok || len(tag) != len(protocol.Tag{}) {
			return fmt.Errorf("setting %q: %w", name, protocol.ErrMalformed)
		}
		f, _ := s.Feed(place.Feed)
		k.wait(place, protocol.Tag(tag), f.Node)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read waiting entries: %w", err)
	}
	return k, nil
}

func unreadName(p store.Place) string { return fmt.Sprintf("%s%s/%016x", unreadPrefix, p.Feed, p.Seq) }

func parseUnreadName(name string) (p store.Place, ok bool) {
	feed, seq, ok := strings.Cut(strings.TrimPrefix(name, unreadPrefix), "/")
	if !ok || p.Feed.UnmarshalText([]byte(feed)) != nil {
		return p, false
	}
	raw, err := hex.DecodeString(seq)
	if err != nil || len(raw) != 8 {
		return p, false
	}
	p.Seq = binary.BigEndian.Uint64(raw)
	return p, true
}

// put takes an epoch in; it fails where the identity in it is no identity.
func (k *keys) put(e *protocol.Epoch) error {
	id, err := seal.ParseIdentity(e.Identity)
	if err != nil {
		return fmt.Errorf("epoch %s: %w", e.ID().Short(), err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.byID[e.ID()] != nil {
		return nil
	}
	fresh := &epoch{Epoch: e, identity: id}
	k.byID[e.ID()] = fresh
	k.made[e.Maker] = k.made[e.Maker].with(e)
	k.total = k.total.with(e)
	if _, had := k.whose[e.Identity]; !had {
		k.whose[e.Identity] = e.Audience
	}
	if e.Audience != k.everyone {
		k.others.Add(1)
	}
	k.tags.fit(fresh)
	return nil
}

// epochSum is how many epochs there are, and how many bytes they take.
type epochSum struct{ count, bytes int }

func (s epochSum) with(e *protocol.Epoch) epochSum {
	return epochSum{s.count + 1, s.bytes + len(e.Raw())}
}

// room refuses an epoch that is one too many beside those held and those that are
// about to be.
func (k *keys) room(e *protocol.Epoch, before ...*protocol.Epoch) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	all, made := k.total.with(e), k.made[e.Maker].with(e)
	for _, x := range before {
		all = all.with(x)
		if x.Maker == e.Maker {
			made = made.with(x)
		}
	}
	if k.byID[e.ID()] == nil &&
		(all.count > maxEpochs || all.bytes > maxEpochBytes || made.count > maxEpochsOf || made.bytes > maxEpochBytesOf) {
		return errors.New("too many epochs, or too large ones")
	}
	return nil
}

// own reports whether the identity of an epoch that is held was first heard of as
// one of the epoch's audience. Another audience may have it too.
func (k *keys) own(e *epoch) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.whose[e.Identity] == e.Audience
}

// Times of asking for epochs.
const (
	askAfter = time.Second     // for the grant usually comes by itself
	askGap   = 5 * time.Second // between two rounds
	askLeast = 5 * time.Minute // else, or more: who lacks a state of a group cannot know; see askWithin
)

// seekEpochs asks all neighbours for epochs when an entry has begun to wait for
// one, when one of them handed over as many as it may at a time or a state of a
// group, and from time to time.
func (n *Node) seekEpochs() {
	wait := func(d time.Duration) bool {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			return true
		case <-n.ctx.Done():
			return false
		}
	}
	anyway := time.NewTimer(n.askWithin())
	defer anyway.Stop()
	for {
		select {
		case <-n.keys.ask:
		case <-n.keys.later():
			n.releaseReadable()
			continue
		case <-anyway.C:
			anyway.Reset(n.askWithin())
			n.keys.more.Store(true)
		case <-n.ctx.Done():
			return
		}
		if !wait(askAfter) {
			return
		}
		if more := n.keys.more.Swap(false); !more && !n.keys.missing() {
			continue
		}
		n.post(func(m *replica.Machine, now time.Time) { m.AskEpochs(now) })
		if !wait(askGap - askAfter) {
			return
		}
	}
}

// held is how many epochs there are.
func (k *keys) held() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.byID)
}

// all lists the epochs held.
func (k *keys) all() []*epoch {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := make([]*epoch, 0, len(k.byID))
	for _, e := range k.byID {
		out = append(out, e)
	}
	return out
}

// keepEpochs checks epochs that were granted, keeps them and opens what waited
// for them.
func (n *Node) keepEpochs(list []*protocol.Epoch) {
	c := &store.Commit{Settings: map[string][]byte{}}
	var kept []*protocol.Epoch
	for _, e := range list {
		if err := n.checkEpoch(e, kept...); err != nil {
			n.refused.add(ReasonNotAdmitted, 1)
			n.log.Warn("epoch refused", "epoch", e.ID().Short(), "err", err)
			continue
		}
		c.Settings[epochPrefix+e.ID().String()] = e.Raw()
		kept = append(kept, e)
	}
	if len(kept) == 0 {
		return
	}
	if _, err := n.store.Commit(n.ctx, c); err != nil {
		n.unkept.Add(1)
		n.log.Error("keep epochs", "err", err)
		return
	}
	for _, e := range kept {
		if err := n.keys.put(e); err != nil {
			n.log.Warn("epoch refused", "err", err)
		}
	}
	n.releaseReadable()
	n.pulse.beat()
}

// checkEpoch refuses an epoch that is not of this mesh, whose maker's node is not
// the maker's, or that is one too many. One of a group that is not known yet is
// kept: the group may be told of later, and until then nothing is shown of it.
func (n *Node) checkEpoch(e *protocol.Epoch, before ...*protocol.Epoch) error {
	if e.Mesh != n.mesh {
		return errors.New("of another mesh")
	}
	if m, ok := n.Roster().Author(e.Node); !ok || m.ID != e.Maker {
		return errors.New("its maker is not the signing node's member")
	}
	if _, err := seal.ParseIdentity(e.Identity); err != nil {
		return err
	}
	return n.keys.room(e, before...)
}

// releaseReadable makes an arrival of every entry whose epoch has come.
func (n *Node) releaseReadable() {
	places := n.keys.ready(n.now())
	if len(places) == 0 {
		return
	}
	c := &store.Commit{Readable: places, Settings: map[string][]byte{}}
	for _, p := range places {
		c.Settings[unreadName(p)] = nil
	}
	if _, err := n.store.Commit(n.ctx, c); err != nil {
		n.log.Error("open entries that waited", "err", err)
		return
	}
	n.pulse.beat()
}

// handOver answers a neighbour that asks for epochs: with those its member is
// entitled to and does not have, sealed to that member. An epoch narrowed by a
// trust list is handed on by its maker alone, one of a group to those who are in
// and whom the group's history lets have it, and to nodes of this one's own member.
// One whose maker knew of departures that this node does not know of yet stays
// here: the neighbour may be who left.
func (n *Node) handOver(node protocol.Key, get *replica.GetEpochs) (*replica.Epochs, error) {
	r := n.Roster()
	m, ok := r.ByNode(node)
	if !ok {
		return nil, ErrNotMember
	}
	// The neighbour may be who left; or who is suspended, and this clock is slow.
	if n.Freshness().Stale || r.Awaited(m.ID, n.now().UnixMilli()) {
		return &replica.Epochs{}, nil
	}
	if !n.keys.given.take(m.ID, n.now()) {
		n.refused.add(ReasonQuota, 1)
		return &replica.Epochs{}, nil // as if there were none: it asks again
	}
	marks := get.Marks()
	held := func(id protocol.Hash) bool { return marks[replica.MarkOf(get.Salt, id)] }
	var give []*protocol.Epoch
	for _, e := range n.keys.all() {
		if held(protocol.Hash(e.ID())) || e.Narrow && (e.Maker != n.cfg.Member || !e.Reads(m.ID)) {
			continue
		}
		if e.Audience == n.keys.everyone {
			if !r.Knows(e.Departures) {
				continue
			}
		} else if g, ok := n.groups.get(e.Audience, r); m.ID != n.cfg.Member && (!ok || !n.mayHave(r, g, m.ID, e.Epoch)) {
			continue // what this member was let have, its other nodes may have after it left too
		}
		if give = append(give, e.Epoch); len(give) == protocol.MaxGrantEpochs {
			break
		}
	}
	parts := n.statesFor(r, m.ID, held)
	for _, e := range give {
		parts = append(parts, e)
	}
	if len(parts) == 0 {
		return &replica.Epochs{}, nil
	}
	sealed, err := seal.Direct(protocol.NewLetter(parts...), []string{m.Card.Recipient})
	if err != nil {
		return nil, fmt.Errorf("hand over epochs: %w", err)
	}
	return &replica.Epochs{Sealed: sealed}, nil
}

package node

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
	"github.com/tipmesh/tipmesh/store"
)

// Times of marks.
const (
	markGap    = time.Minute      // from one mark of a governor to the next, at least,
	markEvery  = 24 * time.Hour   // and at most, or a third of what the house rules take for fresh
	markRetry  = time.Hour        // after a mark that could not be made
	markAhead  = 24 * time.Hour   // how far ahead the clock of a mark's signer may be
	staleGrace = 10 * time.Minute // a node that has just started waits for marks
)

const (
	markPrefix    = "mark/"   // governor: its newest mark
	digestSetting = "digests" // digests of the roster that this node had
	digestsKept   = 64
)

// commitOf stores statements; of marks only the newest of each governor, so that
// the store does not grow by one a day.
func commitOf(list []*protocol.Statement) *store.Commit {
	c := &store.Commit{}
	for _, s := range list {
		if m, ok := s.Doc().(*protocol.Mark); ok {
			if c.Settings == nil {
				c.Settings = map[string][]byte{}
			}
			c.Settings[markPrefix+m.Member.String()] = s.Raw()
			continue
		}
		c.Statements = append(c.Statements, s)
	}
	return c
}

// loadMarks adds the stored marks to a list.
func loadMarks(s store.Entries, list []*protocol.Statement) ([]*protocol.Statement, error) {
	err := s.Settings(markPrefix, func(name string, raw []byte) error {
		m, err := protocol.ParseStatement(raw)
		if err != nil {
			return fmt.Errorf("setting %q: %w", name, err)
		}
		list = append(list, m)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read marks: %w", err)
	}
	return list, nil
}

// marking signs marks as long as the node runs, while its member governs: at the
// start, after changes of the roster, and daily.
func (n *Node) marking() {
	if n.begun(n.ctx) != nil {
		return
	}
	first, failed := true, time.Time{}
	for {
		n.digests.save(n)
		wait := time.Hour // somebody may set the clock
		if at, ok := n.markDue(first); ok && at.Before(failed.Add(markRetry)) && !failed.IsZero() {
			wait = min(wait, failed.Add(markRetry).Sub(n.now()))
		} else if ok && !at.After(n.now()) {
			first, failed = false, time.Time{}
			if err := n.mark(); err != nil {
				n.log.Error("sign a mark", "err", err)
				failed = n.now()
			}
			continue
		} else if ok {
			wait = min(wait, at.Sub(n.now()))
		}
		timer := time.NewTimer(max(wait, time.Second))
		select {
		case <-timer.C:
		case <-n.remark:
			timer.Stop()
		case <-n.ctx.Done():
			timer.Stop()
			return
		}
	}
}

// markDue is when this node is to sign a mark, if at all.
func (n *Node) markDue(first bool) (time.Time, bool) {
	r := n.Roster()
	me, ok := r.ByNode(n.key)
	if !ok || !me.Governor || n.halted.get() != "" {
		return time.Time{}, false
	}
	for _, m := range r.Marks {
		if m.Member == me.ID {
			last := time.UnixMilli(m.Time)
			if first || m.Roster != r.Digest() {
				return last.Add(markGap), true
			}
			return last.Add(min(markEvery, time.Duration(r.Rules.Fresh())*time.Second/3)), true
		}
	}
	return n.now(), true
}

// mark signs that this node sees the roster that it sees.
func (n *Node) mark() error {
	s, err := protocol.NewStatement(n.mesh, &protocol.Mark{Member: n.cfg.Member, Roster: n.Roster().Digest()}, n.now().UnixMilli(), n.cfg.NodeKey)
	if err != nil {
		return err
	}
	return n.Submit(s)
}

// marked has the neighbours told of a mark, and asked for what they have: the mark
// may be of a roster that is not known here.
func (n *Node) marked() {
	if n.ctx == nil {
		return
	}
	n.spawn(func() {
		n.post(func(m *replica.Machine, now time.Time) { m.Compare(now, time.Second) })
		n.pulse.beat()
	})
	poke(n.remark)
}

// Freshness says how much is known of whether this node's roster is the newest.
type Freshness struct {
	Stale bool
	Marks int // governors whose newest mark is young, and of a roster that this node has or had
	Needs int
}

// Freshness judges the roster by the marks of the governors. A mark of a roster
// that this node had proves as much as one of the present: all that the governor
// knew is known here. It is not stale while no governor has ever marked.
func (n *Node) Freshness() Freshness {
	r, now := n.ledger.base.Load(), n.now()
	f := Freshness{Needs: r.Threshold}
	oldest, newest := now.Add(-time.Duration(r.Rules.Fresh())*time.Second).UnixMilli(), now.Add(markAhead).UnixMilli()
	if slices.Contains(r.Governors, n.cfg.Member) {
		f.Marks++ // who governs knows what it knows
	}
	for _, m := range r.Marks {
		if m.Member != n.cfg.Member && m.Time > oldest && m.Time <= newest && (m.Roster == r.Digest() || n.digests.has(m.Roster)) {
			f.Marks++
		}
	}
	f.Stale = f.Marks < f.Needs && len(r.Marks) > 0 && now.Sub(n.started) >= staleGrace
	return f
}

// digestLog is the digests of the rosters that this node had, the last ones.
type digestLog struct {
	mu    sync.Mutex
	list  []protocol.Hash
	dirty bool
}

// add notes digests, and reports whether they differ.
func (d *digestLog) add(before, after protocol.Hash) bool {
	if before == after {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, h := range []protocol.Hash{before, after} {
		d.list = append(slices.DeleteFunc(d.list, func(x protocol.Hash) bool { return x == h }), h)
	}
	d.list = d.list[max(0, len(d.list)-digestsKept):]
	d.dirty = true
	return true
}

func (d *digestLog) has(h protocol.Hash) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Contains(d.list, h)
}

// save writes the list if it has changed. What a crash loses costs nothing but
// marks that are not believed until the next ones.
func (d *digestLog) save(n *Node) {
	d.mu.Lock()
	dirty := d.dirty
	d.dirty = false
	var raw []byte
	for _, h := range d.list {
		raw = append(raw, h[:]...)
	}
	d.mu.Unlock()
	if !dirty {
		return
	}
	if _, err := n.store.Commit(n.context(), &store.Commit{Settings: map[string][]byte{digestSetting: raw}}); err != nil {
		n.log.Error("keep digests of the roster", "err", err)
	}
}

func (d *digestLog) load(s store.Entries) error {
	raw, err := s.Setting(digestSetting)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read digests of the roster: %w", err)
	}
	for chunk := range slices.Chunk(raw, len(protocol.Hash{})) {
		if len(chunk) == len(protocol.Hash{}) {
			d.list = append(d.list, protocol.Hash(chunk))
		}
	}
	return nil
}

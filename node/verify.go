package node

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
)

// mostDamage is how many faults a verification lists; Faults counts them all.
const mostDamage = 1000

// Verified is what reading a whole store again found.
type Verified struct {
	Feeds      int
	Entries    uint64 // headers read, with signature, hash chain and place checked
	Payloads   uint64 // payloads read that are what their headers name
	Absent     uint64 // payloads that are not held, and are not said to be
	Statements int
	Members    int           // active
	Digest     protocol.Hash // of the roster
	Forks      []*trust.Fork
	Damaged    []Damage
	Faults     int
}

// Damage is one thing that is not as it must be. Seq is 0 where it is about a
// whole feed, Feed zero where it is about none.
type Damage struct {
	What string // entry, payload, feed, statement, roster
	Feed protocol.FeedID
	Seq  uint64
	Text string
}

// verification is one under way.
type verification struct {
	n        *Node
	mu       sync.Mutex
	out      Verified
	entries  atomic.Uint64
	payloads atomic.Uint64
	absent   atomic.Uint64
}

// Verify reads everything in the store again and checks it as if it came from
// outside: signatures, hash chains, payloads, statements, and the roster that
// follows from them. The node may run meanwhile, or not run at all. progress, if
// not nil, is told how many entries were read, now and then.
func (n *Node) Verify(ctx context.Context, progress func(entries uint64)) (*Verified, error) {
	v := &verification{n: n}
	v.roster()
	feeds := n.store.Feeds()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, f := range feeds {
		g.Go(func() error { return v.feed(ctx, f, progress) })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	out := &v.out
	out.Feeds, out.Entries, out.Payloads, out.Absent = len(feeds), v.entries.Load(), v.payloads.Load(), v.absent.Load()
	slices.SortFunc(out.Damaged, func(a, b Damage) int {
		if c := a.Feed.Compare(b.Feed); c != 0 {
			return c
		}
		return int(a.Seq) - int(b.Seq)
	})
	return out, nil
}

func (v *verification) damaged(what string, feed protocol.FeedID, seq uint64, format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.out.Faults++; len(v.out.Damaged) < mostDamage {
		v.out.Damaged = append(v.out.Damaged, Damage{What: what, Feed: feed, Seq: seq, Text: fmt.Sprintf(format, args...)})
	}
}

// roster reads the statements and folds them anew.
func (v *verification) roster() {
	n := v.n
	n.gate.RLock() // the roster does not change meanwhile
	defer n.gate.RUnlock()
	var list []*protocol.Statement
	err := n.store.Statements(func(s *protocol.Statement) error {
		list = append(list, s)
		return nil
	})
	if err != nil {
		v.damaged("statement", protocol.FeedID{}, 0, "%v", err)
	}
	have := n.Roster()
	v.out.Statements, v.out.Digest, v.out.Members = len(list), have.Digest(), len(have.Active())
	folded := trust.Fold(n.mesh, list, n.ledger.pinned()...)
	switch {
	case folded.Charter == nil:
		v.damaged("roster", protocol.FeedID{}, 0, "the charter of the mesh is missing")
	case err == nil && folded.Digest() != have.Digest():
		v.damaged("roster", protocol.FeedID{}, 0, "the statements held make another roster than the one in use")
	}
	seen := map[protocol.Key]bool{}
	for _, f := range n.store.Feeds() {
		if !seen[f.Node] {
			seen[f.Node] = true
			v.out.Forks = append(v.out.Forks, have.Forks(f.Node)...)
		}
	}
}

// feed reads one feed as far as it went when this began.
func (v *verification) feed(ctx context.Context, f store.Feed, progress func(uint64)) error {
	prev, seq := protocol.EntryID{}, uint64(0)
	err := v.n.store.Range(f.ID, 1, func(e store.Entry) bool {
		h := e.Header
		if ctx.Err() != nil || seq >= f.Head {
			return false
		}
		seq++
		v.entry(f, e, seq, prev)
		prev, seq = h.ID(), h.Seq
		if n := v.entries.Add(1); progress != nil && n%1024 == 0 {
			progress(n)
		}
		return true
	})
	switch now, _ := v.n.store.Feed(f.ID); {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		v.damaged("feed", f.ID, seq+1, "%v", err)
	case now.Head < f.Head: // dropped meanwhile, since a cut voids it
	case seq != f.Head:
		v.damaged("feed", f.ID, seq+1, "entries %d to %d are missing", seq+1, f.Head)
	case f.Head > 0 && prev != f.HeadID:
		v.damaged("feed", f.ID, seq, "its last entry is another than the record names")
	}
	return nil
}

// entry checks one entry at its place.
func (v *verification) entry(f store.Feed, e store.Entry, seq uint64, prev protocol.EntryID) {
	h := e.Header
	if _, err := protocol.ParseHeader(h.Raw()); err != nil {
		v.damaged("entry", f.ID, h.Seq, "%v", err)
	}
	switch {
	case h.Feed != f.ID || h.Node != f.Node || h.Mesh != v.n.mesh:
		v.damaged("entry", f.ID, h.Seq, "it belongs to another feed, node or mesh")
	case h.Seq != seq:
		v.damaged("entry", f.ID, seq, "entry %d follows entry %d", h.Seq, seq-1)
	case h.Prev != prev:
		v.damaged("entry", f.ID, seq, "it does not follow the entry before it")
	}
	switch {
	case e.Payload != nil && h.Size > 0 && store.Ranges(f.Erased).Has(h.Seq):
		v.damaged("payload", f.ID, h.Seq, "it is here though it went for good")
	case e.Payload != nil && !h.Fits(e.Payload):
		v.damaged("payload", f.ID, h.Seq, "it is not the one that the header names")
	case e.Payload != nil:
		v.payloads.Add(1)
	case h.Size > 0 && !lacks(f, h.Seq) && !v.lacksNow(f.ID, h.Seq):
		v.damaged("payload", f.ID, h.Seq, "it is missing")
	default:
		v.absent.Add(1)
	}
}

// lacks reports whether a payload is said not to be held: it is missing, or went
// for good.
func lacks(f store.Feed, seq uint64) bool {
	return store.Ranges(f.Missing).Has(seq) || store.Ranges(f.Erased).Has(seq)
}

// lacksNow asks again: the payload may have been erased meanwhile.
func (v *verification) lacksNow(feed protocol.FeedID, seq uint64) bool {
	f, ok := v.n.store.Feed(feed)
	return !ok || lacks(f, seq)
}

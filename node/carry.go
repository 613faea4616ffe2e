package node

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sort"

	"golang.org/x/sync/errgroup"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
	"github.com/tipmesh/tipmesh/store"
)

// publishMost is how many statements that were carried in are gossiped; sync
// brings more.
const publishMost = 64

// Reasons why something carried in was not taken, beside those of Status.
const (
	ReasonFork    = "fork"    // it contradicts an entry that is held
	ReasonGap     = "gap"     // entries before it are missing
	ReasonForeign = "foreign" // it is of another mesh
)

// RawEntry is an entry as it travels: the signed header, and the payload or nil.
type RawEntry = replica.Entry

// Taken counts what became of things carried in.
type Taken struct {
	New     int
	Held    int            // they were here already
	Refused map[string]int // by reason
}

func (t *Taken) refuse(reason string, n int) {
	if n > 0 {
		if t.Refused == nil {
			t.Refused = map[string]int{}
		}
		t.Refused[reason] += n
	}
}

// Add adds other counts.
func (t *Taken) Add(o Taken) {
	t.New, t.Held = t.New+o.New, t.Held+o.Held
	for reason, n := range o.Refused {
		t.refuse(reason, n)
	}
}

// TakeStatements keeps statements that no neighbour brought, as if one had, and
// tells the others of what was new. left are those that the roster does not let
// a node keep, or not before it has others.
func (n *Node) TakeStatements(raws [][]byte) (t Taken, left [][]byte, err error) {
	var list []*protocol.Statement
	for _, raw := range raws {
		s, err := protocol.ParseStatement(raw)
		switch {
		case errors.Is(err, protocol.ErrVersion):
			left = append(left, raw)
		case err != nil:
			n.refused.add(ReasonMalformed, 1)
			t.refuse(ReasonMalformed, 1)
		case n.ledger.has(s.ID()):
			t.Held++
		case n.stale(s) != nil:
			left = append(left, raw) // signed too late: kept, it would contradict the present card
		default:
			list = append(list, s)
		}
	}
	if len(list) == 0 {
		return t, left, nil
	}
	if _, err := n.learn(list...); err != nil {
		return t, left, fmt.Errorf("take statements: %w", err)
	}
	for _, s := range list {
		switch {
		case !n.ledger.has(s.ID()):
			left = append(left, s.Raw())
		default:
			if t.New++; t.New <= publishMost {
				n.publish(s)
			}
		}
	}
	return t, left, nil
}

// TakeEntries stores entries that no neighbour brought as if one had: signature,
// chain, writer and cut are checked alike. gaps says, of feeds whose entries came
// too early, which ones are missing before them.
func (n *Node) TakeEntries(list []RawEntry) (t Taken, gaps map[protocol.FeedID]store.Range, err error) {
	if n.full() {
		return t, nil, fmt.Errorf("take entries: %w", store.ErrDiskFull)
	}
	var order []protocol.FeedID
	feeds := map[protocol.FeedID][]incoming{}
	read, faulty := n.readCarried(list, &t)
	for _, in := range read {
		if feeds[in.header.Feed] == nil {
			order = append(order, in.header.Feed)
		}
		feeds[in.header.Feed] = append(feeds[in.header.Feed], in)
	}
	gaps = map[protocol.FeedID]store.Range{}
	for _, feed := range order {
		run := feeds[feed]
		had := make([]bool, len(run))
		for i, in := range run {
			had[i] = n.holds(in)
		}
		n.extend(feed, run)
		if n.ctx.Err() != nil {
			return t, gaps, fmt.Errorf("take entries: %w", context.Cause(n.ctx))
		}
		held, _ := n.store.Feed(feed)
		for i, in := range run {
			switch reason := n.objection(in.header, held.Head); {
			case faulty[in.header]: // counted
			case had[i]:
				t.Held++
			case n.holds(in):
				t.New++
			case in.header.Seq <= held.Head && n.lacksPayload(in.header):
				t.refuse(ReasonQuota, 1) // its header is held
			case in.header.Seq <= held.Head:
				t.refuse(ReasonFork, 1)
			case in.header.Node != n.key && reason != "":
				t.refuse(reason, 1)
			default:
				t.refuse(ReasonGap, 1)
				if g, ok := gaps[feed]; !ok || in.header.Seq-1 < g.Last {
					gaps[feed] = store.Range{First: held.Head + 1, Last: in.header.Seq - 1}
				}
			}
		}
	}
	return t, gaps, nil
}

// readCarried gives what can be read of entries, in order, and of which of them
// the payload cannot be used.
func (n *Node) readCarried(list []RawEntry, t *Taken) (out []incoming, faulty map[*protocol.Header]bool) {
	parsed, faults := make([]incoming, len(list)), make([]string, len(list))
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, e := range list {
		g.Go(func() error {
			h, err := protocol.ParseHeader(e.Header)
			switch {
			case err != nil:
				faults[i] = ReasonMalformed
			case h.Mesh != n.mesh:
				faults[i] = ReasonForeign
			case e.Payload != nil && !h.Fits(e.Payload):
				faults[i] = ReasonMalformed
				parsed[i] = newIncoming(h, nil) // the header is a true one
			default:
				parsed[i] = newIncoming(h, e.Payload)
			}
			return nil
		})
	}
	_ = g.Wait() // no function of it fails
	faulty = map[*protocol.Header]bool{}
	for i, in := range parsed {
		if faults[i] == ReasonMalformed {
			n.refused.add(ReasonMalformed, 1)
		}
		if faults[i] != "" {
			t.refuse(faults[i], 1)
		}
		if in.header != nil {
			out = append(out, in)
			faulty[in.header] = faults[i] != ""
		}
	}
	return out, faulty
}

// holds reports whether an entry, with the payload that came along, is held.
func (n *Node) holds(in incoming) bool {
	h := in.header
	held, err := n.store.Header(store.Place{Feed: h.Feed, Seq: h.Seq})
	if err != nil || held.ID() != h.ID() {
		return false
	}
	f, _ := n.store.Feed(h.Feed)
	return in.payload == nil || h.Size == 0 || !store.Ranges(f.Missing).Has(h.Seq)
}

// Shown gives every feed as others may see it, direct feeds first since they
// bring the keys to the others: up to which entry it goes, and up to which its
// payloads are held too.
func (n *Node) Shown() (list []FeedShown) {
	for _, f := range n.store.Feeds() {
		s, ok := n.view.state(f)
		if !ok {
			continue
		}
		shown := FeedShown{Feed: f.ID, Direct: s.Direct, Head: s.Head, Whole: s.Head}
		if len(s.Missing) > 0 {
			shown.Whole = s.Missing[0] - 1
		}
		list = append(list, shown)
	}
	slices.SortStableFunc(list, func(a, b FeedShown) int {
		switch {
		case a.Direct == b.Direct:
			return 0
		case a.Direct:
			return -1
		}
		return 1
	})
	return list
}

// FeedShown is how much of a feed others may see.
type FeedShown struct {
	Feed   protocol.FeedID
	Direct bool
	Head   uint64 // entries 1 to Head are held,
	Whole  uint64 // and 1 to Whole with their payloads
}

// Since finds the first entry of a feed from a time on, by its writer's clock.
func (n *Node) Since(f FeedShown, at int64) uint64 {
	return 1 + uint64(sort.Search(int(f.Head), func(i int) bool {
		h, err := n.store.Header(store.Place{Feed: f.Feed, Seq: uint64(i) + 1})
		return err == nil && h.Time >= at
	}))
}

// Carry calls fn for the entries of a feed from one on, as they travel.
func (n *Node) Carry(ctx context.Context, f FeedShown, from uint64, fn func(RawEntry) error) error {
	var failed error
	err := n.store.Range(f.Feed, max(from, 1), func(e store.Entry) bool {
		if e.Header.Seq > f.Head {
			return false
		}
		if failed = ctx.Err(); failed == nil {
			failed = fn(RawEntry{Header: e.Header.Raw(), Payload: e.Payload})
		}
		return failed == nil
	})
	return errors.Join(failed, err)
}

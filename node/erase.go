package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tipmesh/tipmesh/internal/stix"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
)

// Erase writes erase entries for those of the places in which nothing holds any
// more, as far as they are this member's and no other node of it sees to them.
func (n *Node) Erase(ctx context.Context, places ...store.Place) error {
	if err := n.begun(ctx); err != nil {
		return err
	}
	if err := n.CatchUp(ctx); err != nil {
		return err
	}
	if n.erasures.of(n.cfg.Member) >= mayErase {
		return nil // others let no more wait: the look of the next day names them together
	}
	named, err := n.named()
	if err != nil {
		return err
	}
	dead := map[protocol.FeedID]store.Ranges{}
	for _, p := range places {
		f, ok := n.store.Feed(p.Feed)
		if !ok || !n.seesTo(f.Node) || named[p.Feed].Has(p.Seq) || store.Ranges(f.Erased).Has(p.Seq) {
			continue
		}
		gone, again, err := n.holdsNothing(p, n.cfg.Member, 0)
		if err != nil {
			return err
		}
		if gone {
			dead[p.Feed] = dead[p.Feed].Add(p.Seq)
		} else {
			n.looked.until(p, again)
		}
	}
	for feed, runs := range dead {
		if err := n.writeErasure(feed, runs); err != nil {
			return err
		}
	}
	return nil
}

// seesTo reports whether this node erases what a node wrote: its own, and what
// nodes of its member wrote that are there no more.
func (n *Node) seesTo(node protocol.Key) bool {
	if node == n.key {
		return true
	}
	m, ok := n.Roster().Author(node)
	return ok && m.ID == n.cfg.Member && !slices.Contains(m.Nodes, node)
}

// writeErasure writes that payloads of a feed go.
func (n *Node) writeErasure(feed protocol.FeedID, runs store.Ranges) error {
	var payloads [][]byte
	for len(runs) > 0 {
		var part [][2]uint64
		for _, r := range runs[:min(len(runs), protocol.MaxErased)] {
			part = append(part, [2]uint64{r.First, r.Last})
		}
		runs = runs[len(part):]
		payload, err := protocol.NewErasure(feed, part...)
		if err != nil {
			return err
		}
		payloads = append(payloads, payload)
	}
	n.writer.Lock()
	defer n.writer.Unlock()
	n.gate.RLock()
	defer n.gate.RUnlock()
	if err := n.mayWrite(); err != nil {
		return err
	}
	entries, err := n.appendOwn(protocol.EntryErase, nil, payloads, nil, 0)
	if err != nil {
		return fmt.Errorf("write erasure: %w", err)
	}
	n.announce(entries)
	return nil
}

// named gives what erase entries of this member have named and is held yet.
func (n *Node) named() (map[protocol.FeedID]store.Ranges, error) {
	out := map[protocol.FeedID]store.Ranges{}
	due, err := n.dueBefore(erasePrefix, math.MaxInt64)
	for _, d := range due {
		e, err := n.store.Entry(d.place)
		if err != nil || e.Payload == nil {
			continue
		}
		m, ok := n.Roster().Author(e.Header.Node)
		x, bad := protocol.ParseErasure(e.Payload)
		if bad != nil || !ok || m.ID != n.cfg.Member {
			continue
		}
		for _, r := range x.Runs() {
			f, _ := n.store.Feed(erasedFeed(x, e.Header))
			for seq := r[0]; seq <= min(r[1], f.Head); seq++ {
				out[f.ID] = out[f.ID].Add(seq)
			}
		}
	}
	return out, err
}

// erasedFeed is the feed that an erasure names.
func erasedFeed(x *protocol.Erasure, h *protocol.Header) protocol.FeedID {
	if x.Feed == (protocol.FeedID{}) {
		return h.Feed
	}
	return x.Feed
}

// looks remembers until when it is of no use to look at own entries again for
// whether anything in them holds.
type looks struct {
	mu sync.Mutex
	by map[store.Place]int64 // milliseconds since 1970
}

func (l *looks) until(p store.Place, at int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.by == nil {
		l.by = map[store.Place]int64{}
	}
	l.by[p] = at
}

func (l *looks) due(p store.Place, now int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.by[p] <= now
}

// forget is called when this member has withdrawn something.
func (l *looks) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.by)
}

// eraseOwn looks at all own entries in which something may have ceased to hold.
func (n *Node) eraseOwn() error {
	var places []store.Place
	for _, f := range n.store.Feeds() {
		if !n.seesTo(f.Node) {
			continue
		}
		for seq := uint64(1); seq <= f.Head; seq++ {
			p := store.Place{Feed: f.ID, Seq: seq}
			if n.looked.due(p, n.now().UnixMilli()) && !store.Ranges(f.Erased).Has(seq) && !store.Ranges(f.Missing).Has(seq) {
				places = append(places, p)
			}
		}
	}
	return n.Erase(n.ctx, places...)
}

// part is an object of an entry.
type part struct {
	id     string
	source string // of a relationship
	aside  bool   // made by tipmesh around what is shared: the record of the share, a family's name
	over   bool   // withdrawn, or no longer valid
	until  int64  // milliseconds since 1970; 0: for good
}

// holdsNothing reports whether nothing in an entry of a member's holds any more,
// and has not for some time: all that can be withdrawn or can expire by itself is
// withdrawn or has expired, by its author's end or by its lifetime. Who said
// it, how it is marked, the record of the share, the name of a family and the
// relationships of what is in the entry hold nothing by themselves. An entry that
// withdraws something stays. again is when to look next where something holds.
func (n *Node) holdsNothing(p store.Place, by protocol.MemberID, kept time.Duration) (nothing bool, again int64, err error) {
	h, err := n.store.Header(p)
	if err != nil || h.Kind != protocol.EntrySealed {
		return false, math.MaxInt64, err
	}
	bundle, err := n.Open(p)
	if err != nil {
		return false, math.MaxInt64, nil // nothing that this node can judge
	}
	parts, err := n.partsOf(bundle, by, kept)
	if err != nil || parts == nil {
		return false, math.MaxInt64, err
	}
	carriers, over, holds := 0, 0, 0
	again = math.MaxInt64
	for _, x := range parts {
		if x.over {
			over++
		}
		if x.aside || x.source != "" && slices.ContainsFunc(parts, func(y part) bool { return y.id == x.source }) {
			continue
		}
		carriers++
		if x.over {
			continue
		}
		if holds++; x.until > 0 {
			again = min(again, x.until)
		}
	}
	if carriers == 0 {
		return over == len(parts), math.MaxInt64, nil
	}
	return holds == 0, again, nil
}

// partsOf reads what is in an entry; nil where it withdraws something.
func (n *Node) partsOf(bundle []byte, by protocol.MemberID, kept time.Duration) (parts []part, err error) {
	errStays := errors.New("stays")
	err = stix.Scan(bundle, func(_ int, raw []byte, f *stix.Facts) error {
		switch {
		case f.Revoked:
			return errStays
		case f.Type == "" || f.ID == "" || f.Type == "identity" || f.Type == "marking-definition" || f.Type == "extension-definition":
			return nil
		}
		x := part{id: strings.Clone(f.ID), aside: f.Type == "grouping" && f.Share != ""}
		var o struct {
			Source string `json:"source_ref"`
			Name   string `json:"name"`
		}
		if err := json.Unmarshal(raw, &o); err != nil {
			return err
		}
		switch f.Type {
		case "relationship":
			x.source = o.Source
		case "malware":
			x.aside = stix.NewMalware(stix.Author{ID: f.CreatedBy}, o.Name, stix.Handling{}, n.now()).ID == x.id
		}
		list, err := n.store.Index().ByID(x.id)
		if err != nil {
			return err
		}
		for _, o := range list {
			if o.Member != by {
				continue
			}
			values, _ := valuesOf(f.Values)
			if x.until, err = n.endOf(&o, values, n.past); err != nil {
				return err
			}
			if x.until > 0 {
				x.until += kept.Milliseconds()
			}
			x.over = o.Revoked || x.until > 0 && n.past(x.until)
		}
		parts = append(parts, x)
		return nil
	})
	if errors.Is(err, errStays) {
		return nil, nil
	}
	return parts, err
}

// disputed reports whether what an entry says does not count, or perhaps not: it
// lies beyond a cut or on a branch that is void, or its writer's feed is forked.
func (n *Node) disputed(r *trust.Roster, h *protocol.Header) bool {
	if last, ended := r.Limit(h.Node, h.Feed); ended && h.Seq > last {
		return true
	}
	if from, void := n.voidFrom(h.Node, h.Feed); void && h.Seq >= from {
		return true
	}
	fork, forked := r.Fork(h.Node)
	return forked && !fork.Resolved
}

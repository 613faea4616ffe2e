package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tipmesh/tipmesh/internal/observable"
	"github.com/tipmesh/tipmesh/internal/stix"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/seal"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
)

// indexRun is how many arrivals are opened and put into the index together.
const indexRun = 16

// reading is a run of arrivals, opened and parsed.
type reading struct {
	objects   []store.Object
	last      uint64
	withdrawn []withdrawn // entries of others that withdraw something
}

// index keeps the index in step with the arrivals, and begins again where it was
// emptied for damage.
func (n *Node) index() {
	n.spawn(func() {
		for {
			select {
			case <-n.store.Index().Emptied():
				n.log.Error("index was damaged and is made again")
				n.pulse.beat()
			case <-n.ctx.Done():
				return
			}
		}
	})
	for n.indexFrom(n.store.Index().Checkpoint()) {
	}
}

// indexFrom follows the arrivals after one: one goroutine opens and parses ahead
// while the other writes. It gives true where the index was emptied meanwhile.
func (n *Node) indexFrom(at uint64) (emptied bool) {
	ctx, end := context.WithCancel(n.ctx)
	defer end()
	var put atomic.Uint64 // how far the index has come
	put.Store(at)
	lost := func() bool {
		come := put.Load() // first: the other goroutine moves the checkpoint, then this
		return n.store.Index().Checkpoint() < come
	}
	parsed := make(chan reading, 2)
	n.spawn(func() {
		defer close(parsed)
		for at := at; ; {
			again := false
			if n.until(ctx, func() bool { again = lost(); return again || n.store.LastArrival() > at }) != nil || again {
				return
			}
			r, err := n.readArrivals(at)
			if err != nil {
				n.stop(fmt.Errorf("index arrivals after %d: %w", at, err))
				return
			}
			at = r.last
			select {
			case parsed <- r:
			case <-ctx.Done():
				return
			}
		}
	})
	for r := range parsed {
		if ctx.Err() != nil {
			continue
		}
		if err := n.owe(r.withdrawn); err != nil {
			n.stop(fmt.Errorf("keep that receipts are owed: %w", err))
			continue
		}
		err := n.putIndex(&store.IndexBatch{Objects: r.objects, After: put.Load(), Checkpoint: r.last})
		if errors.Is(err, store.ErrRebuild) {
			end()
			continue
		}
		if err != nil {
			n.stop(fmt.Errorf("write index: %w", err))
			continue
		}
		put.Store(r.last)
		if len(r.withdrawn) > 0 {
			poke(n.receipts.wake)
		}
		n.pulse.beat()
		if n.cfg.OnIndexed != nil {
			n.cfg.OnIndexed(r.last)
		}
	}
	return n.ctx.Err() == nil
}

// readArrivals opens and parses the next run of arrivals.
func (n *Node) readArrivals(after uint64) (reading, error) {
	var run []store.Arrival
	err := n.store.Arrivals(after, func(a store.Arrival) bool {
		run = append(run, a)
		return len(run) < indexRun
	})
	if err != nil {
		return reading{}, err
	}
	if len(run) == 0 {
		return reading{}, errors.New("an arrival is missing")
	}
	parts := make([][]store.Object, len(run))
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, a := range run {
		g.Go(func() (err error) {
			parts[i], err = n.objectsOf(a)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return reading{}, err
	}
	r := reading{last: run[len(run)-1].Number}
	for i, a := range run {
		if slices.ContainsFunc(parts[i], func(o store.Object) bool { return o.Revoked && o.Member == n.cfg.Member }) {
			n.looked.forget()
		}
		if at := slices.IndexFunc(parts[i], func(o store.Object) bool { return o.Revoked && o.Member != n.cfg.Member }); at >= 0 {
			r.withdrawn = append(r.withdrawn, withdrawn{author: parts[i][at].Member, place: a.Place, arrival: a.Number})
		}
	}
	if len(parts) == 1 {
		r.objects = parts[0]
		return r, nil
	}
	count := 0
	for _, p := range parts {
		count += len(p)
	}
	r.objects = make([]store.Object, 0, count)
	for _, p := range parts {
		r.objects = append(r.objects, p...)
	}
	return r, nil
}

// objectsOf opens one entry and gives what the index keeps of it: nothing where
// the content is of no use, which is counted. It fails where the store does.
func (n *Node) objectsOf(a store.Arrival) ([]store.Object, error) {
	if a.Place == (store.Place{}) {
		return nil, nil // dropped since: it was of a void branch
	}
	feed, _ := n.store.Feed(a.Place.Feed)
	author, ok := n.Roster().Author(feed.Node)
	if !ok {
		n.refused.add(ReasonNotAdmitted, 1)
		return nil, nil
	}
	bundle, opened := n.opened.take(a.Place)
	if !opened {
		e, err := n.store.Entry(a.Place)
		if errors.Is(err, store.ErrNotFound) {
			return nil, nil // dropped just now
		}
		if err != nil {
			return nil, err
		}
		if e.Payload == nil && n.erased(a.Place) {
			return nil, nil
		}
		if bundle, err = n.openEntry(e); err != nil {
			n.refused.add(ReasonMalformed, 1)
			n.log.Warn("entry cannot be opened", "node", feed.Node.Short(), "seq", a.Place.Seq, "err", err)
			return nil, nil
		}
	}
	objects, err := Objects(bundle, author.ID, author.Card.Identity, author.ID == n.cfg.Member, a.Number, n.receivedNow())
	if to := n.audienceOf(a.Place); !to.IsZero() {
		for i := range objects {
			objects[i].Summary.Audience = to
		}
	}
	if err != nil {
		n.refused.add(ReasonMalformed, 1)
		n.log.Warn("entry holds no STIX bundle", "node", feed.Node.Short(), "seq", a.Place.Seq, "err", err)
	}
	return objects, nil
}

// openEntry opens a sealed entry with the epoch its tag names.
func (n *Node) openEntry(e store.Entry) ([]byte, error) {
	if e.Header.Kind != protocol.EntrySealed || e.Payload == nil {
		return nil, errors.New("no sealed payload is held")
	}
	epoch := n.keys.find(e.Header.Feed, e.Header.Tag)
	if epoch == nil {
		return nil, seal.ErrNotForUs
	}
	return seal.OpenBundle(e.Payload, epoch.identity)
}

// Open gives the bundle of an entry, as JSON.
func (n *Node) Open(p store.Place) ([]byte, error) {
	e, err := n.store.Entry(p)
	if err != nil {
		return nil, err
	}
	return n.openEntry(e)
}

// Objects reads what the index keeps of a bundle shared by a member whose STIX
// identity is given; own says that it is this node's member. What was read before
// an error is given too.
func Objects(bundle []byte, member protocol.MemberID, identity string, own bool, arrival uint64, received int64) ([]store.Object, error) {
	out := make([]store.Object, 0, len(bundle)/512+1)
	var share shareHandling
	err := stix.Scan(bundle, func(ordinal int, raw []byte, f *stix.Facts) error {
		if f.Type == "" || f.ID == "" || f.Type == "marking-definition" || f.Type == "extension-definition" {
			return nil
		}
		o := store.Object{Member: member, ID: strings.Clone(f.ID), Type: strings.Clone(f.Type), Modified: millis(f.Modified),
			Created: millis(f.Created), Revoked: f.Revoked, Arrival: arrival, Ordinal: uint32(ordinal)}
		o.Content = contentOf(raw, f, own)
		o.Summary = store.Summary{Says: strings.Clone(f.Says), Action: string(f.Action), TLP: string(f.TLP), Confidence: f.Confidence,
			ValidFrom: millis(f.ValidFrom), ValidUntil: millis(f.ValidUntil), FirstSeen: millis(f.FirstSeen),
			LastSeen: millis(f.LastSeen), Received: received}
		if f.CreatedBy != identity && f.ID != identity {
			o.Summary.CreatedBy = strings.Clone(f.CreatedBy)
		}
		o.Values, o.Summary.Partial = valuesOf(f.Values)
		record := f.Type == "grouping" && f.Share != "" && f.CreatedBy == identity
		o.Refs, o.Words = refsOf(f, record), wordsOf(f, member, record)
		if record {
			share = shareHandling{id: strings.Clone(f.Share), tlp: f.TLP, action: f.Action}
		}
		out = append(out, o)
		return nil
	})
	share.apply(out)
	if err != nil {
		return out, fmt.Errorf("read bundle: %w", err)
	}
	return out, nil
}

// contentOf tells contents of one version apart. Of own objects the times do not
// count, so that a share can be seen to say nothing new; others' need no more
// than their bytes.
func contentOf(raw []byte, f *stix.Facts, own bool) (content [8]byte) {
	if own {
		sum := stix.ContentHash(stix.Object{Type: f.Type, ID: f.ID, Raw: raw})
		return [8]byte(sum[:8])
	}
	sum := sha256.Sum256(raw)
	return [8]byte(sum[:8])
}

// shareHandling is what the record of a share says of all that came with it.
type shareHandling struct {
	id     string
	tlp    stix.TLP
	action stix.Action
}

// apply fills in what objects do not say themselves: the share's action, and its
// TLP where that is stricter than theirs.
func (s shareHandling) apply(objects []store.Object) {
	for i := range objects {
		sum := &objects[i].Summary
		sum.Share = s.id
		if sum.Action == "" && objects[i].Type == "indicator" {
			sum.Action = string(s.action)
		}
		if s.tlp.Rank() > stix.TLP(sum.TLP).Rank() {
			sum.TLP = string(s.tlp)
		}
		tlpFacet(&objects[i])
	}
}

// valuesOf normalises the observables of an object. partial is true where one of
// them does not suffice by itself.
func valuesOf(terms []stix.Term) (values []store.Value, partial bool) {
	for _, t := range terms {
		if t.Kind == "" {
			continue
		}
		v, err := observable.ParseTerm(observable.Type(t.Kind), t.Text)
		if err != nil {
			continue
		}
		values = append(values, store.Value{Type: string(v.Type), Text: strings.Clone(v.Text)})
		partial = partial || !t.Alone
	}
	return values, partial
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// CatchUp waits until the index includes every arrival there is now.
func (n *Node) CatchUp(ctx context.Context) error {
	target := n.store.LastArrival()
	return n.until(ctx, func() bool { return n.store.Index().Checkpoint() >= target })
}

// counts reports whether an entry lies within its feed's cut, on the branch that
// survives, so that what it
// says may be shown.
func (n *Node) counts(arrival uint64) bool {
	var place store.Place
	err := n.store.Arrivals(arrival-1, func(a store.Arrival) bool {
		place = a.Place
		return false
	})
	if err != nil {
		return false
	}
	h, err := n.store.Header(place)
	if err != nil {
		return false
	}
	if from, void := n.voidFrom(h.Node, h.Feed); void && h.Seq >= from {
		return false
	}
	last, ended := n.Roster().Limit(h.Node, h.Feed)
	return !ended || h.Seq <= last
}

// Lookup gives, for each value, the newest version of every object of every
// member that is about it, as far as it counts. Call CatchUp first.
func (n *Node) Lookup(values []store.Value) ([][]store.Object, error) {
	out := make([][]store.Object, len(values))
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	const run = 64
	for from := 0; from < len(values); from += run {
		g.Go(func() error {
			for i := from; i < min(from+run, len(values)); i++ {
				found, err := n.store.Index().ByValue(values[i])
				if err != nil {
					return fmt.Errorf("look up: %w", err)
				}
				out[i] = n.visible(found)
			}
			return nil
		})
	}
	return out, g.Wait()
}

// visible leaves out what lies beyond a cut, of a feed or of who left a group.
func (n *Node) visible(list []store.Object) []store.Object {
	cut := n.anyCut()
	if !cut && !n.keys.grouped() {
		return list
	}
	var out []store.Object
	for _, o := range list {
		if (!cut || n.counts(o.Arrival)) && n.stands(&o) {
			out = append(out, o)
		}
	}
	return out
}

// anyCut reports whether any feed may end somewhere: where none does, nothing
// need be read to tell what counts.
func (n *Node) anyCut() bool {
	r := n.Roster()
	for _, m := range r.Members {
		if m.State != trust.StateActive || len(m.Card.Retired) > 0 || len(m.Nodes) != len(m.Card.Nodes) {
			return true
		}
	}
	for _, p := range r.Proposals {
		if p.Kind == protocol.KindCut && p.State == trust.ProposalDone {
			return true
		}
	}
	return false
}

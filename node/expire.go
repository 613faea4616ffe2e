package node

import (
	"slices"
	"time"

	"github.com/tipmesh/tipmesh/internal/lifetime"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
	"github.com/tipmesh/tipmesh/store"
)

// How what has expired leaves the disk.
const (
	expiredKept   = 7 * 24 * time.Hour // what others wrote stays so long for their own erase entries to come first
	mostSightings = 1024               // of one object that are looked at for whether they renew it
	clockSlack    = 10 * time.Minute   // that this node's clock may differ from the others' and be believed
)

// Present is the time by which what has expired is told here: this node's, but no
// later than by the other members' clocks, as far as they are known. A clock that
// runs ahead so hides nothing by itself; one that is behind only delays.
func (n *Node) Present() time.Time {
	now := n.now()
	if theirs, ok := n.meshTime(); ok && theirs < now.UnixMilli() {
		return time.UnixMilli(theirs)
	}
	return now
}

// receivedNow is when something came, for the index: by this node's clock, unless
// it is far from the other members'. Lifetimes count from no later than that, so a
// wrong clock must not be what they count from.
func (n *Node) receivedNow() int64 {
	now := n.now().UnixMilli()
	if theirs, ok := n.meshTime(); ok && max(now-theirs, theirs-now) > clockSlack.Milliseconds() {
		return theirs
	}
	return now
}

// Ended reports whether what an object says of values has ended at present, by its
// author's end or by its lifetime: no way out gives it any more. Without values only
// the author's end counts.
func (n *Node) Ended(o *store.Object, values []store.Value) (bool, error) {
	now := n.Present().UnixMilli()
	end, err := n.endOf(o, values, func(at int64) bool { return at <= now })
	return end > 0 && end <= now, err
}

// endOf is when what an object says of values ends, in milliseconds since 1970; 0:
// never. Sightings count where it would be over without.
func (n *Node) endOf(o *store.Object, values []store.Value, over func(at int64) bool) (end int64, err error) {
	if len(values) == 0 {
		return o.Summary.ValidUntil, nil
	}
	lives := lifetime.Table(n.Roster().Rules.Lifetimes)
	for _, v := range values {
		until, ends := lives.Until(o, v.Type)
		if !ends {
			return 0, nil
		}
		if over(until.UnixMilli()) {
			seen, err := n.sightings(v)
			if err != nil {
				return 0, err
			}
			until, _ = lives.Until(o, v.Type, seen...)
		}
		end = max(end, until.UnixMilli())
	}
	return end, nil
}

// sightings gives when a value was last met, as members say, but none later than
// they said it. It counts all of them: who is believed is for look-ups to say, and
// what is erased is gone.
func (n *Node) sightings(v store.Value) (seen []time.Time, err error) {
	about, err := n.store.Index().ByValue(v)
	if err != nil {
		return nil, err
	}
	for _, id := range distinct(about) {
		list, err := n.store.Index().Referring(id, mostSightings)
		if err != nil {
			return nil, err
		}
		for _, o := range list {
			if o.Type != "sighting" || o.Revoked {
				continue
			}
			at := o.Modified
			if o.Summary.LastSeen > 0 {
				at = o.Summary.LastSeen
			}
			if o.Summary.Received > 0 {
				at = min(at, o.Summary.Received)
			}
			seen = append(seen, time.UnixMilli(at))
		}
	}
	return seen, nil
}

// distinct gives the identifiers of objects, each once.
func distinct(list []store.Object) (ids []string) {
	for i := range list {
		ids = append(ids, list[i].ID)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// dropExpired lets payloads of others go in which everything has expired for long:
// their authors have not named them, or are not in the mesh any more. Only what
// can be read here can be judged; who merely carries it waits for the erase entry.
func (n *Node) dropExpired() error {
	shortest := n.shortestLife() + expiredKept.Milliseconds()
	for _, f := range n.store.Feeds() {
		m, ok := n.Roster().Author(f.Node)
		if !ok || n.seesTo(f.Node) || m.ID == n.cfg.Member || f.Kind == protocol.EntryDirect {
			continue
		}
		var places []store.Place
		gone := store.Ranges(f.Erased).With(f.Missing)
		for seq := uint64(1); seq <= f.Head && n.ctx.Err() == nil; seq++ {
			p := store.Place{Feed: f.ID, Seq: seq}
			if gone.Has(seq) || !n.looked.due(p, n.now().UnixMilli()) {
				continue
			}
			over, err := n.expired(p, m.ID, shortest)
			if err != nil {
				return err
			}
			if over {
				places = append(places, p)
			}
		}
		if places = tellable(gone, places); len(places) == 0 {
			continue
		}
		if err := n.letGo(f.ID, places); err != nil {
			return err
		}
		n.refused.add(ReasonExpired, len(places))
	}
	return n.ctx.Err()
}

// expired reports whether everything in an entry of another member's has expired
// for long.
func (n *Node) expired(p store.Place, m protocol.MemberID, shortest int64) (bool, error) {
	h, err := n.store.Header(p)
	if err != nil {
		return false, err
	}
	if _, arrived := n.store.ArrivalOf(p); !arrived || !n.past(h.Time+shortest) {
		return false, nil // most entries are told without opening them
	}
	nothing, again, err := n.holdsNothing(p, m, expiredKept)
	if err == nil && !nothing {
		n.looked.until(p, again)
	}
	return nothing, err
}

// shortestLife is the shortest lifetime of any type of value, in milliseconds.
func (n *Node) shortestLife() int64 {
	l := n.Roster().Rules.Lifetimes
	return 1000 * min(l.Address(), l.URL(), l.Domain(), l.Mail(), l.Certificate(), l.Hash())
}

// tellable gives as many of the places, in order, as can go and be told as missing
// with what is gone already: whoever was told that this node holds a payload would
// ask for it in vain.
func tellable(gone store.Ranges, places []store.Place) []store.Place {
	gone = gone.Clone()
	fit := 0
	for i, p := range places {
		if gone = gone.Add(p.Seq); len(gone) <= replica.MaxRanges {
			fit = i + 1
		}
	}
	return places[:fit]
}

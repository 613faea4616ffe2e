package audience

import (
	"math"
	"slices"

	"github.com/tipmesh/tipmesh/protocol"
)

// HistoryAll is the history of a group whose newcomers get all there is.
const HistoryAll = math.MaxUint64

// Bounds of what a fold is given.
const (
	MaxStates = 1024 // states of one group
	MaxLeaves = 512  // leaves of one group
)

// State is a state as it came.
type State struct {
	*protocol.AudienceState
	Told bool // by its signer's own feed, within its cut
}

// Leave says that a member left the group, of which State was the newest state it
// knew. Cuts are where the feeds it wrote for the group ended when that was heard.
type Leave struct {
	Member protocol.MemberID
	State  protocol.Hash
	Cuts   []protocol.FeedCut
}

// Facts are what the roster says.
type Facts interface {
	// Author is whose node it is or was.
	Author(node protocol.Key) (protocol.MemberID, bool)
	// MayAct reports whether a node may act now.
	MayAct(node protocol.Key) bool
	// Active reports whether a member is in the mesh now.
	Active(member protocol.MemberID) bool
}

// Group is a sharing group, as one set of states and leaves and one roster have
// it. It does not change.
type Group struct {
	ID       protocol.AudienceID
	Head     *protocol.AudienceState // the newest state that counts
	Owner    protocol.MemberID
	Name     string
	History  uint64              // seconds
	Members  []protocol.MemberID // who is in, ascending, whether active in the mesh or not
	Readers  []protocol.MemberID // those of Members that are active
	Deputies []protocol.MemberID // those that are in, in their order
	Acting   protocol.MemberID   // the first of owner and deputies that is in and active; zero: none
	Ended    bool                // for good
	Gone     []protocol.MemberID // on the head's list and yet not in, ascending: a state should say so
	Rivals   []protocol.Hash     // valid states outside the past of the head, without those in each other's past; ascending
	Conflict bool                // two states by one member after the same one: neither counts
	// Departures names everything that took a reader away, ascending: an epoch
	// fits if it knows just these beside the roster's.
	Departures []protocol.Hash

	known  []protocol.Hash // departures, and leaves that a state has recorded since
	joined map[protocol.MemberID]int64
	cuts   map[protocol.MemberID][][]protocol.FeedCut
}

// In reports whether a member is in the group.
func (g *Group) In(m protocol.MemberID) bool { return contains(g.Members, m) }

// MayWrite reports whether a member may write for the group now.
func (g *Group) MayWrite(m protocol.MemberID) bool { return !g.ReadOnly() && contains(g.Readers, m) }

// ReadOnly reports whether nobody may write: the group has ended, or neither
// owner nor deputy is left.
func (g *Group) ReadOnly() bool { return g.Ended || g.Acting.IsZero() }

// MayChange reports whether a member may sign the next state.
func (g *Group) MayChange(m protocol.MemberID) bool {
	return !g.Ended && contains(g.Readers, m) && (m == g.Owner || slices.Contains(g.Deputies, m))
}

// Counts reports whether an entry of a member, at seq of a feed, counts in the
// group: the member is in, or was, and its cuts reach that far.
func (g *Group) Counts(m protocol.MemberID, feed protocol.FeedID, seq uint64) bool {
	if g.In(m) {
		return true
	}
	return len(g.cuts[m]) > 0 && seq <= g.least(m, feed)
}

// Cuts gives where the feeds of a member that is not in end, ascending: of
// several lists the lowest seq counts, and a feed that one of them leaves out
// ends at 0.
func (g *Group) Cuts(m protocol.MemberID) (out []protocol.FeedCut) {
	if len(g.cuts[m]) == 0 || g.In(m) {
		return nil
	}
	for _, c := range g.cuts[m][0] {
		if last := g.least(m, c.Feed); last > 0 {
			out = append(out, protocol.FeedCut{Feed: c.Feed, Seq: last})
		}
	}
	return out
}

// least is the lowest seq that a list of cuts gives a feed.
func (g *Group) least(m protocol.MemberID, feed protocol.FeedID) uint64 {
	least := uint64(math.MaxUint64)
	for _, cuts := range g.cuts[m] {
		i, named := slices.BinarySearchFunc(cuts, feed, func(c protocol.FeedCut, id protocol.FeedID) int { return c.Feed.Compare(id) })
		if !named {
			return 0
		}
		least = min(least, cuts[i].Seq)
	}
	return least
}

// Entitled reports whether a member that is in may have an epoch of the group: it
// is among the epoch's readers, or the group's history reaches back to it from
// when the member came in.
func (g *Group) Entitled(m protocol.MemberID, e *protocol.Epoch) bool {
	switch {
	case !g.In(m):
		return false
	case e.Reads(m) || g.History > math.MaxInt64/1000:
		return true
	}
	back, joined := int64(g.History)*1000, g.joined[m]
	return back > 0 && (joined < math.MinInt64+back || e.Time >= joined-back)
}

// Joined is when a member came in, by the clock of who signed that.
func (g *Group) Joined(m protocol.MemberID) int64 { return g.joined[m] }

// Knows reports whether a departure of the group, and not of the roster, is known.
func (g *Group) Knows(departure protocol.Hash) bool {
	_, ok := slices.BinarySearchFunc(g.known, departure, protocol.Hash.Compare)
	return ok
}

// departure names a state in which somebody left, or a leave.
func departure(id protocol.AudienceID, what ...[]byte) protocol.Hash {
	parts := append([][]byte{[]byte("departure\x00g"), id[:]}, what...)
	return protocol.DomainDigest.Sum(parts...)
}

// contains looks in an ascending list.
func contains[K any](list []protocol.ID[K], id protocol.ID[K]) bool {
	_, ok := slices.BinarySearchFunc(list, id, protocol.ID[K].Compare)
	return ok
}

package node

import (
	"cmp"
	"slices"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// maxSought is how many entries of a feed are looked at for one that says which
// group the feed is for: a writer may let nobody have any epoch of its entries.
const maxSought = 1024

// Heads gives where the feeds of a member's nodes end as held here: the cuts of
// a removal. Each names its entry, so that of a forked feed the branch held here
// survives. Of more feeds than a cut names it gives the longest: who begins feeds
// without end must not thereby be safe from removal. See Uncut.
func (n *Node) Heads(member protocol.MemberID) []protocol.FeedCut {
	return n.longest(n.feedsBy(member))
}

// Uncut is how many feeds of a member's nodes Heads does not name, and how many
// entries held here are in them: a removal ends them before their first entry.
func (n *Node) Uncut(member protocol.MemberID) (feeds int, entries uint64) {
	list := n.feedsBy(member)
	for _, f := range list[min(len(list), protocol.MaxCuts):] {
		feeds, entries = feeds+1, entries+f.Head
	}
	return feeds, entries
}

func (n *Node) feedsBy(member protocol.MemberID) []store.Feed {
	r := n.Roster()
	return n.feedsThat(func(f store.Feed) bool {
		m, ok := r.Author(f.Node)
		return ok && m.ID == member
	})
}

// headsOf gives where the feeds of a node end as held here.
func (n *Node) headsOf(node protocol.Key) []protocol.FeedCut {
	return n.longest(n.feedsThat(func(f store.Feed) bool { return f.Node == node }))
}

// groupHeads gives where the feeds that a member wrote for a group end, as held
// here.
func (n *Node) groupHeads(id protocol.AudienceID, m protocol.MemberID) []protocol.FeedCut {
	r := n.Roster()
	out := n.longest(n.feedsThat(func(f store.Feed) bool {
		author, ok := r.Author(f.Node)
		return ok && author.ID == m && f.Kind != protocol.EntryDirect && n.writtenFor(f) == id
	}))
	for i := range out {
		out[i].Entry = protocol.EntryID{} // a group's cuts name none
	}
	return out
}

// writtenFor gives the group that a feed was written for, as far as this node has
// any of its epochs. The newest entries may wait for theirs, and the oldest be
// from before this member came in.
func (n *Node) writtenFor(f store.Feed) protocol.AudienceID {
	if !n.keys.grouped() {
		return protocol.AudienceID{}
	}
	last := f.Head - min(f.Head, maxSought)
	for seq := f.Head; seq > last; seq-- {
		h, err := n.store.Header(store.Place{Feed: f.ID, Seq: seq})
		if err != nil || h.Kind != protocol.EntrySealed {
			continue
		}
		if e := n.keys.find(h.Feed, h.Tag); e != nil {
			if e.Audience == n.keys.everyone {
				return protocol.AudienceID{}
			}
			return e.Audience
		}
	}
	return n.audienceOf(store.Place{Feed: f.ID, Seq: 1})
}

// feedsThat gives feeds with entries, the longest first.
func (n *Node) feedsThat(match func(store.Feed) bool) (out []store.Feed) {
	for _, f := range n.store.Feeds() {
		if f.Head > 0 && match(f) {
			out = append(out, f)
		}
	}
	slices.SortFunc(out, func(a, b store.Feed) int {
		return cmp.Or(cmp.Compare(b.Head, a.Head), a.ID.Compare(b.ID))
	})
	return out
}

// longest gives the cuts of as many feeds as a cut names, and says so if some are
// left out.
func (n *Node) longest(list []store.Feed) []protocol.FeedCut {
	if over := len(list) - protocol.MaxCuts; over > 0 {
		n.log.Error("more feeds than a cut names: the shortest end before their first entry", "feeds", len(list), "left out", over)
		list = list[:protocol.MaxCuts]
	}
	var out []protocol.FeedCut
	for _, f := range list {
		out = append(out, protocol.FeedCut{Feed: f.ID, Seq: f.Head, Entry: f.HeadID})
	}
	slices.SortFunc(out, func(a, b protocol.FeedCut) int { return a.Feed.Compare(b.Feed) })
	return out
}

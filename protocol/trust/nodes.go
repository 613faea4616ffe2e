package trust

import (
	"slices"

	"github.com/tipmesh/tipmesh/protocol"
)

// rank orders the claims to a node; see the package comment.
type rank int

const (
	rankVoid rank = iota
	rankFormer
	rankLater
	rankApproved
)

// claim is who may own a node, and where its feeds end.
type claim struct {
	best   rank
	owner  *person // nil while contested
	by     []*person
	ends   []end
	closed bool // some end covers all feeds
}

// end is one statement's say on where feeds of a node end.
type end struct {
	by   protocol.StatementID
	all  bool // feeds not named end at 0
	cuts []protocol.FeedCut
}

// sortedPeople gives everybody ever admitted, ascending by ID.
func (f *fold) sortedPeople() []*person {
	out := make([]*person, 0, len(f.people))
	for _, p := range f.people {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b *person) int { return a.id.Compare(b.id) })
	return out
}

// claimNodes finds the owner of each node.
func (f *fold) claimNodes() {
	people := f.sortedPeople()
	for _, p := range people {
		p.named = p.claims()
		for node, r := range p.named {
			c := f.nodes[node]
			if c == nil {
				c = &claim{best: r}
				f.nodes[node] = c
			}
			if r > c.best {
				c.best, c.by = r, nil
			}
			if r == c.best {
				c.by = append(c.by, p)
			}
		}
	}
	for node, c := range f.nodes {
		if len(c.by) == 1 || c.best <= rankFormer {
			c.owner = c.by[0]
			continue
		}
		f.alarm(Alarm{Kind: AlarmNodeClaimed, Member: c.by[0].id, Node: node,
			Text: "several members name this node: it belongs to none until all but one withdraw or are removed"})
	}
}

// claims gives each node the member ever named, with its best claim.
func (p *person) claims() map[protocol.Key]rank {
	out := make(map[protocol.Key]rank, len(p.chain.tip().card.Nodes))
	claim := func(n *node, r rank) {
		for _, cn := range n.card.Nodes {
			out[cn.Key] = max(out[cn.Key], r)
		}
	}
	for _, n := range p.chain.tree {
		claim(n, rankVoid)
	}
	for _, n := range p.chain.path {
		claim(n, rankFormer)
	}
	if p.state == StateActive {
		claim(p.chain.tip(), rankLater)
		for node := range p.retired() {
			if r, named := out[node]; named {
				out[node] = max(r, rankLater)
			}
		}
	}
	claim(p.chain.path[0], rankApproved)
	for _, o := range p.admissions {
		if n := p.card(o.s.Doc().(*protocol.Admission).Card); n != nil {
			claim(n, rankApproved)
		}
	}
	return out
}

// card finds a card that counts.
func (p *person) card(id protocol.StatementID) *node {
	for _, n := range p.chain.path {
		if n.id == id {
			return n
		}
	}
	return nil
}

// retired gives the ends that cards put to nodes: the newest card that retires a
// node says where its feeds end.
func (p *person) retired() map[protocol.Key]end {
	var out map[protocol.Key]end
	for _, n := range p.chain.path {
		for _, r := range n.card.Retired {
			if out == nil {
				out = map[protocol.Key]end{}
			}
			out[r.Node] = end{by: n.id, all: true, cuts: r.Cuts}
		}
	}
	return out
}

// endFeeds collects what ends the feeds of each node.
func (f *fold) endFeeds() {
	for _, p := range f.people {
		retired := p.retired()
		var named map[protocol.Key]uint64
		if len(p.removals) > 0 {
			named = p.firstNamed()
		}
		for node := range p.named {
			c := f.nodes[node]
			if c.owner != p {
				continue
			}
			if e, ok := retired[node]; ok {
				c.add(e)
			}
			p.endByRemoval(c, named[node])
			if !c.closed && !p.names(node) {
				c.add(end{by: p.chain.tip().id, all: true})
			}
		}
	}
	for _, o := range f.ops {
		doc, ok := o.s.Doc().(*protocol.Cut)
		if !ok || !o.counts {
			continue
		}
		if c := f.nodes[doc.Node]; c != nil && c.owner != nil && c.owner.id == o.subject {
			c.add(end{by: o.s.ID(), cuts: doc.Cuts})
		}
	}
}

func (c *claim) add(e end) {
	c.ends = append(c.ends, e)
	c.closed = c.closed || e.all
}

// endByRemoval adds the removals that end a node first named in a card of the
// given version.
func (p *person) endByRemoval(c *claim, version uint64) {
	var fresh *node
	if p.force != nil {
		fresh = p.card(p.force.s.Doc().(*protocol.Admission).Card)
	}
	for _, r := range p.removals {
		if p.state == StateActive && (!r.counts || fresh != nil && version >= fresh.card.Version) {
			continue
		}
		c.add(end{by: r.s.ID(), all: true, cuts: r.s.Doc().(*protocol.Removal).Cuts})
	}
	if p.state == StateRemoved && len(p.removals) == 0 {
		c.add(end{by: p.ended, all: true}) // its admission is void
	}
}

// firstNamed gives the lowest version of a card that names each node.
func (p *person) firstNamed() map[protocol.Key]uint64 {
	out := map[protocol.Key]uint64{}
	for _, n := range p.chain.tree {
		for _, cn := range n.card.Nodes {
			if v, ok := out[cn.Key]; !ok || n.card.Version < v {
				out[cn.Key] = n.card.Version
			}
		}
	}
	return out
}

// names reports whether the present card names a node.
func (p *person) names(node protocol.Key) bool {
	return names(p.chain.tip().card, node)
}

// end finds where a feed ends: the lowest seq, and the entry that the statement
// of lowest ID names there.
func (c *claim) end(feed protocol.FeedID) (seq uint64, entry protocol.EntryID, by protocol.StatementID, ended bool) {
	for _, e := range c.ends {
		i, named := slices.BinarySearchFunc(e.cuts, feed, func(c protocol.FeedCut, id protocol.FeedID) int { return c.Feed.Compare(id) })
		var cut protocol.FeedCut
		switch {
		case named:
			cut = e.cuts[i]
		case !e.all:
			continue
		}
		better := !ended || cut.Seq < seq
		if ended && cut.Seq == seq && !cut.Entry.IsZero() {
			better = entry.IsZero() || e.by.Compare(by) < 0
		}
		if better {
			seq, entry, by, ended = cut.Seq, cut.Entry, e.by, true
		}
	}
	return seq, entry, by, ended
}

// resolves reports whether a fork of a feed is resolved: a cut leaves nothing of
// the feed, or names the entry it ends with. That the cut lies before the place of
// the proof is not enough: the branches may have parted before that place.
func (c *claim) resolves(feed protocol.FeedID) bool {
	last, entry, _, ended := c.end(feed)
	return c.owner != nil && ended && (last == 0 || !entry.IsZero())
}

// findForks keeps, for each feed, the proof of the lowest place, then ID.
func (f *fold) findForks() {
	for _, s := range f.proofs {
		doc := s.Doc().(*protocol.ForkProof)
		h, err := protocol.ReadHeader(doc.A) // verified with the statement, once
		if err != nil || h.Mesh != f.mesh || f.nodes[h.Node] == nil {
			continue
		}
		k := &Fork{Node: h.Node, Feed: h.Feed, Seq: h.Seq, Statement: s.ID(), Proof: doc}
		list := f.forks[h.Node]
		i, found := slices.BinarySearchFunc(list, h.Feed, func(k *Fork, id protocol.FeedID) int { return k.Feed.Compare(id) })
		if !found {
			f.forks[h.Node] = slices.Insert(list, i, k)
		} else if k.Seq < list[i].Seq { // proofs come ascending by ID
			list[i] = k
		}
	}
	for node, list := range f.forks {
		c := f.nodes[node]
		for _, k := range list {
			if c.owner == nil {
				continue
			}
			if k.Resolved = c.resolves(k.Feed); !k.Resolved {
				f.alarm(Alarm{Kind: AlarmFork, Member: c.owner.id, Node: node,
					Statements: []protocol.StatementID{k.Statement}, Text: "feed " + k.Feed.Short() + " parted"})
			}
		}
	}
}

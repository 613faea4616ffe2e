package audience

import (
	"cmp"
	"slices"

	"github.com/tipmesh/tipmesh/protocol"
)

// vertex is a valid state.
type vertex struct {
	s      *protocol.AudienceState
	told   bool
	at     int // its number among the vertices
	prev   *vertex
	by     protocol.MemberID
	rank   int // 0: the owner, 1: Prev's first deputy, and so on
	after  []*vertex
	past   bits // of vertices, itself not included
	counts bool
	void   bool
	left   []protocol.MemberID // listed by Prev and not by it
}

// fold is one fold under way.
type fold struct {
	id     protocol.AudienceID
	facts  Facts
	owner  protocol.MemberID
	byID   map[protocol.Hash]*vertex
	all    []*vertex // ascending by number, then ID
	chain  []*vertex
	g      *Group
	leaves []Leave
}

// Fold gives the group that states and leaves make, or nil while its first state
// is not among them. Of more than MaxStates valid states those of the lowest
// numbers, then IDs, are looked at; the caller keeps no more.
func Fold(id protocol.AudienceID, states []State, leaves []Leave, facts Facts) *Group {
	f := &fold{id: id, facts: facts, byID: map[protocol.Hash]*vertex{}, g: &Group{ID: id,
		joined: map[protocol.MemberID]int64{}, cuts: map[protocol.MemberID][][]protocol.FeedCut{}}}
	f.grow(states)
	if len(f.all) == 0 {
		return nil
	}
	f.leaves = distinct(leaves)
	f.count()
	f.follow()
	f.settle()
	f.depart()
	return f.g
}

// distinct sorts leaves. Of those that say the same the cuts that come first by
// their bytes stay, so that order decides nothing.
func distinct(list []Leave) []Leave {
	out := slices.Clone(list)
	slices.SortFunc(out, func(a, b Leave) int {
		if c := a.Member.Compare(b.Member); c != 0 {
			return c
		}
		if c := a.State.Compare(b.State); c != 0 {
			return c
		}
		return slices.Compare(protocol.Marshal(a.Cuts), protocol.Marshal(b.Cuts))
	})
	out = slices.CompactFunc(out, func(a, b Leave) bool { return a.Member == b.Member && a.State == b.State })
	return out[:min(len(out), MaxLeaves)]
}

// grow takes in the valid states.
func (f *fold) grow(states []State) {
	list := slices.Clone(states)
	slices.SortFunc(list, func(a, b State) int {
		if c := cmp.Compare(a.Number, b.Number); c != 0 {
			return c
		}
		return a.ID().Compare(b.ID())
	})
	for _, s := range list {
		if len(f.all) == MaxStates {
			break
		}
		if had := f.byID[s.ID()]; had != nil {
			had.told = had.told || s.Told
			continue
		}
		v := &vertex{s: s.AudienceState, told: s.Told, at: len(f.all)}
		if !f.valid(v) {
			continue
		}
		f.byID[s.ID()] = v
		f.all = append(f.all, v)
		if v.prev != nil {
			v.prev.after = append(v.prev.after, v)
			for _, m := range v.prev.s.Members {
				if !contains(v.s.Members, m) {
					v.left = append(v.left, m)
				}
			}
		}
	}
	for _, v := range f.all {
		f.pastOf(v)
	}
}

// valid judges a state whose predecessors have been judged.
func (f *fold) valid(v *vertex) bool {
	by, ok := f.facts.Author(v.s.Signer)
	if !ok {
		return false
	}
	v.by = by
	if v.s.Number == 1 {
		f.owner = by
		return protocol.AudienceID(v.s.ID()) == f.id && by == v.s.Owner
	}
	v.prev = f.byID[v.s.Prev]
	if v.s.Audience != f.id || v.prev == nil || v.s.Number != v.prev.s.Number+1 || v.s.Owner != v.prev.s.Owner {
		return false
	}
	if by == v.s.Owner {
		return true
	}
	v.rank = 1 + slices.Index(v.prev.s.Deputies, by)
	return v.rank > 0
}

// pastOf fills in the past of a state; hashes make no circles.
func (f *fold) pastOf(v *vertex) bits {
	if v.past != nil {
		return v.past
	}
	v.past = newBits(len(f.all))
	for _, id := range append(slices.Clone(v.s.Seen), v.s.Prev) {
		if w := f.byID[id]; w != nil && w != v {
			v.past.add(w.at)
			v.past.join(f.pastOf(w))
		}
	}
	return v.past
}

// count marks the states that count, and those among them that are never chosen.
func (f *fold) count() {
	for _, v := range f.all {
		if v.prev == nil || v.told || f.facts.MayAct(v.s.Signer) {
			v.counts = true
			for _, w := range f.all {
				w.counts = w.counts || v.past.has(w.at)
			}
		}
	}
	for _, r := range f.all {
		for _, m := range f.silences(r) {
			for _, v := range f.all {
				v.void = v.void || v.by == m && v != r && !r.past.has(v.at) && !v.past.has(r.at)
			}
		}
	}
}

// silences gives the deputies that a state takes the say from.
func (f *fold) silences(v *vertex) (out []protocol.MemberID) {
	if !v.counts || v.prev == nil {
		return nil
	}
	for _, m := range v.left {
		if m != f.owner {
			out = append(out, m)
		}
	}
	if v.by == f.owner {
		for _, d := range v.prev.s.Deputies {
			if !slices.Contains(v.s.Deputies, d) && d != f.owner {
				out = append(out, d)
			}
		}
	}
	return out
}

// follow walks the chain to the head.
func (f *fold) follow() {
	for at := f.all[0]; at != nil; at = f.choose(at) {
		f.chain = append(f.chain, at)
	}
}

// choose gives the state that follows, nil where none does.
func (f *fold) choose(at *vertex) (best *vertex) {
	by := map[protocol.MemberID][]*vertex{}
	for _, v := range at.after {
		if v.counts && !v.void {
			by[v.by] = append(by[v.by], v)
		}
	}
	var rivals []*vertex // by one member each, none of which has seen the others
	for m, list := range by {
		list = slices.DeleteFunc(slices.Clone(list), func(v *vertex) bool {
			return slices.ContainsFunc(by[m], func(w *vertex) bool { return w.past.has(v.at) })
		})
		switch {
		case len(list) > 1:
			rivals = append(rivals, list...)
		case best == nil || list[0].rank < best.rank:
			best = list[0]
		}
	}
	f.g.Conflict = f.g.Conflict || slices.ContainsFunc(rivals, func(v *vertex) bool { return best == nil || !best.past.has(v.at) })
	return best
}

// settle finds who is in, and what counts of the others.
func (f *fold) settle() {
	g, head := f.g, f.chain[len(f.chain)-1]
	g.Head, g.Owner, g.Name, g.History = head.s, f.owner, head.s.Name, head.s.History
	onChain := newBits(len(f.all))
	for _, v := range f.chain {
		onChain.add(v.at)
	}
	for _, v := range f.all {
		g.Ended = g.Ended || v.counts && v.s.Ended
		if v.counts && v != head && !head.past.has(v.at) && !slices.ContainsFunc(f.all, func(w *vertex) bool { return w.counts && w.past.has(v.at) }) {
			g.Rivals = append(g.Rivals, v.s.ID())
		}
	}
	g.Rivals = protocol.Sorted(g.Rivals)
	out := f.departed(onChain)
	for _, m := range head.s.Members {
		if out[m] {
			g.Gone = append(g.Gone, m)
			continue
		}
		g.Members = append(g.Members, m)
		if f.facts.Active(m) {
			g.Readers = append(g.Readers, m)
		}
	}
	for _, d := range head.s.Deputies {
		if d != f.owner && g.In(d) && !slices.Contains(g.Deputies, d) {
			g.Deputies = append(g.Deputies, d)
		}
	}
	for _, m := range append([]protocol.MemberID{f.owner}, g.Deputies...) {
		if contains(g.Readers, m) {
			g.Acting = m
			break
		}
	}
	for _, l := range head.s.Left {
		if !g.In(l.Member) {
			g.cuts[l.Member] = append(g.cuts[l.Member], l.Cuts)
		}
	}
}

// departed gives who was removed or left and has not been taken in again, and
// keeps the cuts of those that the head does not tell of. It notes when members
// came in.
func (f *fold) departed(onChain bits) map[protocol.MemberID]bool {
	entries := map[protocol.MemberID][]*vertex{} // states of the chain that take a member in again
	for _, m := range f.chain[0].s.Members {
		f.g.joined[m] = f.chain[0].s.Time
	}
	for _, v := range f.chain[1:] {
		for _, m := range v.s.Members {
			if !contains(v.prev.s.Members, m) {
				entries[m] = append(entries[m], v)
				f.g.joined[m] = v.s.Time
			}
		}
	}
	again := func(m protocol.MemberID, gone *vertex) bool {
		return gone != nil && slices.ContainsFunc(entries[m], func(v *vertex) bool { return v.past.has(gone.at) })
	}
	out := map[protocol.MemberID]bool{}
	for _, v := range f.all {
		for _, m := range v.left {
			if !v.counts || m == f.owner && v.by != m || again(m, v) {
				continue
			}
			out[m] = true
			if !onChain.has(v.at) && !f.chain[len(f.chain)-1].past.has(v.at) {
				f.g.cuts[m] = append(f.g.cuts[m], cutsOf(v.s, m))
			}
		}
	}
	for _, l := range f.leaves {
		state := f.byID[l.State]
		if again(l.Member, state) {
			continue
		}
		out[l.Member] = true
		if !f.recorded(l) {
			f.g.cuts[l.Member] = append(f.g.cuts[l.Member], l.Cuts)
		}
	}
	return out
}

// recorded reports whether a state of the chain says that the member of a leave
// is out.
func (f *fold) recorded(l Leave) bool {
	state := f.byID[l.State]
	return state != nil && slices.ContainsFunc(f.chain, func(v *vertex) bool {
		return v.past.has(state.at) && !contains(v.s.Members, l.Member)
	})
}

func cutsOf(s *protocol.AudienceState, m protocol.MemberID) []protocol.FeedCut {
	i, ok := slices.BinarySearchFunc(s.Left, m, func(l protocol.Leaver, id protocol.MemberID) int { return l.Member.Compare(id) })
	if !ok {
		return nil
	}
	return s.Left[i].Cuts
}

// depart lists the departures.
func (f *fold) depart() {
	listed := func(m protocol.MemberID) bool {
		return slices.ContainsFunc(f.all, func(v *vertex) bool { return contains(v.s.Members, m) })
	}
	for _, v := range f.all {
		if v.counts && len(v.left) > 0 {
			id := v.s.ID()
			f.g.Departures = append(f.g.Departures, departure(f.id, id[:]))
		}
	}
	f.g.known = slices.Clone(f.g.Departures)
	for _, l := range f.leaves {
		if !listed(l.Member) {
			continue
		}
		d := departure(f.id, l.Member[:], l.State[:])
		f.g.known = append(f.g.known, d)
		if !f.recorded(l) {
			f.g.Departures = append(f.g.Departures, d)
		}
	}
	f.g.Departures, f.g.known = protocol.Sorted(f.g.Departures), protocol.Sorted(f.g.known)
}

// bits is a set of vertices.
type bits []uint64

func newBits(n int) bits      { return make(bits, (n+63)/64) }
func (b bits) add(i int)      { b[i/64] |= 1 << (i % 64) }
func (b bits) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }
func (b bits) join(other bits) {
	for i := range other {
		b[i] |= other[i]
	}
}

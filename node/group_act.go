package node

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/audience"
	"github.com/tipmesh/tipmesh/protocol/seal"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
)

// Limits of the letters to newcomers.
const (
	maxLetterBytes = 2 << 20 // states and epochs in one letter
	maxWelcome     = 512     // epochs; neighbours hand the others over
)

// GroupTerms say what to found.
type GroupTerms struct {
	Name     string
	Members  []protocol.MemberID // this member is one anyway
	Deputies []protocol.MemberID // in the order they take over; members too
	History  uint64              // seconds that a newcomer gets; audience.HistoryAll: all
}

// GroupCreate founds a group that this member owns, tells those in it, and makes
// its first epoch. Errors: ErrNotMember, ErrNotActive, ErrStopped, ErrGroupFull.
func (n *Node) GroupCreate(ctx context.Context, t GroupTerms) (*audience.Group, error) {
	if err := n.begun(ctx); err != nil {
		return nil, err
	}
	own := 0
	for _, g := range n.Groups() {
		if g.Owner == n.cfg.Member {
			own++
		}
	}
	if own >= maxGroupsOf {
		return nil, fmt.Errorf("%w: %d groups are this member's", ErrGroupFull, own)
	}
	members := protocol.Sorted(append(slices.Concat(t.Members, t.Deputies), n.cfg.Member))
	if !n.allActive(members) {
		return nil, ErrNotActive
	}
	first, err := protocol.AudienceState{Mesh: n.mesh, Number: 1, Owner: n.cfg.Member, Name: t.Name, Deputies: t.Deputies,
		Members: members, History: t.History, Time: n.now().UnixMilli()}.Sign(n.cfg.NodeKey)
	if err != nil {
		return nil, fmt.Errorf("create group: %w", err)
	}
	g, err := n.enact(first, nil)
	if err != nil {
		return nil, fmt.Errorf("create group: %w", err)
	}
	n.renewFor(g.ID)
	return g, nil
}

// GroupAdd takes members into a group. Errors: those of GroupRemove, and
// ErrNotActive.
func (n *Node) GroupAdd(ctx context.Context, id protocol.AudienceID, members ...protocol.MemberID) (*audience.Group, error) {
	if !n.allActive(members) {
		return nil, ErrNotActive
	}
	return n.changeGroup(ctx, id, func(next *protocol.AudienceState) { next.Members = append(next.Members, members...) })
}

func (n *Node) allActive(members []protocol.MemberID) bool {
	facts := rosterFacts{n.Roster()}
	return !slices.ContainsFunc(members, func(m protocol.MemberID) bool { return !facts.Active(m) })
}

// GroupRemove takes members out of a group. When it returns, nothing is written
// here any more that they can read. Errors: ErrNoGroup, ErrNotYours, ErrReadOnly,
// ErrGroupFull, ErrNotMember, ErrStopped.
func (n *Node) GroupRemove(ctx context.Context, id protocol.AudienceID, members ...protocol.MemberID) (*audience.Group, error) {
	return n.changeGroup(ctx, id, func(next *protocol.AudienceState) {
		gone := func(m protocol.MemberID) bool { return slices.Contains(members, m) }
		next.Members = slices.DeleteFunc(next.Members, gone)
		next.Deputies = slices.DeleteFunc(next.Deputies, gone)
	})
}

// GroupLeave takes this member out of a group and tells the others. Errors:
// ErrNoGroup, ErrNotMember, ErrStopped.
func (n *Node) GroupLeave(ctx context.Context, id protocol.AudienceID) error {
	if err := n.begun(ctx); err != nil {
		return err
	}
	entries, err := n.leaveGroup(id)
	if err != nil {
		return err
	}
	n.announce(entries)
	n.groupsChanged()
	return nil
}

func (n *Node) leaveGroup(id protocol.AudienceID) ([]store.Entry, error) {
	n.writer.Lock()
	defer n.writer.Unlock()
	n.gate.Lock()
	defer n.gate.Unlock()
	if err := n.mayWrite(); err != nil {
		return nil, err
	}
	g, ok := n.Group(id)
	if !ok || !g.In(n.cfg.Member) {
		return nil, ErrNoGroup
	}
	leave := audience.Leave{Member: n.cfg.Member, State: g.Head.ID(), Cuts: n.groupHeads(id, n.cfg.Member)}
	name, value := leaveSetting(id, leave)
	settings := map[string][]byte{name: value}
	var entries []store.Entry
	var err error
	if to := n.allRecipients(g.Readers); len(to) > 0 {
		entries, err = n.appendLetter(to, settings, protocol.Leave{Audience: id, State: leave.State})
	} else {
		_, err = n.store.Commit(n.context(), &store.Commit{Settings: settings})
	}
	if err != nil {
		return nil, fmt.Errorf("leave group: %w", err)
	}
	n.groups.mu.Lock()
	defer n.groups.mu.Unlock()
	n.groups.book(id).leave(leave)
	return entries, nil
}

// changeGroup signs the next state of a group. change is given the present list;
// who is missing from it afterwards has left.
func (n *Node) changeGroup(ctx context.Context, id protocol.AudienceID, change func(*protocol.AudienceState)) (*audience.Group, error) {
	if err := n.begun(ctx); err != nil {
		return nil, err
	}
	for {
		g, ok := n.Group(id)
		switch {
		case !ok || !g.In(n.cfg.Member):
			return nil, ErrNoGroup
		case g.ReadOnly():
			return nil, ErrReadOnly
		case !g.MayChange(n.cfg.Member):
			return nil, ErrNotYours
		}
		next, changed := n.nextState(g, change)
		if !changed {
			return g, nil
		}
		signed, err := next.Sign(n.cfg.NodeKey)
		if err != nil {
			return nil, fmt.Errorf("change group: %w", err)
		}
		after, err := n.enact(signed, g)
		if err != nil {
			return nil, fmt.Errorf("change group: %w", err)
		}
		if after == nil {
			continue // something was heard meanwhile
		}
		n.renewFor(id)
		return after, nil
	}
}

// nextState is the state after a group's head, as change has it.
func (n *Node) nextState(g *audience.Group, change func(*protocol.AudienceState)) (next protocol.AudienceState, changed bool) {
	head := g.Head
	next = protocol.AudienceState{Mesh: n.mesh, Audience: g.ID, Number: head.Number + 1, Prev: head.ID(), Owner: g.Owner, Name: head.Name,
		Deputies: slices.Clone(g.Deputies), Members: slices.Clone(g.Members), History: head.History, Terms: head.Terms,
		Seen: g.Rivals[:min(len(g.Rivals), protocol.MaxSeen)], Time: n.now().UnixMilli()}
	change(&next)
	next.Members = protocol.Sorted(next.Members)
	in := func(m protocol.MemberID) bool { return slices.Contains(next.Members, m) }
	left := map[protocol.MemberID][]protocol.FeedCut{}
	for _, l := range head.Left {
		left[l.Member] = l.Cuts
	}
	for _, m := range g.Gone {
		left[m] = g.Cuts(m)
	}
	for _, m := range g.Members {
		if !in(m) {
			left[m] = n.groupHeads(g.ID, m)
		}
	}
	for m, cuts := range left {
		if !in(m) {
			next.Left = append(next.Left, protocol.Leaver{Member: m, Cuts: cuts})
		}
	}
	slices.SortFunc(next.Left, func(a, b protocol.Leaver) int { return a.Member.Compare(b.Member) })
	return next, !slices.Equal(next.Members, head.Members) || !slices.Equal(next.Deputies, head.Deputies)
}

// enact makes a state of this node's own durable together with the letters that
// tell of it, and has it bite. before is the group it was made for; where the group
// is another by now, nothing is done and nil given.
func (n *Node) enact(s *protocol.AudienceState, before *audience.Group) (*audience.Group, error) {
	n.writer.Lock()
	defer n.writer.Unlock()
	n.gate.Lock()
	defer n.gate.Unlock()
	if err := n.mayWrite(); err != nil {
		return nil, err
	}
	id := groupOf(s)
	if now, _ := n.Group(id); before != nil && now != before {
		return nil, nil
	}
	t := &toldState{AudienceState: s, from: n.cfg.Member}
	after, err := n.withState(t)
	if err != nil {
		return nil, err
	}
	letters, err := n.groupLetters(s, before, after)
	if err != nil {
		return nil, err
	}
	name, value := t.setting()
	settings := map[string][]byte{name: value}
	var entries []store.Entry
	if len(letters) > 0 {
		entries, err = n.appendOwn(protocol.EntryDirect, nil, letters, settings, 0)
	} else {
		_, err = n.store.Commit(n.context(), &store.Commit{Settings: settings})
	}
	if err != nil {
		return nil, err
	}
	n.groups.mu.Lock()
	n.groups.book(id).keep(n.groups, t)
	n.groups.mu.Unlock()
	n.announce(entries)
	n.groupsChanged() // a member may have gone from the mesh just before it came in
	after, _ = n.Group(id)
	return after, nil
}

// withState gives the group as it will be with one more state.
func (n *Node) withState(t *toldState) (*audience.Group, error) {
	r := n.Roster()
	n.groups.mu.Lock()
	defer n.groups.mu.Unlock()
	if !n.groups.room(t, r) {
		return nil, ErrGroupFull
	}
	b := &groupBook{id: groupOf(t.AudienceState), states: map[protocol.Hash]*toldState{t.ID(): t}}
	if had := n.groups.by[b.id]; had != nil {
		for id, s := range had.states {
			b.states[id] = s
		}
		b.leaves = had.leaves
	}
	return b.folded(n.groups, r), nil
}

// groupLetters seals what tells of a state: the state to those who are in or were
// until now; to newcomers all the states before it too, and the epochs they may
// have.
func (n *Node) groupLetters(s *protocol.AudienceState, before, after *audience.Group) (letters [][]byte, err error) {
	was, now := []protocol.MemberID{}, after.Readers
	if before != nil {
		was = before.Readers
	}
	post := func(to []protocol.MemberID, parts ...any) {
		if recipients := n.allRecipients(to); err == nil && len(recipients) > 0 && len(parts) > 0 {
			var letter []byte
			letter, err = seal.Direct(protocol.NewLetter(parts...), recipients)
			letters = append(letters, letter)
		}
	}
	without := func(list, other []protocol.MemberID) []protocol.MemberID {
		return slices.DeleteFunc(slices.Clone(list), func(m protocol.MemberID) bool { return slices.Contains(other, m) })
	}
	post(now, s)
	post(without(was, now), s)
	if before == nil {
		return letters, err
	}
	newcomers := without(now, was)
	for _, parts := range letterParts(n.statesOf(after.ID)) {
		post(newcomers, parts...)
	}
	// What each may have differs by when it came in: here all of them come now.
	for _, parts := range letterParts(n.epochsFor(after, newcomers)) {
		post(newcomers, parts...)
	}
	return letters, err
}

// statesOf gives the states held of a group, each after the one that it follows:
// who gets them in several letters keeps few whose predecessor is missing.
func (n *Node) statesOf(id protocol.AudienceID) (out []any) {
	n.groups.mu.Lock()
	defer n.groups.mu.Unlock()
	b := n.groups.by[id]
	if b == nil {
		return nil
	}
	list := slices.SortedFunc(maps.Values(b.states), func(a, b *toldState) int { return cmp.Compare(a.Number, b.Number) })
	for _, t := range list {
		out = append(out, t.AudienceState)
	}
	return out
}

// epochsFor gives the newest epochs of a group that newcomers may all have.
func (n *Node) epochsFor(g *audience.Group, newcomers []protocol.MemberID) (out []any) {
	var list []*epoch
	for _, e := range n.keys.all() {
		kept := slices.ContainsFunc(newcomers, func(m protocol.MemberID) bool { return !n.mayHave(n.Roster(), g, m, e.Epoch) })
		if e.Audience == g.ID && !e.Narrow && !kept {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b *epoch) int { return int(min(1, max(-1, b.Time-a.Time))) })
	for _, e := range list[:min(len(list), maxWelcome)] {
		out = append(out, e.Epoch)
	}
	return out
}

// mayHave reports whether a member may be handed an epoch of a group: it is
// entitled to it, and nobody left before it was made of whom this node has not
// heard.
func (n *Node) mayHave(r *trust.Roster, g *audience.Group, m protocol.MemberID, e *protocol.Epoch) bool {
	return g.Entitled(m, e) && !slices.ContainsFunc(e.Departures, func(d protocol.Hash) bool {
		return !g.Knows(d) && !r.Knows([]protocol.Hash{d})
	})
}

// letterParts cuts parts up into letters.
func letterParts(parts []any) (out [][]any) {
	var letter []any
	size, epochs := 0, 0
	for _, p := range parts {
		raw := 0
		switch d := p.(type) {
		case *protocol.Epoch:
			raw, epochs = len(d.Raw()), epochs+1
		case *protocol.AudienceState:
			raw = len(d.Raw())
		}
		if size += raw; len(letter) == protocol.MaxParts || size > maxLetterBytes || epochs > protocol.MaxGrantEpochs {
			out, letter, size, epochs = append(out, letter), nil, raw, min(epochs, 1)
		}
		letter = append(letter, p)
	}
	if len(letter) > 0 {
		out = append(out, letter)
	}
	return out
}

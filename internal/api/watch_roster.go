package api

import (
	"fmt"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

// Events that are not arrivals: gaps, the roster, forks, what was refused.

var gapTexts = map[string]string{
	node.GapDropped:     "of a void branch of its feed, dropped since",
	node.GapErased:      "the payload has gone: withdrawn or expired since",
	node.GapUnreadable:  "the payload cannot be opened",
	node.GapMalformed:   "no STIX bundle",
	node.GapNotAdmitted: "the writer is not in, or its feed ended before it",
}

// pass goes past an arrival of which nothing can be told. Several in a row are one
// event.
func (x *watching) pass(a *node.Arrived) error {
	known := !a.Member.IsZero()
	tell := x.f.takes(WhatGap) && (len(x.f.members) == 0 || known && x.f.takesMember(a.Member))
	if tell && x.gap != nil && x.gap.Reason != a.Gap {
		if err := x.tellGap(); err != nil {
			return err
		}
	}
	x.at = position{arrival: a.Number}
	if !tell {
		return nil
	}
	if x.gap == nil {
		x.gap = &Event{What: WhatGap, Reason: a.Gap, Time: at(a.Time)}
		if known {
			name := x.s.name(a.Member)
			x.gap.Member = &name
		}
	}
	if x.gap.Member != nil && x.gap.Member.ID != a.Member.String() {
		x.gap.Member = nil
	}
	x.gap.Arrival, x.gap.Written = a.Number, at(a.Time)
	x.gap.Arrivals++
	return nil
}

// tellGap tells of the arrivals passed, if there are any.
func (x *watching) tellGap() error {
	e := x.gap
	if e == nil {
		return nil
	}
	x.gap = nil
	e.Summary = plural(e.Arrivals, "entry", "entries") + ": " + gapTexts[e.Reason]
	return x.tell(e)
}

// tellRoster tells how the roster differs from the one that was told last.
func (x *watching) tellRoster() error {
	now := x.s.n.Roster()
	if now == x.roster {
		return nil
	}
	before := x.roster
	list := x.rosterEvents(before, now)
	for i, e := range list {
		// Until the last is told, the cursor says that the roster was not.
		if i == len(list)-1 {
			x.roster = now
		}
		if err := x.tell(e); err != nil {
			return err
		}
	}
	x.roster = now
	return nil
}

func (x *watching) rosterEvents(before, now *trust.Roster) (list []*Event) {
	for id, f := range x.s.forksNow() {
		if x.forks[id] == nil && x.f.takes(WhatFork) && !x.f.byContent() {
			e := &Event{What: WhatFork, Summary: fmt.Sprintf("a feed parted at %d", f.Seq)}
			if m, ok := now.Author(f.Node); ok && x.f.takesMember(m.ID) {
				name := x.s.name(m.ID)
				e.Member, e.Ref = &name, refOf("member", m.ID.String())
				list = append(list, e)
			}
		}
	}
	x.forks = x.s.forksNow()
	if !x.f.takes(WhatRoster) || x.f.byContent() || before.Digest() == now.Digest() && sameStates(before, now) {
		return list
	}
	found := false
	for _, m := range now.Members {
		was, known := before.Member(m.ID)
		if known && was.State == m.State {
			continue
		}
		found = true
		if x.f.takesMember(m.ID) {
			name := x.s.name(m.ID)
			list = append(list, &Event{What: WhatRoster, Ref: refOf("member", m.ID.String()), Member: &name,
				Summary: "now " + string(m.State) + fmt.Sprintf(", roster version %d", rosterVersion(now))})
		}
	}
	if !found && len(x.f.members) == 0 {
		list = append(list, &Event{What: WhatRoster, Ref: refOf("mesh", now.Mesh.String()),
			Summary: fmt.Sprintf("cards, governors or house rules changed, roster version %d", rosterVersion(now))})
	}
	return list
}

// sameStates tells whether two rosters have the same members in the same states.
func sameStates(a, b *trust.Roster) bool {
	if len(a.Members) != len(b.Members) {
		return false
	}
	for _, m := range b.Members {
		if was, ok := a.Member(m.ID); !ok || was.State != m.State {
			return false
		}
	}
	return true
}

// forkID names a fork.
type forkID struct {
	node protocol.Key
	feed protocol.FeedID
}

// forksNow are the forks that are proven, resolved or not.
func (s *Server) forksNow() map[forkID]*trust.Fork {
	out := map[forkID]*trust.Fork{}
	r := s.n.Roster()
	for _, m := range r.Members {
		for _, k := range m.Nodes {
			for _, f := range r.Forks(k) {
				out[forkID{f.Node, f.Feed}] = f
			}
		}
	}
	return out
}

// tellRefused tells what was refused since it was told last. It is told while a
// client listens: nobody keeps it.
func (x *watching) tellRefused() error {
	now := x.s.n.Refused()
	e := &Event{What: WhatRefused, Found: map[string]int{}}
	for why, n := range now {
		if more := n - min(n, x.refused[why]); more > 0 {
			e.Found[why] = int(more) // #nosec G115 -- a count of events
			e.Total += int(more)     // #nosec G115 -- likewise
		}
	}
	x.refused = now
	if e.Total == 0 || !x.f.takes(WhatRefused) || x.f.byContent() || len(x.f.members) > 0 {
		return nil
	}
	e.Summary = plural(e.Total, "thing was", "things were") + " refused: tipmesh status"
	return x.tell(e)
}

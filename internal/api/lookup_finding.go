package api

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/tipmesh/tipmesh/internal/lifetime"
	"github.com/tipmesh/tipmesh/internal/observable"
	"github.com/tipmesh/tipmesh/internal/stix"
	"github.com/tipmesh/tipmesh/internal/verdict"
	"github.com/tipmesh/tipmesh/internal/warninglist"
	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
)

// inquiry is one call of lookup under way. It is safe for concurrent use.
type inquiry struct {
	s        *Server
	held     bool // tell what is held apart too
	nearMost int  // how much of what is near to tell; 0: do not look
	now      time.Time
	lists    *warninglist.Set
	lives    lifetime.Table
	refs     *references
	// identities are asked for only where something is relayed.
	identities func() map[string]protocol.MemberID
}

func (s *Server) inquire(r *LookupRequest) (*inquiry, error) {
	q := &inquiry{s: s, held: r.Held, now: s.n.Present(), lists: s.lists.current(time.Now()), lives: lifetime.Table(s.n.Roster().Rules.Lifetimes)}
	q.identities = sync.OnceValue(s.identities)
	switch {
	case r.Near:
		q.nearMost = mostNear
	case len(r.Values) == 1:
		q.nearMost = mostNearOnce
	}
	var err error
	q.refs, err = s.references()
	return q, err
}

// aside counts what a finding leaves out.
type aside struct{ unused, revoked, expired, unread, copies, crowded int }

// finding judges what is known of a value. What the trust list says now decides,
// whenever the objects came.
func (q *inquiry) finding(a asked, objects []store.Object) (*Finding, error) {
	f := &Finding{Kind: "finding", Value: a.value.Text, Type: string(a.value.Type), Line: a.line,
		Assertions: []Assertion{}, Warninglists: []Warninglist{}, Reports: []Report{}}
	facts := verdict.Facts{ListsLoaded: q.lists.Len(), Lifetime: q.lives.Of("indicator", string(a.value.Type))}
	var out aside
	var said []store.Object // whose assertions are shown
	var shown []int         // their places in facts.Assertions
	for i := range objects {
		o := &objects[i]
		d := q.s.decision(o)
		switch {
		case d.Use == trust.UseNone:
			out.unused++
			continue
		case d.Use == trust.UseHold && o.Revoked:
			out.revoked++
			continue
		case d.Use == trust.UseHold:
			f.Held++
			if q.held {
				f.HeldApart = append(f.HeldApart, q.s.assertion(o, d))
			}
			continue
		}
		if o.Revoked {
			out.revoked++
		} else {
			f.Assertions = append(f.Assertions, q.s.assertion(o, d))
			said, shown = append(said, *o), append(shown, len(facts.Assertions))
		}
		facts.Assertions = append(facts.Assertions, q.fact(o, d))
	}
	if err := q.refer(f, &facts, said, &out); err != nil {
		return nil, err
	}
	q.warned(f, &facts, a.value)
	r := verdict.Of(&facts, q.now)
	f.Verdict, f.Confidence, f.Sinkhole = string(r.Verdict), r.Confidence, r.Sinkholed
	f.Reasons = make([]Reason, len(r.Reasons))
	for i, x := range r.Reasons {
		f.Reasons[i] = Reason(x)
	}
	for i := range f.Assertions {
		if _, f.Assertions[i].Live = slices.BinarySearch(r.Counted, shown[i]); !f.Assertions[i].Live {
			out.expired++
		}
	}
	slices.SortStableFunc(f.Assertions, firstShown)
	f.Skipped = out.skipped(f.Held)
	return f, nil
}

// firstShown orders assertions: what counts, then by reliability, ours as A, then
// as they came.
func firstShown(a, b Assertion) int {
	dead := func(x Assertion) int {
		if x.Live {
			return 0
		}
		return 1
	}
	return cmp.Or(dead(a)-dead(b), cmp.Compare(cmp.Or(a.Reliability, "A"), cmp.Or(b.Reliability, "A")), a.Received.Compare(b.Received))
}

func (a *aside) skipped(held int) (list []Skipped) {
	for _, s := range []Skipped{
		{"trust_use", a.unused, "said by members of whom nothing is used here"},
		{node.ReasonRevoked, a.revoked, "withdrawn by who said it"},
		{node.ReasonExpired, a.expired, "past their time: of no weight"},
		{node.ReasonHeld, held, "said by members whose intelligence is held here"},
		{node.ReasonUnreadable, a.unread, "opinions or sightings that cannot be read here"},
		{node.ReasonDuplicate, a.copies, "copies of opinions or sightings whose author is a member itself"},
		{node.ReasonQuota, a.crowded, "objects about which so much is said that the oldest is left out"},
	} {
		if s.Count > 0 {
			list = append(list, s)
		}
	}
	return list
}

// fact is an assertion as it is judged.
func (q *inquiry) fact(o *store.Object, d trust.Decision) verdict.Assertion {
	v := verdict.Assertion{ID: o.ID, Member: q.s.source(o.Member), Own: o.Member == q.s.n.Member(), Reliability: d.Reliability,
		Claim: claimOf(o), Confidence: o.Summary.Confidence, At: lifetime.Since(o), Received: at(o.Summary.Received),
		ValidUntil: at(o.Summary.ValidUntil), Revoked: o.Revoked,
		Sinkholed: o.Type == "indicator" && stix.Sinkholed(o.Summary.Says)}
	if o.Summary.CreatedBy != "" {
		v.Origin = o.Summary.CreatedBy
		if m, ok := q.identities()[v.Origin]; ok {
			v.Origin = q.s.source(m)
		}
	}
	return v
}

// claimOf is what one object makes of a value.
func claimOf(o *store.Object) verdict.Claim {
	if o.Type != "indicator" {
		return verdict.Context
	}
	if stix.Benign(o.Summary.Says) {
		return verdict.ClaimHarmless // whatever is advised for the share it came in
	}
	switch stix.Action(o.Summary.Action) {
	case stix.ActionBlock, stix.ActionDetect:
		if !o.Summary.Partial {
			return verdict.ClaimMalicious
		}
	}
	return verdict.ClaimSuspicious
}

// claimWord is a claim as answers name it.
func claimWord(c verdict.Claim) string {
	switch c {
	case verdict.ClaimMalicious:
		return ClaimMalicious
	case verdict.ClaimSuspicious:
		return ClaimSuspicious
	case verdict.ClaimHarmless:
		return ClaimHarmless
	}
	return ""
}

// source names a member so that no two have one name.
func (s *Server) source(id protocol.MemberID) string {
	m, ok := s.n.Roster().Candidate(id)
	if !ok {
		return id.String()
	}
	if called, ok := s.n.Roster().ByHandle(m.Handle); ok && called.ID != id {
		return m.Handle + "-" + protocol.RefCode(id.String(), protocol.RefLen)
	}
	return m.Handle
}

// identity finds the member that a STIX identity is of.
func (s *Server) identity(id string) (protocol.MemberID, bool) {
	for _, m := range s.n.Roster().Members {
		if m.Card.Identity == id {
			return m.ID, true
		}
	}
	return protocol.MemberID{}, false
}

// identities are the members by their STIX identities.
func (s *Server) identities() map[string]protocol.MemberID {
	out := map[string]protocol.MemberID{}
	for _, m := range s.n.Roster().Members {
		out[m.Card.Identity] = m.ID
	}
	return out
}

// warned asks the warninglists.
func (q *inquiry) warned(f *Finding, facts *verdict.Facts, v observable.Value) {
	for _, h := range q.lists.Lookup(v) {
		l := verdict.Listed{List: h.List.Name, Entry: h.Entry, HostOnly: h.HostOnly}
		meaning := "false_positive"
		switch h.List.Meaning {
		case warninglist.Known:
			l.Meaning, meaning = verdict.Known, "known"
		case warninglist.Sinkhole:
			l.Meaning, meaning = verdict.Sinkhole, "sinkhole"
		}
		facts.Lists = append(facts.Lists, l)
		f.Warninglists = append(f.Warninglists, Warninglist{Name: l.List, Entry: l.Entry, Meaning: meaning, HostOnly: l.HostOnly})
	}
}

package api

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tipmesh/tipmesh/internal/verdict"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
)

// Limits of what is said of an assertion.
const (
	mostReferring = 1024 // objects that refer to one assertion; of more the newest
	mostBundles   = 4096 // that one call opens for opinions and sightings
	mostReports   = 100  // that a finding names
)

// references finds, for one call, what is said of assertions: opinions,
// sightings, reports. nil: nothing of the kind is held.
type references struct {
	s    *Server
	room atomic.Int64 // bundles that may still be opened
}

// references gives nil where the index holds nothing that says anything of an
// assertion, so that look-ups need not ask.
func (s *Server) references() (*references, error) {
	for _, facet := range []string{"type=opinion", "type=sighting", "type=report"} {
		if s.referred.Load() {
			break
		}
		list, _, err := s.n.Store().Index().Search(store.Query{Tokens: []string{facet}, Limit: 1})
		if err != nil {
			return nil, err
		}
		s.referred.Store(len(list) > 0)
	}
	if !s.referred.Load() {
		return nil, nil
	}
	r := &references{s: s}
	r.room.Store(mostBundles)
	return r, nil
}

// refer finds what is said of a finding's assertions.
func (q *inquiry) refer(f *Finding, facts *verdict.Facts, said []store.Object, out *aside) error {
	if q.refs == nil {
		return nil
	}
	g := gathering{q: q, f: f, facts: facts, out: out, opinions: map[[2]string]opined{}, seen: map[sharedObject]bool{}}
	asked := map[string]bool{}
	for i := range said {
		id := said[i].ID
		if asked[id] {
			continue // another member's copy
		}
		asked[id] = true
		list, err := q.s.n.Store().Index().Referring(id, mostReferring)
		if err != nil {
			return err
		}
		if len(list) == mostReferring {
			out.crowded++
		}
		for _, o := range q.s.n.Visible(list) {
			g.take(id, &o)
		}
	}
	g.close()
	return nil
}

// sharedObject is an object in one member's name.
type sharedObject struct{ member, id string }

// opined is an opinion and when it was given.
type opined struct {
	Opinion
	level verdict.Level
	at    time.Time
}

// gathering collects what is said of the assertions of one finding.
type gathering struct {
	q        *inquiry
	f        *Finding
	facts    *verdict.Facts
	out      *aside
	opinions map[[2]string]opined // the newest of each member about each assertion
	seen     map[sharedObject]bool
}

// take takes an object that refers to an assertion.
func (g *gathering) take(about string, o *store.Object) {
	kind := o.Type
	if kind != "opinion" && kind != "sighting" && kind != "report" {
		return
	}
	s, key := g.q.s, sharedObject{o.Member.String(), o.ID}
	if g.seen[key] && kind != "opinion" { // opinions may be about several
		return
	}
	again := g.seen[key]
	g.seen[key] = true
	d := s.decision(o)
	switch {
	case d.Use >= trust.UseRead && !o.Revoked && kind == "report":
		g.report(o)
	case d.Use >= trust.UseRead && !o.Revoked:
		g.word(about, o, d, again)
	case again:
	case d.Use == trust.UseNone:
		g.out.unused++
	case o.Revoked:
		g.out.revoked++
	default:
		g.f.Held++
		if g.q.held {
			g.f.HeldApart = append(g.f.HeldApart, s.assertion(o, d))
		}
	}
}

func (g *gathering) report(o *store.Object) {
	if len(g.f.Reports) < mostReports && g.q.s.live(o) {
		g.f.Reports = append(g.f.Reports, Report{Ref: objectRef(o.ID), ID: o.ID, Title: o.Summary.Says, Member: g.q.s.name(o.Member), TLP: o.Summary.TLP})
	}
}

// word takes an opinion or a sighting. Nobody speaks for another member: a copy
// of what one said does not count.
func (g *gathering) word(about string, o *store.Object, d trust.Decision, again bool) {
	if by, ok := g.q.identities()[o.Summary.CreatedBy]; ok && by != o.Member {
		if !again {
			g.out.copies++
		}
		return
	}
	said, ok := g.q.refs.read(o)
	switch {
	case !ok && !again:
		g.out.unread++
	case !ok:
	case o.Type == "opinion":
		g.opinion(about, o, d, said)
	case said.of == about && said.count > 0:
		g.sighting(o, d, said)
	}
}

func (g *gathering) opinion(about string, o *store.Object, d trust.Decision, said said) {
	level, ok := verdict.ParseLevel(said.level)
	if !ok {
		return
	}
	n := opined{level: level, at: at(min(o.Modified, o.Summary.Received)), Opinion: Opinion{Member: g.q.s.name(o.Member), Reliability: d.Reliability,
		Ref: objectRef(o.ID), About: objectRef(about), Level: said.level, Text: said.text, Received: at(o.Summary.Received)}}
	g.facts.Opinions = append(g.facts.Opinions, verdict.Opinion{Member: g.q.s.source(o.Member), Own: o.Member == g.q.s.n.Member(),
		Reliability: d.Reliability, About: about, Level: level, At: n.at})
	key := [2]string{n.Member.ID, about}
	if b, held := g.opinions[key]; !held || n.at.After(b.at) || n.at.Equal(b.at) && level < b.level {
		g.opinions[key] = n
	}
}

func (g *gathering) sighting(o *store.Object, d trust.Decision, said said) {
	seen := Sighting{Member: g.q.s.name(o.Member), Reliability: d.Reliability, Count: said.count, Received: at(o.Summary.Received),
		FirstSeen: at(o.Summary.FirstSeen), LastSeen: at(min(cmp.Or(o.Summary.LastSeen, o.Summary.FirstSeen, o.Modified), o.Summary.Received))}
	g.facts.Sightings = append(g.facts.Sightings, verdict.Sighting{Member: g.q.s.source(o.Member), Reliability: d.Reliability,
		Own: o.Member == g.q.s.n.Member(), Last: seen.LastSeen, Received: seen.Received})
	all := &g.f.Sightings
	i := slices.IndexFunc(all.By, func(b Sighting) bool { return b.Member.ID == seen.Member.ID })
	if i < 0 {
		all.By = append(all.By, seen)
		return
	}
	b := &all.By[i]
	b.Count += seen.Count
	b.FirstSeen, b.LastSeen, b.Received = earlier(b.FirstSeen, seen.FirstSeen), later(b.LastSeen, seen.LastSeen), later(b.Received, seen.Received)
}

// close sums up.
func (g *gathering) close() {
	for _, b := range g.f.Sightings.By {
		all := &g.f.Sightings
		all.Count += b.Count
		all.Members++
		all.FirstSeen, all.LastSeen = earlier(all.FirstSeen, b.FirstSeen), later(all.LastSeen, b.LastSeen)
	}
	slices.SortFunc(g.f.Sightings.By, func(a, b Sighting) int {
		return cmp.Or(a.Received.Compare(b.Received), cmp.Compare(a.Member.ID, b.Member.ID))
	})
	agrees, disagrees := map[string]bool{}, map[string]bool{}
	for _, o := range g.opinions {
		g.f.Opinions.By = append(g.f.Opinions.By, o.Opinion)
		switch {
		case o.level < verdict.Neutral:
			disagrees[o.Member.ID] = true
		case o.level > verdict.Neutral:
			agrees[o.Member.ID] = true
		}
	}
	for member := range disagrees {
		delete(agrees, member)
	}
	g.f.Opinions.Agree, g.f.Opinions.Disagree = len(agrees), len(disagrees)
	slices.SortFunc(g.f.Opinions.By, func(a, b Opinion) int {
		return cmp.Or(a.Received.Compare(b.Received), cmp.Compare(a.Member.ID, b.Member.ID), cmp.Compare(a.About, b.About))
	})
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// saidKept is how many opinions and sightings are kept in memory; up to twice as
// many are.
const saidKept = 8192

// saidCache keeps what opinions and sightings say: the newest asked for, and those
// before them.
type saidCache struct {
	mu       sync.Mutex
	now, old map[saidPlace]said
}

// saidPlace is an object of an entry.
type saidPlace struct {
	arrival uint64
	ordinal uint32
}

func (c *saidCache) get(p saidPlace) (said, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.now[p]
	if !ok {
		if s, ok = c.old[p]; ok {
			c.keep(p, s)
		}
	}
	return s, ok
}

func (c *saidCache) put(p saidPlace, s said) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keep(p, s)
}

// keep keeps one more; the lock is held.
func (c *saidCache) keep(p saidPlace, s said) {
	if c.now == nil || len(c.now) >= saidKept {
		c.now, c.old = make(map[saidPlace]said), c.now
	}
	c.now[p] = s
}

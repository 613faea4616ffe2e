package api

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tipmesh/tipmesh/internal/stix"
	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
)

const (
	eventValues  = 3  // values that an event names
	eventObjects = 5  // objects that it lists, where not all were asked for
	eventAbout   = 5  // objects it is about
	eventLooked  = 64 // objects that are looked up to tell whether they were shared before
)

// telling turns one arrival into events.
type telling struct {
	s    *Server
	f    *filter
	each bool
	a    *node.Arrived
	said map[uint32]*wording // read where it is needed
	seen opened              // entries opened for what this one is about
}

// kinds are what came with an entry, in the order of the first object of each. It
// depends on nothing but the entry, so that a cursor within it stays right.
func (t *telling) kinds() (list []string) {
	for i := range t.a.Objects {
		if o := &t.a.Objects[i]; !frame(o) {
			if k := kindOf(o); !slices.Contains(list, k) {
				list = append(list, k)
			}
		}
	}
	if len(list) == 0 {
		list = append(list, WhatShared)
	}
	return list
}

// frame tells the record of a share from what was shared.
func frame(o *store.Object) bool {
	return o.Type == "grouping" && o.Summary.Share != "" || o.Type == "identity"
}

func kindOf(o *store.Object) string {
	switch {
	case o.Revoked:
		return WhatWithdrawn
	case o.Type == "opinion":
		return WhatOpinion
	case o.Type == "sighting":
		return WhatSeen
	case o.Type == "note":
		return WhatNote
	}
	return WhatShared
}

func (t *telling) saidBy(o *store.Object) *wording {
	if t.said == nil {
		t.said = readWordings(t.a.Bundle)
	}
	if x := t.said[o.Ordinal]; x != nil {
		return x
	}
	return new(wording)
}

// event tells of what came of one kind; nil where nothing of it passes.
func (t *telling) event(kind string) *Event {
	s, a := t.s, t.a
	name := s.name(a.Member)
	e := &Event{Kind: "event", What: kind, Member: &name, Found: map[string]int{}, Arrival: a.Number, Arrivals: 1, Written: at(a.Time),
		Time: at(a.Time)}
	if !t.f.takesMember(a.Member) {
		return nil
	}
	about := map[string]ObjectLine{}
	withheld := map[string]int{}
	revised, looked := 0, 0
	for i := range a.Objects {
		o := &a.Objects[i]
		t.head(e, o)
		if frame(o) || kindOf(o) != kind {
			continue
		}
		why := t.withheld(o)
		if why == "" && t.ended(o) {
			why = node.ReasonExpired
		}
		if why != "" {
			withheld[why]++
			continue
		}
		if !t.passes(o, kind, about) {
			continue
		}
		t.add(e, o, kind, about)
		if kind == WhatShared && looked < eventLooked {
			looked++
			if s.before(o) {
				revised++
			}
		}
	}
	if ms := s.received(a); ms != 0 {
		e.Time = at(ms)
	}
	if kind == WhatShared && revised > 0 && revised == looked {
		e.What = WhatRevised
	}
	return t.finish(e, withheld)
}

// head takes from an object what an event says of the whole entry.
func (t *telling) head(e *Event, o *store.Object) {
	e.To = t.s.audienceName(t.s.audienceOf(o))
	if o.Type == "grouping" && o.Summary.Share != "" && t.withheld(o) == "" {
		e.Ref, e.Title = shareRef(o.Summary.Share), o.Summary.Says
		e.TLP = o.Summary.TLP
	}
}

// finish completes an event; nil where the filter leaves nothing of it.
func (t *telling) finish(e *Event, withheld map[string]int) *Event {
	for _, why := range []string{trustUse, node.ReasonHeld, node.ReasonTLP, node.ReasonExpired} {
		if n := withheld[why]; n > 0 {
			e.Skipped = append(e.Skipped, Skipped{Reason: why, Count: n, Text: withheldText[why]})
		}
	}
	switch {
	case !t.f.takes(e.What):
		return nil
	case e.Total == 0 && t.f.byContent():
		return nil
	case e.Total == 0 && len(e.Skipped) > 0:
		e.Ref, e.Title, e.Summary = "", "", e.Skipped[0].Text
	case e.Summary == "":
		e.Summary = FoundText(e.Found)
	}
	return e
}

const trustUse = "trust_use"

var withheldText = map[string]string{
	trustUse:           "of this member nothing is used here",
	node.ReasonHeld:    "what this member says is held apart here",
	node.ReasonTLP:     "TLP:RED is for named people and not streamed",
	node.ReasonExpired: "what it says has ended since",
}

// withheld is why an object is not told of, empty where it is.
func (t *telling) withheld(o *store.Object) string {
	switch use := t.s.decision(o).Use; {
	case use == trust.UseNone:
		return trustUse
	case use < trust.UseRead:
		return node.ReasonHeld
	case stix.TLP(o.Summary.TLP) == stix.TLPRed:
		return node.ReasonTLP
	}
	return ""
}

// ended tells whether what an object says has ended: it leaves on no way then.
func (t *telling) ended(o *store.Object) bool {
	if o.Revoked {
		return false
	}
	ended, err := t.s.n.Ended(o, o.Values)
	if err != nil {
		t.s.log.Warn("tell whether an object has ended", "err", err)
	}
	return ended
}

// passes asks the filter. What is about other objects passes as they do.
func (t *telling) passes(o *store.Object, kind string, about map[string]ObjectLine) bool {
	if !t.f.byContent() {
		return true
	}
	x := t.saidBy(o)
	audience := t.s.audienceName(t.s.audienceOf(o))
	c, y := *o, *x
	for _, id := range refsOf(kind, x) {
		line := t.line(id, about)
		y.Aliases = append(slices.Clone(y.Aliases), nameIn(line.Says))
		for _, v := range line.Values {
			c.Values = append(slices.Clone(c.Values), store.Value{Type: v.Type, Text: v.Text})
		}
	}
	if len(t.f.by["malware"]) > 0 {
		y.Aliases = append(slices.Clone(y.Aliases), t.malwareOf(o)...)
	}
	return t.f.passes(&c, &y, audience)
}

// malwareOf names what the entry relates an object to.
func (t *telling) malwareOf(o *store.Object) (names []string) {
	for i := range t.a.Objects {
		r := &t.a.Objects[i]
		if r.Type != "relationship" || t.saidBy(r).Source != o.ID {
			continue
		}
		for j := range t.a.Objects {
			if m := &t.a.Objects[j]; m.ID == t.saidBy(r).Target && m.Type == "malware" {
				names = append(names, t.saidBy(m).Name)
			}
		}
	}
	return names
}

// refsOf are what an object says something about.
func refsOf(kind string, x *wording) []string {
	switch {
	case kind == WhatSeen && x.SightingOf != "":
		return []string{x.SightingOf}
	case kind == WhatOpinion || kind == WhatNote:
		return x.ObjectRefs[:min(len(x.ObjectRefs), eventAbout)]
	}
	return nil
}

// line is an object that another is about, as far as it is here.
func (t *telling) line(id string, about map[string]ObjectLine) ObjectLine {
	if l, ok := about[id]; ok {
		return l
	}
	l := ObjectLine{Ref: objectRef(id), ID: id, Type: stix.IDType(id)}
	list, err := t.s.n.Store().Index().ByID(id)
	if err == nil {
		for _, o := range t.s.n.Visible(list) {
			if t.withheld(&o) == "" {
				l.Says, l.Withdrawn, l.Values = o.Summary.Says, o.Revoked, t.s.values(t.seen, &o)
				break
			}
		}
	}
	about[id] = l
	return l
}

// add counts an object into an event.
func (t *telling) add(e *Event, o *store.Object, kind string, about map[string]ObjectLine) {
	e.Total++
	e.Found[o.Type]++
	if stix.TLP(o.Summary.TLP).Rank() > stix.TLP(e.TLP).Rank() {
		e.TLP = o.Summary.TLP
	}
	if e.Ref == "" {
		e.Ref = objectRef(o.ID)
	}
	if e.Title == "" && (o.Type == "report" || o.Type == "grouping") {
		e.Title = nameIn(o.Summary.Says)
	}
	var values []Value
	for _, v := range o.Values {
		values = append(values, Value{Type: v.Type, Text: v.Text})
		if x := values[len(values)-1]; len(e.Values) < eventValues && !slices.Contains(e.Values, x) {
			e.Values = append(e.Values, x)
		}
	}
	if t.each || len(e.Objects) < eventObjects {
		e.Objects = append(e.Objects, ObjectLine{Ref: objectRef(o.ID), ID: o.ID, Type: o.Type, Says: o.Summary.Says, Values: values, Withdrawn: o.Revoked})
	}
	t.sum(e, o, kind, about)
}

// sum says what an object of the talk about others says.
func (t *telling) sum(e *Event, o *store.Object, kind string, about map[string]ObjectLine) {
	if kind == WhatShared {
		return
	}
	x := t.saidBy(o)
	for _, id := range refsOf(kind, x) {
		if l := t.line(id, about); len(e.About) < eventAbout && !slices.ContainsFunc(e.About, func(y ObjectLine) bool { return y.ID == id }) {
			e.About = append(e.About, l)
		}
	}
	first := e.Total == 1
	switch kind {
	case WhatOpinion:
		if first {
			e.Summary = x.Opinion
		}
	case WhatSeen:
		e.seen += min(max(1, x.Count), maxSightingCount)
		e.Summary = plural(e.seen, "time", "times")
	case WhatNote:
		text := x.Abstract
		if text == "" {
			text = x.Content
		}
		if first {
			e.Summary = firstLine(text)
		}
	case WhatWithdrawn:
		if first {
			raw, _ := objectAt(t.a.Bundle, o.Ordinal) // what cannot be read gives no reason
			e.why = string(stix.WithdrawnWhy(raw))
		}
		e.Summary = FoundText(e.Found)
		if e.why != "" {
			e.Summary += " (" + e.why + ")"
		}
	}
}

// before tells whether an object was here in another version before.
func (s *Server) before(o *store.Object) bool {
	list, err := s.n.Store().Index().Versions(o.Member, o.ID)
	return err == nil && slices.ContainsFunc(list, func(v store.Object) bool { return v.Arrival < o.Arrival })
}

// firstLine is how a text begins.
func firstLine(text string) string {
	const most = 160
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	if r := []rune(line); len(r) > most {
		line = string(r[:most-2]) + ".."
	}
	return line
}

// FoundText counts objects by type, those there are most of first; relationships
// only where there is nothing else.
func FoundText(found map[string]int) string {
	var types []string
	for k := range found {
		if k != "relationship" || len(found) == 1 {
			types = append(types, k)
		}
	}
	slices.SortFunc(types, func(a, b string) int {
		if found[a] != found[b] {
			return found[b] - found[a]
		}
		return strings.Compare(a, b)
	})
	var parts []string
	for _, k := range types[:min(len(types), 4)] {
		parts = append(parts, plural(found[k], k, pluralOf(k)))
	}
	if len(parts) == 0 {
		return "nothing but its own record"
	}
	return strings.Join(parts, ", ")
}

func pluralOf(kind string) string {
	switch {
	case kind == "malware" || kind == "observed-data" || kind == "infrastructure":
		return kind
	case strings.HasSuffix(kind, "y"):
		return strings.TrimSuffix(kind, "y") + "ies"
	}
	return kind + "s"
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

package main

import (
	"fmt"
	"strings"

	"github.com/tipmesh/tipmesh/internal/api"
)

// eventLines writes events for a person. A share that came in many entries, one
// after the other, is one line.
type eventLines struct {
	gopts *GlobalOptions
	each  bool
	day   string
	held  *api.Event
}

// take writes an event or holds it back, as it then says. Without an event, nothing
// more comes at present.
func (l *eventLines) take(e *api.Event) (held bool) {
	if e != nil && l.held != nil && l.goesOn(e) {
		l.merge(e)
		return true
	}
	l.flush()
	if e != nil && !l.each && e.Ref != "" && (e.What == api.WhatShared || e.What == api.WhatRevised) && len(e.Skipped) == 0 {
		l.held = e
		return true
	}
	if e != nil {
		l.say(e)
	}
	return false
}

// goesOn tells whether an event is of the same share as that held back.
func (l *eventLines) goesOn(e *api.Event) bool {
	return e.What == l.held.What && e.Ref == l.held.Ref && e.Member != nil && l.held.Member != nil && e.Member.ID == l.held.Member.ID &&
		len(e.Skipped) == 0
}

func (l *eventLines) merge(e *api.Event) {
	for t, n := range e.Found {
		l.held.Found[t] += n
	}
	l.held.Total += e.Total
	l.held.Cursor, l.held.Arrival, l.held.Arrivals = e.Cursor, e.Arrival, l.held.Arrivals+e.Arrivals
	l.held.Summary = api.FoundText(l.held.Found)
}

func (l *eventLines) flush() {
	if l.held != nil {
		l.say(l.held)
		l.held = nil
	}
}

// say writes one line, and the day where it is another than the line's before.
func (l *eventLines) say(e *api.Event) {
	g := l.gopts
	if d := day(e.Time); d != l.day {
		l.day = d
		g.sayf("%s", g.bold(d+" UTC"))
	}
	const indent = 28
	head := fmt.Sprintf("%s  %-7s %-9s ", e.Time.UTC().Format("15:04:05"), cut(nameOf(e.Member), 12), clean(e.What))
	text := wrap(strings.Fields(eventText(g, e)), "", 80, indent)
	g.sayf("%s", strings.TrimRight(head+text, " "))
	if l.each {
		for _, o := range e.Objects {
			g.sayf("%s%s", strings.Repeat(" ", indent), strings.TrimSpace(clean(o.Ref)+"  "+lineValues(g, o.Values, 2)))
		}
	}
}

// eventText says what happened.
func eventText(g *GlobalOptions, e *api.Event) string {
	title := ""
	if e.Title != "" {
		title = fmt.Sprintf(" %q", clean(e.Title))
	}
	about := ""
	if len(e.About) > 0 {
		o := e.About[0]
		if about = lineValues(g, o.Values, 1); about == "" {
			about = clean(o.Ref)
		}
		if more := len(e.About) - 1; more > 0 {
			about += fmt.Sprintf(" +%d", more)
		}
	}
	summary := clean(e.Summary)
	switch e.What {
	case api.WhatOpinion:
		return orDash(summary) + " on " + orDash(about)
	case api.WhatSeen:
		return orDash(about) + ", " + summary
	case api.WhatNote:
		return "on " + orDash(about) + ": " + summary
	case api.WhatShared, api.WhatRevised, api.WhatWithdrawn:
		text := strings.TrimSpace(clean(e.Ref) + title + " " + summary)
		if v := lineValues(g, e.Values, 2); v != "" {
			text += ": " + v
			if len(e.Values) > 2 {
				text += ", .."
			}
		}
		for _, s := range e.Skipped {
			if e.Total > 0 {
				text += fmt.Sprintf("; %d not told: %s", s.Count, clean(s.Text))
			}
		}
		return text
	}
	return summary
}

// lineValues names values, at most so many.
func lineValues(g *GlobalOptions, list []api.Value, most int) string {
	var out []string
	for _, v := range list[:min(len(list), most)] {
		out = append(out, cut(g.shown(v.Text), 48))
	}
	return strings.Join(out, ", ")
}

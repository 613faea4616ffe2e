package main

import (
	"encoding/csv"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tipmesh/tipmesh/internal/api"
)

// sayFindings shows many values, one a line, in the order given.
func sayFindings(gopts *GlobalOptions, list []*api.Finding, s *api.LookupSummary) {
	head := []string{"VERDICT", "VALUE", "TYPE", "WHO", "LAST SEEN"}
	near := slices.ContainsFunc(list, func(f *api.Finding) bool { return f.Near != nil })
	if near {
		head = append(head, "NEAR")
	}
	var rows [][]string
	for _, f := range list {
		row := []string{clean(f.Verdict), cut(gopts.shown(f.Value), 38), clean(f.Type), whoSays(f), day(lastSeen(f))}
		if near {
			row = append(row, orDash(nearCounts(f.Near)))
		}
		rows = append(rows, row)
	}
	if len(rows) > 0 {
		gopts.table(gopts.stdout, head, rows)
	}
	var parts []string
	for _, v := range api.Verdicts {
		if n := s.Verdicts[v]; n > 0 || v == api.VerdictUnknown {
			parts = append(parts, grouped(n)+" "+v)
		}
	}
	line := plural(s.Values, "value", "values") + ": " + strings.Join(parts, ", ") + " (unknown is not safe)."
	if len(s.UnreadLines) > 0 {
		line += " " + unread(s.UnreadLines)
	}
	held := 0
	for _, f := range list {
		held += f.Held
	}
	if held > 0 {
		line += fmt.Sprintf(" Held apart: %s.", grouped(held))
	}
	line += fmt.Sprintf(" Searched %s in %s.", grouped(s.Searched), lasting(time.Duration(s.TookS*float64(time.Second))))
	gopts.sayf("%s", wrap(strings.Fields(line), "", 80, 0))
}

// unread names the lines that had no value in them.
func unread(lines []int) string {
	n := len(lines)
	var at []string
	for _, l := range lines[:min(n, listed)] {
		at = append(at, fmt.Sprint(l))
	}
	if n > listed {
		at = append(at, "...")
	}
	return fmt.Sprintf("%s no value: %s.", plural(n, "line had", "lines had"), strings.Join(at, ", "))
}

// csvFindings writes a table for machines: values are live. Free text of others
// is not in it: a spreadsheet would run what looks like a formula.
func csvFindings(gopts *GlobalOptions, list []*api.Finding, s *api.LookupSummary) error {
	w := csv.NewWriter(gopts.stdout)
	rows := [][]string{{"line", "value", "type", "verdict", "confidence", "who", "last_seen", "reasons", "near"}}
	for _, f := range list {
		var codes []string
		for _, r := range f.Reasons {
			if !slices.Contains(codes, r.Code) {
				codes = append(codes, r.Code)
			}
		}
		last, line := "", ""
		if t := lastSeen(f); !t.IsZero() {
			last = t.UTC().Format(time.RFC3339)
		}
		if f.Line > 0 {
			line = fmt.Sprint(f.Line)
		}
		rows = append(rows, []string{line, f.Value, f.Type, f.Verdict, fmt.Sprint(f.Confidence), strings.Join(sayers(f), " "), last,
			strings.Join(codes, " "), nearCounts(f.Near)})
	}
	if err := w.WriteAll(rows); err != nil {
		return fmt.Errorf("write CSV: %w", err)
	}
	if len(s.UnreadLines) > 0 {
		gopts.notef("%s", unread(s.UnreadLines))
	}
	return nil
}

// sayers are the members that say something of a value, each once.
func sayers(f *api.Finding) (who []string) {
	for _, a := range f.Assertions {
		if n := clean(a.Member.Name); !slices.Contains(who, n) {
			who = append(who, n)
		}
	}
	return who
}

func whoSays(f *api.Finding) string {
	switch who := sayers(f); {
	case len(who) > 0:
		return andMore(who)
	case len(f.Warninglists) > 0:
		return "list"
	}
	return "-"
}

// firstOf names the first of some members and counts the others.
func firstOf(list []api.Name) string {
	var who []string
	for _, n := range list {
		who = append(who, clean(n.Name))
	}
	return andMore(who)
}

// andMore names the first and counts the others.
func andMore(who []string) string {
	switch len(who) {
	case 0:
		return "-"
	case 1:
		return who[0]
	}
	return fmt.Sprintf("%s +%d", who[0], len(who)-1)
}

func lastSeen(f *api.Finding) time.Time {
	last := f.Sightings.LastSeen
	for _, a := range f.Assertions {
		for _, t := range []time.Time{a.LastSeen, a.FirstSeen, a.ValidFrom} {
			if !t.IsZero() {
				if t.After(last) {
					last = t
				}
				break
			}
		}
	}
	return last
}

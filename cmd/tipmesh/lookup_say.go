package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tipmesh/tipmesh/internal/api"
	"github.com/tipmesh/tipmesh/internal/verdict"
)

// mostSayings is how many lines of different sayings a person is shown. Whoever
// disagrees is always shown.
const mostSayings = 12

// sayFinding shows one value whole.
func sayFinding(gopts *GlobalOptions, f *api.Finding, opts *LookupOptions) {
	word := strings.ToUpper(clean(f.Verdict))
	if f.Sinkhole {
		word += ", sinkhole"
	}
	head := fmt.Sprintf("%s   %s", gopts.shown(f.Value), clean(f.Type))
	gopts.sayf("%s", gopts.bold(fmt.Sprintf("%-*s%s", max(80-len(word), len(head)+3), head, word)))
	sayWho(gopts, f, opts.All)
	sayWhy(gopts, f)
	sayNear(gopts, f, opts.Near)
	sayHeld(gopts, f)
	for _, s := range f.Skipped {
		if s.Reason == "held" {
			continue // said above
		}
		hint := ""
		if s.Reason == "trust_use" {
			hint = ": tipmesh trust list"
		}
		gopts.sayf("Skipped %d %s%s", s.Count, clean(s.Text), hint)
	}
}

// saying is a line about what one member says.
type saying struct {
	who, reliability, text, confidence string
	at                                 time.Time
}

// sayWho shows who says what: assertions, who met the value, what others think.
// What is said alike collapses, dissent never does.
func sayWho(gopts *GlobalOptions, f *api.Finding, all bool) {
	shown, alike := collapsed(f.Assertions)
	if all {
		shown, alike = f.Assertions, 0
	}
	lines := sayingsOf(shown)
	for _, s := range f.Sightings.By {
		lines = append(lines, saying{s.Member.Name, s.Reliability, "met it " + times(s.Count) + span(s.FirstSeen, s.LastSeen), "", s.Received})
	}
	opinions, agreeing := thoughts(f.Opinions.By, all)
	sayLines(gopts, append(lines, opinions...))
	if n := alike + agreeing; n > 0 {
		gopts.sayf("  %s more agree (--all)", grouped(n))
	}
}

// collapsed leaves out assertions that say what others say, and of many that
// differ all but the first.
func collapsed(list []api.Assertion) (shown []api.Assertion, alike int) {
	claims := make([]verdict.Assertion, len(list))
	for i := range list {
		if list[i].Claim == api.ClaimHarmless {
			claims[i].Claim = verdict.ClaimHarmless
		}
	}
	places, left := verdict.Collapse(claims, func(i int) string { return list[i].Says + "\n" + list[i].Action + "\n" + fmt.Sprint(list[i].Live) })
	alike = len(left)
	for _, i := range places {
		if len(shown) >= mostSayings && claims[i].Claim != verdict.ClaimHarmless {
			alike++
			continue
		}
		shown = append(shown, list[i])
	}
	return shown, alike
}

// thoughts are the opinions as lines, one for each member and thought. Of those
// that agree some are left at a count.
func thoughts(list []api.Opinion, all bool) (lines []saying, left int) {
	words := map[string]string{"strongly-disagree": "strongly disagrees", "disagree": "disagrees", "neutral": "neither agrees nor disagrees",
		"agree": "agrees", "strongly-agree": "strongly agrees"}
	seen, agree := map[[3]string]bool{}, 0
	for _, o := range list {
		key := [3]string{o.Member.ID, o.Level, o.Text}
		if seen[key] {
			continue
		}
		seen[key] = true
		if !strings.HasSuffix(o.Level, "disagree") {
			if agree++; agree > verdict.MaxAlike && !all {
				left++
				continue
			}
		}
		text := words[o.Level]
		if o.Text != "" {
			text += ": " + o.Text
		}
		lines = append(lines, saying{o.Member.Name, o.Reliability, text, "", o.Received})
	}
	return lines, left
}

// sayingsOf are assertions as lines.
func sayingsOf(list []api.Assertion) (lines []saying) {
	for _, a := range list {
		says := clean(a.Says)
		if says == "" {
			says = a.Type
		}
		if a.Action != "" {
			says += ", " + a.Action
		}
		switch {
		case !a.Live:
			says += " (expired)"
		case a.Partial:
			says += " (only together with other values)"
		}
		confidence := ""
		if a.Confidence != nil {
			confidence = fmt.Sprint(*a.Confidence)
		}
		lines = append(lines, saying{a.Member.Name, a.Reliability, says, confidence, a.Received})
	}
	return lines
}

// sayLines shows what members say, a line each.
func sayLines(gopts *GlobalOptions, lines []saying) {
	width := 5
	for _, l := range lines {
		width = max(width, len(clean(l.who)))
	}
	room := max(20, 80-2-width-2-2-2-2-3-2-11)
	for _, l := range lines {
		reliability, confidence := clean(l.reliability), l.confidence
		if reliability == "" {
			reliability = "us"
		}
		if confidence == "" {
			confidence = "--"
		}
		gopts.sayf("  %-*s  %-2s  %s  %3s  %s", width, clean(l.who), reliability, padded(cut(clean(l.text), room), room), confidence, minute(l.at))
	}
}

// padded fills a text up to n columns.
func padded(s string, n int) string { return s + strings.Repeat(" ", max(0, n-columns(s))) }

func times(n uint64) string {
	if n == 1 {
		return "once"
	}
	return grouped(n) + " times"
}

// span is when something was met: ", 05-12 to 05-21".
func span(first, last time.Time) string {
	switch {
	case last.IsZero():
		return ""
	case first.IsZero() || day(first) == day(last):
		return ", " + day(last)
	}
	return ", " + day(first) + " to " + day(last)
}

// sayWhy says what a verdict rests on, and what may be done with it.
func sayWhy(gopts *GlobalOptions, f *api.Finding) {
	if why := reasons(f); why != "" {
		gopts.sayf("Why   %s", wrap(strings.Fields(why), "", 80, 6))
	}
	var tlps, in []string
	for _, r := range f.Reports {
		in = append(in, clean(r.Ref)+" "+cut(clean(r.Title), 50))
	}
	for _, a := range f.Assertions {
		if t := clean(a.TLP); t != "" && !slices.Contains(tlps, t) {
			tlps = append(tlps, t)
		}
		if s := clean(a.Share); s != "" && !slices.Contains(in, s) {
			in = append(in, s)
		}
	}
	if len(tlps) > 0 {
		gopts.sayf("May   TLP:%s", strings.ToUpper(strings.Join(tlps, ", TLP:")))
	}
	if len(in) > 0 {
		gopts.sayf("In    %s", wrap(in[:min(len(in), listed)], ",", 80, 6))
	}
}

// reasons are the reasons as a sentence. Where nobody says anything, it says
// whether that is for want of trust.
func reasons(f *api.Finding) string {
	var why []string
	for _, r := range f.Reasons {
		if r.Code != verdict.ReasonNothing {
			why = append(why, clean(r.Text))
		}
	}
	if f.Verdict != api.VerdictUnknown || len(f.Assertions) > 0 {
		return strings.Join(why, ", ")
	}
	who := "nobody"
	switch {
	case len(f.Skipped) == 1 && f.Skipped[0].Reason == "revoked":
		return "nobody says anything about it any more; unknown is not safe"
	case len(f.Skipped) > 0:
		who = "nobody whose word is used here"
	}
	return strings.Join(append(why, who+" has said anything about it; unknown is not safe"), ", ")
}

// sayNear tells what contains the value or lies within it.
func sayNear(gopts *GlobalOptions, f *api.Finding, whole bool) {
	switch {
	case f.Near == nil:
	case len(f.Near) == 0:
		gopts.sayf("Near  nothing")
	case !whole:
		gopts.sayf("Near  %s (--near)", nearCounts(f.Near))
	default:
		gopts.sayf("Near  %s", nearCounts(f.Near))
		for _, n := range f.Near {
			relation := "within it"
			if n.Relation == "contains" {
				relation = "contains it"
			}
			gopts.sayf("  %-11s  %-10s  %s  %s", relation, clean(n.Verdict), cut(gopts.shown(n.Value), 40), firstOf(n.Members))
		}
	}
}

// nearCounts counts what is near, by verdict.
func nearCounts(list []api.Near) string {
	count := map[string]int{}
	for _, n := range list {
		count[n.Verdict]++
	}
	var parts []string
	for _, v := range api.Verdicts {
		if n := count[v]; n > 0 {
			parts = append(parts, grouped(n)+" "+v)
		}
	}
	return strings.Join(parts, ", ")
}

// sayHeld tells of what is held apart, on which no verdict rests.
func sayHeld(gopts *GlobalOptions, f *api.Finding) {
	switch {
	case f.Held == 0:
	case len(f.HeldApart) == 0:
		gopts.sayf("Held apart %d: --held shows it, tipmesh trust list says who is held", f.Held)
	default:
		gopts.sayf("Held apart %d", f.Held)
		sayLines(gopts, sayingsOf(f.HeldApart))
	}
}

package verdict

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Reason is one thing that led to the verdict. Codes are only ever added.
type Reason struct {
	Code, Text string
}

// The codes.
const (
	ReasonSources         = "sources"          // who claims it
	ReasonOneUnrated      = "one_unrated"      // a single source that nobody has rated well
	ReasonAgree           = "agree"            // opinions that agree
	ReasonDissent         = "dissent"          // one for each who disagrees
	ReasonDissentAside    = "dissent_aside"    // the same, about something that does not count (any more)
	ReasonDenied          = "denied"           // one for each who says it is harmless
	ReasonSeen            = "seen"             // met by members in their own data
	ReasonWarninglist     = "warninglist"      // one for each list
	ReasonWarninglistHost = "warninglist_host" // a list that knows only the host
	ReasonKnownList       = "known_list"       // a list that only tells what it is
	ReasonNoWarninglist   = "no_warninglist"   // lists were asked, none holds it
	ReasonSinkhole        = "sinkhole"
	ReasonOld             = "old"     // some of what counts has lost weight
	ReasonRevoked         = "revoked" // some was withdrawn
	ReasonExpired         = "expired" // some is past its author's end or its lifetime
	ReasonContext         = "context" // objects that judge nothing
	ReasonNothing         = "nothing" // nobody says anything
)

// nothing is the reason where nobody says anything.
var nothing = Reason{ReasonNothing, "nobody here says anything of it; unknown is not safe"}

// reasons tells what led to a verdict, what weighs most first.
func reasons(f *Facts, w *weighing, r *Result, now time.Time) []Reason {
	var out []Reason
	add := func(code, format string, args ...any) {
		out = append(out, Reason{code, fmt.Sprintf(format, args...)})
	}
	claimed(f, w, add)
	for _, line := range against(w) {
		add(line.Code, "%s", line.Text)
	}
	if n := seenBy(f); n > 0 {
		add(ReasonSeen, "%s met it, last %s", plural(n, "member", "members"), lastSeen(f, now))
	}
	listed(f, w, r, add)
	if w.old {
		add(ReasonOld, "some of it is past half of its time and weighs less")
	}
	if w.revoked > 0 {
		add(ReasonRevoked, "%s withdrawn by who said it", plural(w.revoked, "assertion", "assertions"))
	}
	if n := w.expired; n > 0 {
		add(ReasonExpired, "%s past its time", plural(n, "assertion", "assertions"))
	}
	if w.context > 0 {
		add(ReasonContext, "%s about it without judging", plural(w.context, "object", "objects"))
	}
	if len(f.Assertions) == 0 && len(f.Lists) == 0 {
		out = append(out, nothing)
	}
	return out
}

// claimed tells who claims something bad.
func claimed(f *Facts, w *weighing, add func(code, format string, args ...any)) {
	codes, origins := map[string]string{}, map[string]string{} // the best code by member, by origin
	for _, i := range w.counted {
		a := &f.Assertions[i]
		if a.Claim != ClaimMalicious && a.Claim != ClaimSuspicious {
			continue
		}
		c := code(a.Reliability, a.Own)
		best(codes, a.Member, c)
		best(origins, source(a), c)
	}
	if len(origins) < len(codes) {
		codes = origins
	}
	switch n := len(codes); {
	case n == 0:
	case n == 1 && len(w.claims.byMember) == 1 && weights(first(codes)) < weightC:
		add(ReasonOneUnrated, "one source alone, rated %s: never enough for malicious", first(codes))
	case n == 1:
		add(ReasonSources, "1 source rated %s", first(codes))
	default:
		add(ReasonSources, "%d sources rated %s agree", n, span(codes))
	}
	if n := len(w.assents); n > 0 {
		add(ReasonAgree, "%s: %s", agrees(n), strings.Join(sorted(w.assents), ", "))
	}
}

func best(codes map[string]string, source, code string) {
	if b, held := codes[source]; !held || weights(code) > weights(b) {
		codes[source] = code
	}
}

// against gives a reason to each who disagrees, in order of name.
func against(w *weighing) []Reason {
	var out []Reason
	for _, who := range sorted(w.denied) {
		out = append(out, Reason{ReasonDenied, who + " says it is harmless"})
	}
	for _, who := range sorted(w.dissent) {
		out = append(out, Reason{ReasonDissent, who + " disagrees"})
	}
	for _, who := range sorted(w.doubts) {
		out = append(out, Reason{ReasonDissent, who + " disagrees that it is harmless"})
	}
	for _, who := range sorted(w.aside) {
		if !w.dissent[who] && !w.doubts[who] {
			out = append(out, Reason{ReasonDissentAside, who + " disagrees with something that does not count now"})
		}
	}
	return out
}

// listed tells what lists say.
func listed(f *Facts, w *weighing, r *Result, add func(code, format string, args ...any)) {
	lists := slices.Clone(f.Lists)
	slices.SortFunc(lists, func(a, b Listed) int {
		whole := func(l Listed) int { // what holds for the whole value first
			if l.HostOnly {
				return 1
			}
			return 0
		}
		return cmp.Or(whole(a)-whole(b), int(a.Meaning-b.Meaning), strings.Compare(a.List, b.List), strings.Compare(a.Entry, b.Entry))
	})
	for _, l := range slices.Compact(lists) {
		switch {
		case l.HostOnly && l.Meaning == FalsePositive:
			add(ReasonWarninglistHost, "its host is on %q (%s), which says nothing of the rest", l.List, l.Entry)
		case l.HostOnly:
			add(ReasonKnownList, "its host is on %q (%s)", l.List, l.Entry)
		case l.Meaning == FalsePositive:
			add(ReasonWarninglist, "on %q (%s)", l.List, l.Entry)
		case l.Meaning == Known:
			add(ReasonKnownList, "on %q (%s)", l.List, l.Entry)
		case l.Meaning == Sinkhole:
			add(ReasonSinkhole, "on %q (%s): detect it, who talks to it may be infected", l.List, l.Entry)
		}
	}
	if says(f, w) {
		add(ReasonSinkhole, "a member says it is a sinkhole by now: detect it, do not block it")
	}
	if len(f.Lists) == 0 && f.ListsLoaded > 0 && (r.Verdict == Malicious || r.Verdict == Suspicious) {
		add(ReasonNoWarninglist, "on none of %s", plural(f.ListsLoaded, "warninglist", "warninglists"))
	}
}

// says tells whether a counted assertion calls the value a sinkhole.
func says(f *Facts, w *weighing) bool {
	return slices.ContainsFunc(w.counted, func(i int) bool { return f.Assertions[i].Sinkholed })
}

func seenBy(f *Facts) int {
	members := map[string]bool{}
	for _, s := range f.Sightings {
		members[s.Member] = true
	}
	return len(members)
}

// lastSeen is the day of the last sighting.
func lastSeen(f *Facts, now time.Time) string {
	var at time.Time
	for _, s := range f.Sightings {
		if t := bounded(s.Last, s.Received, now); t.After(at) {
			at = t
		}
	}
	return at.UTC().Format("2006-01-02")
}

func weights(code string) float64 { return weight(code, false) }

func first(codes map[string]string) string { return span(codes) }

// span is "B", or "A-C" from the best to the worst. The letters are in order
// of weight but for F.
func span(codes map[string]string) string {
	all := slices.Sorted(maps.Values(codes))
	if all[0] == all[len(all)-1] {
		return all[0]
	}
	return all[0] + "-" + all[len(all)-1]
}

func sorted(m map[string]bool) []string { return slices.Sorted(maps.Keys(m)) }

func agrees(n int) string {
	if n == 1 {
		return "1 member agrees"
	}
	return fmt.Sprintf("%d members agree", n)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

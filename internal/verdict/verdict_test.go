package verdict_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tipmesh/tipmesh/internal/verdict"
)

const day = 24 * time.Hour

var now = time.Date(2018, 5, 21, 12, 0, 0, 0, time.UTC)

func ago(days int) time.Time { return now.Add(-time.Duration(days) * day) }

// bad is a fresh claim of malice without a confidence.
func bad(member, reliability string) verdict.Assertion {
	return verdict.Assertion{ID: "indicator--" + member, Member: member, Reliability: reliability, Claim: verdict.ClaimMalicious,
		Confidence: verdict.NoConfidence, At: now, Received: now}
}

func with(a verdict.Assertion, change func(*verdict.Assertion)) verdict.Assertion {
	change(&a)
	return a
}

func thinks(member, reliability string, level verdict.Level, about string) verdict.Opinion {
	return verdict.Opinion{Member: member, Reliability: reliability, Level: level, About: "indicator--" + about, At: now}
}

func claims(all ...verdict.Assertion) []verdict.Assertion { return all }

var popular = []verdict.Listed{{List: "Top 1000", Entry: "example.com"}}

func TestOf(t *testing.T) {
	harmless := func(member, reliability string) verdict.Assertion {
		return with(bad(member, reliability), func(a *verdict.Assertion) { a.Claim, a.Confidence = verdict.ClaimHarmless, 100 })
	}
	at := func(days int) func(*verdict.Assertion) {
		return func(a *verdict.Assertion) { a.At, a.Received = ago(days), ago(days) }
	}
	sure := func(a *verdict.Assertion) { a.Confidence = 100 }
	relayed := func(origin string) func(*verdict.Assertion) {
		return func(a *verdict.Assertion) { a.Origin, a.Confidence = origin, 100 }
	}
	for _, c := range []struct {
		name       string
		facts      verdict.Facts
		want       verdict.Word
		confidence int
		codes      []string
	}{
		{"nobody", verdict.Facts{}, verdict.Unknown, 0, []string{"nothing"}},
		{"one A", verdict.Facts{Assertions: claims(bad("alder", "A"))}, verdict.Malicious, 67, []string{"sources"}},
		{"one B", verdict.Facts{Assertions: claims(bad("alder", "B"))}, verdict.Malicious, 53, []string{"sources"}},
		{"one C", verdict.Facts{Assertions: claims(bad("alder", "C"))}, verdict.Suspicious, 35, []string{"sources"}},
		{"one C, certain", verdict.Facts{Assertions: claims(with(bad("elm", "C"), sure))}, verdict.Malicious, 50, []string{"sources"}},
		{"two C", verdict.Facts{Assertions: claims(bad("alder", "C"), bad("elm", "C"))}, verdict.Malicious, 58, []string{"sources"}},
		{"one D, certain", verdict.Facts{Assertions: claims(with(bad("elm", "D"), sure))}, verdict.Suspicious, 25, []string{"one_unrated"}},
		{"one E", verdict.Facts{Assertions: claims(bad("elm", "E"))}, verdict.Suspicious, 4, []string{"one_unrated"}},
		{"one F, certain", verdict.Facts{Assertions: claims(with(bad("elm", "F"), sure))}, verdict.Suspicious, 30, []string{"one_unrated"}},
		{"three F", verdict.Facts{Assertions: claims(bad("elm", "F"), bad("fir", "F"), bad("oak", "F"))}, verdict.Malicious, 51, []string{"sources"}},
		{"us", verdict.Facts{Assertions: claims(with(bad("birch", "F"), func(a *verdict.Assertion) { a.Own = true }))}, verdict.Malicious, 67, []string{"sources"}},
		{"an F that names three origins", verdict.Facts{Assertions: claims(with(bad("fir", "F"), relayed("x")), with(bad("fir", "F"), relayed("y")),
			with(bad("fir", "F"), relayed("z")))}, verdict.Suspicious, 30, []string{"one_unrated"}},
		{"an origin that three relay", verdict.Facts{Assertions: claims(with(bad("elm", "C"), relayed("lab")), with(bad("oak", "C"), relayed("lab")),
			with(bad("fir", "F"), relayed("lab")))}, verdict.Malicious, 50, []string{"sources"}},
		{"no confidence at all", verdict.Facts{Assertions: claims(with(bad("alder", "A"), func(a *verdict.Assertion) { a.Confidence = 0 }))}, verdict.Suspicious, 0, []string{"sources"}},
		{"suspicious is never malicious", verdict.Facts{Assertions: claims(with(bad("alder", "A"), func(a *verdict.Assertion) { a.Claim, a.Confidence = verdict.ClaimSuspicious, 100 }),
			with(bad("oak", "A"), func(a *verdict.Assertion) { a.Claim, a.Confidence = verdict.ClaimSuspicious, 100 }))}, verdict.Suspicious, 72, []string{"sources"}},
		{"context", verdict.Facts{Assertions: claims(with(bad("alder", "A"), func(a *verdict.Assertion) { a.Claim = verdict.Context }))}, verdict.Unknown, 0, []string{"context"}},
		{"revoked", verdict.Facts{Assertions: claims(with(bad("alder", "A"), func(a *verdict.Assertion) { a.Revoked = true }))}, verdict.Unknown, 0, []string{"revoked"}},
		{"expired", verdict.Facts{Assertions: claims(with(bad("alder", "A"), func(a *verdict.Assertion) { a.ValidUntil = now }))}, verdict.Unknown, 0, []string{"expired"}},

		{"half of its lifetime", verdict.Facts{Lifetime: 30 * day, Assertions: claims(with(bad("alder", "A"), at(15)))}, verdict.Malicious, 58, []string{"sources"}},
		{"most of its lifetime", verdict.Facts{Lifetime: 30 * day, Assertions: claims(with(bad("alder", "A"), at(25)))}, verdict.Suspicious, 28, []string{"sources", "old"}},
		{"all of its lifetime", verdict.Facts{Lifetime: 30 * day, Assertions: claims(with(bad("alder", "A"), at(30)))}, verdict.Unknown, 0, []string{"expired"}},
		{"renewed by a sighting", verdict.Facts{Lifetime: 30 * day, Assertions: claims(with(bad("alder", "A"), at(29))),
			Sightings: []verdict.Sighting{{Member: "birch", Own: true, Last: now, Received: now}}}, verdict.Malicious, 58, []string{"sources", "seen"}},
		{"not renewed by an E", verdict.Facts{Lifetime: 30 * day, Assertions: claims(with(bad("alder", "A"), at(30))),
			Sightings: []verdict.Sighting{{Member: "elm", Reliability: "E", Last: now, Received: now}}}, verdict.Unknown, 0, []string{"seen", "expired"}},
		{"not revived", verdict.Facts{Lifetime: 30 * day, Assertions: claims(with(bad("alder", "A"), at(40))),
			Sightings: []verdict.Sighting{{Member: "birch", Own: true, Last: now}}}, verdict.Unknown, 0, []string{"seen", "expired"}},
		{"renewed twice", verdict.Facts{Lifetime: 30 * day, Assertions: claims(with(bad("alder", "A"), at(40))),
			Sightings: []verdict.Sighting{{Member: "birch", Own: true, Last: now}, {Member: "elm", Last: ago(12)}}}, verdict.Malicious, 58, []string{"sources", "seen"}},
		{"the author's end is not renewed", verdict.Facts{Lifetime: 30 * day, Assertions: claims(with(bad("alder", "A"), func(a *verdict.Assertion) { a.At, a.ValidUntil = ago(9), ago(1) })),
			Sightings: []verdict.Sighting{{Member: "birch", Own: true, Last: now}}}, verdict.Unknown, 0, []string{"seen", "expired"}},
		{"a date to come", verdict.Facts{Lifetime: 30 * day, Assertions: claims(with(bad("alder", "A"), func(a *verdict.Assertion) { a.At, a.Received = ago(-900), ago(30) }))}, verdict.Unknown, 0, []string{"expired"}},
		{"sightings alone", verdict.Facts{Sightings: []verdict.Sighting{{Member: "birch", Own: true, Last: now}, {Member: "elm", Reliability: "A", Last: now}}}, verdict.Unknown, 0, []string{"seen", "nothing"}},

		{"an agreeing opinion", verdict.Facts{Assertions: claims(bad("elm", "C")), Opinions: []verdict.Opinion{thinks("oak", "B", verdict.Agree, "elm")}}, verdict.Malicious, 64, []string{"sources", "agree"}},
		{"agreeing with oneself", verdict.Facts{Assertions: claims(bad("elm", "C")), Opinions: []verdict.Opinion{thinks("elm", "C", verdict.StronglyAgree, "elm")}}, verdict.Suspicious, 35, []string{"sources"}},
		{"an author agrees with a copy", verdict.Facts{Assertions: claims(with(bad("elm", "C"), relayed("lab"))), Opinions: []verdict.Opinion{thinks("lab", "A", verdict.Agree, "elm")}},
			verdict.Malicious, 57, []string{"sources", "agree"}},
		{"a neutral opinion", verdict.Facts{Assertions: claims(bad("elm", "C")), Opinions: []verdict.Opinion{thinks("oak", "A", verdict.Neutral, "elm")}}, verdict.Suspicious, 35, []string{"sources"}},
		{"an A disagrees", verdict.Facts{Assertions: claims(bad("alder", "A"), bad("cedar", "B")), Opinions: []verdict.Opinion{thinks("oak", "A", verdict.Disagree, "alder")}},
			verdict.Disputed, 84, []string{"sources", "dissent"}},
		{"a C disagrees", verdict.Facts{Assertions: claims(bad("alder", "A"), bad("cedar", "B")), Opinions: []verdict.Opinion{thinks("elm", "C", verdict.Disagree, "alder")}},
			verdict.Malicious, 84, []string{"sources", "dissent"}},
		{"a C disagrees with an F", verdict.Facts{Assertions: claims(bad("fir", "F")), Opinions: []verdict.Opinion{thinks("elm", "C", verdict.Disagree, "fir")}},
			verdict.Disputed, 21, []string{"one_unrated", "dissent"}},
		{"a mind changed", verdict.Facts{Assertions: claims(bad("elm", "C")), Opinions: []verdict.Opinion{thinks("oak", "A", verdict.Agree, "elm"),
			{Member: "oak", Reliability: "A", Level: verdict.StronglyDisagree, About: "indicator--elm", At: ago(1)}}}, verdict.Malicious, 72, []string{"sources", "agree"}},
		{"dissent about what was withdrawn", verdict.Facts{Assertions: claims(bad("alder", "A"), with(bad("elm", "A"), func(a *verdict.Assertion) { a.Revoked = true })),
			Opinions: []verdict.Opinion{thinks("oak", "A", verdict.Disagree, "elm")}}, verdict.Malicious, 67, []string{"sources", "dissent_aside", "revoked"}},

		{"harmless, said by an A", verdict.Facts{Assertions: claims(harmless("alder", "A"))}, verdict.Harmless, 0, []string{"denied"}},
		{"harmless, said by an F", verdict.Facts{Assertions: claims(harmless("alder", "F"))}, verdict.Unknown, 0, []string{"denied"}},
		{"harmless, and somebody doubts it", verdict.Facts{Assertions: claims(harmless("alder", "A")), Opinions: []verdict.Opinion{thinks("oak", "B", verdict.Disagree, "alder")}},
			verdict.Disputed, 23, []string{"denied", "dissent"}},
		{"one against one", verdict.Facts{Assertions: claims(bad("alder", "B"), harmless("elm", "B"))}, verdict.Disputed, 53, []string{"sources", "denied"}},

		{"listed alone", verdict.Facts{Lists: popular, ListsLoaded: 35}, verdict.Harmless, 0, []string{"warninglist"}},
		{"listed and claimed", verdict.Facts{Lists: popular, ListsLoaded: 35, Assertions: claims(bad("alder", "A"), bad("cedar", "A"))}, verdict.Disputed, 89, []string{"sources", "warninglist"}},
		{"listed and claimed by an F", verdict.Facts{Lists: popular, Assertions: claims(bad("fir", "F"))}, verdict.Disputed, 21, []string{"one_unrated", "warninglist"}},
		{"a bad path on a listed host", verdict.Facts{Lists: []verdict.Listed{{List: "Top 1000", Entry: "photobucket.com", HostOnly: true}}, Assertions: claims(bad("alder", "A"))},
			verdict.Malicious, 67, []string{"sources", "warninglist_host"}},
		{"known", verdict.Facts{Lists: []verdict.Listed{{List: "VPN exits", Meaning: verdict.Known}}, Assertions: claims(bad("alder", "A"))}, verdict.Malicious, 67, []string{"sources", "known_list"}},
		{"a listed sinkhole", verdict.Facts{Lists: []verdict.Listed{{List: "sinkholes", Meaning: verdict.Sinkhole}}}, verdict.Unknown, 0, []string{"sinkhole"}},
		{"on no list", verdict.Facts{ListsLoaded: 35, Assertions: claims(bad("alder", "A"))}, verdict.Malicious, 67, []string{"sources", "no_warninglist"}},
		{"a sinkhole by now", verdict.Facts{Assertions: claims(bad("alder", "A"), with(bad("cedar", "B"), func(a *verdict.Assertion) { a.Sinkholed = true }))},
			verdict.Malicious, 84, []string{"sources", "sinkhole"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := verdict.Of(&c.facts, now)
			if got.Verdict != c.want || got.Confidence != c.confidence {
				t.Errorf("%s, %d; want %s, %d (%v)", got.Verdict, got.Confidence, c.want, c.confidence, got.Reasons)
			}
			var codes []string
			for _, r := range got.Reasons {
				codes = append(codes, r.Code)
			}
			if diff := cmp.Diff(c.codes, codes); diff != "" {
				t.Errorf("reasons (-want +got):\n%s", diff)
			}
			if want := slices.Contains(c.codes, "sinkhole"); got.Sinkholed != want {
				t.Errorf("sinkholed %v, want %v", got.Sinkholed, want)
			}
		})
	}
}

// The value of USERS' example: two agree, one disagrees, we saw it.
func TestReasonsRead(t *testing.T) {
	f := verdict.Facts{
		Assertions:  claims(bad("alder", "A"), bad("cedar", "B")),
		Opinions:    []verdict.Opinion{thinks("elm", "C", verdict.Disagree, "alder")},
		Sightings:   []verdict.Sighting{{Member: "birch", Own: true, Last: now}},
		ListsLoaded: 35,
	}
	want := []verdict.Reason{
		{Code: "sources", Text: "2 sources rated A-B agree"},
		{Code: "dissent", Text: "elm disagrees"},
		{Code: "seen", Text: "1 member met it, last 2018-05-21"},
		{Code: "no_warninglist", Text: "on none of 35 warninglists"},
	}
	if diff := cmp.Diff(want, verdict.Of(&f, now).Reasons); diff != "" {
		t.Error(diff)
	}
}

// A relayed copy that says the opposite under the author's identifier does not
// turn round what is thought of the author's object.
func TestOpinionIsAboutTheAuthorsObject(t *testing.T) {
	twisted := with(bad("fir", "F"), func(a *verdict.Assertion) {
		a.ID, a.Origin, a.Claim = "indicator--alder", "alder", verdict.ClaimHarmless
	})
	f := verdict.Facts{Assertions: claims(bad("alder", "A"), twisted), Opinions: []verdict.Opinion{thinks("oak", "A", verdict.StronglyAgree, "alder")}}
	for range 2 {
		got := verdict.Of(&f, now)
		if got.Verdict != verdict.Malicious || got.Confidence != 95 {
			t.Errorf("%s, %d; want malicious, 95", got.Verdict, got.Confidence)
		}
		slices.Reverse(f.Assertions)
	}
}

func TestParseLevel(t *testing.T) {
	for word, want := range map[string]verdict.Level{"strongly-disagree": verdict.StronglyDisagree, "disagree": verdict.Disagree,
		"neutral": verdict.Neutral, "agree": verdict.Agree, "strongly-agree": verdict.StronglyAgree} {
		if got, ok := verdict.ParseLevel(word); !ok || got != want {
			t.Errorf("%s: %v, %v", word, got, ok)
		}
	}
	if _, ok := verdict.ParseLevel("maybe"); ok {
		t.Error("maybe is no level")
	}
}

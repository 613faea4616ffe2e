package verdict_test

import (
	"math/rand"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tipmesh/tipmesh/internal/verdict"
)

var (
	members = []string{"alder", "birch", "cedar", "elm", "fir", "oak"}
	ratings = []string{"A", "B", "C", "D", "E", "F", ""}
)

func anyTime(t *rapid.T, what string) time.Time {
	return now.Add(time.Duration(rapid.IntRange(-60*24, 10*24).Draw(t, what)) * time.Hour)
}

// rated gives each member one reliability.
func rated(t *rapid.T) map[string]string {
	out := map[string]string{}
	for _, m := range members {
		out[m] = rapid.SampledFrom(ratings).Draw(t, "rating of "+m)
	}
	return out
}

func anyAssertion(rating map[string]string) *rapid.Generator[verdict.Assertion] {
	return rapid.Custom(func(t *rapid.T) verdict.Assertion {
		a := verdict.Assertion{Member: rapid.SampledFrom(members).Draw(t, "member"), Claim: verdict.Claim(rapid.IntRange(0, 3).Draw(t, "claim")),
			Confidence: rapid.IntRange(-1, 100).Draw(t, "confidence"), At: anyTime(t, "at"), Received: anyTime(t, "received"),
			ID: rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "id"), Revoked: rapid.IntRange(0, 4).Draw(t, "revoked") == 0}
		a.Reliability = rating[a.Member]
		if rapid.IntRange(0, 3).Draw(t, "relayed") == 0 {
			a.Origin = rapid.SampledFrom(append([]string{"lab", "vendor"}, members...)).Draw(t, "origin")
		}
		if rapid.Bool().Draw(t, "ends") {
			a.ValidUntil = anyTime(t, "end")
		}
		return a
	})
}

func anyFacts(t *rapid.T, rating map[string]string) verdict.Facts {
	opinion := rapid.Custom(func(t *rapid.T) verdict.Opinion {
		m := rapid.SampledFrom(members).Draw(t, "member")
		return verdict.Opinion{Member: m, Reliability: rating[m], About: rapid.SampledFrom([]string{"a", "b", "c", "d", "gone"}).Draw(t, "about"),
			Level: verdict.Level(rapid.IntRange(-2, 2).Draw(t, "level")), At: anyTime(t, "at")}
	})
	sighting := rapid.Custom(func(t *rapid.T) verdict.Sighting {
		m := rapid.SampledFrom(members).Draw(t, "member")
		return verdict.Sighting{Member: m, Reliability: rating[m], Last: anyTime(t, "last"), Received: anyTime(t, "received")}
	})
	listed := rapid.Custom(func(t *rapid.T) verdict.Listed {
		return verdict.Listed{List: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "list"), Meaning: verdict.Meaning(rapid.IntRange(0, 2).Draw(t, "meaning")),
			HostOnly: rapid.Bool().Draw(t, "host only")}
	})
	return verdict.Facts{
		Assertions: rapid.SliceOfN(anyAssertion(rating), 0, 8).Draw(t, "assertions"),
		Opinions:   rapid.SliceOfN(opinion, 0, 6).Draw(t, "opinions"),
		Sightings:  rapid.SliceOfN(sighting, 0, 3).Draw(t, "sightings"),
		Lists:      rapid.SliceOfN(listed, 0, 2).Draw(t, "lists"),
		Lifetime:   time.Duration(rapid.IntRange(0, 60).Draw(t, "lifetime")) * day,
	}
}

func TestAgreeingSourceNeverLowersConfidence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rating := rated(t)
		f := anyFacts(t, rating)
		before := verdict.Of(&f, now)
		extra := anyAssertion(rating).Draw(t, "extra")
		extra.ID, extra.Claim = "new", verdict.ClaimMalicious
		f.Assertions = append(f.Assertions, extra)
		after := verdict.Of(&f, now)
		if after.Confidence < before.Confidence {
			t.Fatalf("%d fell to %d", before.Confidence, after.Confidence)
		}
		if after.Dissent != before.Dissent {
			t.Fatalf("dissent moved from %d to %d", before.Dissent, after.Dissent)
		}
		if before.Verdict == verdict.Malicious && after.Verdict != verdict.Malicious {
			t.Fatalf("malicious became %s", after.Verdict)
		}
	})
}

func TestDissentNeverDisappears(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rating := rated(t)
		f := anyFacts(t, rating)
		f.Opinions = append(f.Opinions, verdict.Opinion{Member: "the dissenter", Reliability: rapid.SampledFrom(ratings).Draw(t, "rating"), At: now,
			Level: verdict.Level(rapid.IntRange(-2, -1).Draw(t, "level")), About: rapid.SampledFrom([]string{"a", "b", "gone"}).Draw(t, "about")})
		got := verdict.Of(&f, now)
		if !slices.ContainsFunc(got.Reasons, func(r verdict.Reason) bool {
			return strings.HasPrefix(r.Code, "dissent") && strings.HasPrefix(r.Text, "the dissenter ")
		}) {
			t.Fatalf("no reason names who disagrees: %v", got.Reasons)
		}
	})
}

func TestWhatIsOverDoesNotCount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rating := rated(t)
		f := anyFacts(t, rating)
		before := verdict.Of(&f, now)
		over := anyAssertion(rating).Draw(t, "over")
		over.ID = "over"
		switch rapid.IntRange(0, 2).Draw(t, "how") {
		case 0:
			over.Revoked = true
		case 1:
			over.ValidUntil = now.Add(-time.Duration(rapid.IntRange(0, 1000).Draw(t, "since")) * time.Hour)
		case 2: // its lifetime is over, and no sighting met it before that
			f.Lifetime = max(f.Lifetime, day)
			before = verdict.Of(&f, now)
			over.At = now.Add(-f.Lifetime - 200*day)
			over.ValidUntil = time.Time{}
		}
		f.Assertions = append(f.Assertions, over)
		after := verdict.Of(&f, now)
		before.Reasons, after.Reasons = nil, nil
		if diff := cmp.Diff(before, after); diff != "" {
			t.Fatal(diff)
		}
	})
}

// One member rated D or worse settles nothing by itself: not by many objects,
// not by naming origins, not by opinions of its own, not by sightings.
func TestOneBadlyRatedSourceNeverSuffices(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rating := map[string]string{}
		only := rapid.SampledFrom([]string{"D", "E", "F", "", "G", "a"}).Draw(t, "rating")
		for _, m := range members {
			rating[m] = only
		}
		f := anyFacts(t, rating)
		for i := range f.Assertions {
			f.Assertions[i].Member = "fir"
		}
		for i := range f.Opinions {
			f.Opinions[i].Member = "fir"
		}
		if got := verdict.Of(&f, now); got.Verdict == verdict.Malicious || got.Confidence >= verdict.Likely {
			t.Fatalf("%s, %d", got.Verdict, got.Confidence)
		}
	})
}

func TestWarninglistCaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := anyFacts(t, rated(t))
		f.Lists = append(f.Lists, verdict.Listed{List: "public resolvers", Entry: "8.8.8.8"})
		claimed := verdict.Of(&f, now)
		if claimed.Verdict != verdict.Disputed && claimed.Verdict != verdict.Harmless {
			t.Fatalf("listed, and %s", claimed.Verdict)
		}
		if claimed.Verdict == verdict.Harmless && claimed.Confidence > 0 {
			t.Fatalf("harmless, and %d speaks against it", claimed.Confidence)
		}
	})
}

// Lists, sinkholes and sightings of what nobody claims make nothing bad.
func TestOnlyMembersAccuse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := anyFacts(t, rated(t))
		f.Assertions, f.Opinions = nil, nil
		if got := verdict.Of(&f, now); got.Confidence != 0 || got.Verdict != verdict.Unknown && got.Verdict != verdict.Harmless {
			t.Fatalf("%s, %d", got.Verdict, got.Confidence)
		}
	})
}

func TestOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := anyFacts(t, rated(t))
		before := verdict.Of(&f, now)
		r := rand.New(rand.NewSource(rapid.Int64().Draw(t, "seed")))
		r.Shuffle(len(f.Assertions), reflect.Swapper(f.Assertions))
		r.Shuffle(len(f.Opinions), reflect.Swapper(f.Opinions))
		r.Shuffle(len(f.Sightings), reflect.Swapper(f.Sightings))
		r.Shuffle(len(f.Lists), reflect.Swapper(f.Lists))
		after := verdict.Of(&f, now)
		if len(before.Counted) != len(after.Counted) {
			t.Fatalf("counted %v, then %v", before.Counted, after.Counted)
		}
		before.Counted, after.Counted = nil, nil
		if diff := cmp.Diff(before, after); diff != "" {
			t.Fatal(diff)
		}
	})
}

package verdict

import (
	"slices"
	"strings"
	"time"
)

// Word is a verdict.
type Word string

// The verdicts.
const (
	Malicious  Word = "malicious"
	Suspicious Word = "suspicious"
	Disputed   Word = "disputed"
	Harmless   Word = "harmless"
	Unknown    Word = "unknown"
)

// Claim is what an assertion makes of its value.
type Claim int

// The claims. Context is anything that judges nothing, as observed data.
const (
	Context Claim = iota
	ClaimMalicious
	ClaimSuspicious
	ClaimHarmless
)

// NoConfidence is the confidence of an assertion that gives none.
const NoConfidence = -1

// Assertion is what one member says about the value.
type Assertion struct {
	// ID names the assertion to opinions. Copies of one object share it.
	ID string
	// Member is who shared it; Origin is who said it first, where Member only
	// relays it. Both are names to show, and a member has one name in both.
	Member, Origin string
	// Own is whether the member is us.
	Own bool
	// Reliability is the Admiralty code of Member, A to F. Else it is F.
	Reliability string
	Claim       Claim
	// Confidence is STIX's, 0 to 100, or NoConfidence.
	Confidence int
	// At is when the author last stood by it: modified, or last seen if that
	// is later. Received is when it came here. An At after Received is taken
	// for Received: nobody stays young by a date to come.
	At, Received time.Time
	// ValidUntil is the author's end, zero for none. It can only shorten.
	ValidUntil time.Time
	Revoked    bool
	// Sinkholed is whether it says that the value is in good hands by now.
	Sinkholed bool
}

// Level is how far an opinion agrees, as STIX's five words.
type Level int

// The levels.
const (
	StronglyDisagree Level = iota - 2
	Disagree
	Neutral
	Agree
	StronglyAgree
)

// Opinion is what one member thinks of an assertion. Of several by one member
// about one assertion the last counts.
type Opinion struct {
	Member      string
	Own         bool
	Reliability string
	About       string // an Assertion's ID
	Level       Level
	At          time.Time
}

// Sighting is one member's word that it met the value.
type Sighting struct {
	Member      string
	Reliability string
	Own         bool
	Last        time.Time
	Received    time.Time
}

// Meaning is what a list says of what it holds.
type Meaning int

// The meanings. MISP knows the first two as categories.
const (
	// FalsePositive: most who share this value err.
	FalsePositive Meaning = iota
	// Known: something to recognise, good or bad.
	Known
	// Sinkhole: whoever talks to it is likely infected; who runs it is not bad.
	Sinkhole
)

// Listed is a list that holds the value.
type Listed struct {
	List, Entry string
	Meaning     Meaning
	// HostOnly is whether the list knows only the host of a URL or a mail
	// address. A bad path on a popular host stays bad, so it changes nothing.
	HostOnly bool
}

// Facts is all that is known of one value. Members of whom nothing is used
// here have been left out by the caller.
type Facts struct {
	Assertions []Assertion
	Opinions   []Opinion
	Sightings  []Sighting
	Lists      []Listed
	// ListsLoaded is how many lists were asked: none is not the same as no hit.
	ListsLoaded int
	// Lifetime is how long an assertion about such a value holds; 0 for ever.
	Lifetime time.Duration
}

// Result is the combined view.
type Result struct {
	Verdict Word
	// Confidence is what supports the claims, 0 to 100, dissent aside; Dissent
	// is what speaks against them.
	Confidence, Dissent int
	// Sinkholed asks for detecting instead of blocking.
	Sinkholed bool
	// Counted holds the places in Facts.Assertions that count, in order.
	Counted []int
	Reasons []Reason
}

// Of judges what is known of a value at a time.
func Of(f *Facts, now time.Time) Result {
	if len(f.Assertions)+len(f.Opinions)+len(f.Sightings)+len(f.Lists) == 0 { // most values of a log
		return Result{Verdict: Unknown, Reasons: []Reason{nothing}}
	}
	w := weigh(f, now)
	r := Result{Confidence: w.claims.percent(), Dissent: w.denials.percent(), Counted: w.counted, Sinkholed: w.sinkholed}
	r.Verdict = word(w, &r)
	r.Reasons = reasons(f, w, &r, now)
	return r
}

// word applies the table of the package comment.
func word(w *weighing, r *Result) Word {
	switch {
	case w.claims.none() && (w.warned || r.Dissent >= Likely):
		return Harmless
	case w.claims.none():
		return Unknown
	case w.warned, r.Dissent >= Likely, r.Dissent > 0 && r.Dissent >= r.Confidence:
		return Disputed
	case w.malice.percent() >= Likely:
		return Malicious
	}
	return Suspicious
}

// ParseLevel reads STIX's opinion-enum.
func ParseLevel(s string) (Level, bool) {
	i := slices.Index([]string{"strongly-disagree", "disagree", "neutral", "agree", "strongly-agree"}, strings.TrimSpace(s))
	return Level(i - 2), i >= 0
}

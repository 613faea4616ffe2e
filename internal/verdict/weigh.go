package verdict

import (
	"math"
	"slices"
	"time"
)

// Likely is the support, of 100, from which a claim is taken to be true.
const Likely = 50

// What sources weigh; the package comment says why.
const (
	weightA, weightB, weightC = 0.95, 0.75, 0.50
	weightD, weightE, weightF = 0.25, 0.05, 0.30

	absentConfidence = 70
	plainOpinion     = 0.60
	strongOpinion    = 0.90
	suspiciousShare  = 0.50
	decayPower       = 3
	renewed          = 0.50 // of the lifetime, by a sighting
	oldAge           = 0.75 // below it the reasons tell of age
)

// weighing is what was counted.
type weighing struct {
	malice, claims tally           // claims holds malice too
	denials        tally           // all that speaks against the claims
	denied         map[string]bool // members: assertions that it is harmless
	dissent        map[string]bool // opinions that disagree with a claim
	doubts         map[string]bool // opinions that disagree with harmless
	aside          map[string]bool // opinions that disagree with what does not count
	assents        map[string]bool // opinions that agree with a claim
	counted        []int
	context        int
	revoked        int
	expired        int // by the author's end, or by its lifetime
	old            bool
	sightings      []time.Time // in order
	warned         bool
	sinkholed      bool
}

func weigh(f *Facts, now time.Time) *weighing {
	w := &weighing{malice: newTally(), claims: newTally(), denials: newTally(), denied: map[string]bool{}, dissent: map[string]bool{},
		doubts: map[string]bool{}, aside: map[string]bool{}, assents: map[string]bool{}}
	for _, s := range f.Sightings {
		if code(s.Reliability, s.Own) != "E" {
			w.sightings = append(w.sightings, bounded(s.Last, s.Received, now))
		}
	}
	slices.SortFunc(w.sightings, time.Time.Compare)
	live := map[string][]*Assertion{}
	for i := range f.Assertions {
		a := &f.Assertions[i]
		if w.assertion(a, f.Lifetime, now) {
			w.counted = append(w.counted, i)
			live[a.ID] = append(live[a.ID], a)
		}
	}
	for _, o := range last(f.Opinions) {
		w.opinion(o, authored(live[o.About]))
	}
	for _, l := range f.Lists {
		switch {
		case l.HostOnly:
		case l.Meaning == FalsePositive:
			w.warned = true
		case l.Meaning == Sinkhole:
			w.sinkholed = true
		}
	}
	return w
}

// assertion counts one assertion, and tells whether it does count.
func (w *weighing) assertion(a *Assertion, lifetime time.Duration, now time.Time) bool {
	switch {
	case a.Revoked:
		w.revoked++
		return false
	case !a.ValidUntil.IsZero() && !now.Before(a.ValidUntil):
		w.expired++
		return false
	}
	age := w.age(a, lifetime, now)
	if age <= 0 {
		w.expired++
		return false
	}
	w.old = w.old || age < oldAge
	w.sinkholed = w.sinkholed || a.Sinkholed
	p := weight(a.Reliability, a.Own) * confidence(a.Confidence) * age
	switch origin := source(a); a.Claim {
	case ClaimMalicious:
		w.malice.add(a.Member, origin, p)
		w.claims.add(a.Member, origin, p)
	case ClaimSuspicious:
		w.claims.add(a.Member, origin, p*suspiciousShare)
	case ClaimHarmless:
		w.denials.add(a.Member, origin, p)
		w.denied[a.Member] = true
	default:
		w.context++
	}
	return true
}

// authored leaves the author's own object alone where it counts: a relayed
// copy may say something else under the same identifier.
func authored(copies []*Assertion) []*Assertion {
	var own []*Assertion
	for _, a := range copies {
		if a.Origin == "" {
			own = append(own, a)
		}
	}
	if own != nil {
		return own
	}
	return copies
}

// opinion counts what a member thinks of an assertion.
func (w *weighing) opinion(o Opinion, about []*Assertion) {
	p := weight(o.Reliability, o.Own)
	if o.Level == StronglyAgree || o.Level == StronglyDisagree {
		p *= strongOpinion
	} else {
		p *= plainOpinion
	}
	aside := true
	for _, a := range about {
		switch {
		case o.Level == Neutral || a.Claim == Context:
			continue
		case a.Claim == ClaimHarmless && o.Level > Neutral:
			w.denials.add(o.Member, o.Member, p)
			w.denied[o.Member] = true
		case a.Claim == ClaimHarmless:
			w.claims.add(o.Member, o.Member, p*suspiciousShare)
			w.doubts[o.Member] = true
		case o.Level < Neutral:
			w.denials.add(o.Member, o.Member, p)
			w.dissent[o.Member] = true
		default:
			w.assent(o.Member, a, p)
		}
		aside = false
	}
	if aside && o.Level < Neutral {
		w.aside[o.Member] = true
	}
}

// assent counts a member that agrees with a claim. Who shared an assertion does
// not confirm it. Who is relayed lends its own word, and stays one source.
func (w *weighing) assent(member string, a *Assertion, p float64) {
	if member == a.Member {
		return
	}
	w.assents[member] = true
	if a.Claim == ClaimSuspicious {
		w.claims.add(member, member, p*suspiciousShare)
		return
	}
	w.malice.add(member, member, p)
	w.claims.add(member, member, p)
}

// age is what is left of an assertion, 1 when fresh, 0 when its lifetime is
// over.
func (w *weighing) age(a *Assertion, lifetime time.Duration, now time.Time) float64 {
	at := a.At
	if at.IsZero() {
		at = a.Received
	}
	at = bounded(at, a.Received, now)
	if !a.ValidUntil.IsZero() { // the author may set shorter, never longer
		if own := a.ValidUntil.Sub(at); own > 0 && (lifetime == 0 || own < lifetime) {
			lifetime = own
		}
	}
	if lifetime <= 0 {
		return 1
	}
	spent := share(at, now, lifetime)
	for i, end := 0, at.Add(lifetime); i < len(w.sightings); i++ { // in order: what has ended is not revived
		s := w.sightings[i]
		if s.Before(at) || s.After(end) {
			continue
		}
		spent = min(spent, 1-renewed+share(s, now, lifetime))
		if to := s.Add(time.Duration(renewed * float64(lifetime))); to.After(end) {
			end = to
		}
	}
	return 1 - math.Pow(min(spent, 1), decayPower)
}

func share(from, to time.Time, of time.Duration) float64 { return float64(to.Sub(from)) / float64(of) }

// bounded is a time another member gave, no later than it came or than now.
func bounded(at, received, now time.Time) time.Time {
	if !received.IsZero() && received.Before(at) {
		at = received
	}
	if now.Before(at) {
		at = now
	}
	return at
}

// last keeps each member's last opinion about each assertion; of two at one
// time the one that disagrees more.
func last(all []Opinion) map[[2]string]Opinion {
	out := map[[2]string]Opinion{}
	for _, o := range all {
		key := [2]string{o.Member, o.About}
		if b, held := out[key]; !held || o.At.After(b.At) || o.At.Equal(b.At) && o.Level < b.Level {
			out[key] = o
		}
	}
	return out
}

// source is who an assertion comes from in the first place.
func source(a *Assertion) string {
	if a.Origin != "" {
		return a.Origin
	}
	return a.Member
}

func confidence(c int) float64 {
	if c < 0 {
		c = absentConfidence
	}
	return float64(min(c, 100)) / 100
}

// code is an Admiralty code as it counts here.
func code(reliability string, own bool) string {
	switch {
	case own:
		return "A"
	case len(reliability) == 1 && reliability >= "A" && reliability <= "E":
		return reliability
	}
	return "F"
}

func weight(reliability string, own bool) float64 {
	switch code(reliability, own) {
	case "A":
		return weightA
	case "B":
		return weightB
	case "C":
		return weightC
	case "D":
		return weightD
	case "E":
		return weightE
	}
	return weightF
}

package lifetime_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/internal/lifetime"
	"github.com/tipmesh/tipmesh/internal/verdict"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

const day = 24 * time.Hour

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func ms(days float64) int64 {
	return epoch.Add(time.Duration(days * float64(day))).UnixMilli()
}

func TestOf(t *testing.T) {
	charter := lifetime.Table(protocol.Lifetimes{AddressSeconds: 3600})
	for _, c := range []struct {
		object, value string
		want          time.Duration
	}{
		{"indicator", "ipv4", time.Hour}, {"indicator", "ipv6-net", time.Hour}, {"indicator", "url", 30 * day},
		{"indicator", "domain", 90 * day}, {"indicator", "email", 90 * day}, {"indicator", "sha256", 5 * 365 * day},
		{"x509-certificate", "sha1", 365 * day}, {"indicator", "filename", 0}, {"report", "", 0},
	} {
		if got := charter.Of(c.object, c.value); got != c.want {
			t.Errorf("%s %s: %v, want %v", c.object, c.value, got, c.want)
		}
	}
}

func TestUntil(t *testing.T) {
	var rules lifetime.Table
	for name, c := range map[string]struct {
		o    store.Summary
		seen []float64
		want float64 // days; 0: never
		kind string
	}{
		"from the version on":              {o: store.Summary{}, want: 30},
		"from last seen":                   {o: store.Summary{LastSeen: ms(4)}, want: 34},
		"from valid_from":                  {o: store.Summary{ValidFrom: ms(5)}, want: 35},
		"from when it came, if later said": {o: store.Summary{ValidFrom: ms(500), Received: ms(6)}, want: 36},
		"the author sooner":                {o: store.Summary{ValidUntil: ms(7)}, want: 7},
		"the author later":                 {o: store.Summary{ValidUntil: ms(99)}, want: 30},
		"a sighting that changes nothing":  {seen: []float64{10}, want: 30},
		"a sighting renews half":           {seen: []float64{20}, want: 35},
		"sightings, in any order":          {seen: []float64{34, 20}, want: 49},
		"too late":                         {seen: []float64{31}, want: 30},
		"before it was said":               {seen: []float64{-1}, want: 30},
		"never past the author's end":      {o: store.Summary{ValidUntil: ms(28)}, seen: []float64{27}, want: 28},
		"no lifetime":                      {kind: "filename"},
		"no lifetime, the author's end":    {o: store.Summary{ValidUntil: ms(999)}, kind: "filename", want: 999},
	} {
		t.Run(name, func(t *testing.T) {
			o := &store.Object{Type: "indicator", Modified: ms(0), Summary: c.o}
			kind := c.kind
			if kind == "" {
				kind = "ipv4"
			}
			var seen []time.Time
			for _, d := range c.seen {
				seen = append(seen, time.UnixMilli(ms(d)))
			}
			until, ends := rules.Until(o, kind, seen...)
			if ends != (c.want > 0) || ends && until.UnixMilli() != ms(c.want) {
				t.Errorf("until %v, %v", until.Sub(epoch)/day, ends)
			}
		})
	}
}

// The verdict and the lifetime must not disagree about what has expired.
func TestAgreesWithVerdict(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var rules lifetime.Table
	at := func() int64 {
		if rng.IntN(3) == 0 {
			return 0
		}
		return ms(rng.Float64() * 60)
	}
	over := 0
	for range 20_000 {
		o := &store.Object{Type: "indicator", Modified: ms(rng.Float64() * 10), Summary: store.Summary{ValidFrom: at(), ValidUntil: at(), LastSeen: at(), Received: ms(10 + rng.Float64()*10)}}
		f := &verdict.Facts{Lifetime: rules.Of("indicator", "ipv4")}
		a := verdict.Assertion{ID: "x", Member: "alder", Reliability: "A", Claim: verdict.ClaimMalicious, Confidence: 100,
			At: lifetime.Since(o), Received: time.UnixMilli(o.Summary.Received)}
		if o.Summary.ValidUntil > 0 {
			a.ValidUntil = time.UnixMilli(o.Summary.ValidUntil)
		}
		f.Assertions = append(f.Assertions, a)
		now := time.UnixMilli(ms(20 + rng.Float64()*80))
		var seen []time.Time
		for range rng.IntN(3) {
			if s := time.UnixMilli(ms(rng.Float64() * 100)); s.Before(now) {
				seen = append(seen, s)
				f.Sightings = append(f.Sightings, verdict.Sighting{Member: "birch", Reliability: "B", Last: s, Received: s})
			}
		}
		until, ends := rules.Until(o, "ipv4", seen...)
		holds := !ends || now.Before(until)
		if counted := len(verdict.Of(f, now).Counted) > 0; counted != holds {
			t.Fatalf("counted %v, holds %v until %v at %v: %+v, seen %v", counted, holds, until, now, o, seen)
		}
		if !holds {
			over++
		}
	}
	if over < 1000 || over > 19_000 {
		t.Errorf("%d had expired: the test is blind", over)
	}
}

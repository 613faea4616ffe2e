package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/internal/api"
)

// What many say alike collapses; who disagrees is always shown, and nobody's text
// reaches the terminal as it came.
func TestSayFindingCollapses(t *testing.T) {
	at := time.Date(2018, 5, 21, 8, 12, 0, 0, time.UTC)
	f := &api.Finding{Value: "toknowall.com", Type: "domain", Verdict: api.VerdictDisputed, Near: []api.Near{}}
	for i := range 12 {
		f.Assertions = append(f.Assertions, api.Assertion{Member: api.Name{ID: fmt.Sprint(i), Name: fmt.Sprintf("oak%d", i)}, Says: "VPNFilter",
			Action: "block", Reliability: "B", Live: true, Claim: api.ClaimMalicious, Received: at})
	}
	for i := range 6 {
		f.Assertions = append(f.Assertions, api.Assertion{Member: api.Name{Name: fmt.Sprintf("ash%d", i)}, Says: "benign", Reliability: "C", Live: true,
			Claim: api.ClaimHarmless, Received: at})
		f.Opinions.By = append(f.Opinions.By, api.Opinion{Member: api.Name{ID: fmt.Sprint(i), Name: fmt.Sprintf("elm%d", i)}, Level: "disagree",
			Text: "\x1b[31mred\u202e", Reliability: "C", Received: at},
			api.Opinion{Member: api.Name{ID: fmt.Sprint(i), Name: fmt.Sprintf("fir%d", i)}, Level: "agree", Reliability: "C", Received: at})
	}
	say := func(opts LookupOptions) string {
		var out bytes.Buffer
		g := &GlobalOptions{stdout: &out, getenv: func(string) string { return "" }}
		sayFinding(g, f, &opts)
		return out.String()
	}
	got := say(LookupOptions{})
	for who, want := range map[string]int{"  oak": 3, "  ash": 6, "  elm": 6, "  fir": 3, "  12 more agree (--all)": 1, "Near  nothing": 1, "  disagrees: [31mred ": 6} {
		if n := strings.Count(got, who); n != want {
			t.Errorf("%q stands there %d times, want %d:\n%s", who, n, want, got)
		}
	}
	if strings.ContainsAny(got, "\x1b\u202e") {
		t.Errorf("control characters: %q", got)
	}
	for line := range strings.Lines(got) {
		if columns(strings.TrimSuffix(line, "\n")) > 80 {
			t.Errorf("wider than a terminal: %q", line)
		}
	}
	if got = say(LookupOptions{All: true}); strings.Count(got, "  oak") != 12 || strings.Count(got, "  fir") != 6 || strings.Contains(got, "more agree") {
		t.Errorf("with --all:\n%s", got)
	}
}

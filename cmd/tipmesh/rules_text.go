package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
)

// rule is one of the house rules, in words.
type rule struct{ name, value string }

// rulesInFull says every house rule but the text, exactly: what it is worth where it
// is not set, too.
func rulesInFull(r protocol.Rules) []rule {
	context := map[uint64]string{0: "wanted", 1: "required"}[r.Context]
	if context == "" {
		context = fmt.Sprintf("%d, which this program does not know", r.Context)
	}
	lasts := func(set uint64, value int64, unit time.Duration) string {
		if set == 0 && value == 0 {
			return "not said"
		}
		text := exactly(uint64(value), unit) // #nosec G115 -- at most ten years
		if set == 0 {
			return text + ", by default"
		}
		return text
	}
	l := r.Lifetimes
	return []rule{
		{"TLP unless said", orDash(upper(r.TLP))},
		{"PAP unless said", orDash(upper(r.PAP))},
		{"context", context},
		{"time to answer", lasts(r.AnswerSeconds, int64(r.AnswerSeconds), time.Second)}, // #nosec G115
		{"grace before an erasure", lasts(r.ErasureSeconds, r.Erasure(), time.Second)},
		{"cut off after silence of", lasts(r.CutOffSeconds, int64(r.CutOffSeconds), time.Second)}, // #nosec G115
		{"a roster counts as fresh for", lasts(r.FreshSeconds, r.Fresh(), time.Second)},
		{"governors are final after", lasts(r.SettleSeconds, r.Settle(), time.Second)},
		{"wait for new keys", lasts(r.EpochWaitMillis, r.EpochWait(), time.Millisecond)},
		{"addresses hold for", lasts(l.AddressSeconds, l.Address(), time.Second)},
		{"URLs hold for", lasts(l.URLSeconds, l.URL(), time.Second)},
		{"domains hold for", lasts(l.DomainSeconds, l.Domain(), time.Second)},
		{"mail addresses hold for", lasts(l.MailSeconds, l.Mail(), time.Second)},
		{"certificates hold for", lasts(l.CertificateSeconds, l.Certificate(), time.Second)},
		{"hashes hold for", lasts(l.HashSeconds, l.Hash(), time.Second)},
	}
}

// exactly says how long something lasts in the largest unit that leaves no rest.
func exactly(n uint64, unit time.Duration) string {
	if unit == time.Millisecond && n%1000 != 0 {
		return fmt.Sprintf("%d ms", n)
	} else if unit == time.Millisecond {
		n /= 1000
	}
	for _, u := range []struct {
		seconds uint64
		name    string
	}{{86400, "days"}, {3600, "h"}, {60, "min"}} {
		if n > 0 && n%u.seconds == 0 && (u.name != "days" || n > u.seconds) {
			return fmt.Sprintf("%d %s", n/u.seconds, u.name)
		}
	}
	return fmt.Sprintf("%d s", n)
}

// rulesChange says house rules, and beside each that changes what it was. before is
// nil where the present ones are not at hand.
func rulesChange(before *protocol.Rules, r protocol.Rules) (out []string) {
	var was []rule
	if before != nil {
		was = rulesInFull(*before)
	} else {
		out = append(out, "what they change cannot be told: the present rules are not in the file")
	}
	for i, x := range rulesInFull(r) {
		line := "  " + x.name + ": " + x.value
		if was != nil && was[i].value != x.value {
			line = "* " + x.name + ": " + x.value + "; now " + was[i].value
		}
		out = append(out, line)
	}
	lines := func(text string) []string { return slices.Collect(strings.Lines(text)) }
	switch {
	case before != nil && before.Text == r.Text && r.Text != "":
		out = append(out, "  the text stays:")
	case before != nil && before.Text != r.Text:
		out = append(out, "* the text changes; what it says now and will not say:")
		for _, line := range lines(before.Text) {
			if !slices.Contains(lines(r.Text), line) {
				out = append(out, "  - "+strings.TrimRight(line, "\r\n"))
			}
		}
		out = append(out, "* and what it will say, new lines with a +:")
	case r.Text != "":
		out = append(out, "  the text:")
	default:
		out = append(out, "  no text")
	}
	for _, line := range lines(r.Text) {
		mark := "    "
		if before != nil && !slices.Contains(lines(before.Text), line) {
			mark = "  + "
		}
		out = append(out, mark+strings.TrimRight(line, "\r\n"))
	}
	return out
}

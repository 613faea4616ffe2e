package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/tipmesh/tipmesh/internal/api"
)

// speed is act 2: 2,000 routine indicators, the published ones, a node that was
// away.
func (s *story) speed(ctx context.Context) error {
	if err := s.begin(ctx, 2, "Machine speed"); err != nil {
		return err
	}
	if err := s.rate(ctx); err != nil {
		return err
	}
	if err := s.shareRoutine(ctx); err != nil {
		return err
	}
	alder, cedar := s.all[0], s.all[2]
	values := s.facts.values()
	begun := time.Now()
	sh, err := s.share(ctx, alder, values, api.ShareRequest{TLP: "amber", Action: "block", Malware: "VPNFilter", Wait: "all"}, others(s.all, alder))
	if err != nil {
		return err
	}
	found := 0
	for _, n := range sh.Found {
		found += n
	}
	f := s.facts
	if err := s.tell(ctx, fact{member: "alder", what: "shared", text: fmt.Sprintf("shares VPNFilter: %d sha256, %d url, %d ipv4, %d onion, %d domain",
		len(f.SHA256), len(f.URL), len(f.IPv4), len(f.Onion), len(f.Domain)), ok: found == len(values) && sh.Durable && len(sh.LeftOut) == 0,
		facts: map[string]any{"found": sh.Found, "held_by": sh.HeldBy.Have}}); err != nil {
		return err
	}
	whole := 0
	for _, m := range others(s.all, alder) {
		n, err := m.knows(ctx, values)
		if err != nil {
			return err
		}
		if n == len(values) {
			whole++
		}
	}
	if err := s.tell(ctx, fact{what: "looked_up", text: fmt.Sprintf("birch, cedar, elm, fir look up all %d", len(values)), right: fmt.Sprintf("%d of 4 know them", whole),
		ok: whole == 4, took: time.Since(begun), quiet: true, facts: map[string]any{"values": len(values), "know": whole}}); err != nil {
		return err
	}
	s.plain("         $ tipmesh --home .../fir lookup toknowall[.]com")
	if err := s.show(ctx, s.all[4], "toknowall.com"); err != nil {
		return err
	}
	return s.away(ctx, cedar)
}

// rate lets every member say what the others' word is worth to it: nobody's is
// worth a verdict before.
func (s *story) rate(ctx context.Context) error {
	rated := 0
	for _, m := range s.all {
		for _, other := range others(s.all, m) {
			reliability := "B"
			t, err := m.client.SetTrust(ctx, other.handle, api.TrustChange{Reliability: &reliability, Why: "the demo"})
			if err != nil {
				return fmt.Errorf("%s rates %s: %w", m.handle, other.handle, err)
			}
			if t.Reliability == reliability {
				rated++
			}
		}
	}
	return s.tell(ctx, fact{member: "all", what: "rated", text: "rate the others B, usually reliable", right: fmt.Sprintf("%d ratings", rated), ok: rated == 20,
		facts: map[string]any{"ratings": rated}})
}

// show prints what a member's look-up says.
func (s *story) show(ctx context.Context, m *member, value string) error {
	var found *api.Finding
	if _, err := m.client.Lookup(ctx, api.LookupRequest{Values: []string{value}}, func(f *api.Finding) error { found = f; return nil }); err != nil {
		return err
	}
	s.plain("         toknowall[.]com   domain                                    %s", strings.ToUpper(found.Verdict))
	for _, a := range found.Assertions {
		s.plain("           %s  %s  %s, %s, TLP:%s", a.Member.Name, a.Reliability, a.Says, a.Action, strings.ToUpper(a.TLP))
	}
	for _, r := range found.Reasons[:min(1, len(found.Reasons))] {
		s.plain("         Why   %s", r.Text)
	}
	return s.pause(ctx, time.Second)
}

// shareRoutine lets all members share at the same time.
func (s *story) shareRoutine(ctx context.Context) error {
	begun := time.Now()
	var wg sync.WaitGroup
	answers := make([]*api.Share, len(s.all))
	faults := make([]error, len(s.all))
	for i, m := range s.all {
		wg.Go(func() {
			answers[i], faults[i] = m.client.Share(ctx, api.ShareRequest{Body: strings.NewReader(list(routine(m.handle))), Name: "routine",
				To: "everyone", TLP: "green", Action: "detect", Timeout: patience})
		})
	}
	wg.Wait()
	if err := errors.Join(faults...); err != nil {
		return err
	}
	durable := 0
	for i, a := range answers {
		if a.Durable && a.Found["sha256"] == routineCount {
			durable++
		}
		s.acked = append(s.acked, acked{by: s.all[i], readers: others(s.all, s.all[i]), ids: a.IDs})
	}
	if err := s.tell(ctx, fact{member: "all", what: "routine", text: fmt.Sprintf("share %d routine indicators each (made up)", routineCount),
		right: fmt.Sprintf("%d of 5 on disk", durable), ok: durable == 5}); err != nil {
		return err
	}
	var values []string
	for _, m := range s.all {
		values = append(values, routine(m.handle)...)
	}
	know, same := 0, false
	err := eventually(ctx, func() (bool, error) {
		know = 0
		for _, m := range s.all {
			n, err := m.knows(ctx, values)
			if err != nil {
				return false, err
			}
			if n == len(values) {
				know++
			}
		}
		var err error
		s.entries, same, err = sameBytes(s.all)
		return know == len(s.all) && same, err
	})
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	took := time.Since(begun)
	return s.tell(ctx, fact{what: "same_bytes", text: fmt.Sprintf("%s at every member, same bytes at all five", thousands(len(values))), quiet: true,
		ok: know == 5 && same, took: took, facts: map[string]any{"values": len(values), "know": know, "entries": s.entries, "same": same}})
}

func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}

// away stops a member's node, shares meanwhile, and starts it again.
func (s *story) away(ctx context.Context, m *member) error {
	birch := s.all[1]
	if err := s.halt(m); err != nil {
		return err
	}
	present := others(s.all, m)
	values := routine("while " + m.handle + " is away")[:3]
	sh, err := s.share(ctx, birch, values, api.ShareRequest{TLP: "amber", Wait: "3"}, others(s.all, birch))
	if err != nil {
		return err
	}
	if err := s.tell(ctx, fact{member: m.handle, what: "away", text: fmt.Sprintf("is stopped; birch shares %d more (made up)", len(values)),
		right: fmt.Sprintf("held by %d of %d", sh.HeldBy.Have, sh.HeldBy.Of), ok: sh.Durable && sh.HeldBy.Have == len(present)-1}); err != nil {
		return err
	}
	begun := time.Now()
	if err := s.start(ctx, m); err != nil {
		return err
	}
	if err := s.inStep(ctx, m); err != nil {
		return err
	}
	know, err := m.knows(ctx, values)
	if err != nil {
		return err
	}
	took := time.Since(begun)
	var same bool
	if err := eventually(ctx, func() (bool, error) {
		s.entries, same, err = sameBytes(s.all)
		return same, err
	}); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return s.tell(ctx, fact{member: m.handle, what: "caught_up", text: "is back and has caught up, same bytes again", ok: know == len(values) && same, took: took,
		facts: map[string]any{"know": know, "entries": s.entries, "same": same}})
}

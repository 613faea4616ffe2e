package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tipmesh/tipmesh/internal/api"
)

// meshName is the mesh of the story.
const meshName = "Harbour Alliance"

// story is the demo under way.
type story struct {
	*world
	*teller
	facts   *facts
	entries int
	refused int
}

func (s *story) opening() {
	s.plain("%s", s.o.bold("tipmesh demo: VPNFilter, May 2018, replayed by five members"))
	s.plain("Five nodes on this machine, no server, nothing leaves it. The indicators are")
	s.plain("those Cisco Talos published on 23 May 2018; members and routine indicators are")
	s.plain("invented. Ctrl-C ends it and removes everything.")
	s.plain("")
	s.plain("  HISTORY  By May 2018 some 500,000 home routers in 54 countries are infected.")
	s.plain("           Talos tells the other members of the Cyber Threat Alliance before")
	s.plain("           it tells the public, and asks them to look and to act together.")
}

func handles(list []*member) string {
	out := make([]string, len(list))
	for i, m := range list {
		out[i] = m.handle
	}
	return strings.Join(out, ", ")
}

// mesh is act 1: founding, joining, two of three governors.
func (s *story) mesh(ctx context.Context) error {
	if err := s.begin(ctx, 1, "A mesh without a middle"); err != nil {
		return err
	}
	alder, birch, cedar, elm, fir := s.all[0], s.all[1], s.all[2], s.all[3], s.all[4]
	if err := s.found(alder, meshName); err != nil {
		return err
	}
	if err := s.start(ctx, alder); err != nil {
		return err
	}
	r, err := alder.client.Roster(ctx)
	if err != nil {
		return err
	}
	if err := s.tell(ctx, fact{member: "alder", what: "founded", text: "founds " + meshName, right: "governors 1 of 1",
		ok: r.Mesh.Name == meshName && len(r.Governors) == 1 && r.Threshold == 1}); err != nil {
		return err
	}
	begun := time.Now()
	same := true
	for _, m := range []*member{birch, cedar, elm} {
		words, err := s.admit(ctx, m, alder, alder)
		if err != nil {
			return err
		}
		same = same && words
	}
	if err := s.members(ctx, 4, alder, birch, cedar, elm); err != nil {
		return err
	}
	if err := s.tell(ctx, fact{member: "birch, cedar, elm", what: "joined", text: "join: words compared, alder signs", ok: same,
		took: time.Since(begun)}); err != nil {
		return err
	}
	begun = time.Now()
	p, err := alder.client.Propose(ctx, api.Propose{Op: api.OpGovernors, Governors: []string{"alder", "birch", "cedar"}, Sign: 2,
		Why: "nobody alone"})
	if err != nil {
		return err
	}
	open := p.State == "open"
	if p, err = s.sign(ctx, birch, p.ID); err != nil {
		return err
	}
	if err := s.governed(ctx, 3, 2, alder, birch, cedar, elm); err != nil {
		return err
	}
	if err := s.tell(ctx, fact{member: "alder, birch", what: "governors", text: "sign: cedar governs with them", right: "governors 2 of 3",
		ok: open && p.State == "done", took: time.Since(begun)}); err != nil {
		return err
	}
	if err := s.guest(ctx, fir, alder, birch); err != nil {
		return err
	}
	s.plain("")
	for _, m := range s.all {
		st, err := m.client.Status(ctx, "", 0)
		if err != nil {
			return err
		}
		s.plain("         %-6s %-12s %s", m.handle, m.sector, strings.Join(st.Addresses, " "))
	}
	return nil
}

// guest lets fir in with two signatures, and says so.
func (s *story) guest(ctx context.Context, fir, alder, birch *member) error {
	ticket, charter, err := s.invite(ctx, alder, fir.name)
	if err != nil {
		return err
	}
	begun := time.Now()
	j, err := s.join(ctx, fir, ticket, charter)
	if err != nil {
		return err
	}
	p, err := s.open(ctx, alder, func(p *api.Proposal) bool { return p.Op == api.OpAdd && p.Title == fir.name })
	if err != nil {
		return err
	}
	if err := s.tell(ctx, fact{member: "fir", what: "asked", text: "asks to join  " + strings.Join(j.words, "-"),
		ok: len(j.words) == 6 && slices.Equal(j.words, p.Words)}); err != nil {
		return err
	}
	// The inviter's proposal counts as its signature only once it has signed.
	signed := 0
	for _, g := range []*member{birch, alder} {
		now, err := g.client.Proposal(ctx, p.ID)
		if err == nil && (now.State == "done" || slices.ContainsFunc(now.Signed, func(n api.Name) bool { return n.Name == g.handle })) {
			signed++
			continue
		}
		if _, err := s.sign(ctx, g, p.ID); err != nil {
			return err
		}
		signed++
	}
	if err := <-j.done; err != nil {
		return err
	}
	if err := s.members(ctx, 5, s.all...); err != nil {
		return err
	}
	same, version, err := s.sameRoster(ctx)
	if err != nil {
		return err
	}
	return s.tell(ctx, fact{member: "birch, alder", what: "admitted", text: "sign; fir is in", right: fmt.Sprintf("roster %d, %d of 5", version, same),
		ok: signed == 2 && same == 5, took: time.Since(begun)})
}

// admit lets a member in: the inviter compares the words and signs.
func (s *story) admit(ctx context.Context, m, inviter, signer *member) (same bool, err error) {
	ticket, charter, err := s.invite(ctx, inviter, m.name)
	if err != nil {
		return false, err
	}
	j, err := s.join(ctx, m, ticket, charter)
	if err != nil {
		return false, err
	}
	p, err := s.open(ctx, inviter, func(p *api.Proposal) bool { return p.Op == api.OpAdd && p.Title == m.name })
	if err != nil {
		return false, err
	}
	if same = slices.Equal(p.Words, j.words) && len(j.words) == 6; !same {
		return false, nil
	}
	if _, err := signer.client.Sign(ctx, p.ID); err != nil {
		return same, err
	}
	return same, <-j.done
}

// governed waits until nodes see so many governors and signatures.
func (s *story) governed(ctx context.Context, governors, sign int, at ...*member) error {
	for _, m := range at {
		err := eventually(ctx, func() (bool, error) {
			r, err := m.client.Roster(ctx)
			if err != nil {
				return false, err
			}
			return len(r.Governors) == governors && r.Threshold == sign, nil
		})
		if err != nil {
			return fmt.Errorf("%s waits for the governors: %w", m.handle, err)
		}
	}
	return nil
}

// sameRoster counts the nodes that see the roster alder sees.
func (s *story) sameRoster(ctx context.Context) (same int, version uint64, err error) {
	err = eventually(ctx, func() (bool, error) {
		same = 0
		var head string
		for _, m := range s.all {
			r, err := m.client.Roster(ctx)
			if err != nil {
				return false, err
			}
			if head == "" {
				head, version = r.Head, r.Version
			}
			if r.Head == head {
				same++
			}
		}
		return same == len(s.all), nil
	})
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = nil
	}
	return same, version, err
}

// others gives all members of a list but some.
func others(list []*member, but ...*member) []*member {
	return slices.DeleteFunc(slices.Clone(list), func(m *member) bool { return slices.Contains(but, m) })
}

// speed is act 2: 2,000 routine indicators, the published ones, a node that was
// away.
func (s *story) speed(ctx context.Context) error {
	if err := s.begin(ctx, 2, "Machine speed"); err != nil {
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

// show prints what a member's look-up says.
func (s *story) show(ctx context.Context, m *member, value string) error {
	var found *api.Finding
	if _, err := m.client.Lookup(ctx, api.LookupRequest{Values: []string{value}}, func(f *api.Finding) error { found = f; return nil }); err != nil {
		return err
	}
	for _, a := range found.Assertions {
		s.plain("         toknowall[.]com   domain                                    %s", strings.ToUpper(found.Verdict))
		s.plain("           %s  %s, %s, TLP:%s", a.Member.Name, a.Says, a.Action, strings.ToUpper(a.TLP))
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

// right is the second half of act 7: a removal, and strangers.
func (s *story) right(ctx context.Context) error {
	s.plain("")
	s.plain("  HISTORY  23 May 2018: Talos publishes, the Justice Department announces the")
	s.plain("           seizure. The actor abandons the infrastructure.")
	if err := s.begin(ctx, 7, "Put right"); err != nil {
		return err
	}
	alder, birch, elm := s.all[0], s.all[1], s.all[3]
	rest := others(s.all, elm)
	elmHeld, err := inventory(elm.home.Node.Store())
	if err != nil {
		return err
	}
	p, err := alder.client.Propose(ctx, api.Propose{Op: api.OpRemove, Subject: "elm", Why: "its key was stolen (made up)"})
	if err != nil {
		return err
	}
	open := p.State == "open" && len(p.Signed) == 1
	begun := time.Now()
	if p, err = s.sign(ctx, birch, p.ID); err != nil {
		return err
	}
	if err := s.tell(ctx, fact{member: "alder, birch", what: "removed", text: "remove elm  (made up: its key was stolen)", right: "2 of 3 signed",
		ok: open && p.State == "done" && len(p.Signed) == 2}); err != nil {
		return err
	}
	closed := 0
	err = eventually(ctx, func() (bool, error) {
		closed = len(rest) - linked(rest, elm)
		return closed == len(rest) && linked([]*member{elm}, alder)+linked([]*member{elm}, birch) == 0, nil
	})
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if err := s.members(ctx, 4, rest...); err != nil {
		return err
	}
	if err := s.tell(ctx, fact{what: "links_closed", text: fmt.Sprintf("elm's links closed by %d of %d; new keys before the next write", closed, len(rest)),
		ok: closed == len(rest), took: time.Since(begun), quiet: true, facts: map[string]any{"closed": closed, "of": len(rest)}}); err != nil {
		return err
	}
	if err := s.after(ctx, birch, elm, rest, len(elmHeld)); err != nil {
		return err
	}
	if err := s.late(ctx, elm, rest); err != nil {
		return err
	}
	return s.strangers(ctx, alder)
}

// after shares something that the removed member must not read.
func (s *story) after(ctx context.Context, by, gone *member, rest []*member, before int) error {
	begun := time.Now()
	value := routine("after the removal")[:1]
	sh, err := s.share(ctx, by, value, api.ShareRequest{TLP: "amber", Wait: "all"}, others(rest, by))
	if err != nil {
		return err
	}
	opened := 0
	for _, m := range others(rest, by) {
		n, err := m.knows(ctx, value)
		if err != nil {
			return err
		}
		opened += n
	}
	took := time.Since(begun)
	// elm is given time to get hold of it by any way it knows.
	if err := s.settle(ctx); err != nil {
		return err
	}
	knows, err := gone.knows(ctx, value)
	if err != nil {
		return err
	}
	got, err := s.reached(by, gone, before)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("shares one more. Opened by %d of 3; %s: nothing", opened, gone.handle)
	return s.tell(ctx, fact{member: by.handle, what: "after_removal", text: text, ok: opened == 3 && knows == 0 && got == 0 && sh.HeldBy.Have == 3, took: took,
		facts: map[string]any{"opened": opened, "elm_knows": knows, "elm_entries": got}})
}

// settle waits long enough for a broken rule to show.
func (s *story) settle(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(1500 * time.Millisecond):
		return nil
	}
}

// reached counts the entries of a member's that a removed one came to hold
// after it held so many of all.
func (s *story) reached(by, gone *member, before int) (int, error) {
	theirs, err := inventory(by.home.Node.Store())
	if err != nil {
		return 0, err
	}
	held, err := inventory(gone.home.Node.Store())
	if err != nil {
		return 0, err
	}
	both := 0
	for id := range held {
		if _, ok := theirs[id]; ok {
			both++
		}
	}
	return max(0, both-before), nil
}

// late lets the removed member write once more.
func (s *story) late(ctx context.Context, gone *member, rest []*member) error {
	value := routine("late write")[:1]
	before, err := inventory(gone.home.Node.Store())
	if err != nil {
		return err
	}
	_, err = gone.client.Share(ctx, api.ShareRequest{Body: strings.NewReader(list(value)), Name: "late", To: "everyone", TLP: "green", Wait: "none"})
	var coded *api.Error
	own := "on its own disk"
	switch {
	case errors.As(err, &coded) && coded.Code == api.CodeDenied:
		own = "refused by its own node"
	case err != nil:
		return err
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	written, err := inventory(gone.home.Node.Store())
	if err != nil {
		return err
	}
	for id := range before {
		delete(written, id)
	}
	refusedBy := 0
	for _, m := range rest {
		n, err := m.knows(ctx, value)
		if err != nil {
			return err
		}
		held, err := inventory(m.home.Node.Store())
		if err != nil {
			return err
		}
		for id := range written {
			if _, ok := held[id]; ok {
				n++
			}
		}
		if n == 0 {
			refusedBy++
		}
	}
	ok := refusedBy == len(rest)
	if ok {
		s.refused++
	}
	return s.tell(ctx, fact{member: gone.handle, what: "late_write", text: "writes once more, " + own + ":", right: fmt.Sprintf("refused by %d of %d", refusedBy, len(rest)),
		ok: ok, facts: map[string]any{"own": own, "written": len(written), "refused_by": refusedBy, "of": len(rest)}})
}

// end counts what was acknowledged and what is held.
func (s *story) end(ctx context.Context) (*Summary, error) {
	elm := s.all[3]
	rest := others(s.all, elm)
	if err := s.inStep(ctx, rest...); err != nil {
		return nil, err
	}
	objects, lost, err := s.lost()
	if err != nil {
		return nil, err
	}
	entries, same, err := sameBytes(rest)
	if err != nil {
		return nil, err
	}
	if !same {
		s.failed = append(s.failed, "the members that are left do not hold the same bytes")
	}
	forks := 0
	for _, m := range rest {
		forks += len(m.home.Node.Status(time.Time{}).Forks)
	}
	if lost > 0 {
		s.failed = append(s.failed, fmt.Sprintf("%d acknowledged objects are missing somewhere", lost))
	}
	if forks > 0 {
		s.failed = append(s.failed, fmt.Sprintf("%d forks", forks))
	}
	indicators := len(s.all)*routineCount + len(s.facts.values()) + 3 + 1
	sum := &Summary{Kind: "summary", Members: len(s.all), Indicators: indicators, Entries: entries, Shares: len(s.acked), Objects: objects,
		Lost: lost, Forks: forks, Refused: s.refused, Failed: s.failed, TookS: time.Since(s.begun).Seconds()}
	if sum.Failed == nil {
		sum.Failed = []string{}
	}
	if s.o.Dir != "" {
		sum.Home = s.dir
	}
	if s.o.JSON {
		return sum, s.json(sum)
	}
	s.plain("")
	s.plain("Done in %.0f s: %s indicators in %d entries; lost %d, forks %d, refused %d", sum.TookS, thousands(indicators), entries, lost, forks, s.refused)
	s.plain("(elm's late write, which no other member has).")
	for _, f := range s.failed {
		s.plain("NOT SO: %s", f)
	}
	return sum, nil
}

// yourTurn says how to go on.
func (s *story) yourTurn() {
	s.plain("")
	s.plain("YOUR TURN  You are fir. In another terminal:")
	s.plain("")
	s.plain("    export TIPMESH_HOME=%s", s.all[4].dir)
	s.plain("    tipmesh status                    is it well")
	s.plain("    tipmesh lookup toknowall[.]com    what the members say")
	s.plain("    tipmesh member list               who is in")
	s.plain("    tipmesh share VALUE --to everyone")
	s.plain("")
	s.plain("The five nodes keep running until Ctrl-C.")
}

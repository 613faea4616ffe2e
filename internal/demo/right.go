package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tipmesh/tipmesh/internal/api"
)

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

package api

import (
	"net/http"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

// planTrust answers POST /v1/trust/plan.
func (s *Server) planTrust(w http.ResponseWriter, r *http.Request) error {
	var q TrustPlanRequest
	if err := read(r, &q); err != nil {
		return err
	}
	list := s.n.TrustList()
	if q.Change == nil {
		plan, _, err := s.planFile(list, q.File, q.Text)
		if err != nil {
			return err
		}
		return s.answer(w, plan)
	}
	_, edit, err := s.trustEdit(list, q.Who, q.Change)
	if err != nil {
		return err
	}
	plan, err := s.plan(list, []trust.Edit{edit})
	if err != nil {
		return err
	}
	return s.answer(w, plan)
}

// applyTrust answers POST /v1/trust/apply.
func (s *Server) applyTrust(w http.ResponseWriter, r *http.Request) error {
	var q TrustApplyRequest
	if err := read(r, &q); err != nil {
		return err
	}
	list := s.n.TrustList()
	plan, edits, err := s.planFile(list, q.File, q.Text)
	if err != nil {
		return err
	}
	for i := range edits {
		edits[i].By, edits[i].Why = q.By, q.Why
	}
	planned := &list.Version
	if q.Planned != nil {
		planned = q.Planned
	}
	made, err := s.editTrust(edits, planned)
	if err != nil {
		return err
	}
	plan.Applied, plan.Version = true, list.Version+uint64(len(made))
	return s.answer(w, plan)
}

// planFile says what has to change for the list to become what a file says.
func (s *Server) planFile(list *trust.List, name, text string) (*TrustPlan, []trust.Edit, error) {
	next, named, err := s.readTrust(list, name, text)
	if err != nil {
		return nil, nil, err
	}
	edits := list.Edits(next)
	plan, err := s.plan(list, edits)
	if err != nil {
		return nil, nil, err
	}
	plan.Unchanged = named
	for _, e := range edits {
		if e.New != nil {
			plan.Unchanged--
		}
	}
	return plan, edits, nil
}

// plan says what edits change and what comes of it. Lines that stay as they are
// do not appear.
func (s *Server) plan(list *trust.List, edits []trust.Edit) (*TrustPlan, error) {
	next := list.Clone()
	made, err := next.Apply(edits, s.now().UnixMilli())
	if err != nil {
		return nil, Errorf(CodeInvalid, "%v", err)
	}
	p := &TrustPlan{Kind: "plan", Changes: []TrustField{}, Lines: len(made), Version: list.Version}
	for _, c := range made {
		p.Changes = append(p.Changes, s.trustFields(c.Member, c.Old, c.New, list.Default)...)
	}
	p.Effects, err = s.trustEffects(list, next)
	return p, err
}

// trustFields tells what of a line changes. Nil stands for the default line.
func (s *Server) trustFields(m protocol.MemberID, from, to *trust.Decision, others trust.Decision) []TrustField {
	op := TrustChanged
	switch {
	case to == nil:
		return []TrustField{{Member: s.trustName(m), Op: TrustDrop, Field: "line", From: "own", To: "default"}}
	case from == nil:
		op = TrustAdd
		others.Alias, others.Note, others.Until = "", "", 0
		from = &others
	}
	out := []TrustField{}
	old, now := fieldsOf(from), fieldsOf(to)
	for i, name := range []string{"use", "send", "reliability", "alias", "note", "until"} {
		// A new line is told whole: its use, send and reliability are its own from
		// then on, also where they are the default line's now.
		if old[i] != now[i] || op == TrustAdd && i < 3 {
			out = append(out, TrustField{Member: s.trustName(m), Op: op, Field: name, From: old[i], To: now[i]})
		}
	}
	return out
}

func fieldsOf(d *trust.Decision) [6]string {
	until := ""
	if d.Until != 0 {
		until = at(d.Until).Format(time.RFC3339Nano)
	}
	return [6]string{d.Use.String(), d.Send, d.Reliability, d.Alias, d.Note, until}
}

// trustEffects is what comes of one list instead of another.
func (s *Server) trustEffects(from, to *trust.List) (TrustEffects, error) {
	e := TrustEffects{Sends: []TrustSend{}, Lookups: []TrustLookup{}}
	now := s.now().UnixMilli()
	var count []protocol.MemberID // whose objects matter
	var moves []TrustLookup
	for _, m := range s.n.Roster().Members {
		if m.ID == s.n.Member() {
			continue
		}
		before, after := from.For(m.ID, now), to.For(m.ID, now)
		if send := sendChange(before, after); m.State == trust.StateActive && len(send.Starts)+len(send.Stops) > 0 {
			send.Member = s.name(m.ID)
			e.Sends = append(e.Sends, send)
		}
		move := TrustLookup{Member: s.name(m.ID), From: shownAs(before.Use), To: shownAs(after.Use)}
		if move.From != move.To || move.To != TrustShown {
			count, moves = append(count, m.ID), append(moves, move)
		}
	}
	if len(count) == 0 {
		return e, nil
	}
	objects, err := s.n.Store().Index().Census(count)
	if err != nil {
		return e, err
	}
	for i, move := range moves {
		move.Objects = objects[i]
		switch move.To {
		case TrustHidden:
			e.Hidden += move.Objects
		case TrustHeld:
			e.Held += move.Objects
		}
		if move.From == TrustHeld && move.To == TrustShown {
			e.Unhold += move.Objects
		}
		if move.From != move.To {
			e.Lookups = append(e.Lookups, move)
		}
	}
	return e, nil
}

func sendChange(before, after trust.Decision) TrustSend {
	c := TrustSend{Starts: []string{}, Stops: []string{}}
	for _, tlp := range trust.TLPNames() {
		switch was, is := before.Sends(tlp), after.Sends(tlp); {
		case is && !was:
			c.Starts = append(c.Starts, tlp)
		case was && !is:
			c.Stops = append(c.Stops, tlp)
		}
	}
	return c
}

// shownAs is how look-ups show what is said by a member with a use.
func shownAs(use trust.Use) string {
	switch use {
	case trust.UseNone:
		return TrustHidden
	case trust.UseHold:
		return TrustHeld
	}
	return TrustShown
}

package api

import (
	"net/http"
	"slices"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

// suspend answers POST /v1/roster/suspensions.
func (s *Server) suspend(w http.ResponseWriter, r *http.Request) error {
	var q Suspend
	if err := read(r, &q); err != nil {
		return err
	}
	me, ok := s.us()
	if !ok {
		return node.ErrNotMember
	}
	m, err := s.find(q.Member)
	if err != nil {
		return err
	}
	if q.ForS == 0 {
		q.ForS = protocol.MaxSuspension
	}
	switch now := s.now(); {
	case !me.Governor:
		return Errorf(CodeDenied, "only governors suspend, and we are none")
	case m.ID == me.ID:
		return Errorf(CodeDenied, "nobody suspends itself: stop the node")
	case q.ForS < 1 || q.ForS > protocol.MaxSuspension:
		return Errorf(CodeInvalid, "a suspension lasts from 1 second to %d hours", protocol.MaxSuspension/3600)
	case m.State != trust.StateActive && m.Until == 0:
		return Errorf(CodeConflict, "%s is not in: %s", m.Handle, m.State)
	default:
		if err := s.maySuspend(m, me, now); err != nil {
			return err
		}
	}
	u, err := s.n.Draft(&protocol.Suspension{Member: m.ID, Line: s.n.Roster().Line, Seconds: uint64(q.ForS), Why: q.Why})
	if err != nil {
		return err
	}
	x, err := u.Read()
	if err != nil {
		return err
	}
	return s.act(w, r, []protocol.Unsigned{u}, nil, nil, func() error {
		for _, y := range s.n.Roster().Suspended {
			if y.ID == x.ID() {
				return s.answer(w, s.suspensionOf(y))
			}
		}
		return Errorf(CodeConflict, "the suspension does not count: another of the same time goes before it")
	})
}

// maySuspend refuses a suspension that would not count.
func (s *Server) maySuspend(m, me *trust.Member, now time.Time) error {
	const form = "2006-01-02 15:04 UTC"
	for _, x := range s.n.Roster().Suspended {
		if free := time.UnixMilli(x.From + trust.SuspensionGap); x.Member == m.ID && free.After(now) {
			return Errorf(CodeConflict, "%s was suspended by %s within seven days: one can be again from %s", m.Handle, s.name(x.By).Name, free.UTC().Format(form)).
				WithHint("to end it for good: tipmesh roster propose remove %s", m.Handle)
		}
		if until := time.UnixMilli(x.Until); x.By == me.ID && until.After(now) {
			return Errorf(CodeConflict, "we have suspended %s until %s, and a governor suspends one at a time", s.name(x.Member).Name, until.UTC().Format(form)).
				WithHint("ask another governor")
		}
	}
	return nil
}

func (s *Server) suspensionOf(x *trust.Suspension) *Suspension {
	return &Suspension{Kind: "suspension", Ref: refOf("statement", x.ID.String()), ID: x.ID.String(), Member: s.name(x.Member), By: s.name(x.By),
		From: at(x.From), Until: at(x.Until), Why: x.Why}
}

// suspensions lists those that are in force or to come.
func (s *Server) suspensions() []Suspension {
	out := []Suspension{}
	for _, x := range s.n.Roster().Suspended {
		if s.standing(x) {
			out = append(out, *s.suspensionOf(x))
		}
	}
	return out
}

// standing reports whether a suspension is in force or to come.
func (s *Server) standing(x *trust.Suspension) bool {
	return x.Lifted.IsZero() && x.Until > s.now().UnixMilli()
}

// pin answers POST /v1/roster/proposals/{ref}/pin.
func (s *Server) pin(w http.ResponseWriter, r *http.Request) error {
	p, err := s.findProposal(r.PathValue("ref"))
	if err != nil {
		return err
	}
	if p.Kind != protocol.KindGovernors {
		return Errorf(CodeInvalid, "only changes of governors are pinned")
	}
	if p.State != trust.ProposalRival && p.State != trust.ProposalDone {
		return Errorf(CodeConflict, "%s is no change that enough have signed: it is %s", refOf("proposal", p.ID.String()), p.State)
	}
	if err := s.n.Pin(p.ID); err != nil {
		return err
	}
	return s.answerProposal(w, p.ID)
}

// proposeLift proposes to end a suspension, or to drop a removal that only
// suspends since governors changed.
func (s *Server) proposeLift(q *Propose) (protocol.Content, error) {
	m, err := s.find(q.Subject)
	if err != nil {
		return nil, err
	}
	r := s.n.Roster()
	target := protocol.StatementID{}
	for _, p := range r.Proposals {
		if p.Kind == protocol.KindRemoval && p.Subject == m.ID && p.State == trust.ProposalSuspends {
			target = p.ID
		}
	}
	for _, x := range r.Suspended {
		if x.Member == m.ID && s.standing(x) {
			target = x.ID
		}
	}
	if target.IsZero() {
		return nil, Errorf(CodeConflict, "%s is not suspended: %s", m.Handle, m.State)
	}
	if i := slices.IndexFunc(r.Proposals, func(p *trust.Proposal) bool { return p.Target == target && p.State == trust.ProposalOpen }); i >= 0 {
		return nil, Errorf(CodeConflict, "this is proposed already: %s", refOf("proposal", r.Proposals[i].ID.String())).
			WithHint("tipmesh roster sign %s", protocol.RefCode(r.Proposals[i].ID.String(), protocol.RefLen))
	}
	return &protocol.Dismissal{Subject: target, Line: r.Line, Why: q.Why}, nil
}

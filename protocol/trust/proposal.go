package trust

import (
	"slices"

	"github.com/tipmesh/tipmesh/protocol"
)

// ProposalState says how a proposal stands.
type ProposalState string

// The states of a proposal.
const (
	ProposalOpen       ProposalState = "open"       // waits for approvals
	ProposalDone       ProposalState = "done"       // counts
	ProposalSuspends   ProposalState = "suspends"   // a removal made under an older list: bites, waits for confirmation
	ProposalRival      ProposalState = "rival"      // a change of governors with all approvals that waits for a pin
	ProposalSuperseded ProposalState = "superseded" // something else did it, or made it pointless
	ProposalVoid       ProposalState = "void"       // made under a list of governors that is not in force
)

// Proposal is an admission, removal, cut, dismissal, or change of governors or
// house rules.
type Proposal struct {
	ID        protocol.StatementID
	Statement *protocol.Statement
	Kind      protocol.Kind
	Subject   protocol.MemberID   // zero for a change of governors or rules
	Governors []protocol.MemberID // the new list of a change of governors
	Threshold int                 // the new threshold of a change of governors
	By        protocol.MemberID   // zero if the signer was never admitted
	Why       string
	Signed    []protocol.MemberID // governors who approved, ascending
	Needs     int                 // how many must; 0 for a cut by the member itself
	SignedNew []protocol.MemberID // of the new list
	NeedsNew  int
	Recovery  []protocol.Key       // recovery keys that approved a change of governors, in place of the old list
	NeedsKeys int                  // how many of them that takes; 0: there are none
	Target    protocol.StatementID // what a dismissal lifts or drops
	Rules     *protocol.Rules      // the new ones
	State     ProposalState
	Stuck     bool // open, but fewer governors than needed may approve it

	settled bool // made, and superseded all the same
}

// Proposal finds a proposal.
func (r *Roster) Proposal(id protocol.StatementID) (*Proposal, bool) {
	i, ok := slices.BinarySearchFunc(r.Proposals, id, func(p *Proposal, id protocol.StatementID) int { return p.ID.Compare(id) })
	if !ok {
		return nil, false
	}
	return r.Proposals[i], true
}

// Signers gives the governors who may still approve an open proposal, ascending:
// not its subject and not those who have.
func (r *Roster) Signers(p *Proposal) []protocol.MemberID {
	if p.State != ProposalOpen || r.f == nil {
		return nil
	}
	var out []protocol.MemberID
	about := protocol.MemberID{}
	add := func(e *element, signed []protocol.MemberID) {
		for _, id := range e.members() {
			if (about.IsZero() || id != about) && !slices.Contains(signed, id) {
				out = append(out, id)
			}
		}
	}
	if p.Kind == protocol.KindGovernors {
		e := r.f.elements[p.ID]
		add(e.prev, p.Signed)
		add(e, p.SignedNew)
	} else if o := r.f.op(p.ID); o != nil {
		about = o.about
		add(o.elem, p.Signed)
	}
	return protocol.Sorted(out)
}

// members gives the governors of an element whose cards are known.
func (e *element) members() []protocol.MemberID {
	var out []protocol.MemberID
	for _, st := range e.seats {
		if !st.member.IsZero() {
			out = append(out, st.member)
		}
	}
	return protocol.Sorted(out)
}

func (f *fold) op(id protocol.StatementID) *op {
	for _, o := range f.ops {
		if o.s.ID() == id {
			return o
		}
	}
	return nil
}

// proposals lists what members proposed and what governors signed.
func (f *fold) proposals() []*Proposal {
	out := make([]*Proposal, 0, len(f.ops))
	for _, o := range f.ops {
		by, member := f.signer[o.s.Signer]
		if !member && len(o.signed) == 0 {
			continue
		}
		p := &Proposal{ID: o.s.ID(), Statement: o.s, Kind: o.s.Kind, Subject: o.subject, By: by,
			Signed: o.signed, State: f.opState(o)}
		switch doc := o.s.Doc().(type) {
		case *protocol.Admission:
			p.Why = doc.Why
		case *protocol.Removal:
			p.Why = doc.Why
		case *protocol.HouseRules:
			p.Why, p.Rules = doc.Why, &doc.Rules
		case *protocol.Dismissal:
			p.Why, p.Target = doc.Why, doc.Subject
		}
		p.settled = o.made && p.State == ProposalSuperseded
		if o.elem != nil && !o.alone {
			p.Needs = o.elem.threshold
		}
		if p.State == ProposalOpen {
			able := slices.DeleteFunc(o.elem.members(), func(id protocol.MemberID) bool { return !o.about.IsZero() && id == o.about })
			if p.Stuck = len(able) < p.Needs; p.Stuck {
				f.alarm(Alarm{Kind: AlarmStuck, Member: o.subject, Statements: []protocol.StatementID{p.ID},
					Text: "fewer governors than needed may approve this"})
			}
		}
		out = append(out, p)
	}
	for _, s := range f.changes {
		if p := f.changeProposal(s); p != nil {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b *Proposal) int { return a.ID.Compare(b.ID) })
	return out
}

func (f *fold) changeProposal(s *protocol.Statement) *Proposal {
	doc, e := s.Doc().(*protocol.Governors), f.elements[s.ID()]
	by, member := f.signer[s.Signer]
	p := &Proposal{ID: s.ID(), Statement: s, Kind: s.Kind, Governors: doc.Governors, Threshold: int(doc.Threshold),
		By: by, NeedsNew: int(doc.Threshold), State: ProposalVoid, Recovery: f.recovering(s)}
	if n := len(f.doc.Recovery); n > 0 {
		p.NeedsKeys = n/2 + 1
	}
	if e != nil {
		p.Needs = e.prev.threshold
		p.Signed, p.SignedNew = f.signed(e.prev, s, protocol.MemberID{}), f.signed(e, s, protocol.MemberID{})
		switch {
		case e.place >= 0:
			p.State = ProposalDone
		case e.prev == f.head() && e.approved:
			p.State = ProposalRival
		case e.prev == f.head():
			p.State = ProposalOpen
		case e.prev.place >= 0:
			p.State = ProposalSuperseded
		}
	}
	if !member && len(p.Signed)+len(p.SignedNew)+len(p.Recovery) == 0 {
		return nil
	}
	return p
}

func (f *fold) opState(o *op) ProposalState {
	switch {
	case o.dropped || o.s.Kind == protocol.KindRules && o.counts && !o.force:
		return ProposalSuperseded
	case o.counts:
		return ProposalDone
	case o.made && o.s.Kind == protocol.KindRemoval:
		return ProposalSuspends
	case o.made || !f.accepted(o.elem, o.s.ID()):
		return ProposalVoid
	}
	p := f.people[o.subject]
	switch {
	case f.pointless(o):
		return ProposalSuperseded
	case p == nil:
	case o.s.Kind == protocol.KindAdmission && (p.state == StateActive || unnamed(o, p.removals) != nil):
		return ProposalSuperseded
	case o.s.Kind == protocol.KindRemoval && p.state != StateActive && p.state != StateSuspended:
		return ProposalSuperseded
	}
	return ProposalOpen
}

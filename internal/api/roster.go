package api

import (
	"cmp"
	"math"
	"net/http"
	"slices"
	"strings"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

// rosterVersion counts what made the roster: the charter, and every change of it
// that is in force. Nodes that agree have the same.
func rosterVersion(r *trust.Roster) uint64 {
	if r.Charter == nil {
		return 0
	}
	n := uint64(1)
	for _, p := range r.Proposals {
		if p.State == trust.ProposalDone || p.State == trust.ProposalSuspends {
			n++
		}
	}
	return n + uint64(len(r.Suspended))
}

// roster answers GET /v1/roster.
func (s *Server) roster(w http.ResponseWriter, _ *http.Request) error {
	r := s.n.Roster()
	mesh := r.Mesh.String()
	out := Roster{Kind: "roster", Version: rosterVersion(r), Head: r.Digest().String(), Mesh: MeshName{ID: mesh, Ref: refOf("mesh", mesh), Name: r.Name},
		Members: []MemberLine{}, Governors: s.names(r.Governors), Threshold: r.Threshold, Open: []Proposal{}, Alarms: []string{},
		Rules: rulesOf(r.Rules), Suspensions: s.suspensions(), Recovery: []string{}}
	for _, k := range r.Recovery {
		out.Recovery = append(out.Recovery, k.String())
	}
	for _, m := range r.Members {
		out.Members = append(out.Members, MemberLine{ID: m.ID.String(), Name: m.Handle, State: string(m.State), Title: m.Card.Name,
			Member: refOf("member", m.ID.String())})
	}
	for _, p := range r.Proposals {
		over := slices.ContainsFunc(r.Suspended, func(x *trust.Suspension) bool { return x.ID == p.Target && !s.standing(x) })
		if p.State == trust.ProposalOpen && !over || p.State == trust.ProposalRival {
			out.Open = append(out.Open, *s.proposalOf(p))
		}
	}
	for _, card := range s.n.Guests() {
		out.Guests = append(out.Guests, s.guestOf(card))
	}
	for _, a := range r.Alarms {
		out.Alarms = append(out.Alarms, a.Text)
	}
	return s.answer(w, out)
}

var opNames = map[protocol.Kind]string{protocol.KindAdmission: OpAdd, protocol.KindRemoval: OpRemove, protocol.KindGovernors: OpGovernors, protocol.KindCut: "cut",
	protocol.KindRules: OpRules, protocol.KindDismissal: OpLift}

func (s *Server) proposalOf(p *trust.Proposal) *Proposal {
	out := &Proposal{Kind: "proposal", Ref: refOf("proposal", p.ID.String()), ID: p.ID.String(), Op: opNames[p.Kind], Why: p.Why,
		Time: at(p.Statement.Time), Needs: max(p.Needs, p.NeedsNew), State: string(p.State), Sign: p.Threshold}
	out.Signed = s.names(protocol.Sorted(append(slices.Clone(p.Signed), p.SignedNew...)))
	out.Missing = s.names(s.n.Roster().Signers(p))
	if !p.Subject.IsZero() {
		n := s.name(p.Subject)
		out.Subject = &n
		if m, ok := s.n.Roster().Candidate(p.Subject); ok {
			out.Title, out.Contact = m.Card.Name, m.Card.Contact
		}
	}
	if a, ok := p.Statement.Doc().(*protocol.Admission); ok {
		if t, ok := s.n.TicketOf(a.Card); ok {
			out.Words = Words(s.n.Mesh(), t.Inviter, a.Card, t.ID())
		}
	}
	if p.Rules != nil {
		out.Rules = rulesOf(*p.Rules)
	}
	if len(p.Governors) > 0 {
		out.Governors, out.RecoveryNeeds = s.names(p.Governors), p.NeedsKeys
		for _, k := range p.Recovery {
			out.RecoverySigned = append(out.RecoverySigned, k.String())
		}
	}
	if !p.By.IsZero() {
		n := s.name(p.By)
		out.By = &n
	}
	if p.Stuck {
		out.Warnings = append(out.Warnings, Warning{Code: "stuck",
			Text: "fewer governors than needed may sign this; change the governors first"})
	}
	return out
}

// findProposal finds a proposal by short name or ID.
func (s *Server) findProposal(ref string) (*trust.Proposal, error) {
	text := strings.ToLower(strings.TrimPrefix(strings.TrimSpace(ref), "proposal:"))
	var found []*trust.Proposal
	for _, p := range s.n.Roster().Proposals {
		id := p.ID.String()
		if text == id || len(text) >= protocol.RefLen && strings.HasPrefix(protocol.RefCode(id, 51), text) {
			found = append(found, p)
		}
	}
	// Of two with one short name, the open one is meant.
	if len(found) > 1 {
		open := slices.DeleteFunc(slices.Clone(found), func(p *trust.Proposal) bool { return p.State != trust.ProposalOpen })
		if len(open) == 1 {
			found = open
		}
	}
	switch len(found) {
	case 0:
		return nil, Errorf(CodeNotFound, "no proposal is called %.80q", ref).WithHint("see tipmesh roster show")
	case 1:
		return found[0], nil
	}
	e := Errorf(CodeConflict, "%.80q means several proposals", ref)
	for _, p := range found {
		e.Candidates = append(e.Candidates, Candidate{Ref: refOf("proposal", p.ID.String()), ID: p.ID.String(), Type: "proposal"})
	}
	return nil, e
}

// proposal answers GET /v1/roster/proposals/{ref}.
func (s *Server) proposal(w http.ResponseWriter, r *http.Request) error {
	p, err := s.findProposal(r.PathValue("ref"))
	if err != nil {
		return err
	}
	return s.answer(w, s.proposalOf(p))
}

// sign answers POST /v1/roster/proposals/{ref}/sign.
func (s *Server) sign(w http.ResponseWriter, r *http.Request) error {
	p, err := s.findProposal(r.PathValue("ref"))
	if err != nil {
		return err
	}
	var q SignAs
	if r.ContentLength != 0 {
		if err := read(r, &q); err != nil {
			return err
		}
	}
	approval := &protocol.Approval{Subject: p.ID}
	with := append(s.context(p.Statement.Doc()), p.Statement)
	if q.Recovery != "" {
		key, err := s.mayRecover(r, p, q.Recovery)
		if err != nil {
			return err
		}
		u, err := s.n.DraftFor(key, approval)
		if err != nil {
			return err
		}
		return s.prepared(w, []protocol.Unsigned{u}, with)
	}
	if err := s.maySign(p); err != nil {
		return err
	}
	u, err := s.n.Draft(approval)
	if err != nil {
		return err
	}
	if preparing(r) {
		return s.prepared(w, []protocol.Unsigned{u}, with)
	}
	return s.act(w, r, []protocol.Unsigned{u}, nil, nil, func() error { return s.answerProposal(w, p.ID) })
}

// maySign says why this member cannot sign a proposal, if so.
func (s *Server) maySign(p *trust.Proposal) error {
	me := s.n.Member()
	shown := s.proposalOf(p)
	switch {
	case p.State != trust.ProposalOpen:
		return Errorf(CodeConflict, "%s is not open: it is %s", shown.Ref, p.State)
	case slices.Contains(p.Signed, me) || slices.Contains(p.SignedNew, me):
		return Errorf(CodeConflict, "we have signed %s already", shown.Ref)
	case p.Subject == me && !slices.Contains(s.n.Roster().Signers(p), me):
		return Errorf(CodeDenied, "%s is about us: our own signature does not count", shown.Ref)
	case !slices.Contains(s.n.Roster().Signers(p), me):
		return Errorf(CodeDenied, "only governors sign, and we are none")
	}
	return nil
}

// mayRecover gives the recovery key that is to sign a proposal, or says why it
// cannot. The node holds no such key: it only prepares.
func (s *Server) mayRecover(r *http.Request, p *trust.Proposal, text string) (key protocol.Key, err error) {
	ref := refOf("proposal", p.ID.String())
	switch {
	case key.UnmarshalText([]byte(text)) != nil:
		return key, Errorf(CodeInvalid, "a recovery key is 64 hexadecimal digits")
	case !preparing(r):
		return key, Errorf(CodeInvalid, "what a recovery key signs is prepared here and signed where the key is")
	case !slices.Contains(s.n.Roster().Recovery, key):
		return key, Errorf(CodeDenied, "%s is no recovery key of this mesh", key.Short())
	case p.State != trust.ProposalOpen:
		return key, Errorf(CodeConflict, "%s is not open: it is %s", ref, p.State)
	case p.NeedsKeys == 0:
		return key, Errorf(CodeDenied, "recovery keys sign changes of governors only, and %s is none", ref)
	case slices.Contains(p.Recovery, key):
		return key, Errorf(CodeConflict, "that recovery key has signed %s already", ref)
	}
	return key, nil
}

// answerProposal shows a proposal as it stands after a change.
func (s *Server) answerProposal(w http.ResponseWriter, id protocol.StatementID, warnings ...Warning) error {
	p, ok := s.n.Roster().Proposal(id)
	if !ok {
		return Errorf(CodeInternal, "the roster did not take the proposal")
	}
	out := s.proposalOf(p)
	out.Warnings = append(out.Warnings, warnings...)
	return s.answer(w, out)
}

// rosterLog answers GET /v1/roster/log: the statements, oldest first.
func (s *Server) rosterLog(w http.ResponseWriter, _ *http.Request) error {
	list := s.n.Statements()
	slices.SortStableFunc(list, func(a, b *protocol.Statement) int {
		return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(order(a.Kind), order(b.Kind)))
	})
	out := make([]LogRecord, 0, len(list))
	for _, x := range list {
		out = append(out, s.record(x))
	}
	return lines(s, w, out)
}

// order puts what was stated in one moment after what it is about.
func order(k protocol.Kind) protocol.Kind {
	if k == protocol.KindApproval {
		return math.MaxUint64
	}
	return k
}

func (s *Server) record(x *protocol.Statement) LogRecord {
	r := s.n.Roster()
	out := LogRecord{Kind: "record", Time: at(x.Time), What: x.Kind.String(), Ref: refOf("statement", x.ID().String()), ID: x.ID().String()}
	if m, ok := r.ByKey(x.Signer); ok {
		out.By = &Name{ID: m.ID.String(), Name: m.Handle}
	} else if m, ok := r.Author(x.Signer); ok {
		out.By = &Name{ID: m.ID.String(), Name: m.Handle}
	}
	about := func(id protocol.MemberID) {
		n := s.name(id)
		out.About = &n
	}
	switch doc := x.Doc().(type) {
	case *protocol.Charter:
		out.Detail = doc.Name
	case *protocol.Card:
		id := doc.Member
		if doc.Version == 1 {
			id = protocol.MemberID(x.ID())
		}
		about(id)
		out.Detail = doc.Name
	case *protocol.Admission:
		about(doc.Member)
		out.Detail = doc.Why
	case *protocol.Removal:
		about(doc.Member)
		out.Detail = doc.Why
	case *protocol.Cut:
		about(doc.Member)
	case *protocol.HouseRules:
		out.Detail = doc.Why
	case *protocol.Suspension:
		about(doc.Member)
		out.Detail = doc.Why
	case *protocol.Mark:
		about(doc.Member)
	case *protocol.Dismissal:
		out.Target, out.Detail = refOf("statement", doc.Subject.String()), doc.Why
	case *protocol.Approval:
		out.Target = refOf("proposal", doc.Subject.String())
	}
	if p, ok := r.Proposal(x.ID()); ok {
		out.Ref, out.State = refOf("proposal", x.ID().String()), string(p.State)
	}
	return out
}

package api

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

// propose answers POST /v1/roster/proposals.
func (s *Server) propose(w http.ResponseWriter, r *http.Request) error {
	var q Propose
	if err := read(r, &q); err != nil {
		return err
	}
	me, ok := s.us()
	if !ok || me.State != trust.StateActive {
		return node.ErrNotMember
	}
	var content protocol.Content
	var card *protocol.Statement
	var warnings []Warning
	var err error
	switch q.Op {
	case OpAdd:
		content, card, err = s.proposeAdd(&q)
	case OpRemove:
		content, warnings, err = s.proposeRemove(&q)
	case OpGovernors:
		content, warnings, err = s.proposeGovernors(&q)
	case OpRules:
		content, err = s.proposeRules(&q)
	case OpLift:
		content, err = s.proposeLift(&q)
	default:
		return Errorf(CodeInvalid, "cannot propose %.40q: want add, remove, governors, rules or lift", q.Op)
	}
	if err != nil {
		return err
	}
	return s.state(w, r, content, card, me, warnings)
}

// state signs a proposal and, if this member governs, its approval, and hands
// them to the roster together. A governor about itself approves nothing.
func (s *Server) state(w http.ResponseWriter, r *http.Request, content protocol.Content, card *protocol.Statement, me *trust.Member, warnings []Warning) error {
	proposal, err := s.n.Draft(content)
	if err != nil {
		return err
	}
	read, err := proposal.Read()
	if err != nil {
		return err
	}
	drafts, with := []protocol.Unsigned{proposal}, []*protocol.Statement{}
	if card != nil {
		with = append(with, card)
	}
	if preparing(r) {
		with = append(with, s.context(content)...)
	}
	if about, ok := content.(*protocol.Removal); (me.Governor || named(content, me.ID)) && !(ok && about.Member == me.ID) {
		approval, err := s.n.Draft(&protocol.Approval{Subject: read.ID()})
		if err != nil {
			return err
		}
		drafts = append(drafts, approval)
	}
	return s.act(w, r, drafts, with, warnings, func() error { return s.answerProposal(w, read.ID(), warnings...) })
}

// named tells whether a change of governors makes a member one.
func named(content protocol.Content, id protocol.MemberID) bool {
	g, ok := content.(*protocol.Governors)
	return ok && slices.Contains(g.Governors, id)
}

// open refuses a second proposal of the same.
func (s *Server) open(kind protocol.Kind, subject protocol.MemberID) error {
	for _, p := range s.n.Roster().Proposals {
		if p.State == trust.ProposalOpen && p.Kind == kind && p.Subject == subject {
			ref := refOf("proposal", p.ID.String())
			return Errorf(CodeConflict, "%s is proposed already: %s", s.name(subject).Name, ref).WithHint("tipmesh roster sign %s", protocol.RefCode(p.ID.String(), protocol.RefLen))
		}
	}
	return nil
}

func (s *Server) proposeAdd(q *Propose) (protocol.Content, *protocol.Statement, error) {
	r := s.n.Roster()
	if guest := s.guest(q.Subject); guest != nil && q.Card == "" {
		q.Card = hex.EncodeToString(guest.Raw())
	}
	if q.Card != "" {
		card, err := readCard(q.Card)
		if err != nil {
			return nil, nil, err
		}
		if card.Mesh != s.n.Mesh() {
			return nil, nil, Errorf(CodeInvalid, "the card is for another mesh")
		}
		id := protocol.MemberID(card.ID())
		if m, ok := r.Member(id); ok {
			return s.readmit(m, q)
		}
		doc := card.Doc().(*protocol.Card)
		if m, ok := r.ByHandle(doc.Handle); ok && m.State == trust.StateActive {
			return nil, nil, Errorf(CodeConflict, "the handle %s is taken", doc.Handle)
		}
		for _, n := range doc.Nodes {
			if m, ok := r.Author(n.Key); ok {
				return nil, nil, Errorf(CodeDenied, "the card names a node of %s", m.Handle)
			}
		}
		if err := s.open(protocol.KindAdmission, id); err != nil {
			return nil, nil, err
		}
		return &protocol.Admission{Member: id, Line: r.Line, Card: card.ID(), Why: q.Why}, card, nil
	}
	if q.Subject == "" {
		return nil, nil, Errorf(CodeInvalid, "add whom? Give the card, or a member that was removed")
	}
	m, err := s.find(q.Subject)
	if err != nil {
		return nil, nil, err
	}
	return s.readmit(m, q)
}

// readmit proposes a member that was in before.
func (s *Server) readmit(m *trust.Member, q *Propose) (protocol.Content, *protocol.Statement, error) {
	if m.Until != 0 {
		return nil, nil, Errorf(CodeConflict, "%s is suspended for a time, and in again after it", m.Handle).WithHint("tipmesh roster propose lift %s", m.Handle)
	}
	if m.State == trust.StateActive {
		return nil, nil, Errorf(CodeConflict, "%s is in already", m.Handle)
	}
	if err := s.open(protocol.KindAdmission, m.ID); err != nil {
		return nil, nil, err
	}
	r := s.n.Roster()
	a := &protocol.Admission{Member: m.ID, Line: r.Line, Card: m.CardID, Why: q.Why}
	for _, p := range r.Proposals {
		if p.Kind == protocol.KindRemoval && p.Subject == m.ID && (p.State == trust.ProposalDone || p.State == trust.ProposalSuspends) {
			a.Removed = append(a.Removed, p.ID)
		}
	}
	protocol.Sorted(a.Removed)
	return a, nil, nil
}

// readCard reads a first card, in hexadecimal or base64.
func readCard(text string) (*protocol.Statement, error) {
	text = strings.Join(strings.Fields(text), "")
	raw, err := hex.DecodeString(text)
	if err != nil {
		raw, err = base64.StdEncoding.DecodeString(text)
	}
	if err != nil {
		return nil, Errorf(CodeInvalid, "the card is neither hexadecimal nor base64")
	}
	card, err := protocol.ParseStatement(raw)
	if err != nil {
		return nil, Errorf(CodeInvalid, "read card: %v", err)
	}
	if doc, ok := card.Doc().(*protocol.Card); !ok || doc.Version != 1 {
		return nil, Errorf(CodeInvalid, "this is no first card")
	}
	return card, nil
}

func (s *Server) proposeRemove(q *Propose) (protocol.Content, []Warning, error) {
	m, err := s.find(q.Subject)
	if err != nil {
		return nil, nil, err
	}
	if m.State != trust.StateActive && m.Until == 0 {
		return nil, nil, Errorf(CodeConflict, "%s is not in: %s", m.Handle, m.State)
	}
	if err := s.open(protocol.KindRemoval, m.ID); err != nil {
		return nil, nil, err
	}
	r := s.n.Roster()
	able := len(r.Governors)
	if m.Governor {
		able--
	}
	if m.Governor && r.Seats == 2 && len(r.Recovery) > 0 {
		return nil, nil, Errorf(CodeDenied, "of two governors neither can be removed: only the recovery keys can, by a change of governors").
			WithHint("propose other governors and sign it with recovery keys: tipmesh roster propose governors; tipmesh roster sign REF --key-file KEY")
	}
	if able < r.Threshold {
		return nil, nil, Errorf(CodeDenied, "nobody could ever sign this: %d must, and without %s there are %d governors", r.Threshold, m.Handle, able).
			WithHint("change the governors first: tipmesh roster propose governors")
	}
	var warnings []Warning
	if m.Governor {
		warnings = append(warnings, Warning{Code: "governor", Text: m.Handle + " stays a governor, whose signatures count, until the governors are changed: tipmesh roster propose governors"})
	}
	if feeds, entries := s.n.Uncut(m.ID); feeds > 0 {
		warnings = append(warnings, Warning{Code: "uncut", Text: fmt.Sprintf("%s has begun %d feeds more than a cut names: the %d entries in the shortest will not count", m.Handle, feeds, entries)})
	}
	return &protocol.Removal{Member: m.ID, Admission: m.Admission, Line: r.Line, Why: q.Why, Cuts: s.n.Heads(m.ID)}, warnings, nil
}

func (s *Server) proposeGovernors(q *Propose) (protocol.Content, []Warning, error) {
	var ids []protocol.MemberID
	for _, who := range q.Governors {
		m, err := s.find(who)
		if err != nil {
			return nil, nil, err
		}
		if m.State != trust.StateActive && m.Until == 0 {
			return nil, nil, Errorf(CodeInvalid, "%s is not in: %s", m.Handle, m.State)
		}
		ids = append(ids, m.ID)
	}
	ids = protocol.Sorted(ids)
	if len(ids) == 0 {
		return nil, nil, Errorf(CodeInvalid, "name the governors, separated by commas")
	}
	if len(ids) != len(q.Governors) {
		return nil, nil, Errorf(CodeInvalid, "a governor is named twice")
	}
	least := len(ids)/2 + 1
	if q.Sign == 0 {
		q.Sign = least
	}
	if q.Sign < least || q.Sign > len(ids) {
		return nil, nil, Errorf(CodeInvalid, "of %d governors, at least %d and at most %d must sign", len(ids), least, len(ids))
	}
	r := s.n.Roster()
	g := &protocol.Governors{Prev: r.Line, Governors: ids, Threshold: uint64(q.Sign)}
	// What is not named would be void under the new governors.
	for _, p := range r.Proposals {
		if p.Kind != protocol.KindGovernors && (p.State == trust.ProposalDone || p.State == trust.ProposalSuspends) {
			g.Accepts = append(g.Accepts, p.ID)
		}
	}
	for _, x := range r.Suspended {
		if s.standing(x) {
			g.Accepts = append(g.Accepts, x.ID)
		}
	}
	// Keys that a governor has given up must not sign under the new list.
	for _, id := range r.Governors {
		if m, ok := r.Member(id); ok && m.Card.Version > 1 {
			g.Accepts = append(g.Accepts, m.CardID)
		}
	}
	for _, id := range ids {
		if m, ok := r.Member(id); ok && m.Card.Version > 1 {
			g.Accepts = append(g.Accepts, m.CardID)
		}
	}
	g.Accepts = protocol.Sorted(g.Accepts)
	if len(g.Accepts) > protocol.MaxAccepts {
		return nil, nil, Errorf(CodeDenied, "more than %d changes of the roster would have to be named", protocol.MaxAccepts)
	}
	var warnings []Warning
	switch len(ids) {
	case 1:
		warnings = append(warnings, Warning{Code: "one_governor", Text: "a single governor decides alone, and nobody can replace a lost key"})
	case 2:
		warnings = append(warnings, Warning{Code: "two_governors", Text: "of two governors neither can be removed, but by recovery keys"})
		if len(r.Recovery) == 0 {
			warnings[len(warnings)-1].Text = "of two governors neither can be removed, and this mesh has no recovery keys"
		}
	}
	return g, warnings, nil
}

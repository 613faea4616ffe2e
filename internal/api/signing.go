package api

import (
	"errors"
	"net/http"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
)

// prepareQuery asks for statements to sign elsewhere instead of an act.
const prepareQuery = "prepare"

func preparing(r *http.Request) bool { return r.URL.Query().Get(prepareQuery) == "true" }

// signHint says what to do where the member key is not in the home.
const signHint = "add --key-file FILE; or --unsigned FILE, to sign where the key is: tipmesh card sign"

// prepared answers with what is to be signed elsewhere.
func (s *Server) prepared(w http.ResponseWriter, drafts []protocol.Unsigned, with []*protocol.Statement, warnings ...Warning) error {
	out := Prepared{Kind: "prepared", Unsigned: [][]byte{}, With: [][]byte{}, IDs: []string{}, Warnings: warnings}
	for _, u := range drafts {
		x, err := u.Read()
		if err != nil {
			return err
		}
		out.Unsigned, out.IDs = append(out.Unsigned, u), append(out.IDs, x.ID().String())
	}
	for _, x := range with {
		out.With = append(out.With, x.Raw())
	}
	return s.answer(w, out)
}

// context gives the statements by which whoever signs elsewhere can see what a
// proposal changes.
func (s *Server) context(content protocol.Content) (out []*protocol.Statement) {
	if d, ok := content.(*protocol.HouseRules); ok {
		if before := s.n.Statement(d.Prev); before != nil {
			out = append(out, before)
		}
	}
	return out
}

// act signs what was drafted with the member key of this home and hands it to the
// roster together with what goes with it, and answers with done. Where it is only
// to be prepared, it answers with the drafts.
func (s *Server) act(w http.ResponseWriter, r *http.Request, drafts []protocol.Unsigned, with []*protocol.Statement,
	warnings []Warning, done func() error) error {
	if preparing(r) {
		return s.prepared(w, drafts, with, warnings...)
	}
	var list []*protocol.Statement
	for _, u := range drafts {
		x, err := s.n.SignDraft(u)
		if err != nil {
			return err
		}
		list = append(list, x)
	}
	if err := s.n.Roster().Accept(list[0]); err != nil {
		return err
	}
	if err := s.n.Submit(append(list, with...)...); err != nil {
		return err
	}
	return done()
}

// statements answers POST /v1/statements: it takes in what was signed elsewhere.
func (s *Server) statements(w http.ResponseWriter, r *http.Request) error {
	var q Statements
	if err := read(r, &q); err != nil {
		return err
	}
	var list []*protocol.Statement
	out := Brought{Kind: "statements", IDs: []string{}}
	for _, raw := range q.Statements {
		x, err := protocol.ParseStatement(raw)
		if err != nil {
			return Errorf(CodeInvalid, "%v", err)
		}
		list = append(list, x)
		out.IDs = append(out.IDs, x.ID().String())
	}
	if len(list) == 0 {
		return Errorf(CodeInvalid, "there is no statement to take in")
	}
	if err := s.n.Bring(list...); err != nil {
		return err
	}
	return s.answer(w, out)
}

// changeCard makes a change of the card, or prepares it.
func (s *Server) changeCard(w http.ResponseWriter, r *http.Request, change node.CardChange) error {
	if preparing(r) {
		u, err := s.n.DraftCard(change)
		if err != nil {
			return err
		}
		return s.prepared(w, []protocol.Unsigned{u}, nil)
	}
	if _, err := s.n.SetCard(change); err != nil {
		return err
	}
	return s.card(w, r)
}

// codedCard gives errors about cards and keys their codes, nil to others.
func codedCard(err error) *Error {
	switch {
	case errors.Is(err, node.ErrNoMemberKey):
		return Errorf(CodeDenied, "%v", err).WithHint(signHint)
	case errors.Is(err, node.ErrStopped):
		return Errorf(CodeDenied, "%v", err).WithHint("tipmesh card node renew gives this home a new node key, with which it goes on")
	case errors.Is(err, node.ErrNamed):
		return Errorf(CodeConflict, "%v", err)
	case errors.Is(err, node.ErrStaleCard):
		return Errorf(CodeConflict, "%v", err).WithHint("prepare it again, and sign that")
	case errors.Is(err, node.ErrUnnamed):
		return Errorf(CodeNotFound, "%v", err).WithHint("tipmesh card show")
	case errors.Is(err, node.ErrRetired), errors.Is(err, node.ErrNextKey):
		return Errorf(CodeDenied, "%v", err)
	case errors.Is(err, node.ErrAlone):
		return Errorf(CodeUnavailable, "%v", err).WithHint("tipmesh status")
	}
	return nil
}

func (s *Server) guestOf(card *protocol.Statement) Guest {
	doc, _ := card.Doc().(*protocol.Card)
	g := Guest{Member: Name{ID: card.ID().String(), Name: doc.Handle}, Title: doc.Name, Contact: doc.Contact, Words: []string{}}
	if t, ok := s.n.TicketOf(card.ID()); ok {
		g.Words = Words(s.n.Mesh(), t.Inviter, card.ID(), t.ID())
	}
	return g
}

// guest finds the card of a joiner whom nobody has proposed.
func (s *Server) guest(who string) *protocol.Statement {
	var found *protocol.Statement
	for _, card := range s.n.Guests() {
		if g := s.guestOf(card); g.Member.ID == who || g.Member.Name == who {
			if found != nil {
				return nil
			}
			found = card
		}
	}
	return found
}

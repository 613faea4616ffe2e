package api

import (
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tipmesh/tipmesh/internal/stix"
	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/node/transport"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

const (
	inviteFor   = 48 * time.Hour
	inviteMost  = 7 * 24 * time.Hour
	inviteLeast = time.Second
)

// card answers GET /v1/card.
func (s *Server) card(w http.ResponseWriter, _ *http.Request) error {
	c, err := s.ourCard()
	if err != nil {
		return err
	}
	return s.answer(w, c)
}

func (s *Server) ourCard() (*Card, error) {
	m, ok := s.us()
	if !ok {
		return nil, node.ErrNotMember
	}
	c := m.Card
	out := &Card{Kind: "card", Member: Name{ID: m.ID.String(), Name: m.Handle}, Ref: refOf("card", m.CardID.String()), Version: c.Version,
		Name: c.Name, Contact: c.Contact, Duty: c.Duty, Sectors: orEmpty(c.Sectors), Regions: orEmpty(c.Regions),
		WorkingOn: orEmpty(c.WorkingOn), Consent: consentOf(c), Identity: c.Identity, Key: m.Key.String(), Nodes: []string{}, AlsoOn: []Name{}}
	for _, k := range m.Nodes {
		out.Nodes = append(out.Nodes, transport.PeerID(k))
	}
	if first := s.n.Statement(protocol.StatementID(m.ID)); first != nil {
		out.Statement = hex.EncodeToString(first.Raw())
	}
	for _, o := range s.others() {
		if slices.ContainsFunc(o.Card.WorkingOn, func(t string) bool {
			return slices.ContainsFunc(c.WorkingOn, func(u string) bool { return strings.EqualFold(t, u) })
		}) {
			out.AlsoOn = append(out.AlsoOn, Name{ID: o.ID.String(), Name: o.Handle})
		}
	}
	return out, nil
}

// setCard answers PATCH /v1/card.
func (s *Server) setCard(w http.ResponseWriter, r *http.Request) error {
	var c CardChange
	if err := read(r, &c); err != nil {
		return err
	}
	return s.changeCard(w, r, func(card *protocol.Card) error {
		before := *card
		for _, f := range []struct{ to, from *string }{{&card.Name, c.Name}, {&card.Contact, c.Contact}, {&card.Duty, c.Duty}} {
			if f.from != nil {
				*f.to = *f.from
			}
		}
		for _, f := range []struct{ to, from *[]string }{{&card.Sectors, c.Sectors}, {&card.Regions, c.Regions}, {&card.WorkingOn, c.WorkingOn}} {
			if f.from != nil {
				*f.to = *f.from
			}
		}
		if err := c.consent(card); err != nil {
			return err
		}
		if sameCard(&before, card) {
			return Errorf(CodeConflict, "the card says so already")
		}
		return nil
	})
}

func (c *CardChange) consent(card *protocol.Card) error {
	switch {
	case c.Consent == nil:
		return nil
	case c.Consent.TLP == "":
		card.Consent = nil
		return nil
	}
	tlp, err := stix.ParseTLP(c.Consent.TLP)
	if err != nil {
		return Errorf(CodeInvalid, "%v", err)
	}
	card.Consent = &protocol.Consent{TLP: string(tlp), Seconds: c.Consent.ForS}
	return nil
}

func sameCard(a, b *protocol.Card) bool {
	consents := (a.Consent == nil) == (b.Consent == nil) && (a.Consent == nil || *a.Consent == *b.Consent)
	return consents && a.Name == b.Name && a.Contact == b.Contact && a.Duty == b.Duty && slices.Equal(a.Sectors, b.Sectors) &&
		slices.Equal(a.Regions, b.Regions) && slices.Equal(a.WorkingOn, b.WorkingOn)
}

// invite answers POST /v1/invite.
func (s *Server) invite(w http.ResponseWriter, r *http.Request) error {
	var q Invite
	if err := read(r, &q); err != nil {
		return err
	}
	lasts := inviteFor
	if q.ForS != 0 {
		lasts = time.Duration(q.ForS * float64(time.Second))
	}
	if lasts < inviteLeast || lasts > inviteMost {
		return Errorf(CodeInvalid, "an invitation lasts 7 days at most")
	}
	if len(q.Name) > protocol.MaxName || strings.ContainsAny(q.Name, "\n\t") {
		return Errorf(CodeInvalid, "the name is longer than %d bytes or has more than one line", protocol.MaxName)
	}
	me, ok := s.us()
	if !ok || me.State != trust.StateActive {
		return node.ErrNotMember
	}
	if q.Admit && !me.Governor {
		return Errorf(CodeDenied, "only a governor can sign as soon as the card arrives").WithHint("invite without --admit; governors sign then")
	}
	t, err := s.n.Invite(q.Name, s.now().Add(lasts), q.Admit)
	if err != nil {
		return err
	}
	roster := s.n.Roster()
	id := t.ID().String()
	return s.answer(w, Ticket{Kind: "ticket", ID: id, Ref: refOf("ticket", id), Text: t.Text(), Name: t.Name, Expires: at(t.Expires),
		Addresses: t.Addresses, Admit: q.Admit, Needs: TicketNeeds{Threshold: roster.Threshold, Governors: s.names(roster.Governors)}})
}

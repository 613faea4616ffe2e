package api

import (
	"net/http"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/node/transport"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

// members answers GET /v1/members.
func (s *Server) members(w http.ResponseWriter, _ *http.Request) error {
	peers := s.peers()
	var out []Member
	for _, m := range s.n.Roster().Members {
		out = append(out, s.memberOf(m, peers))
	}
	return lines(s, w, out)
}

// member answers GET /v1/members/{who}.
func (s *Server) member(w http.ResponseWriter, r *http.Request) error {
	m, err := s.find(r.PathValue("who"))
	if err != nil {
		return err
	}
	return s.answer(w, s.memberOf(m, s.peers()))
}

// peers gives how the other nodes stand, by key.
func (s *Server) peers() map[protocol.Key]node.Peer {
	out := map[protocol.Key]node.Peer{}
	for _, p := range s.n.Status(time.Time{}).Peers {
		out[p.Node] = p
	}
	return out
}

func (s *Server) memberOf(m *trust.Member, peers map[protocol.Key]node.Peer) Member {
	out := Member{Kind: "member", ID: m.ID.String(), Ref: refOf("member", m.ID.String()), Handle: m.Handle, Name: m.Card.Name,
		State: string(m.State), Us: m.ID == s.n.Member(), Governor: m.Governor, Sectors: orEmpty(m.Card.Sectors),
		Regions: orEmpty(m.Card.Regions), Contact: m.Card.Contact, Duty: m.Card.Duty, Identity: m.Card.Identity, Since: at(m.Since),
		Card: m.Card.Version, WorkingOn: orEmpty(m.Card.WorkingOn), Consent: consentOf(m.Card), Nodes: []MemberNode{}}
	for _, k := range m.Nodes {
		p := peers[k]
		n := MemberNode{ID: transport.PeerID(k), Key: k.String(), Version: p.Agent, Up: p.Up, SkewS: float64(p.SkewMS) / 1000,
			Behind: p.Behind, Heard: at(p.Heard)}
		if k == s.n.Key() {
			n.Self, n.Up, n.Version = true, true, node.Agent
		}
		out.Nodes = append(out.Nodes, n)
	}
	if !out.Us {
		t := s.trustOf(m)
		out.Trust = &t
	}
	return out
}

func consentOf(c *protocol.Card) *Consent {
	if c.Consent == nil {
		return nil
	}
	return &Consent{TLP: c.Consent.TLP, ForS: c.Consent.Seconds}
}

// trustOf is what applies to a member now.
func (s *Server) trustOf(m *trust.Member) Trust {
	d := s.n.Trust(m.ID)
	t := trustFrom(d)
	t.Member = Name{ID: m.ID.String(), Name: m.Handle}
	t.Default = d == s.n.TrustDefault()
	return t
}

func trustFrom(d trust.Decision) Trust {
	return Trust{Kind: "trust", Use: d.Use.String(), Send: d.Send, Reliability: d.Reliability, Alias: d.Alias, Note: d.Note,
		Until: at(d.Until), Since: at(d.Since), By: d.By, Version: d.Version}
}

func (s *Server) trustOthers() Trust {
	t := trustFrom(s.n.TrustDefault())
	t.Member, t.Default = Name{Name: "others"}, true
	return t
}

// trustList answers GET /v1/trust.
func (s *Server) trustList(w http.ResponseWriter, _ *http.Request) error {
	var out []Trust
	for _, m := range s.others() {
		out = append(out, s.trustOf(m))
	}
	return lines(s, w, append(out, s.trustOthers()))
}

// setTrust answers PUT /v1/trust/{who}.
func (s *Server) setTrust(w http.ResponseWriter, r *http.Request) error {
	var c TrustChange
	if err := read(r, &c); err != nil {
		return err
	}
	who := r.PathValue("who")
	if who == "others" {
		d, err := c.apply(s.n.TrustDefault())
		if err != nil {
			return err
		}
		change, err := s.n.SetTrust(nil, d)
		if err != nil {
			return Errorf(CodeInvalid, "%v", err)
		}
		t := s.trustOthers()
		t.Changed = change.Version != 0
		return s.answer(w, t)
	}
	m, err := s.find(who)
	if err != nil {
		return err
	}
	if m.ID == s.n.Member() {
		return Errorf(CodeInvalid, "%s is us: there is nothing to decide", m.Handle)
	}
	d, err := c.apply(s.n.Trust(m.ID))
	if err != nil {
		return err
	}
	change, err := s.n.SetTrust(&m.ID, d)
	if err != nil {
		return Errorf(CodeInvalid, "%v", err)
	}
	t := s.trustOf(m)
	t.Changed = change.Version != 0
	return s.answer(w, t)
}

// apply changes a decision.
func (c *TrustChange) apply(d trust.Decision) (trust.Decision, error) {
	d.Since, d.Version, d.By, d.Why = 0, 0, c.By, c.Why
	if c.Use != nil {
		use, err := trust.ParseUse(*c.Use)
		if err != nil {
			return d, Errorf(CodeInvalid, "%v", err)
		}
		d.Use = use
	}
	for _, f := range []struct {
		to   *string
		from *string
	}{{&d.Send, c.Send}, {&d.Reliability, c.Reliability}, {&d.Alias, c.Alias}, {&d.Note, c.Note}} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	if c.Until != nil {
		d.Until = 0
		if !c.Until.IsZero() {
			d.Until = c.Until.UnixMilli()
		}
	}
	if err := d.Validate(); err != nil {
		return d, Errorf(CodeInvalid, "%v", err)
	}
	return d, nil
}

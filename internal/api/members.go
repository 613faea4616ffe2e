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

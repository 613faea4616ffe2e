package api

import (
	"strings"

	"github.com/tipmesh/tipmesh/internal/stix"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

// refOf is the short name of something with a full ID.
func refOf(kind, id string) string {
	if kind == "" {
		return ""
	}
	n := protocol.RefLenObject
	switch kind {
	case "share", "member", "proposal", "mesh", "statement", "ticket", "card", "group":
		n = protocol.RefLen
	}
	return kind + ":" + protocol.RefCode(id, n)
}

// objectRef is the short name of a STIX object.
func objectRef(id string) string { return refOf(stix.IDType(id), id) }

// shareRef is the short name of a share, none where there is no share.
func shareRef(id string) string {
	if id == "" {
		return ""
	}
	return refOf("share", id)
}

// name gives a member's ID and handle.
func (s *Server) name(id protocol.MemberID) Name {
	n := Name{ID: id.String()}
	if m, ok := s.n.Roster().Candidate(id); ok {
		n.Name = m.Handle
	}
	return n
}

func (s *Server) names(ids []protocol.MemberID) []Name {
	out := make([]Name, 0, len(ids))
	for _, id := range ids {
		out = append(out, s.name(id))
	}
	return out
}

// find finds a member by handle, alias of ours, short name or ID.
func (s *Server) find(who string) (*trust.Member, error) {
	r := s.n.Roster()
	text := strings.TrimPrefix(strings.ToLower(strings.TrimSpace(who)), "member:")
	if m, ok := r.ByHandle(text); ok {
		return m, nil
	}
	if id, err := protocol.ParseID[struct{}](text); err == nil {
		if m, ok := r.Member(protocol.MemberID(id)); ok {
			return m, nil
		}
	}
	for _, m := range r.Members {
		if s.n.Trust(m.ID).Alias == text && text != "" {
			return m, nil
		}
	}
	var found []*trust.Member
	code := text
	for _, m := range r.Members {
		if len(code) >= protocol.RefLen && strings.HasPrefix(protocol.RefCode(m.ID.String(), 51), code) {
			found = append(found, m)
		}
	}
	switch len(found) {
	case 0:
		return nil, Errorf(CodeNotFound, "no member is called %.64q", who).WithHint("see tipmesh member list")
	case 1:
		return found[0], nil
	}
	e := Errorf(CodeConflict, "%.64q means several members", who)
	for _, m := range found {
		e.Candidates = append(e.Candidates, Candidate{Ref: refOf("member", m.ID.String()), ID: m.ID.String(), Type: "member"})
	}
	return nil, e
}

// us gives this node's own member.
func (s *Server) us() (*trust.Member, bool) { return s.n.Roster().Member(s.n.Member()) }

// others gives the active members but ourselves.
func (s *Server) others() []*trust.Member {
	var out []*trust.Member
	for _, m := range s.n.Roster().Active() {
		if m.ID != s.n.Member() {
			out = append(out, m)
		}
	}
	return out
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

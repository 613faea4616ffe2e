package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/audience"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
)

// audience reads whom something is shared with.
func (s *Server) audience(to string) (protocol.AudienceID, error) {
	switch {
	case to == "everyone":
		return protocol.Everyone(s.n.Mesh()), nil
	case to == "":
		return protocol.AudienceID{}, Errorf(CodeInvalid, "nobody would receive this: add --to everyone or --to @GROUP")
	case strings.HasPrefix(to, "@"), strings.HasPrefix(to, "group:"):
		g, err := s.findGroup(to)
		if err != nil {
			return protocol.AudienceID{}, err
		}
		return g.ID, nil
	}
	return protocol.AudienceID{}, Errorf(CodeInvalid, "cannot share with %.64q", to).
		WithHint("--to everyone or --to @GROUP; for a few members: tipmesh group create NAME MEMBER...")
}

// audienceOf is the audience that an object was shared with.
func (s *Server) audienceOf(o *store.Object) protocol.AudienceID {
	if o.Summary.Audience.IsZero() {
		return protocol.Everyone(s.n.Mesh())
	}
	return o.Summary.Audience
}

// audienceName is what people call an audience.
func (s *Server) audienceName(id protocol.AudienceID) string {
	if id == protocol.Everyone(s.n.Mesh()) {
		return "everyone"
	}
	if g, ok := s.n.Group(id); ok {
		return "@" + g.Name
	}
	return refOf("group", id.String())
}

// findGroup finds a group by @NAME, short name or ID. Of groups of one name those
// that we are in come first; whose they are decides no further.
func (s *Server) findGroup(text string) (*audience.Group, error) {
	name, code := strings.TrimPrefix(text, "@"), strings.TrimPrefix(text, "group:")
	var found []*audience.Group
	for _, g := range s.n.Groups() {
		ref := protocol.RefCode(g.ID.String(), 51)
		if code != text && len(code) >= protocol.RefLen && strings.HasPrefix(ref, strings.ToLower(code)) || text == g.ID.String() || code == text && strings.EqualFold(g.Name, name) {
			found = append(found, g)
		}
	}
	if in := slices.DeleteFunc(slices.Clone(found), func(g *audience.Group) bool { return !g.In(s.n.Member()) }); len(in) > 0 {
		found = in
	}
	switch len(found) {
	case 0:
		return nil, Errorf(CodeNotFound, "no group is called %.64q", text).WithHint("see tipmesh group list")
	case 1:
		return found[0], nil
	}
	e := Errorf(CodeConflict, "%.64q means several groups", text).WithHint("give the short name, as group:4m2k7")
	for _, g := range found {
		e.Candidates = append(e.Candidates, Candidate{Ref: refOf("group", g.ID.String()), ID: g.ID.String(), Type: "group"})
	}
	return nil, e
}

// groupView is a group as the API tells it.
func (s *Server) groupView(g *audience.Group) *Group {
	out := &Group{Kind: "group", Ref: refOf("group", g.ID.String()), ID: g.ID.String(), Name: g.Name, Owner: s.name(g.Owner),
		Deputies: s.names(g.Deputies), Members: s.names(g.Members), You: "out", Version: g.Head.Number, History: historyText(g.History),
		Since: at(g.Joined(s.n.Member())), State: GroupOpen}
	switch {
	case !g.In(s.n.Member()):
	case g.Owner == s.n.Member():
		out.You = "owner"
	case slices.Contains(g.Deputies, s.n.Member()):
		out.You = "deputy"
	default:
		out.You = "member"
	}
	switch {
	case g.Ended:
		out.State = GroupEnded
	case g.ReadOnly():
		out.State = GroupReadOnly
	}
	if g.Conflict {
		out.Alerts = append(out.Alerts, "two changes by one member contradict each other: neither counts until that member makes another")
	}
	return out
}

func historyText(seconds uint64) string {
	const day = 24 * 3600
	switch {
	case seconds == 0:
		return "none"
	case seconds == audience.HistoryAll:
		return "all"
	case seconds%day == 0:
		return strconv.FormatUint(seconds/day, 10) + "d"
	case seconds%3600 == 0:
		return strconv.FormatUint(seconds/3600, 10) + "h"
	}
	return strconv.FormatUint(seconds, 10) + "s"
}

func parseHistory(text string) (uint64, error) {
	switch text {
	case "", "none":
		return 0, nil
	case "all":
		return audience.HistoryAll, nil
	}
	bad := Errorf(CodeInvalid, "history %.40q: want none, all or a time as 30d", text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil || n == 0 {
			return 0, bad
		}
		return n * 24 * 3600, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Second {
		return 0, bad
	}
	return uint64(d / time.Second), nil
}

// groups answers GET /v1/groups.
func (s *Server) groups(w http.ResponseWriter, _ *http.Request) error {
	out := []Group{}
	for _, g := range s.n.Groups() {
		out = append(out, *s.groupView(g))
	}
	slices.SortStableFunc(out, func(a, b Group) int { return strings.Compare(a.Name, b.Name) })
	return lines(s, w, out)
}

// group answers GET /v1/groups/{ref}.
func (s *Server) group(w http.ResponseWriter, r *http.Request) error {
	g, err := s.findGroup(r.PathValue("ref"))
	if err != nil {
		return err
	}
	return s.answer(w, s.groupView(g))
}

// createGroup answers POST /v1/groups.
func (s *Server) createGroup(w http.ResponseWriter, r *http.Request) error {
	var q GroupCreate
	if err := read(r, &q); err != nil {
		return err
	}
	name := strings.ToLower(strings.TrimPrefix(q.Name, "@"))
	if !protocol.ValidHandle(name) {
		return Errorf(CodeInvalid, "%.64q is no name for a group: want 1 to 32 of a to z, 0 to 9 and -, a letter first", q.Name)
	}
	for _, g := range s.n.Groups() {
		if g.In(s.n.Member()) && strings.EqualFold(g.Name, name) {
			return Errorf(CodeConflict, "there is a group @%s already: %s", name, refOf("group", g.ID.String()))
		}
	}
	history, err := parseHistory(q.History)
	if err != nil {
		return err
	}
	terms := node.GroupTerms{Name: name, History: history}
	if terms.Members, err = s.activeMembers(q.Members); err != nil {
		return err
	}
	if terms.Deputies, err = s.activeMembers(q.Deputies); err != nil {
		return err
	}
	if len(terms.Deputies) > protocol.MaxDeputies {
		return Errorf(CodeInvalid, "%d deputies: at most %d", len(terms.Deputies), protocol.MaxDeputies)
	}
	if q.DryRun {
		members := protocol.Sorted(append(slices.Concat(terms.Members, terms.Deputies), s.n.Member()))
		return s.answer(w, &Group{Kind: "group", Name: name, Owner: s.name(s.n.Member()), Deputies: s.names(terms.Deputies), Members: s.names(members),
			You: "owner", History: historyText(history), State: GroupOpen})
	}
	g, err := s.n.GroupCreate(r.Context(), terms)
	if err != nil {
		return err
	}
	out := s.groupView(g)
	out.Changed = true
	return s.answer(w, out)
}

// activeMembers finds members that are in the mesh.
func (s *Server) activeMembers(list []string) (out []protocol.MemberID, err error) {
	for _, who := range list {
		m, err := s.find(who)
		if err != nil {
			return nil, err
		}
		if m.State != trust.StateActive {
			return nil, Errorf(CodeDenied, "%s is %s", m.Handle, m.State)
		}
		if !slices.Contains(out, m.ID) {
			out = append(out, m.ID)
		}
	}
	return out, nil
}

// changeGroup answers POST /v1/groups/{ref}/{verb}.
func (s *Server) changeGroup(w http.ResponseWriter, r *http.Request) error {
	var q GroupChange
	if err := read(r, &q); err != nil {
		return err
	}
	g, err := s.findGroup(r.PathValue("ref"))
	if err != nil {
		return err
	}
	verb := r.PathValue("verb")
	members := []protocol.MemberID{s.n.Member()}
	switch verb {
	case GroupAdd:
		members, err = s.activeMembers(q.Members)
	case GroupRemove:
		members, err = s.membersOf(g, q.Members)
	case GroupLeave:
	default:
		return Errorf(CodeNotFound, "there is no call %s %s", r.Method, r.URL.Path)
	}
	if err != nil {
		return err
	}
	members = slices.DeleteFunc(members, func(m protocol.MemberID) bool { return g.In(m) == (verb == GroupAdd) })
	if len(members) == 0 {
		return Errorf(CodeConflict, "nothing to change: they are in or out already").WithHint("see tipmesh group show @%s", g.Name)
	}
	if verb == GroupRemove && slices.Contains(members, s.n.Member()) {
		return Errorf(CodeInvalid, "to go yourself, leave").WithHint("tipmesh group leave @%s", g.Name)
	}
	if verb == GroupRemove && slices.Contains(members, g.Owner) {
		return Errorf(CodeDenied, "the owner can only leave")
	}
	if !q.DryRun {
		switch verb {
		case GroupAdd:
			g, err = s.n.GroupAdd(r.Context(), g.ID, members...)
		case GroupRemove:
			g, err = s.n.GroupRemove(r.Context(), g.ID, members...)
		case GroupLeave:
			if err = s.n.GroupLeave(r.Context(), g.ID); err == nil {
				g, _ = s.n.Group(g.ID)
			}
		}
		if err != nil {
			return err
		}
	}
	out := s.groupView(g)
	out.Changed = !q.DryRun
	return s.answer(w, out)
}

// membersOf finds members of a group, whatever their state in the mesh.
func (s *Server) membersOf(g *audience.Group, list []string) (out []protocol.MemberID, err error) {
	for _, who := range list {
		m, err := s.find(who)
		if err != nil {
			return nil, err
		}
		out = append(out, m.ID)
	}
	return out, nil
}

// Groups lists the groups that this member is or was in.
func (c *Client) Groups(ctx context.Context) ([]Group, error) {
	return list[Group](ctx, c, "/v1/groups", "group")
}

// Group gives one group, by @NAME, short name or ID.
func (c *Client) Group(ctx context.Context, ref string) (*Group, error) {
	out := new(Group)
	return out, c.call(ctx, http.MethodGet, "/v1/groups/"+url.PathEscape(ref), nil, out)
}

// CreateGroup founds a group.
func (c *Client) CreateGroup(ctx context.Context, q GroupCreate) (*Group, error) {
	out := new(Group)
	return out, c.send(ctx, http.MethodPost, "/v1/groups", q, out)
}

// ChangeGroup adds members to a group, removes some, or leaves it.
func (c *Client) ChangeGroup(ctx context.Context, ref, verb string, q GroupChange) (*Group, error) {
	out := new(Group)
	return out, c.send(ctx, http.MethodPost, fmt.Sprintf("/v1/groups/%s/%s", url.PathEscape(ref), verb), q, out)
}

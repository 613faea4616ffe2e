package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/node/transport"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

const statusWait = 60 * time.Second

// status answers GET /v1/status.
func (s *Server) status(w http.ResponseWriter, r *http.Request) error {
	timeout, err := duration(r, "timeout", statusWait)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	since := time.Time{}
	until := r.URL.Query().Get("until")
	switch count, members := strings.CutPrefix(until, "members="); {
	case until == "":
	case until == "in-step":
		since = s.now()
		err = s.n.WaitInStep(ctx)
	case members:
		n, bad := strconv.ParseUint(count, 10, 16)
		if bad != nil || n == 0 {
			return Errorf(CodeInvalid, "until %.40q: want members=N", until)
		}
		err = s.n.WaitMembers(ctx, int(n))
	default:
		return Errorf(CodeInvalid, "until %.40q: want in-step or members=N", until)
	}
	if err != nil && r.Context().Err() != nil {
		return err
	}
	out := s.statusNow(since)
	out.TimedOut = err != nil
	return s.answer(w, out)
}

func (s *Server) statusNow(since time.Time) *Status {
	st, r := s.n.Status(since), s.n.Roster()
	key, mesh := s.n.Key(), s.n.Mesh().String()
	out := &Status{Kind: "status", State: st.State, Membership: st.Membership,
		Mesh: MeshName{ID: mesh, Ref: refOf("mesh", mesh), Name: r.Name}, Member: s.name(s.n.Member()),
		Node:  NodeName{ID: transport.PeerID(key), Key: key.String()},
		Peers: []Peer{}, Behind: map[string]uint64{}, Forks: []Fork{}, Refused: st.Refused,
		Store:   StoreStatus{Entries: st.Entries, Objects: st.Objects, Bytes: st.Bytes, Indexed: st.Indexed, Arrivals: st.Arrivals, Erased: st.Erased},
		Version: strings.TrimPrefix(node.Agent, "tipmesh/"), UptimeS: s.now().Sub(st.Started).Seconds(), InStep: st.InStep,
		Unreadable: st.Unreadable, Alerts: orEmpty(st.Alerts), Addresses: orEmpty(s.n.Addresses()), Roster: rosterVersion(r),
		RosterHead: r.Digest().String(), Halted: st.Halted, Quotas: quotasOf(&st.Quotas),
		Fresh: Freshness{Stale: st.Fresh.Stale, Marks: st.Fresh.Marks, Needs: st.Fresh.Needs},
		Lists: s.lists.state(time.Now())}
	up := map[protocol.MemberID]bool{}
	for _, p := range st.Peers {
		out.Peers = append(out.Peers, Peer{Node: transport.PeerID(p.Node), Key: p.Node.String(), Member: Name{ID: p.Member.String(), Name: p.Handle},
			Up: p.Up, Behind: p.Behind, SkewS: float64(p.SkewMS) / 1000, Heard: at(p.Heard), Version: p.Agent})
		up[p.Member] = up[p.Member] || p.Up
		// A member is as far as the best of its nodes.
		if least, known := out.Behind[p.Handle]; !known || p.Behind < least {
			out.Behind[p.Handle] = p.Behind
		}
	}
	for handle, n := range out.Behind {
		if n == 0 {
			delete(out.Behind, handle)
		}
	}
	for _, m := range s.others() {
		out.Members.Of++
		if up[m.ID] {
			out.Members.Up++
		}
	}
	for _, f := range st.Forks {
		out.Forks = append(out.Forks, s.fork(f))
	}
	return out
}

func (s *Server) fork(f *trust.Fork) Fork {
	out := Fork{Node: transport.PeerID(f.Node), Feed: f.Feed.String(), Seq: f.Seq, Resolved: f.Resolved}
	if m, ok := s.n.Roster().Author(f.Node); ok {
		out.Member = &Name{ID: m.ID.String(), Name: m.Handle}
	}
	return out
}

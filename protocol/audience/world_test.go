package audience_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/audience"
)

// world is a roster of members with one node each: owner 0, and others.
type world struct {
	gone   map[protocol.MemberID]bool
	states map[protocol.Hash]*protocol.AudienceState
	id     protocol.AudienceID
	clock  int64
}

func newWorld() *world {
	return &world{gone: map[protocol.MemberID]bool{}, states: map[protocol.Hash]*protocol.AudienceState{}}
}

func key(i int) ed25519.PrivateKey {
	sum := sha256.Sum256([]byte{byte(i)})
	return ed25519.NewKeyFromSeed(sum[:])
}

func member(i int) protocol.MemberID { return protocol.MemberID{byte(i + 1)} }

func members(list ...int) (out []protocol.MemberID) {
	for _, i := range list {
		out = append(out, member(i))
	}
	return protocol.Sorted(out)
}

func (w *world) Author(node protocol.Key) (protocol.MemberID, bool) {
	for i := range 12 {
		if protocol.KeyOf(key(i)) == node {
			return member(i), true
		}
	}
	return protocol.MemberID{}, false
}

func (w *world) MayAct(node protocol.Key) bool {
	m, ok := w.Author(node)
	return ok && !w.gone[m]
}

func (w *world) Active(m protocol.MemberID) bool { return !w.gone[m] }

// sign makes a state after another, nil for the first, as change has it.
func (w *world) sign(by int, prev *protocol.AudienceState, change func(*protocol.AudienceState)) *protocol.AudienceState {
	w.clock += 1000
	next := protocol.AudienceState{Number: 1, Owner: member(0), Name: "g", Time: w.clock}
	if prev != nil {
		next = protocol.AudienceState{Audience: w.id, Number: prev.Number + 1, Prev: prev.ID(), Owner: prev.Owner, Name: prev.Name,
			Deputies: slices.Clone(prev.Deputies), Members: slices.Clone(prev.Members), History: prev.History, Left: slices.Clone(prev.Left), Time: w.clock}
	}
	if change != nil {
		change(&next)
	}
	protocol.Sorted(next.Members)
	protocol.Sorted(next.Seen)
	s, err := next.Sign(key(by))
	if err != nil {
		panic(err)
	}
	if prev == nil {
		w.id = protocol.AudienceID(s.ID())
	}
	w.states[s.ID()] = s
	return s
}

// first founds a group of deputies 1 and 2 and members.
func (w *world) first(list ...int) *protocol.AudienceState {
	return w.sign(0, nil, func(s *protocol.AudienceState) {
		s.Members, s.Deputies = members(list...), []protocol.MemberID{member(1), member(2)}
	})
}

func add(i int) func(*protocol.AudienceState) {
	return func(s *protocol.AudienceState) {
		s.Members = append(s.Members, member(i))
		s.Left = slices.DeleteFunc(s.Left, func(l protocol.Leaver) bool { return l.Member == member(i) })
	}
}

func remove(i int, cuts ...protocol.FeedCut) func(*protocol.AudienceState) {
	return func(s *protocol.AudienceState) {
		s.Members = slices.DeleteFunc(s.Members, func(m protocol.MemberID) bool { return m == member(i) })
		s.Deputies = slices.DeleteFunc(s.Deputies, func(m protocol.MemberID) bool { return m == member(i) })
		s.Left = append(s.Left, protocol.Leaver{Member: member(i), Cuts: cuts})
		slices.SortFunc(s.Left, func(a, b protocol.Leaver) int { return a.Member.Compare(b.Member) })
	}
}

func both(list ...func(*protocol.AudienceState)) func(*protocol.AudienceState) {
	return func(s *protocol.AudienceState) {
		for _, f := range list {
			f(s)
		}
	}
}

func seen(list ...*protocol.AudienceState) func(*protocol.AudienceState) {
	return func(s *protocol.AudienceState) {
		for _, x := range list {
			s.Seen = append(s.Seen, x.ID())
		}
	}
}

func end(s *protocol.AudienceState) { s.Ended = true }

func told(list ...*protocol.AudienceState) (out []audience.State) {
	for _, s := range list {
		out = append(out, audience.State{AudienceState: s, Told: true})
	}
	return out
}

func (w *world) fold(list ...*protocol.AudienceState) *audience.Group {
	return audience.Fold(w.id, told(list...), nil, w)
}

// text is everything that a group says.
func text(g *audience.Group) string {
	if g == nil {
		return "none"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "head %s %q history %d in %d readers %d deputies %d acting %s ended %v gone %d rivals %s conflict %v departures %s",
		g.Head.ID().Short(), g.Name, g.History, names(g.Members), names(g.Readers), names(g.Deputies), g.Acting.Short(), g.Ended, names(g.Gone),
		short(g.Rivals), g.Conflict, short(g.Departures))
	for i := range 12 {
		fmt.Fprintf(&b, " %v", g.Counts(member(i), protocol.FeedID{byte(i)}, 5))
	}
	return b.String()
}

func names(list []protocol.MemberID) (out []int) {
	for _, m := range list {
		out = append(out, int(m[0])-1)
	}
	return out
}

func short[K any](list []protocol.ID[K]) (out []string) {
	for _, id := range list {
		out = append(out, id.Short())
	}
	return out
}

func in(t *testing.T, g *audience.Group, want ...int) {
	t.Helper()
	if !slices.Equal(g.Members, members(want...)) {
		t.Errorf("in are %v, want %v", names(g.Members), want)
	}
}

package node

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/audience"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
)

// Errors about groups that callers branch on.
var (
	ErrNoGroup   = errors.New("this node's member is in no such group")
	ErrReadOnly  = errors.New("the group is read-only: it has ended, or neither owner nor deputy is left")
	ErrNotYours  = errors.New("only the owner and the deputies change a group")
	ErrNotActive = errors.New("only active members of the mesh can be in a group")
	ErrGroupFull = errors.New("too many groups, or too many changes of this one")
)

// Limits of what others may make this node keep of groups.
const (
	maxGroups      = 1024     // groups in all,
	maxGroupsOf    = 128      // and of those that one member told of first
	maxGroupBytes  = 16 << 20 // states that one member told of first, in bytes
	maxLooseStates = 64       // states of a group by one member that may not, as far as is known, sign them
	maxDeputyTurns = 64       // states of a group by one deputy
	maxLeavesOf    = 16       // leaves of a group by one member,
	maxEarlyLeaves = 1024     // and those that wait for a state of their group, by all
)

// Names of settings that groups keep.
const (
	statePrefix = "group/" // audience, state: where its signer told it, who told it first, and the state
	leavePrefix = "leave/" // audience, member, state: the cuts
)

// groups are the sharing groups that this node was told of.
type groups struct {
	mesh protocol.MeshID
	self protocol.Key

	mu    sync.Mutex
	by    map[protocol.AudienceID]*groupBook
	first map[protocol.MemberID]int // groups by who told of them first
	bytes map[protocol.MemberID]int // states likewise
	early []earlyLeave              // came before the states of their groups
	tidy  sync.Mutex                // one tidying at a time
}

// groupBook is what was told of one group.
type groupBook struct {
	id     protocol.AudienceID
	states map[protocol.Hash]*toldState
	leaves map[leaveKey]audience.Leave

	roster *trust.Roster // that the fold was made with
	fold   *audience.Group
}

type toldState struct {
	*protocol.AudienceState
	place store.Place       // in its signer's own direct feed; zero where only others told of it
	from  protocol.MemberID // who told of it first
}

type leaveKey struct {
	member protocol.MemberID
	state  protocol.Hash
}

type earlyLeave struct {
	group protocol.AudienceID
	leaveKey
}

func loadGroups(s store.Entries, mesh protocol.MeshID, self protocol.Key) (*groups, error) {
	g := &groups{mesh: mesh, self: self, by: map[protocol.AudienceID]*groupBook{},
		first: map[protocol.MemberID]int{}, bytes: map[protocol.MemberID]int{}}
	err := s.Settings(statePrefix, func(name string, raw []byte) error {
		t, err := parseTold(raw)
		if err != nil {
			return fmt.Errorf("setting %q: %w", name, err)
		}
		g.book(groupOf(t.AudienceState)).keep(g, t)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read groups: %w", err)
	}
	err = s.Settings(leavePrefix, func(name string, raw []byte) error {
		id, l, err := parseLeave(name, raw)
		if err != nil {
			return fmt.Errorf("setting %q: %w", name, err)
		}
		g.book(id).leaves[leaveKey{l.Member, l.State}] = l
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read leaves: %w", err)
	}
	return g, nil
}

// groupOf is the audience that a state belongs to.
func groupOf(s *protocol.AudienceState) protocol.AudienceID {
	if s.Number == 1 {
		return protocol.AudienceID(s.ID())
	}
	return s.Audience
}

func (t *toldState) setting() (name string, value []byte) {
	value = append(append([]byte{}, t.place.Feed[:]...), t.from[:]...)
	value = binary.BigEndian.AppendUint64(value, t.place.Seq)
	return statePrefix + groupOf(t.AudienceState).String() + "/" + t.ID().String(), append(value, t.Raw()...)
}

func parseTold(raw []byte) (*toldState, error) {
	const fixed = 32 + 32 + 8
	if len(raw) < fixed {
		return nil, protocol.ErrMalformed
	}
	s, err := protocol.ParseAudienceState(raw[fixed:])
	if err != nil {
		return nil, err
	}
	place := store.Place{Feed: protocol.FeedID(raw[:32]), Seq: binary.BigEndian.Uint64(raw[64:fixed])}
	return &toldState{AudienceState: s, place: place, from: protocol.MemberID(raw[32:64])}, nil
}

func leaveSetting(id protocol.AudienceID, l audience.Leave) (name string, value []byte) {
	value = []byte{} // nil would delete
	for _, c := range l.Cuts {
		value = binary.BigEndian.AppendUint64(append(value, c.Feed[:]...), c.Seq)
	}
	return leavePrefix + id.String() + "/" + l.Member.String() + "/" + l.State.String(), value
}

func parseLeave(name string, raw []byte) (id protocol.AudienceID, l audience.Leave, err error) {
	parts := strings.Split(strings.TrimPrefix(name, leavePrefix), "/")
	if len(parts) != 3 || len(raw)%40 != 0 {
		return id, l, protocol.ErrMalformed
	}
	err = errors.Join(id.UnmarshalText([]byte(parts[0])), l.Member.UnmarshalText([]byte(parts[1])), l.State.UnmarshalText([]byte(parts[2])))
	for c := range slices.Chunk(raw, 40) {
		l.Cuts = append(l.Cuts, protocol.FeedCut{Feed: protocol.FeedID(c[:32]), Seq: binary.BigEndian.Uint64(c[32:])})
	}
	return id, l, err
}

// book gives the book of a group, a new one if need be. The caller holds the lock,
// or nobody else has it yet.
func (g *groups) book(id protocol.AudienceID) *groupBook {
	b := g.by[id]
	if b == nil {
		b = &groupBook{id: id, states: map[protocol.Hash]*toldState{}, leaves: map[leaveKey]audience.Leave{}}
		g.by[id] = b
	}
	return b
}

// keep takes a state in.
func (b *groupBook) keep(g *groups, t *toldState) {
	if len(b.states) == 0 {
		g.first[t.from]++
	}
	if b.states[t.ID()] == nil {
		g.bytes[t.from] += len(t.Raw())
	}
	b.states[t.ID()] = t
	b.fold = nil
}

// get gives a group as it is with a roster.
func (g *groups) get(id protocol.AudienceID, r *trust.Roster) (*audience.Group, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	b := g.by[id]
	if b == nil {
		return nil, false
	}
	fold := b.folded(g, r)
	return fold, fold != nil
}

// all gives every group whose first state is known, ascending.
func (g *groups) all(r *trust.Roster) (out []*audience.Group) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, b := range g.by {
		if fold := b.folded(g, r); fold != nil {
			out = append(out, fold)
		}
	}
	slices.SortFunc(out, func(a, b *audience.Group) int { return a.ID.Compare(b.ID) })
	return out
}

// none reports whether no group is known.
func (g *groups) none() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.by) == 0
}

func (b *groupBook) folded(g *groups, r *trust.Roster) *audience.Group {
	if b.fold != nil && b.roster == r {
		return b.fold
	}
	states := make([]audience.State, 0, len(b.states))
	for _, t := range b.states {
		told := t.Signer == g.self
		if !t.place.Feed.IsZero() {
			last, ended := r.Limit(t.Signer, t.place.Feed)
			told = told || !ended || t.place.Seq <= last
		}
		states = append(states, audience.State{AudienceState: t.AudienceState, Told: told})
	}
	leaves := make([]audience.Leave, 0, len(b.leaves))
	for _, l := range b.leaves {
		leaves = append(leaves, l)
	}
	b.roster, b.fold = r, audience.Fold(b.id, states, leaves, rosterFacts{r})
	return b.fold
}

// rosterFacts are a roster's answers to a fold of a group.
type rosterFacts struct{ r *trust.Roster }

func (f rosterFacts) Author(node protocol.Key) (protocol.MemberID, bool) {
	m, ok := f.r.Author(node)
	if !ok {
		return protocol.MemberID{}, false
	}
	return m.ID, true
}

func (f rosterFacts) MayAct(node protocol.Key) bool {
	_, ok := f.r.ByNode(node)
	return ok
}

func (f rosterFacts) Active(id protocol.MemberID) bool {
	m, ok := f.r.Member(id)
	return ok && m.State == trust.StateActive
}

// Groups gives the groups that this node was told of, ascending by ID: those its
// member is or was in.
func (n *Node) Groups() []*audience.Group { return n.groups.all(n.Roster()) }

// Group gives one group.
func (n *Node) Group(id protocol.AudienceID) (*audience.Group, bool) {
	return n.groups.get(id, n.Roster())
}

// audienceOf gives the audience that an entry was written for, as far as this
// node has its epoch; zero where that is everyone.
func (n *Node) audienceOf(p store.Place) protocol.AudienceID {
	if !n.keys.grouped() {
		return protocol.AudienceID{}
	}
	h, err := n.store.Header(p)
	if err != nil || h.Kind != protocol.EntrySealed {
		return protocol.AudienceID{}
	}
	if e := n.keys.find(h.Feed, h.Tag); e != nil && e.Audience != protocol.Everyone(n.mesh) {
		return e.Audience
	}
	return protocol.AudienceID{}
}

// stands reports whether what an object says counts in the group it was shared
// with: its author is in, or was and wrote it within its cuts.
func (n *Node) stands(o *store.Object) bool {
	if o.Summary.Audience.IsZero() {
		return true
	}
	g, ok := n.Group(o.Summary.Audience)
	if !ok {
		return false
	}
	if g.In(o.Member) {
		return true
	}
	place, err := n.PlaceOf(o.Arrival)
	return err == nil && g.Counts(o.Member, place.Feed, place.Seq)
}

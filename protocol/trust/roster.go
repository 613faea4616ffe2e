package trust

import (
	"slices"
	"strings"

	"github.com/tipmesh/tipmesh/protocol"
)

// Roster is who is in a mesh, as one set of statements has it. It does not
// change; callers must not change what it hands out.
type Roster struct {
	Mesh      protocol.MeshID
	Name      string
	Rules     protocol.Rules
	Charter   *protocol.Statement  // nil: not known yet, and the roster is empty
	Governors []protocol.MemberID  // of the line's head, ascending; founders without a card are missing
	Seats     int                  // how many governors the head names
	Threshold int                  // how many must approve
	Line      protocol.StatementID // head of the line of governors
	Members   []*Member            // everybody ever admitted whose first card is known, ascending by ID
	Proposals []*Proposal          // ascending by ID
	RulesAt   protocol.StatementID // the change that made Rules; the charter if none did
	Suspended []*Suspension        // that count, by time; over, lifted and to come too
	Marks     []Mark               // the newest of each governor, ascending by member
	Recovery  []protocol.Key       // the charter's, ascending
	Alarms    []Alarm

	f          *fold
	byID       map[protocol.MemberID]*Member
	byHandle   map[string]*Member
	digest     protocol.Hash
	departures []protocol.Hash
	heard      []protocol.Hash // departures, and suspensions that do not count
	base       *Roster         // of one made by At: the one it was made of
}

// State says how a member stands.
type State string

// The states of a member.
const (
	StateProposed  State = "proposed"  // not admitted yet
	StateActive    State = "active"    // in
	StateSuspended State = "suspended" // out for a time, or removed under an older list of governors and not confirmed
	StateRemoved   State = "removed"   // removed, or its admission is void since governors changed
)

// Member is an organisation that is or was in the mesh.
type Member struct {
	ID        protocol.MemberID
	Handle    string       // the card's, or with a suffix where two would share it
	Key       protocol.Key // the present member key
	Card      *protocol.Card
	CardID    protocol.StatementID
	State     State
	Since     int64                // milliseconds, by the clock of the admission's signer
	Admission protocol.StatementID // the one in force, or the last that was; the charter for a founder
	Removal   protocol.StatementID // what ended it: a removal, or the change of governors that voided its admission
	Nodes     []protocol.Key       // that may act now, ascending; none unless active
	Governor  bool                 // has a seat at the head of the line, even if removed
	Until     int64                // end of the suspension in force, in a roster made by At; else 0
}

// Active gives the active members, ascending by ID.
func (r *Roster) Active() []*Member {
	var out []*Member
	for _, m := range r.Members {
		if m.State == StateActive {
			out = append(out, m)
		}
	}
	return out
}

// DepartedMembers gives the members that were in and are not, ascending by ID.
func (r *Roster) DepartedMembers() []*Member {
	var out []*Member
	for _, m := range r.Members {
		if m.State != StateActive {
			out = append(out, m)
		}
	}
	return out
}

// Member finds a member by ID, whatever its state.
func (r *Roster) Member(id protocol.MemberID) (*Member, bool) {
	if r.f != nil {
		id = r.f.resolve(id)
	}
	m, ok := r.byID[id]
	return m, ok
}

// Candidate gives the member that a first card would make, to show before it is
// admitted. It is not among Members.
func (r *Roster) Candidate(id protocol.MemberID) (*Member, bool) {
	if m, ok := r.Member(id); ok {
		return m, true
	}
	if r.f == nil || r.f.chain(id) == nil {
		return nil, false
	}
	m := r.f.newMember(r.f.chain(id))
	m.State = StateProposed
	return m, true
}

// ByHandle finds a member by its handle, whatever its state. A handle that two
// active members claim equally finds neither.
func (r *Roster) ByHandle(handle string) (*Member, bool) {
	m, ok := r.byHandle[strings.ToLower(handle)]
	return m, ok
}

// ByKey finds a member by any member key of its chain, whatever its state.
func (r *Roster) ByKey(key protocol.Key) (*Member, bool) {
	if r.f == nil {
		return nil, false
	}
	m, ok := r.byID[r.f.signer[key]]
	return m, ok
}

// MayTakeOver reports whether a key is the next member key to which the cards of
// a member commit.
func (r *Roster) MayTakeOver(id protocol.MemberID, key protocol.Key) bool {
	if r.f == nil {
		return false
	}
	c := r.f.chain(id)
	return c != nil && len(c.keys) < MaxKeys && slices.Contains(c.next, protocol.HashOf(key[:]))
}

// ByNode finds the active member whose node this is and may act now.
func (r *Roster) ByNode(node protocol.Key) (*Member, bool) {
	m, ok := r.Author(node)
	if !ok || !slices.Contains(m.Nodes, node) {
		return nil, false
	}
	return m, true
}

// Author finds the member that a node's entries are attributed to, whatever the
// state of either. A node that two members claim equally has no author.
func (r *Roster) Author(node protocol.Key) (*Member, bool) {
	if r.f == nil {
		return nil, false
	}
	c := r.f.nodes[node]
	if c == nil || c.owner == nil {
		return nil, false
	}
	m, ok := r.byID[c.owner.id]
	return m, ok
}

// Limit says where a feed ends: last is the last sequence number that counts, if
// ended. Feeds of unknown nodes end at 0.
func (r *Roster) Limit(node protocol.Key, feed protocol.FeedID) (last uint64, ended bool) {
	last, _, _, ended = r.end(node, feed)
	return last, ended
}

// Survivor gives the entry that must stand at the end of a feed, where a cut
// names one.
func (r *Roster) Survivor(node protocol.Key, feed protocol.FeedID) (seq uint64, entry protocol.EntryID, ok bool) {
	seq, entry, _, ended := r.end(node, feed)
	return seq, entry, ended && !entry.IsZero()
}

func (r *Roster) end(node protocol.Key, feed protocol.FeedID) (seq uint64, entry protocol.EntryID, by protocol.StatementID, ended bool) {
	if r.f == nil || r.f.nodes[node] == nil || r.f.nodes[node].owner == nil {
		return 0, entry, by, true
	}
	return r.f.nodes[node].end(feed)
}

// Fork is the proof that a node's feed parted.
type Fork struct {
	Node      protocol.Key
	Feed      protocol.FeedID
	Seq       uint64
	Statement protocol.StatementID
	Proof     *protocol.ForkProof
	Resolved  bool // a cut leaves nothing of the feed, or names the entry it ends with
}

// Fork gives the proof against a node, if there is one: an unresolved one before
// a resolved one, then the lowest ID.
func (r *Roster) Fork(node protocol.Key) (*Fork, bool) {
	var best *Fork
	for _, k := range r.Forks(node) {
		if best == nil || best.Resolved && !k.Resolved ||
			best.Resolved == k.Resolved && k.Statement.Compare(best.Statement) < 0 {
			best = k
		}
	}
	return best, best != nil
}

// Forks gives the proofs against a node, one a feed, ascending by feed.
func (r *Roster) Forks(node protocol.Key) []*Fork {
	if r.f == nil {
		return nil
	}
	return r.f.forks[node]
}

// Digest covers what the roster decides: name of the mesh, line, governors,
// active members with their cards, removals, cuts, suspensions and house rules.
// It is the same before and after a suspension is in force. Two nodes with one digest
// agree on who is in.
func (r *Roster) Digest() protocol.Hash { return r.digest }

// Departures names everything that took a reader away, ascending: removals,
// suspensions, void admissions, cards that give up a node, a recipient or a key,
// cards that part. It changes whenever an epoch must be replaced, and what is once
// in it stays.
func (r *Roster) Departures() []protocol.Hash { return r.departures }

// Knows reports whether this roster has every one of the departures. One that
// lacks any may take somebody who has gone for a member still.
func (r *Roster) Knows(departures []protocol.Hash) bool {
	for _, d := range departures {
		if _, ok := slices.BinarySearchFunc(r.heard, d, protocol.Hash.Compare); !ok {
			return false
		}
	}
	return true
}

// AlarmKind says what is wrong.
type AlarmKind string

// The kinds of alarms.
const (
	AlarmNoCharter    AlarmKind = "no-charter"
	AlarmRivalChanges AlarmKind = "rival-changes"      // of governors: neither applies
	AlarmRivalCards   AlarmKind = "rival-cards"        // of one member: the last common one stands
	AlarmNodeClaimed  AlarmKind = "node-claimed"       // by two members
	AlarmHandle       AlarmKind = "handle-shared"      // by two active members
	AlarmGovernorGone AlarmKind = "governor-gone"      // a governor is no active member
	AlarmSuspended    AlarmKind = "removal-to-confirm" // made under an older list
	AlarmFork         AlarmKind = "fork"               // not resolved
	AlarmStuck        AlarmKind = "cannot-remove"      // too few governors besides the subject
)

// Alarm is something an operator must know.
type Alarm struct {
	Kind       AlarmKind
	Member     protocol.MemberID // zero where it is about none
	Node       protocol.Key
	Statements []protocol.StatementID
	Text       string
}

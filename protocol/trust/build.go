package trust

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tipmesh/tipmesh/protocol"
)

// roster builds the answer from the working state.
func (f *fold) roster() *Roster {
	r := &Roster{Mesh: f.mesh, f: f, byID: make(map[protocol.MemberID]*Member, len(f.people)), byHandle: map[string]*Member{}}
	if f.charter != nil {
		head := f.head()
		r.Charter, r.Name, r.Rules, r.RulesAt, r.Recovery = f.charter, f.doc.Name, f.rulesNow(), f.rule, f.doc.Recovery
		r.Governors, r.Seats, r.Threshold, r.Line = head.members(), len(head.seats), head.threshold, head.id
		for _, p := range f.sortedPeople() {
			m := f.newMember(p.chain)
			m.State, m.Since, m.Admission, m.Removal = p.state, p.since, p.admission, p.ended
			m.Governor = slices.Contains(r.Governors, p.id)
			if p.state == StateActive {
				m.Nodes = f.actingNodes(p)
			}
			r.Members = append(r.Members, m)
			r.byID[m.ID] = m
		}
		r.giveHandles()
		r.Proposals = f.proposals()
		r.Suspended, r.Marks = f.suspensions(), f.newest(r)
		f.raise(r)
		r.digest = r.sumRoster()
		r.departures, r.heard = f.listDepartures(r)
	}
	// Candidate and Accept look chains up later, perhaps from many goroutines:
	// they must find all of them made.
	for id := range f.roots {
		f.chain(id)
	}
	slices.SortFunc(f.alarms, compareAlarms)
	r.Alarms = f.alarms
	return r
}

func (f *fold) newMember(c *chain) *Member {
	tip := c.tip()
	return &Member{ID: c.id, Handle: tip.card.Handle, Key: c.key(), Card: tip.card, CardID: tip.id}
}

// actingNodes gives the nodes of the present card that nothing ends.
func (f *fold) actingNodes(p *person) []protocol.Key {
	var out []protocol.Key
	for _, n := range p.chain.tip().card.Nodes {
		if c := f.nodes[n.Key]; c.owner == p && !c.closed {
			out = append(out, n.Key)
		}
	}
	return out
}

// giveHandles settles who is called what. Of active members who want one handle
// the only one whose first card has it keeps it; else all get a suffix, so that
// nobody can take over a name that others use in commands. Members who left
// keep theirs while nobody else wants it.
func (r *Roster) giveHandles() {
	wanted := map[string][]*Member{}
	for _, m := range r.Members {
		wanted[m.Handle] = append(wanted[m.Handle], m)
	}
	var rest []*Member
	for _, m := range r.Members {
		if keeper := r.keeper(wanted[m.Card.Handle]); keeper == m {
			r.byHandle[m.Handle] = m
		} else {
			rest = append(rest, m)
		}
	}
	for _, m := range rest {
		for n := protocol.RefLen; ; n++ {
			handle := m.Card.Handle + "-" + protocol.RefCode(m.ID.String(), n)
			if len(wanted[handle]) == 0 && r.byHandle[handle] == nil {
				m.Handle, r.byHandle[handle] = handle, m
				break
			}
		}
		if m.State == StateActive {
			r.f.alarm(Alarm{Kind: AlarmHandle, Member: m.ID, Text: fmt.Sprintf("handle %s is another's too: shown as %s", m.Card.Handle, m.Handle)})
		}
	}
}

// keeper gives the member that keeps a handle, or nil.
func (r *Roster) keeper(list []*Member) *Member {
	active := slices.DeleteFunc(slices.Clone(list), func(m *Member) bool { return m.State != StateActive })
	if len(active) > 0 {
		list = active
	}
	if len(list) > 1 {
		list = slices.DeleteFunc(slices.Clone(list), func(m *Member) bool {
			return r.f.people[m.ID].chain.path[0].card.Handle != m.Card.Handle
		})
	}
	if len(list) != 1 {
		return nil
	}
	return list[0]
}

// raise adds the alarms about members.
func (f *fold) raise(r *Roster) {
	for _, m := range r.Members {
		p := f.people[m.ID]
		if len(p.chain.conflict) > 0 {
			f.alarm(Alarm{Kind: AlarmRivalCards, Member: m.ID, Statements: p.chain.conflict,
				Text: "cards contradict each other: the last common one stands until the next member key decides"})
		}
		if m.State == StateSuspended { // not by one governor: no clock is looked at here
			f.alarm(Alarm{Kind: AlarmSuspended, Member: m.ID, Statements: []protocol.StatementID{m.Removal},
				Text: "removed under an older list of governors: confirm it or admit the member again"})
		}
	}
	for _, st := range f.head().seats {
		if p := f.people[st.member]; !st.member.IsZero() && (p == nil || p.state != StateActive) {
			f.alarm(Alarm{Kind: AlarmGovernorGone, Member: st.member, Text: "a governor is no active member but keeps its vote: change the governors"})
		}
	}
}

// sumRoster is the digest of what the roster decides.
func (r *Roster) sumRoster() protocol.Hash {
	type active struct {
		_    struct{} `cbor:",toarray"`
		ID   protocol.MemberID
		Card protocol.StatementID
	}
	var doc struct {
		Kind      string                 `cbor:"1,keyasint"`
		Mesh      protocol.MeshID        `cbor:"2,keyasint"`
		Line      protocol.StatementID   `cbor:"3,keyasint"`
		Governors []protocol.MemberID    `cbor:"4,keyasint"`
		Threshold uint64                 `cbor:"5,keyasint"`
		Active    []active               `cbor:"6,keyasint"`
		Ended     []protocol.StatementID `cbor:"7,keyasint"`          // removals made; cuts, dismissals and suspensions that count
		Rules     protocol.StatementID   `cbor:"8,keyasint,omitzero"` // none while they are the charter's
	}
	doc.Kind, doc.Mesh, doc.Line, doc.Governors, doc.Threshold = "roster", r.Mesh, r.Line, r.Governors, uint64(r.Threshold)
	for _, m := range r.Members {
		if m.State == StateActive {
			doc.Active = append(doc.Active, active{ID: m.ID, Card: m.CardID})
		}
	}
	for _, o := range r.f.ops {
		if r.f.people[o.subject] != nil && (o.s.Kind == protocol.KindRemoval && o.made || o.s.Kind == protocol.KindCut && o.counts || o.s.Kind == protocol.KindDismissal && o.counts) {
			doc.Ended = append(doc.Ended, o.s.ID())
		}
	}
	for _, s := range r.Suspended {
		doc.Ended = append(doc.Ended, s.ID)
	}
	if r.RulesAt != r.Charter.ID() {
		doc.Rules = r.RulesAt
	}
	doc.Ended = protocol.Sorted(doc.Ended)
	return protocol.DomainDigest.Sum(protocol.Marshal(&doc))
}

// listDepartures names everything that took a reader away. Each departure keeps
// its name for good and none ceases to be one: confirming a removal, say, makes no
// new one, and what was sealed in view of an admission that was void then stays to
// be handed on. heard
// are those and suspensions that do not count, or not any more: what was sealed
// while one did must stay to be handed on.
func (f *fold) listDepartures(r *Roster) (items, heard []protocol.Hash) {
	name := func(kind byte, member protocol.MemberID, what [32]byte) protocol.Hash {
		return protocol.DomainDigest.Sum([]byte("departure\x00"), []byte{kind}, member[:], what[:])
	}
	add := func(kind byte, member protocol.MemberID, what [32]byte) {
		items = append(items, name(kind, member, what))
	}
	for _, m := range r.Members {
		p := f.people[m.ID]
		for _, o := range slices.Concat(p.removals, p.dropped) {
			add('r', m.ID, o.s.ID())
		}
		for _, o := range slices.Concat(p.void, p.admissions) {
			if by := f.leftOut(o); by != nil {
				id := o.s.ID()
				add('v', m.ID, protocol.HashOf(id[:], by))
			}
		}
		for _, n := range p.chain.tree {
			if n.takes() {
				add('c', m.ID, n.id)
			}
			if len(n.children) > 1 {
				add('x', m.ID, n.id)
			}
		}
	}
	for _, x := range f.held {
		if d := name('s', x.member, x.s.ID()); x.counts {
			items = append(items, d)
		} else {
			heard = append(heard, d)
		}
	}
	return protocol.Sorted(items), protocol.Sorted(append(heard, items...))
}

// String is the roster as text, for tests and transcripts.
func (r *Roster) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "mesh %s %q line %s threshold %d of %d\n", r.Mesh.Short(), r.Name, r.Line.Short(), r.Threshold, r.Seats)
	for _, m := range r.Members {
		fmt.Fprintf(&b, "member %s %s %s card %d nodes %s", m.ID.Short(), m.Handle, m.State, m.Card.Version, shorts(m.Nodes))
		if m.Governor {
			b.WriteString(" governor")
		}
		b.WriteByte('\n')
	}
	for _, p := range r.Proposals {
		fmt.Fprintf(&b, "%s %s %s signed %s needs %d", p.Kind, p.ID.Short(), p.State, shorts(p.Signed), p.Needs)
		if p.Kind == protocol.KindGovernors {
			fmt.Fprintf(&b, " new %s needs %d", shorts(p.SignedNew), p.NeedsNew)
		} else {
			fmt.Fprintf(&b, " subject %s", p.Subject.Short())
		}
		b.WriteByte('\n')
	}
	for _, s := range r.Suspended {
		fmt.Fprintf(&b, "suspension %s of %s by %s from %d until %d lifted %s\n", s.ID.Short(), s.Member.Short(), s.By.Short(), s.From, s.Until, s.Lifted.Short())
	}
	for _, m := range r.Marks {
		fmt.Fprintf(&b, "mark by %s at %d of %s\n", m.Member.Short(), m.Time, m.Roster.Short())
	}
	for _, a := range r.Alarms {
		fmt.Fprintf(&b, "alarm %s member %s node %s %s: %s\n", a.Kind, a.Member.Short(), a.Node.Short(), shorts(a.Statements), a.Text)
	}
	return b.String()
}

func shorts[K any](ids []protocol.ID[K]) string {
	parts := make([]string, len(ids))
	for i, id := range ids {
		parts[i] = id.Short()
	}
	return "[" + strings.Join(parts, " ") + "]"
}

package trust

import (
	"maps"
	"slices"

	"github.com/tipmesh/tipmesh/protocol"
)

// element is the charter or a change of governors.
type element struct {
	id        protocol.StatementID
	s         *protocol.Statement
	prev      *element
	next      []*element // changes that name it as Prev, ascending
	seats     []seat     // ascending by member
	keys      map[protocol.Key]int
	threshold int
	accepts   map[protocol.StatementID]bool
	approved  bool // with all before it
	place     int  // on the line from 0, or -1
}

// seat is one governor of an element.
type seat struct {
	member protocol.MemberID // zero: a founder whose first card is not known
	floor  int               // index of the first key of its chain that counts
}

// growLine builds the elements and follows the line from the charter.
func (f *fold) growLine() {
	byPrev := map[protocol.StatementID][]*protocol.Statement{}
	for _, s := range f.changes {
		prev := s.Doc().(*protocol.Governors).Prev
		byPrev[prev] = append(byPrev[prev], s)
	}
	root := f.charterElement()
	f.elements = map[protocol.StatementID]*element{root.id: root}
	f.order = []*element{root}
	for i := 0; i < len(f.order); i++ { // grows while it runs
		e := f.order[i]
		if !e.approved {
			continue
		}
		for _, s := range byPrev[e.id] {
			next := f.changeElement(e, s)
			e.next = append(e.next, next)
			f.elements[next.id] = next
			f.order = append(f.order, next)
		}
	}
	f.follow(root)
}

func (f *fold) charterElement() *element {
	e := &element{id: f.charter.ID(), s: f.charter, threshold: int(f.doc.Threshold), approved: true, place: -1}
	for _, key := range f.doc.Governors {
		e.seats = append(e.seats, seat{member: f.founders[key]})
	}
	f.seat(e)
	return e
}

func (f *fold) changeElement(prev *element, s *protocol.Statement) *element {
	doc := s.Doc().(*protocol.Governors)
	e := &element{id: s.ID(), s: s, prev: prev, threshold: int(doc.Threshold), place: -1,
		accepts: make(map[protocol.StatementID]bool, len(doc.Accepts))}
	for _, id := range doc.Accepts {
		e.accepts[id] = true
	}
	for _, id := range doc.Governors {
		e.seats = append(e.seats, seat{member: f.resolve(id)})
	}
	f.seat(e)
	e.approved = (len(f.signed(prev, s, protocol.MemberID{})) >= prev.threshold || f.recovered(s)) &&
		len(f.signed(e, s, protocol.MemberID{})) >= e.threshold
	return e
}

// seat sorts the seats and says which keys speak for which. A key speaks for one
// seat only, so that one signature is never two approvals.
func (f *fold) seat(e *element) {
	slices.SortFunc(e.seats, func(a, b seat) int { return a.member.Compare(b.member) })
	e.keys = make(map[protocol.Key]int, len(e.seats))
	for i := range e.seats {
		st := &e.seats[i]
		c := f.chain(st.member)
		if c == nil {
			continue
		}
		if e.prev != nil {
			st.floor = max(e.prev.floor(st.member), c.floor(e.accepts))
		}
		for _, key := range c.keys[min(st.floor, len(c.keys)-1):] {
			if _, taken := e.keys[key]; !taken {
				e.keys[key] = i
			}
		}
	}
}

// floor is the floor of a member's seat, 0 where it has none.
func (e *element) floor(member protocol.MemberID) int {
	for _, st := range e.seats {
		if st.member == member {
			return st.floor
		}
	}
	return 0
}

// floor is the index of the newest key that signed a named card that counts.
func (c *chain) floor(named map[protocol.StatementID]bool) int {
	stage := 0
	for _, n := range c.path {
		if named[n.id] {
			stage = n.stage
		}
	}
	return stage
}

// signed gives the governors of e that approved a statement, ascending, without
// the one it is about.
func (f *fold) signed(e *element, s *protocol.Statement, about protocol.MemberID) []protocol.MemberID {
	var seats []int
	add := func(key protocol.Key) {
		if i, ok := e.keys[key]; ok && (about.IsZero() || e.seats[i].member != about) && !slices.Contains(seats, i) {
			seats = append(seats, i)
		}
	}
	for _, a := range f.approvals[s.ID()] {
		add(a.Signer)
	}
	out := make([]protocol.MemberID, 0, len(seats))
	for _, i := range seats {
		out = append(out, e.seats[i].member)
	}
	return protocol.Sorted(out)
}

// recovering gives the recovery keys of the charter that approved a statement,
// ascending.
func (f *fold) recovering(s *protocol.Statement) []protocol.Key {
	var out []protocol.Key
	for _, a := range f.approvals[s.ID()] {
		if f.recovers(a.Signer) {
			out = append(out, a.Signer)
		}
	}
	return protocol.Sorted(out)
}

// recovered reports whether more than half of the recovery keys approved.
func (f *fold) recovered(s *protocol.Statement) bool {
	return len(f.doc.Recovery) > 0 && len(f.recovering(s)) > len(f.doc.Recovery)/2
}

func (f *fold) recovers(key protocol.Key) bool {
	_, ok := slices.BinarySearchFunc(f.doc.Recovery, key, protocol.Key.Compare)
	return ok
}

// follow walks the line while exactly one successor may apply.
func (f *fold) follow(e *element) {
	for e != nil {
		e.place = len(f.line)
		f.line = append(f.line, e)
		e = f.successor(e)
	}
}

func (f *fold) successor(e *element) *element {
	open := e.next
	if pinned := slices.DeleteFunc(slices.Clone(open), func(n *element) bool { return !f.pins[n.id] }); len(pinned) > 0 {
		open = pinned
	}
	open = slices.DeleteFunc(slices.Clone(open), func(n *element) bool { return !n.approved })
	if len(open) == 1 {
		return open[0]
	}
	if len(open) > 1 {
		a := Alarm{Kind: AlarmRivalChanges, Text: "rival changes of governors: pin one"}
		for _, n := range open {
			a.Statements = append(a.Statements, n.id)
		}
		f.alarm(a)
	}
	return nil
}

// walkPins marks what pins settle: the pinned statements, and the changes that a
// pinned change comes after, be it that nothing between them is approved yet.
func (f *fold) walkPins() {
	for id := range maps.Clone(f.pins) {
		for s := f.known[id]; s != nil && s.Kind == protocol.KindGovernors; s = f.known[s.Doc().(*protocol.Governors).Prev] {
			f.pins[s.ID()] = true
			f.pins[s.Doc().(*protocol.Governors).Prev] = true
		}
	}
}

// head is the last element of the line.
func (f *fold) head() *element { return f.line[len(f.line)-1] }

// accepted reports whether what was made under e counts now.
func (f *fold) accepted(e *element, id protocol.StatementID) bool {
	if e == nil || e.place < 0 {
		return false
	}
	return e == f.head() || slices.ContainsFunc(f.line[e.place+1:], func(l *element) bool { return l.accepts[id] })
}

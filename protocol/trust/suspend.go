package trust

import (
	"cmp"
	"math"
	"slices"

	"github.com/tipmesh/tipmesh/protocol"
)

// Bounds on suspensions. Times are those of the statements.
const (
	SuspensionGap  = 7 * 24 * 3600 * 1000 // ms from one suspension of a member to the next, whoever signs them
	MaxSuspensions = 64                   // that count, of one governor under one element of the line
)

// Suspension keeps a member out for a time.
type Suspension struct {
	ID     protocol.StatementID
	Member protocol.MemberID
	By     protocol.MemberID // the governor
	From   int64             // ms since 1970, by the governor's clock
	Until  int64
	Lifted protocol.StatementID // the dismissal; zero: none
	Why    string
}

// InForce reports whether it keeps the member out at a time.
func (s *Suspension) InForce(now int64) bool {
	return s.Lifted.IsZero() && s.From <= now && now < s.Until
}

// suspension is one that a governor signed.
type suspension struct {
	s      *protocol.Statement
	doc    *protocol.Suspension
	elem   *element
	by     protocol.MemberID
	member protocol.MemberID
	counts bool
	lifted protocol.StatementID
}

// until is when it ends.
func (x *suspension) until() int64 {
	length := int64(x.doc.Seconds) * 1000 // #nosec G115 -- at most MaxSuspension
	if x.s.Time > math.MaxInt64-length {
		return math.MaxInt64
	}
	return x.s.Time + length
}

// suspension reads a suspension by a governor about somebody else who was ever
// admitted; nil where it is none.
func (f *fold) suspension(s *protocol.Statement) *suspension {
	doc := s.Doc().(*protocol.Suspension)
	x := &suspension{s: s, doc: doc, elem: f.elements[doc.Line], member: f.resolve(doc.Member)}
	if x.elem == nil || !x.elem.approved || f.people[x.member] == nil || s.Time < f.charter.Time {
		return nil
	}
	i, ok := x.elem.keys[s.Signer]
	if !ok || x.elem.seats[i].member == x.member {
		return nil
	}
	x.by = x.elem.seats[i].member
	return x
}

// suspend finds the suspensions that count, and what lifts them.
func (f *fold) suspend() {
	for _, s := range f.stays {
		if x := f.suspension(s); x != nil {
			f.held = append(f.held, x)
		}
	}
	slices.SortFunc(f.held, byTime)
	f.choose(f.held)
	dismissed := f.dismissed()
	for _, x := range f.held {
		if o := dismissed[x.s.ID()]; o != nil && x.counts {
			x.lifted = o.s.ID()
		}
	}
}

func byTime(a, b *suspension) int {
	return cmp.Or(cmp.Compare(a.s.Time, b.s.Time), byID(a.s, b.s))
}

// choose marks those of a sorted list that count: from the first on, each that no
// earlier one that counts stands in the way of. So what is refused never matters
// to what counts, and a set that lacks it chooses the same.
func (f *fold) choose(list []*suspension) {
	type term struct {
		by   protocol.MemberID
		elem *element
	}
	last, busy, used := map[protocol.MemberID]int64{}, map[protocol.MemberID]int64{}, map[term]int{}
	for _, x := range list {
		before, again := last[x.member]
		until, ever := busy[x.by]
		t := term{x.by, x.elem}
		x.counts = f.accepted(x.elem, x.s.ID()) && used[t] < MaxSuspensions && (!ever || until <= x.s.Time) &&
			(!again || uint64(x.s.Time)-uint64(before) >= SuspensionGap) // #nosec G115 -- the difference of what is not smaller
		if x.counts {
			last[x.member], busy[x.by] = x.s.Time, x.until()
			used[t]++
		}
	}
}

// suspensions gives those that count.
func (f *fold) suspensions() (out []*Suspension) {
	for _, x := range f.held {
		if x.counts {
			out = append(out, &Suspension{ID: x.s.ID(), Member: x.member, By: x.by, From: x.s.Time, Until: x.until(), Lifted: x.lifted, Why: x.doc.Why})
		}
	}
	return out
}

// dismissed gives what accepted dismissals are about.
func (f *fold) dismissed() map[protocol.StatementID]*op {
	out := map[protocol.StatementID]*op{}
	for _, o := range f.ops {
		if doc, ok := o.s.Doc().(*protocol.Dismissal); ok && o.counts && out[doc.Subject] == nil {
			out[doc.Subject] = o
		}
	}
	return out
}

// target fills in what a dismissal is about; false where that is not known.
func (f *fold) target(o *op, doc *protocol.Dismissal) bool {
	about := f.known[doc.Subject]
	if about == nil {
		return false
	}
	switch t := about.Doc().(type) {
	case *protocol.Removal:
		o.subject = t.Member
	case *protocol.Suspension:
		o.subject = t.Member
	default:
		return false
	}
	o.line = doc.Line
	return true
}

// lifts reports whether an op is about a suspension. The suspended governor's own
// approval counts: one governor alone must not take its vote.
func (o *op) lifts(f *fold) bool {
	doc, ok := o.s.Doc().(*protocol.Dismissal)
	return ok && f.known[doc.Subject] != nil && f.known[doc.Subject].Kind == protocol.KindSuspension
}

// pointless reports whether house rules follow others than those in force, or a
// dismissal is about what does not stand in anybody's way.
func (f *fold) pointless(o *op) bool {
	switch doc := o.s.Doc().(type) {
	case *protocol.HouseRules:
		return doc.Prev != f.rule
	case *protocol.Dismissal:
		if r := f.op(doc.Subject); r != nil {
			return r.s.Kind != protocol.KindRemoval || !r.made || r.counts || r.dropped
		}
		i := slices.IndexFunc(f.held, func(x *suspension) bool { return x.s.ID() == doc.Subject })
		return i < 0 || !f.held[i].counts || !f.held[i].lifted.IsZero()
	}
	return false
}

// acceptSuspension takes those that count, and of each governor key a few others.
func (f *fold) acceptSuspension(s *protocol.Statement) error {
	x := f.suspension(s)
	if x == nil {
		return ErrUnknownSigner
	}
	list := make([]*suspension, 0, len(f.held)+1)
	for _, old := range f.held {
		y := *old
		list = append(list, &y)
	}
	at, _ := slices.BinarySearchFunc(list, x, byTime)
	list = slices.Insert(list, at, x)
	if f.choose(list); x.counts {
		return nil
	}
	before := 0
	for _, old := range f.held {
		if !old.counts && old.s.Signer == s.Signer && byID(old.s, s) < 0 {
			before++
		}
	}
	if before >= protocol.MaxOpenProposals {
		return ErrTooMany
	}
	return nil
}

// surplusSuspensions gives what acceptSuspension would not take.
func (f *fold) surplusSuspensions() (out []protocol.StatementID) {
	valid := map[protocol.StatementID]bool{}
	idle := map[protocol.Key][]*protocol.Statement{}
	for _, x := range f.held {
		valid[x.s.ID()] = true
		if !x.counts {
			idle[x.s.Signer] = append(idle[x.s.Signer], x.s)
		}
	}
	for _, s := range f.stays {
		if !valid[s.ID()] {
			out = append(out, s.ID())
		}
	}
	for _, list := range idle {
		out = append(out, beyond(list, protocol.MaxOpenProposals)...)
	}
	return out
}

// At gives the roster as it is at a time: members who are suspended then are
// suspended and have no nodes. All else is the same, the digest too.
func (r *Roster) At(now int64) *Roster {
	if r.base != nil {
		r = r.base
	}
	out := r
	for _, s := range r.Suspended {
		m, ok := r.byID[s.Member]
		if !ok || m.State != StateActive || !s.InForce(now) {
			continue
		}
		if out == r {
			out = r.copy()
		}
		m = out.byID[s.Member]
		m.State, m.Nodes, m.Until = StateSuspended, nil, s.Until
	}
	return out
}

// Next is when At will next give another roster, after a time; 0: never.
func (r *Roster) Next(now int64) int64 {
	next := int64(0)
	for _, s := range r.Suspended {
		for _, t := range []int64{s.From, s.Until} {
			if s.Lifted.IsZero() && t > now && (next == 0 || t < next) {
				next = t
			}
		}
	}
	return next
}

// Awaited reports whether a suspension of a member that is known is still to begin.
func (r *Roster) Awaited(id protocol.MemberID, now int64) bool {
	return slices.ContainsFunc(r.Suspended, func(s *Suspension) bool { return s.Member == id && s.Lifted.IsZero() && s.From > now })
}

// Paused reports whether the member whose node this is is suspended for a time, in
// a roster made by At: what it writes is not taken until then, and is not lost.
func (r *Roster) Paused(node protocol.Key) bool {
	if r.base == nil {
		return false
	}
	m, ok := r.Author(node)
	return ok && m.Until != 0
}

// copy copies the roster with its members.
func (r *Roster) copy() *Roster {
	out := *r
	out.base = r
	out.Members = make([]*Member, 0, len(r.Members))
	out.byID = make(map[protocol.MemberID]*Member, len(r.Members))
	out.byHandle = make(map[string]*Member, len(r.byHandle))
	for _, m := range r.Members {
		c := *m
		out.Members = append(out.Members, &c)
		out.byID[c.ID] = &c
	}
	for handle, m := range r.byHandle {
		out.byHandle[handle] = out.byID[m.ID]
	}
	return &out
}

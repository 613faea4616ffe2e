package trust

import (
	"cmp"
	"slices"

	"github.com/tipmesh/tipmesh/protocol"
)

// followRules follows the changes of the house rules from the charter: of several
// that follow one the accepted one of the lowest ID.
func (f *fold) followRules() {
	next := map[protocol.StatementID]*op{}
	for _, o := range f.ops { // each kind ascending by ID
		if doc, ok := o.s.Doc().(*protocol.HouseRules); ok && o.counts && next[doc.Prev] == nil {
			next[doc.Prev] = o
		}
	}
	f.rule = f.charter.ID()
	for o := next[f.rule]; o != nil; o = next[f.rule] {
		o.force, f.rule = true, o.s.ID()
	}
}

// rulesNow gives the house rules in force.
func (f *fold) rulesNow() protocol.Rules {
	if doc, ok := f.known[f.rule].Doc().(*protocol.HouseRules); ok {
		return doc.Rules
	}
	return f.doc.Rules
}

// Mark says which roster a governor's node saw, and when by its clock.
type Mark struct {
	ID     protocol.StatementID
	Member protocol.MemberID
	Node   protocol.Key
	Time   int64
	Roster protocol.Hash
}

// marker gives the governor for whom a node that may act has signed a mark.
func (f *fold) marker(r *Roster, s *protocol.Statement) (*Member, bool) {
	m, ok := r.ByNode(s.Signer)
	return m, ok && m.Governor && m.ID == f.resolve(s.Doc().(*protocol.Mark).Member)
}

// newest gives the newest mark of each governor: by time, then ID.
func (f *fold) newest(r *Roster) []Mark {
	best := map[protocol.MemberID]*protocol.Statement{}
	for _, s := range f.marks {
		if m, ok := f.marker(r, s); ok && (best[m.ID] == nil || byAge(s, best[m.ID]) > 0) {
			best[m.ID] = s
		}
	}
	out := make([]Mark, 0, len(best))
	for id, s := range best {
		out = append(out, Mark{ID: s.ID(), Member: id, Node: s.Signer, Time: s.Time, Roster: s.Doc().(*protocol.Mark).Roster})
	}
	slices.SortFunc(out, func(a, b Mark) int { return a.Member.Compare(b.Member) })
	return out
}

func byAge(a, b *protocol.Statement) int { return cmp.Or(cmp.Compare(a.Time, b.Time), byID(a, b)) }

// acceptMark takes the newest mark of each governor.
func (f *fold) acceptMark(r *Roster, s *protocol.Statement) error {
	m, ok := f.marker(r, s)
	if !ok {
		return ErrUnknownSigner
	}
	for _, old := range r.Marks {
		if old.Member == m.ID && byAge(s, f.known[old.ID]) < 0 {
			return ErrTooMany
		}
	}
	return nil
}

// surplusMarks gives all but the newest.
func (f *fold) surplusMarks(r *Roster) (out []protocol.StatementID) {
	for _, s := range f.marks {
		if !slices.ContainsFunc(r.Marks, func(m Mark) bool { return m.ID == s.ID() }) {
			out = append(out, s.ID())
		}
	}
	return out
}

// InLine reports whether the line of governors goes through a change, or begins
// with it.
func (r *Roster) InLine(id protocol.StatementID) bool {
	return r.f != nil && slices.ContainsFunc(r.f.line, func(e *element) bool { return e.id == id })
}

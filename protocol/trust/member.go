package trust

import (
	"slices"

	"github.com/tipmesh/tipmesh/protocol"
)

// op is an admission, removal, cut, change of the house rules or dismissal.
type op struct {
	s       *protocol.Statement
	subject protocol.MemberID
	about   protocol.MemberID // whose approval does not count; zero: everybody's does
	line    protocol.StatementID
	elem    *element // nil where its line element is not known or not approved
	signed  []protocol.MemberID
	made    bool // k governors approved it
	counts  bool // made and accepted
	alone   bool // a cut by the member itself
	force   bool // house rules that are or were in force
	dropped bool // a removal that only suspended, and was dismissed
}

// person is everything the statements say about one member.
type person struct {
	id         protocol.MemberID
	chain      *chain
	founder    bool
	admissions []*op // accepted
	void       []*op // made, not accepted
	removals   []*op // made
	dropped    []*op // removals that were dismissed

	state     State
	admission protocol.StatementID
	since     int64
	ended     protocol.StatementID
	force     *op // the admission in force; nil for a founder's charter
	named     map[protocol.Key]rank
}

// decide finds which of what is decided by approvals is made.
func (f *fold) decide() {
	f.ops = make([]*op, 0, len(f.admissions)+len(f.removals)+len(f.cuts)+len(f.rules)+len(f.dismissals))
	for _, list := range [][]*protocol.Statement{f.admissions, f.removals, f.cuts, f.rules, f.dismissals} {
		for _, s := range list {
			f.ops = append(f.ops, f.decideOne(s))
		}
	}
	own := map[protocol.MemberID]int{}
	for _, o := range f.ops {
		if o.alone {
			own[o.subject]++
			o.counts = o.counts || own[o.subject] <= MaxOwnCuts
			o.made = o.made || o.counts
		}
	}
}

func (f *fold) decideOne(s *protocol.Statement) *op {
	o := &op{s: s}
	switch doc := s.Doc().(type) {
	case *protocol.Admission:
		o.subject, o.line = doc.Member, doc.Line
	case *protocol.Removal:
		o.subject, o.line = doc.Member, doc.Line
	case *protocol.Cut:
		o.subject, o.line = doc.Member, doc.Line
		o.alone = f.alone(s, doc)
	case *protocol.HouseRules:
		o.line = doc.Line
	case *protocol.Dismissal:
		if !f.target(o, doc) {
			return o
		}
	}
	o.subject = f.resolve(o.subject)
	if o.about = o.subject; o.lifts(f) {
		o.about = protocol.MemberID{}
	}
	if e := f.elements[o.line]; e != nil && e.approved {
		o.elem = e
		o.signed = f.signed(e, s, o.about)
		if len(o.signed) >= e.threshold {
			o.made = true
			o.counts = o.counts || f.accepted(e, s.ID())
		}
	}
	return o
}

// alone reports whether a cut is by the member itself.
func (f *fold) alone(s *protocol.Statement, doc *protocol.Cut) bool {
	c := f.chain(f.resolve(doc.Member))
	return c != nil && c.key() == s.Signer
}

// gather finds how each member stands.
func (f *fold) gather() {
	for _, key := range f.doc.Governors {
		if id, ok := f.founders[key]; ok {
			f.person(id).founder = true
		}
	}
	for _, o := range f.ops {
		if o.made && o.s.Kind == protocol.KindAdmission && f.chain(o.subject) != nil {
			p := f.person(o.subject)
			if o.counts {
				p.admissions = append(p.admissions, o)
			} else {
				p.void = append(p.void, o)
			}
		}
	}
	dismissed := f.dismissed()
	for _, o := range f.ops {
		p := f.people[o.subject]
		if p == nil || !o.made || o.s.Kind != protocol.KindRemoval {
			continue
		}
		if o.dropped = !o.counts && dismissed[o.s.ID()] != nil; o.dropped {
			p.dropped = append(p.dropped, o)
		} else {
			p.removals = append(p.removals, o)
		}
	}
	for _, p := range f.people {
		f.stand(p)
		for _, key := range p.chain.keys {
			if id, ok := f.signer[key]; !ok || p.id.Compare(id) < 0 {
				f.signer[key] = p.id
			}
		}
	}
}

func (f *fold) person(id protocol.MemberID) *person {
	p := f.people[id]
	if p == nil {
		p = &person{id: id, chain: f.chain(id)}
		f.people[id] = p
	}
	return p
}

// stand decides a member's state. Its lists are ascending by ID.
func (f *fold) stand(p *person) {
	if p.founder {
		p.admission, p.since = f.charter.ID(), f.charter.Time
		if len(p.removals) == 0 {
			p.state = StateActive
			return
		}
	}
	for _, o := range p.admissions {
		if unnamed(o, p.removals) == nil {
			p.state, p.admission, p.since, p.force = StateActive, o.s.ID(), o.s.Time, o
			return
		}
	}
	f.standOut(p)
}

// standOut decides how a member that is not active stands.
func (f *fold) standOut(p *person) {
	p.state = StateRemoved
	if !p.founder && len(p.admissions) == 0 {
		o := p.void[0]
		p.admission, p.since, p.ended = o.s.ID(), o.s.Time, f.voided(o)
		if len(p.removals) > 0 {
			p.ended = p.removals[0].s.ID()
		}
		return
	}
	candidates := p.admissions
	if p.founder {
		candidates = append([]*op{nil}, candidates...)
	}
	for _, o := range candidates {
		bite, hard := unnamed(o, p.removals), hardest(o, p.removals)
		if o != nil {
			p.admission, p.since = o.s.ID(), o.s.Time
		}
		if hard == nil { // only unconfirmed removals stand in the way of this one
			p.state, p.ended = StateSuspended, bite.s.ID()
			return
		}
		p.ended = hard.s.ID()
	}
}

// voided is the first element of the line that left an admission out, or the
// head where the admission was made beside the line.
func (f *fold) voided(o *op) protocol.StatementID {
	if o.elem.place >= 0 && o.elem.place+1 < len(f.line) {
		return f.line[o.elem.place+1].id
	}
	return f.head().id
}

// leftOut names what made an admission void for a time or still does: the next
// element of the line, or that it was made beside the line. Nil where nothing did.
func (f *fold) leftOut(o *op) []byte {
	if o.elem.place < 0 {
		return []byte("beside")
	}
	if o.elem == f.head() || f.line[o.elem.place+1].accepts[o.s.ID()] {
		return nil
	}
	id := f.line[o.elem.place+1].id
	return id[:]
}

// unnamed gives the first removal that an admission does not override; a nil
// admission, the charter, overrides none.
func unnamed(o *op, removals []*op) *op {
	for _, r := range removals {
		if !overrides(o, r) {
			return r
		}
	}
	return nil
}

// hardest is unnamed among the accepted removals.
func hardest(o *op, removals []*op) *op {
	for _, r := range removals {
		if r.counts && !overrides(o, r) {
			return r
		}
	}
	return nil
}

func overrides(o, removal *op) bool {
	if o == nil {
		return false
	}
	_, ok := slices.BinarySearchFunc(o.s.Doc().(*protocol.Admission).Removed, removal.s.ID(), protocol.StatementID.Compare)
	return ok
}

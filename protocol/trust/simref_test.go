package trust_test

import (
	"slices"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

// model decides who is in a mesh as SPEC.md 6 says it, by asking the whole set
// each question anew. It knows nothing of Fold. It leaves out what the simulation
// does not do: several first cards of a founder, keys that a change of governors
// ends, several next keys of one member, and bounds on cards.
type model struct {
	charter *protocol.Statement
	by      map[protocol.StatementID]*protocol.Statement
	kind    map[protocol.Kind][]*protocol.Statement // ascending
	pins    []protocol.StatementID
	lines   []protocol.StatementID                  // the line, from the charter
	cards   map[protocol.MemberID]*path             // memory of path
	yes     map[protocol.StatementID][]protocol.Key // who signed an approval
	seat    map[protocol.StatementID][]protocol.MemberID
}

func newModel(s *sim) *model {
	m := &model{charter: s.charter, by: map[protocol.StatementID]*protocol.Statement{}, kind: map[protocol.Kind][]*protocol.Statement{},
		pins: s.pins, cards: map[protocol.MemberID]*path{}, yes: map[protocol.StatementID][]protocol.Key{},
		seat: map[protocol.StatementID][]protocol.MemberID{}}
	for _, st := range s.all {
		if m.by[st.ID()] == nil {
			m.by[st.ID()] = st
			m.kind[st.Kind] = append(m.kind[st.Kind], st)
		}
	}
	for _, list := range m.kind {
		slices.SortFunc(list, func(a, b *protocol.Statement) int { return a.ID().Compare(b.ID()) })
	}
	for _, a := range m.kind[protocol.KindApproval] {
		of := a.Doc().(*protocol.Approval).Subject
		m.yes[of] = append(m.yes[of], a.Signer)
	}
	for at := s.charter.ID(); ; {
		m.lines = append(m.lines, at)
		next := m.following(at)
		if next == nil {
			return m
		}
		at = next.ID()
	}
}

// path is a member's cards that count, and its keys.
type path struct {
	cards []*protocol.Statement
	keys  []protocol.Key
}

// path follows a member's cards: those of the first key from its first card, and
// those of the next key, if a card of it follows one of the first key's. Where
// cards part, the last common one stands.
func (m *model) path(id protocol.MemberID) *path {
	if p := m.cards[id]; p != nil {
		return p
	}
	first := m.by[protocol.StatementID(id)]
	if first == nil || first.Kind != protocol.KindCard {
		return nil
	}
	parent := map[protocol.StatementID]*protocol.Statement{first.ID(): nil}
	grow := func(key protocol.Key, follows func(*protocol.Statement) bool) {
		for more := true; more; {
			more = false
			for _, st := range m.kind[protocol.KindCard] {
				c := st.Doc().(*protocol.Card)
				prev := m.by[c.Prev]
				if _, had := parent[st.ID()]; had || c.Member != id || st.Signer != key || prev == nil || !follows(prev) ||
					c.Version != prev.Doc().(*protocol.Card).Version+1 {
					continue
				}
				if _, ok := parent[prev.ID()]; ok {
					parent[st.ID()], more = prev, true
				}
			}
		}
	}
	grow(first.Signer, func(prev *protocol.Statement) bool { return prev.Signer == first.Signer })
	p := &path{keys: []protocol.Key{first.Signer}}
	var entries []*protocol.Statement // by the next key, after a card of the first
	for _, st := range m.kind[protocol.KindCard] {
		c := st.Doc().(*protocol.Card)
		prev := m.by[c.Prev]
		if _, ok := parent[c.Prev]; ok && c.Member == id && protocol.HashOf(st.Signer[:]) == first.Doc().(*protocol.Card).NextKey &&
			c.Version == prev.Doc().(*protocol.Card).Version+1 && st.Signer != first.Signer {
			entries = append(entries, st)
		}
	}
	up := func(st *protocol.Statement) (out []*protocol.Statement) {
		for ; st != nil; st = parent[st.ID()] {
			out = append(out, st)
		}
		slices.Reverse(out)
		return out
	}
	from := first
	if len(entries) > 0 {
		p.keys = append(p.keys, entries[0].Signer)
		for _, e := range entries {
			parent[e.ID()] = m.by[e.Doc().(*protocol.Card).Prev]
		}
		grow(entries[0].Signer, func(prev *protocol.Statement) bool { return prev.Signer == entries[0].Signer })
		from = entries[0]
	}
	if len(entries) > 1 { // as far as the entries have all before them in common
		p.cards = up(parent[entries[0].ID()])
		for _, e := range entries[1:] {
			other, n := up(parent[e.ID()]), 0
			for n < min(len(p.cards), len(other)) && p.cards[n] == other[n] {
				n++
			}
			p.cards = p.cards[:n]
		}
	} else {
		for at := from; at != nil; {
			p.cards = up(at)
			var after []*protocol.Statement
			for id, prev := range parent {
				if prev == at && m.by[id].Signer == from.Signer {
					after = append(after, m.by[id])
				}
			}
			if at = nil; len(after) == 1 {
				at = after[0]
			}
		}
	}
	m.cards[id] = p
	return p
}

// seats are the governors of the charter or of a change.
func (m *model) seats(line protocol.StatementID) (out []protocol.MemberID) {
	if out, ok := m.seat[line]; ok {
		return out
	}
	defer func() { m.seat[line] = out }()
	switch doc := m.by[line].Doc().(type) {
	case *protocol.Governors:
		return doc.Governors
	case *protocol.Charter:
		for _, key := range doc.Governors {
			for _, st := range m.kind[protocol.KindCard] {
				if st.Signer == key && st.Doc().(*protocol.Card).Version == 1 {
					out = append(out, protocol.MemberID(st.ID()))
				}
			}
		}
	}
	return out
}

func (m *model) threshold(line protocol.StatementID) int {
	if doc, ok := m.by[line].Doc().(*protocol.Governors); ok {
		return int(doc.Threshold)
	}
	return int(m.charter.Doc().(*protocol.Charter).Threshold)
}

// enough reports whether as many governors of a line element approved a statement
// as it takes; the member it is about does not count.
func (m *model) enough(line, st protocol.StatementID, about protocol.MemberID) bool {
	if len(m.yes[st]) < m.threshold(line) {
		return false
	}
	count := 0
	for _, id := range m.seats(line) {
		if p := m.path(id); id != about && p != nil && slices.ContainsFunc(m.yes[st], func(k protocol.Key) bool { return slices.Contains(p.keys, k) }) {
			count++
		}
	}
	return count >= m.threshold(line)
}

// approved reports whether a line element is, with all before it.
func (m *model) approved(line protocol.StatementID) bool {
	st := m.by[line]
	if st == nil {
		return false
	}
	doc, ok := st.Doc().(*protocol.Governors)
	if !ok {
		return st.Kind == protocol.KindCharter
	}
	return m.approved(doc.Prev) && (m.enough(doc.Prev, line, protocol.MemberID{}) || m.recovered(line)) && m.enough(line, line, protocol.MemberID{})
}

// following is the only change that may follow an element.
func (m *model) following(line protocol.StatementID) *protocol.Statement {
	var all, pinned []*protocol.Statement
	for _, st := range m.kind[protocol.KindGovernors] {
		if st.Doc().(*protocol.Governors).Prev == line {
			if all = append(all, st); m.pinned(st) {
				pinned = append(pinned, st)
			}
		}
	}
	if len(pinned) > 0 {
		all = pinned
	}
	all = slices.DeleteFunc(all, func(st *protocol.Statement) bool { return !m.approved(st.ID()) })
	if len(all) != 1 {
		return nil
	}
	return all[0]
}

func (m *model) pinned(st *protocol.Statement) bool {
	for _, pin := range m.pins {
		for at := m.by[pin]; at != nil && at.Kind == protocol.KindGovernors; at = m.by[at.Doc().(*protocol.Governors).Prev] {
			if at == st {
				return true
			}
		}
	}
	return false
}

// decided gives what was made of a kind about a member, without removals that only
// suspended and were dismissed, and what of it is accepted.
func (m *model) decided(kind protocol.Kind, about protocol.MemberID) (made, accepted []*protocol.Statement) {
	for _, st := range m.kind[kind] {
		var subject protocol.MemberID
		var line protocol.StatementID
		switch doc := st.Doc().(type) {
		case *protocol.Admission:
			subject, line = doc.Member, doc.Line
		case *protocol.Removal:
			subject, line = doc.Member, doc.Line
		case *protocol.Cut:
			subject, line = doc.Member, doc.Line
		}
		if subject != about || m.by[line] == nil || !m.approved(line) || !m.enough(line, st.ID(), about) {
			continue
		}
		in := m.accepted(line, st.ID())
		if in {
			accepted = append(accepted, st)
		}
		if in || kind != protocol.KindRemoval || m.dismissal(st.ID()).IsZero() {
			made = append(made, st)
		}
	}
	return made, accepted
}

// state says how a member stands; empty for one that was never in.
func (m *model) state(id protocol.MemberID) trust.State {
	admitted, in := m.decided(protocol.KindAdmission, id)
	removed, hard := m.decided(protocol.KindRemoval, id)
	founder := slices.Contains(m.seats(m.charter.ID()), id)
	if m.path(id) == nil || !founder && len(admitted) == 0 {
		return ""
	}
	var names [][]protocol.StatementID // of the removals, one list for each admission
	for _, st := range in {
		names = append(names, st.Doc().(*protocol.Admission).Removed)
	}
	if founder {
		names = append(names, nil)
	}
	over := func(removals []*protocol.Statement) bool {
		return slices.ContainsFunc(names, func(list []protocol.StatementID) bool {
			return !slices.ContainsFunc(removals, func(r *protocol.Statement) bool { return !slices.Contains(list, r.ID()) })
		})
	}
	switch {
	case over(removed):
		return trust.StateActive
	case over(hard):
		return trust.StateSuspended
	}
	return trust.StateRemoved
}

// cuts gives the cuts of a member's feeds that count.
func (m *model) cuts(id protocol.MemberID) []*protocol.Statement {
	_, out := m.decided(protocol.KindCut, id)
	p, own := m.path(id), 0
	for _, st := range m.kind[protocol.KindCut] {
		if st.Doc().(*protocol.Cut).Member == id && p != nil && st.Signer == p.keys[len(p.keys)-1] {
			if own++; own <= trust.MaxOwnCuts && !slices.Contains(out, st) {
				out = append(out, st)
			}
		}
	}
	return out
}

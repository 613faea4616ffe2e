package trust

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tipmesh/tipmesh/protocol"
)

// Errors of Accept. None is held against the peer that sent the statement.
var (
	ErrUnknownSigner = errors.New("unknown signer") // or subject; may become known
	ErrTooMany       = errors.New("too many statements of a signer")
	ErrOtherMesh     = errors.New("statement of another mesh")
)

// Bounds beside those of package protocol.
const (
	MaxUnknownKinds   = 64  // statements of unknown kinds a member key
	MaxLooseApprovals = 256 // approvals a governor key of what is not done
	MaxOwnCuts        = 64  // cuts a member makes alone; Fold counts no more
)

// Accept decides whether a node keeps and relays a statement, given the roster
// of what it keeps; nil says keep. After keeping one, Fold again before asking
// about the next of the same signer, and drop what Surplus names.
//
// Each bound keeps the statements first in one order (IDs; versions for cards),
// not those that came first, so that nodes that heard different ones end with
// the same. What decides the roster is never over a bound: what k governors
// approved is kept whoever proposed it. Who may sign does not depend on order
// either, with one exception: what decides nothing yet, proposals of members
// that do not govern and unknown kinds, is taken from active members only, so one
// that reached some nodes before its signer's removal stays with those until a
// governor approves it.
func (r *Roster) Accept(s *protocol.Statement) error {
	if err := r.accept(s); err != nil {
		return fmt.Errorf("accept %s: %w", s.Kind, err)
	}
	return nil
}

func (r *Roster) accept(s *protocol.Statement) error {
	if r.base != nil {
		r = r.base // what is kept is no matter of time
	}
	f := r.f
	if f == nil || !f.ours(s) {
		return ErrOtherMesh
	}
	if f.known[s.ID()] != nil || s.Kind == protocol.KindCharter {
		return nil
	}
	if f.charter == nil {
		return ErrUnknownSigner
	}
	switch doc := s.Doc().(type) {
	case *protocol.Card:
		return f.acceptCard(s, doc)
	case *protocol.Approval:
		return f.acceptApproval(r, s, doc)
	case *protocol.ForkProof:
		return f.acceptProof(s, doc)
	case *protocol.Suspension:
		return f.acceptSuspension(s)
	case *protocol.Mark:
		return f.acceptMark(r, s)
	case nil:
		return f.acceptOther(r, s)
	default:
		return f.acceptProposal(r, s)
	}
}

// acceptCard takes first cards that an admission names or a founder signed, and
// cards by the keys of a known chain.
func (f *fold) acceptCard(s *protocol.Statement, card *protocol.Card) error {
	if card.Version == 1 {
		return f.acceptRoot(s)
	}
	c := f.chain(card.Member)
	if c == nil {
		return ErrUnknownSigner
	}
	if c.stageOf(s.Signer) < 0 && !(len(c.keys) < MaxKeys && slices.Contains(c.next, protocol.HashOf(s.Signer[:]))) {
		return ErrUnknownSigner
	}
	limit := protocol.MaxCardsPerMember
	if s.Signer == c.keys[0] {
		limit--
	}
	before := 0
	for _, other := range f.cards[card.Member] {
		if other.Signer == s.Signer && byVersion(other, s) < 0 {
			before++
		}
	}
	if before >= limit {
		return ErrTooMany
	}
	return nil
}

func (f *fold) acceptRoot(s *protocol.Statement) error {
	id := protocol.MemberID(s.ID())
	if f.pins[s.ID()] || slices.ContainsFunc(f.admissions, func(a *protocol.Statement) bool { return a.Doc().(*protocol.Admission).Member == id }) {
		return nil
	}
	if _, ok := slices.BinarySearchFunc(f.doc.Governors, s.Signer, protocol.Key.Compare); !ok {
		return ErrUnknownSigner
	}
	// The member of a founder's key is its lowest card; one more proves the
	// conflict, others add nothing.
	lower := 0
	for other, root := range f.roots {
		if root.Signer == s.Signer && other.Compare(id) < 0 {
			lower++
		}
	}
	if lower >= maxRoots {
		return ErrTooMany
	}
	return nil
}

// maxRoots is how many first cards of one founder's key are kept.
const maxRoots = 2

// surplusRoots gives the first cards that acceptRoot would not take, and the
// later cards of members whose first card is not held.
func (f *fold) surplusRoots() []protocol.StatementID {
	admitted := make(map[protocol.MemberID]bool, len(f.admissions))
	for _, a := range f.admissions {
		admitted[a.Doc().(*protocol.Admission).Member] = true
	}
	var out []protocol.StatementID
	founding := map[protocol.Key][]*protocol.Statement{}
	for id, s := range f.roots {
		if admitted[id] || f.pins[s.ID()] {
			continue
		}
		if _, ok := slices.BinarySearchFunc(f.doc.Governors, s.Signer, protocol.Key.Compare); ok {
			founding[s.Signer] = append(founding[s.Signer], s)
		} else {
			out = append(out, s.ID())
		}
	}
	for _, list := range founding {
		out = append(out, beyond(list, maxRoots)...)
	}
	for id, list := range f.cards {
		if f.roots[id] == nil {
			for _, s := range list {
				out = append(out, s.ID())
			}
		}
	}
	return out
}

// acceptApproval takes one approval a governor key and subject, and a bounded
// number of subjects that are not done.
func (f *fold) acceptApproval(r *Roster, s *protocol.Statement, doc *protocol.Approval) error {
	if !f.votes(s.Signer) {
		return ErrUnknownSigner
	}
	for _, other := range f.approvals[doc.Subject] {
		if other.Signer == s.Signer && byID(other, s) < 0 {
			return ErrTooMany
		}
	}
	if !f.loose(r, doc.Subject) || f.completes(s.Signer, doc.Subject) {
		return nil
	}
	before := 0
	for subject, list := range f.approvals {
		for _, other := range list {
			if other.Signer == s.Signer && byID(other, s) < 0 && f.loose(r, subject) {
				before++
			}
		}
	}
	if before >= MaxLooseApprovals {
		return ErrTooMany
	}
	return nil
}

// votes reports whether approvals by a key can decide anything.
func (f *fold) votes(key protocol.Key) bool { return f.recovers(key) || f.governs(key) }

// governs reports whether a key has a seat in any list that is in force, was, or
// is proposed.
func (f *fold) governs(key protocol.Key) bool {
	return slices.ContainsFunc(f.order, func(e *element) bool { _, ok := e.keys[key]; return ok })
}

// loose reports whether an approval of subject does not decide anything yet.
func (f *fold) loose(r *Roster, subject protocol.StatementID) bool {
	p, ok := r.Proposal(subject)
	return !ok || !p.settled && p.State != ProposalDone && p.State != ProposalSuspends && p.State != ProposalRival
}

// completes reports whether one approval more would make the subject.
func (f *fold) completes(key protocol.Key, subject protocol.StatementID) bool {
	o := f.op(subject)
	if o == nil || o.elem == nil || o.made {
		return false
	}
	i, ok := o.elem.keys[key]
	return ok && !slices.Contains(o.signed, o.elem.seats[i].member) && len(o.signed)+1 >= o.elem.threshold
}

// acceptProof takes, for each node of a member, the proof of the lowest place,
// then ID, of every feed whose fork is resolved, and of the first feed whose is
// not. Who signed it does not matter: it proves itself.
func (f *fold) acceptProof(s *protocol.Statement, doc *protocol.ForkProof) error {
	h, err := protocol.ReadHeader(doc.A)
	if err != nil {
		return err
	}
	if h.Mesh != f.mesh {
		return ErrOtherMesh
	}
	c := f.nodes[h.Node]
	if c == nil {
		return ErrUnknownSigner
	}
	for _, k := range f.forks[h.Node] {
		if k.Feed == h.Feed && (k.Seq < h.Seq || k.Seq == h.Seq && k.Statement.Compare(s.ID()) < 0) ||
			!k.Resolved && k.Feed.Compare(h.Feed) < 0 && !c.resolves(h.Feed) {
			return ErrTooMany
		}
	}
	return nil
}

// surplusProofs gives what acceptProof would not take beside the others.
func (f *fold) surplusProofs() []protocol.StatementID {
	keep := map[protocol.StatementID]bool{}
	for _, list := range f.forks { // ascending by feed
		open := false
		for _, k := range list {
			if k.Resolved || !open {
				keep[k.Statement] = true
			}
			open = open || !k.Resolved
		}
	}
	var out []protocol.StatementID
	for _, s := range f.proofs {
		if !keep[s.ID()] {
			out = append(out, s.ID())
		}
	}
	return out
}

// acceptProposal takes proposals of active members and of governors, and any that
// a governor approved or a pin names.
func (f *fold) acceptProposal(r *Roster, s *protocol.Statement) error {
	if f.pins[s.ID()] || slices.ContainsFunc(f.approvals[s.ID()], func(a *protocol.Statement) bool { return f.votes(a.Signer) }) {
		return nil
	}
	if doc, ok := s.Doc().(*protocol.Cut); ok && f.alone(s, doc) {
		return f.acceptOwnCut(s, f.resolve(doc.Member))
	}
	m, ok := r.ByKey(s.Signer)
	if !ok || m.State != StateActive && !f.governs(s.Signer) {
		return ErrUnknownSigner
	}
	open, before := f.waits(s), 0
	for _, p := range r.Proposals {
		if p.By == m.ID && p.counted() && (p.State == ProposalOpen) == open && p.ID.Compare(s.ID()) < 0 && !f.seconded(p) {
			before++
		}
	}
	if before >= protocol.MaxOpenProposals {
		return ErrTooMany
	}
	return nil
}

// acceptOwnCut takes a cut by anybody ever admitted: where its feeds end matters
// after it left, too.
func (f *fold) acceptOwnCut(s *protocol.Statement, member protocol.MemberID) error {
	if f.people[member] == nil {
		return ErrUnknownSigner
	}
	before := 0
	for _, o := range f.ops {
		if o.alone && o.subject == member && byID(o.s, s) < 0 {
			before++
		}
	}
	if before >= MaxOwnCuts {
		return ErrTooMany
	}
	return nil
}

// waits reports whether a proposal would be open.
func (f *fold) waits(s *protocol.Statement) bool {
	if doc, ok := s.Doc().(*protocol.Governors); ok {
		return doc.Prev == f.head().id
	}
	return f.opState(f.decideOne(s)) == ProposalOpen
}

// counted reports whether a proposal is held against its signer's bounds: those
// that wait and those that came to nothing, each up to MaxOpenProposals.
func (p *Proposal) counted() bool {
	return p.State == ProposalOpen || p.State == ProposalVoid || p.State == ProposalSuperseded
}

// seconded reports whether a governor approved a proposal by a statement of its
// own, or a pin names it.
func (f *fold) seconded(p *Proposal) bool {
	return f.pins[p.ID] || slices.ContainsFunc(f.approvals[p.ID], func(a *protocol.Statement) bool { return f.votes(a.Signer) })
}

func (f *fold) acceptOther(r *Roster, s *protocol.Statement) error {
	m, ok := r.ByKey(s.Signer)
	if !ok || m.State != StateActive {
		return ErrUnknownSigner
	}
	before := 0
	for _, other := range f.others[s.Signer] {
		if byID(other, s) < 0 {
			before++
		}
	}
	if before >= MaxUnknownKinds {
		return ErrTooMany
	}
	return nil
}

// Surplus gives kept statements that a node may drop, ascending: those that
// statements kept since have pushed over a bound.
func (r *Roster) Surplus() []protocol.StatementID {
	if r.base != nil {
		r = r.base
	}
	f := r.f
	if f == nil || f.charter == nil {
		return nil
	}
	var out []protocol.StatementID
	for _, c := range f.chains {
		out = append(out, c.surplus...)
	}
	for _, list := range f.others {
		out = append(out, beyond(list, MaxUnknownKinds)...)
	}
	for _, o := range f.ops {
		if o.alone && !o.counts {
			out = append(out, o.s.ID())
		}
	}
	out = append(out, f.surplusApprovals(r)...)
	out = append(out, f.surplusProposals(r)...)
	out = append(out, f.surplusProofs()...)
	out = append(out, f.surplusRoots()...)
	out = append(out, f.surplusSuspensions()...)
	out = append(out, f.surplusMarks(r)...)
	return protocol.Sorted(out)
}

// beyond gives the IDs after the first n, which it sorts.
func beyond(list []*protocol.Statement, n int) []protocol.StatementID {
	var out []protocol.StatementID
	list = slices.Clone(list)
	slices.SortFunc(list, byID)
	for i := n; i < len(list); i++ {
		out = append(out, list[i].ID())
	}
	return out
}

func (f *fold) surplusApprovals(r *Roster) []protocol.StatementID {
	var out []protocol.StatementID
	loose := map[protocol.Key][]*protocol.Statement{}
	for subject, list := range f.approvals {
		bySigner := map[protocol.Key][]*protocol.Statement{}
		for _, a := range list {
			bySigner[a.Signer] = append(bySigner[a.Signer], a)
		}
		for key, same := range bySigner {
			out = append(out, beyond(same, 1)...)
			if f.loose(r, subject) {
				loose[key] = append(loose[key], slices.MinFunc(same, byID))
			}
		}
	}
	for _, list := range loose {
		out = append(out, beyond(list, MaxLooseApprovals)...)
	}
	return out
}

func (f *fold) surplusProposals(r *Roster) []protocol.StatementID {
	type bucket struct {
		by   protocol.MemberID
		open bool
	}
	held := map[bucket][]*protocol.Statement{}
	for _, p := range r.Proposals {
		if p.counted() && !p.By.IsZero() && !f.seconded(p) {
			b := bucket{p.By, p.State == ProposalOpen}
			held[b] = append(held[b], p.Statement)
		}
	}
	var out []protocol.StatementID
	for _, list := range held {
		out = append(out, beyond(list, protocol.MaxOpenProposals)...)
	}
	return out
}

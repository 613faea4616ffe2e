package trust

import (
	"cmp"
	"slices"

	"github.com/tipmesh/tipmesh/protocol"
)

// fold is the working state of Fold; the roster keeps it for Accept.
type fold struct {
	mesh    protocol.MeshID
	charter *protocol.Statement
	doc     *protocol.Charter
	known   map[protocol.StatementID]*protocol.Statement
	pins    map[protocol.StatementID]bool

	roots      map[protocol.MemberID]*protocol.Statement
	cards      map[protocol.MemberID][]*protocol.Statement // without the first
	admissions []*protocol.Statement                       // these four ascending by ID
	removals   []*protocol.Statement
	cuts       []*protocol.Statement
	changes    []*protocol.Statement
	approvals  map[protocol.StatementID][]*protocol.Statement // by subject
	proofs     []*protocol.Statement
	rules      []*protocol.Statement
	dismissals []*protocol.Statement
	marks      []*protocol.Statement
	stays      []*protocol.Statement                  // suspensions
	others     map[protocol.Key][]*protocol.Statement // unknown kinds by signer

	chains   map[protocol.MemberID]*chain
	founders map[protocol.Key]protocol.MemberID
	aliases  map[protocol.MemberID]protocol.MemberID // a founder's further first cards

	elements map[protocol.StatementID]*element
	order    []*element
	line     []*element

	ops    []*op
	rule   protocol.StatementID // the house rules in force, or the charter
	held   []*suspension        // by time, then ID
	people map[protocol.MemberID]*person
	nodes  map[protocol.Key]*claim
	signer map[protocol.Key]protocol.MemberID // member keys of everybody ever admitted
	forks  map[protocol.Key][]*Fork
	alarms []Alarm
}

// Fold computes the roster that a set of verified statements makes. It is a
// function of the set: order and repetitions do not matter, and statements of
// other meshes are passed over. pins settle what the set leaves open: IDs of
// changes of governors, or of a founder's first card, that the operator pinned.
// Without the charter the roster is empty.
func Fold(mesh protocol.MeshID, statements []*protocol.Statement, pins ...protocol.StatementID) *Roster {
	f := &fold{mesh: mesh, pins: make(map[protocol.StatementID]bool, len(pins))}
	for _, id := range pins {
		f.pins[id] = true
	}
	f.sort(statements)
	if f.charter == nil {
		f.alarm(Alarm{Kind: AlarmNoCharter, Text: "the charter is not known"})
		return f.roster()
	}
	f.walkPins()
	f.findFounders()
	f.growLine()
	f.decide()
	f.followRules()
	f.gather()
	f.suspend()
	f.claimNodes()
	f.endFeeds()
	f.findForks()
	return f.roster()
}

// sort puts each statement once under its kind.
func (f *fold) sort(statements []*protocol.Statement) {
	f.known = make(map[protocol.StatementID]*protocol.Statement, len(statements))
	f.roots = map[protocol.MemberID]*protocol.Statement{}
	f.cards = map[protocol.MemberID][]*protocol.Statement{}
	f.approvals = make(map[protocol.StatementID][]*protocol.Statement, len(statements)/4)
	f.others = map[protocol.Key][]*protocol.Statement{}
	f.chains = map[protocol.MemberID]*chain{}
	f.people = map[protocol.MemberID]*person{}
	f.nodes = map[protocol.Key]*claim{}
	f.signer = map[protocol.Key]protocol.MemberID{}
	f.forks = map[protocol.Key][]*Fork{}
	for _, s := range statements {
		if s == nil || !f.ours(s) {
			continue
		}
		id := s.ID()
		if _, ok := f.known[id]; !ok {
			f.known[id] = s
			f.put(s)
		}
	}
	for _, list := range [][]*protocol.Statement{f.admissions, f.removals, f.cuts, f.changes, f.proofs, f.rules, f.dismissals, f.marks, f.stays} {
		slices.SortFunc(list, byID)
	}
}

func (f *fold) ours(s *protocol.Statement) bool {
	if s.Kind == protocol.KindCharter {
		return protocol.MeshID(s.ID()) == f.mesh
	}
	return s.Mesh == f.mesh
}

func (f *fold) put(s *protocol.Statement) {
	switch doc := s.Doc().(type) {
	case *protocol.Charter:
		f.charter, f.doc = s, doc
	case *protocol.Card:
		if doc.Version == 1 {
			f.roots[protocol.MemberID(s.ID())] = s
		} else {
			f.cards[doc.Member] = append(f.cards[doc.Member], s)
		}
	case *protocol.Admission:
		f.admissions = append(f.admissions, s)
	case *protocol.Removal:
		f.removals = append(f.removals, s)
	case *protocol.Cut:
		f.cuts = append(f.cuts, s)
	case *protocol.Approval:
		f.approvals[doc.Subject] = append(f.approvals[doc.Subject], s)
	case *protocol.Governors:
		f.changes = append(f.changes, s)
	case *protocol.ForkProof:
		f.proofs = append(f.proofs, s)
	case *protocol.HouseRules:
		f.rules = append(f.rules, s)
	case *protocol.Suspension:
		f.stays = append(f.stays, s)
	case *protocol.Dismissal:
		f.dismissals = append(f.dismissals, s)
	case *protocol.Mark:
		f.marks = append(f.marks, s)
	default:
		f.others[s.Signer] = append(f.others[s.Signer], s)
	}
}

func byID(a, b *protocol.Statement) int { return a.ID().Compare(b.ID()) }

// findFounders finds the member of each of the charter's keys.
func (f *fold) findFounders() {
	f.founders = make(map[protocol.Key]protocol.MemberID, len(f.doc.Governors))
	f.aliases = map[protocol.MemberID]protocol.MemberID{}
	first := map[protocol.Key][]protocol.MemberID{}
	for id, s := range f.roots {
		if _, ok := slices.BinarySearchFunc(f.doc.Governors, s.Signer, protocol.Key.Compare); ok {
			first[s.Signer] = append(first[s.Signer], id)
		}
	}
	for _, key := range f.doc.Governors {
		ids := protocol.Sorted(first[key])
		if len(ids) == 0 {
			continue
		}
		chosen := ids[0]
		if i := slices.IndexFunc(ids, func(id protocol.MemberID) bool { return f.pins[protocol.StatementID(id)] }); i >= 0 {
			chosen = ids[i]
		}
		f.founders[key] = chosen
		if len(ids) > 1 {
			a := Alarm{Kind: AlarmRivalCards, Member: chosen, Text: "a founder's key signed several first cards: pin one"}
			for _, id := range ids {
				a.Statements = append(a.Statements, protocol.StatementID(id))
				if id != chosen {
					f.aliases[id] = chosen
				}
			}
			f.alarm(a)
		}
	}
}

// resolve gives the member that an ID means.
func (f *fold) resolve(id protocol.MemberID) protocol.MemberID {
	if to, ok := f.aliases[id]; ok {
		return to
	}
	return id
}

// chain gives a member's chain of cards, or nil if its first card is not known.
func (f *fold) chain(id protocol.MemberID) *chain {
	c := f.chains[id]
	if root := f.roots[id]; c == nil && root != nil {
		c = newChain(root, f.cards[id])
		f.chains[id] = c
	}
	return c
}

func (f *fold) alarm(a Alarm) { f.alarms = append(f.alarms, a) }

func compareAlarms(a, b Alarm) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), a.Member.Compare(b.Member), a.Node.Compare(b.Node),
		cmp.Compare(a.Text, b.Text), slices.CompareFunc(a.Statements, b.Statements, protocol.StatementID.Compare))
}

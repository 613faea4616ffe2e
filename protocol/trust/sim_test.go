package trust_test

import (
	"crypto/ed25519"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"testing"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

var (
	simRuns = flag.Int("runs", 150, "simulated runs")
	simSeed = flag.Uint64("seed", 0, "run one simulation alone")
)

// TestSim lets honest and lying members state things at several nodes, which hear
// of them in any order, with losses until all of it heals, and keep what Accept
// and Surplus leave them. In the end all nodes must have one roster, and it must
// be the one that a model, written from SPEC.md without the code of Fold, makes of
// everything ever stated.
func TestSim(t *testing.T) {
	if *simSeed != 0 {
		t.Log(runSim(t, *simSeed))
		return
	}
	defer debug.SetGCPercent(debug.SetGCPercent(800)) // little lives long here
	sum := tally{}
	for i := range *simRuns {
		seed := uint64(i + 1)
		sum.add(runSim(t, seed))
		if t.Failed() {
			t.Fatalf("replay with: go test ./protocol/trust -run 'TestSim$' -seed %d", seed)
		}
	}
	t.Log(sum)
	if *simRuns >= 100 && slices.Contains(sum[:], 0) {
		t.Errorf("the simulation is blind to something: %v", sum)
	}
}

// tally counts what runs came to, so that a run that shows nothing is noticed.
type tally [16]int

var tallied = [len(tally{})]string{"statements", "active", "removed", "suspended", "readmitted", "changes", "rivals", "rotated", "cards apart", "forks", "dropped", "rules", "kept out", "lifted", "recovered", "marks"}

func (a *tally) add(b tally) {
	for i := range b {
		a[i] += b[i]
	}
}

func (a tally) String() (out string) {
	for i, n := range a {
		out += fmt.Sprintf("%s %d; ", tallied[i], n)
	}
	return out
}

// sim is one run.
type sim struct {
	t       *testing.T
	seed    uint64
	rng     *rand.Rand
	mesh    protocol.MeshID
	charter *protocol.Statement
	all     []*protocol.Statement
	pins    []protocol.StatementID
	rescue  []protocol.Key // recovery keys
	lines   []protocol.StatementID
	people  []*simOrg
	nodes   []*simNode
	now     int64
}

// simOrg is an organisation with its keys. Its second key is committed in its
// first card.
type simOrg struct {
	name  string
	id    protocol.MemberID
	keys  [2]ed25519.PrivateKey
	stage int
	cards []*protocol.Statement // all it made
	tip   *protocol.Statement   // that it builds upon
	liar  bool
	home  *simNode
}

func (o *simOrg) key() ed25519.PrivateKey { return o.keys[o.stage] }

// simNode keeps statements as node's ledger does.
type simNode struct {
	sim     *sim
	kept    map[protocol.StatementID]*protocol.Statement
	roster  *trust.Roster
	inbox   []*protocol.Statement
	dropped int
}

var simNames = []string{"ann", "bob", "cat", "dan", "eve", "fay", "gil"}

// Keys take longer to make than a run.
var simKeys = func() (out [7][4]ed25519.PrivateKey) {
	for i, name := range simNames {
		for j, suffix := range []string{"", "+", "/1", "/2"} {
			out[i][j] = key(name + suffix)
		}
	}
	return out
}()

var simRescue = [3]ed25519.PrivateKey{key("r1"), key("r2"), key("r3")}

func nodeKey(who, which int) protocol.Key { return protocol.KeyOf(simKeys[who][2+which]) }

var simFeeds = [3]protocol.FeedID{feed("f"), feed("g"), feed("h")}

func runSim(t *testing.T, seed uint64) tally {
	s := &sim{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 1))}
	founders := 2 + s.rng.IntN(3)
	for i, name := range simNames {
		o := &simOrg{name: name, keys: [2]ed25519.PrivateKey(simKeys[i][:2]), liar: s.chance(6)}
		s.people = append(s.people, o)
	}
	var governors []protocol.Key
	for _, o := range s.people[:founders] {
		governors = append(governors, protocol.KeyOf(o.key()))
	}
	for i := range s.rng.IntN(4) {
		s.rescue = append(s.rescue, protocol.KeyOf(simRescue[i]))
	}
	s.charter = s.state(&protocol.Charter{Name: "m", Governors: protocol.Sorted(governors), Threshold: s.most(founders),
		Recovery: protocol.Sorted(s.rescue)}, simKeys[0][0])
	s.mesh = protocol.MeshID(s.charter.ID())
	s.lines = ids{s.charter.ID()}
	for range 3 {
		n := &simNode{sim: s, kept: map[protocol.StatementID]*protocol.Statement{}}
		n.roster = trust.Fold(s.mesh, nil)
		s.nodes = append(s.nodes, n)
	}
	for i, o := range s.people {
		o.home = s.nodes[i%len(s.nodes)]
		s.firstCard(i)
	}
	for _, n := range s.nodes {
		n.plan(s.all[:1+founders])
	}
	for range 8 + s.rng.IntN(30) {
		if o := s.somebody(); s.chance(4) {
			s.govern(o)
		} else {
			s.act(o)
		}
		for range s.rng.IntN(3) {
			s.deliver(s.nodes[s.rng.IntN(len(s.nodes))])
		}
	}
	if s.chance(5) && len(s.lines) > 1 {
		s.pins = ids{s.lines[s.rng.IntN(len(s.lines))]}
	}
	s.heal()
	return s.check()
}

func (s *sim) chance(n int) bool { return s.rng.IntN(n) == 0 }

// most gives a threshold for so many governors.
func (s *sim) most(governors int) uint64 {
	return uint64(governors/2 + 1 + s.rng.IntN(governors-governors/2))
}

// state signs a statement. It reaches nobody yet.
func (s *sim) state(c protocol.Content, by ed25519.PrivateKey) *protocol.Statement {
	s.now++
	if s.chance(8) {
		s.now += int64(s.rng.IntN(3 * 24 * hour))
	}
	st, err := protocol.NewStatement(s.mesh, c, s.now, by)
	if err != nil {
		s.t.Fatalf("seed %d: %s: %v", s.seed, c.Kind(), err)
	}
	s.all = append(s.all, st)
	return st
}

// tell states something at a member's own node and sends it to the others; some of
// that is lost.
func (s *sim) tell(o *simOrg, c protocol.Content) *protocol.Statement {
	st := s.state(c, o.key())
	s.send(o, st)
	return st
}

func (s *sim) send(o *simOrg, st *protocol.Statement) {
	for _, n := range s.nodes {
		if n == o.home {
			n.learn([]*protocol.Statement{st})
		} else if !s.chance(3) {
			n.inbox = append(n.inbox, st)
		}
	}
}

// deliver gives a node some of what waits for it, in any order.
func (s *sim) deliver(n *simNode) {
	s.rng.Shuffle(len(n.inbox), func(i, j int) { n.inbox[i], n.inbox[j] = n.inbox[j], n.inbox[i] })
	some := s.rng.IntN(len(n.inbox) + 1)
	n.learn(n.inbox[:some])
	n.inbox = n.inbox[some:]
}

// heal has every node hear of everything, in an order of its own, until nothing
// changes any more.
func (s *sim) heal() {
	for _, n := range s.nodes {
		n.plan(nil) // with the pins
		heard := slices.Clone(s.all)
		for round := 0; ; round++ {
			s.rng.Shuffle(len(heard), func(i, j int) { heard[i], heard[j] = heard[j], heard[i] })
			if n.learn(heard) == 0 {
				break
			}
			if round == 6 {
				s.t.Errorf("seed %d: a node takes and drops the same statements without end", s.seed)
				return
			}
		}
	}
}

// learn keeps what Accept lets it, again and again, since some of the list only
// become acceptable through others. It gives how many are kept that were not.
func (n *simNode) learn(list []*protocol.Statement) (kept int) {
	for {
		var take, rest []*protocol.Statement
		for _, st := range list {
			switch {
			case n.kept[st.ID()] != nil:
			case n.roster.Accept(st) == nil:
				take = append(take, st)
			default:
				rest = append(rest, st)
			}
		}
		if len(take) == 0 {
			return kept
		}
		before := n.roster
		kept += n.plan(take)
		n.watch(before)
		n.keeps(before)
		list = rest
	}
}

// plan adds statements and drops what is over a bound then.
func (n *simNode) plan(add []*protocol.Statement) (kept int) {
	fresh := map[protocol.StatementID]bool{}
	for _, st := range add {
		fresh[st.ID()] = n.kept[st.ID()] == nil
		n.kept[st.ID()] = st
	}
	for range 4 {
		n.roster = n.fold()
		over := n.roster.Surplus()
		for _, id := range over {
			delete(n.kept, id)
			delete(fresh, id)
		}
		if n.dropped += len(over); len(over) == 0 {
			break
		}
	}
	return len(fresh)
}

func (n *simNode) fold() *trust.Roster {
	list := make([]*protocol.Statement, 0, len(n.kept))
	for _, st := range n.kept { // a map's order differs each time
		list = append(list, st)
	}
	return trust.Fold(n.sim.mesh, list, n.sim.pins...)
}

// watch checks that nobody who was removed came back but by an admission that
// names every removal that counted against it, whatever arrived meanwhile.
func (n *simNode) watch(before *trust.Roster) {
	for _, old := range before.Members {
		m, ok := n.roster.Member(old.ID)
		if !ok {
			n.sim.t.Errorf("seed %d: member %s is forgotten", n.sim.seed, old.Handle)
			continue
		}
		if old.State != trust.StateRemoved || m.State != trust.StateActive || n.roster.Line != before.Line {
			continue
		}
		st := n.kept[m.Admission]
		if p, ok := before.Proposal(old.Removal); ok && p.Kind == protocol.KindRemoval &&
			(st == nil || st.Kind != protocol.KindAdmission || !slices.Contains(st.Doc().(*protocol.Admission).Removed, old.Removal)) {
			n.sim.t.Errorf("seed %d: %s came back in spite of removal %s", n.sim.seed, m.Handle, old.Removal.Short())
		}
	}
}

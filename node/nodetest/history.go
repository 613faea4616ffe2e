package nodetest

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/node/transport/transporttest"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/seal"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
)

// History is a random run of a mesh: shares, crashes, partitions, wrong clocks,
// members that come and go. What happened is kept for the checks after it. What
// each step tries depends on the seed and the number of the step alone.
type History struct {
	*Mesh
	rng *rand.Rand // of the present step

	mu        sync.Mutex                 // guards what the network's filter reads
	down      map[int]bool               // cut off from the network while they go down
	groups    map[int]int                // partition
	mute      map[[2]int]bool            // from, to: nothing passes
	moving    map[int]ed25519.PrivateKey // of nodes that are to take over
	away      map[int]bool               // members that wait to be let in, or in again
	epochs    map[int]epochSet           // what each member held when a disk of its was given up
	before    map[protocol.Hash]*standing
	shares    int
	founded   int       // groups
	inside    []insider // shares with groups
	tried     int
	seconds   int          // further nodes
	ended     map[int]bool // that were retired
	suspended []protocol.MemberID
	until     time.Time // the last suspension ends
	withdrawn []*withdrawal
	restored  int
	rescued   *rescue                  // by recovery keys
	staled    bool                     // governors were away for long
	keys      map[protocol.Key]int     // whose every node key is that was used
	ids       map[int][]*seal.Identity // of the member, what each node kept of them
	log       []string
	writes    sync.WaitGroup
}

// standing is who was out in one roster, and by what, and which nodes of those
// who were in were there no more.
type standing struct {
	out      map[protocol.MemberID]protocol.StatementID
	removals map[protocol.StatementID]bool // that were approved
	ended    map[protocol.Key]bool
}

// Play runs a history of so many steps and heals everything at its end: all
// nodes run, nothing is lost, and all that are in are in step, or the test fails.
func Play(m *Mesh, steps int) *History {
	m.T.Helper()
	h := &History{Mesh: m, down: map[int]bool{}, groups: map[int]int{}, mute: map[[2]int]bool{},
		moving: map[int]ed25519.PrivateKey{}, away: map[int]bool{}, epochs: map[int]epochSet{}, before: map[protocol.Hash]*standing{}, ended: map[int]bool{},
		keys: map[protocol.Key]int{}, ids: map[int][]*seal.Identity{}}
	m.T.Cleanup(func() {
		if m.T.Failed() {
			m.T.Logf("seed %d:\n%s", m.opt.Seed, strings.Join(h.log, "\n"))
		}
	})
	m.copied = map[int]bool{}
	m.Net.Filter(h.passes)
	// While an entry is committed, its writer's roster stays as it is.
	m.wrote = func(p *Member, _ *protocol.Header) { h.noteAt(p.Node) }
	for i := range m.Members {
		h.at(-1 - i)
		h.start(i)
	}
	time.Sleep(3 * time.Second)
	h.at(-1 - len(m.Members))
	h.found(0) // so that there is one to change from the start
	for k := range steps {
		h.at(k)
		h.step()
		h.govern()
		h.let()
		h.note()
		time.Sleep(time.Duration(h.rng.Int64N(int64(3 * time.Second))))
	}
	h.heal()
	return h
}

// at begins a step.
func (h *History) at(k int) { h.rng = rand.New(rand.NewPCG(h.opt.Seed, uint64(int64(k))+1<<20)) }

func (h *History) say(format string, args ...any) {
	h.set(func() { h.log = append(h.log, time.Now().Format("04:05.000 ")+fmt.Sprintf(format, args...)) })
}

// sum says what a check had to look at; go test -v shows it.
func (h *History) sum(format string, args ...any) {
	h.T.Helper()
	h.say(format, args...)
	h.T.Logf(format, args...)
}

// passes is the network's filter.
func (h *History) passes(from, to netip.AddrPort) bool {
	a, b := transporttest.Number(from), transporttest.Number(to)
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.down[a] && !h.down[b] && h.groups[a] == h.groups[b] && !h.mute[[2]int{a, b}]
}

func (h *History) set(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

// steps are what may happen, each as often as its weight says. Some of it is not
// possible at that moment, and then nothing happens.
var steps = []struct {
	weight int
	do     func(h *History, i int)
}{
	{48, (*History).share},
	{2, (*History).burst},
	{4, (*History).crash},
	{4, (*History).crashWriting},
	{3, (*History).stop},
	{12, (*History).start},
	{4, (*History).part},
	{3, (*History).silence},
	{5, (*History).mend},
	{3, (*History).lose},
	{2, (*History).muddle},
	{2, (*History).slow},
	{3, (*History).remove},
	{3, (*History).writeOn},
	{3, (*History).readmit},
	{3, (*History).join},
	{3, (*History).move},
	{1, (*History).elect},
	{2, (*History).recover},
	{3, (*History).stale},
	{2, (*History).found},
	{4, (*History).regroup},
	{1, (*History).quit},
	{8, (*History).confide},
	{3, (*History).distrust},
	{2, (*History).second},
	{2, (*History).retire},
	{2, (*History).age},
	{1, (*History).rotate},
	{1, (*History).restore},
	{2, (*History).suspend},
	{1, (*History).rules},
	{3, (*History).withdraw},
	{2, (*History).carryOver},
	{1, (*History).putBackOlder},
	{1, (*History).useTwice},
}

func (h *History) step() {
	i, sum := h.rng.IntN(len(h.Members)), 0
	for _, s := range steps {
		sum += s.weight
	}
	n := h.rng.IntN(sum)
	for _, s := range steps {
		if n -= s.weight; n < 0 {
			s.do(h, i)
			return
		}
	}
}

// share shares from a running node, in the background: it may have to wait for
// an epoch.
func (h *History) share(i int) { h.shareSome(i, 1) }

// burst shares more than is gossiped.
func (h *History) burst(i int) {
	count := 80
	if h.opt.Open != nil {
		count = 10
	}
	h.shareSome(i, count)
}

func (h *History) shareSome(i, count int) {
	p := h.Members[i]
	if p.Node == nil {
		return
	}
	h.shares++
	names := make([]string, count)
	for k := range names {
		names[k] = fmt.Sprintf("share-%d-%d.com", h.shares, k)
	}
	h.say("share %d: %d by %d", h.shares, count, i)
	n, alive := p.Node, p.alive
	h.writes.Add(1)
	go func() {
		defer h.writes.Done()
		for _, name := range names {
			a, err := h.writeNarrow(p, n, name)
			// What a crashed node had not answered was not acknowledged.
			if err != nil || !alive.Load() {
				h.say("%s by %d is not acknowledged: %v", name, i, err)
				return
			}
			h.acknowledge(a)
		}
	}()
}

// note remembers the rosters of all running nodes.
func (h *History) note() {
	for _, p := range h.Members {
		if p.Node != nil {
			h.noteAt(p.Node)
			p.seen.Store(&sight{p.Node, p.Node.Roster()})
		}
	}
}

// noteAt remembers a node's roster: who was out in it.
func (h *History) noteAt(n *node.Node) {
	r := n.Roster()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.before[r.Digest()] == nil {
		s := &standing{map[protocol.MemberID]protocol.StatementID{}, map[protocol.StatementID]bool{}, map[protocol.Key]bool{}}
		for _, p := range r.Proposals {
			s.removals[p.ID] = removes(p)
		}
		for _, m := range r.DepartedMembers() {
			if m.Until == 0 { // of a suspension the digest does not tell
				s.out[m.ID] = m.Removal
			}
		}
		for key := range h.keys {
			m, ok := r.Author(key)
			s.ended[key] = ok && m.State == trust.StateActive && !slices.Contains(m.Nodes, key)
		}
		h.before[r.Digest()] = s
	}
}

// removes reports whether a proposal is a removal that was approved.
func removes(p *trust.Proposal) bool {
	return p.Kind == protocol.KindRemoval && (p.State == trust.ProposalDone || p.State == trust.ProposalSuspends)
}

// How many times ten seconds a mesh gets to come to rest. Nodes ask for what they
// lack of groups every five minutes.
const (
	restLeast = 3
	restMost  = 45
)

// rested reports whether all who are in are connected, see one roster and the same
// groups, are fresh as far as they can be, and have nothing left to sign.
func (h *History) rested() bool {
	in := h.In()
	if _, rivals := h.groupsSeen(in); len(rivals) > 0 || len(h.staleStill(in)) > 0 {
		return false
	}
	keys := map[protocol.Key]bool{}
	for _, i := range in {
		keys[protocol.KeyOf(h.Members[i].nodeKey)] = true
	}
	first := h.Members[0].Node.Roster()
	for _, i := range in {
		n := h.Members[i].Node
		if n.Roster().Digest() != first.Digest() {
			return false
		}
		for _, p := range n.Status(time.Time{}).Peers {
			if keys[p.Node] && !p.Up {
				return false
			}
		}
	}
	return !slices.ContainsFunc(first.Proposals, func(p *trust.Proposal) bool { return len(first.Signers(p)) > 0 && !p.Stuck })
}

// heal ends all faults and lets everybody come to rest.
func (h *History) heal() {
	h.at(1 << 19)
	h.set(func() { clear(h.groups); clear(h.mute); clear(h.down) })
	h.Net.Lose(0)
	h.Net.Double(0)
	h.Net.Spread(0)
	for i := range h.Members {
		h.Net.Slow(h.Members[i].At, transporttest.Link{})
		if h.Members[i].Node == nil && !h.away[i] {
			h.start(i)
		}
	}
	h.say("all healed")
	if h.rescued != nil { // whoever threw a disk away may have lost them
		h.handIn(0, append(h.rescued.by, h.rescued.change)...)
	}
	h.writes.Wait()
	time.Sleep(max(0, time.Until(h.until)))
	h.sweep()
	for k := 0; k < restLeast || k < restMost && !h.rested(); k++ {
		time.Sleep(10 * time.Second)
		h.govern()
		h.let()
		h.note()
	}
	h.Settle(10*time.Minute, h.In()...)
	h.note()
}

// In are the indexes of the nodes that are in and run, as the founder sees it.
func (h *History) In() (out []int) {
	r := h.Members[0].Node.Roster()
	for i, p := range h.Members {
		m, ok := r.ByNode(protocol.KeyOf(p.nodeKey))
		if ok && m.ID == p.ID && p.Node != nil {
			out = append(out, i)
		}
	}
	return out
}

// epochSet is epochs by ID.
type epochSet map[protocol.EpochID]heldEpoch

type heldEpoch struct {
	*protocol.Epoch
	key *seal.Identity
}

// opens reports whether an entry is sealed to the epoch.
func (x heldEpoch) opens(e *store.Entry) bool {
	if protocol.TagFor(x.Identity, x.Audience, e.Header.Feed) != e.Header.Tag {
		return false
	}
	_, err := seal.OpenBundle(e.Payload, x.key)
	return err == nil
}

// keep adds the epochs that a member's store holds to those it once held.
func (h *History) keep(i int) {
	if h.epochs[i] == nil {
		h.epochs[i] = epochSet{}
	}
	p := h.Members[i]
	h.must(h.held(p).Settings("epoch/", func(_ string, raw []byte) error {
		e, err := protocol.ParseEpoch(raw)
		if err != nil {
			return err
		}
		return h.epochs[i].add(e)
	}))
	h.must(h.held(p).Settings("private/age/", func(_ string, raw []byte) error {
		var o protocol.Own
		if err := protocol.Unmarshal(raw, protocol.MaxOpened, &o); err != nil || len(o.Value) == 0 {
			return err
		}
		return h.keepIdentity(i, string(o.Value))
	}))
	h.must(h.held(p).Settings("next-age/", func(_ string, raw []byte) error { return h.keepIdentity(i, string(raw)) }))
}

func (h *History) keepIdentity(i int, text string) error {
	id, err := seal.ParseIdentity(text)
	if err == nil && !slices.ContainsFunc(h.ids[i], func(x *seal.Identity) bool { return x.String() == text }) {
		h.ids[i] = append(h.ids[i], id)
	}
	return err
}

func (s epochSet) add(e *protocol.Epoch) error {
	id, err := seal.ParseIdentity(e.Identity)
	if err == nil {
		s[e.ID()] = heldEpoch{e, id}
	}
	return err
}

// write shares one value and gives what was acknowledged.
func (m *Mesh) write(i int, n writer, names ...string) (Acked, error) {
	return m.writeAs(m.Members[i], n, names...)
}

func (m *Mesh) writeAs(p *Member, n writer, names ...string) (Acked, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	bundle, values := p.bundle(names)
	places, err := n.Write(ctx, [][]byte{bundle}, "green")
	a := Acked{By: p.Index, Places: places, Values: values}
	if n, ok := n.(*node.Node); ok && len(places) > 0 {
		a.Node = n.Key()
		if h, err := n.Store().Header(places[0]); err == nil {
			a.Payload = h.Payload
		}
	}
	return a, err
}

type writer interface {
	Write(ctx context.Context, bundles [][]byte, tlp string) ([]store.Place, error)
}

// Package nodetest runs whole meshes in a test: real nodes with a memory store
// over a simulated network, in virtual time, and checks what they hold against
// the invariants.
package nodetest

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tipmesh/tipmesh/internal/stix"
	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/node/transport"
	"github.com/tipmesh/tipmesh/node/transport/transporttest"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
	"github.com/tipmesh/tipmesh/protocol/seal"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
	"github.com/tipmesh/tipmesh/store/memory"
)

// Options describe a mesh.
type Options struct {
	Nodes   int
	Seed    uint64
	Network transporttest.Options
	Feed    uint64    // entries in a feed before another is begun; 0: as always
	Log     io.Writer // of every node, at debug level; nil: none
	// Open opens stores on the real disk, in a folder for each; nil: they are in
	// memory.
	Open  func(dir string) (store.Store, error)
	Rules protocol.Rules // house rules, but for the TLP
	Quota node.Quota     // of the disk of each node; read when it starts
	Exact bool           // in histories: all clocks are right, and members are suspended
	// Recovery is how many recovery keys the charter has.
	Recovery int
}

// Mesh is a mesh of members with one node each. Member 0 founds it and is its
// only governor.
type Mesh struct {
	T       testing.TB
	Net     *transporttest.Network
	ID      protocol.MeshID
	Members []*Member
	opt     Options
	line    protocol.StatementID
	all     []*protocol.Statement

	copied map[int]bool                    // their home was put back or used twice
	wrote  func(*Member, *protocol.Header) // sees every entry that a node is about to write; nil: nobody does

	mu    sync.Mutex
	acked []Acked
}

// Member is one organisation and its node.
type Member struct {
	Index   int
	ID      protocol.MemberID
	Handle  string
	Store   *memory.Store         // unless Options.Open says otherwise
	Node    *node.Node            // nil while stopped
	At      int                   // its number in the network; Index unless moved
	Clock   time.Duration         // how far its clock is ahead; read when it starts
	runs    int                   // how often it was started
	alive   *atomic.Bool          // false once the run that began last has crashed
	disk    *disk                 // the store of the node that runs
	wire    *transport.Transport  // its transport
	seen    atomic.Pointer[sight] // of its roster some time ago; nil: none
	dir     string                // where it is, if Options.Open made it
	porch   *porch                // where its joiners knock
	Author  stix.Author
	nodeKey ed25519.PrivateKey
	key     ed25519.PrivateKey                 // nil: of a further node
	present atomic.Pointer[ed25519.PrivateKey] // key, once another has taken over
	taken   int                                // how many member keys took over
	first   *Member                            // whose further node it is; nil: it is the first
	age     *seal.Identity
	former  []*seal.Identity                  // age identities before it, oldest first
	nodeAge *seal.Identity                    // nil: none
	next    func() (protocol.CardNode, error) // as node.Config.NextNode
	card    *protocol.Statement
	stop    context.CancelFunc
	done    chan error
}

// sight is a roster that a node had.
type sight struct {
	n *node.Node
	r *trust.Roster
}

// Acked is a share that a node acknowledged.
type Acked struct {
	By      int
	Node    protocol.Key
	Payload protocol.Hash // of the entry at the first place
	Places  []store.Place
	Values  []store.Value
	For     []protocol.MemberID // who has to know it; nil: whoever is in
	Never   []protocol.MemberID // who must not: its author's trust list left them out
	Without []protocol.MemberID // who must not while they are suspended
	At      time.Time
}

// Run runs f with a mesh in a bubble of virtual time, with one processor, as
// simulated networks want it (golang/go issue 78156), and stops all nodes.
func Run(t *testing.T, o Options, f func(t *testing.T, m *Mesh)) {
	t.Helper()
	// What the packages below make once and share must not be made in a bubble.
	id, err := seal.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	payload, err := seal.Bundle([]byte("{}"), id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := seal.OpenBundle(payload, id); err != nil {
		t.Fatal(err)
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, func(t *testing.T) {
		m := New(t, o)
		defer m.StopAll()
		f(t, m)
	})
}

func seeded(seed uint64, what string, i int) ed25519.PrivateKey {
	b := binary.BigEndian.AppendUint64([]byte(what), seed)
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(b, uint64(i)))
	return ed25519.NewKeyFromSeed(sum[:])
}

// New founds a mesh whose members are all admitted, and starts no node yet.
func New(t testing.TB, o Options) *Mesh {
	t.Helper()
	o.Network.Seed = o.Seed
	m := &Mesh{T: t, Net: transporttest.NewNetwork(o.Network), opt: o}
	for i := range o.Nodes {
		p := &Member{Index: i, At: i, Handle: fmt.Sprintf("m%d", i), Store: memory.New(),
			nodeKey: seeded(o.Seed, "node", i), key: seeded(o.Seed, "member", i)}
		id, err := seal.NewIdentity()
		m.must(err)
		p.age = id
		p.nodeAge, err = seal.NewIdentity()
		m.must(err)
		m.Members = append(m.Members, p)
	}
	founder := m.Members[0]
	charter := m.sign(0, protocol.MeshID{}, &protocol.Charter{Name: "test", Threshold: 1,
		Governors: []protocol.Key{protocol.KeyOf(founder.key)}, Recovery: m.recoveryKeys(), Rules: m.rules()})
	m.ID, m.line = protocol.MeshID(charter.ID()), charter.ID()
	for i := range m.Members {
		m.introduce(i)
		if i > 0 {
			m.Admit(i)
		}
	}
	t.Cleanup(m.Net.Close)
	return m
}

func (m *Mesh) rules() protocol.Rules {
	r := m.opt.Rules
	r.TLP = "green"
	return r
}

func (m *Mesh) must(err error) {
	m.T.Helper()
	if err != nil {
		m.T.Fatal(err)
	}
}

// sign signs a statement by a member and adds it to those every node starts with.
func (m *Mesh) sign(by int, mesh protocol.MeshID, c protocol.Content) *protocol.Statement {
	m.T.Helper()
	s, err := protocol.NewStatement(mesh, c, time.Now().UnixMilli(), m.Members[by].key)
	m.must(err)
	m.all = append(m.all, s)
	return s
}

// introduce makes the member's first card.
func (m *Mesh) introduce(i int) {
	p := m.Members[i]
	identity := fmt.Sprintf("identity--%08d-0000-4000-8000-%012d", i, m.opt.Seed%1e12)
	next := protocol.KeyOf(m.nextKey(i, 0))
	p.card = m.sign(i, m.ID, &protocol.Card{Version: 1, Handle: p.Handle, Name: "Member " + p.Handle, Contact: "c@" + p.Handle,
		Identity: identity, Recipient: p.age.Recipient(), NextKey: protocol.HashOf(next[:]), Nodes: []protocol.CardNode{{Key: protocol.KeyOf(p.nodeKey), Recipient: p.nodeAge.Recipient()}}})
	p.ID = protocol.MemberID(p.card.ID())
	p.Author = stix.Author{ID: identity, Name: p.Handle, Created: time.Now()}
}

// Admit has the founder admit a member, before nodes run.
func (m *Mesh) Admit(i int) {
	admission := m.sign(0, m.ID, &protocol.Admission{Member: m.Members[i].ID, Line: m.line})
	m.sign(0, m.ID, &protocol.Approval{Subject: admission.ID()})
}

// Start starts a member's node on what its store holds.
func (m *Mesh) Start(i int) {
	m.T.Helper()
	p := m.Members[i]
	p.seen.Store(nil)
	m.must(m.open(p))
	_, err := p.disk.Store.Commit(context.Background(), &store.Commit{Statements: m.all})
	m.must(err)
	log := slog.New(slog.DiscardHandler)
	if m.opt.Log != nil {
		log = slog.New(slog.NewTextHandler(m.opt.Log, &slog.HandlerOptions{Level: slog.LevelDebug})).With("at", p.Handle)
	}
	tr, err := transport.New(transport.Config{Key: p.nodeKey, Mesh: m.ID, Listen: []string{m.Net.Address(p.At)}, Packets: m.Net.Packets, Log: log})
	m.must(err)
	p.wire = tr
	ahead := p.Clock
	p.Node, err = node.New(node.Config{Mesh: m.ID, Member: p.ID, NodeKey: p.nodeKey, MemberKey: p.key, LoadMemberKey: p.presentKey,
		MemberAge: append(slices.Clone(p.former), p.age), NodeAge: p.nodeAge, NextNode: p.next, Store: p.disk, Transport: tr, Log: log, FeedEntries: m.opt.Feed,
		Now: func() time.Time { return time.Now().Add(ahead) }, Sync: replica.Config{Seed: m.opt.Seed + uint64(i)}, Invite: p.invite, Quota: m.opt.Quota})
	m.must(err)
	var others []replica.NodeAddresses
	for j, q := range m.Members {
		if j != i {
			others = append(others, replica.NodeAddresses{Node: protocol.KeyOf(q.nodeKey), Addresses: []string{m.Net.Address(q.At)}})
		}
	}
	p.Node.Introduce(others)
	p.runs++
	p.alive = new(atomic.Bool)
	p.alive.Store(true)
	ctx, cancel := context.WithCancel(context.Background())
	p.stop, p.done = cancel, make(chan error, 1)
	started := make(chan struct{})
	go func() { p.done <- p.Node.Run(ctx, func() { close(started) }) }()
	<-started
	synctest.Wait()
}

// presentKey is node.Config.LoadMemberKey.
func (p *Member) presentKey() ed25519.PrivateKey {
	if key := p.present.Load(); key != nil {
		return *key
	}
	return nil
}

// StartAll starts every node.
func (m *Mesh) StartAll() {
	m.T.Helper()
	for i := range m.Members {
		m.Start(i)
	}
}

// Stop stops a node cleanly; its store stays.
func (m *Mesh) Stop(i int) {
	m.T.Helper()
	p := m.Members[i]
	if p.Node == nil {
		return
	}
	p.stop()
	m.must(<-p.done)
	p.Node = nil
	m.must(m.close(p))
}

// Crash stops a node as a kill would: what its store had made durable before
// stays, whatever it does while it goes down is lost.
func (m *Mesh) Crash(i int) {
	m.T.Helper()
	m.Members[i].alive.Store(false)
	left, err := m.image(m.Members[i])
	m.must(err)
	m.Stop(i)
	m.putBack(m.Members[i], left)
}

// StopAll stops every node.
func (m *Mesh) StopAll() {
	for i := range m.Members {
		m.Stop(i)
	}
}

// bundle makes a bundle of indicators of domains.
func (p *Member) bundle(names []string) ([]byte, []store.Value) {
	h := stix.Handling{TLP: stix.TLPGreen, Action: stix.ActionDetect}
	objs := []stix.Object{p.Author.Identity(), stix.TLPGreen.Marking()}
	var values []store.Value
	for _, n := range names {
		objs = append(objs, stix.NewIndicator(p.Author, "domain", n, h, time.Now()))
		values = append(values, store.Value{Type: "domain", Text: n})
	}
	return stix.AppendBundle(nil, "", objs), values
}

// Share shares one bundle of indicators of domains with everyone, and remembers
// it as acknowledged.
func (m *Mesh) Share(i int, names ...string) error {
	a, err := m.write(i, m.Members[i].Node, names...)
	if err == nil {
		m.acknowledge(a)
	}
	return err
}

// acknowledge remembers a share; several goroutines may share at a time.
func (m *Mesh) acknowledge(a Acked) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.acked = append(m.acked, a)
}

// acknowledged is how many shares are remembered.
func (m *Mesh) acknowledged() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.acked)
}

// Remove has the founder's node remove a member.
func (m *Mesh) Remove(i int) {
	m.T.Helper()
	f := m.Members[0].Node
	member, ok := f.Roster().Member(m.Members[i].ID)
	if !ok {
		m.T.Fatalf("member %d is unknown", i)
	}
	removal, err := f.State(&protocol.Removal{Member: member.ID, Admission: member.Admission, Line: f.Roster().Line, Why: "test", Cuts: f.Heads(member.ID)})
	m.must(err)
	_, err = f.State(&protocol.Approval{Subject: removal.ID()})
	m.must(err)
}

// Settle waits, in virtual time, until the given nodes are in step with their
// neighbours, or fails.
func (m *Mesh) Settle(within time.Duration, nodes ...int) {
	m.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	for _, i := range nodes {
		since, n := time.Now().Add(m.Members[i].Clock), m.Members[i].Node
		err := n.WaitInStep(ctx)
		for err == nil && !n.Status(since).InStep { // a neighbour has still to give what it holds
			time.Sleep(100 * time.Millisecond)
			err = ctx.Err()
		}
		if err != nil {
			m.T.Errorf("node %d is not in step after %v: %v", i, within, err)
		}
	}
}

// All are the indexes of the running nodes.
func (m *Mesh) All() (out []int) {
	for i, p := range m.Members {
		if p.Node != nil {
			out = append(out, i)
		}
	}
	return out
}

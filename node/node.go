package node

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
	"github.com/tipmesh/tipmesh/protocol/seal"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
)

// Agent is what a node calls itself to its neighbours.
const Agent = "tipmesh/0.1"

// Errors that callers branch on.
var (
	ErrNotMember   = errors.New("this node's member is not in the mesh")
	ErrNoMemberKey = errors.New("the member key is not on this machine")
	ErrNobody      = errors.New("nobody would receive this")
	ErrStopped     = errors.New("this node must not write")
	ErrRenewed     = errors.New("this home's node has got a new key: open the home again")
)

// Config is what a node runs on. All fields without a default are required.
type Config struct {
	Mesh      protocol.MeshID
	Member    protocol.MemberID
	NodeKey   ed25519.PrivateKey
	MemberKey ed25519.PrivateKey // nil where it is kept offline
	// LoadMemberKey looks again for a member key, since the one above may have been
	// replaced, or brought back. It may be nil, and give nil.
	LoadMemberKey func() ed25519.PrivateKey
	// NextNode makes the keys of a node to take this one's place, or gives those made
	// before, as the card is to name them: see Node.Renews. Nil where it cannot.
	NextNode  func() (protocol.CardNode, error)
	MemberAge []*seal.Identity // those of the key file, newest last; more may have come since
	NodeAge   *seal.Identity   // this node's own, for what the member's nodes keep in common; nil: none
	Store     store.Store
	Transport Transport
	Log       *slog.Logger
	Now       func() time.Time // default time.Now
	Sync      replica.Config   // times of the sync machine
	// Invite opens the short-lived host for joiners with a key and at a port, 0
	// for one that is free: see Node.Invite. Nil where the node cannot invite.
	Invite func(key ed25519.PrivateKey, port string, serve func(Stream)) (JoinHost, error)
	// FeedEntries is how many entries a feed of this node's gets before another
	// is begun; default 65,536.
	FeedEntries uint64
	// Quota bounds the disk that what others wrote takes.
	Quota Quota
	// OnIndexed is called after each batch that the index has taken in.
	OnIndexed func(checkpoint uint64)
}

// Node is a running member node.
type Node struct {
	cfg       Config
	mesh      protocol.MeshID
	key       protocol.Key
	store     store.Store
	transport Transport
	log       *slog.Logger
	now       func() time.Time

	ledger   *ledger
	view     *view
	keys     *keys
	groups   *groups
	trust    *trustBook
	refused  *counters
	book     *addressBook
	links    *links
	park     *park
	census   *census
	quota    *quota
	talk     talk
	opened   *openedCache
	pulse    *pulse
	tickets  *tickets
	ran      *runningTime
	receipts *receipts
	looked   looks
	erasures erasures
	leaving  leaving
	unkept   atomic.Uint64 // what letters said that could not be stored
	events   chan func(*replica.Machine, time.Time)
	gossip   chan incoming
	started  time.Time
	own      atomic.Bool // writing may begin: see lookForOwn
	heard    atomic.Bool // a restored node has heard from the others: see heardSince

	// gate is held for reading while an entry of this node's own is made durable
	// and for writing while the roster or the trust list changes, so that no
	// entry is written for readers that are known to have gone.
	gate   sync.RWMutex
	writer sync.Mutex // one writer of this node's feeds at a time
	card   sync.Mutex // one change of the member's card at a time
	halted halt

	ownNodes

	branches branches

	digests digestLog
	turned  chan struct{} // the roster may change with time: see keepTime
	remark  chan struct{} // and there may be a mark to sign: see marking

	ctx  context.Context
	stop context.CancelCauseFunc
	wg   sync.WaitGroup
}

// New opens a node over its store. It reads everything it needs and writes
// nothing.
func New(cfg Config) (*Node, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.FeedEntries == 0 {
		cfg.FeedEntries = feedEntries
	}
	n := &Node{
		cfg: cfg, mesh: cfg.Mesh, key: protocol.KeyOf(cfg.NodeKey), store: cfg.Store, transport: cfg.Transport,
		log: cfg.Log, now: cfg.Now, ledger: newLedger(cfg.Mesh, cfg.Now), refused: newCounters(), pulse: newPulse(),
		opened: newOpenedCache(), events: make(chan func(*replica.Machine, time.Time), eventQueue),
		gossip: make(chan incoming, gossipQueue), park: newPark(), census: newCensus(cfg.Store), started: cfg.Now(),
	}
	n.quota = newQuota(cfg.Quota, cfg.Member, cfg.Store)
	n.carded, n.turned, n.remark = make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{}, 1)
	n.leaving.wake = make(chan struct{}, 1)
	n.view = &view{n: n}
	n.links = &links{n: n, byNode: map[protocol.Key]*link{}, last: map[protocol.Key]*link{}}
	n.tickets = &tickets{n: n}
	if cfg.MemberKey != nil {
		n.member.Store(&cfg.MemberKey)
	}
	var err error
	var list []*protocol.Statement
	if err = cfg.Store.Statements(func(s *protocol.Statement) error {
		list = append(list, s)
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read statements: %w", err)
	}
	if list, err = loadMarks(cfg.Store, list); err != nil {
		return nil, err
	}
	if n.ledger.pins, err = loadPins(cfg.Store); err != nil {
		return nil, err
	}
	if err = n.digests.load(cfg.Store); err != nil {
		return nil, err
	}
	n.ledger.follow(n.ledger.plan(list...))
	if n.trust, err = loadTrust(n.store); err != nil {
		return nil, err
	}
	if n.private, err = loadPrivate(n.store); err != nil {
		return nil, err
	}
	n.private.vital = n.presentAge
	if err = n.loadAge(); err != nil {
		return nil, err
	}
	if err = n.halted.load(n.store); err != nil {
		return nil, err
	}
	if n.keys, err = loadKeys(n.store, n.mesh); err != nil {
		return nil, err
	}
	if n.ran, err = loadRunningTime(n.store); err != nil {
		return nil, err
	}
	if err = n.countErasures(); err != nil {
		return nil, fmt.Errorf("read erasures: %w", err)
	}
	if n.receipts, err = loadReceipts(n.store); err != nil {
		return nil, err
	}
	if n.groups, err = loadGroups(n.store, n.mesh, n.key); err != nil {
		return nil, err
	}
	if n.book, err = loadAddresses(n.store, n.key); err != nil {
		return nil, err
	}
	return n, nil
}

// Run starts the transport and everything that runs, and returns when ctx ends
// and all of it has stopped, or with an error when the node cannot go on.
// started is called once the node listens.
func (n *Node) Run(ctx context.Context, started func()) error {
	n.ctx, n.stop = context.WithCancelCause(ctx)
	defer n.stop(nil)
	if err := n.readDirectFeeds(); err != nil {
		return err
	}
	// The node may have stopped after an epoch was kept and before what waited
	// for it was opened.
	n.releaseReadable()
	n.allowRoster()
	if err := n.transport.Start(n); err != nil {
		return fmt.Errorf("start transport: %w", err)
	}
	n.spawn(n.engine)
	n.spawn(n.redial)
	n.spawn(n.index)
	n.spawn(n.takeGossip)
	n.spawn(n.seekEpochs)
	n.spawn(n.giveReceipts)
	n.spawn(n.sweeping)
	n.spawn(n.watchLeaving)
	n.spawn(n.book.keep(n.ctx, n.now))
	n.spawn(n.lookForOwn)
	n.groupsChanged() // the node may have stopped before it did what they ask of it
	n.spawn(n.finishRestore)
	n.spawn(n.dropVoided) // the node may have stopped half way
	n.spawn(n.tellOwn)
	n.spawn(n.followCard)
	n.spawn(n.keepTime)
	n.spawn(n.marking)
	n.tickets.reopen()
	if started != nil {
		started()
	}
	<-n.ctx.Done()
	n.tickets.close()
	err := n.transport.Close()
	n.wg.Wait()
	if err != nil {
		err = fmt.Errorf("stop transport: %w", err)
	}
	if cause := context.Cause(n.ctx); ctx.Err() == nil {
		err = errors.Join(cause, err)
	}
	return err
}

// spawn runs f until the node stops, and Run waits for it.
func (n *Node) spawn(f func()) {
	n.wg.Add(1)
	go func() {
		defer n.wg.Done()
		f()
	}()
}

// Roster is the roster as this node sees it. The caller must not change it.
func (n *Node) Roster() *trust.Roster { return n.ledger.roster.Load() }

// Mesh is the mesh's ID, Member this node's member and Key its own key.
func (n *Node) Mesh() protocol.MeshID { return n.mesh }

// Member is the member that this node belongs to.
func (n *Node) Member() protocol.MemberID { return n.cfg.Member }

// Key is this node's key.
func (n *Node) Key() protocol.Key { return n.key }

// Store is the node's store, for reading.
func (n *Node) Store() store.Store { return n.store }

// Addresses are where others can reach this node.
func (n *Node) Addresses() []string { return n.transport.Addresses() }

// active reports whether this node's own member is in.
func (n *Node) active() bool {
	m, ok := n.Roster().Member(n.cfg.Member)
	return ok && m.State == trust.StateActive
}

// allowRoster tells the transport who may be connected.
func (n *Node) allowRoster() {
	var nodes []protocol.Key
	if n.active() {
		for _, m := range n.Roster().Active() {
			for _, k := range m.Nodes {
				if k != n.key {
					nodes = append(nodes, k)
				}
			}
		}
	}
	n.transport.Allow(nodes)
}

// pulse wakes everybody who waits for some change of the node's state.
type pulse struct {
	mu sync.Mutex
	ch chan struct{}
}

func newPulse() *pulse { return &pulse{ch: make(chan struct{})} }

// wait gives a channel that closes at the next change.
func (p *pulse) wait() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ch
}

func (p *pulse) beat() {
	p.mu.Lock()
	close(p.ch)
	p.ch = make(chan struct{})
	p.mu.Unlock()
}

// until waits until done gives true, looking again at every change. It fails
// when the node stops.
func (n *Node) until(ctx context.Context, done func() bool) error {
	for {
		ch := n.pulse.wait()
		if done() {
			return nil
		}
		select {
		case <-ch:
		case <-ctx.Done():
			return ctx.Err()
		case <-n.context().Done():
			return context.Cause(n.context())
		}
	}
}

// Reasons why something was refused, dropped or left out: the closed list of
// the answers' skipped reasons, as far as nodes use it.
const (
	ReasonMalformed   = "malformed"
	ReasonDuplicate   = "duplicate"
	ReasonTooLarge    = "too_large"
	ReasonUnreadable  = "unreadable"
	ReasonQuota       = "quota"
	ReasonNotAdmitted = "not_admitted"
	ReasonTLP         = "tlp_reach"
	ReasonHeld        = "held"
	ReasonExpired     = "expired"
	ReasonRevoked     = "revoked"
)

// counters counts what was refused, by reason.
type counters struct {
	mu sync.Mutex
	by map[string]uint64
}

func newCounters() *counters { return &counters{by: map[string]uint64{}} }

func (c *counters) add(reason string, n int) {
	if n == 0 {
		return
	}
	c.mu.Lock()
	c.by[reason] += uint64(n)
	c.mu.Unlock()
}

func (c *counters) all() map[string]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make(map[string]uint64, len(c.by))
	for k, v := range c.by {
		out[k] = v
	}
	return out
}

package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
)

// The words of a Status: how this node stands.
const (
	Well   = "WELL"
	Look   = "LOOK"
	Broken = "BROKEN"
)

// Status is how a node stands.
type Status struct {
	State      string // WELL, LOOK or BROKEN
	Membership string // active, removed, suspended or unknown
	Until      int64  // end of this member's suspension, as far as it has one
	Fresh      Freshness
	Peers      []Peer // the other nodes of the roster
	InStep     bool   // everything the neighbours told of is held here
	Unreadable int    // entries whose epoch this member was not given
	Erased     uint64 // payloads that went for good: headers are held
	Refused    map[string]uint64
	Forks      []*trust.Fork
	Alerts     []string
	Entries    uint64
	Objects    uint64
	Bytes      uint64
	Indexed    uint64 // arrivals the index includes,
	Arrivals   uint64 // of so many
	Statements int
	Started    time.Time
	Halted     string
	Queues     []Queue
	Tried      uint64 // tags of entries that were held against every epoch
	Quotas     QuotaStatus
}

// Peer is another node of the roster.
type Peer struct {
	Node   protocol.Key
	Member protocol.MemberID
	Handle string
	Up     bool
	Behind uint64 // entries held here that it has not said it holds
	// Undelivered counts feeds of which it says it holds more than this node, was
	// asked, and did not give it.
	Undelivered int
	SkewMS      int64
	Heard       int64 // milliseconds since 1970; 0: never
	Agent       string
}

// Status reports how the node stands now. With a since, InStep only counts what
// neighbours said after it.
func (n *Node) Status(since time.Time) Status {
	r := n.Roster()
	s := Status{State: Well, Membership: "unknown", Refused: n.refused.all(), Unreadable: n.keys.unreadable(),
		Objects: n.store.Index().Count(), Bytes: n.store.Size() + n.store.Index().Size(), Indexed: n.store.Index().Checkpoint(),
		Arrivals: n.store.LastArrival(), Statements: len(n.ledger.statements()), Started: n.started, Halted: n.halted.get(), Queues: n.queues(), Tried: n.keys.tried()}
	if m, ok := r.Member(n.cfg.Member); ok {
		s.Membership, s.Until = string(m.State), m.Until
	}
	for _, f := range n.store.Feeds() {
		s.Entries += f.Head
		s.Erased += store.Ranges(f.Erased).Count()
	}
	for _, m := range r.Members {
		for _, k := range m.Nodes {
			if fork, ok := r.Fork(k); ok && !fork.Resolved {
				s.Forks = append(s.Forks, fork)
			}
		}
	}
	s.Fresh, s.Peers = n.Freshness(), n.peers()
	told := n.inStep(since, &s)
	s.Quotas = n.Quotas()
	s.InStep = told && s.Quotas.Absent() == 0 && !slices.ContainsFunc(s.Peers, func(p Peer) bool { return p.Undelivered > 0 })
	n.judge(&s)
	return s
}

// peers lists the other nodes and asks the machine how far each is behind.
func (n *Node) peers() []Peer {
	var out []Peer
	for _, m := range n.Roster().Active() {
		for _, k := range m.Nodes {
			if k == n.key {
				continue
			}
			c := n.book.get(k)
			out = append(out, Peer{Node: k, Member: m.ID, Handle: m.Handle, Up: n.links.up(k), SkewMS: c.skew, Heard: c.heard, Agent: c.agent})
		}
	}
	feeds := n.store.Feeds()
	n.consult(func(machine *replica.Machine, _ time.Time) {
		for i := range out {
			for _, f := range feeds {
				theirs, _ := machine.State(out[i].Node, f.ID)
				if theirs.Head < f.Head {
					out[i].Behind += f.Head - theirs.Head
				}
				out[i].Behind += lacking(&theirs, f)
			}
		}
	})
	return out
}

// inStep asks whether every neighbour has told of all it holds, and all of it is
// here but for what one claims and does not give, which it counts. A node whose
// roster has others but that is linked to none is not.
func (n *Node) inStep(since time.Time, s *Status) bool {
	connected := n.links.connected()
	if len(connected) == 0 {
		return len(s.Peers) == 0
	}
	all := true
	ok := n.consult(func(m *replica.Machine, _ time.Time) {
		for _, k := range connected {
			ok, undelivered := m.InStep(k, since)
			all = all && ok
			if at := slices.IndexFunc(s.Peers, func(p Peer) bool { return p.Node == k }); at >= 0 {
				s.Peers[at].Undelivered = undelivered
			}
		}
	})
	return ok && all && s.Indexed == s.Arrivals
}

func (n *Node) judge(s *Status) {
	alert := func(state, text string) {
		if s.State != Broken {
			s.State = state
		}
		s.Alerts = append(s.Alerts, text)
	}
	switch {
	case s.Until != 0:
		alert(Broken, "this node's member is suspended until "+time.UnixMilli(s.Until).UTC().Format("2006-01-02 15:04 UTC"))
	case s.Membership != string(trust.StateActive):
		alert(Broken, "this node's member is "+s.Membership)
	}
	if s.Fresh.Stale {
		alert(Look, fmt.Sprintf("STALE: %d of the %d governors needed have marked this roster lately: somebody may have been removed or suspended and this node not heard of it; it hands no keys on", s.Fresh.Marks, s.Fresh.Needs))
	}
	if s.Halted != "" {
		alert(Broken, s.Halted+"; tipmesh card node renew gives it a new key")
	}
	if n.full() {
		alert(Broken, "disk full: nothing is shared or fetched until there is room on the disk of this home")
	}
	if a := n.restoredAlert(); a != "" {
		alert(Look, a)
	}
	for _, a := range n.Roster().Alarms {
		// A proposal that nobody can sign changes nothing, and anyone may make one.
		if a.Kind != trust.AlarmStuck {
			alert(Look, a.Text)
		}
	}
	for _, text := range append(n.groupAlerts(), s.Quotas.alerts()...) {
		alert(Look, text)
	}
	for _, f := range n.voided() {
		alert(Look, "of the forked feed "+f.ID.Short()+" a cut voids the branch held here: what is on it is not shown")
	}
	up := 0
	for _, p := range s.Peers {
		if p.Undelivered > 0 {
			alert(Look, fmt.Sprintf("%s says that it holds more of %d feeds, and does not give it", p.Handle, p.Undelivered))
		}
		if p.Up {
			up++
		}
	}
	if len(s.Peers) > 0 && up == 0 {
		alert(Look, "no other node is reachable")
	}
}

// WaitInStep waits until this node holds everything its neighbours say they
// hold, as they say it from now on, but for what one of them claims and did not
// give when asked: that may not exist. Status tells of it and is not in step.
func (n *Node) WaitInStep(ctx context.Context) error {
	since := n.now()
	n.post(func(m *replica.Machine, now time.Time) { m.Compare(now, 0); m.Tick(now) })
	return n.poll(ctx, func() bool {
		s := n.Status(since)
		return n.inStep(since, &s)
	})
}

// WaitMembers waits until so many members are in, this one included.
func (n *Node) WaitMembers(ctx context.Context, count int) error {
	return n.poll(ctx, func() bool { return len(n.Roster().Active()) >= count })
}

// poll is until for conditions that also change without a pulse.
func (n *Node) poll(ctx context.Context, done func() bool) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		ch := n.pulse.wait()
		if done() {
			return nil
		}
		select {
		case <-ch:
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-n.context().Done():
			return context.Cause(n.context())
		}
	}
}

// HeldBy gives the other members of whom a node told that it holds all the
// places, in ascending order.
func (n *Node) HeldBy(places []store.Place) []protocol.MemberID {
	var out []protocol.MemberID
	r := n.Roster()
	connected := n.links.connected()
	n.consult(func(m *replica.Machine, _ time.Time) {
		for _, k := range connected {
			member, ok := r.ByNode(k)
			if ok && member.ID != n.cfg.Member && holdsAll(m, k, places) {
				out = append(out, member.ID)
			}
		}
	})
	return protocol.Sorted(out)
}

func holdsAll(m *replica.Machine, node protocol.Key, places []store.Place) bool {
	for _, p := range places {
		if s, ok := m.State(node, p.Feed); !ok || !s.Holds(p.Seq) {
			return false
		}
	}
	return true
}

// WaitHeld waits until so many other members hold all the places.
func (n *Node) WaitHeld(ctx context.Context, places []store.Place, count int) ([]protocol.MemberID, error) {
	var have []protocol.MemberID
	err := n.until(ctx, func() bool {
		have = n.HeldBy(places)
		return len(have) >= count
	})
	return have, err
}

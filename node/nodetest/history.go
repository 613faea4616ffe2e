package nodetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/tipmesh/tipmesh/node/transport/transporttest"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/seal"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
)

// History is a random run of a mesh: shares, crashes, restarts, partitions,
// loss, a member removed. What happened is kept for the checks after it.
type History struct {
	*Mesh
	rng *rand.Rand

	mu      sync.Mutex
	down    map[int]bool // cut off from the network while they crash
	groups  map[int]int  // partition
	deaf    map[int]bool // receive nothing: a one-way partition
	rosters map[protocol.Hash]map[protocol.MemberID]bool
	removed map[int]bool
	shares  int
	log     []string
	writes  sync.WaitGroup
}

// Play runs a history of so many steps and heals everything at its end: all
// nodes run, nothing is lost, and all that are in are in step, or the test fails.
func Play(m *Mesh, steps int) *History {
	m.T.Helper()
	h := &History{Mesh: m, rng: rand.New(rand.NewPCG(m.opt.Seed, 7)), down: map[int]bool{}, groups: map[int]int{},
		deaf: map[int]bool{}, rosters: map[protocol.Hash]map[protocol.MemberID]bool{}, removed: map[int]bool{}}
	m.T.Cleanup(func() {
		if m.T.Failed() {
			m.T.Logf("seed %d:\n%s", m.opt.Seed, strings.Join(h.log, "\n"))
		}
	})
	m.Net.Filter(h.passes)
	m.StartAll()
	time.Sleep(3 * time.Second)
	for range steps {
		h.step()
		h.note()
		time.Sleep(time.Duration(h.rng.Int64N(int64(3 * time.Second))))
	}
	h.heal()
	return h
}

func (h *History) say(format string, args ...any) {
	h.log = append(h.log, time.Now().Format("04:05.000 ")+fmt.Sprintf(format, args...))
}

// passes is the network's filter.
func (h *History) passes(from, to netip.AddrPort) bool {
	a, b := transporttest.Number(from), transporttest.Number(to)
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.down[a] && !h.down[b] && h.groups[a] == h.groups[b] && !h.deaf[b]
}

func (h *History) set(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

func (h *History) step() {
	i := h.rng.IntN(len(h.Members))
	p := h.Members[i]
	switch n := h.rng.IntN(100); {
	case n < 60:
		h.share(i)
	case n < 66 && p.Node != nil:
		h.say("crash %d", i)
		h.crash(i)
	case n < 70 && p.Node != nil:
		h.say("stop %d", i)
		h.Stop(i)
	case n < 82 && p.Node == nil:
		h.say("start %d", i)
		h.Start(i)
	case n < 86:
		h.set(func() {
			for j := range h.Members {
				h.groups[j] = h.rng.IntN(2)
			}
			h.say("partition %v", h.groups)
		})
	case n < 88:
		h.set(func() { h.deaf[i] = true })
		h.say("deaf %d", i)
	case n < 93:
		h.set(func() { clear(h.groups); clear(h.deaf) })
		h.say("heal")
	case n < 96:
		loss := h.rng.Float64() / 5
		h.Net.Lose(loss)
		h.say("lose %.2f", loss)
	case n < 98 && i > 1 && len(h.removed) < len(h.Members)/3 && h.Members[0].Node != nil && !h.removed[i]:
		h.say("remove %d", i)
		h.removed[i] = true
		h.Remove(i)
	}
}

// share shares from a running node, in the background: it may have to wait for
// an epoch.
func (h *History) share(i int) {
	p := h.Members[i]
	if p.Node == nil {
		return
	}
	h.shares++
	name := fmt.Sprintf("share-%d.com", h.shares)
	h.say("share %s by %d", name, i)
	n, run := p.Node, p.runs
	h.writes.Add(1)
	go func() {
		defer h.writes.Done()
		a, err := h.write(i, n, name)
		h.mu.Lock()
		defer h.mu.Unlock()
		// What a crashed node had not answered was not acknowledged.
		if err == nil && p.runs == run && !h.down[i] {
			h.acknowledge(a)
		}
	}()
}

// crash cuts a node's network, keeps what its disk holds at that instant, and
// stops it.
func (h *History) crash(i int) {
	h.set(func() { h.down[i] = true })
	h.Crash(i)
	h.set(func() { h.down[i] = false })
}

// note remembers which rosters there were and who was in each.
func (h *History) note() {
	for _, p := range h.Members {
		if p.Node == nil {
			continue
		}
		r := p.Node.Roster()
		if h.rosters[r.Digest()] == nil {
			in := map[protocol.MemberID]bool{}
			for _, m := range r.Active() {
				in[m.ID] = true
			}
			h.rosters[r.Digest()] = in
		}
	}
}

func (h *History) heal() {
	h.set(func() { clear(h.groups); clear(h.deaf); clear(h.down) })
	h.Net.Lose(0)
	for i, p := range h.Members {
		if p.Node == nil {
			h.Start(i)
		}
	}
	h.say("all healed")
	time.Sleep(2 * time.Minute)
	h.writes.Wait()
	h.note()
	h.Settle(10*time.Minute, h.In()...)
	h.note()
}

// In are the indexes of the members that were not removed.
func (h *History) In() (out []int) {
	for i := range h.Members {
		if !h.removed[i] {
			out = append(out, i)
		}
	}
	return out
}

// Check checks everything there is to check.
func (h *History) Check() {
	h.T.Helper()
	in := h.In()
	h.Mesh.Check(in...)
	for i := range h.Members {
		h.checkReadable(i)
	}
	for _, i := range in {
		s := h.Members[i].Node.Status(time.Time{})
		if len(s.Forks) > 0 || s.Halted != "" {
			h.T.Errorf("node %d: forks %v, halted %q, though every node is honest", i, s.Forks, s.Halted)
		}
		if s.Unreadable > 0 {
			h.T.Errorf("node %d cannot read %d entries of everyone", i, s.Unreadable)
		}
	}
	for i := range h.removed {
		if m, ok := h.Members[0].Node.Roster().Member(h.Members[i].ID); !ok || m.State != trust.StateRemoved {
			h.T.Errorf("member %d was removed and is %v", i, m)
		}
	}
}

// checkReadable tries every key that a member has, or could get out of anything
// any node holds, on every entry of every node: none may open an entry whose
// writer saw a roster without that member.
func (h *History) checkReadable(i int) {
	h.T.Helper()
	p := h.Members[i]
	ids := map[protocol.EpochID]*seal.Identity{}
	add := func(e *protocol.Epoch) {
		id, err := seal.ParseIdentity(e.Identity)
		h.must(err)
		ids[e.ID()] = id
	}
	h.must(p.Store.Settings("epoch/", func(_ string, raw []byte) error {
		e, err := protocol.ParseEpoch(raw)
		h.must(err)
		add(e)
		return nil
	}))
	h.each(func(e store.Entry) {
		if e.Header.Kind != protocol.EntryDirect || e.Payload == nil {
			return
		}
		plain, err := seal.OpenDirect(e.Payload, p.age)
		if errors.Is(err, seal.ErrNotForUs) {
			return
		}
		h.must(err)
		epochs, err := protocol.ParseGrant(plain)
		h.must(err)
		for _, e := range epochs {
			add(e)
		}
	})
	h.each(func(e store.Entry) {
		in, known := h.rosters[e.Header.Roster]
		if e.Header.Kind != protocol.EntrySealed || e.Payload == nil || !known || in[p.ID] {
			return
		}
		for _, id := range ids {
			if protocol.TagFor(id.String(), e.Header.Feed) != e.Header.Tag {
				continue
			}
			if _, err := seal.OpenBundle(e.Payload, id); err == nil {
				h.T.Errorf("member %d reads entry %d of %s, written in a roster without it", i, e.Header.Seq, e.Header.Node.Short())
			}
		}
	})
}

// each visits every distinct entry that any node holds.
func (h *History) each(f func(store.Entry)) {
	seen := map[protocol.EntryID]bool{}
	for _, p := range h.Members {
		for _, feed := range p.Store.Feeds() {
			h.must(p.Store.Range(feed.ID, 1, func(e store.Entry) bool {
				if !seen[e.Header.ID()] {
					seen[e.Header.ID()] = true
					f(e)
				}
				return true
			}))
		}
	}
}

// write shares one value and gives what was acknowledged.
func (m *Mesh) write(i int, n writer, names ...string) (Acked, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	bundle, values := m.Members[i].bundle(names)
	places, err := n.Write(ctx, [][]byte{bundle}, "green")
	return Acked{By: i, Places: places, Values: values}, err
}

type writer interface {
	Write(ctx context.Context, bundles [][]byte, tlp string) ([]store.Place, error)
}

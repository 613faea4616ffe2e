package nodetest

import (
	"slices"
	"time"

	"github.com/tipmesh/tipmesh/node/transport/transporttest"
	"github.com/tipmesh/tipmesh/protocol"
)

// clocks are how far a node's clock may be off.
var clocks = []time.Duration{0, time.Minute, -10 * time.Minute, 3 * time.Hour, -26 * time.Hour, 3 * 24 * time.Hour,
	-9 * 24 * time.Hour, 45 * 24 * time.Hour, -45 * 24 * time.Hour}

// start starts a node that is stopped, sometimes with another clock.
func (h *History) start(i int) {
	p := h.Members[i]
	if p.Node != nil || h.away[i] {
		return
	}
	if h.rng.IntN(3) == 0 && !h.opt.Exact {
		p.Clock = clocks[h.rng.IntN(len(clocks))]
	}
	h.say("start %d, its clock is off by %v", i, p.Clock)
	h.set(func() { h.keys[protocol.KeyOf(p.nodeKey)] = i })
	h.Start(i)
}

// stop stops a node cleanly.
func (h *History) stop(i int) {
	if h.Members[i].Node != nil {
		h.say("stop %d", i)
		h.Stop(i)
	}
}

// crash cuts a node's network, keeps what its disk holds at that instant, and
// stops it. The index, which is not synced, may be lost.
func (h *History) crash(i int) {
	p := h.Members[i]
	if p.Node == nil {
		return
	}
	lost := h.rng.IntN(3) == 0 && h.opt.Open == nil
	h.say("crash %d, index lost: %v", i, lost)
	h.set(func() { h.down[i] = true })
	h.keep(i)
	h.Crash(i)
	if lost {
		h.must(p.Store.Index().Reset())
	}
	h.set(func() { h.down[i] = false })
}

// crashWriting crashes a node in the middle of a commit, just before or just
// after it is made, and usually starts it again soon.
func (h *History) crashWriting(i int) {
	p := h.Members[i]
	if p.Node == nil {
		return
	}
	var left *image
	after, late, alive := h.rng.IntN(4), h.rng.IntN(2) == 0, p.alive
	h.keep(i)
	p.disk.failAt(after, late, func() {
		alive.Store(false)
		h.set(func() { h.down[i] = true })
		im, err := h.image(p)
		h.must(err)
		h.set(func() { left = &im })
	})
	h.shareSome(i, 1+h.rng.IntN(4))
	time.Sleep(time.Duration(h.rng.Int64N(int64(5 * time.Second))))
	h.set(func() { p.disk.failAt(-1, false, nil) })
	if left == nil {
		h.say("no crash of %d in commit %d", i, after)
		return
	}
	h.say("crash %d in commit %d, after it was made: %v", i, after, late)
	h.Stop(i)
	h.putBack(p, *left)
	h.set(func() { h.down[i] = false })
	if h.rng.IntN(3) > 0 {
		h.start(i)
	}
}

// part parts the network in two.
func (h *History) part(int) {
	h.set(func() {
		for j := range h.Members {
			h.groups[j] = h.rng.IntN(2)
		}
	})
	h.say("partition %v", h.groups)
}

// silence lets nothing pass to a node, or nothing from it, or nothing in one
// direction between it and some others.
func (h *History) silence(i int) {
	kind := h.rng.IntN(3)
	h.set(func() {
		for j := range h.Members {
			switch {
			case kind == 0:
				h.mute[[2]int{j, i}] = true
			case kind == 1 || h.rng.IntN(2) == 0:
				h.mute[[2]int{i, j}] = true
			}
		}
	})
	h.say("one way only: %d, kind %d", i, kind)
}

// mend ends partitions.
func (h *History) mend(int) {
	h.set(func() { clear(h.groups); clear(h.mute) })
	h.say("the network is whole")
}

// lose loses some of all packets from then on.
func (h *History) lose(int) {
	share := h.rng.Float64() / 5
	h.Net.Lose(share)
	h.say("lose %.2f", share)
}

// muddle doubles packets and lets them overtake each other from then on.
func (h *History) muddle(int) {
	twice, spread := h.rng.Float64()/4, time.Duration(h.rng.Int64N(int64(300*time.Millisecond)))
	h.Net.Double(twice)
	h.Net.Spread(spread)
	h.say("double %.2f, spread %v", twice, spread)
}

// slow makes a node a slow peer: its packets take long, and from its next start
// on its link is narrow.
func (h *History) slow(i int) {
	l := transporttest.Link{Extra: time.Duration(h.rng.Int64N(int64(time.Second))), Kbps: 128 << h.rng.IntN(5)}
	h.Net.Slow(h.Members[i].At, l)
	h.say("slow %d: %v", i, l)
}

// putBackOlder takes a copy of a node's disk, goes on for a while and puts the
// copy back: the home of an operator who restored too old a backup.
func (h *History) putBackOlder(i int) {
	p := h.Members[i]
	if !h.expendable(i) || p.Node == nil {
		return
	}
	h.say("put back an older copy of %d", i)
	h.copied[i] = true
	older, err := h.image(p)
	h.must(err)
	h.shareSome(i, 1+h.rng.IntN(3))
	time.Sleep(time.Duration(h.rng.Int64N(int64(40 * time.Second))))
	h.writes.Wait()
	h.swap(i, older)
	h.start(i)
}

// useTwice has a home be used on both sides of a partition, one after the other.
func (h *History) useTwice(i int) {
	p := h.Members[i]
	if !h.expendable(i) || p.Node == nil || len(h.Members) < 5 {
		return
	}
	side := func(of int) {
		h.set(func() {
			for j := range h.Members {
				h.groups[j] = j % 2
			}
			h.groups[i] = of
		})
	}
	h.say("use the home of %d twice", i)
	h.mend(0)
	h.writes.Wait()
	time.Sleep(5 * time.Second)
	h.copied[i] = true
	older, err := h.image(p)
	h.must(err)
	side(0)
	h.shareSome(i, 1+h.rng.IntN(3))
	time.Sleep(20 * time.Second)
	h.swap(i, older)
	side(1)
	h.start(i)
	h.shareSome(i, 1+h.rng.IntN(3))
	time.Sleep(time.Duration(30+h.rng.IntN(20)) * time.Second)
}

// expendable are members whose homes may be spoilt: not the founder, by whom the
// checks go, and only one in a history, so that most stay whole.
func (h *History) expendable(i int) bool {
	return i != 0 && len(h.copied) == 0 && !h.away[i] && h.steady(i) != nil
}

// swap stops a node and gives it another disk. What was acknowledged on the one
// before and reached nobody is lost with it: the operator threw it away.
func (h *History) swap(i int, other image) {
	p := h.Members[i]
	h.set(func() { h.down[i] = true })
	h.keep(i)
	p.alive.Store(false)
	h.Stop(i)
	h.putBack(p, other)
	h.set(func() { h.down[i] = false })
	h.Mesh.mu.Lock()
	defer h.Mesh.mu.Unlock()
	h.acked = slices.DeleteFunc(h.acked, func(a Acked) bool { return a.By == i && !h.anybody(i, a) })
}

// anybody reports whether any other running node holds a share.
func (h *History) anybody(but int, a Acked) bool {
	for j, q := range h.Members {
		if j == but || q.Node == nil {
			continue
		}
		if _, err := h.held(q).Header(a.Places[0]); err == nil {
			return true
		}
	}
	return false
}

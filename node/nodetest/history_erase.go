package nodetest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tipmesh/tipmesh/internal/stix"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// withdrawal is a share that its author took back. done is false where that was
// perhaps not made durable.
type withdrawal struct {
	Acked
	done bool
}

// withdraw has a member take back a share of its own.
func (h *History) withdraw(i int) {
	p := h.Members[i]
	if h.opt.Rules.ErasureSeconds == 0 || p.Node == nil {
		return
	}
	var mine []int
	h.Mesh.mu.Lock()
	defer h.Mesh.mu.Unlock()
	for k, a := range h.acked {
		if a.By == i && a.For == nil && a.Node == p.Node.Key() {
			mine = append(mine, k)
		}
	}
	if len(mine) == 0 {
		return
	}
	k := mine[h.rng.IntN(len(mine))]
	w := &withdrawal{Acked: h.acked[k]}
	h.acked = slices.Delete(h.acked, k, k+1)
	h.withdrawn = append(h.withdrawn, w)
	n, alive := p.Node, p.alive
	h.behind(func(ctx context.Context) {
		all := []stix.Object{p.Author.Identity(), stix.TLPGreen.Marking()}
		for _, v := range w.Values {
			o, err := stix.Revoke(p.indicator(v.Text), stix.WhyError, time.Now().Add(time.Hour))
			h.must(err)
			all = append(all, o)
		}
		_, err := n.Write(ctx, [][]byte{stix.AppendBundle(nil, "", all)}, "green")
		if err == nil {
			err = n.Erase(ctx, w.Places...)
		}
		h.set(func() { w.done = err == nil && alive.Load() })
		h.say("%d withdraws %s: %v", i, w.Values[0].Text, err)
	})
}

// indicator is what a member says of a domain, now.
func (p *Member) indicator(name string) stix.Object {
	return stix.NewIndicator(p.Author, "domain", name, stix.Handling{TLP: stix.TLPGreen, Action: stix.ActionDetect}, time.Now())
}

// sweep waits until what was withdrawn has gone.
func (h *History) sweep() {
	if len(h.withdrawn) > 0 {
		time.Sleep(time.Duration(h.opt.Rules.ErasureSeconds)*time.Second + 12*time.Minute)
	}
}

// checkWithdrawn: everybody who is in holds the header of what was withdrawn and
// not its payload, as long as its author's node may act.
func (h *History) checkWithdrawn(in []int) {
	h.T.Helper()
	gone := 0
	for _, w := range h.withdrawn {
		first := h.Members[in[0]].Node.Roster()
		if m, ok := first.ByNode(w.Node); !ok || m.ID != h.Members[w.By].ID || h.copied[w.By] || !w.done {
			continue
		}
		for _, i := range in {
			s := h.held(h.Members[i])
			e, err := s.Entry(w.Places[0])
			if errors.Is(err, store.ErrNotFound) || err == nil && e.Header.Payload != w.Payload {
				h.T.Errorf("seed %d: node %d has no header of %s, which was withdrawn: %v", h.opt.Seed, i, w.Values[0].Text, err)
			} else if h.must(err); e.Payload != nil || !erased(s, w.Places[0]) {
				h.T.Errorf("seed %d: node %d holds the payload of %s at %s/%d, which node %d withdrew", h.opt.Seed, i,
					w.Values[0].Text, protocol.FeedID(w.Places[0].Feed).Short(), w.Places[0].Seq, w.By)
			} else {
				gone++
			}
		}
	}
	h.sum("%d withdrawn, %d payloads gone", len(h.withdrawn), gone)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

const (
	mostCaughtUp = 1_000_000 // indicators that a newcomer finds
	stops        = 3         // kills of the second newcomer's node on its way
)

// runNewcomer has two members join a mesh that holds a lot: one catches up without
// a break, the other's node is killed and started again on the way.
func runNewcomer(ctx context.Context, p *plan, r *report) (err error) {
	n := min(p.n, mostCaughtUp)
	js, err := measureBroker(ctx, filepath.Join(p.dir, "newcomer-jetstream"), n, false)
	if err != nil {
		return err
	}
	all, err := newMembers(ctx, filepath.Join(p.dir, "newcomer"), 2)
	if err != nil {
		return err
	}
	if err := haltAll(all); err != nil {
		return err
	}
	w, err := pairOf(ctx, p, all)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	if _, _, err := w.share(ctx, 0, n); err != nil {
		return err
	}
	if err := w.reader.stop(); err != nil {
		return err
	}
	whole, err := catchUp(ctx, p, w.author, "whole", n, 0)
	if err != nil {
		return err
	}
	broken, err := catchUp(ctx, p, w.author, "broken", n, stops)
	if err != nil {
		return err
	}
	r.add(row{work: fmt.Sprintf("newcomer catching up on %s, until look-ups include all", grouped(n)), ours: rate(n, whole.took),
		peer: fmt.Sprintf("JetStream, publish then consume the same objects: %s/s", grouped(int(js.rate))), ratio: perSecond(n, whole.took) / js.rate, goal: "1.0"})
	r.add(row{work: fmt.Sprintf("the same, killed %d times on the way: bytes on the link", stops), ours: size(float64(broken.carried)),
		peer: "without a break: " + size(float64(whole.carried)), ratio: float64(broken.carried) / float64(whole.carried), goal: "1: nothing starts over"})
	r.note("Newcomer: a member joins when all is there already; one other node runs. The time is from the start of its node, which has taken in no more than came while it was let in. "+
		"The second newcomer's node gets SIGKILL at %d places of the way and starts again; it took %s in all, the first %s.", stops, brief(broken.took), brief(whole.took))
	return nil
}

// caught is how a newcomer caught up.
type caught struct {
	took    time.Duration
	carried uint64 // bytes on the loopback device meanwhile
}

// catchUp lets a member in and waits until its look-ups include all that the author
// holds; its node is killed so many times, evenly over the way.
func catchUp(ctx context.Context, p *plan, author *process, name string, n, kills int) (c caught, err error) {
	s, err := author.client.Status(ctx, "", 0)
	if err != nil {
		return c, err
	}
	all := s.Store.Arrivals
	m := &member{handle: name, dir: filepath.Join(p.dir, "newcomer", name)}
	if err := m.join(ctx, &member{client: author.client}); err != nil {
		return c, fmt.Errorf("let a newcomer in: %w", errors.Join(err, m.halt()))
	}
	if err := m.halt(); err != nil {
		return c, err
	}
	before, err := carried()
	if err != nil {
		return c, err
	}
	began := time.Now()
	x, err := startProcess(p, m.dir)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, x.stop()) }()
	if _, err := x.answers(ctx, value(0).Text); err != nil {
		return c, err
	}
	for k := range kills {
		if err := x.indexed(ctx, all*uint64(k+1)/uint64(kills+1)); err != nil {
			return c, err
		}
		if x, err = x.again(p); err != nil {
			return c, err
		}
		if _, err := x.answers(ctx, value(0).Text); err != nil {
			return c, err
		}
	}
	if err := x.indexed(ctx, all); err != nil {
		return c, err
	}
	c.took = time.Since(began)
	after, err := carried()
	if err != nil {
		return c, err
	}
	c.carried = after - before
	return c, x.knows(ctx, 0, n)
}

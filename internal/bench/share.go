package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/tipmesh/tipmesh/internal/api"
)

// shareNodes are the nodes that a single share goes to, its author's included.
const shareNodes = 10

// runShare is one indicator to queryable at the last of ten nodes in this
// process, in turn with gossipsub alone among ten hosts in it.
func runShare(ctx context.Context, p *plan, r *report) (err error) {
	all, err := newMembers(ctx, filepath.Join(p.dir, "ten"), shareNodes)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, haltAll(all)) }()
	g, err := newChatter(ctx, shareNodes)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.close()) }()
	d, err := newDisks(filepath.Join(p.dir, "ten-raw"), shareNodes)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	p.say("ten nodes run")
	var ours, acked, floor, durable []time.Duration
	bytes := 0
	const warm = 5
	for i := range p.rounds + warm {
		took, ack, length, err := shareOne(ctx, all, i)
		if err != nil {
			return err
		}
		gossip, err := g.spread(ctx, length)
		if err != nil {
			return err
		}
		written, err := d.write(length)
		if err != nil {
			return err
		}
		if bytes = length; i >= warm {
			ours, acked, floor, durable = append(ours, took), append(acked, ack), append(floor, gossip), append(durable, gossip+written)
		}
	}
	for _, q := range []struct {
		name string
		at   float64
	}{{"p50", 0.5}, {"p99", 0.99}} {
		a, b := quantile(ours, q.at), quantile(floor, q.at)
		r.add(row{work: fmt.Sprintf("one indicator shared to queryable at the last of %d members, %s of %d", shareNodes, q.name, len(ours)), ours: brief(a),
			peer:  fmt.Sprintf("raw gossipsub, a message of the same %s to the last of %d hosts: %s", size(float64(bytes)), shareNodes, brief(b)),
			ratio: float64(a) / float64(b)})
		c := quantile(durable, q.at)
		r.add(row{work: "the same, " + q.name, ours: brief(a), peer: "that, and raw Badger's synced write of it at the author, then at all others at once: " + brief(c),
			ratio: float64(a) / float64(c)})
	}
	r.note("A single share: from the call over the socket until look-ups at all ten nodes include it, on disk at all ten (acknowledged to its author after %s, p50). "+
		"Nodes and gossipsub's hosts (over TCP, unsigned, nothing stored) all run in this process and are measured in turn.", brief(quantile(acked, 0.5)))
	return nil
}

// shareOne shares a value at the first member. It gives when all have it in the
// index, when it was acknowledged, and how many bytes its entry has.
func shareOne(ctx context.Context, all []*member, i int) (took, acked time.Duration, bytes int, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	before := make([]uint64, len(all))
	for k, m := range all {
		before[k] = m.home.Node.Store().LastArrival()
	}
	text := value(3*i + 2).Text
	began := time.Now()
	s, err := all[0].client.Share(ctx, api.ShareRequest{Body: strings.NewReader(text + "\n"), Name: "one.txt", To: "everyone", TLP: "green"})
	if err != nil {
		return 0, 0, 0, fmt.Errorf("share: %w", err)
	}
	acked = time.Since(began)
	for k, m := range all {
		if err := m.until(ctx, before[k]+1); err != nil {
			return 0, 0, 0, err
		}
	}
	took = time.Since(began)
	last := all[len(all)-1]
	objects, err := last.home.Node.Store().Index().ByID(s.IDs[0])
	if err != nil || len(objects) == 0 {
		return 0, 0, 0, fmt.Errorf("%s does not know %s: %w", last.handle, text, err)
	}
	place, err := last.home.Node.PlaceOf(objects[0].Arrival)
	if err != nil {
		return 0, 0, 0, err
	}
	e, err := last.home.Node.Store().Entry(place)
	if err != nil {
		return 0, 0, 0, err
	}
	return took, acked, len(e.Header.Raw()) + len(e.Payload), nil
}

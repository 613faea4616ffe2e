package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/tipmesh/tipmesh/store"
)

// mostSynced bounds the messages that JetStream syncs one by one.
const mostSynced = 20_000

// runBulk shares everything, and measures what the reader's store does then.
func runBulk(ctx context.Context, p *plan, r *report) (err error) {
	var before, after, always brokered
	js := func(name string, n int, sync bool, out *brokered) {
		if err == nil && p.wants("bulk") {
			*out, err = measureBroker(ctx, filepath.Join(p.dir, name), n, sync)
			p.say("%s: %.0f/s", name, out.rate)
		}
	}
	if js("jetstream-before", p.n, false, &before); err != nil {
		return err
	}
	w, err := newPair(ctx, p, "bulk")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	durable, queryable, err := w.share(ctx, 0, p.n)
	if err != nil {
		return err
	}
	p.say("bulk: on disk %s, queryable %s", brief(durable), brief(queryable))
	loaded, err := w.reader.anonymous()
	if err != nil {
		return err
	}
	near, of := related(p.n)
	if err := w.shareRelated(ctx, near, of); err != nil {
		return err
	}
	if err := w.stop(); err != nil {
		return err
	}
	js("jetstream-after", p.n, false, &after)
	js("jetstream-synced", min(p.n, mostSynced), true, &always)
	if err != nil {
		return err
	}
	if after.rate < before.rate {
		after = before // the faster of both is the peer
	}
	ours := perSecond(p.n, queryable)
	if p.wants("bulk") {
		r.add(row{work: fmt.Sprintf("bulk: author's file of %s to queryable at another member", grouped(p.n)), ours: rate(p.n, queryable),
			peer:  fmt.Sprintf("JetStream, publish then consume the same objects: %s/s (%s/s, %s/s)", grouped(int(after.rate)), grouped(int(after.publish)), grouped(int(after.consume))),
			ratio: ours / after.rate, goal: "1.0, first 0.5"})
		r.add(row{work: "the same", ours: rate(p.n, queryable), peer: fmt.Sprintf("JetStream with sync: always: %s/s", grouped(int(always.rate))), ratio: ours / always.rate})
		r.note("Bulk: a plain list goes in over the socket of one node, in files of at most %s values; the time ends when look-ups at the other include all, and 1,000 of them are found. "+
			"The author had everything on disk (synced) after %s, look-ups at the other had it after %s. The reader's anonymous memory was %s then.", grouped(mostShared), brief(durable), brief(queryable), size(float64(loaded)))
		r.note("JetStream: an embedded server of the same run, one file stream, client and server over the loopback device, up to %s publications under way, %.0f B an object (STIX JSON), "+
			"no index, no encryption, no second copy; at most %s objects, with sync: always %s. It was measured before and after tipmesh; the faster counts.",
			grouped(pending), after.mean, grouped(mostMessages), grouped(min(p.n, mostSynced)))
	}
	s, err := measureServing(ctx, p, w.reader.dir, of)
	if err != nil {
		return err
	}
	s.rows(p, r, after, queryable)
	return nil
}

// shareRelated shares what contains values or lies within them, and waits until the
// reader's index has it.
func (w *pair) shareRelated(ctx context.Context, text string, of []store.Value) error {
	before, err := w.reader.client.Status(ctx, "", 0)
	if err != nil {
		return err
	}
	if err := w.author.share(ctx, strings.NewReader(text), len(of)); err != nil {
		return err
	}
	return w.reader.indexed(ctx, before.Store.Arrivals+1)
}

// rows adds what was measured of a reader's store.
func (s *serving) rows(p *plan, r *report, js brokered, bulk time.Duration) {
	if p.wants("lookup") {
		q := func(list []time.Duration, at float64) string { return brief(quantile(list, at)) }
		r.add(row{work: fmt.Sprintf("exact look-up among %s, in process, p50", grouped(p.n)), ours: q(s.inProcess, 0.5),
			peer:  "raw Badger, get in the same index: " + q(s.raw.gets, 0.5),
			ratio: float64(quantile(s.inProcess, 0.5)) / float64(quantile(s.raw.gets, 0.5)), goal: "at most 3"})
		for _, c := range []struct {
			name, goal string
			at         float64
		}{{"p50", "", 0.5}, {"p99", "at most 1 ms", 0.99}} {
			r.add(row{work: "exact look-up over the socket, " + c.name, ours: q(s.socket, c.at), peer: "an HTTP call over a socket that answers nothing new: " + q(s.bare, c.at),
				ratio: float64(quantile(s.socket, c.at)) / float64(quantile(s.bare, c.at)), goal: c.goal})
		}
		raw := perSecond(len(s.raw.gets), s.raw.all)
		r.add(row{work: fmt.Sprintf("look-up of %s values in one call", grouped(s.asked)), ours: rate(s.asked, s.list),
			peer: fmt.Sprintf("raw Badger, gets one after the other: %s/s", grouped(int(raw))), ratio: perSecond(s.asked, s.list) / raw, goal: "100,000/s"})
		r.add(row{work: "the network over an address, hosts and URLs under a domain, in process, p50", ours: q(s.near, 0.5),
			peer: "exact look-up of the same values: " + q(s.nearExact, 0.5), ratio: float64(quantile(s.near, 0.5)) / float64(quantile(s.nearExact, 0.5)), goal: "at most 5"})
		r.note("Look-ups are of values shared, at random, each known. Over the socket: one connection, one call after the other.")
	}
	if !p.wants("serve") {
		return
	}
	each := float64(s.disk) / float64(p.n)
	disk := row{work: "disk for each indicator at the reader, index included", ours: fmt.Sprintf("%.0f B", each), peer: "not measured", goal: "at most 250 B"}
	if js.disk > 0 {
		disk.peer, disk.ratio = fmt.Sprintf("JetStream's file store: %.0f B", js.disk), each/js.disk
	}
	r.add(disk)
	r.add(row{work: "anonymous memory while serving look-ups, most", ours: size(float64(s.memory)), peer: "the same node with an empty store: " + size(float64(s.empty)),
		ratio: float64(s.memory) / float64(s.empty), goal: "at most 1.07 GB (1 GiB)"})
	r.add(row{work: "start to the first look-up answered", ours: brief(s.start), peer: "raw Badger, both databases opened: " + brief(s.raw.open),
		ratio: float64(s.start) / float64(s.raw.open), goal: "under 5 s"})
	r.add(row{work: "index made anew, from start on", ours: rate(p.n, s.rebuild), peer: "the bulk rate: " + rate(p.n, bulk),
		ratio: float64(bulk) / float64(s.rebuild), goal: "at least 1"})
	raw := perSecond(s.raw.pairs, s.raw.writes) * float64(p.n) / float64(s.raw.keys)
	r.add(row{work: "the same", ours: rate(p.n, s.rebuild), peer: fmt.Sprintf("raw Badger, the same keys and rows written: %s/s", grouped(int(raw))),
		ratio: perSecond(p.n, s.rebuild) / raw})
	r.note("The index has %.2f keys an indicator; up to %s of them are written to a raw Badger, in no order. Disk: blocks of the folder of the store after the node was stopped. "+
		"The page cache is warm at the start.", float64(s.raw.keys)/float64(p.n), grouped(mostPairs))
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/tipmesh/tipmesh/internal/home"
)

// mostLinked bounds the indicators whose bytes on a link are counted.
const mostLinked = 1_000_000

// runLink counts all bytes between two nodes.
func runLink(ctx context.Context, p *plan, r *report) (err error) {
	if err := setLoopback(ethernetMTU, false); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, setLoopback(wideMTU, true)) }()
	n := min(p.n, mostLinked)
	// Packets that QUIC sends together would be counted with one header.
	w, err := newPair(ctx, p, "link", "QUIC_GO_DISABLE_GSO=true")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	before, err := carried()
	if err != nil {
		return err
	}
	t0, err := transports()
	if err != nil {
		return err
	}
	if _, _, err := w.share(ctx, 0, n); err != nil {
		return err
	}
	t1, err := transports()
	if err != nil {
		return err
	}
	after, err := carried()
	if err != nil {
		return err
	}
	if err := w.stop(); err != nil {
		return err
	}
	held, err := payloads(w.reader.dir)
	if err != nil {
		return err
	}
	ours := float64(after-before) / float64(n)
	text, err := io.ReadAll(newList(0, n))
	if err != nil {
		return err
	}
	bare, err := compressed(text)
	if err != nil {
		return err
	}
	js, err := brokerBytes(ctx, p, n)
	if err != nil {
		return err
	}
	r.add(row{work: fmt.Sprintf("bytes on the link of two nodes for each of %s indicators", grouped(n)), ours: fmt.Sprintf("%.1f B", ours),
		peer: fmt.Sprintf("the bare list, zstd: %.1f B", float64(bare)/float64(n)), ratio: ours * float64(n) / float64(bare), goal: "at most 66 B"})
	r.add(row{work: "the same, beside what must go over once", ours: fmt.Sprintf("%.1f B", ours), peer: fmt.Sprintf("the sealed payloads alone, once: %.1f B", float64(held)/float64(n)),
		ratio: ours * float64(n) / float64(held)})
	r.add(row{work: "the same, JetStream's publish and consume", ours: fmt.Sprintf("%.1f B", ours), peer: size(js), ratio: ours / js})
	r.note("Bytes on the link: what the loopback device of a network of its own carries both ways, from the call until look-ups include all: entries, sync, "+
		"acknowledgements, QUIC, UDP, TCP, IP, 14 bytes of frame. Its MTU is 1,500 and segmentation is off, so that each packet has its headers. "+
		"The kernel counted %s datagrams (%s dropped for want of buffers) and %s TCP segments (%s sent again).", grouped(int(t1.datagrams-t0.datagrams)),
		grouped(int(t1.dropped-t0.dropped)), grouped(int(t1.segments-t0.segments)), grouped(int(t1.again-t0.again)))
	return nil
}

// payloads is the bytes of all payloads that a home holds whose node does not run.
func payloads(dir string) (total uint64, err error) {
	h, err := home.Open(dir, home.Options{})
	if err != nil {
		return 0, err
	}
	for _, f := range h.Node.Store().Feeds() {
		total += f.Bytes
	}
	return total, h.Close()
}

func compressed(text []byte) (int, error) {
	var out bytes.Buffer
	z, err := zstd.NewWriter(&out)
	if err != nil {
		return 0, err
	}
	if _, err := z.Write(text); err != nil {
		return 0, err
	}
	if err := z.Close(); err != nil {
		return 0, err
	}
	return out.Len(), nil
}

// brokerBytes is what publishing and consuming takes on the loopback device for
// each object.
func brokerBytes(ctx context.Context, p *plan, n int) (each float64, err error) {
	n = min(n, 100_000)
	b, err := newBroker(ctx, p.dir+"/link-jetstream", false)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	list, _ := messages(0, n)
	before, err := carried()
	if err != nil {
		return 0, err
	}
	if _, _, err := b.through(ctx, list); err != nil {
		return 0, err
	}
	after, err := carried()
	return float64(after-before) / float64(n), err
}

package nodetest_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tipmesh/tipmesh/internal/stix"
	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/node/transport"
	"github.com/tipmesh/tipmesh/node/transport/transporttest"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
	"github.com/tipmesh/tipmesh/protocol/seal"
	"github.com/tipmesh/tipmesh/store"
	"github.com/tipmesh/tipmesh/store/badger"
)

// indexed tells that some node's index has taken something in.
var indexed = make(chan struct{}, 1)

// realNode is a node with Badger and libp2p on the loopback device.
type realNode struct {
	*node.Node
	author stix.Author
	store  *badger.Store
	tr     *transport.Transport
}

// realMesh starts a mesh of real nodes, all linked to each other.
func realMesh(tb testing.TB, count int) []*realNode {
	tb.Helper()
	must := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
	var members, nodes []ed25519.PrivateKey
	var ages []*seal.Identity
	for range count {
		_, m, err := ed25519.GenerateKey(rand.Reader)
		must(err)
		_, n, err := ed25519.GenerateKey(rand.Reader)
		must(err)
		id, err := seal.NewIdentity()
		must(err)
		members, nodes, ages = append(members, m), append(nodes, n), append(ages, id)
	}
	now := time.Now().UnixMilli()
	charter, err := protocol.NewStatement(protocol.MeshID{}, &protocol.Charter{Name: "bench", Threshold: 1,
		Governors: []protocol.Key{protocol.KeyOf(members[0])}}, now, members[0])
	must(err)
	mesh := protocol.MeshID(charter.ID())
	all := []*protocol.Statement{charter}
	var ids []protocol.MemberID
	for i := range count {
		card, err := protocol.NewStatement(mesh, &protocol.Card{Version: 1, Handle: fmt.Sprintf("m%d", i), Name: "m", Contact: "c",
			Identity: fmt.Sprintf("identity--%08d-0000-4000-8000-000000000000", i), Recipient: ages[i].Recipient(),
			Nodes: []protocol.CardNode{{Key: protocol.KeyOf(nodes[i])}}}, now, members[i])
		must(err)
		all, ids = append(all, card), append(ids, protocol.MemberID(card.ID()))
		if i > 0 {
			ad, err := protocol.NewStatement(mesh, &protocol.Admission{Member: ids[i], Line: charter.ID()}, now, members[0])
			must(err)
			ap, err := protocol.NewStatement(mesh, &protocol.Approval{Subject: ad.ID()}, now, members[0])
			must(err)
			all = append(all, ad, ap)
		}
	}
	out := make([]*realNode, count)
	var known []replica.NodeAddresses
	log := slog.New(slog.DiscardHandler)
	for i := range count {
		key := make([]byte, 32)
		rand.Read(key)
		s, err := badger.Open(badger.Config{Dir: tb.TempDir(), Key: key})
		must(err)
		_, err = s.Commit(context.Background(), &store.Commit{Statements: all})
		must(err)
		tr, err := transport.New(transport.Config{Key: nodes[i], Mesh: mesh, Listen: []string{"127.0.0.1:0"}})
		must(err)
		n, err := node.New(node.Config{Mesh: mesh, Member: ids[i], NodeKey: nodes[i], MemberKey: members[i],
			MemberAge: []*seal.Identity{ages[i]}, Store: s, Transport: tr, Log: log,
			OnIndexed: func(uint64) {
				select {
				case indexed <- struct{}{}:
				default:
				}
			}})
		must(err)
		out[i] = &realNode{Node: n, store: s, tr: tr, author: stix.Author{ID: fmt.Sprintf("identity--%08d-0000-4000-8000-000000000000", i), Name: "m"}}
	}
	for i, n := range out {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		started := make(chan struct{})
		go func() { done <- n.Run(ctx, func() { close(started) }) }()
		<-started
		known = append(known, replica.NodeAddresses{Node: protocol.KeyOf(nodes[i]), Addresses: n.tr.Addresses()})
		tb.Cleanup(func() {
			cancel()
			<-done
			n.store.Close()
		})
	}
	for _, n := range out {
		n.Introduce(known)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		linked := 0
		for _, n := range out {
			for _, p := range n.Status(time.Time{}).Peers {
				if p.Up {
					linked++
				}
			}
		}
		if linked == count*(count-1) {
			return out
		}
		select {
		case <-ctx.Done():
			tb.Fatalf("%d of %d links", linked, count*(count-1))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func hashes(count int) []string {
	out := make([]string, count)
	for i := range out {
		b := make([]byte, 32)
		rand.Read(b)
		out[i] = hex.EncodeToString(b)
	}
	return out
}

// bundles makes bundles of 400 indicators.
func (n *realNode) bundles(values []string) (out [][]byte) {
	h := stix.Handling{TLP: stix.TLPGreen, Action: stix.ActionDetect}
	for len(values) > 0 {
		part := values[:min(400, len(values))]
		values = values[len(part):]
		objs := []stix.Object{n.author.Identity(), stix.TLPGreen.Marking()}
		for _, v := range part {
			objs = append(objs, stix.NewIndicator(n.author, "sha256", v, h, time.Now()))
		}
		out = append(out, stix.AppendBundle(nil, "", objs))
	}
	return out
}

// await waits until every node's index has taken in so many entries.
func await(tb testing.TB, nodes []*realNode, arrivals uint64) {
	tb.Helper()
	late := time.NewTimer(time.Minute)
	defer late.Stop()
	for {
		done := true
		for _, n := range nodes {
			done = done && n.store.Index().Checkpoint() >= arrivals
		}
		if done {
			return
		}
		select {
		case <-indexed:
		case <-late.C:
			tb.Fatalf("not queryable everywhere within a minute")
		}
	}
}

// known checks that a look-up at a node finds the value.
func (n *realNode) known(tb testing.TB, value string) {
	tb.Helper()
	found, err := n.Lookup([]store.Value{{Type: "sha256", Text: value}})
	if err != nil || len(found[0]) == 0 {
		tb.Fatalf("%s is not known: %v", value, err)
	}
}

// cpuTime is what this process has used of the processors.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkBulk is 100,000 indicators made into bundles at one node to queryable
// at the other, both on this machine.
func BenchmarkBulk(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		mesh := realMesh(b, 2)
		if _, err := mesh[0].Write(b.Context(), mesh[0].bundles(hashes(1)), "green"); err != nil {
			b.Fatal(err)
		}
		await(b, mesh, 1)
		values := hashes(100_000)
		b.StartTimer()
		start, cpu := time.Now(), cpuTime()
		if _, err := mesh[0].Write(b.Context(), mesh[0].bundles(values), "green"); err != nil {
			b.Fatal(err)
		}
		written := time.Since(start)
		await(b, mesh, 251)
		took := time.Since(start)
		b.ReportMetric((cpuTime() - cpu).Seconds(), "cpu-s")
		for _, k := range []int{len(values) - 1, len(values) / 2, 0} {
			mesh[1].known(b, values[k])
		}
		b.ReportMetric(100_000/took.Seconds(), "indicators/s")
		b.ReportMetric(written.Seconds(), "s-to-durable")
	}
}

// BenchmarkShare is one indicator shared to queryable at the last of ten nodes
// in this process, which share its two cores and its disk. Two floors are
// measured in turn with it: gossip alone of a message of the same size among ten
// hosts and one synced write of it, first at the author and then at one reader
// (x-floor), or at all nine readers at the same time (x-floor-all).
func BenchmarkShare(b *testing.B) {
	mesh := realMesh(b, 10)
	spread := transporttest.Spread(b, 10)
	disks := make([]*badger.Store, len(mesh))
	for i := range disks {
		key := make([]byte, 32)
		rand.Read(key)
		var err error
		if disks[i], err = badger.Open(badger.Config{Dir: b.TempDir(), Key: key}); err != nil {
			b.Fatal(err)
		}
		defer disks[i].Close()
	}
	if _, err := mesh[0].Write(b.Context(), mesh[0].bundles(hashes(1)), "green"); err != nil {
		b.Fatal(err)
	}
	arrivals := uint64(1)
	await(b, mesh, arrivals)
	var ours, floor, floorAll []time.Duration
	for b.Loop() {
		value := hashes(1)
		start := time.Now()
		places, err := mesh[0].Write(b.Context(), mesh[0].bundles(value), "green")
		if err != nil {
			b.Fatal(err)
		}
		arrivals++
		await(b, mesh, arrivals)
		ours = append(ours, time.Since(start))
		for _, n := range mesh {
			n.known(b, value[0])
		}
		e, err := mesh[0].store.Entry(places[0])
		if err != nil {
			b.Fatal(err)
		}
		size := len(e.Payload) + len(e.Header.Raw())
		floor = append(floor, lowest(b, spread, disks[:2], size))
		floorAll = append(floorAll, lowest(b, spread, disks, size))
	}
	mid := func(list []time.Duration) float64 {
		slices.Sort(list)
		return float64(list[len(list)/2].Microseconds()) / 1000
	}
	b.ReportMetric(mid(ours), "ms-p50")
	b.ReportMetric(mid(floor), "ms-floor")
	b.ReportMetric(mid(floorAll), "ms-floor-all")
	b.ReportMetric(mid(ours)/mid(floor), "x-floor")
	b.ReportMetric(mid(ours)/mid(floorAll), "x-floor-all")
}

// lowest is the least that a share of so many bytes can take: a synced write at
// the author's disk, gossip, a synced write at each of the others' at once.
func lowest(b *testing.B, spread func([]byte), disks []*badger.Store, size int) time.Duration {
	msg := make([]byte, size)
	rand.Read(msg)
	c := &store.Commit{Settings: map[string][]byte{"message": msg}}
	start := time.Now()
	if _, err := disks[0].Commit(b.Context(), c); err != nil {
		b.Fatal(err)
	}
	spread(msg)
	var g errgroup.Group
	for _, d := range disks[1:] {
		g.Go(func() error {
			_, err := d.Commit(b.Context(), c)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
	return time.Since(start)
}

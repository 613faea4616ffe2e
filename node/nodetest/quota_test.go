package nodetest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/internal/stix"
	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
	"github.com/tipmesh/tipmesh/store"
)

// use gives how one member stands at a node.
func (m *Mesh) use(at, of int) node.QuotaUse {
	for _, u := range m.Members[at].Node.Status(time.Time{}).Quotas.Members {
		if u.Member == m.Members[of].ID {
			return u
		}
	}
	return node.QuotaUse{}
}

// absent counts the payloads of a member's that a node lacks.
func (m *Mesh) absent(at, of int) (count uint64) {
	for _, f := range m.Members[at].Store.Feeds() {
		if f.Node == m.nodeOf(of) {
			count += store.Ranges(f.Missing).Count()
		}
	}
	return count
}

// bulky shares entries that do not compress, and gives their places.
func (m *Mesh) bulky(i, count int) (names []string, objs [][]stix.Object, places []store.Place) {
	m.T.Helper()
	for n := range count {
		b := make([]byte, 16)
		var list []string
		for k := range 300 {
			rand.Read(b)
			list = append(list, fmt.Sprintf("%s-%d-%d.com", hex.EncodeToString(b), n, k))
		}
		said, at := m.publish(i, time.Time{}, list...)
		names, objs, places = append(names, list[0]), append(objs, said), append(places, at)
	}
	return names, objs, places
}

// reads counts the names that a node can look up.
func (m *Mesh) reads(at, of int, names []string) (count int) {
	for _, name := range names {
		if m.Reads(at, of, name) {
			count++
		}
	}
	return count
}

// compared waits until nodes have compared themselves with their neighbours and
// lack nothing but what there is no room for: they wait for no such payload.
func (m *Mesh) compared(nodes ...int) {
	m.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for _, i := range nodes {
		if err := m.Members[i].Node.WaitInStep(ctx); err != nil {
			m.T.Errorf("node %d: %v", i, err)
		}
	}
}

// A member that floods gets as much of the disk as it may have, and no more; its
// headers are held all the same, and what others share arrives.
func TestHostileDiskFlood(t *testing.T) {
	const quota = 2 << 20
	Run(t, Options{Nodes: 3, Seed: 520, Quota: node.Quota{Member: quota}}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		m.must(m.Share(0, "first.com"))
		m.Settle(time.Minute, m.All()...)
		m.Stop(2)
		l := m.hostile(2)
		defer l.tr.Close()
		payload := make([]byte, 40<<10)
		const each = 60
		heads := map[protocol.FeedID]uint64{}
		for feed := range 3 {
			var after *protocol.Header
			for i := range each {
				in := l.entry(feed, after, payload, func(h *protocol.Header) {
					if feed == 1 {
						h.Kind, h.Tag = protocol.EntryDirect, protocol.Tag{}
					}
				})
				if i%2 == 0 {
					l.put(protocol.Key{}, in)
				} else { // small ones between: a hole at every other entry, if they were taken
					small := l.entry(feed, after, payload[:64])
					in = small
					l.put(protocol.Key{}, in)
				}
				after = in.h
			}
			heads[after.Feed] = after.Seq
		}
		time.Sleep(5 * time.Minute)
		for j := range 2 {
			for feed, head := range heads {
				if f := l.holds(j, feed); f.Head != head {
					t.Errorf("node %d holds %d of %d headers", j, f.Head, head)
				}
			}
			u := l.use(j, 2)
			if !u.Over || u.Bytes > quota+quota/8 || u.Bytes < quota*3/4 || u.Absent != l.absent(j, 2) || u.Absent == 0 {
				t.Errorf("node %d: %+v, lacks %d", j, u, l.absent(j, 2))
			}
			if l.refused(j, node.ReasonQuota) == 0 {
				t.Errorf("node %d counted nothing over the quota", j)
			}
		}
		asked := l.times(replica.TypeGetEntries) + l.times(replica.TypeGetPayloads)
		time.Sleep(10 * time.Minute)
		if more := l.times(replica.TypeGetEntries) + l.times(replica.TypeGetPayloads) - asked; more > 0 {
			t.Errorf("%d requests for what there is no room for", more)
		}
		for i := range 2 {
			l.must(l.Share(i, fmt.Sprintf("in-spite-%d.com", i)))
		}
		time.Sleep(15 * time.Second)
		l.leave()
		l.compared(0, 1)
		for i := range 2 {
			if !l.Reads(i, 1-i, fmt.Sprintf("in-spite-%d.com", 1-i)) {
				t.Errorf("node %d does not know what node %d shared", i, 1-i)
			}
		}
	})
}

// What there was no room for is fetched once there is: by a greater quota, or
// because its author let something go.
func TestQuotaIsNoLoss(t *testing.T) {
	const quota = 150 << 10
	Run(t, Options{Nodes: 3, Seed: 521, Rules: shortGrace(), Quota: node.Quota{Member: quota}}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(10 * time.Second)
		names, objs, places := m.bulky(1, 24)
		time.Sleep(2 * time.Minute)
		lost := m.absent(0, 1)
		if u := m.use(0, 1); lost == 0 || !u.Over || u.Absent != lost || u.Bytes > quota {
			t.Fatalf("lacks %d, %+v", lost, u)
		}
		s := m.Members[0].Node.Status(time.Time{})
		if s.InStep || s.State != node.Look || len(s.Alerts) != 1 { // it does not say that others give not what they hold
			t.Errorf("in step %v, %s: %v", s.InStep, s.State, s.Alerts)
		}
		if m.absent(1, 1) > 0 || m.use(1, 1).Bytes > 0 {
			t.Error("what this member wrote itself is under the quota")
		}
		m.must(m.Share(1, "late.com"))
		m.must(m.Share(2, "other.com"))
		m.compared(m.All()...)
		if m.Reads(0, 1, "late.com") || !m.Reads(0, 2, "other.com") {
			t.Error("node 0 reads what it should not, or not what it should")
		}
		before := m.reads(0, 1, names)
		for at := range 4 { // they are held there
			m.withdraw(1, places[at], objs[at]...)
		}
		time.Sleep(afterGrace)
		m.compared(m.All()...)
		m.gone(places[0], objs[0][0], true, 0, 1)
		if after := m.reads(0, 1, names[4:]); after <= before-4 {
			t.Errorf("%d entries are read after 4 of %d went", after, before)
		}
		if u := m.use(0, 1); u.Bytes > quota+quota/8 || !u.Over {
			t.Errorf("%+v", u)
		}
		_, entries := m.carried(1)
		if taken, _, err := m.Members[0].Node.TakeEntries(entries); err != nil || taken.Refused[node.ReasonQuota] == 0 || taken.Refused[node.ReasonFork] > 0 {
			t.Errorf("carried in: %+v, %v", taken, err)
		}
		m.opt.Quota = node.Quota{}
		for _, i := range []int{0, 2} {
			m.Stop(i)
			m.Start(i)
		}
		m.Settle(2*time.Minute, m.All()...)
		m.Check(m.All()...)
		for _, name := range append(names, "late.com") {
			if !m.Reads(0, 1, name) {
				t.Errorf("node 0 does not read %s with a greater quota", name)
			}
		}
		if u := m.use(0, 1); u.Over || u.Absent > 0 || !m.Members[0].Node.Status(time.Time{}).InStep {
			t.Errorf("%+v", u)
		}
	})
}

package nodetest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
	"github.com/tipmesh/tipmesh/protocol/seal"
	"github.com/tipmesh/tipmesh/store"
)

// zstdFrame is a frame that says it holds size bytes, with so many blocks of
// 128 KiB of one letter, four bytes each.
func zstdFrame(size uint32, blocks int) []byte {
	out := binary.LittleEndian.AppendUint32(nil, 0xFD2FB528)
	out = binary.LittleEndian.AppendUint32(append(out, 0xA0), size)
	for i := range blocks {
		head := uint32(128<<10)<<3 | 1<<1
		if i == blocks-1 {
			head |= 1
		}
		out = append(out, byte(head), byte(head>>8), byte(head>>16), ' ')
	}
	return out
}

// bundleOf seals a plain text as a bundle.
func (l *liar) bundleOf(plain []byte, id *seal.Identity) []byte {
	l.T.Helper()
	out, err := seal.Bundle(plain, id)
	l.must(err)
	return out
}

// rawOf seals bytes to one identity as they are, without a frame.
func (l *liar) rawOf(inner []byte, id *seal.Identity) []byte {
	l.T.Helper()
	out, err := seal.Direct(inner, []string{id.Recipient()})
	l.must(err)
	return out
}

// What opens to a bomb, to a hidden second frame, or to a text without end or
// bottom is refused, counted, and costs little; the feed it is in goes on.
func TestHostilePayloads(t *testing.T) {
	amid(t, 3, 420, func(t *testing.T, l *liar) {
		e, id := l.epoch()
		hidden := append(zstdFrame(128<<10, 1), zstdFrame(128<<10, 1)...)
		many := []byte(`{"type":"bundle","id":"bundle--00000000-0000-4000-8000-000000000001","objects":[` + strings.Repeat(`{},`, 1<<20) + `{}]}`)
		bad := [][]byte{
			[]byte("no age file"),
			l.rawOf([]byte("no frame"), id),
			l.rawOf(zstdFrame(1<<30, 8192), id), // a bomb that says so,
			l.rawOf(zstdFrame(1000, 8192), id),  // and one that does not
			l.rawOf(append(hidden, make([]byte, seal.Padme(len(hidden))-len(hidden))...), id),
			l.bundleOf(bytes.Repeat([]byte("["), 7<<20), id),
			l.bundleOf(bytes.Repeat([]byte(`{"a":`), 1<<20), id),
			l.bundleOf([]byte(`"`+strings.Repeat("a", 7<<20)), id),
			l.bundleOf(many, id),
		}
		readers := []string{l.Members[0].age.Recipient(), l.Members[1].age.Recipient()}
		direct := [][]byte{[]byte("no age file"), {0}, bytes.Repeat([]byte{0x81}, 1<<20), {0x9b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}
		before, baseline := l.refused(0, node.ReasonMalformed), heap()
		var last *protocol.Header
		for _, p := range bad {
			in := l.entry(1, last, p, l.tagged(e))
			l.put(protocol.Key{}, in)
			last = in.h
		}
		good, values := l.p.domains("after-all-that.com")
		final := l.entry(1, last, l.bundleOf(good, id), l.tagged(e))
		l.put(protocol.Key{}, final)
		last = nil
		for i, p := range direct {
			if i > 0 {
				sealed, err := seal.Direct(p, readers)
				l.must(err)
				p = sealed
			}
			in := l.entry(2, last, p, func(h *protocol.Header) { h.Kind, h.Tag = protocol.EntryDirect, protocol.Tag{} })
			l.put(protocol.Key{}, in)
			last = in.h
		}
		for j := range 2 {
			_, err := l.stream(j).Write(replica.Encode(&replica.Have{Feeds: states(l.shelf[protocol.Key{}])}))
			l.must(err)
		}
		time.Sleep(2 * time.Minute)
		for j := range 2 {
			if !l.Reads(j, 2, values[0].Text) {
				t.Errorf("node %d does not read what came after", j)
			}
			if n := l.refused(j, node.ReasonMalformed); n < uint64(len(bad)-1+len(direct)) {
				t.Errorf("node %d counted %d of %d, %d before", j, n, len(bad)+len(direct), before)
			}
		}
		if grown := int64(heap()) - int64(baseline); grown > 64<<20 {
			t.Errorf("%d bytes more", grown)
		}
		l.unharmed(0, 1)
	})
}

// grant makes a direct entry that grants epochs to some members.
func (l *liar) grant(salt int, after *protocol.Header, to []int, list ...*protocol.Epoch) incoming {
	l.T.Helper()
	var recipients []string
	for _, i := range to {
		recipients = append(recipients, l.Members[i].age.Recipient())
	}
	payload, err := seal.Direct(protocol.NewGrant(list...), recipients)
	l.must(err)
	return l.entry(salt, after, payload, func(h *protocol.Header) { h.Kind, h.Tag = protocol.EntryDirect, protocol.Tag{} })
}

// lure makes an epoch that comes before another in order, so that all who have
// it would seal to it.
func (l *liar) lure(below protocol.EpochID, change func(*protocol.Epoch)) *protocol.Epoch {
	l.T.Helper()
	id, err := seal.NewIdentity()
	l.must(err)
	e := protocol.Epoch{Mesh: l.ID, Audience: protocol.Everyone(l.ID), Maker: l.p.ID, Departures: l.Members[0].Node.Roster().Departures(),
		Identity: id.String(), Time: time.Now().UnixMilli()}
	for _, p := range l.Members {
		e.Readers = append(e.Readers, p.ID)
	}
	protocol.Sorted(e.Readers)
	change(&e)
	for i := uint64(1); ; i++ {
		binary.BigEndian.PutUint64(e.State[:], i)
		made, err := e.Sign(l.p.nodeKey)
		l.must(err)
		if made.ID().Compare(below) < 0 {
			return made
		}
	}
}

// sealsTo reports whether what a node shared last is sealed to an epoch.
func (l *liar) sealsTo(e *protocol.Epoch) bool {
	l.T.Helper()
	a := l.acked[len(l.acked)-1]
	h, err := l.Members[a.By].Store.Header(a.Places[0])
	l.must(err)
	return h.Tag == protocol.TagFor(e.Identity, e.Audience, h.Feed)
}

// An epoch that says it is for all and is granted to one: what that one seals to
// it reaches all, as it hands the epoch over.
func TestHostileGrantLiesAboutGrantees(t *testing.T) {
	amid(t, 4, 421, func(t *testing.T, l *liar) {
		old, _ := l.epoch()
		e := l.lure(old.ID(), func(*protocol.Epoch) {})
		in := l.grant(1, nil, []int{0}, e)
		l.gossip(in.h.Raw(), in.payload)
		time.Sleep(5 * time.Second)
		l.must(l.Share(0, "sealed-to-the-lure.com"))
		if !l.sealsTo(e) {
			t.Fatal("the lure was not taken: the test is blind")
		}
		time.Sleep(15 * time.Second)
		for j := range 3 {
			if !l.Reads(j, 0, "sealed-to-the-lure.com") {
				t.Errorf("node %d cannot read it", j)
			}
		}
		l.unharmed(0, 1, 2)
	})
}

// Epochs of a time far off, in another's name, of before a removal, and grants of
// others sent again are sealed to by nobody.
func TestHostileEpochs(t *testing.T) {
	amid(t, 4, 422, func(t *testing.T, l *liar) {
		l.Remove(2)
		time.Sleep(5 * time.Second)
		l.must(l.Share(0, "new-epoch.com"))
		time.Sleep(5 * time.Second)
		lowest := protocol.EpochID(bytes.Repeat([]byte{2}, 32))
		list := []*protocol.Epoch{
			l.lure(lowest, func(e *protocol.Epoch) { e.Time = forever }),
			l.lure(lowest, func(e *protocol.Epoch) { e.Time = -forever - 1 }),
			l.lure(lowest, func(e *protocol.Epoch) { e.Time = time.Now().AddDate(1, 0, 0).UnixMilli() }),
			l.lure(lowest, func(e *protocol.Epoch) { e.Departures = nil }),
			l.lure(lowest, func(e *protocol.Epoch) { e.Departures = []protocol.Hash{{1}} }),
			l.lure(lowest, func(e *protocol.Epoch) { e.Maker = l.Members[1].ID }),
			l.lure(lowest, func(e *protocol.Epoch) { e.Mesh[0] ^= 1 }),
			l.lure(lowest, func(e *protocol.Epoch) { e.Narrow = true }),
			l.lure(lowest, func(e *protocol.Epoch) { e.Identity = "AGE-SECRET-KEY-PQ-1NONSENSE" }),
		}
		in := l.grant(1, nil, []int{0, 1}, list...)
		l.gossip(in.h.Raw(), in.payload)
		// A grant of node 0's from before the removal, in the liar's own feed.
		for _, f := range l.Members[0].Store.Feeds() {
			if f.Node == l.nodeOf(0) && f.Kind == protocol.EntryDirect {
				l.must(l.Members[0].Store.Range(f.ID, 1, func(e store.Entry) bool {
					again := l.entry(int(e.Header.Seq)+1, nil, e.Payload, func(h *protocol.Header) { h.Kind, h.Tag = protocol.EntryDirect, protocol.Tag{} })
					l.gossip(again.h.Raw(), again.payload)
					return true
				}))
			}
		}
		time.Sleep(10 * time.Second)
		for j := range 2 {
			l.must(l.Share(j, fmt.Sprintf("not-lured-%d.com", j)))
			if i := slices.IndexFunc(list, l.sealsTo); i >= 0 {
				t.Errorf("node %d seals to epoch %d of the list", j, i)
			}
			if n := l.refused(j, node.ReasonNotAdmitted); n < 3 {
				t.Errorf("node %d refused %d epochs", j, n)
			}
		}
		ids := l.identities(2)
		for _, a := range l.acked[1:] {
			if l.opens(a.By, a.Places[0], ids) {
				t.Errorf("the removed member reads %s", a.Values[0].Text)
			}
		}
		l.unharmed(0, 1)
	})
}

// Entries whose epoch nobody is given wait and are counted; they hold nothing up
// and have nobody asked without pause.
func TestHostileWithheldEpoch(t *testing.T) {
	amid(t, 3, 423, func(t *testing.T, l *liar) {
		var last *protocol.Header
		for i := range 200 {
			in := l.entry(1, last, []byte("closed"), func(h *protocol.Header) { h.Tag = protocol.Tag{1, byte(i)} })
			l.gossip(in.h.Raw(), in.payload)
			last = in.h
		}
		time.Sleep(10 * time.Minute)
		for j := range 2 {
			if n := l.Members[j].Node.Status(time.Time{}).Unreadable; n != 200 {
				t.Errorf("node %d says %d entries wait", j, n)
			}
		}
		if n := l.times(replica.TypeGetEpochs); n == 0 || n > 40 {
			t.Errorf("asked %d times for epochs in ten minutes", n)
		}
		l.unharmed(0, 1)
	})
}

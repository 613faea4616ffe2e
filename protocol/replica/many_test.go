package replica

import (
	"fmt"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
)

// claimed is a machine with neighbours that claim so many feeds each, all the
// same, and hold none; the first answers, the others are silent.
func claimed(feeds, silent int) (m *Machine, me *home, bad protocol.Key) {
	m, me, bad = lying()
	for _, msg := range []Message{&Statements{}, &Vector{}} {
		m.Received(testTime, bad, msg)
	}
	others := []protocol.Key{bad}
	for i := range silent {
		k := keyOf(fmt.Sprintf("silent %d", i))
		m.Up(testTime, k)
		others = append(others, k)
	}
	for at := 0; at < feeds; at += MaxFeeds {
		have := &Have{}
		for i := at; i < min(feeds, at+MaxFeeds); i++ {
			have.Feeds = append(have.Feeds, FeedState{Feed: protocol.FeedID{byte(i >> 16), byte(i >> 8), byte(i)}, Head: 1, HeadID: protocol.EntryID{1}})
		}
		for _, k := range others {
			m.Told(testTime, k, have)
		}
	}
	m.Tick(testTime.Add(time.Second))
	m.Take()
	return m, me, bad
}

// useless answers so many questions with nothing, each a while after the one
// before, and gives how many there were.
func (m *Machine) useless(from time.Time, bad protocol.Key, answers int) (now time.Time, answered int) {
	now = from
	for range answers {
		now = now.Add(time.Millisecond)
		p := m.peers[bad]
		if p == nil || len(p.pending) == 0 {
			m.Tick(now)
			m.Take()
			continue
		}
		switch q := p.pending[0].msg.(type) {
		case *GetEntries:
			answered++
			m.Received(now, bad, &Entries{Feed: q.Feed, From: q.From})
		case *GetStatements:
			m.Received(now, bad, &Statements{})
		case *GetVector:
			m.Received(now, bad, &Vector{})
		default:
			// With the digest it is known by, so that its claims stand.
			m.Received(now, bad, &Welcome{Vector: p.known()})
		}
		m.Take()
	}
	return now, answered
}

// TestManyClaimsCostLittle checks that what an answer costs does not grow with
// the feeds that neighbours claim: ones that are shunned, that others are being
// asked for, and that are left to ask for.
func TestManyClaimsCostLittle(t *testing.T) {
	const answers = 3000
	for _, feeds := range []int{MaxFeeds, protocol.MaxFeedsHeld} {
		for _, silent := range []int{0, 3} {
			m, _, bad := claimed(feeds, silent)
			m.looked = 0
			_, n := m.useless(testTime.Add(time.Second), bad, answers)
			// Each is looked at when it is taken out, when it ends, and when its
			// back-off is over, which for few feeds happens again and again.
			if n < MaxFeeds-silent*maxInFlight || m.looked > 4*answers {
				t.Errorf("%d feeds, %d silent: looked at %d feeds for %d useless answers", feeds, silent, m.looked, n)
			}
			t.Logf("%d feeds, %d silent: looked at %d feeds for %d useless answers", feeds, silent, m.looked, n)
		}
	}
}

// TestGrudgesAreBounded checks that a neighbour that always claims other feeds is
// not remembered without end, and does not shake off its bad name so.
func TestGrudgesAreBounded(t *testing.T) {
	mem := &memory{bad: map[protocol.FeedID]*grudge{}}
	id := func(i int) protocol.FeedID { return protocol.FeedID{1, byte(i >> 16), byte(i >> 8), byte(i)} }
	for i := range protocol.MaxFeedsHeld + 100 {
		mem.shun(testTime, id(i), 10*time.Second)
	}
	if len(mem.bad) != protocol.MaxFeedsHeld {
		t.Errorf("%d remembered", len(mem.bad))
	}
	for _, i := range []int{0, protocol.MaxFeedsHeld + 99, protocol.MaxFeedsHeld + 200} {
		if _, yes := mem.shunned(testTime.Add(time.Second), id(i)); !yes {
			t.Errorf("feed %d is asked for", i)
		}
	}
	later := testTime.Add(2 * time.Hour)
	mem.shun(later, id(0x80000), 10*time.Second)
	if _, yes := mem.shunned(later, id(0x80001)); len(mem.bad) != 1 || yes {
		t.Errorf("%d remembered though their time is over", len(mem.bad))
	}
}

// BenchmarkUselessAnswers measures one useless answer of a neighbour that claims
// so many feeds. With few, it is mostly time that passes with all of them shunned.
func BenchmarkUselessAnswers(b *testing.B) {
	for _, feeds := range []int{1024, 8192, protocol.MaxFeedsHeld} {
		b.Run(fmt.Sprint(feeds), func(b *testing.B) {
			m, _, bad := claimed(feeds, 0)
			now := testTime.Add(time.Second)
			for b.Loop() {
				now, _ = m.useless(now, bad, 1)
			}
		})
	}
}

package nodetest

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/node/transport"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
	"github.com/tipmesh/tipmesh/protocol/seal"
	"github.com/tipmesh/tipmesh/store"
)

// liar is a member that speaks the protocol by hand: it has the member's keys
// and a transport, and no node.
type liar struct {
	*Mesh
	p    *Member
	tr   *transport.Transport
	open []node.Stream

	mu    sync.Mutex
	shelf map[protocol.Key]map[protocol.FeedID][]replica.Entry // what it serves to whom; the zero key: to all others
	lie   func(to protocol.Key, q, a replica.Message) replica.Message
	asked map[replica.Type]int
}

// hostile brings up a liar in the place of a member whose node is stopped.
func (m *Mesh) hostile(i int) *liar {
	m.T.Helper()
	p := m.Members[i]
	tr, err := transport.New(transport.Config{Key: p.nodeKey, Mesh: m.ID, Listen: []string{m.Net.Address(p.At)}, Packets: m.Net.Packets})
	m.must(err)
	l := &liar{Mesh: m, p: p, tr: tr, shelf: map[protocol.Key]map[protocol.FeedID][]replica.Entry{}, asked: map[replica.Type]int{}}
	var others []protocol.Key
	for j := range m.Members {
		if j != i {
			others = append(others, m.nodeOf(j))
		}
	}
	tr.Allow(others)
	m.must(tr.Start(l))
	synctest.Wait()
	for j := range m.Members {
		if j != i && m.Members[j].Node != nil {
			l.dial(j)
		}
	}
	time.Sleep(5 * time.Second)
	return l
}

func (m *Mesh) nodeOf(i int) protocol.Key { return protocol.KeyOf(m.Members[i].nodeKey) }

// dial connects to a node; a refusal is for the test to notice.
func (l *liar) dial(j int) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	ignoreErr(l.tr.Connect(ctx, l.nodeOf(j), []string{l.Net.Address(l.Members[j].At)}))
}

// times is how often the liar was sent a message of a type.
func (l *liar) times(t replica.Type) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked[t]
}

// leave ends the liar, so that the others can be asked whether they are in step.
func (l *liar) leave() {
	l.T.Helper()
	for _, s := range l.open {
		ignoreErr(s.Reset())
	}
	l.must(l.tr.Close())
	time.Sleep(2 * time.Second)
}

// Up and the others make a liar a transport's handler. It passes nothing on.
func (l *liar) Up(protocol.Key)                          {}
func (l *liar) Down(protocol.Key)                        {}
func (l *liar) Gossip(protocol.Key, []byte) node.Verdict { return node.Ignore }

// Serve answers a node's requests from the shelf, or with a lie.
func (l *liar) Serve(from protocol.Key, s node.Stream) {
	for {
		frame, err := replica.ReadFrame(s, replica.MaxRequest)
		if err != nil {
			return
		}
		q, err := replica.Decode(frame)
		if err != nil {
			return
		}
		if a := l.answer(from, q); a != nil {
			if _, err := s.Write(replica.Encode(a)); err != nil {
				return
			}
		}
	}
}

func (l *liar) answer(to protocol.Key, q replica.Message) replica.Message {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked[q.Type()]++
	a := l.truth(to, q)
	if l.lie != nil {
		return l.lie(to, q, a)
	}
	return a
}

// shown is what the liar holds as far as one node shall see; the lock is held.
func (l *liar) shown(to protocol.Key) map[protocol.FeedID][]replica.Entry {
	if own := l.shelf[to]; own != nil {
		return own
	}
	return l.shelf[protocol.Key{}]
}

// states tells of the shelf, in ascending order.
func states(shelf map[protocol.FeedID][]replica.Entry) (out []replica.FeedState) {
	for id, list := range shelf {
		h, err := protocol.ParseHeader(list[len(list)-1].Header)
		if err != nil {
			continue
		}
		out = append(out, replica.FeedState{Feed: id, Head: uint64(len(list)), HeadID: h.ID()})
	}
	slices.SortFunc(out, func(a, b replica.FeedState) int { return a.Feed.Compare(b.Feed) })
	return out
}

// truth answers as an honest node with this shelf would.
func (l *liar) truth(to protocol.Key, q replica.Message) replica.Message {
	shelf := l.shown(to)
	switch q := q.(type) {
	case *replica.Hello:
		list := states(shelf)
		return &replica.Welcome{Version: protocol.Version, Mesh: l.ID, Time: time.Now().UnixMilli(), Agent: "liar",
			Vector: replica.DigestStates(func(yield func(*replica.FeedState) bool) {
				for i := range list {
					if !yield(&list[i]) {
						return
					}
				}
			})}
	case *replica.GetStatements:
		return &replica.Statements{}
	case *replica.GetVector:
		list := slices.DeleteFunc(states(shelf), func(f replica.FeedState) bool { return f.Feed.Compare(q.After) <= 0 })
		v := &replica.Vector{Feeds: list[:min(len(list), replica.MaxFeeds)], More: len(list) > replica.MaxFeeds}
		if len(q.Digests) > 0 {
			v.Differ = bytes.Repeat([]byte{0xff}, replica.Buckets/8) // gives all, whatever was known
		}
		return v
	case *replica.GetEntries:
		a := &replica.Entries{Feed: q.Feed, From: q.From}
		if list := shelf[q.Feed]; q.From <= uint64(len(list)) {
			a.Entries = list[q.From-1 : q.From] // one at a time: several may be too much for a frame
		}
		return a
	case *replica.GetPayloads:
		a := &replica.Payloads{Feed: q.Feed}
		for _, seq := range q.Seqs {
			if list := shelf[q.Feed]; seq <= uint64(len(list)) && list[seq-1].Payload != nil {
				a.Items = append(a.Items, replica.Payload{Seq: seq, Data: list[seq-1].Payload})
			}
		}
		return a
	case *replica.GetEpochs:
		return &replica.Epochs{}
	case *replica.GetAddresses:
		return &replica.Addresses{}
	}
	return nil
}

// put shelves a feed for all, or for one node.
func (l *liar) put(to protocol.Key, list ...incoming) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shelf[to] == nil {
		l.shelf[to] = map[protocol.FeedID][]replica.Entry{}
	}
	for _, in := range list {
		l.shelf[to][in.h.Feed] = append(l.shelf[to][in.h.Feed], replica.Entry{Header: in.h.Raw(), Payload: in.payload})
	}
}

// incoming is an entry of the liar's making.
type incoming struct {
	h       *protocol.Header
	payload []byte
}

// entry signs an entry that follows another of its feed; nil begins the feed.
func (l *liar) entry(salt int, after *protocol.Header, payload []byte, change ...func(*protocol.Header)) incoming {
	l.T.Helper()
	h := protocol.Header{Mesh: l.ID, Salt: protocol.Hash{byte(salt), byte(salt >> 8), 9}, Seq: 1, Kind: protocol.EntrySealed, Tag: protocol.Tag{1},
		Time: time.Now().UnixMilli(), Payload: protocol.HashOf(payload), Size: uint64(len(payload))}
	if after != nil {
		h.Seq, h.Prev = after.Seq+1, after.ID()
	}
	for _, f := range change {
		f(&h)
	}
	signed, err := h.Sign(l.p.nodeKey)
	l.must(err)
	return incoming{signed, payload}
}

// gossip publishes an entry, with its payload or without.
func (l *liar) gossip(header, payload []byte) {
	l.T.Helper()
	l.must(l.tr.Publish(replica.EncodeGossip(&replica.Gossip{Entry: &replica.Entry{Header: header, Payload: payload}})))
	time.Sleep(50 * time.Millisecond)
}

// stream opens a stream to a node, as often as the transport lets it.
func (l *liar) stream(j int) node.Stream {
	l.T.Helper()
	s, err := l.tr.Open(context.Background(), l.nodeOf(j))
	l.must(err)
	l.open = append(l.open, s)
	return s
}

// epoch gives an epoch the liar's member was granted, with its identity.
func (l *liar) epoch() (*protocol.Epoch, *seal.Identity) {
	l.T.Helper()
	var found *protocol.Epoch
	l.must(l.p.Store.Settings("epoch/", func(_ string, raw []byte) (err error) {
		found, err = protocol.ParseEpoch(raw)
		return err
	}))
	if found == nil {
		l.T.Fatal("the liar has no epoch")
	}
	id, err := seal.ParseIdentity(found.Identity)
	l.must(err)
	return found, id
}

// tagged is a change of an entry: its tag is the epoch's.
func (l *liar) tagged(e *protocol.Epoch) func(*protocol.Header) {
	return func(h *protocol.Header) {
		h.Tag = protocol.TagFor(e.Identity, e.Audience, protocol.FeedOf(protocol.KeyOf(l.p.nodeKey), h.Salt))
	}
}

// refused counts what a node refused for a reason.
func (m *Mesh) refused(i int, reason string) uint64 {
	return m.Members[i].Node.Status(time.Time{}).Refused[reason]
}

// feedsOf counts the feeds of a member's node at another.
func (m *Mesh) feedsOf(at, of int) (count int) {
	for _, f := range m.Members[at].Store.Feeds() {
		if f.Node == m.nodeOf(of) {
			count++
		}
	}
	return count
}

// holds gives how much a node holds of a feed.
func (m *Mesh) holds(at int, feed protocol.FeedID) store.Feed {
	f, _ := m.Members[at].Store.Feed(feed)
	return f
}

// heap is how much is live.
func heap() uint64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

// heeded has each honest node share and checks that all know all of it in time
// while the liar is about, and that they are in step once it has left.
func (l *liar) heeded(honest ...int) {
	l.T.Helper()
	for _, i := range honest {
		l.must(l.Share(i, fmt.Sprintf("in-spite-%d.com", i)))
	}
	time.Sleep(15 * time.Second)
	for _, i := range honest {
		for _, j := range honest {
			if !l.Reads(i, j, fmt.Sprintf("in-spite-%d.com", j)) {
				l.T.Errorf("node %d does not know what node %d shared 15 s ago", i, j)
			}
		}
	}
	l.leave()
	l.Settle(2*time.Minute, honest...)
	for _, i := range honest {
		if s := l.Members[i].Node.Status(time.Time{}); s.Halted != "" {
			l.T.Errorf("node %d stopped writing: %s", i, s.Halted)
		}
	}
}

// unharmed is heeded, and then all that the honest nodes hold is the same.
func (l *liar) unharmed(honest ...int) {
	l.T.Helper()
	l.heeded(honest...)
	l.Check(honest...)
}

// amid runs f with a liar in the place of the last of so many members, after
// each has got an epoch.
func amid(t *testing.T, nodes int, seed uint64, f func(t *testing.T, l *liar)) {
	t.Helper()
	Run(t, Options{Nodes: nodes, Seed: seed}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		m.must(m.Share(0, "first.com"))
		m.Settle(time.Minute, m.All()...)
		m.Stop(nodes - 1)
		l := m.hostile(nodes - 1)
		defer l.tr.Close()
		f(t, l)
	})
}

const forever = math.MaxInt64

package node

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
)

// Times of a sync stream.
const (
	frameTimeout = 30 * time.Second // for one frame to be written or, once begun, read
	idleTimeout  = 5 * time.Minute  // for the next request: hellos come far more often
	relinkAfter  = time.Second      // before a lost stream is opened again
	linkQueue    = 512              // frames waiting to be sent to one neighbour
)

// links are this node's own streams to its neighbours.
type links struct {
	n      *Node
	mu     sync.Mutex
	byNode map[protocol.Key]*link
	last   map[protocol.Key]*link // given up, and perhaps not ended yet
}

// link is the stream to one connected neighbour, opened again as often as it
// breaks while the neighbour stays connected.
type link struct {
	stop  context.CancelFunc // gives the link up
	ended chan struct{}      // closed when the machine has been told so
	heard atomic.Bool        // the neighbour has told all it holds

	mu     sync.Mutex
	out    chan []byte // nil while no stream stands
	broken context.CancelFunc
}

// Up begins to sync with a neighbour. The transport calls it.
func (n *Node) Up(node protocol.Key) {
	ls := n.links
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.byNode[node] != nil || n.ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithCancel(n.ctx)
	l := &link{stop: cancel, ended: make(chan struct{})}
	ls.byNode[node] = l
	before := ls.last[node]
	delete(ls.last, node)
	n.spawn(func() {
		defer close(l.ended)
		// The machine must hear that the link before is down before it hears
		// that this one is up.
		if before != nil {
			<-before.ended
		}
		l.run(ctx, n, node)
	})
	n.pulse.beat()
}

// Down ends it. The transport calls it.
func (n *Node) Down(node protocol.Key) {
	ls := n.links
	ls.mu.Lock()
	l := ls.byNode[node]
	delete(ls.byNode, node)
	if l != nil {
		l.stop()
		ls.last[node] = l
	}
	ls.mu.Unlock()
	n.book.lost(node)
	n.pulse.beat()
}

// connected lists the neighbours.
func (ls *links) connected() []protocol.Key {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	out := make([]protocol.Key, 0, len(ls.byNode))
	for k := range ls.byNode {
		out = append(out, k)
	}
	return protocol.Sorted(out)
}

func (ls *links) up(node protocol.Key) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return ls.byNode[node] != nil
}

// send queues a message; false where the queue is full. A message for a
// neighbour without a stream is dropped: the machine hears of it by Down.
func (ls *links) send(node protocol.Key, msg replica.Message) bool {
	ls.mu.Lock()
	l := ls.byNode[node]
	ls.mu.Unlock()
	if l == nil {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.out == nil {
		return true
	}
	select {
	case l.out <- replica.Encode(msg):
		return true
	default:
		return false
	}
}

// reset gives up the stream to a neighbour; another is opened after a while.
func (ls *links) reset(node protocol.Key, why string) {
	ls.mu.Lock()
	l := ls.byNode[node]
	ls.mu.Unlock()
	if l == nil {
		return
	}
	ls.n.log.Debug("sync stream reset", "node", node.Short(), "why", why)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		l.broken()
	}
}

func (l *link) run(ctx context.Context, n *Node, node protocol.Key) {
	for ctx.Err() == nil {
		if err := l.stream(ctx, n, node); err != nil && ctx.Err() == nil {
			n.log.Debug("sync stream ended", "node", node.Short(), "err", err)
		}
		n.post(func(m *replica.Machine, now time.Time) { m.Down(now, node) })
		select {
		case <-ctx.Done():
		case <-time.After(relinkAfter):
		}
	}
}

// stream opens one stream and serves it until it breaks.
func (l *link) stream(ctx context.Context, n *Node, node protocol.Key) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := n.transport.Open(ctx, node)
	if err != nil {
		return err
	}
	out := make(chan []byte, linkQueue)
	l.mu.Lock()
	l.out, l.broken = out, cancel
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		l.out, l.broken = nil, nil
		l.mu.Unlock()
	}()
	stopped := context.AfterFunc(ctx, func() { ignore(s.Reset()) })
	defer stopped()
	n.post(func(m *replica.Machine, now time.Time) { m.Up(now, node) })
	n.spawn(func() {
		defer cancel()
		for {
			select {
			case frame := <-out:
				if err := s.SetWriteDeadline(time.Now().Add(frameTimeout)); err != nil {
					return
				}
				if _, err := s.Write(frame); err != nil {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	})
	for {
		// The machine watches over answers that do not come; the deadline only
		// bounds a silent stream.
		if err := s.SetReadDeadline(time.Now().Add(idleTimeout)); err != nil {
			return err
		}
		frame, err := replica.ReadFrame(s, replica.MaxFrame)
		if err != nil {
			n.countMalformed(err)
			return err
		}
		msg, err := replica.Decode(frame)
		if err != nil {
			n.refused.add(ReasonMalformed, 1)
			return err
		}
		n.post(func(m *replica.Machine, now time.Time) { m.Received(now, node, msg) })
		if tellsAll(msg) {
			l.heard.Store(true)
			n.pulse.beat()
		}
	}
}

// countMalformed counts a frame that is too long or empty, not a stream that
// ended.
func (n *Node) countMalformed(err error) {
	if errors.Is(err, protocol.ErrMalformed) {
		n.refused.add(ReasonMalformed, 1)
	}
}

// tellsAll reports whether a message completes what a neighbour tells of its
// feeds.
func tellsAll(msg replica.Message) bool {
	switch msg := msg.(type) {
	case *replica.Vector:
		return !msg.More
	case *replica.Hello:
		return msg.Vector == replica.DigestStates(func(func(*replica.FeedState) bool) {}) // none: no vector follows
	}
	return false
}

// heard lists the neighbours that have told all they hold.
func (ls *links) heard() []protocol.Key {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	var out []protocol.Key
	for k, l := range ls.byNode {
		if l.heard.Load() {
			out = append(out, k)
		}
	}
	return protocol.Sorted(out)
}

// Serve answers a neighbour's requests on the stream it opened. The transport
// calls it.
func (n *Node) Serve(node protocol.Key, s Stream) {
	stopped := context.AfterFunc(n.ctx, func() { ignore(s.Reset()) })
	defer stopped()
	if err := n.serve(node, s); err != nil && !errors.Is(err, io.EOF) && n.ctx.Err() == nil {
		n.log.Debug("sync requests ended", "node", node.Short(), "err", err)
		ignore(s.Reset())
		return
	}
	ignore(s.Close())
}

func (n *Node) serve(node protocol.Key, s Stream) error {
	for {
		if err := s.SetReadDeadline(time.Now().Add(idleTimeout)); err != nil {
			return err
		}
		frame, err := replica.ReadFrame(s, replica.MaxRequest)
		if err != nil {
			n.countMalformed(err)
			return err
		}
		msg, err := replica.Decode(frame)
		if err != nil {
			n.refused.add(ReasonMalformed, 1)
			return err
		}
		// The roster may have changed since the connection stood.
		if _, ok := n.Roster().ByNode(node); !ok {
			n.refused.add(ReasonNotAdmitted, 1)
			return ErrNotMember
		}
		answer, err := n.answer(node, msg)
		if err != nil {
			return err
		}
		if answer == nil {
			continue
		}
		if err := s.SetWriteDeadline(time.Now().Add(frameTimeout)); err != nil {
			return err
		}
		if _, err := s.Write(replica.Encode(answer)); err != nil {
			return err
		}
	}
}

// answer handles one message of a neighbour's stream.
func (n *Node) answer(node protocol.Key, msg replica.Message) (replica.Message, error) {
	switch msg := msg.(type) {
	case *replica.Hello:
		if msg.Mesh != n.mesh || msg.Version != protocol.Version {
			return nil, errors.New("hello of another mesh or version")
		}
		n.post(func(m *replica.Machine, now time.Time) { m.Greeted(now, node, msg) })
	case *replica.Have:
		n.post(func(m *replica.Machine, now time.Time) { m.Told(now, node, msg) })
		n.pulse.beat()
		return nil, nil
	case *replica.GetEpochs:
		return n.handOver(node, msg)
	}
	answer := replica.Answer(n.view, msg)
	if answer == nil {
		return nil, errors.New("a message that is no request")
	}
	return answer, nil
}

// ignore drops an error of closing something that is being given up.
func ignore(error) {}

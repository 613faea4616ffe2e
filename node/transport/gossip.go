package transport

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
)

// MaxMessage bounds one gossip message, in bytes.
const MaxMessage = 64 << 10

// gossipQueue is the length of every queue of gossip. All of them drop what
// does not fit without a word; libp2p's own 32 lose most of a burst.
const gossipQueue = 4096

// topicName names the gossip of a mesh.
func topicName(mesh protocol.MeshID) string { return "/tipmesh/1/" + mesh.String() }

// gossipParams suit up to 32 links: the publisher sends to all of them
// (flood publish), others pass on to about eight.
func gossipParams() pubsub.GossipSubParams {
	p := pubsub.DefaultGossipSubParams()
	p.D, p.Dlo, p.Dhi, p.Dscore, p.Dout = 8, 6, 16, 4, 2
	p.Dlazy = 8
	// A longer memory lets neighbours ask for what a burst dropped.
	p.HistoryLength, p.HistoryGossip = 12, 8
	// "I don't want" shares the outbound queue with messages: not worth it for
	// small ones.
	p.IDontWantMessageThreshold = 8 << 10
	return p
}

// startGossip joins the mesh's topic. Relaying it without a subscription is
// enough: the validator sees every message once, and there is no buffer to
// overflow.
func (t *Transport) startGossip(ctx context.Context) error {
	name := topicName(t.cfg.Mesh)
	ps, err := pubsub.NewGossipSub(ctx, t.host,
		pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign), pubsub.WithNoAuthor(),
		pubsub.WithMessageIdFn(messageID),
		pubsub.WithPeerFilter(func(p peer.ID, topic string) bool { return topic == name && t.gate.allows(p) }),
		pubsub.WithSubscriptionFilter(pubsub.NewAllowlistSubscriptionFilter(name)),
		pubsub.WithPeerOutboundQueueSize(gossipQueue), pubsub.WithValidateQueueSize(gossipQueue), pubsub.WithValidateWorkers(1),
		pubsub.WithMaxMessageSize(MaxMessage+1024), pubsub.WithAppSpecificRpcInspector(t.inspect),
		pubsub.WithFloodPublish(true), pubsub.WithPeerExchange(false),
		pubsub.WithGossipSubParams(gossipParams()),
		pubsub.WithRawTracer(&t.counts),
		pubsub.WithLogger(slog.New(quiet{t.log.Handler()})),
	)
	if err != nil {
		return fmt.Errorf("start gossip: %w", err)
	}
	// Inline and with one worker, messages are judged one after another in the
	// order they came in, and no throttle drops any: each message out of order
	// would look like a gap to be pulled.
	if err := ps.RegisterTopicValidator(name, t.validate, pubsub.WithValidatorInline(true)); err != nil {
		return fmt.Errorf("register gossip validator: %w", err)
	}
	topic, err := ps.Join(name)
	if err != nil {
		return fmt.Errorf("join gossip: %w", err)
	}
	if _, err := topic.Relay(); err != nil {
		return fmt.Errorf("relay gossip: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.topic = topic
	return nil
}

// messageID covers all of a message: gossipsub marks IDs as seen before it
// validates, so that an ID over less would let a relay suppress the original.
func messageID(m *pb.Message) string {
	sum := sha256.Sum256(m.GetData())
	return string(sum[:])
}

// validate asks the handler about a message.
func (t *Transport) validate(_ context.Context, _ peer.ID, msg *pubsub.Message) pubsub.ValidationResult {
	from := msg.ReceivedFrom
	if from == t.host.ID() {
		return pubsub.ValidationAccept
	}
	key, ok := t.gate.key(from)
	if !ok || !t.enter() {
		return pubsub.ValidationIgnore
	}
	defer t.leave()
	// Unknown fields would travel on with the message and are not in its ID.
	if len(msg.Data) > MaxMessage || len(msg.Message.ProtoReflect().GetUnknown()) > 0 {
		t.counts.reject(key)
		return pubsub.ValidationReject
	}
	switch t.handler.Gossip(key, msg.Data) {
	case node.Accept:
		t.counts.accepted.Add(1)
		return pubsub.ValidationAccept
	case node.Reject:
		t.counts.reject(key)
		return pubsub.ValidationReject
	default:
		t.counts.ignored.Add(1)
		return pubsub.ValidationIgnore
	}
}

// Publish implements node.Transport.
func (t *Transport) Publish(msg []byte) error {
	if len(msg) > MaxMessage {
		return fmt.Errorf("publish message: %d bytes, at most %d", len(msg), MaxMessage)
	}
	if !t.enter() {
		return ErrClosed
	}
	defer t.leave()
	t.mu.Lock()
	topic := t.topic
	t.mu.Unlock()
	if topic == nil {
		return ErrClosed
	}
	// The queues keep what they are given; the caller may reuse it.
	if err := topic.Publish(t.ctx, bytes.Clone(msg)); err != nil {
		return fmt.Errorf("publish message: %w", err)
	}
	t.counts.published.Add(1)
	return nil
}

// GossipNeighbours is how many nodes have joined the gossip with us so far.
func (t *Transport) GossipNeighbours() int { return len(t.gossiping()) }

// gossiping gives the peers that take part in the topic.
func (t *Transport) gossiping() map[peer.ID]bool {
	t.mu.Lock()
	topic := t.topic
	t.mu.Unlock()
	if topic == nil || t.ctx.Err() != nil {
		return nil
	}
	peers := map[peer.ID]bool{}
	for _, p := range topic.ListPeers() {
		peers[p] = true
	}
	return peers
}

// quiet passes on only what libp2p thinks is worth a warning.
type quiet struct{ slog.Handler }

func (q quiet) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && q.Handler.Enabled(ctx, l)
}
func (q quiet) WithAttrs(a []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(a)} }
func (q quiet) WithGroup(n string) slog.Handler      { return quiet{q.Handler.WithGroup(n)} }

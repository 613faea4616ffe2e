package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// broker is an embedded JetStream server with one file stream, and a publisher
// and a consumer that reach it over the loopback device.
type broker struct {
	dir              string
	srv              *server.Server
	publish, consume *nats.Conn
	from, to         jetstream.JetStream
	stream           jetstream.Stream
}

const (
	streamName = "indicators"
	// pending is how many messages may wait for the server's acknowledgement.
	pending = 4096
)

// newBroker starts a server. Where always is set it syncs each message to disk
// before it acknowledges it; else every two minutes.
func newBroker(ctx context.Context, dir string, always bool) (b *broker, err error) {
	b = &broker{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("start JetStream: %w", err), b.close())
		}
	}()
	b.srv, err = server.NewServer(&server.Options{ServerName: "bench", Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true,
		StoreDir: filepath.Join(dir, "jetstream"), SyncAlways: always, NoLog: true, NoSigs: true})
	if err != nil {
		return b, err
	}
	go b.srv.Start()
	if !b.srv.ReadyForConnections(patience) {
		return b, errors.New("the server does not get ready")
	}
	if b.publish, err = nats.Connect(b.srv.ClientURL()); err != nil {
		return b, err
	}
	if b.consume, err = nats.Connect(b.srv.ClientURL()); err != nil {
		return b, err
	}
	if b.from, err = jetstream.New(b.publish, jetstream.WithPublishAsyncMaxPending(pending)); err != nil {
		return b, err
	}
	if b.to, err = jetstream.New(b.consume); err != nil {
		return b, err
	}
	b.stream, err = b.from.CreateStream(ctx, jetstream.StreamConfig{Name: streamName, Subjects: []string{streamName}, Storage: jetstream.FileStorage})
	return b, err
}

// through publishes all messages, then consumes them.
func (b *broker) through(ctx context.Context, messages [][]byte) (published, consumed time.Duration, err error) {
	began := time.Now()
	acks := make([]jetstream.PubAckFuture, 0, len(messages))
	for _, m := range messages {
		ack, err := b.from.PublishAsync(streamName, m, jetstream.WithStallWait(patience))
		if err != nil {
			return 0, 0, fmt.Errorf("publish: %w", err)
		}
		acks = append(acks, ack)
	}
	for _, ack := range acks {
		select {
		case <-ack.Ok():
		case err := <-ack.Err():
			return 0, 0, fmt.Errorf("publish: %w", err)
		case <-ctx.Done():
			return 0, 0, ctx.Err()
		}
	}
	published = time.Since(began)
	began = time.Now()
	c, err := b.to.OrderedConsumer(ctx, streamName, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return 0, 0, fmt.Errorf("consume: %w", err)
	}
	count, bytes, done := 0, 0, make(chan struct{})
	for _, m := range messages {
		bytes += len(m)
	}
	running, err := c.Consume(func(m jetstream.Msg) {
		count++
		bytes -= len(m.Data())
		if count == len(messages) {
			close(done)
		}
	}, jetstream.PullMaxMessages(pending))
	if err != nil {
		return 0, 0, fmt.Errorf("consume: %w", err)
	}
	defer running.Stop()
	select {
	case <-done:
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	}
	if bytes != 0 {
		return 0, 0, errors.New("consume: other bytes came than were published")
	}
	return published, time.Since(began), nil
}

func (b *broker) close() error {
	for _, c := range []*nats.Conn{b.publish, b.consume} {
		if c != nil {
			c.Close()
		}
	}
	if b.srv != nil {
		b.srv.Shutdown()
		b.srv.WaitForShutdown()
	}
	return nil
}

// messages are the indicators as JSON, one each.
func messages(from, end int) (list [][]byte, mean float64) {
	total := 0
	for _, o := range objects(from, end) {
		list = append(list, o.Raw)
		total += len(o.Raw)
	}
	return list, float64(total) / float64(end-from)
}

// mostMessages bounds what is published at a time.
const mostMessages = 500_000

// brokered is what a broker did.
type brokered struct {
	rate, publish, consume float64 // objects a second
	mean, disk             float64 // bytes an object
}

// measureBroker publishes and consumes so many objects in a new server.
func measureBroker(ctx context.Context, dir string, n int, always bool) (r brokered, err error) {
	b, err := newBroker(ctx, dir, always)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	n = min(n, mostMessages)
	list, mean := messages(0, n)
	p, c, err := b.through(ctx, list)
	if err != nil {
		return r, err
	}
	disk, err := diskOf(b.dir)
	r = brokered{rate: perSecond(n, p+c), publish: perSecond(n, p), consume: perSecond(n, c), mean: mean, disk: float64(disk) / float64(n)}
	return r, err
}

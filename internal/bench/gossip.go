package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
)

// chatter is gossipsub alone among hosts over TCP, each connected to each.
type chatter struct {
	hosts   []host.Host
	topics  []*pubsub.Topic
	arrived chan error
	cancel  context.CancelFunc
}

func newChatter(ctx context.Context, count int) (g *chatter, err error) {
	ctx, cancel := context.WithCancel(ctx)
	g = &chatter{arrived: make(chan error, count), cancel: cancel}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("start gossipsub: %w", err), g.close())
		}
	}()
	for i := range count {
		h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableMetrics())
		if err != nil {
			return g, err
		}
		g.hosts = append(g.hosts, h)
		ps, err := pubsub.NewGossipSub(ctx, h, pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign), pubsub.WithNoAuthor(),
			pubsub.WithMessageIdFn(func(m *pb.Message) string { return string(m.GetData()[:32]) }), pubsub.WithFloodPublish(true),
			pubsub.WithLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			return g, err
		}
		t, err := ps.Join("bench")
		if err != nil {
			return g, err
		}
		sub, err := t.Subscribe()
		if err != nil {
			return g, err
		}
		g.topics = append(g.topics, t)
		if i > 0 {
			go g.take(ctx, sub)
		}
		for _, other := range g.hosts[:i] {
			if err := h.Connect(ctx, peer.AddrInfo{ID: other.ID(), Addrs: other.Addrs()}); err != nil {
				return g, err
			}
		}
	}
	late := time.Now().Add(patience)
	for _, t := range g.topics {
		for len(t.ListPeers()) < count-1 {
			if time.Now().After(late) {
				return g, errors.New("the hosts do not find each other")
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	time.Sleep(2 * time.Second) // two beats, in which the mesh forms
	return g, nil
}

func (g *chatter) take(ctx context.Context, sub *pubsub.Subscription) {
	for {
		_, err := sub.Next(ctx)
		if ctx.Err() != nil {
			return
		}
		g.arrived <- err
	}
}

// spread publishes a message and gives the time until all others have it.
func (g *chatter) spread(ctx context.Context, bytes int) (time.Duration, error) {
	msg := make([]byte, bytes)
	if _, err := io.ReadFull(rand.Reader, msg); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	began := time.Now()
	if err := g.topics[0].Publish(ctx, msg); err != nil {
		return 0, err
	}
	for range len(g.hosts) - 1 {
		select {
		case err := <-g.arrived:
			if err != nil {
				return 0, err
			}
		case <-ctx.Done():
			return 0, fmt.Errorf("a message did not reach everybody: %w", ctx.Err())
		}
	}
	return time.Since(began), nil
}

func (g *chatter) close() error {
	g.cancel()
	var err error
	for _, h := range g.hosts {
		err = errors.Join(err, h.Close())
	}
	return err
}

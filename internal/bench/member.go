package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/tipmesh/tipmesh/internal/api"
	"github.com/tipmesh/tipmesh/internal/home"
	"github.com/tipmesh/tipmesh/protocol"
)

// patience bounds waits for things that take a moment.
const patience = time.Minute

// member is a home and, while it runs in this process, its node.
type member struct {
	handle, dir string
	home        *home.Home
	client      *api.Client
	indexed     chan uint64 // the index's newest checkpoint
	stop        context.CancelFunc
	ended       chan error
}

// newMembers makes a mesh of members whose homes are below a folder; all nodes
// run in this process.
func newMembers(ctx context.Context, dir string, count int) (all []*member, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, haltAll(all))
		}
	}()
	for i := range count {
		m := &member{handle: fmt.Sprintf("m%d", i), dir: filepath.Join(dir, fmt.Sprintf("m%d", i))}
		if i == 0 {
			if _, err = home.Create(m.dir, home.CreateOptions{MemberOptions: m.options(), Mesh: "bench"}); err != nil {
				return all, fmt.Errorf("found: %w", err)
			}
			if err = m.start(ctx); err != nil {
				return all, err
			}
			all = append(all, m)
			continue
		}
		if err = m.join(ctx, all[0]); err != nil {
			return append(all, m), fmt.Errorf("let %s in: %w", m.handle, err)
		}
		all = append(all, m)
	}
	for _, m := range all {
		if err = m.wait(ctx, fmt.Sprintf("members=%d", count)); err != nil {
			return all, err
		}
		if err = m.linked(ctx, count-1); err != nil {
			return all, err
		}
		if err = m.wait(ctx, "in-step"); err != nil {
			return all, err
		}
	}
	return all, nil
}

func haltAll(all []*member) error {
	var err error
	for _, m := range all {
		err = errors.Join(err, m.halt())
	}
	return err
}

func (m *member) options() home.MemberOptions {
	return home.MemberOptions{Member: m.handle, Handle: m.handle, Contact: "cert@" + m.handle + ".example"}
}

// start opens the home and runs its node and API here.
func (m *member) start(ctx context.Context) error {
	m.indexed = make(chan uint64, 1)
	h, err := home.Open(m.dir, home.Options{Listen: []string{"127.0.0.1:0"}, OnIndexed: m.note})
	if err != nil {
		return err
	}
	socket, err := home.Listen(m.dir)
	if err != nil {
		return errors.Join(err, h.Close())
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	listening, ran, served := make(chan struct{}), make(chan error, 1), make(chan error, 1)
	go func() {
		err := h.Run(running, func() { close(listening) })
		stop()
		ran <- err
	}()
	select {
	case <-listening:
	case err := <-ran:
		return errors.Join(err, socket.Close(), h.Close())
	}
	go func() {
		served <- api.New(h.Node, api.Options{Log: slog.New(slog.DiscardHandler)}).Serve(running, socket)
	}()
	m.home, m.stop, m.ended, m.client = h, stop, make(chan error, 1), api.NewClient(m.dir)
	go func() { m.ended <- errors.Join(<-ran, <-served, h.Close()) }()
	return nil
}

// note keeps the newest checkpoint; only one goroutine of the node calls it.
func (m *member) note(checkpoint uint64) {
	select {
	case <-m.indexed:
	default:
	}
	m.indexed <- checkpoint
}

// until waits until look-ups here include an arrival.
func (m *member) until(ctx context.Context, arrival uint64) error {
	for at := m.home.Node.Store().Index().Checkpoint(); at < arrival; {
		select {
		case at = <-m.indexed:
		case <-ctx.Done():
			return fmt.Errorf("%s waits for arrival %d: %w", m.handle, arrival, ctx.Err())
		}
	}
	return nil
}

// halt ends the node.
func (m *member) halt() error {
	if m.home == nil {
		return nil
	}
	m.stop()
	m.client.Close()
	err := <-m.ended
	m.home = nil
	return err
}

// join makes the home by an invitation of the founder, who signs.
func (m *member) join(ctx context.Context, founder *member) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	text, err := founder.client.Invite(ctx, api.Invite{Name: m.handle, ForS: 600})
	if err != nil {
		return err
	}
	ticket, charter, err := protocol.ParseTicket(text.Text)
	if err != nil {
		return err
	}
	if _, err := home.NewMember(m.dir, ticket, charter, m.options()); err != nil {
		return err
	}
	if err := m.start(ctx); err != nil {
		return err
	}
	joined := make(chan error, 1)
	go func() { joined <- m.home.Join(ctx, nil) }()
	for {
		r, err := founder.client.Roster(ctx)
		if err != nil {
			return err
		}
		for _, p := range r.Open {
			if p.Op == api.OpAdd && p.Title == m.handle {
				if _, err := founder.client.Sign(ctx, p.ID); err != nil {
					return err
				}
				return <-joined
			}
		}
		select {
		case err := <-joined:
			return errors.Join(errors.New("the join ended before it was signed"), err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (m *member) wait(ctx context.Context, until string) error {
	return wait(ctx, m.client, m.handle, until)
}

// linked waits until so many neighbours are up.
func (m *member) linked(ctx context.Context, count int) error {
	return linked(ctx, m.client, m.handle, count)
}

func wait(ctx context.Context, c *api.Client, who, until string) error {
	s, err := c.Status(ctx, until, patience)
	if err == nil && s.TimedOut {
		err = fmt.Errorf("not %s in %v", until, patience)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", who, err)
	}
	return nil
}

func linked(ctx context.Context, c *api.Client, who string, count int) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		s, err := c.Status(ctx, "", 0)
		if err != nil {
			return fmt.Errorf("%s: %w", who, err)
		}
		up := 0
		for _, p := range s.Peers {
			if p.Up {
				up++
			}
		}
		if up >= count {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %d of %d neighbours: %w", who, up, count, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

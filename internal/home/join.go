package home

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/node/transport"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

// ErrRefused tells that the inviter will not let this card in.
var ErrRefused = errors.New("the inviter refused")

const joinAgain = time.Second // between attempts to reach the inviter

// Join shows this home's card to the inviter, and goes on until the member is in
// or ctx ends; it may be repeated. The node must be running. progress is told of
// every answer, and may be nil. Where the join is done already, it does nothing.
func (h *Home) Join(ctx context.Context, progress func(*node.JoinReply)) error {
	if !h.Pending() {
		return nil
	}
	path := filepath.Join(h.Dir, meshFile)
	ticket, _, err := protocol.ParseTicket(h.file.Ticket)
	if err != nil {
		return damaged(path, "its ticket is garbled; join again with the ticket", err)
	}
	card, err := protocol.ParseStatement(h.file.Card)
	if err != nil {
		return damaged(path, "its card is garbled; restore it from a backup", err)
	}
	if progress == nil {
		progress = func(*node.JoinReply) {}
	}
	for {
		reply, refused, err := h.ask(ctx, ticket, card, progress)
		if err == nil {
			return h.admitted(reply)
		}
		if refused {
			return fmt.Errorf("%w: %w", ErrRefused, err)
		}
		h.log.Warn("join", "err", err)
		// The inviter may be away for a while.
		select {
		case <-ctx.Done():
			return err
		case <-time.After(joinAgain):
		}
	}
}

// Discard removes a home whose join was never answered with yes, so that the
// folder is free again. It touches no other home.
func Discard(dir string) error {
	held, err := lockHome(dir)
	if err != nil {
		return err
	}
	defer held.release()
	f, err := readMesh(dir)
	if err != nil {
		return err
	}
	if f.Card == nil {
		return fmt.Errorf("discard home: %w", ErrMember)
	}
	// With that folder in it, and without the mesh file, it is an unfinished
	// build, which the next one clears away.
	if err := os.MkdirAll(filepath.Join(dir, newFolder), 0o700); err != nil {
		return fmt.Errorf("discard home: %w", err)
	}
	for _, name := range []string{meshFile, listenFile, SocketFile} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("discard home: %w", err)
		}
	}
	sweep(dir, true)
	return nil
}

// ask shows the card on one stream until there is a decision.
func (h *Home) ask(ctx context.Context, t *protocol.Ticket, card *protocol.Statement, progress func(*node.JoinReply)) (reply *node.JoinReply, refused bool, err error) {
	stream, err := transport.DialJoin(ctx, t.Host, t.Addresses, h.log)
	if err != nil {
		return nil, false, fmt.Errorf("join: reach %s: %w", t.Handle, err)
	}
	defer func() { ignore(stream.Close()) }()
	reply, err = node.Join(ctx, stream, t, card, h.Node.Addresses(), func(r *node.JoinReply) {
		refused = r.State == node.JoinRefused
		progress(r)
	})
	return reply, refused, err
}

// admitted takes in what the inviter told of the mesh.
func (h *Home) admitted(reply *node.JoinReply) error {
	var list []*protocol.Statement
	for _, raw := range reply.Statements {
		s, err := protocol.ParseStatement(raw)
		if errors.Is(err, protocol.ErrVersion) {
			continue
		} else if err != nil {
			return fmt.Errorf("join: read the roster: %w", err)
		}
		list = append(list, s)
	}
	h.Node.Introduce(reply.Addresses)
	if err := h.Node.Learn(list...); err != nil {
		return fmt.Errorf("join: keep the roster: %w", err)
	}
	if m, ok := h.Node.Roster().Member(h.Member); !ok || m.State != trust.StateActive {
		return errors.New("join: the inviter says we are in, and what it sent does not show it; ask for a new ticket")
	}
	if err := h.pin(); err != nil {
		return err
	}
	done := *h.file
	done.Card, done.Ticket = nil, ""
	if err := writeMesh(h.Dir, &done); err != nil {
		return err
	}
	h.file = &done
	return nil
}

// pin takes the line of governors that the ticket named, and the founders' cards
// as they are now, as given from here on.
func (h *Home) pin() error {
	ticket, _, err := protocol.ParseTicket(h.file.Ticket)
	if err != nil {
		return fmt.Errorf("join: %w", err)
	}
	var pins []protocol.StatementID
	for _, raw := range ticket.Line {
		s, err := protocol.ParseStatement(raw)
		if err != nil {
			return fmt.Errorf("join: read the line of governors: %w", err)
		}
		pins = append(pins, s.ID())
	}
	r := h.Node.Roster()
	for _, m := range r.Members {
		if m.Admission == r.Charter.ID() {
			pins = append(pins, protocol.StatementID(m.ID))
		}
	}
	if err := h.Node.Pin(pins...); err != nil {
		return fmt.Errorf("join: %w", err)
	}
	return nil
}

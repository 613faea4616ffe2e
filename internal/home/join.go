package home

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/node/transport"
	"github.com/tipmesh/tipmesh/protocol"
)

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
	stream, err := transport.DialJoin(ctx, ticket.Host, ticket.Addresses, h.log)
	if err != nil {
		return fmt.Errorf("join: reach %s: %w", ticket.Handle, err)
	}
	defer func() { ignore(stream.Close()) }()
	if progress == nil {
		progress = func(*node.JoinReply) {}
	}
	reply, err := node.Join(ctx, stream, ticket, card, h.Node.Addresses(), progress)
	if err != nil {
		return err
	}
	return h.admitted(reply)
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
	if m, ok := h.Node.Roster().Member(h.Member); !ok || m.State != "active" {
		return errors.New("join: the inviter says we are in, and what it sent does not show it; ask for a new ticket")
	}
	done := *h.file
	done.Card, done.Ticket = nil, ""
	if err := writeMesh(h.Dir, &done); err != nil {
		return err
	}
	h.file = &done
	return nil
}

package node

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// openTicket is a ticket this node has issued.
type openTicket struct {
	Ticket []byte               `json:"ticket"` // canonical bytes
	Admit  bool                 `json:"admit"`
	Card   protocol.StatementID `json:"card,omitzero"`   // the card it is bound to
	Guest  []byte               `json:"guest,omitempty"` // that card, while nobody has proposed it
	ticket *protocol.Ticket
}

// tickets are the invitations that are open, and the host that answers them.
type tickets struct {
	n    *Node
	mu   sync.Mutex
	host JoinHost
	open map[protocol.Hash]*openTicket
	next *time.Timer // when a ticket runs out
}

// joinHost is what a join host must keep over a restart, since tickets name it.
type joinHost struct {
	Seed []byte `json:"seed"`
	Port string `json:"port"`
}

// listen opens the join host, with the key and port it had before if there is
// one to go on with.
func (ts *tickets) listen() (JoinHost, error) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.host != nil {
		return ts.host, nil
	}
	var kept joinHost
	if raw, err := ts.n.store.Setting(joinSetting); err == nil {
		if err := json.Unmarshal(raw, &kept); err != nil {
			return nil, fmt.Errorf("open join host: %w", err)
		}
	} else if !errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("open join host: %w", err)
	}
	if len(kept.Seed) != ed25519.SeedSize {
		kept = joinHost{Seed: make([]byte, ed25519.SeedSize), Port: "0"}
		rand.Read(kept.Seed)
	}
	host, err := ts.n.cfg.Invite(ed25519.NewKeyFromSeed(kept.Seed), kept.Port, ts.serve)
	if err != nil {
		return nil, fmt.Errorf("open join host: %w", err)
	}
	if list := host.Addresses(); len(list) > 0 {
		if _, kept.Port, err = net.SplitHostPort(list[0]); err != nil {
			return nil, errors.Join(fmt.Errorf("open join host: %w", err), host.Close())
		}
	}
	raw, err := json.Marshal(kept)
	if err == nil {
		_, err = ts.n.store.Commit(ts.n.context(), &store.Commit{Settings: map[string][]byte{joinSetting: raw}})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("keep join host: %w", err), host.Close())
	}
	ts.host = host
	return host, nil
}

func (ts *tickets) add(t *openTicket) error {
	if err := ts.save(t); err != nil {
		return err
	}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.host == nil || ts.host.Key() != t.ticket.Host {
		return errors.New("the join host has closed meanwhile: invite again")
	}
	if ts.open == nil {
		ts.open = map[protocol.Hash]*openTicket{}
	}
	ts.open[t.ticket.ID()] = t
	ts.schedule()
	return nil
}

// schedule has the next ticket that runs out looked at, a little after it has,
// so that a joiner who waits is told. The caller holds the lock.
func (ts *tickets) schedule() {
	if ts.next != nil {
		ts.next.Stop()
	}
	first := int64(math.MaxInt64)
	for _, t := range ts.open {
		first = min(first, t.ticket.Expires)
	}
	if len(ts.open) > 0 {
		wait := time.UnixMilli(first).Sub(ts.n.now())
		ts.next = time.AfterFunc(min(max(wait, 0), 24*time.Hour)+joinGrace, ts.expire)
	}
}

// expire forgets the tickets that have run out, and closes the join host with
// the last of them.
func (ts *tickets) expire() {
	ts.mu.Lock()
	if ts.host == nil { // the node has stopped
		ts.mu.Unlock()
		return
	}
	now := ts.n.now().UnixMilli()
	c := &store.Commit{Settings: map[string][]byte{}}
	for id, t := range ts.open {
		if t.ticket.Expires <= now {
			delete(ts.open, id)
			c.Settings[ticketPrefix+id.String()] = nil
		}
	}
	var host JoinHost
	if len(ts.open) == 0 {
		host, ts.host = ts.host, nil
		c.Settings[joinSetting] = nil
	}
	if _, err := ts.n.store.Commit(ts.n.context(), c); err != nil {
		ts.n.log.Error("forget tickets", "err", err)
	}
	ts.schedule()
	ts.mu.Unlock()
	if host != nil {
		ignore(host.Close())
	}
}

func (ts *tickets) save(t *openTicket) error {
	raw, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("keep ticket: %w", err)
	}
	name := ticketPrefix + t.ticket.ID().String()
	if _, err := ts.n.store.Commit(ts.n.context(), &store.Commit{Settings: map[string][]byte{name: raw}}); err != nil {
		return fmt.Errorf("keep ticket: %w", err)
	}
	return nil
}

// reopen takes up the tickets that are still good after a restart.
func (ts *tickets) reopen() {
	now := ts.n.now().UnixMilli()
	var good []*openTicket
	over := &store.Commit{Settings: map[string][]byte{}}
	err := ts.n.store.Settings(ticketPrefix, func(name string, raw []byte) error {
		t := &openTicket{ticket: new(protocol.Ticket)}
		if err := json.Unmarshal(raw, t); err != nil {
			return err
		}
		if err := protocol.Unmarshal(t.Ticket, protocol.MaxTicket, t.ticket); err != nil {
			return err
		}
		if t.ticket.Expires > now {
			good = append(good, t)
		} else {
			over.Settings[name] = nil
		}
		return nil
	})
	if err != nil {
		ts.n.log.Error("read tickets", "err", err)
	}
	if len(good) == 0 && err == nil {
		over.Settings[joinSetting] = nil
	}
	if len(over.Settings) > 0 {
		if _, err := ts.n.store.Commit(ts.n.context(), over); err != nil {
			ts.n.log.Error("forget tickets", "err", err)
		}
	}
	if len(good) == 0 || ts.n.cfg.Invite == nil {
		return
	}
	if _, err := ts.listen(); err != nil {
		ts.n.log.Error("open join host again", "err", err)
		return
	}
	for _, t := range good {
		if err := ts.add(t); err != nil {
			ts.n.log.Error("keep ticket", "err", err)
		}
	}
}

func (ts *tickets) close() {
	ts.mu.Lock()
	host := ts.host
	ts.host = nil
	if ts.next != nil {
		ts.next.Stop()
	}
	ts.mu.Unlock()
	if host != nil {
		ignore(host.Close())
	}
}

// find gives the open ticket that a secret belongs to.
func (ts *tickets) find(secret [32]byte) *openTicket {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	var found *openTicket
	for _, t := range ts.open {
		if subtle.ConstantTimeCompare(t.ticket.Secret[:], secret[:]) == 1 && t.ticket.Expires > ts.n.now().UnixMilli() {
			found = t
		}
	}
	return found
}

// keepGuest keeps the card of a joiner that the member is to propose: its key is
// not here.
func (ts *tickets) keepGuest(t *openTicket, card *protocol.Statement) error {
	ts.mu.Lock()
	kept := t.Guest != nil
	t.Guest = card.Raw()
	ts.mu.Unlock()
	if kept {
		return nil
	}
	ts.n.pulse.beat()
	return ts.save(t)
}

// Guests gives the cards of joiners with tickets of this node that nobody has
// proposed, since the member key is not here.
func (n *Node) Guests() (out []*protocol.Statement) {
	n.tickets.mu.Lock()
	defer n.tickets.mu.Unlock()
	for _, t := range n.tickets.open {
		card, err := protocol.ParseStatement(t.Guest)
		if t.Guest == nil || err != nil || n.ledger.has(card.ID()) {
			continue
		}
		out = append(out, card)
	}
	slices.SortFunc(out, func(a, b *protocol.Statement) int { return a.ID().Compare(b.ID()) })
	return out
}

// bind binds a ticket to the first card that uses it.
func (ts *tickets) bind(t *openTicket, card protocol.StatementID) (bool, error) {
	ts.mu.Lock()
	free := t.Card.IsZero()
	if free {
		t.Card = card
	}
	ok := t.Card == card
	ts.mu.Unlock()
	if free {
		return true, ts.save(t)
	}
	return ok, nil
}

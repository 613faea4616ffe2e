package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

// The join protocol: the joiner sends JoinRequest frames on one stream, each
// answered by a JoinReply, until it is in.
const (
	maxJoinFrame = 8 << 20
	maxJoinSet   = 4 << 20          // bytes of statements in an answer
	joinFirst    = 10 * time.Second // for a joiner to show its card: places are few
	joinGrace    = 2 * time.Second
	joinPoll     = 500 * time.Millisecond
	ticketPrefix = "ticket/"
	joinSetting  = "join-host"
)

// JoinHost is the short-lived host that speaks only the join protocol.
type JoinHost interface {
	Key() protocol.Key
	Addresses() []string // host:port
	Close() error
}

// JoinRequest is what a joiner says.
type JoinRequest struct {
	Version   uint64   `cbor:"1,keyasint"`
	Secret    [32]byte `cbor:"2,keyasint"`           // the ticket's
	Card      []byte   `cbor:"3,keyasint"`           // its first card, signed
	Addresses []string `cbor:"4,keyasint,omitempty"` // where its node will listen
}

// JoinReply is what it is told.
type JoinReply struct {
	State      string                  `cbor:"1,keyasint"` // waiting, admitted, refused
	Why        string                  `cbor:"2,keyasint,omitempty"`
	Signed     []string                `cbor:"3,keyasint,omitempty"` // handles of governors who approved
	Needs      uint64                  `cbor:"4,keyasint,omitempty"`
	Missing    []string                `cbor:"5,keyasint,omitempty"` // handles of governors who may
	Statements [][]byte                `cbor:"6,keyasint,omitempty"` // once admitted: all of them, or those needed to get the rest by sync
	Addresses  []replica.NodeAddresses `cbor:"7,keyasint,omitempty"`
}

// The states of a JoinReply.
const (
	JoinWaiting  = "waiting"
	JoinAdmitted = "admitted"
	JoinRefused  = "refused"
)

// Invite makes a ticket that is good until expires. With admit this member, if
// a governor, approves as soon as the card arrives.
func (n *Node) Invite(name string, expires time.Time, admit bool) (*protocol.Ticket, error) {
	if admit && n.memberKey() == nil {
		return nil, ErrNoMemberKey
	}
	r := n.Roster()
	me, ok := r.Member(n.cfg.Member)
	if !ok || me.State != trust.StateActive {
		return nil, ErrNotMember
	}
	if n.cfg.Invite == nil {
		return nil, errors.New("this node cannot invite")
	}
	host, err := n.tickets.listen()
	if err != nil {
		return nil, err
	}
	t := &protocol.Ticket{Version: protocol.Version, Charter: r.Charter.Raw(), Inviter: me.ID, Handle: me.Card.Handle,
		Host: host.Key(), Addresses: limited(host.Addresses(), protocol.MaxAddresses), Expires: expires.UnixMilli(), Name: name}
	rand.Read(t.Secret[:])
	for at := r.Line; at != r.Charter.ID(); {
		s := n.ledger.get(at)
		t.Line = append(t.Line, s.Raw())
		at = s.Doc().(*protocol.Governors).Prev
	}
	slices.Reverse(t.Line)
	return t, n.tickets.add(&openTicket{Ticket: protocol.Marshal(t), Admit: admit, ticket: t})
}

// serve answers one joiner. The join host closes the stream afterwards: closing
// it here would cut off the last answer before the joiner has read it.
func (ts *tickets) serve(s Stream) {
	stopped := context.AfterFunc(ts.n.ctx, func() { ignore(s.Reset()) })
	defer stopped()
	for patience := joinFirst; ; patience = frameTimeout {
		ignore(s.SetReadDeadline(time.Now().Add(patience)))
		frame, err := replica.ReadFrame(s, protocol.MaxStatement)
		if err != nil {
			return
		}
		req := new(JoinRequest)
		if err := protocol.Unmarshal(frame, protocol.MaxStatement, req); err != nil {
			ts.n.refused.add(ReasonMalformed, 1)
			return
		}
		reply := ts.answer(req)
		ignore(s.SetWriteDeadline(time.Now().Add(frameTimeout)))
		if err := writeFrame(s, protocol.Marshal(reply)); err != nil {
			return
		}
		if reply.State != JoinWaiting {
			return
		}
	}
}

func refuse(why string) *JoinReply { return &JoinReply{State: JoinRefused, Why: why} }

func (ts *tickets) answer(req *JoinRequest) *JoinReply {
	n := ts.n
	t := ts.find(req.Secret)
	if t == nil {
		n.refused.add(ReasonNotAdmitted, 1)
		return refuse("the ticket is unknown here or has run out; ask for a new one")
	}
	card, err := protocol.ParseStatement(req.Card)
	if err != nil || card.Kind != protocol.KindCard || card.Mesh != n.mesh || card.Doc().(*protocol.Card).Version != 1 {
		n.refused.add(ReasonMalformed, 1)
		return refuse("the card is not a first card of this mesh")
	}
	if why := ts.objection(card); why != "" {
		return refuse(why)
	}
	ok, err := ts.bind(t, card.ID())
	if err != nil {
		n.log.Error("bind ticket", "err", err)
		return refuse("the inviter could not write; try again")
	}
	if !ok {
		n.refused.add(ReasonNotAdmitted, 1)
		return refuse("the ticket has been used with another card")
	}
	if err := ts.propose(t, card); err != nil {
		n.log.Error("propose a joiner", "err", err)
		return refuse("the inviter cannot propose this card: " + err.Error())
	}
	return ts.progress(card, req.Addresses)
}

// objection says why a card can't be let in, empty where it can. It is asked
// before the ticket is bound, so that the joiner may mend the card.
func (ts *tickets) objection(card *protocol.Statement) string {
	r := ts.n.Roster()
	id := protocol.MemberID(card.ID())
	doc := card.Doc().(*protocol.Card)
	if m, ok := r.Member(id); ok && m.State != trust.StateActive {
		return "this member has been removed"
	}
	if m, ok := r.ByHandle(doc.Handle); ok && m.State == trust.StateActive && m.ID != id {
		return fmt.Sprintf("the handle %s is taken; join again with another", doc.Handle)
	}
	for _, node := range doc.Nodes {
		if m, ok := r.Author(node.Key); ok && m.ID != id {
			return "the card names a node of " + m.Handle
		}
	}
	return ""
}

// propose proposes the admission of the card's member, once, and approves it
// where the ticket says so.
func (ts *tickets) propose(t *openTicket, card *protocol.Statement) error {
	n := ts.n
	id := protocol.MemberID(card.ID())
	r := n.Roster()
	if m, ok := r.Member(id); ok && m.State == trust.StateActive {
		return nil
	}
	var proposal *trust.Proposal
	for _, p := range r.Proposals {
		if p.Kind == protocol.KindAdmission && p.Subject == id && p.State == trust.ProposalOpen {
			proposal = p
		}
	}
	if proposal != nil {
		return nil
	}
	if n.memberKey() == nil {
		return ts.keepGuest(t, card)
	}
	admission, err := n.Sign(&protocol.Admission{Member: id, Line: r.Line, Card: card.ID(), Why: "invited by " + t.ticket.Handle})
	if err != nil {
		return err
	}
	list := []*protocol.Statement{admission, card}
	if me, ok := r.Member(n.cfg.Member); ok && t.Admit && me.Governor {
		approval, err := n.Sign(&protocol.Approval{Subject: admission.ID()})
		if err != nil {
			return err
		}
		list = append(list, approval)
	}
	return n.Submit(list...)
}

func (ts *tickets) progress(card *protocol.Statement, addresses []string) *JoinReply {
	n := ts.n
	r := n.Roster()
	id := protocol.MemberID(card.ID())
	reply := &JoinReply{State: JoinWaiting}
	if m, ok := r.Member(id); ok && m.State == trust.StateActive {
		reply.State = JoinAdmitted
		reply.Statements = n.joinSet(m.ID)
		reply.Addresses = n.known()
		if len(addresses) > 0 && len(m.Nodes) > 0 {
			n.book.hear([]replica.NodeAddresses{{Node: m.Nodes[0], Addresses: limited(addresses, replica.MaxAddresses)}})
		}
		return reply
	}
	// As long as nobody has proposed it, which wants the member key.
	reply.Needs, reply.Missing = uint64(r.Threshold), n.handles(r.Governors)
	for _, p := range r.Proposals {
		if p.Kind != protocol.KindAdmission || p.Subject != id {
			continue
		}
		reply.Needs = uint64(p.Needs)
		reply.Signed = n.handles(p.Signed)
		reply.Missing = n.handles(r.Signers(p))
	}
	return reply
}

// joinSet gives the statements a new member begins with: all of them, or, where
// that is too much for one answer, those that show that it is in and who may
// bring it the rest: the line of governors, and the cards and admissions of
// governors, the inviter and itself.
func (n *Node) joinSet(joiner protocol.MemberID) (out [][]byte) {
	all := n.ledger.statements()
	size := 0
	for _, s := range all {
		size += len(s.Raw())
	}
	if size > maxJoinSet {
		all = n.essential(all, joiner)
		size = 0
	}
	for _, s := range all {
		if size += len(s.Raw()); size > 3*maxJoinSet/2 {
			n.log.Error("the statements a joiner needs do not fit in one answer")
			break
		}
		out = append(out, s.Raw())
	}
	return out
}

func (n *Node) essential(all []*protocol.Statement, joiner protocol.MemberID) (out []*protocol.Statement) {
	who := map[protocol.MemberID]bool{joiner: true, n.cfg.Member: true}
	founders := n.Roster().Charter.Doc().(*protocol.Charter).Governors
	for _, s := range all {
		switch doc := s.Doc().(type) {
		case *protocol.Governors:
			for _, id := range doc.Governors {
				who[id] = true
			}
		case *protocol.Card:
			if doc.Version == 1 && slices.Contains(founders, s.Signer) {
				who[protocol.MemberID(s.ID())] = true
			}
		}
	}
	taken := map[protocol.StatementID]bool{}
	for _, s := range all {
		take := false
		switch doc := s.Doc().(type) {
		case *protocol.Charter, *protocol.Governors:
			take = true
		case *protocol.Card:
			take = who[doc.Member] || doc.Version == 1 && who[protocol.MemberID(s.ID())]
		case *protocol.Admission:
			take = who[doc.Member]
		case *protocol.Removal:
			take = who[doc.Member]
		}
		if take {
			taken[s.ID()] = true
			out = append(out, s)
		}
	}
	for _, s := range all {
		if doc, ok := s.Doc().(*protocol.Approval); ok && taken[doc.Subject] {
			out = append(out, s)
		}
	}
	return out
}

func (n *Node) handles(ids []protocol.MemberID) []string {
	var out []string
	for _, id := range ids {
		if m, ok := n.Roster().Member(id); ok {
			out = append(out, m.Handle)
		}
	}
	return out
}

// known gives this node's own addresses and those it knows of the others.
func (n *Node) known() []replica.NodeAddresses {
	out := []replica.NodeAddresses{{Node: n.key, Addresses: limited(n.Addresses(), replica.MaxAddresses)}}
	for _, m := range n.Roster().Active() {
		for _, k := range m.Nodes {
			if list := n.book.claimed(k); k != n.key && len(list) > 0 {
				out = append(out, replica.NodeAddresses{Node: k, Addresses: limited(list, replica.MaxAddresses)})
			}
		}
	}
	return out
}

// Join shows a card with a ticket's secret on a stream to the ticket's host, as
// often as needed, until the member is in. progress is told of every answer.
func Join(ctx context.Context, s Stream, t *protocol.Ticket, card *protocol.Statement, addresses []string, progress func(*JoinReply)) (*JoinReply, error) {
	stopped := context.AfterFunc(ctx, func() { ignore(s.Reset()) })
	defer stopped()
	req := protocol.Marshal(&JoinRequest{Version: protocol.Version, Secret: t.Secret, Card: card.Raw(), Addresses: addresses})
	for {
		if err := writeFrame(s, req); err != nil {
			return nil, fmt.Errorf("join: %w", errors.Join(ctx.Err(), err))
		}
		frame, err := replica.ReadFrame(s, maxJoinFrame)
		if err != nil {
			return nil, fmt.Errorf("join: %w", errors.Join(ctx.Err(), err))
		}
		reply := new(JoinReply)
		if err := protocol.Unmarshal(frame, maxJoinFrame, reply); err != nil {
			return nil, fmt.Errorf("join: %w", err)
		}
		progress(reply)
		switch reply.State {
		case JoinAdmitted:
			return reply, nil
		case JoinRefused:
			return nil, fmt.Errorf("join refused: %s", strings.ToValidUTF8(reply.Why, "?"))
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(joinPoll):
		}
	}
}

// writeFrame writes a length of four bytes, big endian, and the body.
func writeFrame(s Stream, body []byte) error {
	head := []byte{byte(len(body) >> 24), byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}
	_, err := s.Write(append(head, body...))
	return err
}

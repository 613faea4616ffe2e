package node

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/seal"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
)

// How receipts are given and kept. A receipt is given for a sealed entry that
// withdraws something, never for a letter: so none is ever given for a receipt.
const (
	receiptGather = 100 * time.Millisecond // what is applied together goes in one letter
	receiptBurst  = 8                      // letters to one member in a row,
	receiptGap    = 10 * time.Minute       // and one more in each of these
	receiptKeep   = 30 * 24 * time.Hour
	receiptWeeks  = 5                 // the retention class of letters of receipts alone
	maxOwed       = protocol.MaxParts // receipts that wait for one member; more are not given
	maxReceiptsOf = 1024              // kept of one member
	owedPrefix    = "owe/"            // settings: receipts that wait, by the member they are for
	receiptPrefix = "receipt/"        // settings: receipts got, by member and entry
	receiptsAt    = "receipts-at"     // setting: the last arrival for which a receipt was owed
)

// withdrawn is an entry of another member that withdraws something.
type withdrawn struct {
	author  protocol.MemberID
	place   store.Place
	arrival uint64
}

// owed is what is kept of the receipts that wait for one member.
type owed struct {
	Receipts []protocol.Receipt `cbor:"1,keyasint"`
}

// receipts are those that this node owes to others, and a count of those it got.
type receipts struct {
	mu   sync.Mutex
	owed map[protocol.MemberID][]protocol.Receipt
	rate map[protocol.MemberID]*letterRate
	got  map[protocol.MemberID]int
	upTo uint64 // arrival
	wake chan struct{}
}

func loadReceipts(s store.Entries) (*receipts, error) {
	r := &receipts{owed: map[protocol.MemberID][]protocol.Receipt{}, rate: map[protocol.MemberID]*letterRate{},
		got: map[protocol.MemberID]int{}, wake: make(chan struct{}, 1)}
	raw, err := s.Setting(receiptsAt)
	if err == nil && len(raw) == 8 {
		r.upTo = binary.BigEndian.Uint64(raw)
	} else if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("read receipts: %w", err)
	}
	err = s.Settings(owedPrefix, func(name string, raw []byte) error {
		var list owed
		id, err := protocol.ParseID[struct{}](strings.TrimPrefix(name, owedPrefix))
		if err == nil {
			err = protocol.Unmarshal(raw, protocol.MaxOpened, &list)
		}
		r.owed[protocol.MemberID(id)] = list.Receipts
		return err
	})
	if err == nil {
		err = s.Settings(receiptPrefix, func(name string, _ []byte) error {
			member, _, err := parseReceiptName(name)
			r.got[member]++
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("read receipts: %w", err)
	}
	return r, nil
}

// lettersKept is the retention class of a letter: receipts are of no use for long.
func lettersKept(parts []any) uint64 {
	for _, p := range parts {
		if _, ok := p.(protocol.Receipt); !ok {
			return 0
		}
	}
	return receiptWeeks
}

func receiptName(m protocol.MemberID, e protocol.EntryID) string {
	return receiptPrefix + m.String() + "/" + e.String()
}

func parseReceiptName(name string) (m protocol.MemberID, e protocol.EntryID, err error) {
	member, entry, _ := strings.Cut(strings.TrimPrefix(name, receiptPrefix), "/")
	if err = m.UnmarshalText([]byte(member)); err == nil {
		err = e.UnmarshalText([]byte(entry))
	}
	return m, e, err
}

// owe keeps, before the index says so, that receipts are owed for what a run of
// arrivals withdraws: if the node stops in between, they are given later. An index
// that is made again owes nothing anew, and what is older than receipts are kept
// nothing at all.
func (n *Node) owe(list []withdrawn) error {
	n.receipts.mu.Lock()
	defer n.receipts.mu.Unlock()
	c := &store.Commit{Settings: map[string][]byte{}}
	for _, w := range list {
		if w.arrival <= n.receipts.upTo {
			continue
		}
		h, err := n.store.Header(w.place)
		if err != nil || n.past(h.Time+receiptKeep.Milliseconds()) || len(n.receipts.owed[w.author]) >= maxOwed {
			continue // dropped just now, too old, or too much at a time
		}
		n.receipts.upTo = w.arrival
		n.receipts.owed[w.author] = append(n.receipts.owed[w.author],
			protocol.Receipt{Entry: h.ID(), State: protocol.ReceiptApplied, Time: n.now().UnixMilli()})
		c.Settings[owedPrefix+w.author.String()] = protocol.Marshal(&owed{n.receipts.owed[w.author]})
	}
	if len(c.Settings) == 0 {
		return nil
	}
	c.Settings[receiptsAt] = binary.BigEndian.AppendUint64(nil, n.receipts.upTo)
	_, err := n.store.Commit(n.ctx, c)
	if errors.Is(err, store.ErrDiskFull) {
		return nil // they are given all the same, unless the node stops before
	}
	return err
}

// letterRate bounds the letters to one member: without it, who withdraws much bit
// by bit would have everybody write as many letters.
type letterRate struct {
	left float64
	at   time.Time // as of when
}

// wait is how long it is until a letter may be written.
func (l *letterRate) wait(now time.Time) time.Duration {
	l.left = min(receiptBurst, l.left+float64(now.Sub(l.at))/float64(receiptGap))
	l.at = now
	return time.Duration(max(0, 1-l.left) * float64(receiptGap))
}

// giveReceipts writes to the members to whom receipts are owed: at once, and after
// receiptBurst letters one in receiptGap with all that gathered meanwhile.
func (n *Node) giveReceipts() {
	if n.begun(n.ctx) != nil {
		return
	}
	for {
		wait := time.Hour
		for _, m := range n.receipts.authors() {
			if left := n.receipts.due(m); left > 0 {
				wait = min(wait, left)
			} else if err := n.writeReceipts(m); err != nil {
				n.log.Debug("give receipts", "member", m.Short(), "err", err)
				wait = min(wait, receiptGap)
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-n.receipts.wake:
			timer.Reset(receiptGather)
			select {
			case <-timer.C:
			case <-n.ctx.Done():
			}
		case <-timer.C:
		case <-n.ctx.Done():
		}
		timer.Stop()
		if n.ctx.Err() != nil {
			return
		}
	}
}

func (r *receipts) authors() (out []protocol.MemberID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for m := range r.owed {
		out = append(out, m)
	}
	return protocol.Sorted(out)
}

// due is how long it is until a member may be written to.
func (r *receipts) due(m protocol.MemberID) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rate[m] == nil {
		r.rate[m] = &letterRate{left: receiptBurst, at: time.Now()}
	}
	return r.rate[m].wait(time.Now())
}

// writeReceipts writes what is owed to one member.
func (n *Node) writeReceipts(to protocol.MemberID) error {
	n.receipts.mu.Lock()
	defer n.receipts.mu.Unlock()
	n.writer.Lock()
	defer n.writer.Unlock()
	n.gate.RLock()
	defer n.gate.RUnlock()
	name := owedPrefix + to.String()
	m, ok := n.Roster().Member(to)
	if !ok || m.State != trust.StateActive || seal.ValidRecipient(m.Card.Recipient) != nil {
		// Nobody can be told any more.
		delete(n.receipts.owed, to)
		_, err := n.store.Commit(n.ctx, &store.Commit{Settings: map[string][]byte{name: nil}})
		return err
	}
	if err := n.mayWrite(); err != nil {
		return err
	}
	var parts []any
	for _, r := range n.receipts.owed[to] {
		parts = append(parts, r)
	}
	n.receipts.rate[to].left--
	entries, err := n.appendLetter([]string{m.Card.Recipient}, map[string][]byte{name: nil}, parts...)
	if err != nil {
		return err
	}
	delete(n.receipts.owed, to)
	n.announce(entries)
	return nil
}

// gotReceipt is a receipt as it is kept.
type gotReceipt struct {
	State protocol.ReceiptState `cbor:"1,keyasint"`
	At    int64                 `cbor:"2,keyasint"` // when it came, by this node's clock
	Ran   int64                 `cbor:"3,keyasint"` // how long this node had run then, in milliseconds
}

// takeReceipts keeps what another member's node says was done about entries. It
// may say so of entries that are not this member's: nobody asks for those.
func (n *Node) takeReceipts(h *protocol.Header, list []protocol.Receipt) {
	m, ok := n.Roster().Author(h.Node)
	if !ok || m.ID == n.cfg.Member || len(list) == 0 {
		return
	}
	n.receipts.mu.Lock()
	defer n.receipts.mu.Unlock()
	c := &store.Commit{Settings: map[string][]byte{}}
	for _, r := range list {
		name := receiptName(m.ID, r.Entry)
		before, had := n.receipt(name)
		_, twice := c.Settings[name]
		switch {
		case r.State < protocol.ReceiptSeen || r.State > protocol.ReceiptApplied || had && before.State >= r.State || twice:
			continue
		case !had && n.receipts.got[m.ID] >= maxReceiptsOf:
			n.refused.add(ReasonQuota, 1)
			continue
		case !had:
			n.receipts.got[m.ID]++
		}
		c.Settings[name] = protocol.Marshal(&gotReceipt{State: r.State, At: n.now().UnixMilli(), Ran: n.ran.now().Milliseconds()})
	}
	if len(c.Settings) == 0 {
		return
	}
	if _, err := n.store.Commit(n.ctx, c); err != nil {
		n.unkept.Add(1)
		n.log.Error("keep receipts", "err", err)
		return
	}
	n.pulse.beat()
}

func (n *Node) receipt(name string) (r gotReceipt, ok bool) {
	raw, err := n.store.Setting(name)
	return r, err == nil && protocol.Unmarshal(raw, protocol.MaxHeader, &r) == nil
}

// dropReceipts forgets receipts of long ago.
func (n *Node) dropReceipts() error {
	n.receipts.mu.Lock()
	defer n.receipts.mu.Unlock()
	c := &store.Commit{Settings: map[string][]byte{}}
	got := map[protocol.MemberID]int{}
	err := n.store.Settings(receiptPrefix, func(name string, raw []byte) error {
		m, _, err := parseReceiptName(name)
		var r gotReceipt
		if err == nil {
			err = protocol.Unmarshal(raw, protocol.MaxHeader, &r)
		}
		if err != nil || n.ran.now()-time.Duration(r.Ran)*time.Millisecond > receiptKeep {
			c.Settings[name] = nil
		} else {
			got[m]++
		}
		return nil
	})
	if err == nil && len(c.Settings) > 0 {
		_, err = n.store.Commit(n.ctx, c)
	}
	if err == nil {
		n.receipts.got = got
	}
	return err
}

// Receipt says that a member did what an entry of this member's asked for.
type Receipt struct {
	Member protocol.MemberID
	State  protocol.ReceiptState
	At     int64 // when this node heard so, in milliseconds since 1970
}

// Receipts gives the receipts for entries: of each member the last, if it has
// given one for all that it can read. They are kept for 30 days.
func (n *Node) Receipts(places []store.Place) (out []Receipt) {
	of := map[protocol.MemberID][]protocol.EntryID{}
	for _, p := range places {
		h, err := n.store.Header(p)
		if err != nil {
			return nil
		}
		for _, m := range n.ReadersOf(p) {
			of[m] = append(of[m], h.ID())
		}
	}
	for _, m := range n.Roster().Members {
		r := Receipt{Member: m.ID, State: protocol.ReceiptApplied}
		for _, id := range of[m.ID] {
			got, ok := n.receipt(receiptName(m.ID, id))
			if !ok {
				r.State = 0
				break
			}
			r.State, r.At = min(r.State, got.State), max(r.At, got.At)
		}
		if r.State > 0 && len(of[m.ID]) > 0 {
			out = append(out, r)
		}
	}
	return out
}

// WaitReceipts waits until done is content with the receipts for the entries.
func (n *Node) WaitReceipts(ctx context.Context, places []store.Place, done func([]Receipt) bool) (list []Receipt, err error) {
	err = n.poll(ctx, func() bool {
		list = n.Receipts(places)
		return done(list)
	})
	return list, err
}

// Online reports whether a node of the member is connected.
func (n *Node) Online(id protocol.MemberID) bool {
	m, ok := n.Roster().Member(id)
	if !ok {
		return false
	}
	for _, k := range m.Nodes {
		if n.links.up(k) {
			return true
		}
	}
	return false
}

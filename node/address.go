package node

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
	"github.com/tipmesh/tipmesh/store"
)

const (
	addressPrefix = "address/"
	redialFirst   = 500 * time.Millisecond
	redialMost    = time.Minute
	dialTimeout   = 15 * time.Second
)

// contact is what is known of how to reach a node, and of its last hello.
type contact struct {
	claims []string // by the node itself
	hints  []string // by others
	skew   int64    // its clock less ours at its last hello, in milliseconds
	heard  int64    // when that was
	agent  string
	told   int64     // its clock at its last hello, in milliseconds since 1970,
	at     time.Time // which came then, by Go's monotonic clock too
	dirty  bool      // claims are newer than what is on disk,
	saved  time.Time // which was written then
	missed int       // dials in a row that led nowhere
}

// claimGap is the least time between two writes of what one node says of itself.
const claimGap = time.Minute

// addressBook knows where nodes can be reached. What a node says of itself is
// kept on disk.
type addressBook struct {
	store store.Entries
	self  protocol.Key
	mu    sync.Mutex
	by    map[protocol.Key]*contact
	wake  chan struct{} // the redial loop has something to look at
	write chan struct{} // keep has
}

func loadAddresses(s store.Entries, self protocol.Key) (*addressBook, error) {
	b := &addressBook{store: s, self: self, by: map[protocol.Key]*contact{}, wake: make(chan struct{}, 1), write: make(chan struct{}, 1)}
	err := s.Settings(addressPrefix, func(name string, raw []byte) error {
		var list []string
		key, err := protocol.ParseID[struct{}](strings.TrimPrefix(name, addressPrefix))
		if err == nil {
			err = json.Unmarshal(raw, &list)
		}
		if err != nil {
			return err
		}
		b.contact(protocol.Key(key)).claims = list
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read addresses: %w", err)
	}
	return b, nil
}

func (b *addressBook) contact(k protocol.Key) *contact {
	if b.by[k] == nil {
		b.by[k] = &contact{}
	}
	return b.by[k]
}

// claim takes what a connected node says of itself. It does not wait for the
// disk.
func (b *addressBook) claim(k protocol.Key, addresses []string, itsTime, now int64, agent string) {
	b.mu.Lock()
	c := b.contact(k)
	c.skew, c.heard, c.agent = itsTime-now, now, agent
	c.told, c.at, c.missed = itsTime, time.Now(), 0
	if len(addresses) > 0 && !slices.Equal(c.claims, addresses) {
		c.claims, c.dirty = addresses, true
		poke(b.write)
	}
	b.mu.Unlock()
}

// poke wakes who waits for a channel of one place.
func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// keep gives the loop that writes claims to disk: those of one node at most once
// in claimGap, however often it changes them.
func (b *addressBook) keep(ctx context.Context, now func() time.Time) func() {
	return func() {
		for {
			due := b.save(now())
			timer := time.NewTimer(due)
			select {
			case <-ctx.Done():
				timer.Stop()
				return
			case <-b.write:
			case <-timer.C:
			}
			timer.Stop()
		}
	}
}

// save writes the claims that may be written by now, and gives when to look
// again. Losing one costs a dial, so an error is no more than that.
func (b *addressBook) save(now time.Time) (again time.Duration) {
	again = time.Hour
	c := &store.Commit{Settings: map[string][]byte{}}
	b.mu.Lock()
	for k, x := range b.by {
		if !x.dirty {
			continue
		}
		if wait := claimGap - now.Sub(x.saved); !x.saved.IsZero() && wait > 0 && wait <= claimGap {
			again = min(again, wait)
			continue
		}
		if raw, err := json.Marshal(x.claims); err == nil {
			c.Settings[addressPrefix+k.String()] = raw
		}
		x.dirty, x.saved = false, now
	}
	b.mu.Unlock()
	if len(c.Settings) > 0 {
		_, err := b.store.Commit(context.Background(), c)
		ignore(err)
	}
	return again
}

// hear takes hearsay about nodes that are not connected. What comes from
// neighbours must be of nodes of the roster.
func (b *addressBook) hear(list []replica.NodeAddresses) {
	b.mu.Lock()
	fresh := false
	for _, a := range list {
		if c := b.contact(a.Node); a.Node != b.self && len(a.Addresses) > 0 && !slices.Equal(c.hints, a.Addresses) {
			c.hints, fresh = a.Addresses, true
		}
	}
	b.mu.Unlock()
	if fresh {
		b.look()
	}
}

// look wakes the redial loop.
func (b *addressBook) look() { poke(b.wake) }

func (b *addressBook) lost(protocol.Key) { b.look() }

// claimed gives what a node said of itself, or else hearsay.
func (b *addressBook) claimed(k protocol.Key) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.by[k]
	if c == nil {
		return nil
	}
	if len(c.claims) > 0 {
		return c.claims
	}
	return c.hints
}

// dialable gives all that may lead to a node.
func (b *addressBook) dialable(k protocol.Key) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.by[k]
	if c == nil {
		return nil
	}
	out := slices.Clone(c.claims)
	for _, a := range c.hints {
		if !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}

func (b *addressBook) get(k protocol.Key) contact {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.by[k]; c != nil {
		return *c
	}
	return contact{}
}

// miss notes that a dial led nowhere.
func (b *addressBook) miss(k protocol.Key) {
	b.mu.Lock()
	b.contact(k).missed++
	b.mu.Unlock()
}

// Introduce gives the node addresses of others, from a ticket or a person.
func (n *Node) Introduce(list []replica.NodeAddresses) { n.book.hear(list) }

// attempt is when to dial a node next.
type attempt struct {
	due  time.Time
	wait time.Duration
}

// redial connects to the neighbours that are not connected, for ever: sooner at
// first, then once a minute.
func (n *Node) redial() {
	attempts := map[protocol.Key]*attempt{}
	for {
		next := redialMost
		for _, k := range n.neighbours() {
			if n.links.up(k) {
				delete(attempts, k)
				continue
			}
			a := attempts[k]
			if a == nil {
				a = &attempt{wait: redialFirst}
				attempts[k] = a
			}
			if wait := a.due.Sub(n.now()); wait > 0 {
				next = min(next, wait)
				continue
			}
			a.due = n.now().Add(a.wait + rand.N(a.wait/2+1))
			a.wait = min(a.wait*2, redialMost)
			next = min(next, a.due.Sub(n.now()))
			if addresses := n.book.dialable(k); len(addresses) > 0 {
				n.spawn(func() { n.dial(k, addresses) })
			} else {
				n.book.miss(k)
			}
		}
		timer := time.NewTimer(max(next, 10*time.Millisecond))
		select {
		case <-n.ctx.Done():
			timer.Stop()
			return
		case <-n.book.wake:
			clear(attempts)
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (n *Node) dial(k protocol.Key, addresses []string) {
	ctx, cancel := context.WithTimeout(n.ctx, dialTimeout)
	defer cancel()
	if err := n.transport.Connect(ctx, k, addresses); err != nil && n.ctx.Err() == nil {
		n.book.miss(k)
		n.log.Debug("dial", "node", k.Short(), "err", err)
	}
}

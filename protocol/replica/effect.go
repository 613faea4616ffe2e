package replica

import (
	"time"

	"github.com/tipmesh/tipmesh/protocol"
)

// Config sets the machine's times. Zero values mean the defaults.
type Config struct {
	Hello    time.Duration // between hellos to a neighbour, give or take a quarter; default 45 s
	Patience time.Duration // how long gossip may take before a gap is pulled; default 200 ms
	Tell     time.Duration // at least this long between two Have to one neighbour; default 100 ms
	Rest     time.Duration // between a change and the Have that tells of it, so that gossip goes first; default 20 ms
	Timeout  time.Duration // for an answer; default 30 s
	Backoff  time.Duration // after a feed from a neighbour could not be used, doubling up to 64 times; default 10 s
	Seed     uint64        // of the jitter and the choice between neighbours
}

func (c Config) withDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&c.Hello, 45*time.Second)
	def(&c.Patience, 200*time.Millisecond)
	def(&c.Tell, 100*time.Millisecond)
	def(&c.Rest, 20*time.Millisecond)
	def(&c.Timeout, 30*time.Second)
	def(&c.Backoff, 10*time.Second)
	return c
}

// Effect is something the machine wants done: one of Send, Store, Learn,
// Unseal, Address, Hearsay, Reset.
type Effect interface{ effect() }

// Send asks for a message to be sent on this node's stream to a neighbour.
type Send struct {
	To  protocol.Key
	Msg Message
}

// Store asks for entries of one feed to be checked and stored. The runtime calls
// Stored when it is done.
type Store struct {
	From    protocol.Key
	Feed    protocol.FeedID
	Entries []Entry   // in order, or
	Items   []Payload // payloads for headers already held
}

// Learn asks for statements to be checked and stored. The runtime calls Learned
// when it is done.
type Learn struct {
	From protocol.Key
	Raw  [][]byte
}

// Unseal asks for a sealed grant of epochs to be opened and kept.
type Unseal struct {
	From   protocol.Key
	Sealed []byte
}

// Address tells which addresses a neighbour says it has, and its clock.
type Address struct {
	Node      protocol.Key
	Addresses []string
	Time      int64
	Agent     string
}

// Hearsay tells where other nodes may be reached, as a neighbour says.
type Hearsay struct{ List []NodeAddresses }

// Reset asks for the stream to a neighbour to be given up: it broke the
// protocol or did not answer. The runtime answers with Down, then Up when the
// neighbour may be tried again.
type Reset struct {
	Node   protocol.Key
	Reason string
}

func (Send) effect()    {}
func (Store) effect()   {}
func (Learn) effect()   {}
func (Unseal) effect()  {}
func (Address) effect() {}
func (Hearsay) effect() {}
func (Reset) effect()   {}

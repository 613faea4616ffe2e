package node

import (
	"sync"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
)

// Limits of feeds.
const (
	maxFeedsPerNode   = 1024                // feeds of one writing node,
	maxFeedsPerMember = 8 * maxFeedsPerNode // and of all the nodes a member ever had
)

// census counts the feeds of each writing node that are held or being begun, so
// that who begins feeds without end does not have them all counted each time.
type census struct {
	mu     sync.Mutex
	feeds  map[protocol.Key]int
	full   map[protocol.Key]bool // whether a node may begin no more,
	roster *trust.Roster         // as this roster has it: whose a node is may change
}

func newCensus(s store.Entries) *census {
	c := &census{feeds: map[protocol.Key]int{}}
	for _, f := range s.Feeds() {
		c.feeds[f.Node]++
	}
	return c
}

// begin counts a feed before its first entry is stored, for feeds are begun
// beside each other; false where the node may begin no more.
func (c *census) begin(r *trust.Roster, node protocol.Key) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isFull(r, node) {
		return false
	}
	c.feeds[node]++
	c.full = nil
	return true
}

// end uncounts a feed that was not stored after all, or is dropped.
func (c *census) end(node protocol.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.feeds[node]--
	c.full = nil
}

// crowded reports whether a node may begin no more feeds.
func (c *census) crowded(r *trust.Roster, node protocol.Key) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.isFull(r, node)
}

func (c *census) isFull(r *trust.Roster, node protocol.Key) bool {
	if c.roster != r || c.full == nil {
		c.full, c.roster = map[protocol.Key]bool{}, r
	}
	full, known := c.full[node]
	if !known {
		full = c.feeds[node] >= maxFeedsPerNode || c.ofMember(r, node) >= maxFeedsPerMember
		c.full[node] = full
	}
	return full
}

// ofMember counts the feeds of all nodes that a node's member ever had.
func (c *census) ofMember(r *trust.Roster, node protocol.Key) (count int) {
	m, ok := r.Author(node)
	if !ok {
		return 0
	}
	for k, feeds := range c.feeds {
		if other, ok := r.Author(k); ok && other.ID == m.ID {
			count += feeds
		}
	}
	return count
}

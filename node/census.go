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

// census counts the feeds held of each writing node, so that who begins feeds
// without end does not have them all counted each time.
type census struct {
	mu     sync.Mutex
	feeds  map[protocol.Key]int
	full   map[protocol.Key]bool // whether a node may begin no more,
	roster *trust.Roster         // as this roster has it: whose a node is may change
}

func newCensus(s store.Entries) *census {
	c := &census{}
	c.recount(s)
	return c
}

// recount begins anew: feeds may have gone.
func (c *census) recount(s store.Entries) {
	feeds := map[protocol.Key]int{}
	for _, f := range s.Feeds() {
		feeds[f.Node]++
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.feeds, c.full = feeds, nil
}

// begun counts a feed that is held from now on.
func (c *census) begun(node protocol.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.feeds[node]++
	c.full = nil
}

// crowded reports whether a node may begin no more feeds.
func (c *census) crowded(r *trust.Roster, node protocol.Key) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
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

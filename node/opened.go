package node

import (
	"sync"

	"github.com/tipmesh/tipmesh/store"
)

// openedMost bounds the plain bundles kept for the indexer, in bytes, and
// openAheadMost how far it may be behind for more to be opened ahead of it.
const (
	openedMost    = 32 << 20
	openAheadMost = 64
)

// openedCache hands bundles that this node has just written, or opened while they
// were being stored, to its indexer. Where the indexer was faster, what is left
// here makes room for what comes later.
type openedCache struct {
	mu    sync.Mutex
	bytes int
	by    map[store.Place][]byte
	order []store.Place // oldest first; some may have been taken
}

func newOpenedCache() *openedCache { return &openedCache{by: map[store.Place][]byte{}} }

func (c *openedCache) put(p store.Place, bundle []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.bytes+len(bundle) > openedMost && len(c.order) > 0 {
		c.drop(c.order[0])
		c.order = c.order[1:]
	}
	c.drop(p)
	c.by[p] = bundle
	c.bytes += len(bundle)
	c.order = append(c.order, p)
}

// drop forgets a bundle; the lock is held.
func (c *openedCache) drop(p store.Place) {
	c.bytes -= len(c.by[p])
	delete(c.by, p)
}

func (c *openedCache) take(p store.Place) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, ok := c.by[p]
	c.drop(p)
	if len(c.by) == 0 {
		c.order = c.order[:0]
	}
	return b, ok
}

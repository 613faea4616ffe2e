package node

import (
	"sync"

	"github.com/tipmesh/tipmesh/store"
)

// openedMost bounds the plain bundles kept for the indexer.
const openedMost = 32 << 20

// openedCache hands bundles that this node has just written to its own indexer,
// so that they need not be opened again.
type openedCache struct {
	mu    sync.Mutex
	bytes int
	by    map[store.Place][]byte
}

func newOpenedCache() *openedCache { return &openedCache{by: map[store.Place][]byte{}} }

func (c *openedCache) put(p store.Place, bundle []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bytes+len(bundle) <= openedMost {
		c.by[p] = bundle
		c.bytes += len(bundle)
	}
}

func (c *openedCache) take(p store.Place) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, ok := c.by[p]
	if ok {
		delete(c.by, p)
		c.bytes -= len(b)
	}
	return b, ok
}

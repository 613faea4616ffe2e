package badger

import (
	"testing"

	"github.com/tipmesh/tipmesh/store"
	"github.com/tipmesh/tipmesh/store/memory"
	"github.com/tipmesh/tipmesh/store/storetest"
)

func TestIndexLikeMemory(t *testing.T) {
	storetest.SameIndexes(t, func(t *testing.T) storetest.Harness { return &harness{t: t, dir: t.TempDir()} },
		func() store.Index { return memory.New().Index() })
}

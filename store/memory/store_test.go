package memory_test

import (
	"testing"

	"github.com/tipmesh/tipmesh/store"
	"github.com/tipmesh/tipmesh/store/memory"
	"github.com/tipmesh/tipmesh/store/storetest"
)

type harness struct{ s *memory.Store }

func (h *harness) Open() store.Store {
	if h.s == nil {
		h.s = memory.New()
	} else {
		h.s = h.s.Clone()
	}
	return h.s
}

func (h *harness) Crash() {}

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Harness { return new(harness) })
}

package nodetest_test

import (
	"flag"
	"fmt"
	"testing"

	"github.com/tipmesh/tipmesh/node/nodetest"
)

var (
	histories = flag.Int("histories", 3, "random histories of whole nodes to play")
	firstSeed = flag.Uint64("seed", 1, "seed of the first history")
	mostNodes = flag.Int("most-nodes", 8, "nodes of the largest mesh")
	steps     = flag.Int("steps", 60, "steps of a history")
)

// TestHistories plays random histories. A failing one names its seed; -seed N
// -histories 1 plays it alone.
func TestHistories(t *testing.T) {
	for i := range *histories {
		seed := *firstSeed + uint64(i)
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			nodes := 5 + int(seed)%(*mostNodes-4)
			nodetest.Run(t, nodetest.Options{Nodes: nodes, Seed: seed}, func(t *testing.T, m *nodetest.Mesh) {
				nodetest.Play(m, *steps).Check()
			})
		})
	}
}

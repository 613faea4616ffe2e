package nodetest_test

import (
	"flag"
	"fmt"
	"runtime/debug"
	"testing"

	"github.com/tipmesh/tipmesh/node/nodetest"
	"github.com/tipmesh/tipmesh/store"
	"github.com/tipmesh/tipmesh/store/badger"
)

var (
	histories = flag.Int("histories", 3, "random histories of whole nodes to play")
	firstSeed = flag.Uint64("seed", 1, "seed of the first history")
	mostNodes = flag.Int("most-nodes", 8, "nodes of the largest mesh, at least 5")
	steps     = flag.Int("steps", 60, "steps of a history")
)

// Every tenth history runs on the real disk, whose syncs take real time.
func onDisk(seed uint64) bool { return seed%10 == 0 }

// TestHistories plays random histories. A failing one says how to play it alone.
func TestHistories(t *testing.T) {
	// A mesh of twenty nodes leaves much garbage and shakes hands often.
	defer debug.SetGCPercent(debug.SetGCPercent(800))
	t.Setenv("GODEBUG", "tlsmlkem=0")
	count := *histories
	if testing.Short() {
		count = min(count, 1)
	}
	for i := range count {
		seed := *firstSeed + uint64(i)
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			nodes := 5 + int(seed)%(*mostNodes-4)
			o := nodetest.Options{Nodes: nodes, Seed: seed, Exact: seed%3 == 0, Recovery: 3}
			if seed%8 == 2 { // takes a quarter of an hour more
				o.Rules.ErasureSeconds = 60
			}
			if seed%6 == 3 { // takes a quarter of an hour more, once
				o.Rules.FreshSeconds = 900
			}
			if onDisk(seed) {
				o.Open = func(dir string) (store.Store, error) {
					return badger.Open(badger.Config{Dir: dir, Key: make([]byte, 32)})
				}
			}
			defer func() {
				if t.Failed() {
					t.Logf("play it alone: go test ./node/nodetest -run TestHistories -histories 1 -seed %d -most-nodes %d -steps %d", seed, *mostNodes, *steps)
				}
			}()
			nodetest.Run(t, o, func(t *testing.T, m *nodetest.Mesh) {
				nodetest.Play(m, *steps).Check()
			})
		})
	}
}

package node_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
)

func ring(nodes int) []protocol.Key {
	var out []protocol.Key
	for i := range nodes {
		out = append(out, protocol.Key(protocol.HashOf(binary.BigEndian.AppendUint32(nil, uint32(i)))))
	}
	return protocol.Sorted(out)
}

func never(protocol.Key) bool { return false }

func secretOf(k protocol.Key) []byte { return []byte("secret of " + k.String()) }

func TestNeighboursOfAFewAreAll(t *testing.T) {
	for _, nodes := range []int{1, 2, 33} {
		all := ring(nodes)
		got := node.Neighbours(all, all[nodes/2], nil, never)
		if want := slices.Delete(slices.Clone(all), nodes/2, nodes/2+1); !slices.Equal(got, want) {
			t.Errorf("%d nodes: %d neighbours", nodes, len(got))
		}
	}
	if got := node.Neighbours(ring(40), protocol.Key{1}, nil, never); got != nil {
		t.Errorf("who is none of the nodes has %d neighbours", len(got))
	}
}

// TestMeshStaysConnected checks that the nodes that are up reach each other in a few
// hops, none with too many links, once those that are down have been found so.
func TestMeshStaysConnected(t *testing.T) {
	for _, c := range []struct{ nodes, down, hops int }{{34, 10, 3}, {100, 10, 4}, {1000, 0, 4}, {1000, 10, 5}, {1000, 50, 7}, {1000, 70, 10}} {
		t.Run(fmt.Sprintf("%d nodes, %d%% down", c.nodes, c.down), func(t *testing.T) {
			all := ring(c.nodes)
			rng := rand.New(rand.NewPCG(1, uint64(c.nodes+c.down)))
			down := map[protocol.Key]bool{}
			for _, i := range rng.Perm(c.nodes)[:c.nodes*c.down/100] {
				down[all[i]] = true
			}
			links := map[protocol.Key][]protocol.Key{}
			for _, k := range all {
				if down[k] {
					continue
				}
				list := node.Neighbours(all, k, secretOf(k), func(k protocol.Key) bool { return down[k] })
				if len(list) > 32 || slices.Contains(list, k) || len(slices.Compact(slices.Clone(list))) != len(list) {
					t.Fatalf("%s links to %d: %v", k.Short(), len(list), list)
				}
				for _, other := range list {
					if !down[other] {
						links[k], links[other] = append(links[k], other), append(links[other], k)
					}
				}
			}
			reached, last := map[protocol.Key]int{}, 0
			for k := range links {
				reached[k] = 0
				for queue := []protocol.Key{k}; len(queue) > 0; queue = queue[1:] {
					last = max(last, reached[queue[0]])
					for _, next := range links[queue[0]] {
						if _, ok := reached[next]; !ok {
							reached[next] = reached[queue[0]] + 1
							queue = append(queue, next)
						}
					}
				}
				break
			}
			if want := c.nodes - len(down); len(reached) != want || last > c.hops {
				t.Errorf("%d of %d nodes reached, in %d hops, want at most %d", len(reached), want, last, c.hops)
			}
		})
	}
}

// TestNeighboursChangeLittle checks that one node more moves few links beside those
// that its place in the ring moves.
func TestNeighboursChangeLittle(t *testing.T) {
	all := ring(1000)
	self := all[500]
	before := node.Neighbours(all, self, secretOf(self), never)
	if other := node.Neighbours(all, self, []byte("another"), never); slices.Equal(before, other) {
		t.Error("the secret chooses nothing")
	}
	after := node.Neighbours(all[:999], self, secretOf(self), never)
	same := 0
	for _, k := range before {
		if slices.Contains(after, k) {
			same++
		}
	}
	if same < len(before)-4 {
		t.Errorf("%d of %d neighbours are left", same, len(before))
	}
}

func TestEpochPatience(t *testing.T) {
	const wait = 10 * time.Second
	last := time.Duration(0)
	for place := range protocol.MaxReaders {
		d := node.EpochPatience(wait, place)
		if d <= last {
			t.Fatalf("place %d waits %v, the one before %v", place, d, last)
		}
		last = d
	}
	if first := node.EpochPatience(wait, 0); first != wait || last > 11*wait {
		t.Errorf("the first waits %v, the last %v", first, last)
	}
}

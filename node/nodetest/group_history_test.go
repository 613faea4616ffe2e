package nodetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
)

// groupRun is a random run of a mesh with a group: changes by owner and deputies,
// leaves, shares, crashes, partitions, members removed from the mesh.
type groupRun struct {
	*Mesh
	rng     *rand.Rand
	id      protocol.AudienceID
	log     []string
	shares  []groupShare
	removed map[int]bool
}

// groupShare is a share with the group, and who was in as its writer saw it just
// before.
type groupShare struct {
	Acked
	in []int
}

func (r *groupRun) say(format string, args ...any) {
	r.log = append(r.log, time.Now().Format("04:05.000 ")+fmt.Sprintf(format, args...))
}

func (r *groupRun) step() {
	i, j := r.rng.IntN(len(r.Members)), r.rng.IntN(len(r.Members))
	p, ctx := r.Members[i], context.Background()
	if p.Node == nil {
		if r.rng.IntN(3) == 0 {
			r.say("start %d", i)
			r.Start(i)
		}
		return
	}
	switch n := r.rng.IntN(100); {
	case n < 50:
		in := r.group(i, r.id)
		a, err := r.ShareIn(i, r.id, fmt.Sprintf("s%d-by-%d.com", len(r.log), i))
		r.say("share by %d, which sees %v: %v", i, in, err)
		if err == nil {
			r.shares = append(r.shares, groupShare{a, in})
		}
	case n < 74 && n%2 == 0 && j != 1:
		if i = 1 + r.rng.IntN(2); r.Members[i].Node == nil {
			return
		}
		_, err := r.Members[i].Node.GroupAdd(ctx, r.id, r.Members[j].ID)
		r.say("%d adds %d: %v", i, j, err)
	case n < 74 && j != 1:
		if i = 1 + r.rng.IntN(2); r.Members[i].Node == nil {
			return
		}
		_, err := r.Members[i].Node.GroupRemove(ctx, r.id, r.Members[j].ID)
		r.say("%d removes %d: %v", i, j, err)
	case n < 78 && i > 2:
		r.say("%d leaves: %v", i, p.Node.GroupLeave(ctx, r.id))
	case n < 82:
		r.say("crash %d", i)
		r.Net.Partition([]int{i})
		r.Crash(i)
		r.Net.Heal()
	case n < 88:
		cut := r.rng.IntN(len(r.Members)-1) + 1
		order := r.rng.Perm(len(r.Members))
		r.say("partition %v", order[:cut])
		r.Net.Partition(order[:cut])
	case n < 96:
		r.say("heal")
		r.Net.Heal()
	case n < 97 && i > 2 && r.Members[0].Node != nil && len(r.removed) == 0:
		r.say("%d is removed from the mesh", i)
		r.removed[i] = true
		r.Remove(i)
	}
}

// Whatever happens, all that are in see one group in the end and read each other,
// and no share opens for who was out in the view of its writer, unless the
// group's history gave it to who came in later.
func TestGroupHistories(t *testing.T) {
	seeds := uint64(4)
	if testing.Short() {
		seeds = 2
	}
	for seed := uint64(420); seed < 420+seeds; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			Run(t, Options{Nodes: 6, Seed: seed}, func(t *testing.T, m *Mesh) {
				r := &groupRun{Mesh: m, rng: rand.New(rand.NewPCG(seed, 11)), removed: map[int]bool{}}
				t.Cleanup(func() {
					if t.Failed() {
						for _, l := range r.log {
							t.Log(l)
						}
					}
				})
				m.StartAll()
				time.Sleep(5 * time.Second)
				r.id = m.CreateGroup(1, node.GroupTerms{Name: "g", Deputies: m.ids(2)}, 2, 3, 4)
				time.Sleep(5 * time.Second)
				for range 120 {
					r.step()
					time.Sleep(time.Duration(r.rng.Int64N(int64(5 * time.Second))))
				}
				m.Net.Heal()
				for i, p := range m.Members {
					if p.Node == nil {
						m.Start(i)
					}
				}
				time.Sleep(5 * time.Minute)
				r.check(t)
			})
		})
	}
}

func (r *groupRun) check(t *testing.T) {
	t.Helper()
	owner, _ := r.Members[1].Node.Group(r.id)
	in := r.group(1, r.id)
	for _, i := range in {
		g, ok := r.Members[i].Node.Group(r.id)
		if !ok {
			t.Errorf("node %d is in and knows of no group", i)
			continue
		}
		if g.Head.ID() != owner.Head.ID() || !slices.Equal(g.Members, owner.Members) || !slices.Equal(g.Departures, owner.Departures) {
			t.Errorf("node %d sees another group: %v in, state %d with %d departures; the owner sees %v, state %d with %d", i, r.group(i, r.id),
				g.Head.Number, len(g.Departures), in, owner.Head.Number, len(owner.Departures))
		}
		if len(g.Gone) > 0 {
			t.Errorf("node %d: nobody has recorded that %d left", i, len(g.Gone))
		}
	}
	for _, i := range in {
		if !owner.MayWrite(r.Members[i].ID) {
			continue
		}
		name := fmt.Sprintf("at-last-by-%d.com", i)
		a, err := r.ShareIn(i, r.id, name)
		r.must(err)
		r.shares = append(r.shares, groupShare{a, in})
		time.Sleep(time.Minute)
		r.wantReads(i, name, in...)
	}
	secret := 0
	for i := range r.Members {
		ids := r.identities(i)
		for _, s := range r.shares {
			if slices.Contains(s.in, i) {
				continue
			}
			secret++
			if r.opens(s.By, s.Places[0], ids) {
				t.Errorf("%s opens for %d, which was out", s.Values[0].Text, i)
			}
		}
	}
	t.Logf("%d shares, state %d, %v in, %d secrets kept, conflict %v", len(r.shares), owner.Head.Number, in, secret, owner.Conflict)
	if secret < 20 || len(r.shares) < 10 {
		t.Errorf("only %d secrets in %d shares: the test is blind", secret, len(r.shares))
	}
}

package nodetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/internal/stix"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/seal"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
	"github.com/tipmesh/tipmesh/store/memory"
)

// identities gives every identity that a member can come to hold, given all
// ciphertext of all stores: its own, those in its store, and those of all grants
// that its own opens.
func (m *Mesh) identities(i int) []*seal.Identity {
	m.T.Helper()
	p := m.Members[i]
	out, known := []*seal.Identity{p.age}, map[string]bool{}
	add := func(e *protocol.Epoch) {
		if !known[e.Identity] {
			known[e.Identity] = true
			id, err := seal.ParseIdentity(e.Identity)
			m.must(err)
			out = append(out, id)
		}
	}
	m.must(p.Store.Settings("epoch/", func(_ string, raw []byte) error {
		e, err := protocol.ParseEpoch(raw)
		if err == nil {
			add(e)
		}
		return err
	}))
	for _, q := range m.Members {
		for _, f := range q.Store.Feeds() {
			m.must(q.Store.Range(f.ID, 1, func(e store.Entry) bool {
				if plain, err := seal.OpenDirect(e.Payload, p.age); err == nil {
					letter, err := protocol.ParseLetter(plain)
					m.must(err)
					for _, e := range letter.Epochs() {
						add(e)
					}
				}
				return true
			}))
		}
	}
	return out
}

// opens reports whether any of the identities opens the entry.
func (m *Mesh) opens(by int, p store.Place, ids []*seal.Identity) bool {
	m.T.Helper()
	e, err := m.Members[by].Store.Entry(p)
	m.must(err)
	for _, id := range ids {
		if _, err := seal.OpenBundle(e.Payload, id); err == nil {
			return true
		}
	}
	return false
}

// sees reports whether a node knows that a member has been removed.
func (m *Mesh) sees(i, removed int) bool {
	r, ok := m.Members[i].Node.Roster().Member(m.Members[removed].ID)
	return ok && r.State != trust.StateActive
}

// Everybody shares without a pause while a member is removed, first on one side
// of a partition only. Nothing that a node wrote once it had seen the removal
// opens with anything that the removed member can come to hold.
func TestRemovalAmongSharesInPartition(t *testing.T) {
	for seed := uint64(200); seed < 202; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			Run(t, Options{Nodes: 5, Seed: seed}, func(t *testing.T, m *Mesh) {
				m.StartAll()
				time.Sleep(5 * time.Second)
				const gone = 4
				var mu sync.Mutex // guards secret
				secret := map[store.Place]int{}
				done := make(chan struct{})
				stop := make(chan struct{})
				for i := range gone {
					go func() {
						defer func() { done <- struct{}{} }()
						rng := rand.New(rand.NewPCG(seed, uint64(i)))
						for n := 0; ; n++ {
							select {
							case <-stop:
								return
							case <-time.After(time.Duration(rng.IntN(4000)) * time.Millisecond):
							}
							seen := m.sees(i, gone)
							a, err := m.write(i, m.Members[i].Node, fmt.Sprintf("n%d-by-%d.com", n, i))
							if err != nil {
								t.Error(err)
								return
							}
							m.acknowledge(a)
							if seen {
								mu.Lock()
								secret[a.Places[0]] = i
								mu.Unlock()
							}
						}
					}()
				}
				time.Sleep(20 * time.Second)
				m.Net.Partition([]int{0, 1}, []int{2, 3, gone})
				time.Sleep(10 * time.Second)
				m.Remove(gone)
				time.Sleep(time.Minute)
				m.Net.Heal()
				time.Sleep(2 * time.Minute)
				close(stop)
				for range gone {
					<-done
				}
				m.Settle(5*time.Minute, 0, 1, 2, 3)
				m.Check(0, 1, 2, 3)
				if len(secret) < 40 {
					t.Fatalf("only %d entries were written after the removal", len(secret))
				}
				ids := m.identities(gone)
				if len(ids) < 2 {
					t.Fatal("the removed member never had an epoch")
				}
				for p, by := range secret {
					if m.opens(by, p, ids) {
						t.Errorf("entry %s/%d, written by %d after it saw the removal, opens for the removed member", p.Feed.Short(), p.Seq, by)
					}
				}
				if m.opens(m.acked[0].By, m.acked[0].Places[0], ids) == false {
					t.Error("what came before does not open: the test is blind")
				}
			})
		})
	}
}

// Lowering what a member is sent bites at the next write, whatever keys it has.
func TestSendNoneBites(t *testing.T) {
	Run(t, Options{Nodes: 4, Seed: 210}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		m.must(m.Share(1, "for-all.com"))
		m.Settle(time.Minute, m.All()...)
		set := func(send string) {
			d := trust.DefaultDecision()
			d.Send = send
			_, err := m.Members[1].Node.SetTrust(&m.Members[3].ID, d)
			m.must(err)
		}
		set("none")
		m.must(m.Share(1, "not-for-3.com"))
		set("clear") // below what is shared
		m.must(m.Share(1, "nor-this.com"))
		set("green")
		m.must(m.Share(1, "for-all-again.com"))
		set("none")
		m.must(m.Share(1, "not-this-either.com"))
		time.Sleep(3 * time.Minute) // hellos, and what they hand over
		want := map[string]bool{"for-all.com": true, "for-all-again.com": true}
		ids := m.identities(3)
		for _, a := range m.acked {
			name := a.Values[0].Text
			if got := m.opens(1, a.Places[0], ids); got != want[name] {
				t.Errorf("%s opens for the member: %v", name, got)
			}
			if got := m.Reads(3, 1, name); got != want[name] {
				t.Errorf("%s is known to the member: %v", name, got)
			}
			if !m.Reads(2, 1, name) {
				t.Errorf("%s is not known to another member", name)
			}
		}
	})
}

// Two that need an epoch at the same moment, and all others, read each other.
func TestTwoMakeEpochsAtOnce(t *testing.T) {
	Run(t, Options{Nodes: 4, Seed: 211}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		m.Net.Partition([]int{0, 1}, []int{2, 3}) // neither side hears of the other's
		time.Sleep(time.Minute)
		errs := make(chan error)
		for i := range 4 {
			go func() { errs <- m.Share(i, fmt.Sprintf("at-once-%d.com", i)) }()
		}
		for range 4 {
			m.must(<-errs)
		}
		m.Net.Heal()
		time.Sleep(2 * time.Minute)
		for i := range 4 {
			m.must(m.Share(i, fmt.Sprintf("after-%d.com", i)))
		}
		m.Settle(3*time.Minute, m.All()...)
		m.Check(m.All()...)
	})
}

// The one who completed a removal dies before it made the epoch: the others go
// on without it.
func TestEpochMakerAway(t *testing.T) {
	Run(t, Options{Nodes: 5, Seed: 212}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		m.must(m.Share(1, "before.com"))
		m.Settle(time.Minute, m.All()...)
		// The removal comes signed from elsewhere, so no node completes it.
		r := m.Members[0].Node.Roster()
		member, _ := r.Member(m.Members[4].ID)
		removal := m.sign(0, m.ID, &protocol.Removal{Member: member.ID, Admission: member.Admission, Line: r.Line, Cuts: m.Members[0].Node.Heads(member.ID)})
		approval := m.sign(0, m.ID, &protocol.Approval{Subject: removal.ID()})
		m.Stop(0)
		m.must(m.Members[1].Node.Learn(removal, approval))
		time.Sleep(5 * time.Second)
		start := time.Now()
		for i := 1; i < 4; i++ {
			m.must(m.Share(i, fmt.Sprintf("without-maker-%d.com", i)))
		}
		if d := time.Since(start); d > time.Minute {
			t.Errorf("it took %v", d)
		}
		m.Settle(time.Minute, 1, 2, 3)
		m.Check(1, 2, 3)
		m.Start(0)
		m.Settle(2*time.Minute, 0, 1, 2, 3)
		m.Check(0, 1, 2, 3)
	})
}

// late makes a member that is not in yet.
func (m *Mesh) late() int {
	m.T.Helper()
	i := len(m.Members)
	p := &Member{Index: i, At: i, Handle: fmt.Sprintf("m%d", i), Store: memory.New(), nodeKey: seeded(m.opt.Seed, "node", i), key: seeded(m.opt.Seed, "member", i)}
	id, err := seal.NewIdentity()
	m.must(err)
	p.age = id
	p.nodeAge, err = seal.NewIdentity()
	m.must(err)
	m.Members = append(m.Members, p)
	m.introduce(i)
	return i
}

// admitted has the founder's running node admit a member.
func (m *Mesh) admitted(i int) {
	m.T.Helper()
	admission := m.sign(0, m.ID, &protocol.Admission{Member: m.Members[i].ID, Line: m.line})
	approval := m.sign(0, m.ID, &protocol.Approval{Subject: admission.ID()})
	m.must(m.Members[0].Node.Submit(m.Members[i].card, admission, approval))
}

// A member that comes in while the others share gets all that was ever shared.
func TestNewcomerGetsAllHistory(t *testing.T) {
	Run(t, Options{Nodes: 4, Seed: 213}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		// Some history under epochs of several departures.
		m.must(m.Share(1, "oldest.com"))
		m.Remove(3)
		time.Sleep(5 * time.Second)
		stop, done := make(chan struct{}), make(chan struct{})
		for i := range 3 {
			p := m.Members[i] // the list grows meanwhile
			w := p.Node
			go func() {
				defer func() { done <- struct{}{} }()
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					case <-time.After(700 * time.Millisecond):
					}
					bundle, values := p.bundle([]string{fmt.Sprintf("n%d-by-%d.com", n, i)})
					places, err := w.Write(context.Background(), [][]byte{bundle}, "green")
					if err != nil {
						t.Error(err)
						return
					}
					m.acknowledge(Acked{By: i, Places: places, Values: values})
				}
			}()
		}
		time.Sleep(20 * time.Second)
		n := m.late()
		m.admitted(n)
		m.Start(n)
		time.Sleep(time.Minute)
		close(stop)
		for range 3 {
			<-done
		}
		m.must(m.Share(n, "from-the-newcomer.com"))
		time.Sleep(2 * time.Minute)
		m.Settle(2*time.Minute, 0, 1, 2, n)
		m.Check(0, 1, 2, n)
	})
}

// Nodes die at any moment, in the middle of a write too. What was acknowledged
// stays, no sequence number is used twice, and nobody stops writing.
func TestCrashesAmongShares(t *testing.T) {
	for seed := uint64(220); seed < 222; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			Run(t, Options{Nodes: 4, Seed: seed}, func(t *testing.T, m *Mesh) {
				rng := rand.New(rand.NewPCG(seed, 1))
				m.StartAll()
				time.Sleep(5 * time.Second)
				for round := range 12 {
					victim := rng.IntN(4)
					done := make(chan struct{})
					for i := range 4 {
						own := rand.New(rand.NewPCG(seed, uint64(round<<8+i)))
						w := m.Members[i].Node
						go func() {
							defer func() { done <- struct{}{} }()
							for n := range 10 {
								time.Sleep(time.Duration(own.IntN(300)) * time.Millisecond)
								if m.shareBriefly(i, w, fmt.Sprintf("r%d-n%d-by-%d.com", round, n, i)) != nil {
									return
								}
							}
						}()
					}
					time.Sleep(time.Duration(rng.IntN(2500)) * time.Millisecond)
					m.Net.Partition([]int{victim}) // a dead node says nothing more
					acked := m.acknowledged()
					m.Crash(victim)
					for range 4 {
						<-done
					}
					kept := m.acked[:acked]
					for _, a := range m.acked[acked:] {
						if a.By != victim {
							kept = append(kept, a)
						}
					}
					m.acked = kept
					m.Net.Heal()
					m.Start(victim)
					time.Sleep(time.Duration(rng.IntN(20)) * time.Second)
				}
				time.Sleep(2 * time.Minute)
				m.Settle(3*time.Minute, m.All()...)
				m.Check(m.All()...)
				for i := range 4 {
					if s := m.Members[i].Node.Status(time.Time{}); s.Halted != "" || len(s.Forks) > 0 {
						t.Errorf("node %d: halted %q, %d forks", i, s.Halted, len(s.Forks))
					}
				}
			})
		})
	}
}

// shareBriefly is Share that does not wait long: a node that has died answers
// nobody.
func (m *Mesh) shareBriefly(i int, n writer, name string) error {
	p := m.Members[i]
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	bundle, values := p.domains(name)
	places, err := n.Write(ctx, [][]byte{bundle}, "green")
	if err == nil {
		m.acknowledge(Acked{By: i, Places: places, Values: values})
	}
	return err
}

// domains makes a bundle of indicators of domains.
func (p *Member) domains(names ...string) (bundle []byte, values []store.Value) {
	h := stix.Handling{TLP: stix.TLPGreen, Action: stix.ActionDetect}
	objs := []stix.Object{p.Author.Identity(), stix.TLPGreen.Marking()}
	for _, n := range names {
		objs = append(objs, stix.NewIndicator(p.Author, "domain", n, h, time.Now()))
		values = append(values, store.Value{Type: "domain", Text: n})
	}
	return stix.AppendBundle(nil, "", objs), values
}

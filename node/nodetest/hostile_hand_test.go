package nodetest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
	"github.com/tipmesh/tipmesh/protocol/seal"
)

// askFor has the liar ask a node for epochs, and opens what it is handed.
func (l *liar) askFor(j int, get *replica.GetEpochs) (*protocol.Letter, error) {
	l.T.Helper()
	s := l.stream(j)
	if _, err := s.Write(replica.Encode(get)); err != nil {
		return nil, err
	}
	frame, err := replica.ReadFrame(s, replica.MaxFrame)
	if err != nil {
		return nil, err
	}
	msg, err := replica.Decode(frame)
	l.must(err)
	sealed := msg.(*replica.Epochs).Sealed
	if len(sealed) == 0 {
		return &protocol.Letter{}, nil
	}
	plain, err := seal.OpenDirect(sealed, l.p.age)
	l.must(err)
	letter, err := protocol.ParseLetter(plain)
	l.must(err)
	return letter, nil
}

// letterTo seals what the liar hands to a node that asks it for epochs.
func (l *liar) letterTo(node protocol.Key, parts ...any) *replica.Epochs {
	for i := range l.Members {
		if l.nodeOf(i) != node {
			continue
		}
		sealed, err := seal.Direct(protocol.NewLetter(parts...), []string{l.Members[i].age.Recipient()})
		l.must(err)
		return &replica.Epochs{Sealed: sealed}
	}
	return &replica.Epochs{}
}

// hands has the liar answer requests for epochs with what f gives.
func (l *liar) hands(f func(to protocol.Key) []any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lie = func(to protocol.Key, q, a replica.Message) replica.Message {
		if q.Type() != replica.TypeGetEpochs {
			return a
		}
		return l.letterTo(to, f(to)...)
	}
}

// Who asks for epochs is handed no state and no epoch of a group that it was never
// in, and of one that it was taken out of none from then on.
func TestHostileAsksForStatesOfGroups(t *testing.T) {
	Run(t, Options{Nodes: 5, Seed: 440}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		m.must(m.Share(0, "for-all.com"))
		id := m.CreateGroup(0, node.GroupTerms{Name: "g"}, 1, 2)
		time.Sleep(5 * time.Second)
		m.sharedIn(0, id, "before.com")
		_, err := m.Members[0].Node.GroupRemove(context.Background(), id, m.Members[2].ID)
		m.must(err)
		_, err = m.Members[0].Node.GroupAdd(context.Background(), id, m.Members[3].ID)
		m.must(err)
		m.sharedIn(0, id, "after.com")
		time.Sleep(20 * time.Second)
		m.wantGroup(id, []int{0, 1, 3}, 0, 1, 3)
		for _, x := range []struct{ who, states int }{{4, 0}, {2, 2}} {
			m.Stop(x.who)
			l := m.hostile(x.who)
			for _, j := range []int{0, 1, 3} {
				letter, err := l.askFor(j, &replica.GetEpochs{})
				m.must(err)
				if len(letter.Epochs()) == 0 {
					t.Errorf("node %d hands %d no epoch at all: the test is blind", j, x.who)
				}
				for _, s := range letter.States() {
					if int(s.Number) > x.states {
						t.Errorf("node %d hands %d state %d of the group", j, x.who, s.Number)
					}
				}
				if j != 3 && len(letter.States()) != x.states {
					t.Errorf("node %d hands %d %d states, want %d", j, x.who, len(letter.States()), x.states)
				}
				for _, e := range letter.Epochs() {
					if e.Audience == id && !slices.Contains(e.Readers, m.Members[x.who].ID) {
						t.Errorf("node %d hands %d an epoch of the group without it", j, x.who)
					}
				}
			}
			l.leave()
		}
	})
}

// What a node says that it holds tells a neighbour nothing that does not hold it
// too: neither which, nor how much, nor whether two hold the same.
func TestAskerTellsNobodyWhatItHolds(t *testing.T) {
	Run(t, Options{Nodes: 4, Seed: 441}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		m.CreateGroup(0, node.GroupTerms{Name: "g"}, 1)
		time.Sleep(5 * time.Second)
		m.Stop(3)
		l := m.hostile(3)
		var asked []*replica.GetEpochs
		who := map[protocol.Key]int{}
		l.mu.Lock()
		l.lie = func(to protocol.Key, q, a replica.Message) replica.Message {
			if get, ok := q.(*replica.GetEpochs); ok {
				asked = append(asked, get)
				who[to]++
			}
			return a
		}
		l.mu.Unlock()
		time.Sleep(11 * time.Minute)
		l.leave()
		if len(who) < 3 || len(asked) < 6 {
			t.Fatalf("%d nodes asked %d times: the test is blind", len(who), len(asked))
		}
		var held [][]byte
		for i := range 2 {
			m.must(m.Members[i].Store.Settings("epoch/", func(_ string, raw []byte) error {
				e, err := protocol.ParseEpoch(raw)
				id := e.ID()
				held = append(held, id[:])
				return err
			}))
			for _, g := range m.Members[i].Node.Groups() {
				id := g.Head.ID()
				held = append(held, id[:])
			}
		}
		had := map[replica.Mark]int{}
		for _, get := range asked {
			if len(get.Held) != len(asked[0].Held) {
				t.Errorf("one request has %d bytes of marks, another %d", len(asked[0].Held), len(get.Held))
			}
			for mark := range get.Marks() {
				had[mark]++
			}
			for _, id := range held {
				if bytes.Contains(replica.Encode(get), id[:replica.MarkLen]) {
					t.Error("a request names something held")
				}
			}
		}
		for mark, times := range had {
			if times > 1 {
				t.Errorf("%d requests have the mark %x", times, mark)
			}
		}
	})
}

// As many marks as fit are looked at; one more ends the stream.
func TestHostileMarksOfWhatIsHeld(t *testing.T) {
	amid(t, 3, 442, func(t *testing.T, l *liar) {
		get := &replica.GetEpochs{Salt: protocol.Hash{1}}
		rng := rand.New(rand.NewPCG(442, 0))
		for range replica.MaxMarks * replica.MarkLen {
			get.Held = append(get.Held, byte(rng.Uint32()))
		}
		letter, err := l.askFor(0, get)
		if err != nil || len(letter.Epochs()) == 0 {
			t.Errorf("marks of nothing have epochs withheld: %v", err)
		}
		get.Held = append(get.Held, get.Held[:replica.MarkLen]...)
		if _, err := l.askFor(0, get); err == nil {
			t.Error("too many marks are answered")
		} else if err == io.ErrUnexpectedEOF {
			t.Error("an answer was begun")
		}
		l.unharmed(0, 1)
	})
}

// A neighbour hands over states that their signer may not sign, of groups the
// asker is not in, and ever more of them: the honest group stays as it is, what is
// kept is bounded, and the liar is not asked ever more often.
func TestHostileHandsStates(t *testing.T) {
	Run(t, Options{Nodes: 4, Seed: 443}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		id := m.CreateGroup(0, node.GroupTerms{Name: "honest"}, 1)
		time.Sleep(5 * time.Second)
		g, _ := m.Members[0].Node.Group(id)
		m.Stop(2)
		l := m.hostile(2)
		count := 0
		sign := func(s protocol.AudienceState) *protocol.AudienceState {
			count++
			s.Mesh, s.Name = m.ID, fmt.Sprint("flood ", count)
			signed, err := s.Sign(l.p.nodeKey)
			m.must(err)
			return signed
		}
		l.hands(func(protocol.Key) (out []any) {
			for range 50 {
				out = append(out,
					sign(protocol.AudienceState{Number: 1, Owner: l.p.ID, Members: protocol.Sorted(m.ids(2, 3))}),
					sign(protocol.AudienceState{Number: 2, Audience: id, Prev: g.Head.ID(), Owner: g.Owner, Members: protocol.Sorted(m.ids(0, 1, 2))}),
					sign(protocol.AudienceState{Number: 3, Audience: id, Prev: protocol.Hash{1, byte(count)}, Owner: l.p.ID, Members: protocol.Sorted(m.ids(2))}))
			}
			return out
		})
		time.Sleep(11 * time.Minute)
		// Three nodes, at most every five seconds while something of it is new, and
		// else every five minutes.
		if n := l.times(replica.TypeGetEpochs); n < 6 || n > 60 {
			t.Errorf("the liar was asked %d times", n)
		}
		l.leave()
		for i := range 2 {
			if n := len(m.Members[i].Node.Groups()); n < 100 || n > 129 {
				t.Errorf("node %d keeps %d groups", i, n)
			}
			states := 0
			m.must(m.Members[i].Store.Settings("group/"+id.String(), func(string, []byte) error { states++; return nil }))
			if states < 2 || states > 65 {
				t.Errorf("node %d keeps %d states of the honest group", i, states)
			}
		}
		m.wantGroup(id, []int{0, 1}, 0, 1)
		_, err := m.Members[0].Node.GroupAdd(context.Background(), id, m.Members[3].ID)
		m.must(err)
		time.Sleep(20 * time.Second)
		m.wantGroup(id, []int{0, 1, 3}, 0, 1, 3)
		a := m.sharedIn(1, id, "undisturbed.com")
		time.Sleep(20 * time.Second)
		m.wantReads(1, "undisturbed.com", 0, 1, 3)
		if m.opens(1, a.Places[0], m.identities(2)) {
			t.Error("it opens for the liar")
		}
	})
}

// A member that was put out goes on serving the states of before, to one that was
// away and to one that came in since. Both know who is in once they meet an honest
// neighbour, and what they write from then on does not open for who is out.
func TestHostilePutOutHandsOldStates(t *testing.T) {
	Run(t, Options{Nodes: 5, Seed: 444}, func(t *testing.T, m *Mesh) {
		m.StartAll()
		time.Sleep(5 * time.Second)
		id := m.CreateGroup(0, node.GroupTerms{Name: "g"}, 1, 2, 3)
		time.Sleep(5 * time.Second)
		m.sharedIn(2, id, "while-in.com")
		time.Sleep(20 * time.Second)
		old, _ := m.Members[2].Node.Group(id)
		m.Stop(3)
		m.Stop(2)
		_, err := m.Members[0].Node.GroupRemove(context.Background(), id, m.Members[2].ID)
		m.must(err)
		l := m.hostile(2)
		l.hands(func(protocol.Key) []any { return []any{old.Head} })
		m.Net.Partition([]int{0, 1}, []int{2, 3, 4})
		m.Start(3)
		l.dial(3)
		time.Sleep(6 * time.Minute)
		_, err = m.Members[0].Node.GroupAdd(context.Background(), id, m.Members[4].ID)
		m.must(err)
		m.Net.Heal()
		time.Sleep(2 * time.Minute)
		if l.times(replica.TypeGetEpochs) < 2 {
			t.Error("the liar was not asked: the test is blind")
		}
		m.wantGroup(id, []int{0, 1, 3, 4}, 0, 1, 3, 4)
		for _, i := range []int{3, 4} {
			a := m.sharedIn(i, id, fmt.Sprintf("by-%d.com", i))
			time.Sleep(20 * time.Second)
			m.wantReads(i, a.Values[0].Text, 0, 1, 3, 4)
			if m.opens(i, a.Places[0], m.identities(2)) {
				t.Errorf("what %d writes opens for who was put out", i)
			}
		}
		l.leave()
	})
}

package trust_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

func TestAcceptBounds(t *testing.T) {
	s := found(t, 2, "ann", "bob")
	stranger := s.newcomer("eve", "eve/1")
	drop := func() { s.all = s.all[:len(s.all)-1] }
	drop()
	if s.fold().Accept(stranger) == nil {
		t.Error("a stranger's card is kept")
	}
	ad := s.admit("eve", "ann")
	if err := s.fold().Accept(stranger); err != nil {
		t.Errorf("a proposed member's card is refused: %v", err)
	}
	s.all = append(s.all, stranger)
	bad := s.admit("eve", "eve")
	drop() // the approval
	drop()
	if s.fold().Accept(bad) == nil {
		t.Error("a proposal of a stranger is kept")
	}
	s.approve(ad, "bob")
	for range 40 {
		st := s.remove("bob", nil, "eve")
		if s.fold().Accept(st) != nil {
			t.Fatal("a kept statement is refused")
		}
	}
	r := s.fold()
	over := r.Surplus()
	if len(over) != 40-protocol.MaxOpenProposals {
		t.Fatalf("surplus %d", len(over))
	}
	s.all = slices.DeleteFunc(s.all, func(st *protocol.Statement) bool { return slices.Contains(over, st.ID()) })
	after := s.fold()
	if after.Digest() != r.Digest() || len(after.Surplus()) != 0 {
		t.Error("dropping the surplus changes the roster")
	}
	for range 300 {
		s.update("eve", nil)
	}
	if n := len(s.fold().Surplus()); n != 301-protocol.MaxCardsPerMember {
		t.Errorf("surplus cards %d", n)
	}
	rot := s.rotate("eve", s.org["eve"].last, 9)
	drop()
	if err := s.fold().Accept(rot); err != nil {
		t.Errorf("the next key does not fit: %v", err)
	}
}

func TestOwnCutsAreBoundedAndKeptAfterLeaving(t *testing.T) {
	s := found(t, 1, "ann")
	s.newcomer("bob", "bob/1")
	s.admit("bob", "ann")
	s.remove("bob", []protocol.FeedCut{{Feed: feed("f"), Seq: 900}}, "ann")
	for i := range trust.MaxOwnCuts + 5 {
		st := s.propose(&protocol.Cut{Member: s.org["bob"].id, Line: s.line, Node: pub("bob/1"),
			Cuts: []protocol.FeedCut{{Feed: feed("f"), Seq: uint64(i + 1)}}}, "bob")
		s.all = s.all[:len(s.all)-1]
		if err := s.fold().Accept(st); err != nil && i < trust.MaxOwnCuts {
			t.Fatalf("cut %d is refused: %v", i, err)
		}
		s.all = append(s.all, st)
	}
	r := s.fold()
	over := r.Surplus()
	if len(over) != 5 {
		t.Fatalf("surplus %d", len(over))
	}
	s.all = slices.DeleteFunc(s.all, func(st *protocol.Statement) bool { return slices.Contains(over, st.ID()) })
	after := s.fold()
	a, _ := r.Limit(pub("bob/1"), feed("f"))
	b, _ := after.Limit(pub("bob/1"), feed("f"))
	if a != b || r.Digest() != after.Digest() {
		t.Errorf("dropping the surplus moves the end from %d to %d", a, b)
	}
}

func TestGovernorThatLeftStillDecides(t *testing.T) {
	s := found(t, 2, "ann", "bob", "cat")
	s.remove("cat", nil, "ann", "bob")
	s.newcomer("dan", "dan/1")
	st := s.admit("dan", "cat")
	s.all = s.all[:len(s.all)-1]
	if err := s.fold().Accept(st); err != nil {
		t.Errorf("a proposal that some nodes heard before the removal is refused by others: %v", err)
	}
}

// Nodes that hear the same proofs of forks in different orders end with the same
// ones.
func TestForkProofsInAnyOrderEndTheSame(t *testing.T) {
	s := found(t, 1, "ann")
	proof := func(salt byte, seq uint64, by string) *protocol.Statement {
		var hs []*protocol.Header
		for _, payload := range []string{"a", "b"} {
			h, err := protocol.Header{Mesh: s.mesh, Salt: protocol.Hash{salt}, Seq: seq, Prev: entry("p"), Kind: protocol.EntryDirect,
				Payload: protocol.HashOf([]byte(payload))}.Sign(key("ann/1"))
			if err != nil {
				t.Fatal(err)
			}
			hs = append(hs, h)
		}
		st := s.say(protocol.NewForkProof(hs[0], hs[1]), key(by))
		s.all = s.all[:len(s.all)-1]
		return st
	}
	var proofs []*protocol.Statement
	for salt := range byte(4) {
		for seq := uint64(3); seq < 6; seq++ {
			proofs = append(proofs, proof(salt+1, seq, "x"), proof(salt+1, seq, "y"))
		}
	}
	hear := func(order []int) []protocol.StatementID {
		kept := slices.Clone(s.all)
		for range 8 {
			changed := false
			for _, i := range order {
				st := proofs[i]
				if slices.Contains(kept, st) || trust.Fold(s.mesh, kept).Accept(st) != nil {
					continue
				}
				changed = true
				kept = append(kept, st)
				over := trust.Fold(s.mesh, kept).Surplus()
				kept = slices.DeleteFunc(kept, func(k *protocol.Statement) bool { return slices.Contains(over, k.ID()) })
			}
			if !changed {
				break
			}
		}
		var out []protocol.StatementID
		for _, k := range kept[len(s.all):] {
			out = append(out, k.ID())
		}
		return protocol.Sorted(out)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	want := hear(rng.Perm(len(proofs)))
	if len(want) != 1 {
		t.Fatalf("%d unresolved proofs of one node are kept", len(want))
	}
	for range 50 {
		if got := hear(rng.Perm(len(proofs))); !slices.Equal(got, want) {
			t.Fatalf("nodes end with other proofs: %v and %v", got, want)
		}
	}
}

// First cards go with the admissions that name them.
func TestCardsOfDroppedProposalsAreDropped(t *testing.T) {
	s := found(t, 1, "ann")
	s.newcomer("bob", "bob/1")
	s.admit("bob", "ann")
	for i := range 40 {
		name := fmt.Sprint("x", i)
		s.newcomer(name, name+"/1")
		s.propose(&protocol.Admission{Member: s.org[name].id, Line: s.line}, "bob")
		s.all = s.all[:len(s.all)-1] // the approval
	}
	before := s.fold()
	for range 2 {
		over := s.fold().Surplus()
		s.all = slices.DeleteFunc(s.all, func(st *protocol.Statement) bool { return slices.Contains(over, st.ID()) })
	}
	if r := s.fold(); len(r.Surplus()) != 0 || r.Digest() != before.Digest() {
		t.Error("dropping the surplus does not end or changes the roster")
	}
	if n := len(s.all); n != 1+2+2+2*protocol.MaxOpenProposals {
		t.Errorf("%d statements are left", n)
	}
}

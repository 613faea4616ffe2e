package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// Member is the member of a name.
func Member(name string) protocol.MemberID {
	return protocol.MemberID(protocol.HashOf([]byte("member " + name)))
}

func domain(text string) store.Value { return store.Value{Type: "domain", Text: text} }

// object makes a version of an object; what it says follows from the version.
func object(member string, n int, modified int64, values ...store.Value) store.Object {
	id := fmt.Sprintf("indicator--00000000-0000-4000-8000-%012d", n)
	content := protocol.HashOf([]byte(id), []byte(fmt.Sprint(modified, values)))
	return store.Object{
		Member: Member(member), ID: id, Type: "indicator", Modified: modified, Created: 5,
		Content: [8]byte(content[:8]), Values: values, Summary: store.Summary{Confidence: -1},
	}
}

// feed puts objects as arrivals of their own, numbered by their place in order.
func feed(t testing.TB, x store.Index, objects []store.Object, order []int) {
	t.Helper()
	for _, i := range order {
		o := objects[i]
		o.Arrival = uint64(i + 1)
		check(t, x.Put(&store.IndexBatch{Objects: []store.Object{o}, Checkpoint: o.Arrival}))
	}
}

func straight(n int) (order []int) {
	for i := range n {
		order = append(order, i)
	}
	return order
}

// names tells found objects shortly: member, number, version; sorted.
func names(t testing.TB, found []store.Object, err error) string {
	t.Helper()
	check(t, err)
	var out []string
	for _, o := range found {
		if o.Values != nil {
			t.Errorf("object %s comes with its values", o.ID)
		}
		who := "?"
		for _, name := range []string{"a", "b", "c"} {
			if Member(name) == o.Member {
				who = name
			}
		}
		out = append(out, fmt.Sprintf("%s%s@%d", who, strings.TrimLeft(o.ID[len("indicator--00000000-0000-4000-8000-"):], "0"), o.Modified))
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func expect(t testing.TB, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func byValue(t testing.TB, x store.Index, v store.Value) string {
	t.Helper()
	found, err := x.ByValue(v)
	return names(t, found, err)
}

// testIndexVersions feeds versions in any order, some twice.
func testIndexVersions(t *testing.T, f Factory) {
	h := f(t)
	x := h.Open().Index()
	objects := []store.Object{
		object("a", 1, 10, domain("old.example"), domain("both.example")),
		object("a", 1, 20, domain("new.example"), domain("both.example")),
		object("a", 1, -30, domain("ancient.example")),
		object("a", 2, 15, domain("both.example")),
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for range 8 {
		order := append(rng.Perm(4), rng.Perm(4)...)
		check(t, x.Reset())
		feed(t, x, objects, order)
		expect(t, "old value", byValue(t, x, domain("old.example")), "")
		expect(t, "ancient value", byValue(t, x, domain("ancient.example")), "")
		expect(t, "new value", byValue(t, x, domain("new.example")), "a1@20")
		expect(t, "shared value", byValue(t, x, domain("both.example")), "a1@20 a2@15")
		found, err := x.ByID(objects[0].ID)
		expect(t, "by ID", names(t, found, err), "a1@20")
		versions, err := x.Versions(Member("a"), objects[0].ID)
		check(t, err)
		if len(versions) != 3 || versions[0].Modified != 20 || versions[2].Modified != -30 {
			t.Errorf("versions: %v", versions)
		}
		if x.Count() != 2 || x.Checkpoint() != 4 {
			t.Errorf("count %d, checkpoint %d", x.Count(), x.Checkpoint())
		}
	}
}

func testIndexValues(t *testing.T, f Factory) {
	x := f(t).Open().Index()
	same := store.Value{Type: "url", Text: "x.example"}
	feed(t, x, []store.Object{
		object("a", 1, 1, domain("x.example")),
		object("a", 2, 1, same),
		object("a", 3, 1, domain("x.exampl")),
		object("a", 4, 1),
		object("a", 5, 1, domain("")),
	}, straight(5))
	expect(t, "domain", byValue(t, x, domain("x.example")), "a1@1")
	expect(t, "URL", byValue(t, x, same), "a2@1")
	expect(t, "nothing", byValue(t, x, domain("example")), "")
	expect(t, "empty", byValue(t, x, domain("")), "a5@1")
	found, err := x.ByID("indicator--none")
	expect(t, "no ID", names(t, found, err), "")
}

// testIndexMembers shares one ID by several members.
func testIndexMembers(t *testing.T, f Factory) {
	x := f(t).Open().Index()
	v := domain("x.example")
	feed(t, x, []store.Object{
		object("a", 1, 10, v), object("b", 1, 30, v), object("c", 1, 20, v), object("c", 1, 40),
	}, straight(4))
	expect(t, "by value", byValue(t, x, v), "a1@10 b1@30")
	id := object("a", 1, 10).ID
	found, err := x.ByID(id)
	expect(t, "by ID", names(t, found, err), "a1@10 b1@30 c1@40")
	found, err = x.Versions(Member("c"), id)
	expect(t, "versions", names(t, found, err), "c1@20 c1@40")
	if x.Count() != 3 {
		t.Errorf("count %d", x.Count())
	}
	count, err := x.Census([]protocol.MemberID{Member("c"), Member("none"), Member("a")})
	if check(t, err); !slices.Equal(count, []uint64{1, 0, 1}) {
		t.Errorf("c, none, a have %d objects", count)
	}
}

// testIndexRivals feeds two contents of one version: both are versions, the
// later arrival answers.
func testIndexRivals(t *testing.T, f Factory) {
	x := f(t).Open().Index()
	objects := []store.Object{object("a", 1, 10, domain("one.example")), object("a", 1, 10, domain("two.example"))}
	for _, order := range [][]int{{0, 1}, {1, 0}} {
		check(t, x.Reset())
		feed(t, x, objects, order)
		expect(t, "first", byValue(t, x, domain("one.example")), "")
		expect(t, "second", byValue(t, x, domain("two.example")), "a1@10")
		found, err := x.Versions(Member("a"), objects[0].ID)
		expect(t, "versions", names(t, found, err), "a1@10 a1@10")
		if len(found) == 2 && found[0].Arrival != 2 {
			t.Errorf("first version arrived as %d", found[0].Arrival)
		}
	}
}

func testIndexRefs(t *testing.T, f Factory) {
	x := f(t).Open().Index()
	var objects []store.Object
	for n := range 200 {
		objects = append(objects, object("a", n+1, 1), object("a", n+1, 2))
	}
	objects = append(objects, object("b", 1, 1))
	check(t, x.Put(&store.IndexBatch{Objects: objects, Checkpoint: 1}))
	ref := func(code string) string {
		t.Helper()
		prefix, bits, err := protocol.RefPrefix(code)
		check(t, err)
		found, err := x.ByRef(prefix, bits, 100)
		return names(t, found, err)
	}
	code := protocol.RefCode(objects[0].ID, 52)
	for _, n := range []int{protocol.RefLen, protocol.RefLenObject, 26, 40, 51} {
		expect(t, fmt.Sprint("code of ", n), ref(code[:n]), "a1@2 b1@1")
	}
	other := []byte(code[:30])
	other[29] = "0123456789abcdefghjkmnpqrstvwxyz"[(strings.IndexByte("0123456789abcdefghjkmnpqrstvwxyz", other[29])+1)%32]
	expect(t, "long code of nothing", ref(string(other)), "")
	for bits := range 5 {
		want := 0
		for n := range 200 {
			sum := protocol.HashOf([]byte(objects[2*n].ID))
			if sum[0]>>(8-bits) == 0xA8>>(8-bits) {
				want++
			}
		}
		found, err := x.ByRef([]byte{0xA8}, bits, 1000)
		check(t, err)
		found = slices.DeleteFunc(found, func(o store.Object) bool { return o.Member == Member("b") })
		if len(found) != want {
			t.Errorf("%d bits: %d objects, want %d", bits, len(found), want)
		}
	}
	if found, err := x.ByRef(nil, 0, 7); err != nil || len(found) != 7 {
		t.Errorf("limit: %d objects, %v", len(found), err)
	}
}

// testIndexRow keeps every field.
func testIndexRow(t *testing.T, f Factory) {
	h := f(t)
	s := h.Open()
	o := store.Object{
		Member: Member("a"), ID: "x--y", Type: "malware", Modified: 1 << 50, Revoked: true, Arrival: 1 << 40, Ordinal: 1 << 31,
		Content: [8]byte{1, 2, 3}, Created: -7,
		Summary: store.Summary{Audience: protocol.AudienceID{9},
			Says: "it says", Action: "block", TLP: "amber", PAP: "green", Confidence: 85, ValidFrom: 1, ValidUntil: -2,
			FirstSeen: 3, LastSeen: 4, CreatedBy: "identity--1", Partial: true, Share: "abc", Received: 5,
		},
	}
	bare := store.Object{Member: Member("b"), ID: "no-type", Modified: -1, Summary: store.Summary{Confidence: -1}}
	check(t, s.Index().Put(&store.IndexBatch{Objects: []store.Object{o, bare}}))
	for _, want := range []store.Object{o, bare} {
		got, err := s.Index().ByID(want.ID)
		if err != nil || len(got) != 1 || !cmp.Equal(got[0], want) {
			t.Errorf("%v: %s", err, cmp.Diff([]store.Object{want}, got))
		}
	}
}

func testIndexReset(t *testing.T, f Factory) {
	h := f(t)
	s := h.Open()
	x := s.Index()
	objects := []store.Object{object("a", 1, 1, domain("x.example")), object("a", 2, 1, domain("x.example"))}
	for range 3 {
		feed(t, x, objects, straight(2))
		expect(t, "fed", byValue(t, x, domain("x.example")), "a1@1 a2@1")
		check(t, x.Reset())
		expect(t, "empty", byValue(t, x, domain("x.example")), "")
		if x.Count() != 0 || x.Checkpoint() != 0 {
			t.Errorf("after reset: count %d, checkpoint %d", x.Count(), x.Checkpoint())
		}
		// Who goes on from where the index was would leave a gap.
		if err := x.Put(&store.IndexBatch{Objects: objects, After: 2, Checkpoint: 3}); !errors.Is(err, store.ErrRebuild) || x.Checkpoint() != 0 {
			t.Errorf("put after arrival 2: %v", err)
		}
		expect(t, "still empty", byValue(t, x, domain("x.example")), "")
	}
}

// testIndexReopen closes and crashes: what the checkpoint includes must answer.
func testIndexReopen(t *testing.T, f Factory) {
	h := f(t)
	s := h.Open()
	w := NewWriter("a")
	var objects []store.Object
	for n := range 20 {
		e := w.Next(Payload(uint64(n), 50))
		Commit(t, s, &store.Commit{Entries: []store.Entry{e}, Readable: []store.Place{w.At(e.Header.Seq)}})
		objects = append(objects, object("a", n+1, 1, domain("x.example")))
	}
	for round, reopen := range []func(){h.Crash, func() { check(t, s.Close()) }, h.Crash} {
		feed(t, s.Index(), objects[:5+round*5], straight(5+round*5))
		reopen()
		s = h.Open()
		x := s.Index()
		found, err := x.ByValue(domain("x.example"))
		if err != nil || x.Checkpoint() != uint64(5+round*5) || len(found) != 5+round*5 {
			t.Fatalf("round %d: checkpoint %d, %d objects, %v", round, x.Checkpoint(), len(found), err)
		}
		if n := x.Count(); n != uint64(5+round*5) {
			t.Errorf("round %d: count %d", round, n)
		}
	}
	// A checkpoint ahead of the entries belongs to another history.
	check(t, s.Index().Put(&store.IndexBatch{Checkpoint: 21}))
	check(t, s.Close())
	s = h.Open()
	if x := s.Index(); x.Checkpoint() != 0 || byValue(t, x, domain("x.example")) != "" {
		t.Errorf("an index ahead of its entries: checkpoint %d", x.Checkpoint())
	}
}

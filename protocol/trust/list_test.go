package trust_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

func TestTrustList(t *testing.T) {
	l := trust.NewList()
	bob, cat := protocol.MemberID{1}, protocol.MemberID{2}
	if d := l.For(bob, 0); d.Use != trust.UseRead || d.Send != "amber" || d.Reliability != "F" {
		t.Errorf("default %+v", d)
	}
	for tlp, want := range map[string]bool{"clear": true, "green": true, "amber": true, "amber+strict": false, "red": false, "": false, "RED": false} {
		if l.MaySend(bob, tlp, 0) != want {
			t.Errorf("may send %q is not %v", tlp, want)
		}
	}
	d := trust.Decision{Use: trust.UseBlock, Send: "red", Reliability: "B", Alias: "bobby", Until: 100, By: "ann", Why: "tested"}
	c, err := l.Set(&bob, d, 5)
	if err != nil || c.Version != 1 || c.Old != nil || c.New.Since != 5 {
		t.Fatalf("%+v %v", c, err)
	}
	if !l.MaySend(bob, "red", 99) || l.MaySend(bob, "red", 100) || l.For(bob, 100).Alias != "bobby" {
		t.Error("the decision does not end")
	}
	if c, err := l.Set(&bob, d, 9); err != nil || c.Version != 0 || len(l.History) != 1 {
		t.Error("setting the same makes history")
	}
	if _, err := l.Set(&cat, d, 9); err == nil {
		t.Error("one alias for two")
	}
	none := trust.Decision{Send: trust.SendNone, Reliability: "F"}
	if _, err := l.Set(nil, none, 10); err != nil || l.MaySend(cat, "clear", 10) {
		t.Error("none sends")
	}
	if c := l.Unset(bob, "ann", "over", 11); c.Version != 3 || l.For(bob, 11).Use != trust.UseNone {
		t.Error("unset")
	}
	for _, bad := range []trust.Decision{{}, {Send: "white", Reliability: "A"}, {Send: "red", Reliability: "G"}, {Use: 9, Send: "red", Reliability: "A"}} {
		if _, err := l.Set(&bob, bad, 1); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
	if _, err := l.Set(&cat, trust.Decision{Use: trust.UseDetect, Send: "green", Reliability: "A"}, 12); err != nil {
		t.Fatal(err)
	}
	checkListJSON(t, l)
}

func checkListJSON(t *testing.T, l *trust.List) {
	t.Helper()
	a, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	again := new(trust.List)
	if err := json.Unmarshal(a, again); err != nil {
		t.Fatal(err)
	}
	if b, _ := json.Marshal(again); !bytes.Equal(a, b) {
		t.Errorf("%s\n%s", a, b)
	}
	if err := json.Unmarshal([]byte(`{"default":{"use":"all"}}`), again); err == nil {
		t.Error("a bad list is read")
	}
}

// Edits are made together or not at all, and what makes one list of another does.
func TestListEdits(t *testing.T) {
	l := trust.NewList()
	bob, cat, dan := protocol.MemberID{1}, protocol.MemberID{2}, protocol.MemberID{3}
	decide := func(alias string) *trust.Decision {
		d := trust.DefaultDecision()
		d.Alias = alias
		return &d
	}
	if made, err := l.Apply([]trust.Edit{{Member: cat, New: decide("kitty")}, {Member: bob, New: decide("bobby")}, {Member: dan}}, 1); err != nil || len(made) != 2 {
		t.Fatalf("%v %v", made, err)
	}
	before := l.Clone()
	for _, bad := range [][]trust.Edit{
		{{Member: bob}, {}}, // the default line cannot go
		{{Member: bob}, {Member: dan, New: decide("kitty")}},
		{{Member: bob}, {New: decide("all")}},
		{{Member: bob, Why: strings.Repeat("x", protocol.MaxText+1)}},
	} {
		if made, err := l.Apply(bad, 2); err == nil || len(made) != 0 {
			t.Errorf("%+v is made", bad)
		}
		if d := cmp.Diff(before, l); d != "" {
			t.Error(d)
		}
	}
	// Aliases change hands within the edits.
	next := l.Clone()
	next.Default.Send = "red"
	next.Members[cat], next.Members[dan] = *decide("bobby"), *decide("kitty")
	delete(next.Members, bob)
	edits := l.Edits(next)
	if len(edits) != 4 || !edits[0].Member.IsZero() || edits[1].New != nil {
		t.Errorf("%+v", edits)
	}
	if _, err := l.Apply(edits, 3); err != nil {
		t.Fatal(err)
	}
	if again := l.Edits(next); len(again) != 0 || l.Version != 6 || len(l.History) != 6 {
		t.Errorf("%+v, %d changes", again, len(l.History))
	}
	if len(before.History) != 2 || before.Default.Send != "amber" || before.Members[bob].Alias != "bobby" {
		t.Errorf("the copy has changed: %+v", before)
	}
}

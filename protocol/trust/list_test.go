package trust_test

import (
	"bytes"
	"encoding/json"
	"testing"

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

package api

import (
	"strings"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
)

// A value that went to all, and later with more of it to a group, is withdrawn
// from both; those outside the group learn nothing of what the group was told.
func TestWithdrawFromEveryAudience(t *testing.T) {
	alder := found(t, protocol.Rules{})
	birch := alder.invited("birch")
	cedar := alder.invited("cedar")
	for _, n := range []*running{birch, alder} {
		n.inStep()
	}
	if _, err := alder.CreateGroup(t.Context(), GroupCreate{Name: "ring", Members: []string{"birch"}}); err != nil {
		t.Fatal(err)
	}
	alder.shareText("in-both.com\n", nil)
	alder.shareText("in-both.com\n", func(q *ShareRequest) { q.To, q.Action, q.First = "@ring", "block", time.Now().Add(-72*time.Hour) })
	w, err := alder.Withdraw(t.Context(), Withdraw{Ref: "in-both.com", Why: "error", WaitS: 20})
	if err != nil || len(w.IDs) != 1 || len(w.ReadBy) != 2 || len(w.Receipts) != 2 {
		t.Fatalf("%v %+v", err, w)
	}
	for _, r := range w.Receipts {
		if r.State != ReceiptApplied {
			t.Errorf("%+v", r)
		}
	}
	for _, n := range []*running{alder, birch, cedar} {
		n.inStep()
		if f := n.find("in-both.com"); len(f.Assertions) != 0 || f.Verdict != VerdictUnknown {
			t.Errorf("%s: %+v", n.dir, f)
		}
	}
	x, err := cedar.Show(t.Context(), w.IDs[0])
	if err != nil || x.Object == nil || x.Object.Withdrawn == nil || x.Object.Withdrawn.Why != "error" || strings.Contains(string(x.Object.STIX), `"block"`) {
		t.Errorf("cedar sees %v %+v", err, x)
	}
	if _, err := alder.Withdraw(t.Context(), Withdraw{Ref: w.IDs[0], Why: "error"}); code(err) != CodeConflict {
		t.Errorf("again: %v", err)
	}
}

// knowsGroup waits until the letter about a group has been read.
func (n *running) knowsGroup(ref string) {
	n.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if _, err := n.Group(n.t.Context(), ref); err == nil {
			return
		} else if time.Now().After(deadline) {
			n.t.Fatal(err)
		}
	}
}

// Who was put out of a group still withdraws from all others what went there too.
func TestWithdrawWhenOutOfAGroup(t *testing.T) {
	alder := found(t, protocol.Rules{})
	birch := alder.invited("birch")
	for _, n := range []*running{birch, alder} {
		n.inStep()
	}
	// Several groups: the order in which they come must decide nothing.
	for _, name := range []string{"one", "two", "three"} {
		if _, err := birch.CreateGroup(t.Context(), GroupCreate{Name: name, Members: []string{"alder"}}); err != nil {
			t.Fatal(err)
		}
		alder.knowsGroup("@" + name)
		alder.shareText("in-both.com\n", func(q *ShareRequest) { q.To, q.Action, q.First = "@"+name, "block", time.Now().Add(-72*time.Hour) })
		if _, err := birch.ChangeGroup(t.Context(), "@"+name, GroupRemove, GroupChange{Members: []string{"alder"}}); err != nil {
			t.Fatal(err)
		}
		alder.inStep()
	}
	alder.shareText("in-both.com\n", nil)
	w, err := alder.Withdraw(t.Context(), Withdraw{Ref: "in-both.com", Why: "error", WaitS: 20})
	if err != nil || !w.Durable {
		t.Fatalf("%v %+v", err, w)
	}
	birch.inStep()
	if f := birch.find("in-both.com"); len(f.Assertions) != 0 {
		t.Errorf("birch still shows %+v", f.Assertions)
	}
}

package intake

import (
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/internal/stix"
)

// What was withdrawn and is said anew is another object; what is said a third
// time without a withdrawal is not.
func TestSaidAnewAfterWithdrawal(t *testing.T) {
	held := shelf{}
	with := func(o *ComposeOptions) { o.Handling.Malware = "VPNFilter" }
	first := composeText(t, "toknowall.com\n", held, with)
	held.take(t, first)
	objects, _, err := stix.ParseBundle(first.Bundles[0])
	if err != nil {
		t.Fatal(err)
	}
	w := Withdrawal{Author: composeAuthor, TLP: stix.TLPGreen, Why: stix.WhyError, Now: composeNow.Add(time.Minute)}
	for _, o := range objects {
		if o.Type == "indicator" || o.Type == "relationship" {
			w.Objects = append(w.Objects, o)
		}
	}
	bundles, err := ComposeWithdrawal(w)
	if err != nil || len(bundles) != 1 {
		t.Fatalf("%d bundles: %v", len(bundles), err)
	}
	if got := types(t, bundles[0]); got["indicator"] != 1 || got["relationship"] != 1 || got["grouping"] != 0 || got["identity"] != 1 || got["marking-definition"] != 1 {
		t.Errorf("%v", got)
	}
	for _, o := range w.Objects {
		if f := factsIn(t, bundles[0], o.ID); !f.Revoked || !f.Modified.After(o.Modified) {
			t.Errorf("%s: %+v", o.ID, f)
		}
		v := held[o.ID]
		v.Revoked = true
		held[o.ID] = v
	}
	anew := composeText(t, "toknowall.com\n", held, with)
	if anew.New != 2 || anew.IDs[0] != first.IDs[0] || anew.IDs[1] == first.IDs[1] || anew.IDs[2] == first.IDs[2] {
		t.Fatalf("anew: %v, first: %v", anew.IDs, first.IDs)
	}
	if f := factsIn(t, anew.Bundles[0], anew.IDs[1]); f.Type != "indicator" || f.Revoked {
		t.Errorf("%+v", f)
	}
	held.take(t, anew)
	if again := composeText(t, "toknowall.com\n", held, with); again.New != 0 || again.IDs[1] != anew.IDs[1] {
		t.Errorf("again: %+v", again)
	}
	if c := composeText(t, string(first.Bundles[0]), held, nil); len(c.LeftOut) == 0 || !c.LeftOut[len(c.LeftOut)-1].Refused {
		t.Errorf("a withdrawn object shared as STIX: %+v", c.LeftOut)
	}
}

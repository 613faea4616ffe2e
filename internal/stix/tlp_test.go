package stix

import "testing"

func TestParseTLP(t *testing.T) {
	for s, want := range map[string]TLP{
		"TLP:AMBER": TLPAmber, "white": TLPClear, "TLP:WHITE": TLPClear, "clear": TLPClear, " tlp:green ": TLPGreen,
		"tlp:amber+strict": TLPAmberStrict, "TLP:AMBER STRICT": TLPAmberStrict, "amber-strict": TLPAmberStrict, "Red": TLPRed,
		"TLP RED": TLPRed,
	} {
		if got, err := ParseTLP(s); err != nil || got != want {
			t.Errorf("%q: %q, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "tlp", "tlp:", "pink", "tlp:tlp:red", "TLP:EX:CHR"} {
		if got, err := ParseTLP(s); err == nil {
			t.Errorf("%q: %q", s, got)
		}
	}
}

func TestTLPMarkings(t *testing.T) {
	for i, l := range TLPs() {
		if l.Rank() != i+1 || TLPOfMarking(l.MarkingID()) != l {
			t.Errorf("%s: rank %d, marking %s", l, l.Rank(), TLPOfMarking(l.MarkingID()))
		}
		if back, err := ParseTLP(l.String()); err != nil || back != l {
			t.Errorf("%s: %s, %v", l, back, err)
		}
	}
	if TLP("").Rank() != 0 || TLP("").Marking().Raw != nil || TLP("").String() != "" || TLPOfMarking("x") != "" {
		t.Error("unknown is something")
	}
	for id, want := range map[string]TLP{
		"613f2e26-407d-48c7-9eca-b8e91df99dc9": TLPClear, "34098fce-860f-48ae-8e50-ebd3cc5e41da": TLPGreen,
		"f88d31f6-486f-44da-b317-01333bde0b82": TLPAmber, "5e57c739-391a-4eb3-b6be-7d15ca92d5ed": TLPRed,
	} {
		if got := TLPOfMarking("marking-definition--" + id); got != want {
			t.Errorf("TLP 1 %s: %s", id, got)
		}
	}
}

package stix

import (
	"testing"
	"time"
)

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

func TestObservableID(t *testing.T) {
	for _, c := range []struct {
		kind  string
		props map[string]any
		want  string
	}{
		{"ipv4-addr", map[string]any{"value": "198.51.100.3", "resolves_to_refs": 1}, "ipv4-addr--28bb3599-77cd-5a82-a950-b5bc3caf07c4"},
		{"file", map[string]any{"hashes": map[string]any{"SHA-256": "a", "MD5": "b"}}, ObservableID("file", map[string]any{"hashes": map[string]string{"MD5": "b"}, "size": 3})},
		{"process", map[string]any{"pid": 1}, ""},
		{"file", map[string]any{"size": 1}, ""},
		{"file", map[string]any{"hashes": map[string]any{}}, ""},
		{"x-mine", map[string]any{"value": "x"}, ""},
		{"url", map[string]any{"value": func() {}}, ""},
	} {
		if got := ObservableID(c.kind, c.props); got != c.want {
			t.Errorf("%s %v: %s, want %s", c.kind, c.props, got, c.want)
		}
	}
}

func TestParseTime(t *testing.T) {
	for s, want := range map[string]time.Time{
		"2020-01-02T03:04:05Z":              time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC),
		"2020-01-02T03:04:05.6Z":            time.Date(2020, 1, 2, 3, 4, 5, 6e8, time.UTC),
		"2020-01-02T03:04:05.123456789012Z": time.Date(2020, 1, 2, 3, 4, 5, 123456789, time.UTC),
		"2016-12-31T23:59:60Z":              time.Date(2017, 1, 1, 0, 0, 0, 0, time.UTC),
		"2020-02-29T00:00:00Z":              time.Date(2020, 2, 29, 0, 0, 0, 0, time.UTC),
		"9999-12-31T23:59:59.999Z":          time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC),
	} {
		if got, err := ParseTime(s); err != nil || !got.Equal(want) {
			t.Errorf("%s: %s, %v", s, got, err)
		}
	}
	for _, s := range []string{
		"", "2020-01-02", "2020-01-02T03:04:05", "2020-01-02T03:04:05+00:00", "2020-01-02 03:04:05Z", "2020-01-02t03:04:05z",
		"2020-02-30T00:00:00Z", "2020-13-01T00:00:00Z", "2020-01-00T00:00:00Z", "2020-01-02T24:00:00Z", "2020-01-02T03:04:05.Z",
		"2020-01-02T03:04:05.xZ", "2020-01-02T03:60:05Z", "0000-01-02T03:04:05Z", "2020-01-02T03:04:05,5Z",
	} {
		if got, err := ParseTime(s); err == nil {
			t.Errorf("%s: %s", s, got)
		}
	}
}

package stix

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authored is one of everything that this package writes.
func authored() []Object {
	a := benchAuthor
	h := Handling{
		TLP: TLPAmber, Action: ActionDetect, Malware: "VPNFilter", Confidence: 85,
		Labels:    []string{"botnet", "it's \"quoted\"\n\u2028"},
		FirstSeen: benchNow.Add(-time.Hour), LastSeen: benchNow,
		ValidUntil: benchNow.Add(24 * time.Hour),
	}
	objs := []Object{a.Identity(), ProjectIdentity(), HandlingExtension()}
	for _, t := range TLPs() {
		objs = append(objs, t.Marking())
	}
	var refs []string
	for _, v := range kindsAndValues {
		o := NewIndicator(a, v[0], v[1], h, benchNow)
		objs = append(objs, o)
		refs = append(refs, o.ID)
	}
	m := NewMalware(a, "VPNFilter", h, benchNow)
	objs = append(objs, m, NewIndicator(a, "domain", "bare.example", Handling{}, benchNow),
		NewRelationship(a, "indicates", refs[0], m.ID, h, benchNow))
	return append(objs, NewGrouping(a, "4f1c", "VPNFilter, stage 2", append(refs, m.ID), h, benchNow))
}

var kindsAndValues = [][2]string{
	{"ipv4", "198.51.100.3"}, {"ipv4-net", "198.51.100.0/24"},
	{"ipv6", "2001:db8::1"}, {"ipv6-net", "2001:db8::/32"},
	{"domain", "toknowall.com"}, {"url", `http://a.example/?q='x'&p="\y"`},
	{"email", "a@b.example"}, {"filename", `C:\it's "größer".exe`},
	{"md5", "d41d8cd98f00b204e9800998ecf8427e"},
	{"sha1", "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
	{"sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
	{"sha512", strings.Repeat("ab", 64)},
}

func TestAuthoredReadsBack(t *testing.T) {
	objs := authored()
	data := AppendBundle(nil, "bundle--63ab8e67-acac-4817-845a-d09f0e86954c", objs)
	got, problems, err := ParseBundle(data)
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	if len(got) != len(objs) {
		t.Fatalf("%d objects, want %d", len(got), len(objs))
	}
	for i, o := range objs {
		g := got[i]
		if g.Type != o.Type || g.ID != o.ID || !g.Created.Equal(o.Created) || !g.Modified.Equal(o.Modified) ||
			g.CreatedBy != o.CreatedBy || string(g.Raw) != string(o.Raw) || g.Upgraded {
			t.Errorf("read %+v\nwrote %+v", g, o)
		}
	}
}

func TestIndicatorFacts(t *testing.T) {
	h := Handling{
		TLP: TLPAmberStrict, Action: ActionBlock, Malware: "VPNFilter", Confidence: 85, Labels: []string{"botnet"},
		FirstSeen: benchNow.Add(-time.Hour), ValidUntil: benchNow.Add(time.Hour),
	}
	for _, v := range kindsAndValues {
		o := NewIndicator(benchAuthor, v[0], v[1], h, benchNow)
		f := FactsOf(o)
		want := strings.TrimSuffix(v[0], "-net")
		if len(f.Values) != 1 || f.Values[0].Kind != want || f.Values[0].Text != v[1] || !f.Values[0].Alone {
			t.Errorf("%s %s: values %+v", v[0], v[1], f.Values)
		}
		if f.TLP != TLPAmberStrict || f.Action != ActionBlock || f.Confidence != 85 ||
			f.Says != "VPNFilter; malicious-activity; botnet" || f.ID != o.ID || f.CreatedBy != benchAuthor.ID ||
			!f.FirstSeen.Equal(h.FirstSeen) || !f.ValidFrom.Equal(benchNow) || !f.ValidUntil.Equal(h.ValidUntil) {
			t.Errorf("%s: facts %+v", v[0], f)
		}
	}
}

func TestIndicatorID(t *testing.T) {
	a, later := benchAuthor, benchNow.Add(time.Hour)
	first := NewIndicator(a, "domain", "a.example", Handling{TLP: TLPRed}, benchNow)
	again := NewIndicator(a, "domain", "a.example", Handling{TLP: TLPRed}, later)
	if first.ID != again.ID || ContentHash(first) != ContentHash(again) {
		t.Error("the same value of the same author is not one object")
	}
	if first.ID != "indicator--950df32d-1fa2-5407-935f-44dc98220b7b" {
		t.Errorf("id %s: it may never change", first.ID)
	}
	for name, o := range map[string]Object{
		"author":  NewIndicator(Author{ID: "identity--00000000-0000-4000-8000-000000000000"}, "domain", "a.example", Handling{}, benchNow),
		"kind":    NewIndicator(a, "filename", "a.example", Handling{}, benchNow),
		"value":   NewIndicator(a, "domain", "b.example", Handling{}, benchNow),
		"malware": NewIndicator(a, "domain", "a.example", Handling{Malware: "X"}, benchNow),
	} {
		if o.ID == first.ID {
			t.Errorf("another %s has the same id", name)
		}
	}
	if ContentHash(first) == ContentHash(NewIndicator(a, "domain", "a.example", Handling{TLP: TLPGreen}, benchNow)) {
		t.Error("another TLP is the same content")
	}
	for _, v := range [][2]string{{"mutex", "x"}, {"domain", ""}} {
		if o := NewIndicator(a, v[0], v[1], Handling{}, benchNow); o.Raw != nil {
			t.Errorf("%v gave %s", v, o.Raw)
		}
	}
}

func TestContentHashForm(t *testing.T) {
	a := Object{Raw: json.RawMessage(`{"type":"x-y","name":"a b","created":"2020-01-01T00:00:00Z","n":[1, 2]}`)}
	b := Object{Raw: json.RawMessage("{ \"n\" : [1,2],\n\"name\": \"a b\", \"type\":\"x-y\", \"created\":\"2021-01-01T00:00:00Z\"}")}
	c := Object{Raw: json.RawMessage(`{"type":"x-y","name":"ab","n":[1,2]}`)}
	if ContentHash(a) != ContentHash(b) {
		t.Error("order or white space matters")
	}
	if ContentHash(a) == ContentHash(c) {
		t.Error("white space in strings does not matter")
	}
}

// TestOASISValidator has the reference validator judge all that we write.
func TestOASISValidator(t *testing.T) {
	program := os.Getenv("TIPMESH_STIX2_VALIDATOR")
	if program == "" {
		var err error
		if program, err = exec.LookPath("stix2_validator"); err != nil {
			missing(t, "stix2_validator is not installed (pip install stix2-validator, or TIPMESH_STIX2_VALIDATOR)")
		}
	}
	file := filepath.Join(t.TempDir(), "bundle.json")
	data := AppendBundle(nil, "bundle--63ab8e67-acac-4817-845a-d09f0e86954c", authored())
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(program, "--version", "2.1", file).CombinedOutput() // #nosec G204
	t.Logf("%s", out)
	if err != nil {
		t.Fatalf("run stix2_validator: %v", err)
	}
	if !strings.Contains(string(out), "STIX JSON: Valid") {
		t.Error("not valid")
	}
}

package intake

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/internal/stix"
)

var (
	composeNow    = time.Date(2018, 5, 23, 9, 0, 0, 0, time.UTC)
	composeAuthor = stix.Author{ID: "identity--3f1c5b3e-8f35-4b1d-9a3b-0d8d1c1f6a10", Name: "Alder Research", Created: composeNow.Add(-time.Hour)}
)

const composeShare = "grouping--0f0f5b3e-8f35-4b1d-9a3b-0d8d1c1f6a11"

// shelf is what an author has shared before.
type shelf map[string]HeldVersion

func (s shelf) find(id string) (HeldVersion, bool) {
	v, ok := s[id]
	return v, ok
}

// take puts what a share holds on the shelf, as the index does.
func (s shelf) take(t testing.TB, c *Composed) {
	t.Helper()
	for _, b := range c.Bundles {
		if err := stix.Scan(b, func(_ int, raw []byte, f *stix.Facts) error {
			sum := stix.ContentHash(stix.Object{Raw: raw})
			s[strings.Clone(f.ID)] = HeldVersion{Content: [8]byte(sum[:8]), Created: f.Created, Modified: f.Modified}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}

func composeText(t testing.TB, text string, held shelf, change func(*ComposeOptions)) *Composed {
	t.Helper()
	b, err := Read("input", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	o := ComposeOptions{Author: composeAuthor, ShareID: composeShare, Now: composeNow, Held: held.find,
		Handling: stix.Handling{TLP: stix.TLPGreen, Action: stix.ActionDetect}}
	if change != nil {
		change(&o)
	}
	c, err := Compose(b, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// types counts the objects of a bundle and checks that STIX's rules hold.
func types(t testing.TB, bundle []byte) map[string]int {
	t.Helper()
	objects, problems, err := stix.ParseBundle(bundle)
	if err != nil || len(problems) > 0 {
		t.Fatalf("bundle: %v %v", err, problems)
	}
	out := map[string]int{}
	ids := map[string]bool{}
	for _, o := range objects {
		if ids[o.ID] {
			t.Errorf("%s is in the bundle twice", o.ID)
		}
		ids[o.ID] = true
		out[o.Type]++
	}
	return out
}

func TestComposeValues(t *testing.T) {
	held := shelf{}
	c := composeText(t, "toknowall[.]com\n91.121.109[.]209\n", held, nil)
	if len(c.Bundles) != 1 || c.New != 2 || len(c.IDs) != 2 || c.NoContext != 2 || c.TLP != stix.TLPGreen {
		t.Fatalf("first: %+v", c)
	}
	got := types(t, c.Bundles[0])
	for kind, n := range map[string]int{"identity": 1, "marking-definition": 1, "grouping": 1, "indicator": 2, "extension-definition": 1} {
		if got[kind] != n {
			t.Errorf("%d of %s, want %d", got[kind], kind, n)
		}
	}
	held.take(t, c)
	if again := composeText(t, "toknowall.com", held, func(o *ComposeOptions) { o.Now = o.Now.Add(time.Hour) }); again.New != 0 || len(again.Bundles) != 0 || len(again.LeftOut) != 1 ||
		again.LeftOut[0].Reason != "duplicate" || again.LeftOut[0].Refused || again.IDs[0] != c.IDs[0] {
		t.Errorf("again: %+v", again)
	}
	for _, now := range []time.Time{composeNow.Add(time.Hour), composeNow.Add(-time.Hour)} {
		next := composeText(t, "toknowall.com", held, func(o *ComposeOptions) { o.Handling.Action, o.Now = stix.ActionBlock, now })
		if next.New != 1 || next.IDs[0] != c.IDs[0] {
			t.Fatalf("next version: %+v", next)
		}
		f := factsIn(t, next.Bundles[0], c.IDs[0])
		if !f.Created.Equal(composeNow) || !f.Modified.After(composeNow) || f.Action != stix.ActionBlock {
			t.Errorf("next version at %s: created %s, modified %s, %s", now, f.Created, f.Modified, f.Action)
		}
		types(t, next.Bundles[0])
	}
}

func factsIn(t testing.TB, bundle []byte, id string) (out stix.Facts) {
	t.Helper()
	if err := stix.Scan(bundle, func(_ int, raw []byte, f *stix.Facts) error {
		if f.ID == id {
			out = *f
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestComposeFamily(t *testing.T) {
	held := shelf{}
	with := func(action stix.Action) func(*ComposeOptions) {
		return func(o *ComposeOptions) {
			o.Handling.Malware, o.Handling.Action = "VPNFilter", action
			o.Handling.FirstSeen, o.Handling.LastSeen = composeNow.Add(-48*time.Hour), composeNow.Add(-time.Hour)
		}
	}
	c := composeText(t, "toknowall.com\n", held, with(stix.ActionBlock))
	got := types(t, c.Bundles[0])
	if got["malware"] != 1 || got["relationship"] != 1 || got["indicator"] != 1 || c.New != 3 || c.NoContext != 0 {
		t.Fatalf("%v %+v", got, c)
	}
	held.take(t, c)
	c = composeText(t, "toknowall.com\nphotobucket.com\n", held, with(stix.ActionDetect))
	got = types(t, c.Bundles[0])
	if got["malware"] != 0 || got["relationship"] != 1 || got["indicator"] != 2 || c.New != 3 {
		t.Errorf("second: %v %+v", got, c)
	}
}

const odd = `{"x_odd":[1.50,"\u00e9"], "type":"indicator","spec_version":"2.1","id":"indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f",` +
	`"created":"2016-04-06T20:03:48.000Z","modified":"2016-04-06T20:03:48.000Z","pattern":"[domain-name:value = 'odd.kwaad.nl']","pattern_type":"stix","valid_from":"2016-01-01T00:00:00Z"%s}`

func stixInput(objects ...string) string {
	return `{"type":"bundle","id":"bundle--5d0092c5-5f74-4287-9642-33f4c354e56d","objects":[` + strings.Join(objects, ",") + `]}`
}

func TestComposeSTIX(t *testing.T) {
	held := shelf{}
	object := fmt.Sprintf(odd, "")
	amber := fmt.Sprintf(strings.ReplaceAll(odd, "8e2e", "8e2f"), `,"object_marking_refs":["`+stix.TLPAmber.MarkingID()+`"]`)
	c := composeText(t, stixInput(object, amber), held, nil)
	if !bytes.Contains(c.Bundles[0], []byte(object)) || !bytes.Contains(c.Bundles[0], []byte(amber)) {
		t.Error("an object has changed")
	}
	if c.TLP != stix.TLPAmber || c.RaisedBy != 1 || !strings.Contains(c.Raised, "8e2f") || c.New != 2 {
		t.Errorf("raised: %+v", c)
	}
	if got := types(t, c.Bundles[0]); got["marking-definition"] != 1 || got["indicator"] != 2 {
		t.Errorf("%v", got)
	}
	held.take(t, c)
	again := composeText(t, stixInput(object), held, nil)
	if again.New != 0 || again.LeftOut[0].Reason != "duplicate" || again.LeftOut[0].Refused {
		t.Errorf("again: %+v", again)
	}
	changed := strings.Replace(object, "1.50", "1.51", 1)
	if c := composeText(t, stixInput(changed), held, nil); c.New != 0 || !c.LeftOut[0].Refused {
		t.Errorf("changed without a new time: %+v", c)
	}
	newer := strings.Replace(changed, `"modified":"2016`, `"modified":"2017`, 1)
	if c := composeText(t, stixInput(newer), held, nil); c.New != 1 {
		t.Errorf("newer: %+v", c)
	}
}

func TestComposeParts(t *testing.T) {
	var text strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&text, "h%d.kwaad.nl\n", i)
	}
	c := composeText(t, text.String(), shelf{}, nil)
	if len(c.Bundles) < 5 || c.New != 3000 {
		t.Fatalf("%d bundles, %d new", len(c.Bundles), c.New)
	}
	groupings, objects := map[string]bool{}, 0
	for i, b := range c.Bundles {
		if len(b) > 256<<10 || i < len(c.Bundles)-1 && len(b) < 64<<10 {
			t.Errorf("bundle %d has %d bytes", i, len(b))
		}
		got := types(t, b)
		objects += got["indicator"]
		if got["grouping"] != 1 {
			t.Errorf("bundle %d: %v", i, got)
		}
		id := stix.GroupingID(composeAuthor.ID, composeShare, i)
		if f := factsIn(t, b, id); f.Share != composeShare || groupings[id] {
			t.Errorf("bundle %d: grouping %+v", i, f)
		}
		groupings[id] = true
	}
	if objects != 3000 || !groupings[composeShare] {
		t.Errorf("%d indicators; groupings %v", objects, groupings)
	}
}

// TestComposeValidates asks OASIS's stix2-validator, where it is installed.
func TestComposeValidates(t *testing.T) {
	validator := os.Getenv("TIPMESH_STIX2_VALIDATOR")
	if validator == "" {
		validator = "stix2_validator"
	}
	path, err := exec.LookPath(validator)
	if err != nil {
		if os.Getenv("TIPMESH_REQUIRE") == "1" {
			t.Fatal("stix2_validator is not here")
		}
		t.Skip("stix2_validator is not here")
	}
	c := composeText(t, "toknowall.com\n91.121.109.209\nhttp://photobucket.com/x\n"+strings.Repeat("ab", 32)+"\n10.1.0.0/16\n2001:db9::/32\n", shelf{}, func(o *ComposeOptions) {
		o.Title = "VPNFilter"
		o.Handling.Malware, o.Handling.Confidence = "VPNFilter", 90
		o.Handling.FirstSeen, o.Handling.LastSeen = composeNow.Add(-48*time.Hour), composeNow.Add(-time.Hour)
		o.Handling.ValidUntil = composeNow.Add(24 * time.Hour)
	})
	file := filepath.Join(t.TempDir(), "bundle.json")
	if err := os.WriteFile(file, c.Bundles[0], 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(path, "--version=2.1", file).CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("STIX JSON: Valid")) && !bytes.Contains(out, []byte("Valid")) {
		t.Errorf("%v\n%s", err, out)
	}
	var plain any
	if err := json.Unmarshal(c.Bundles[0], &plain); err != nil {
		t.Error(err)
	}
}

func BenchmarkCompose(b *testing.B) {
	var text strings.Builder
	const n = 100_000
	for i := range n {
		fmt.Fprintf(&text, "h%d.kwaad.nl\n", i)
	}
	batch, err := Read("input", strings.NewReader(text.String()))
	if err != nil {
		b.Fatal(err)
	}
	o := ComposeOptions{Author: composeAuthor, ShareID: composeShare, Now: composeNow, Held: shelf{}.find,
		Handling: stix.Handling{TLP: stix.TLPGreen, Action: stix.ActionDetect}}
	for b.Loop() {
		if _, err := Compose(batch, o); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "values/s")
}

package observable

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// dataDir finds the folder of real data beside the repository, and skips the test where there is none.
func dataDir(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("TIPMESH_DATA"); dir != "" {
		return dir
	}
	dir, _ := os.Getwd()
	for range 8 {
		if c := filepath.Join(dir, "shared", "data"); fileExists(filepath.Join(c, "EXPECTED.json")) {
			return c
		}
		dir = filepath.Dir(dir)
	}
	if os.Getenv("TIPMESH_REQUIRE") == "1" {
		t.Fatal("the folder of real data is required and not here")
	}
	t.Skip("no folder of real data: set TIPMESH_DATA")
	return ""
}

func fileExists(p string) bool {
	_, err := os.Stat(p)
	return err == nil
}

type expectation struct {
	Format string `json:"format"`
	Facts  struct {
		Hashes   map[string]int `json:"distinct_hashes"`
		Defanged map[string]int `json:"distinct_from_defanged_tokens"`
	} `json:"facts"`
}

func readExpected(t testing.TB, dir string) map[string]expectation {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "EXPECTED.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	out := map[string]expectation{}
	for name, raw := range all {
		var e expectation
		if json.Unmarshal(raw, &e) == nil && e.Format == "text" {
			out[name] = e
		}
	}
	return out
}

// TestExtractFacts holds the extractor against what scripts counted in real reports.
func TestExtractFacts(t *testing.T) {
	dir := dataDir(t)
	kinds := map[string][]Type{"domains": {Domain}, "ipv4": {IPv4, IPv4Net}, "urls": {URL}, "emails": {Email}}
	for name, want := range readExpected(t, dir) {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if os.IsNotExist(err) && strings.HasSuffix(name, ".yar") {
			continue // rule files are counted, but not in the folder
		}
		if err != nil {
			t.Error(err)
			continue
		}
		got := map[Type]map[string]bool{}
		for _, f := range Extract(string(data)) {
			if f.LeftOut == "malformed" {
				continue
			}
			for _, v := range asCounted(f) {
				if got[v.Type] == nil {
					got[v.Type] = map[string]bool{}
				}
				got[v.Type][v.Text] = true
			}
		}
		for kind, n := range want.Facts.Hashes {
			if len(got[Type(kind)]) != n {
				t.Errorf("%s: %d %s, want %d", name, len(got[Type(kind)]), kind, n)
			}
		}
		for kind, n := range want.Facts.Defanged {
			have := 0
			for _, k := range kinds[kind] {
				have += len(got[k])
			}
			if have < n {
				t.Errorf("%s: %d %s, want at least %d", name, have, kind, n)
			}
		}
	}
}

// asCounted gives what the scripts behind EXPECTED.json count for one value: they count hashes inside URLs too,
// and names, and count the host of a URL whose host alone is defanged, where Extract says the URL and widens nothing.
func asCounted(f Found) []Value {
	out := []Value{f.Value}
	if f.Value.Type != URL && f.Value.Type != Domain {
		return out
	}
	if h, err := Parse(f.Value.Host()); err == nil && f.Raw != Refang(f.Raw) {
		out = append(out, h)
	}
	for _, run := range strings.FieldsFunc(f.Value.Text, func(r rune) bool { return r >= 0x80 || !isAlnum(byte(r)) }) {
		if t := hashType(run); t != "" {
			out = append(out, Value{t, strings.ToLower(run)})
		}
	}
	return out
}

// TestExtractFloor holds the extractor against the full lists of expected values.
func TestExtractFloor(t *testing.T) {
	dir := dataDir(t)
	lists, _ := filepath.Glob(filepath.Join(dir, "expected_lists", "*.tsv"))
	expected := readExpected(t, dir)
	for _, list := range lists {
		name, want := readFloor(t, list)
		if _, ok := expected[name]; !ok {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
			continue
		}
		got := map[Value]string{}
		for _, f := range Extract(string(data)) {
			for _, v := range asCounted(f) {
				if old, ok := got[v]; !ok || old != "" {
					got[v] = strings.TrimSpace(f.LeftOut + " " + f.Why)
				}
			}
		}
		for _, v := range want {
			// The list holds the links of the text too, with the full stop behind them.
			v.Text = strings.TrimRight(v.Text, ".")
			why, ok := got[v]
			if v.Type == URL && strings.HasPrefix(why, "warninglist") {
				continue
			}
			if !ok || why != "" {
				t.Errorf("%s: %v: found %v, %s", name, v, ok, why)
			}
		}
	}
}

func readFloor(t testing.TB, list string) (name string, want []Value) {
	t.Helper()
	f, err := os.Open(list)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if rest, ok := strings.CutPrefix(sc.Text(), "# expected distinct indicators of "); ok {
			name = rest
		} else if typ, text, ok := strings.Cut(sc.Text(), "\t"); ok {
			want = append(want, Value{Type(typ), text})
		}
	}
	return name, want
}

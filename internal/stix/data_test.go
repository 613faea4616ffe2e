package stix

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// dataFile is where the developers' data stands: TIPMESH_DATA, or shared/data
// beside the root of the repository. Without it the test is skipped, or fails
// where TIPMESH_REQUIRE=1.
func dataFile(t *testing.T, name string) string {
	t.Helper()
	for _, dir := range dataDirs() {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	missing(t, "test data "+name+" is not here (TIPMESH_DATA)")
	return ""
}

func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("TIPMESH_REQUIRE") == "1" {
		t.Fatal(what)
	}
	t.Skip(what)
}

func dataDirs() []string {
	if dir := os.Getenv("TIPMESH_DATA"); dir != "" {
		return []string{dir}
	}
	var dirs []string
	dir, err := os.Getwd()
	for err == nil && dir != filepath.Dir(dir) {
		dirs = append(dirs, filepath.Join(dir, "shared", "data"))
		dir = filepath.Dir(dir)
	}
	return dirs
}

func dataBytes(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(dataFile(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// expectation is what EXPECTED.json says of a STIX file, computed by others
// with other means.
type expectation struct {
	Format string
	Facts  struct {
		Objects     *int
		DistinctIDs int            `json:"distinct_ids"`
		ByType      map[string]int `json:"by_type"`
		Comparisons map[string]int `json:"comparisons_by_path"`
		Distinct    map[string]int `json:"distinct_values_by_path"`
	}
}

func expectations(t *testing.T) map[string]expectation {
	t.Helper()
	all := make(map[string]expectation)
	if err := json.Unmarshal(dataBytes(t, "EXPECTED.json"), &all); err != nil {
		t.Fatal(err)
	}
	for name := range all {
		if !strings.HasPrefix(name, "stix20/") && !strings.HasPrefix(name, "stix21/") {
			delete(all, name)
		}
	}
	if len(all) < 90 {
		t.Fatalf("only %d STIX files in EXPECTED.json", len(all))
	}
	return all
}

// census counts what a file holds, through ParseBundle and ParsePattern.
type census struct {
	byType, comparisons, distinct map[string]int
	ids                           map[string]bool
}

func take(t *testing.T, objs []Object) census {
	t.Helper()
	c := census{make(map[string]int), make(map[string]int), make(map[string]int), make(map[string]bool)}
	seen := make(map[string]bool)
	for _, o := range objs {
		c.byType[o.Type]++
		c.ids[o.ID] = true
		var has struct{ Pattern string }
		if err := json.Unmarshal(o.Raw, &has); err != nil {
			t.Fatal(err)
		}
		if has.Pattern == "" {
			continue
		}
		p, err := ParsePattern(has.Pattern)
		if err != nil {
			t.Errorf("%s: %v", o.ID, err)
			continue
		}
		for _, cmp := range p.Comparisons() {
			for _, v := range cmp.Values {
				c.comparisons[cmp.Path]++
				if key := cmp.Path + "\x00" + v; !seen[key] {
					seen[key] = true
					c.distinct[cmp.Path]++
				}
			}
		}
	}
	return c
}

// sameIDTwice are the files that give two indicators one id, and what the
// second compares.
var sameIDTwice = map[string]string{
	"2024-04-12-MidnightEclipse.json":     "ipv4-addr:value",
	"2024-05-09-GootLoader-activity.json": "url:value",
}

func TestRealFiles(t *testing.T) {
	for name, want := range expectations(t) {
		t.Run(name, func(t *testing.T) {
			data := dataBytes(t, name)
			objs, problems, err := ParseBundle(data)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range problems {
				if p.Code != CodeRepeated {
					t.Log(p)
				}
			}
			if want.Facts.Objects == nil {
				if len(objs) == 0 {
					t.Errorf("no object: %v", problems)
				}
				return
			}
			if got := len(objs) + len(refused(problems)); got != *want.Facts.Objects {
				t.Errorf("%d objects and %d refused, want %d", len(objs), len(refused(problems)), *want.Facts.Objects)
			}
			got := take(t, objs)
			if path := sameIDTwice[filepath.Base(name)]; path != "" {
				// The second object of that id is refused, with its one value.
				got.comparisons[path]++
				got.distinct[path]++
			}
			same(t, "comparisons", got.comparisons, want.Facts.Comparisons)
			same(t, "distinct values", got.distinct, want.Facts.Distinct)
		})
	}
}

// refused names the objects that problems are about.
func refused(problems []Problem) map[string]bool {
	all := make(map[string]bool)
	for _, p := range problems {
		at := p.Path
		if i := strings.IndexByte(at, ']'); i > 0 {
			at = at[:i]
		}
		all[at] = true
	}
	return all
}

func same(t *testing.T, what string, got, want map[string]int) {
	t.Helper()
	for k, n := range want {
		if got[k] != n {
			t.Errorf("%s of %s: %d, want %d", what, k, got[k], n)
		}
	}
	for k, n := range got {
		if _, ok := want[k]; !ok {
			t.Errorf("%s of %s: %d, want none", what, k, n)
		}
	}
}

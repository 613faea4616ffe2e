package api

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tipmesh/tipmesh/protocol"
)

// dataDir finds the folder of published intelligence, and skips the test where
// there is none.
func dataDir(t *testing.T) string {
	t.Helper()
	dirs := []string{os.Getenv("TIPMESH_DATA")}
	dir, err := os.Getwd()
	for err == nil && dirs[0] == "" && dir != filepath.Dir(dir) {
		dirs = append(dirs, filepath.Join(dir, "shared", "data"))
		dir = filepath.Dir(dir)
	}
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, "EXPECTED.json")); dir != "" && err == nil {
			return dir
		}
	}
	if os.Getenv("TIPMESH_REQUIRE") == "1" {
		t.Fatal("the folder of published intelligence is required and not here")
	}
	t.Skip("the folder of published intelligence is absent (TIPMESH_DATA)")
	return ""
}

// shareFile shares a file of the data.
func (r *running) shareFile(dir, name string) {
	r.t.Helper()
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	_, err = r.Share(r.t.Context(), ShareRequest{Body: f, Name: filepath.Base(name), To: "everyone", Action: "detect", Wait: "none", Timeout: time.Minute})
	if err != nil {
		r.t.Fatalf("%s: %v", name, err)
	}
}

// sayersOf gives the members that say something of each value.
func (r *running) sayersOf(values []string) map[string]string {
	r.t.Helper()
	out := map[string]string{}
	_, err := r.Lookup(r.t.Context(), LookupRequest{Values: values}, func(f *Finding) error {
		who := map[string]bool{}
		for _, a := range f.Assertions {
			who[a.Member.Name] = true
		}
		switch {
		case who["alder"] && who["birch"]:
			out[values[len(out)]] = "both"
		case who["alder"]:
			out[values[len(out)]] = "alder"
		case who["birch"]:
			out[values[len(out)]] = "birch"
		default:
			out[values[len(out)]] = "nobody"
		}
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

// Of published lists, trails, bundles and reports that one member shares, the
// other finds every value that is known to be in them.
func TestDataExpected(t *testing.T) {
	dir := dataDir(t)
	alder := found(t, protocol.Rules{})
	birch := alder.invited("birch")
	lists, err := filepath.Glob(filepath.Join(dir, "expected_lists", "*.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	values := map[string][]string{} // by file
	for _, list := range lists {
		f, err := os.Open(list)
		if err != nil {
			t.Fatal(err)
		}
		sc := bufio.NewScanner(f)
		sc.Scan()
		_, name, _ := strings.Cut(sc.Text(), "indicators of ")
		kind, _, _ := strings.Cut(name, "/")
		for sc.Scan() && !slices.Contains([]string{"csv", "misp", "openioc"}, kind) { // these are not read yet
			typ, value, _ := strings.Cut(sc.Text(), "\t")
			if typ != "ipv4-port" {
				values[name] = append(values[name], value)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if values[name] == nil {
			continue
		}
		alder.shareFile(dir, name)
	}
	alder.inStep()
	birch.inStep()
	checked := 0
	for name, list := range values {
		// The facts were computed by another program: what it took in error, a scheme
		// that indicators of ours do not take, and where a report itself was published.
		list = slices.DeleteFunc(list, func(v string) bool {
			return strings.Contains(v, " ") || strings.HasPrefix(v, "file://") || strings.Contains(v, "welivesecurity.com/") || strings.Contains(v, "github.com/")
		})
		checked += len(list)
		for value, who := range birch.sayersOf(list) {
			if who == "nobody" && strings.HasPrefix(name, "reports/") {
				// A host of which the report gives URLs alone is near these.
				if f := birch.find(value); slices.ContainsFunc(f.Near, func(n Near) bool { return n.Relation == "within" && n.Type == "url" }) {
					continue
				}
			}
			if who != "alder" {
				t.Errorf("%s: %s is known by %s", name, value, who)
			}
		}
	}
	t.Logf("%d values of %d files", checked, len(values))
}

// Values that two repositories publish are said by the two members that share
// these, and others by one.
func TestDataOverlap(t *testing.T) {
	dir := dataDir(t)
	raw, err := os.ReadFile(filepath.Join(dir, "OVERLAP.json"))
	if err != nil {
		t.Fatal(err)
	}
	var overlap struct {
		Examples []struct {
			Value string
			Files []string
		}
	}
	if err := json.Unmarshal(raw, &overlap); err != nil {
		t.Fatal(err)
	}
	alder := found(t, protocol.Rules{})
	birch := alder.invited("birch")
	shared, want, values := map[string]bool{}, map[string]string{}, []string{}
	for _, e := range overlap.Examples {
		values = append(values, e.Value)
		want[e.Value] = "both"
		for _, name := range e.Files {
			if shared[name] {
				continue
			}
			shared[name] = true
			by := alder
			if strings.Contains(name, "stamparm+maltrail") {
				by = birch
			}
			by.shareFile(dir, name)
		}
	}
	birch.inStep()
	alder.inStep()
	for _, n := range []*running{alder, birch} {
		if diff := cmp.Diff(want, n.sayersOf(values)); diff != "" {
			t.Errorf("at %s (-want +got):\n%s", n.dir, diff)
		}
	}
}

package warninglist

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tipmesh/tipmesh/internal/observable"
)

// dataDir is where the developers' data stands: TIPMESH_DATA, or shared/data
// beside the root of the repository. Without it the test is skipped, or fails
// where TIPMESH_REQUIRE=1.
func dataDir(tb testing.TB) string {
	tb.Helper()
	dirs := []string{os.Getenv("TIPMESH_DATA")}
	if dirs[0] == "" {
		dirs = nil
		dir, err := os.Getwd()
		for err == nil && dir != filepath.Dir(dir) {
			dirs = append(dirs, filepath.Join(dir, "shared", "data"))
			dir = filepath.Dir(dir)
		}
	}
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, "warninglists")); err == nil {
			return dir
		}
	}
	if os.Getenv("TIPMESH_REQUIRE") == "1" {
		tb.Fatal("the data is not here (TIPMESH_DATA)")
	}
	tb.Skip("the data is not here (TIPMESH_DATA)")
	return ""
}

// MISP's own lists load whole, and hold what they say.
func TestRealLists(t *testing.T) {
	s, faults, err := Load(os.DirFS(filepath.Join(dataDir(t), "warninglists")))
	if err != nil {
		t.Fatal(err)
	}
	if len(faults) > 0 {
		t.Errorf("faults: %v", faults)
	}
	if s.Len() != 35 {
		t.Errorf("%d lists, want 35", s.Len())
	}
	entries := 0
	for _, l := range s.Lists() {
		entries += l.Entries
		if (l.Meaning == Sinkhole) != strings.Contains(l.File, "sinkholes") {
			t.Errorf("%s: meaning %d", l.File, l.Meaning)
		}
	}
	if entries != 24_041 {
		t.Errorf("%d entries, want 24041", entries)
	}
	for value, want := range map[string]string{
		"10.1.2.3":           "List of RFC 1918 CIDR blocks",
		"104.16.0.1":         "List of known Cloudflare IP ranges",
		"104.155.11.149":     "List of known sinkholes",
		"co.uk":              "Second level TLDs as known by Mozilla Foundation",
		"abuse@isp.net":      "Common contact e-mail addresses",
		"http://bit.ly/abc":  "List of known URL Shorteners domains (host)",
		"toknowall.com":      "",
		"http://google.com/": "Top 1000 website from Alexa",
	} {
		got := strings.Join(names(t, s, value), "; ")
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", value, got, want)
		}
	}
}

func names(t *testing.T, s *Set, text string) []string {
	t.Helper()
	v, err := observable.Parse(text)
	if err != nil {
		t.Fatal(text, err)
	}
	var out []string
	for _, h := range s.Lookup(v) {
		name := h.List.Name
		if h.HostOnly {
			name += " (host)"
		}
		out = append(out, name)
	}
	return out
}

// The facts were computed by others with other means.
func TestHuntVetoes(t *testing.T) {
	dir := dataDir(t)
	data, err := os.ReadFile(filepath.Join(dir, "HUNT.json"))
	if err != nil {
		t.Fatal(err)
	}
	var facts map[string]struct {
		Hit []struct {
			Type, Value string
			Warninglist *string
		}
	}
	if err := json.Unmarshal(data, &facts); err != nil {
		t.Fatal(err)
	}
	s, _, err := Load(os.DirFS(filepath.Join(dir, "warninglists")))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range facts {
		for _, h := range f.Hit {
			n++
			got := names(t, s, h.Value)
			switch {
			case h.Warninglist == nil && len(got) > 0:
				t.Errorf("%s: %v, want none", h.Value, got)
			case h.Warninglist != nil && !strings.Contains(strings.Join(got, "\n"), *h.Warninglist):
				t.Errorf("%s: %v, want %s", h.Value, got, *h.Warninglist)
			}
		}
	}
	if n != 27 {
		t.Errorf("%d hits, want 27", n)
	}
}

// The same lists from the folder itself and from one above it.
func TestWhicheverFolder(t *testing.T) {
	dir := filepath.Join(dataDir(t), "warninglists", "MISP+misp-warninglists")
	count := map[string]int{}
	for _, d := range []string{dir, filepath.Join(dir, "lists")} {
		s, _, err := Load(os.DirFS(d))
		if err != nil {
			t.Fatal(err)
		}
		count[filepath.Base(d)] = s.Len()
	}
	if diff := cmp.Diff(map[string]int{"MISP+misp-warninglists": 35, "lists": 35}, count); diff != "" {
		t.Error(diff)
	}
}

func BenchmarkLookup(b *testing.B) {
	s, _, err := Load(os.DirFS(filepath.Join(dataDir(b), "warninglists")))
	if err != nil {
		b.Fatal(err)
	}
	for _, text := range []string{"198.51.100.77", "104.16.1.1", "a.b.toknowall.com", "www.google.com", "http://evil.example.com/a/long/path?with=query",
		"bob@evil.example.com", "37e29b0ea7a9b97597385a12f525e13c37e29b0ea7a9b97597385a12f525e13c"} {
		v, err := observable.Parse(text)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("%s=%.20s", v.Type, strings.ReplaceAll(text, "/", "|")), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.Lookup(v)
			}
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	fsys := os.DirFS(filepath.Join(dataDir(b), "warninglists"))
	for b.Loop() {
		if _, _, err := Load(fsys); err != nil {
			b.Fatal(err)
		}
	}
}

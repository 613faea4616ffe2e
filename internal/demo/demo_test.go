package demo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestRun tells the story without pauses and looks at every fact of it.
func TestRun(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	goroutines := runtime.NumGoroutine()
	var out bytes.Buffer
	sum, err := Run(ctx, Options{Out: &out, JSON: true})
	if err != nil {
		t.Fatalf("Run: %v\n%s", err, out.String())
	}
	var last Summary
	told := map[string][]line{}
	for sc := bufio.NewScanner(&out); sc.Scan(); {
		var l line
		if err := json.Unmarshal(sc.Bytes(), &l); err != nil {
			t.Fatalf("not JSON: %s", sc.Text())
		}
		switch l.Kind {
		case "demo":
			if !l.OK {
				t.Errorf("not so: %+v", l)
			}
			told[l.What] = append(told[l.What], l)
		case "summary":
			if err := json.Unmarshal(sc.Bytes(), &last); err != nil {
				t.Fatal(err)
			}
		default:
			t.Errorf("kind %q", l.Kind)
		}
	}
	for _, want := range []struct {
		what  string
		field string
		value any
	}{
		{"founded", "", nil}, {"joined", "", nil}, {"governors", "", nil}, {"asked", "", nil}, {"admitted", "", nil}, {"rated", "ratings", 20.0}, {"routine", "", nil},
		{"same_bytes", "values", 2000.0}, {"same_bytes", "know", 5.0}, {"same_bytes", "same", true},
		{"shared", "held_by", 4.0}, {"looked_up", "values", 41.0}, {"looked_up", "know", 4.0}, {"away", "", nil}, {"caught_up", "same", true},
		{"removed", "", nil}, {"links_closed", "closed", 4.0}, {"after_removal", "opened", 3.0}, {"after_removal", "elm_knows", 0.0},
		{"after_removal", "elm_entries", 0.0}, {"late_write", "refused_by", 4.0}, {"stranger", "given", "nothing"},
	} {
		if len(told[want.what]) == 0 {
			t.Errorf("%s is not told", want.what)
			continue
		}
		for _, l := range told[want.what] {
			if f, _ := l.Facts.(map[string]any); want.field != "" && f[want.field] != want.value {
				t.Errorf("%s: %s is %v, want %v", want.what, want.field, f[want.field], want.value)
			}
		}
	}
	if n := len(told["stranger"]); n != 3 {
		t.Errorf("%d strangers, want 3", n)
	}
	if d := cmp.Diff(*sum, last); d != "" {
		t.Errorf("summary printed differs: %s", d)
	}
	if sum.Lost != 0 || sum.Forks != 0 || sum.Refused != 1 || sum.Indicators != 2045 || len(sum.Failed) != 0 || sum.Objects < sum.Indicators-1 {
		t.Errorf("summary %+v", sum)
	}
	t.Logf("%+v", sum)
	if left, err := filepath.Glob(filepath.Join(temp, "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	// Everything has ended.
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > goroutines+2; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("%d goroutines before, %d after", goroutines, runtime.NumGoroutine())
			break
		}
	}
}

// TestFacts compares the facts with the data folder's, where there is one.
func TestFacts(t *testing.T) {
	f, err := vpnfilter()
	if err != nil {
		t.Fatal(err)
	}
	if got := []int{len(f.SHA256), len(f.Domain), len(f.URL), len(f.IPv4), len(f.Onion)}; !cmp.Equal(got, []int{12, 1, 12, 13, 3}) {
		t.Errorf("counts %v", got)
	}
	raw, err := os.ReadFile(filepath.Join(dataFolder(), "vpnfilter", "talos-2018.json"))
	if err != nil {
		if os.Getenv("TIPMESH_REQUIRE") == "1" {
			t.Fatalf("the data folder is absent: %v", err)
		}
		t.Skip("the data folder is absent")
	}
	var want struct {
		Stage1SHA256   []string `json:"stage1_sha256"`
		Stage2SHA256   []string `json:"stage2_sha256"`
		Stage3SHA256   []string `json:"stage3_sha256"`
		Stage1Domains  []string `json:"stage1_domains"`
		Stage1URLs     []string `json:"stage1_urls"`
		Stage2IPv4     []string `json:"stage2_ipv4"`
		Stage2OnionURL []string `json:"stage2_onion_urls"`
	}
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	http := func(list []string) (out []string) {
		for _, s := range list {
			out = append(out, "http://"+s)
		}
		return out
	}
	all := append(append(append([]string{}, want.Stage1SHA256...), want.Stage2SHA256...), want.Stage3SHA256...)
	if d := cmp.Diff(facts{SHA256: all, Domain: want.Stage1Domains, URL: http(want.Stage1URLs), IPv4: want.Stage2IPv4, Onion: http(want.Stage2OnionURL)}, *f); d != "" {
		t.Errorf("facts differ: %s", d)
	}
}

// dataFolder finds the folder of published intelligence.
func dataFolder() string {
	if d := os.Getenv("TIPMESH_DATA"); d != "" {
		return d
	}
	dir, err := os.Getwd()
	for err == nil && dir != filepath.Dir(dir) {
		d := filepath.Join(dir, "shared", "data")
		if _, err := os.Stat(d); err == nil {
			return d
		}
		dir = filepath.Dir(dir)
	}
	return "nowhere"
}

// TestInterrupted ends the story early: everything stops and is removed.
func TestInterrupted(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	var out bytes.Buffer
	if _, err := Run(ctx, Options{Out: &out, Pace: 1}); err == nil {
		t.Fatal("the story went on to its end")
	}
	if left, err := filepath.Glob(filepath.Join(temp, "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

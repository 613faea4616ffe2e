package intake

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tipmesh/tipmesh/internal/observable"
)

// dataDir finds the folder of real data beside the repository, and skips the test where there is none.
func dataDir(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("TIPMESH_DATA"); dir != "" {
		return dir
	}
	dir, _ := os.Getwd()
	for range 8 {
		c := filepath.Join(dir, "shared", "data")
		if _, err := os.Stat(filepath.Join(c, "EXPECTED.json")); err == nil {
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

type expectation struct {
	Format   string         `json:"format"`
	Distinct map[string]int `json:"distinct_indicators"`
	Facts    struct {
		WholeLine map[string]int `json:"distinct_whole_line_or_cell"`
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
		_ = json.Unmarshal(raw, &e) // some formats have other facts; they are not asked for
		out[name] = e
	}
	return out
}

func readFile(t testing.TB, path string) *Batch {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := Read(filepath.Base(path), f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// unactionable counts what was read, but left out as special, by type.
func unactionable(b *Batch) map[string]int {
	out := map[string]int{}
	for _, l := range b.LeftOut {
		if v, err := observable.Parse(l.Value); err == nil && l.Reason == "not_actionable" {
			out[string(v.Type)]++
		}
	}
	return out
}

func TestMaltrailFacts(t *testing.T) {
	dir := dataDir(t)
	for name, want := range readExpected(t, dir) {
		if want.Format != "maltrail-trail" || len(want.Distinct) == 0 {
			continue
		}
		b := readFile(t, filepath.Join(dir, name))
		if b.Format != FormatList {
			t.Errorf("%s: read as %s", name, b.Format)
		}
		special := unactionable(b)
		for _, typ := range []string{"domain", "ipv4", "url"} {
			if got := b.Found[typ] + special[typ]; got < want.Distinct[typ] {
				t.Errorf("%s: %d %s, want at least %d", name, got, typ, want.Distinct[typ])
			}
		}
		if strings.HasSuffix(name, "elf_vpnfilter.txt") && (b.Found["domain"] != 11 || b.Found["ipv4"] != 2 || len(b.LeftOut) > 0) {
			t.Errorf("%s: %v, %v", name, b.Found, b.LeftOut)
		}
	}
}

func TestListFacts(t *testing.T) {
	dir := dataDir(t)
	for name, want := range readExpected(t, dir) {
		if !strings.HasPrefix(name, "lists/") || want.Format == "maltrail-trail" {
			continue
		}
		b := readFile(t, filepath.Join(dir, name))
		if want.Format == "hash-list" {
			n := 0
			for _, c := range want.Distinct {
				n += c
			}
			if b.Format != FormatList || n == 0 || len(b.Values) != n {
				t.Errorf("%s: %s of %d, want %d", name, b.Format, len(b.Values), n)
			}
			continue
		}
		special := unactionable(b)
		for typ, n := range want.Facts.WholeLine {
			if typ == "ipv4-port" {
				continue // one address with many ports is one value
			}
			if got := b.Found[typ] + special[typ]; got < n {
				t.Errorf("%s as %s: %d %s, want %d", name, b.Format, got, typ, n)
			}
		}
	}
}

// TestReadFloor holds Read against the full lists of expected values of lists and trails; texts are held against
// theirs beside observable.Extract.
func TestReadFloor(t *testing.T) {
	dir := dataDir(t)
	lists, _ := filepath.Glob(filepath.Join(dir, "expected_lists", "*.tsv"))
	for _, list := range lists {
		f, err := os.Open(list)
		if err != nil {
			t.Fatal(err)
		}
		sc := bufio.NewScanner(f)
		sc.Scan()
		_, name, _ := strings.Cut(sc.Text(), "indicators of ")
		if !strings.HasPrefix(name, "lists/") && !strings.HasPrefix(name, "vpnfilter/") {
			f.Close()
			continue
		}
		have := map[string]bool{}
		for _, v := range readFile(t, filepath.Join(dir, name)).Values {
			have[string(v.Value.Type)+"\t"+v.Value.Text] = true
		}
		for sc.Scan() {
			if line := sc.Text(); !have[line] && !strings.HasPrefix(line, "ipv4-port") {
				t.Errorf("%s: %q is missing", name, line)
			}
		}
		f.Close()
	}
}

func TestSTIXFacts(t *testing.T) {
	dir := dataDir(t)
	for pattern, want := range map[string]struct {
		format     string
		indicators int
	}{
		"stix21/AmnestyTech+investigations/2021-07-18_nso/*":                   {FormatSTIX21, 1549},
		"stix20/pan-unit42+iocs/stix2-reports/report_json/IcedID_Malware.json": {FormatSTIX20, 207},
	} {
		files, _ := filepath.Glob(filepath.Join(dir, pattern))
		if len(files) != 1 {
			t.Errorf("%s: %v", pattern, files)
			continue
		}
		b := readFile(t, files[0])
		if b.Format != want.format || b.Found["indicator"] != want.indicators {
			t.Errorf("%s: %s with %d indicators, %v", pattern, b.Format, b.Found["indicator"], b.LeftOut)
		}
	}
}

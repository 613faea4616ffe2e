package api

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tipmesh/tipmesh/internal/intake"
	"github.com/tipmesh/tipmesh/internal/stix"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

func TestSplitTerms(t *testing.T) {
	for text, want := range map[string][]string{
		` a  malware:"Black Basta"	b `: {"a", "malware:Black Basta", "b"},
		`"a b"`:                        {"a b"},
		`""`:                           nil,
		``:                             nil,
	} {
		if got, err := splitTerms(text); err != nil || cmp.Diff(want, got) != "" {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	if _, err := splitTerms(`a "b`); err == nil {
		t.Error("a quote without end is taken")
	}
}

// TestSearchPages: pages of any size give what one answer gives, each hit once, and
// what the bounds leave out is no hit.
func TestSearchPages(t *testing.T) {
	alder := found(t, protocol.Rules{})
	var objects []string
	for i := range 60 {
		objects = append(objects, reportJSON(i, fmt.Sprintf("Report %d of routers", i), strings.Repeat("filler ", i%7)))
	}
	alder.shareText(bundleOf(objects...), nil)
	all := alder.hits(t, SearchRequest{Query: "routers", Limit: MaxHits})
	if len(all) != 60 {
		t.Fatalf("%d found", len(all))
	}
	for _, limit := range []int{1, 7, 59, 60} {
		var got []string
		for r := (SearchRequest{Query: "routers", Limit: limit}); ; {
			n := 0
			sum, err := alder.Search(t.Context(), r, func(h *Hit) error { n++; got = append(got, h.ID); return nil })
			if err != nil || n > limit {
				t.Fatal(n, err)
			}
			if sum.Next == "" {
				break
			}
			r.After = sum.Next
		}
		if cmp.Diff(all, got) != "" {
			t.Errorf("pages of %d: %s", limit, cmp.Diff(all, got))
		}
	}
	for _, bad := range []SearchRequest{{}, {Query: strings.Repeat("a", maxQuery+1)}, {Query: "a", After: "x"}, {Query: "a", Limit: -1}, {Query: "a*"},
		{Query: "a* b*"}, {Query: "type:a type:b"}, {Query: "is:bad"}, {Query: "since:never"}, {Query: "a", Saved: "b"}, {Query: "!?"}} {
		if bad.Query == "a*" {
			var more []string
			for i := range 400 {
				more = append(more, reportJSON(1000+i, fmt.Sprintf("a%03d", i), ""))
			}
			alder.shareText(bundleOf(more...), nil)
		}
		_, err := alder.Search(t.Context(), bad, func(*Hit) error { return nil })
		var e *Error
		if !errors.As(err, &e) || e.Code != CodeInvalid {
			t.Errorf("%.40q: %v", bad.Query, err)
		}
	}
}

func (r *running) hits(t testing.TB, q SearchRequest) (ids []string) {
	t.Helper()
	if _, err := r.Search(t.Context(), q, func(h *Hit) error { ids = append(ids, h.ID); return nil }); err != nil {
		t.Fatal(err)
	}
	return ids
}

func reportJSON(i int, name, text string) string {
	return fmt.Sprintf(`{"type":"report","spec_version":"2.1","id":"report--%08x-377b-45e0-aa1c-6a4751cae5ff","created":"2026-01-01T00:00:00.000Z",`+
		`"modified":"2026-01-01T00:00:00.000Z","published":"2026-01-01T00:00:00Z","name":%q,"description":%q,"object_refs":["malware--22222222-377b-45e0-aa1c-6a4751cae5ff"]}`, i, name, text)
}

func bundleOf(objects ...string) string {
	return `{"type":"bundle","id":"bundle--00000000-377b-45e0-aa1c-6a4751cae5ff","objects":[` + strings.Join(objects, ",") + `]}`
}

// BenchmarkSearch asks for words among 20,000 reports of some 200 words each, whose
// words are as unevenly common as in a language, beside exact look-ups of the same
// store. -v tells the times of each question.
func BenchmarkSearch(b *testing.B) {
	const reports = 20_000
	alder := found(b, protocol.Rules{})
	r := rand.New(rand.NewPCG(5, 20_000))
	common := rand.NewZipf(r, 1.1, 4, 30_000)
	word := func() string { return fmt.Sprintf("w%x", common.Uint64()) }
	for at := 0; at < reports; at += 1000 {
		var objects []string
		for i := at; i < at+1000; i++ {
			var text strings.Builder
			for range 200 {
				text.WriteString(word() + " ")
			}
			fmt.Fprintf(&text, "from 91.%d.%d.9", 100+i>>8, i&255)
			objects = append(objects, reportJSON(i, "Report on "+word()+" "+word(), text.String()))
		}
		alder.shareText(bundleOf(objects...)+"\n", func(q *ShareRequest) { q.Timeout = time.Minute })
	}
	alder.shareText("evil.kwaad.nl\n", nil)
	measureSearch(b, alder, func() string {
		switch r.IntN(4) {
		case 0:
			return word()
		case 1:
			return word() + " " + word()
		case 2:
			return word() + " " + word() + " type:report since:7d"
		}
		return fmt.Sprintf("91.%d.%d.9", 100+r.IntN(78), r.IntN(256))
	})
}

// BenchmarkSearchFamily asks for a family of 20,000 indicators: the most that one
// filter by name reads.
func BenchmarkSearchFamily(b *testing.B) {
	alder := found(b, protocol.Rules{})
	var text strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&text, "h%d.kwaad.nl\n", i)
	}
	alder.shareText(text.String()+"evil.kwaad.nl\n", func(q *ShareRequest) { q.Malware, q.Timeout = "VPNFilter", time.Minute })
	measureSearch(b, alder, func() string { return "malware:VPNFilter" })
}

// measureSearch reports the median and the 99th part in a hundred of a search, over
// the socket, and of one exact look-up.
func measureSearch(b *testing.B, alder *running, query func() string) {
	var took, exact []time.Duration
	slowest, worst := "", time.Duration(0)
	for b.Loop() {
		q := query()
		began := time.Now()
		if _, err := alder.Search(b.Context(), SearchRequest{Query: q}, func(*Hit) error { return nil }); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
		if d := took[len(took)-1]; d > worst {
			slowest, worst = q, d
		}
		began = time.Now()
		if _, err := alder.home.Node.Lookup([]store.Value{{Type: "domain", Text: "evil.kwaad.nl"}}); err != nil {
			b.Fatal(err)
		}
		exact = append(exact, time.Since(began))
	}
	slices.Sort(took)
	slices.Sort(exact)
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	b.ReportMetric(ms(took[len(took)/2]), "p50-ms")
	b.ReportMetric(ms(took[len(took)*99/100]), "p99-ms")
	b.ReportMetric(float64(took[len(took)/2])/float64(exact[len(exact)/2]), "x-exact")
	b.Logf("%d searches, slowest %v for %q", len(took), worst, slowest)
}

// BenchmarkSearchReal asks published reports for words of their own.
func BenchmarkSearchReal(b *testing.B) {
	root := os.Getenv("TIPMESH_DATA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "data")
	}
	alder := found(b, protocol.Rules{})
	var asked []string
	var objects []string
	n := 0
	err := filepath.WalkDir(filepath.Join(root, "reports"), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		text := strings.ToValidUTF8(string(raw[:min(len(raw), 128<<10)]), " ")
		objects = append(objects, reportJSON(n, filepath.Base(name), text))
		fields := strings.Fields(text)
		for i := 0; i < len(fields); i += 1 + len(fields)/40 {
			if len(fields[i]) > 3 && !strings.ContainsAny(fields[i], `":*`) {
				asked = append(asked, fields[i])
			}
		}
		n++
		return nil
	})
	if err != nil {
		b.Skipf("the published reports are not here: %v", err)
	}
	doc := bundleOf(objects...)
	if _, _, err := stix.ParseBundle([]byte(doc)); err != nil {
		b.Fatal(err)
	}
	if len(doc) > intake.MaxInput {
		b.Fatal("too large for one share")
	}
	alder.shareText(doc, func(q *ShareRequest) { q.Timeout = time.Minute })
	asked = slices.DeleteFunc(asked, func(w string) bool {
		_, err := alder.Search(b.Context(), SearchRequest{Query: w}, func(*Hit) error { return nil })
		return err != nil
	})
	for _, w := range asked {
		if len(alder.hits(b, SearchRequest{Query: w})) == 0 {
			b.Errorf("%q is in a report and is not found", w)
		}
	}
	i := 0
	measureSearch(b, alder, func() string { i++; return asked[i%len(asked)] })
}

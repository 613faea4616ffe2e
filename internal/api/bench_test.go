package api

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
)

// TestShareMany shares a long list, and again with another action, so that each
// value is compared with what is held. Run with -v for the times.
func TestShareMany(t *testing.T) {
	if testing.Short() {
		t.Skip("a long list")
	}
	const n = 20_000
	alder := found(t, protocol.Rules{})
	birch := alder.invited("birch")
	alder.inStep()
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "h%d.kwaad.nl\n", i)
	}
	for _, c := range []struct {
		what, action string
		fresh        int
	}{{"first", "detect", n}, {"again", "detect", 0}, {"next version", "block", n}} {
		began := time.Now()
		sh := alder.shareText(text.String(), func(q *ShareRequest) { q.Action, q.Timeout = c.action, time.Minute })
		held := time.Since(began)
		if _, err := birch.Status(t.Context(), "in-step", time.Minute); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d values on disk in %.2f s, held by birch after %.2f s, queryable there after %.2f s",
			c.what, n, sh.DiskS, held.Seconds(), time.Since(began).Seconds())
		if sh.New != c.fresh || sh.HeldBy.Have != 1 || len(sh.IDs) != n || len(sh.LeftOut) != n-c.fresh {
			t.Errorf("%s: new %d, held by %+v, left out %d", c.what, sh.New, sh.HeldBy, len(sh.LeftOut))
		}
	}
	if f := birch.find(fmt.Sprintf("h%d.kwaad.nl", n-1)); f.Verdict != VerdictSuspicious || f.Assertions[0].Action != "block" {
		t.Errorf("the last one: %+v", f)
	}
	x, err := birch.Show(t.Context(), birch.find("h0.kwaad.nl").Assertions[0].Share)
	if err != nil || x.Share.Total != n || len(x.Share.Objects) != mostListed || x.Share.Found["indicator"] != n {
		t.Errorf("show: %v", err)
	}
}

// BenchmarkLookupMany looks many values up over the socket, half of which are
// known, and again where it must be asked of each what others say of it.
func BenchmarkLookupMany(b *testing.B) {
	const n = 20_000
	alder := found(b, protocol.Rules{})
	var text strings.Builder
	values := make([]string, 0, n)
	for i := range n {
		if i%2 == 0 {
			fmt.Fprintf(&text, "h%d.kwaad.nl\n", i)
		}
		values = append(values, fmt.Sprintf("h%d.kwaad.nl", i))
	}
	alder.shareText(text.String(), func(q *ShareRequest) { q.Action, q.Timeout = "detect", time.Minute })
	lookUp := func(b *testing.B) {
		for b.Loop() {
			sum, err := alder.Lookup(b.Context(), LookupRequest{Values: values}, func(*Finding) error { return nil })
			if err != nil || sum.Values != n {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "values/s")
	}
	b.Run("alone", lookUp)
	alder.shareObjects(0, opinionJSON(1, alder.find("h0.kwaad.nl").Assertions[0].ID, "agree", ""))
	b.Run("with opinions", lookUp)
}

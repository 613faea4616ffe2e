package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/internal/intake"
	"github.com/tipmesh/tipmesh/internal/observable"
)

// TestValues checks that the values are what they claim, never come twice, and
// are always the same.
func TestValues(t *testing.T) {
	const n = 60_000
	seen := map[string]bool{}
	for i := range n {
		v := value(i)
		got, err := observable.Parse(v.Text)
		if err != nil || string(got.Type) != v.Type || got.Text != v.Text {
			t.Fatalf("value %d, %+v, is read as %+v, %v", i, v, got, err)
		}
		if seen[v.Text] {
			t.Fatalf("value %d, %s, came before", i, v.Text)
		}
		seen[v.Text] = true
	}
	text, err := io.ReadAll(newList(0, n))
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(text), "\n"); lines != n {
		t.Errorf("%d lines for %d values", lines, n)
	}
	b, err := intake.Read("list.txt", bytes.NewReader(text))
	if err != nil || len(b.Values) != n || len(b.LeftOut) > 0 || b.Found["ipv4"] != n/3 || b.Found["domain"] != n/3 || b.Found["sha256"] != n/3 {
		t.Errorf("the list: %d values, %v, %d left out, %v", len(b.Values), b.Found, len(b.LeftOut), err)
	}
	const want = "5ae91066de4ec7e7478ee8409f0b47aa9f1ee3f6dd25277ffdcc65c320a5772a"
	if sum := sha256.Sum256(text); hex.EncodeToString(sum[:]) != want {
		t.Errorf("the list has changed: %x", sum)
	}
	if rest, err := io.ReadAll(newList(n/2, n)); err != nil || !bytes.HasSuffix(text, rest) {
		t.Errorf("the second half is not that of the whole: %v", err)
	}
}

// TestFigures checks how figures are written.
func TestFigures(t *testing.T) {
	for got, want := range map[string]string{
		brief(950 * time.Nanosecond):                   "950 ns",
		brief(3_190 * time.Nanosecond):                 "3.19 µs",
		brief(131 * time.Millisecond):                  "131 ms",
		brief(12_500 * time.Millisecond):               "12.5 s",
		size(66):                                       "66 B",
		size(1522):                                     "1.52 kB",
		size(37_900_000):                               "37.9 MB",
		rate(5_000, 405*time.Millisecond):              "12,345/s",
		grouped(10_000_000):                            "10,000,000",
		brief(quantile([]time.Duration{3, 1, 2}, 0.5)): "2 ns",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// BenchmarkStep is each kind of work on a bundle, by itself.
func BenchmarkStep(b *testing.B) {
	bundle := newBundle()
	list, err := steps(bundle)
	if err != nil {
		b.Fatal(err)
	}
	for _, s := range list {
		b.Run(s.name, func(b *testing.B) {
			b.SetBytes(int64(len(bundle)))
			for b.Loop() {
				if err := s.run(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*bundled)/b.Elapsed().Seconds(), "indicators/s")
		})
	}
}

// BenchmarkJetStream publishes and consumes 20,000 objects.
func BenchmarkJetStream(b *testing.B) {
	for _, c := range []struct {
		name   string
		always bool
		n      int
	}{{"default", false, 20_000}, {"sync always", true, 2_000}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				r, err := measureBroker(b.Context(), b.TempDir(), c.n, c.always)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(r.rate, "objects/s")
			}
		})
	}
}

// BenchmarkGossipsub is a message of 3 kB to the last of ten hosts.
func BenchmarkGossipsub(b *testing.B) {
	g, err := newChatter(b.Context(), shareNodes)
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := g.close(); err != nil {
			b.Error(err)
		}
	}()
	var times []time.Duration
	for b.Loop() {
		took, err := g.spread(b.Context(), 3000)
		if err != nil {
			b.Fatal(err)
		}
		times = append(times, took)
	}
	b.ReportMetric(float64(quantile(times, 0.5).Microseconds())/1000, "ms-p50")
	b.ReportMetric(float64(quantile(times, 0.99).Microseconds())/1000, "ms-p99")
}

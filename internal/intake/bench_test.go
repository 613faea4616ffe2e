package intake

import (
	"fmt"
	"strings"
	"testing"
)

// hundredThousand is a list of as many different values of four kinds.
func hundredThousand() string {
	var b strings.Builder
	for i := range 25_000 {
		fmt.Fprintf(&b, "host%d.evil-domain%d.com\n91.%d.%d.7:8080\nhxxp://h%d[.]ru/a/b%d.php\n%064x\n",
			i, i%999, i>>8, i&255, i, i, i)
	}
	return b.String()
}

func benchmarkRead(b *testing.B, name string) {
	in := hundredThousand()
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		batch, err := Read(name, strings.NewReader(in))
		if err != nil || len(batch.Values) != 100_000 {
			b.Fatal(err, len(batch.Values))
		}
	}
	b.ReportMetric(100_000*float64(b.N)/b.Elapsed().Seconds(), "lines/s")
}

func BenchmarkReadList(b *testing.B) { benchmarkRead(b, "list.txt") }
func BenchmarkReadText(b *testing.B) { benchmarkRead(b, "text.md") }

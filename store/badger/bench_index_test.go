package badger

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	kv "github.com/dgraph-io/badger/v4"

	"github.com/tipmesh/tipmesh/store"
	"github.com/tipmesh/tipmesh/store/storetest"
)

var indicators = flag.Int("indicators", 200_000, "indicators in the index that is measured")

const (
	benchBatch   = 6400 // what node puts at a time: 16 arrivals
	benchArrival = 400
)

// bulkObject is one of many indicators in bulk: a third each addresses, domains
// and hashes.
func bulkObject(k uint64) store.Object {
	sum := storetest.Payload(k, 64)
	text := fmt.Sprintf("%x", sum)
	var v store.Value
	switch k % 3 {
	case 0:
		v = store.Value{Type: "ipv4", Text: netip.AddrFrom4([4]byte(sum[40:44])).String()}
	case 1:
		v = store.Value{Type: "domain", Text: text[:12] + []string{".com", ".net", ".example.org", ".co.uk"}[sum[50]%4]}
	default:
		v = store.Value{Type: "sha256", Text: text[:64]}
	}
	arrival := 1 + k/benchArrival
	made := 1_700_000_000_000 + int64(arrival)
	return store.Object{
		Member: storetest.Member(fmt.Sprint(arrival % 20)), ID: fmt.Sprintf("indicator--%s-%s-5%s-8%s-%s", text[64:72], text[72:76], text[76:79], text[79:82], text[82:94]),
		Type: "indicator", Modified: made, Created: made, Arrival: arrival, Ordinal: uint32(k % benchArrival), Content: [8]byte(sum[52:60]), Values: []store.Value{v},
		Summary: store.Summary{Says: "malicious", Action: "block", TLP: "amber", Confidence: 80, ValidFrom: made, Received: made + 5, Share: "6f1e8b0c"},
	}
}

func bulkObjects(from, n uint64) []store.Object {
	out := make([]store.Object, n)
	for i := range out {
		out[i] = bulkObject(from + uint64(i))
	}
	return out
}

// BenchmarkIndex fills an index in bulk and gives its figures, look-ups against a
// get of badger's in the same database.
func BenchmarkIndex(b *testing.B) {
	dir, n := b.TempDir(), uint64(*indicators)
	s, err := Open(Config{Dir: dir, Key: testKey})
	if err != nil {
		b.Fatal(err)
	}
	var put, work time.Duration
	for at := uint64(0); at < n; at += benchBatch {
		objects := bulkObjects(at, min(benchBatch, n-at))
		began, worked := time.Now(), processTime(b)
		if err := s.index.Put(&store.IndexBatch{Objects: objects}); err != nil {
			b.Fatal(err)
		}
		put, work = put+time.Since(began), work+processTime(b)-worked
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	if s, err = Open(Config{Dir: dir, Key: testKey}); err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	opened, x := time.Since(began), s.index
	rng := rand.New(rand.NewPCG(1, 2))
	values := make([]store.Value, 20_000)
	raws := make([][]byte, len(values))
	nears := make([]store.Value, len(values))
	for i := range values {
		values[i] = bulkObject(rng.Uint64N(n)).Values[0]
		sum := sumOfValue(values[i])
		raws[i] = valueKey(nil, values[i], &sum)
		if nears[i] = bulkObject(rng.Uint64N(n) / 3 * 3).Values[0]; i%2 == 0 {
			nears[i] = store.Value{Type: "domain", Text: "www." + bulkObject(rng.Uint64N(n-3)/3*3 + 1).Values[0].Text}
		}
	}
	at := 0
	raw := median(b, func() error {
		at = (at + 1) % len(raws)
		return x.db.View(func(txn *kv.Txn) error {
			item, err := txn.Get(raws[at])
			if err == nil {
				_, err = item.ValueCopy(nil)
			}
			return err
		})
	})
	exact := median(b, func() error {
		at = (at + 1) % len(values)
		found, err := x.ByValue(values[at])
		if err == nil && len(found) == 0 {
			err = fmt.Errorf("%v is not found", values[at])
		}
		return err
	})
	miss := median(b, func() error {
		at = (at + 1) % len(values)
		_, err := x.ByValue(store.Value{Type: "domain", Text: fmt.Sprint(at, ".missing.example")})
		return err
	})
	near := median(b, func() error {
		at = (at + 1) % len(nears)
		_, err := x.Near(nears[at], 20)
		return err
	})
	for b.Loop() {
		at = (at + 1) % len(values)
		if _, err := x.ByValue(values[at]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(raw.Nanoseconds())/1e3, "µs/get")
	b.ReportMetric(float64(exact)/float64(raw), "lookup/get")
	b.ReportMetric(float64(miss)/float64(raw), "miss/get")
	b.ReportMetric(float64(near)/float64(exact), "near/lookup")
	b.ReportMetric(float64(n)/put.Seconds(), "put/s")
	b.ReportMetric(float64(n)/work.Seconds(), "put/s-of-a-core")
	b.ReportMetric(opened.Seconds(), "s/open")
	b.ReportMetric(float64(x.Size())/float64(n), "B/object")
	b.ReportMetric(float64(resident(b))/1e6, "MB/process")
}

// median is the middle of many times fn takes.
func median(b *testing.B, fn func() error) time.Duration {
	b.Helper()
	times := make([]time.Duration, 40_000)
	for i := range times {
		began := time.Now()
		if err := fn(); err != nil {
			b.Fatal(err)
		}
		times[i] = time.Since(began)
	}
	slices.Sort(times)
	return times[len(times)/2]
}

// processTime is the time that all processors worked for this process.
func processTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

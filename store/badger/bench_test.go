package badger

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	kv "github.com/dgraph-io/badger/v4"

	"github.com/tipmesh/tipmesh/store"
	"github.com/tipmesh/tipmesh/store/storetest"
)

func openBench(b *testing.B) *Store {
	b.Helper()
	s, err := Open(Config{Dir: b.TempDir(), Key: testKey})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return s
}

func openRaw(b *testing.B, opt kv.Options) *kv.DB {
	b.Helper()
	db, err := kv.Open(opt)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	return db
}

func prepared(w *storetest.Writer, n, size int) (list []store.Entry) {
	for i := range uint64(n) {
		list = append(list, w.Next(storetest.Payload(i, size)))
	}
	return list
}

// BenchmarkCommit is one synced entry of 1 KB with its arrival, against one
// synced Set of badger's.
func BenchmarkCommit(b *testing.B) {
	b.Run("store", func(b *testing.B) {
		s := openBench(b)
		w := storetest.NewWriter("a")
		list := prepared(w, b.N, 1000)
		b.ResetTimer()
		for i, e := range list {
			storetest.Commit(b, s, &store.Commit{Entries: []store.Entry{e}, Readable: []store.Place{w.At(uint64(i + 1))}})
		}
	})
	b.Run("raw", func(b *testing.B) {
		db := openRaw(b, entriesOptions(b.TempDir(), Config{Key: testKey}, new(watch)))
		value := storetest.Payload(1, 1000)
		for i := range b.N {
			err := db.Update(func(txn *kv.Txn) error { return txn.Set(binary.BigEndian.AppendUint64(nil, uint64(i)), value) })
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkCommitGroup is 16 callers at a time, 1 KB each.
func BenchmarkCommitGroup(b *testing.B) {
	const callers = 16
	each := b.N/callers + 1
	var lists [callers][]store.Entry
	for n := range callers {
		lists[n] = prepared(storetest.NewWriter(fmt.Sprint(n)), each, 1000)
	}
	s := openBench(b)
	var next atomic.Int64
	b.SetParallelism(callers / runtime.GOMAXPROCS(0))
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		list := lists[(next.Add(1)-1)%callers]
		for i := 0; pb.Next(); i++ {
			if i >= len(list) { // this caller was given more than its share
				continue
			}
			if _, err := s.Commit(context.Background(), &store.Commit{Entries: list[i : i+1]}); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkCommitBatch is 250 entries of 30 KB, as bulk sync brings them.
func BenchmarkCommitBatch(b *testing.B) {
	s := openBench(b)
	w := storetest.NewWriter("a")
	b.SetBytes(250 * 30_000)
	for range b.N {
		b.StopTimer()
		list := prepared(w, 250, 30_000)
		b.StartTimer()
		storetest.Commit(b, s, &store.Commit{Entries: list})
	}
}

func benchObjects(n, from int) []store.Object {
	objects := make([]store.Object, n)
	for i := range objects {
		k := uint64(from + i)
		text := fmt.Sprintf("%x", storetest.Payload(k, 32))
		objects[i] = store.Object{
			Member: storetest.Member(fmt.Sprint(k % 20)), ID: fmt.Sprintf("indicator--%s-%s-4%s-8%s-%s", text[:8], text[8:12], text[12:15], text[15:18], text[18:30]),
			Type: "indicator", Modified: 1_700_000_000_000 + int64(k), Created: 1_700_000_000_000, Arrival: k / 400, Ordinal: uint32(k % 400),
			Content: [8]byte(storetest.Payload(k, 8)), Values: []store.Value{{Type: "sha256", Text: text}},
			Summary: store.Summary{Says: "malicious", Action: "block", TLP: "amber", Confidence: 80, ValidFrom: 1_700_000_000_000, Received: 1_700_000_000_000},
		}
	}
	return objects
}

// BenchmarkOpenMemory shows the resident memory of empty open stores.
func BenchmarkOpenMemory(b *testing.B) {
	for _, n := range []int{1, 5} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for range b.N {
				before := resident(b)
				var open []*Store
				for range n {
					open = append(open, openBench(b))
				}
				b.ReportMetric(float64(resident(b)-before)/1e6, "MB/all")
				b.ReportMetric(float64(resident(b))/1e6, "MB/process")
				for _, s := range open {
					s.Close()
				}
			}
		})
	}
}

func resident(b *testing.B) int {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip(err)
	}
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); f[0] == "VmRSS:" {
			n, _ := strconv.Atoi(f[1])
			return n * 1024
		}
	}
	return 0
}

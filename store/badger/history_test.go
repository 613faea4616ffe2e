package badger

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	kv "github.com/dgraph-io/badger/v4"

	"github.com/tipmesh/tipmesh/store"
	"github.com/tipmesh/tipmesh/store/memory"
	"github.com/tipmesh/tipmesh/store/storetest"
)

func TestIndexLikeMemory(t *testing.T) {
	storetest.SameIndexes(t, func(t *testing.T) storetest.Harness { return &harness{t: t, dir: t.TempDir()} },
		func() store.Index { return memory.New().Index() })
}

// TestIndexLeavesNothing takes out all that was put in: no row may be left that
// tells of it.
func TestIndexLeavesNothing(t *testing.T) {
	s, err := Open(Config{Dir: t.TempDir(), Key: testKey, small: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rng := rand.New(rand.NewPCG(5, 6))
	var objects []store.Object
	for arrival := range uint64(200) {
		// Few identifiers and times: versions, rivals, and versions that come again.
		n, modified := rng.IntN(12), int64(rng.IntN(3))
		o := bulkObject(uint64(n))
		text := fmt.Sprintf("h%d.example", rng.IntN(3))
		o.Arrival, o.Modified, o.Content = arrival+1, modified, [8]byte{byte(len(text)), text[1]}
		o.Values = []store.Value{{Type: "domain", Text: text}, {Type: "url", Text: "http://" + text + "/" + strings.Repeat("x", 20*(n%12))}}
		o.Words, o.Refs, o.Summary.Says = []string{"word", text}, []string{"malware--" + text}, fmt.Sprint(arrival)
		objects = append(objects, o)
	}
	for range 2 {
		for at := 0; at < len(objects); at += 20 {
			if err := s.index.Put(&store.IndexBatch{Objects: objects[at : at+20]}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, i := range rng.Perm(len(objects)) {
		if err := s.index.Remove(objects[i : i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.index.Count(); n != 0 {
		t.Errorf("count %d", n)
	}
	err = s.index.view(func(txn *kv.Txn) error {
		it := keys(txn, nil)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			if key := it.Item().Key(); strings.IndexByte("MDn", key[0]) < 0 {
				t.Errorf("row %q is left", key)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

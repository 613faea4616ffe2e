package badger

import (
	"bytes"
	"container/heap"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	kv "github.com/dgraph-io/badger/v4"

	"github.com/tipmesh/tipmesh/store"
)

// Bounds of a search.
const (
	maxPrefixWords = 256   // words that begin with a prefix
	searchVisits   = 20000 // objects looked at in one call
	maxToken       = 128   // bytes; longer tokens are found by their digest
)

// tokenKey is where the run of a token begins.
func tokenKey(token string) []byte {
	key := append(make([]byte, 0, 64), indexWord)
	if len(token) > maxToken || bytes.IndexByte([]byte(token), 0) >= 0 {
		sum := sha256.Sum256([]byte(token))
		key = append(append(key, 1), sum[:12]...)
		for i, b := range key[2:] { // no zero within
			key[2+i] = max(b, 1)
		}
	} else {
		key = append(key, token...)
	}
	return append(key, 0)
}

// Rows of references and words end in a place: newest arrival first.
const placeLen = 8 + 4 + idLen

func appendPlace(key []byte, o *store.Object, id *[32]byte) []byte {
	key = binary.BigEndian.AppendUint64(key, ^o.Arrival)
	key = binary.BigEndian.AppendUint32(key, ^o.Ordinal)
	return append(key, id[:idLen]...)
}

func refKey(target string) []byte {
	sum := sumOfID(target)
	return append([]byte{indexRef}, sum[:idLen]...)
}

// run is the places of one token, or of the words with one prefix.
type run interface {
	// seek gives the first place that is not before another, nil at the end.
	seek(place []byte) []byte
	close()
}

// tokenRun reads the run of one token.
type tokenRun struct {
	it     *kv.Iterator
	prefix []byte
	buf    []byte
	at     []byte
	begun  bool
}

func newTokenRun(txn *kv.Txn, prefix []byte) *tokenRun {
	return &tokenRun{it: keys(txn, prefix), prefix: prefix}
}

func (r *tokenRun) close() { r.it.Close() }

// nextTries is how many steps are tried before a seek.
const nextTries = 4

func (r *tokenRun) seek(place []byte) []byte {
	for try := 0; r.begun && try < nextTries; try++ {
		if r.at == nil || bytes.Compare(r.at, place) >= 0 {
			return r.at
		}
		r.it.Next()
		r.read()
	}
	if !r.begun || r.at != nil && bytes.Compare(r.at, place) < 0 {
		r.begun = true
		r.buf = append(append(r.buf[:0], r.prefix...), place...)
		r.it.Seek(r.buf)
		r.read()
	}
	return r.at
}

func (r *tokenRun) read() {
	r.at = nil
	if r.it.Valid() {
		if key := r.it.Item().Key(); len(key) == len(r.prefix)+placeLen {
			r.at = append(r.buf[:0:0], key[len(r.prefix):]...)
		}
	}
}

// anyRun merges runs.
type anyRun struct{ runs runHeap }

type runHeap []*tokenRun

func (h runHeap) Len() int           { return len(h) }
func (h runHeap) Less(i, j int) bool { return bytes.Compare(h[i].at, h[j].at) < 0 }
func (h runHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *runHeap) Push(r any)        { *h = append(*h, r.(*tokenRun)) }
func (h *runHeap) Pop() any          { panic("runs are closed where they end") }

func (r *anyRun) close() {
	for _, t := range r.runs {
		t.close()
	}
}

func (r *anyRun) seek(place []byte) []byte {
	for len(r.runs) > 0 && (r.runs[0].at == nil || bytes.Compare(r.runs[0].at, place) < 0) {
		if first := r.runs[0]; first.seek(place) == nil {
			first.close()
			last := len(r.runs) - 1
			r.runs[0] = r.runs[last]
			r.runs = r.runs[:last]
			if last == 0 {
				return nil
			}
		}
		heap.Fix(&r.runs, 0)
	}
	if len(r.runs) == 0 {
		return nil
	}
	return r.runs[0].at
}

// wordsOf gives the run of all words that begin with a prefix.
func wordsOf(txn *kv.Txn, prefix string) (*anyRun, error) {
	whole := append([]byte{indexWord}, prefix...)
	r := new(anyRun)
	it := keys(txn, whole)
	defer it.Close()
	for it.Seek(whole); it.Valid(); {
		key := it.Item().Key()
		end := bytes.IndexByte(key, 0)
		if end < 0 {
			r.close()
			return nil, errors.New("a word without end")
		}
		word := bytes.Clone(key[:end+1])
		if store.HasPrefix(string(word[1:end]), prefix) {
			if len(r.runs) == maxPrefixWords {
				r.close()
				return nil, fmt.Errorf("%w: more than %d words begin with %q", store.ErrBroad, maxPrefixWords, prefix)
			}
			t := newTokenRun(txn, bytes.Clone(word))
			t.seek(nil)
			r.runs = append(r.runs, t)
		}
		word[end]++ // past its run
		it.Seek(word)
	}
	heap.Init(&r.runs)
	return r, nil
}

// Search goes through the runs of the tokens side by side.
func (x *Index) Search(q store.Query) (found []store.Object, next uint64, err error) {
	if len(q.Tokens) == 0 && q.Prefix == "" {
		return nil, 0, fmt.Errorf("%w: nothing to search for", store.ErrBroad)
	}
	err = x.view(func(txn *kv.Txn) error {
		runs := make([]run, 0, len(q.Tokens)+1)
		defer func() {
			for _, r := range runs {
				r.close()
			}
		}()
		for _, t := range q.Tokens {
			runs = append(runs, newTokenRun(txn, tokenKey(t)))
		}
		if q.Prefix != "" {
			r, err := wordsOf(txn, q.Prefix)
			if err != nil {
				return err
			}
			runs = append(runs, r)
		}
		found, next, err = x.search(txn, runs, &q)
		return err
	})
	return found, next, err
}

func (x *Index) search(txn *kv.Txn, runs []run, q *store.Query) (found []store.Object, next uint64, err error) {
	place := startOf(q.Before)
	last := uint64(0) // position of what was looked at last
	for visits := 0; ; visits++ {
		if place = together(runs, place); place == nil {
			return found, 0, nil
		}
		list, err := x.newestAt(txn, place)
		if err != nil {
			return nil, 0, err
		}
		here := store.PositionOf(&store.Object{Arrival: ^binary.BigEndian.Uint64(place), Ordinal: ^binary.BigEndian.Uint32(place[8:])})
		if (len(found) >= max(q.Limit, 1) || visits >= searchVisits) && here != last {
			return found, last, nil
		}
		last = here
		for i := range list {
			if q.Has(&list[i]) {
				found = append(found, list[i])
			}
		}
		place = after1(place)
	}
}

// startOf is the first place of a position and those before it in time.
func startOf(before uint64) []byte {
	if before == 0 {
		return nil
	}
	// Places of the position itself may come first: Query.Has leaves them out.
	return binary.BigEndian.AppendUint64(nil, ^store.ArrivalAt(before))
}

// after1 is the place right after one.
func after1(place []byte) []byte { return append(bytes.Clone(place), 0) }

// together gives the first place, not before one, that all runs have.
func together(runs []run, place []byte) []byte {
	for agreed, i := 0, 0; ; i = (i + 1) % len(runs) {
		at := runs[i].seek(place)
		if at == nil {
			return nil
		}
		if agreed > 0 && bytes.Equal(at, place) {
			agreed++
		} else {
			agreed = 1
		}
		place = at
		if agreed == len(runs) {
			return place
		}
	}
}

// Referring reads the run of what refers to an object.
func (x *Index) Referring(stixID string, limit int) (found []store.Object, err error) {
	err = x.view(func(txn *kv.Txn) error {
		r := newTokenRun(txn, refKey(stixID))
		defer r.close()
		for place := r.seek(nil); place != nil && len(found) < limit; place = r.seek(after1(place)) {
			list, err := x.newestAt(txn, place)
			if err != nil {
				return err
			}
			found = append(found, list...)
		}
		return nil
	})
	return found[:min(limit, len(found))], err
}

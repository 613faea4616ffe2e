package main

import (
	"slices"
	"sort"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
)

// stateSet is a set of statements; nodes that hold the same share it.
type stateSet struct {
	list    []*protocol.Statement // ascending
	digests []byte
	sum     protocol.Hash
	bytes   int
	next    map[protocol.StatementID]*stateSet // with one more
}

func newSet(list []*protocol.Statement) *stateSet {
	s := &stateSet{list: slices.Clone(list), digests: make([]byte, replica.Buckets*replica.BucketDigest), next: map[protocol.StatementID]*stateSet{}}
	slices.SortFunc(s.list, func(a, b *protocol.Statement) int { return a.ID().Compare(b.ID()) })
	s.list = slices.Compact(s.list)
	for b := range replica.Buckets {
		var ids []protocol.StatementID
		for _, st := range s.in(byte(b)) {
			ids = append(ids, st.ID())
			s.bytes += len(st.Raw())
		}
		sum := replica.DigestStatements(ids)
		copy(s.digests[b*replica.BucketDigest:], sum[:])
	}
	s.sum = protocol.DomainDigest.Sum(s.digests)
	return s
}

func (s *stateSet) in(bucket byte) []*protocol.Statement {
	from := sort.Search(len(s.list), func(i int) bool { return s.list[i].ID()[0] >= bucket })
	to := sort.Search(len(s.list), func(i int) bool { return s.list[i].ID()[0] > bucket })
	return s.list[from:to]
}

func (s *stateSet) has(id protocol.StatementID) bool {
	_, ok := slices.BinarySearchFunc(s.list, id, func(st *protocol.Statement, id protocol.StatementID) int { return st.ID().Compare(id) })
	return ok
}

// with gives the set with more statements. One more is remembered: that is what
// many nodes learn alike.
func (s *stateSet) with(more ...*protocol.Statement) *stateSet {
	more = slices.DeleteFunc(slices.Clone(more), func(st *protocol.Statement) bool { return s.has(st.ID()) })
	if len(more) == 0 {
		return s
	}
	if len(more) > 1 {
		return newSet(slices.Concat(s.list, more))
	}
	id := more[0].ID()
	if s.next[id] == nil {
		s.next[id] = newSet(append(slices.Clip(s.list), more[0]))
	}
	return s.next[id]
}

// alone gives the set as another that shares no memory of what came after.
func (s *stateSet) alone() *stateSet {
	c := *s
	c.next = map[protocol.StatementID]*stateSet{}
	return &c
}

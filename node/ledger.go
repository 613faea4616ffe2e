package node

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

// ledger is the set of statements a node holds, and the roster they make.
type ledger struct {
	mesh   protocol.MeshID
	roster atomic.Pointer[trust.Roster]

	mu      sync.RWMutex
	byID    map[protocol.StatementID]*protocol.Statement
	buckets [replica.Buckets][]*protocol.Statement // ascending by ID
	digests [replica.Buckets * replica.BucketDigest]byte
	pins    []protocol.StatementID
}

func newLedger(mesh protocol.MeshID) *ledger {
	l := &ledger{mesh: mesh, byID: map[protocol.StatementID]*protocol.Statement{}}
	l.roster.Store(trust.Fold(mesh, nil))
	return l
}

// has reports whether a statement is held.
func (l *ledger) has(id protocol.StatementID) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.byID[id] != nil
}

func (l *ledger) get(id protocol.StatementID) *protocol.Statement {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.byID[id]
}

// add takes statements into the set and folds the roster anew.
func (l *ledger) add(list ...*protocol.Statement) *trust.Roster {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range list {
		if l.byID[s.ID()] != nil {
			continue
		}
		l.byID[s.ID()] = s
		b := s.ID()[0]
		at, _ := slices.BinarySearchFunc(l.buckets[b], s.ID(), func(x *protocol.Statement, id protocol.StatementID) int {
			return x.ID().Compare(id)
		})
		l.buckets[b] = slices.Insert(l.buckets[b], at, s)
		ids := make([]protocol.StatementID, len(l.buckets[b]))
		for i, x := range l.buckets[b] {
			ids[i] = x.ID()
		}
		sum := replica.DigestStatements(ids)
		copy(l.digests[int(b)*replica.BucketDigest:], sum[:])
	}
	r := trust.Fold(l.mesh, l.all(), l.pins...)
	l.roster.Store(r)
	return r
}

func (l *ledger) pinned() []protocol.StatementID {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return slices.Clone(l.pins)
}

// pin replaces the pins and folds the roster anew.
func (l *ledger) pin(pins []protocol.StatementID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pins = pins
	l.roster.Store(trust.Fold(l.mesh, l.all(), l.pins...))
}

// all gives the statements in ascending order; the caller holds the lock.
func (l *ledger) all() []*protocol.Statement {
	out := make([]*protocol.Statement, 0, len(l.byID))
	for _, b := range l.buckets {
		out = append(out, b...)
	}
	return out
}

func (l *ledger) statements() []*protocol.Statement {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.all()
}

func (l *ledger) in(bucket byte) []*protocol.Statement {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return slices.Clone(l.buckets[bucket])
}

func (l *ledger) digestBytes() []byte {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return slices.Clone(l.digests[:])
}

// digest is one hash over all statements.
func (l *ledger) digest() protocol.Hash {
	return protocol.DomainDigest.Sum(l.digestBytes())
}

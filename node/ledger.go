package node

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

// ledger is the set of statements that count at a node, and the roster they
// make. It is changed under the node's gate only. The store may hold more: what
// was pushed over a bound is left out here and stays there.
type ledger struct {
	mesh   protocol.MeshID
	now    func() time.Time
	base   atomic.Pointer[trust.Roster] // that the set makes, at any time
	roster atomic.Pointer[trust.Roster] // that as it is now: see turn

	mu      sync.RWMutex
	byID    map[protocol.StatementID]*protocol.Statement
	buckets [replica.Buckets][]*protocol.Statement // ascending by ID
	digests [replica.Buckets * replica.BucketDigest]byte
	pins    []protocol.StatementID
}

func newLedger(mesh protocol.MeshID, now func() time.Time) *ledger {
	l := &ledger{mesh: mesh, now: now, byID: map[protocol.StatementID]*protocol.Statement{}}
	l.set(trust.Fold(mesh, nil))
	return l
}

// set takes a roster for the one of the set.
func (l *ledger) set(r *trust.Roster) {
	l.base.Store(r)
	l.roster.Store(r.At(l.now().UnixMilli()))
}

// turn has suspensions begin and end; false where none has.
func (l *ledger) turn() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	before, after := l.roster.Load(), l.base.Load().At(l.now().UnixMilli())
	if slices.Equal(suspended(before), suspended(after)) {
		return false
	}
	l.roster.Store(after)
	return true
}

// suspended lists the members that are suspended for a time.
func suspended(r *trust.Roster) (out []protocol.MemberID) {
	for _, m := range r.Members {
		if m.Until != 0 {
			out = append(out, m.ID)
		}
	}
	return out
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

// plan is the set of statements as it would be with some more.
type plan struct {
	roster *trust.Roster
	add    []*protocol.Statement // those of the new that stay
	drop   []protocol.StatementID
}

// pruneRounds bounds how often what is over a bound is dropped at a time: a
// card goes after the proposal that named it.
const pruneRounds = 4

// plan folds the set with the statements of the list that are not held yet, and
// leaves out what is over a bound then.
func (l *ledger) plan(list ...*protocol.Statement) *plan {
	l.mu.RLock()
	set, pins := l.all(), slices.Clone(l.pins)
	p := &plan{}
	fresh := map[protocol.StatementID]bool{}
	for _, s := range list {
		if l.byID[s.ID()] == nil && !fresh[s.ID()] {
			fresh[s.ID()] = true
			p.add = append(p.add, s)
		}
	}
	l.mu.RUnlock()
	set = append(set, p.add...)
	p.roster = trust.Fold(l.mesh, set, pins...)
	for range pruneRounds {
		over := p.roster.Surplus()
		if len(over) == 0 {
			break
		}
		gone := func(s *protocol.Statement) bool {
			_, found := slices.BinarySearchFunc(over, s.ID(), protocol.StatementID.Compare)
			return found
		}
		set, p.add = slices.DeleteFunc(set, gone), slices.DeleteFunc(p.add, gone)
		for _, id := range over {
			if !fresh[id] {
				p.drop = append(p.drop, id)
			}
		}
		p.roster = trust.Fold(l.mesh, set, pins...)
	}
	return p
}

// follow makes the set what was planned. Nothing may have changed it since.
func (l *ledger) follow(p *plan) {
	l.mu.Lock()
	defer l.mu.Unlock()
	place := func(id protocol.StatementID) (int, bool) {
		return slices.BinarySearchFunc(l.buckets[id[0]], id, func(x *protocol.Statement, id protocol.StatementID) int {
			return x.ID().Compare(id)
		})
	}
	var changed [replica.Buckets]bool
	for _, s := range p.add {
		id := s.ID()
		at, _ := place(id)
		l.byID[id], changed[id[0]] = s, true
		l.buckets[id[0]] = slices.Insert(l.buckets[id[0]], at, s)
	}
	for _, id := range p.drop {
		if at, found := place(id); found {
			delete(l.byID, id)
			changed[id[0]] = true
			l.buckets[id[0]] = slices.Delete(l.buckets[id[0]], at, at+1)
		}
	}
	for b := range changed {
		if changed[b] {
			copy(l.digests[b*replica.BucketDigest:], digestOf(l.buckets[b]))
		}
	}
	l.set(p.roster)
}

// digestOf is the digest of a bucket.
func digestOf(bucket []*protocol.Statement) []byte {
	ids := make([]protocol.StatementID, len(bucket))
	for i, s := range bucket {
		ids[i] = s.ID()
	}
	sum := replica.DigestStatements(ids)
	return sum[:]
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
	l.set(trust.Fold(l.mesh, l.all(), l.pins...))
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

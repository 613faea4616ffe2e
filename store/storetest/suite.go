// Package storetest is the contract that every store keeps.
package storetest

import (
	"testing"

	"github.com/tipmesh/tipmesh/store"
)

// Harness opens one store again and again.
type Harness interface {
	// Open opens the store: the first time an empty one, later what was left
	// after Close or Crash.
	Open() store.Store
	// Crash abandons the store that Open gave last, without closing it. What
	// Open gives next is what a new process would find.
	Crash()
}

// Factory makes the harness of one test. Cleaning up is the harness's own.
type Factory func(t *testing.T) Harness

// Run checks a store against the contract.
func Run(t *testing.T, f Factory) {
	for _, part := range []struct {
		name string
		run  func(t *testing.T, f Factory)
	}{
		{"Order", testOrder},
		{"Conflict", testConflict},
		{"CommitIsAtomic", testCommitIsAtomic},
		{"FillIn", testFillIn},
		{"EmptyPayload", testEmptyPayload},
		{"BigPayloads", testBigPayloads},
		{"Range", testRange},
		{"Settings", testSettings},
		{"Statements", testStatements},
		{"Arrivals", testArrivals},
		{"Concurrent", testConcurrent},
		{"InvalidNeighbours", testInvalidNeighbours},
		{"Drop", testDrop},
		{"DropLong", testDropLong},
		{"Erase", testErase},
		{"EraseMany", testEraseMany},
		{"Crash", testCrash},
		{"Closed", testClosed},
		{"Model", testModel},
		{"IndexVersions", testIndexVersions},
		{"IndexValues", testIndexValues},
		{"IndexMembers", testIndexMembers},
		{"IndexRivals", testIndexRivals},
		{"IndexRefs", testIndexRefs},
		{"IndexRow", testIndexRow},
		{"IndexRemove", testIndexRemove},
		{"IndexNear", testIndexNear},
		{"IndexReferring", testIndexReferring},
		{"IndexSearch", testIndexSearch},
		{"IndexWide", testIndexWide},
		{"IndexReset", testIndexReset},
		{"IndexReopen", testIndexReopen},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, f) })
	}
}

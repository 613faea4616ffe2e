// Package node is a running member node: it owns the goroutines, runs the pure
// machines of protocol/trust and protocol/replica over a store and a transport,
// writes its own feeds, opens what it may read and keeps the index.
package node

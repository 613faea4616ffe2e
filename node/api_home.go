package node

import "github.com/tipmesh/tipmesh/protocol"

// Learn keeps statements that were heard from others, as a joiner's inviter
// sends them. What the roster does not let a node keep is left out and counted.
func (n *Node) Learn(list ...*protocol.Statement) error {
	_, err := n.learn(list...)
	return err
}

// Statements gives all statements held, in ascending order of their IDs.
func (n *Node) Statements() []*protocol.Statement { return n.ledger.statements() }

package api

import (
	"github.com/sethvargo/go-diceware/diceware"

	"github.com/tipmesh/tipmesh/protocol"
)

// Words are the six words that both sides of a join compare by phone.
func Words(mesh protocol.MeshID, inviter protocol.MemberID, card protocol.StatementID, ticket protocol.Hash) []string {
	list := diceware.WordListEffLarge()
	indexes := protocol.WordIndexes(mesh, inviter, card, ticket)
	out := make([]string, len(indexes))
	for i, n := range indexes {
		// The list is keyed by five throws of a die.
		key := 0
		for place := 1; place <= 10000; place *= 10 {
			key += (n%6 + 1) * place
			n /= 6
		}
		out[i] = list.WordAt(key)
	}
	return out
}

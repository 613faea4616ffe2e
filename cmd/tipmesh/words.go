package main

import (
	"strings"

	"github.com/sethvargo/go-diceware/diceware"

	"github.com/tipmesh/tipmesh/protocol"
)

// sixWords are the words that both sides of a join compare by phone.
func sixWords(mesh protocol.MeshID, inviter protocol.MemberID, card protocol.StatementID, ticket protocol.Hash) []string {
	return wordsOf(protocol.WordIndexes(mesh, inviter, card, ticket))
}

// wordsOf gives the EFF long list's words for six numbers. The list is keyed by
// five throws of a die.
func wordsOf(indexes [6]int) []string {
	list := diceware.WordListEffLarge()
	out := make([]string, len(indexes))
	for i, n := range indexes {
		key := 0
		for place := 1; place <= 10000; place *= 10 {
			key += (n%6 + 1) * place
			n /= 6
		}
		out[i] = list.WordAt(key)
	}
	return out
}

func joinWords(words []string) string { return strings.Join(words, "-") }

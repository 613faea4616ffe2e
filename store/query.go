package store

import "strings"

// HasPrefix reports whether a word begins with the prefix of a query.
func HasPrefix(word, prefix string) bool {
	return strings.HasPrefix(word, prefix) && (!strings.Contains(word, "=") || strings.Contains(prefix, "="))
}

// Has reports whether an object's time and place are within the query's bounds.
func (q *Query) Has(o *Object) bool {
	return o.Summary.Received >= q.Since && (q.Until == 0 || o.Summary.Received < q.Until) && (q.Before == 0 || PositionOf(o) < q.Before)
}

// ordinalBits is how much of a position is the place in the bundle.
const ordinalBits = 20

// PositionOf is where a search stands after an object: later arrivals are higher.
func PositionOf(o *Object) uint64 {
	return o.Arrival<<ordinalBits | uint64(min(o.Ordinal, 1<<ordinalBits-1))
}

// ArrivalAt is the arrival of a position.
func ArrivalAt(position uint64) uint64 { return position >> ordinalBits }

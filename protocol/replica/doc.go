// Package replica is the sync protocol as a pure machine: messages, ticks and
// news of the local store go in, messages and things to store come out. It
// calls no clock, starts no goroutine and does no I/O.
//
// Sync is driven by the receiver. A node opens one stream to each neighbour and
// asks on it; the neighbour answers there, in order, from what it holds, and
// keeps no state about the asker (Answer). On its stream the asker also tells
// what it holds itself (Have), so that each side knows when to ask and whose
// payloads are held where.
//
// The guarantee does not rest on gossip: whatever a neighbour tells of and the
// node lacks is asked for, again and again, from one neighbour after the other.
//
// A feed is asked of one neighbour at a time, its holder, until what that
// answered has been stored: nothing is transferred twice, and every way in which
// a question can end frees the feed for another. What a neighbour could not
// give is held against it for a while, feed by feed, even if it comes back
// under a new connection.
package replica

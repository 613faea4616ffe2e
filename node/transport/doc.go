// Package transport carries bytes between nodes over libp2p: QUIC and TCP,
// gossip, and sync streams. It is the only package that knows libp2p; to the
// rest of tipmesh a node is its Ed25519 key.
//
// Only the nodes given to Transport.Allow are ever connected. A stranger that
// completes the handshake, without which it cannot be told from a member, is
// cut off before any protocol runs: it gets no list of protocols, no version
// and no message. There is no relay, no DHT, no NAT traversal and no local
// discovery, so a node talks to nobody that its roster does not name.
//
// ListenJoin and DialJoin are the one exception: a separate, short-lived host
// with a key of its own that anyone may reach and that speaks only the join
// protocol.
package transport

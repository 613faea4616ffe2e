// Package protocol defines what tipmesh nodes say to each other: identifiers,
// statements, audience states, epochs, letters, entry headers and tickets, their
// canonical bytes, signatures and limits.
//
// # Canonical bytes
//
// Every document is CBOR in core deterministic encoding (RFC 8949 section 4.2.1):
// maps with small integer keys, no nulls, no tags, no floats, no indefinite
// lengths. A decoder decodes, encodes again and refuses input whose bytes differ,
// so one document has exactly one encoding. Optional fields are left out when
// they hold their zero value.
//
// # Signatures
//
// A signed document travels as the CBOR array [body, signature]: two byte
// strings. The Ed25519 signature (RFC 8032) covers domain || body, where domain
// is one of the Domain constants; the signer is the key that the body names. The
// document's identifier is SHA-256(domain || body).
//
// # Purity
//
// The package and those below it import no network, file or log package, call no
// clock and start no goroutine: time and randomness are arguments.
//
// SPEC.md at the top of the repository says the same in prose, and
// protocol/testdata holds vectors that another implementation can run.
package protocol

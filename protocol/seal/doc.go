// Package seal encrypts the payloads of entries and opens them again.
//
// A sealed payload is an age file (age-encryption.org/v1) with one hybrid
// stanza (ML-KEM-768 and X25519), whose plaintext is one zstd frame (RFC 8878)
// with its content size, then at most one zero-filled skippable frame up to the
// next Padmé size. Stock age (1.3 or later) and zstd read it: there is no format
// of our own to trust. A direct payload is the same with a stanza for each
// recipient and dummies up to a power of two.
//
// Encryption hides and proves nothing about the sender: the header that names
// the payload's hash is what is signed.
package seal

package protocol

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// Errors of decoders. Callers branch on these three: a malformed or forged
// document is held against the peer that sent it, one of a later version is not.
var (
	ErrMalformed = errors.New("malformed")
	ErrSignature = errors.New("bad signature")
	ErrVersion   = errors.New("unknown version")
)

var (
	encMode = must(cbor.EncOptions{
		Sort:          cbor.SortCoreDeterministic,
		ShortestFloat: cbor.ShortestFloat16,
		NilContainers: cbor.NilContainerAsEmpty,
		IndefLength:   cbor.IndefLengthForbidden,
		TagsMd:        cbor.TagsForbidden,
	}.EncMode())
	decMode = must(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		MaxNestedLevels:   8,
		MaxArrayElements:  65536,
		MaxMapPairs:       64,
		UTF8:              cbor.UTF8RejectInvalid,
	}.DecMode())
	// looseMode reads single fields of documents whose other fields are unknown.
	looseMode = must(cbor.DecOptions{
		IndefLength:      cbor.IndefLengthForbidden,
		MaxNestedLevels:  8,
		MaxArrayElements: 65536,
		MaxMapPairs:      64,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Marshal gives the canonical bytes of a document of this package.
func Marshal(v any) []byte {
	data, err := encMode.Marshal(v)
	if err != nil {
		// Only types of ours arrive here, and all of them encode.
		panic(fmt.Sprintf("protocol: encode %T: %v", v, err))
	}
	return data
}

// Unmarshal decodes canonical bytes into v, a pointer to a document, and
// refuses anything that v would not encode to byte for byte. limit bounds the
// input in bytes. Errors wrap ErrMalformed.
func Unmarshal(data []byte, limit int, v any) error {
	if len(data) > limit {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrMalformed, len(data), limit)
	}
	if err := decMode.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	again, err := encMode.Marshal(v)
	if err != nil {
		return fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	if !bytes.Equal(again, data) {
		return fmt.Errorf("%w: not in canonical form", ErrMalformed)
	}
	return nil
}

// Domain separates the signatures and identifiers of different kinds of
// documents: no bytes signed as one can be shown as another.
type Domain string

// The domains. Each ends in a zero byte so that none is a prefix of another.
const (
	DomainStatement Domain = "tipmesh/1 statement\x00"
	DomainHeader    Domain = "tipmesh/1 entry\x00"
	DomainFeed      Domain = "tipmesh/1 feed\x00"
	DomainEpoch     Domain = "tipmesh/1 epoch\x00"
	DomainAudience  Domain = "tipmesh/1 audience\x00"
	DomainEveryone  Domain = "tipmesh/1 everyone\x00"
	DomainTag       Domain = "tipmesh/1 tag\x00"
	DomainWords     Domain = "tipmesh/1 words\x00"
	DomainTicket    Domain = "tipmesh/1 ticket\x00"
	DomainDigest    Domain = "tipmesh/1 digest\x00"
	DomainRequest   Domain = "tipmesh/1 node request\x00"
)

// Sum is SHA-256(domain || body), the identifier of a document.
func (d Domain) Sum(parts ...[]byte) Hash {
	return HashOf(append([][]byte{[]byte(d)}, parts...)...)
}

// message is what a signature covers.
func (d Domain) message(body []byte) []byte {
	return append([]byte(d), body...)
}

// signed is a signed document as it travels: [body, signature].
type signed struct {
	_    struct{} `cbor:",toarray"`
	Body []byte
	Sig  []byte
}

// seal signs body and gives the bytes that travel.
func seal(d Domain, body []byte, key ed25519.PrivateKey) []byte {
	return Marshal(signed{Body: body, Sig: ed25519.Sign(key, d.message(body))})
}

// open splits a signed document without checking the signature.
func open(raw []byte, limit int) (body, sig []byte, err error) {
	var s signed
	if err := Unmarshal(raw, limit, &s); err != nil {
		return nil, nil, err
	}
	if len(s.Sig) != ed25519.SignatureSize {
		return nil, nil, fmt.Errorf("%w: signature of %d bytes", ErrMalformed, len(s.Sig))
	}
	return s.Body, s.Sig, nil
}

// verify checks sig over domain and body by key.
func verify(d Domain, key Key, body, sig []byte) error {
	if !ed25519.Verify(key[:], d.message(body), sig) {
		return ErrSignature
	}
	return nil
}

// KeyOf is the public half of a private key.
func KeyOf(key ed25519.PrivateKey) Key {
	return Key(key.Public().(ed25519.PublicKey))
}

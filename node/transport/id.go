package transport

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/crypto/pb"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tipmesh/tipmesh/protocol"
)

// PeerID is libp2p's text form of a node key (12D3KooW...), for people who
// compare it with other tools. The empty string stands for a key that is none.
func PeerID(key protocol.Key) string {
	id, err := peerOf(key)
	if err != nil {
		return ""
	}
	return id.String()
}

// peerOf gives libp2p's identifier of a node key.
func peerOf(key protocol.Key) (peer.ID, error) {
	pub, err := crypto.UnmarshalEd25519PublicKey(key[:])
	if err != nil {
		return "", fmt.Errorf("read node key: %w", err)
	}
	id, err := peer.IDFromPublicKey(pub)
	if err != nil {
		return "", fmt.Errorf("derive peer ID: %w", err)
	}
	return id, nil
}

// keyOf gives the node key inside a peer ID. Keys that are not Ed25519 belong
// to no node.
func keyOf(id peer.ID) (protocol.Key, bool) {
	pub, err := id.ExtractPublicKey()
	if err != nil || pub.Type() != pb.KeyType_Ed25519 {
		return protocol.Key{}, false
	}
	raw, err := pub.Raw()
	if err != nil || len(raw) != len(protocol.Key{}) {
		return protocol.Key{}, false
	}
	return protocol.Key(raw), true
}

// identity turns a node's private key into libp2p's.
func identity(key ed25519.PrivateKey) (crypto.PrivKey, protocol.Key, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, protocol.Key{}, errors.New("read node key: not an Ed25519 private key")
	}
	priv, err := crypto.UnmarshalEd25519PrivateKey(key)
	if err != nil {
		return nil, protocol.Key{}, fmt.Errorf("read node key: %w", err)
	}
	return priv, protocol.Key(key.Public().(ed25519.PublicKey)), nil
}

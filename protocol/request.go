package protocol

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"strings"
)

// requestPrefix begins a request as text.
const requestPrefix = "tipmesh-node-1:"

// maxRequest bounds a signed request, in bytes.
const maxRequest = 4096

// NodeRequest asks the member that a node belongs to, to name it in its card. It
// holds nothing secret; its signature shows that the asker has the node's key.
type NodeRequest struct {
	Version   uint64 `cbor:"1,keyasint"`
	Node      Key    `cbor:"2,keyasint"`
	Recipient string `cbor:"3,keyasint"` // age recipient of the node alone
}

// NewNodeRequest signs a request with the node's key and gives it as text.
func NewNodeRequest(key ed25519.PrivateKey, recipient string) (string, error) {
	raw := seal(DomainRequest, Marshal(&NodeRequest{Version: Version, Node: KeyOf(key), Recipient: recipient}), key)
	if _, err := parseNodeRequest(raw); err != nil {
		return "", fmt.Errorf("make node request: %w", err)
	}
	return requestPrefix + base64.RawURLEncoding.EncodeToString(raw), nil
}

// ParseNodeRequest reads and verifies the text of a request; white space in it
// means nothing. Errors wrap ErrMalformed, ErrSignature or ErrVersion.
func ParseNodeRequest(text string) (*NodeRequest, error) {
	text = strings.Join(strings.Fields(text), "")
	code, ok := strings.CutPrefix(text, requestPrefix)
	if !ok || len(code) > 2*maxRequest {
		return nil, fmt.Errorf("read node request: %w: it does not begin with %s", ErrMalformed, requestPrefix)
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(code)
	if err != nil {
		return nil, fmt.Errorf("read node request: %w: no base64", ErrMalformed)
	}
	r, err := parseNodeRequest(raw)
	if err != nil {
		return nil, fmt.Errorf("read node request: %w", err)
	}
	return r, nil
}

func parseNodeRequest(raw []byte) (*NodeRequest, error) {
	body, sig, err := open(raw, maxRequest)
	if err != nil {
		return nil, err
	}
	if v, err := versionOf(body); err != nil {
		return nil, err
	} else if v != Version {
		return nil, fmt.Errorf("%w %d", ErrVersion, v)
	}
	r := new(NodeRequest)
	if err := Unmarshal(body, maxRequest, r); err != nil {
		return nil, err
	}
	if err := line("recipient", r.Recipient, 1, MaxRecipient); err != nil {
		return nil, err
	}
	return r, verify(DomainRequest, r.Node, body, sig)
}

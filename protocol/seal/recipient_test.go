package seal

import (
	"errors"
	"testing"

	"filippo.io/age/plugin"

	"github.com/tipmesh/tipmesh/protocol"
)

// TestLowOrderRecipient checks that a recipient whose X25519 half is zero, which
// age takes and cannot seal to, is found out before it fails a grant for all.
func TestLowOrderRecipient(t *testing.T) {
	_, key, err := plugin.ParseRecipient(newIdentity(t).Recipient())
	if err != nil {
		t.Fatal(err)
	}
	clear(key[len(key)-32:])
	bad := plugin.EncodeRecipient("pq", key)
	if err := ValidRecipient(bad); !errors.Is(err, protocol.ErrMalformed) {
		t.Errorf("ValidRecipient: %v", err)
	}
	if _, err := parseRecipient(bad); err != nil {
		t.Logf("age refuses it when parsing already: %v", err)
	}
	if _, err := Direct([]byte("x"), []string{newIdentity(t).Recipient(), bad}); err == nil {
		t.Error("sealed to a key of low order")
	}
}

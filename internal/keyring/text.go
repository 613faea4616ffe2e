package keyring

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/tipmesh/tipmesh/protocol/seal"
)

const (
	nodeComment   = "# secret: whoever has this file can act and read as this node\n"
	memberComment = "# secret: whoever has this file can act as this member; keep it offline if you can\n"
	maxFile       = 256 << 10 // bytes; some thousand age identities
)

func formatKeys(k *Keys) []byte {
	var b bytes.Buffer
	b.WriteString(nodeComment)
	line(&b, "node", hex.EncodeToString(k.Node.Seed()))
	line(&b, "node-age", k.NodeAge.String())
	for _, id := range k.MemberAge {
		line(&b, "member-age", id.String())
	}
	line(&b, "store", hex.EncodeToString(k.Store))
	return b.Bytes()
}

func formatMember(key ed25519.PrivateKey) []byte {
	var b bytes.Buffer
	b.WriteString(memberComment)
	line(&b, "member", hex.EncodeToString(key.Seed()))
	return b.Bytes()
}

func line(b *bytes.Buffer, name, value string) {
	b.WriteString(name + ": " + value + "\n")
}

// field takes one value; its error says what is wrong and never shows the value.
type field struct {
	many bool
	take func(value string) error
}

// parse reads the lines of a key file. Every field must be there, once unless
// many. A damaged line is named by number; its text is never shown, since a line
// that lost its name is all key.
func parse(text []byte, fields map[string]field, order []string) error {
	if len(text) > maxFile {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrDamaged, len(text), maxFile)
	}
	seen := make(map[string]bool)
	for i, s := range strings.Split(string(text), "\n") {
		s = strings.TrimSpace(s)
		if s == "" || s[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(s, ":")
		f, known := fields[name]
		switch {
		case !ok:
			return fmt.Errorf("%w: line %d is no \"name: value\"", ErrDamaged, i+1)
		case !known:
			return fmt.Errorf("%w: line %d has an unknown name, want one of %s", ErrDamaged, i+1, strings.Join(order, ", "))
		case seen[name] && !f.many:
			return fmt.Errorf("%w: line %d repeats %s", ErrDamaged, i+1, name)
		}
		seen[name] = true
		if err := f.take(strings.TrimSpace(value)); err != nil {
			return fmt.Errorf("%w: line %d: %s: %v", ErrDamaged, i+1, name, err)
		}
	}
	for _, name := range order {
		if !seen[name] {
			return fmt.Errorf("%w: no line %q", ErrDamaged, name+":")
		}
	}
	return nil
}

func parseKeys(text []byte) (*Keys, error) {
	k := new(Keys)
	err := parse(text, map[string]field{
		"node": {take: seedInto(&k.Node)},
		"node-age": {take: func(v string) (err error) {
			k.NodeAge, err = seal.ParseIdentity(v)
			return err
		}},
		"member-age": {many: true, take: func(v string) error {
			id, err := seal.ParseIdentity(v)
			k.MemberAge = append(k.MemberAge, id)
			return err
		}},
		"store": {take: func(v string) (err error) {
			k.Store, err = secret(v, StoreKeySize)
			return err
		}},
	}, []string{"node", "node-age", "member-age", "store"})
	if err != nil {
		return nil, err
	}
	return k, nil
}

func parseMember(text []byte) (ed25519.PrivateKey, error) {
	var key ed25519.PrivateKey
	err := parse(text, map[string]field{"member": {take: seedInto(&key)}}, []string{"member"})
	if err != nil {
		return nil, err
	}
	return key, nil
}

func seedInto(key *ed25519.PrivateKey) func(string) error {
	return func(v string) error {
		seed, err := secret(v, ed25519.SeedSize)
		if err == nil {
			*key = ed25519.NewKeyFromSeed(seed)
		}
		return err
	}
}

// secret reads n bytes in hexadecimal. hex's own errors show characters of it.
func secret(v string, n int) ([]byte, error) {
	data, err := hex.DecodeString(v)
	if err != nil || len(data) != n {
		return nil, fmt.Errorf("want %d hexadecimal digits", 2*n)
	}
	return data, nil
}

package keyring

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/tipmesh/tipmesh/protocol/seal"
)

// NextNodeFile holds the keys of the node that is to take this one's place, until
// it has.
const NextNodeFile = "next-node.key"

// Next makes the keys of a node that takes this one's place in its home, over the
// same store and for the same member, and keeps them beside node.key; or it gives
// those kept there before.
func (k *Keys) Next(dir string, pass []byte) (*Keys, error) {
	next, err := LoadNext(dir, pass)
	if err != nil || next != nil {
		return next, err
	}
	if next, err = newKeys(); err != nil {
		return nil, fmt.Errorf("make the next node's keys: %w", err)
	}
	next.MemberAge, next.Store = slices.Clone(k.MemberAge), slices.Clone(k.Store)
	if err := writeFile(filepath.Join(dir, NextNodeFile), formatKeys(next), pass, false); err != nil {
		return nil, fmt.Errorf("make the next node's keys: %w", err)
	}
	return next, nil
}

// LoadNext gives the keys of the node that is to take this one's place, nil where
// there is none.
func LoadNext(dir string, pass []byte) (*Keys, error) {
	text, err := readFile(filepath.Join(dir, NextNodeFile), pass)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("load the next node's keys: %w", err)
	}
	k, err := parseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("load the next node's keys: %s: %w", NextNodeFile, err)
	}
	return k, nil
}

// TakeNext puts the next node's keys in the place of node.key, whose keys are gone
// then.
func TakeNext(dir string) error {
	if err := os.Rename(filepath.Join(dir, NextNodeFile), filepath.Join(dir, NodeFile)); err != nil {
		return fmt.Errorf("take the next node's keys: %w", err)
	}
	return syncDir(dir)
}

// NewMemberKey makes the member key to follow another one, and writes it to a file
// that must not be there yet: ErrExists.
func NewMemberKey(path string, pass []byte) (public [32]byte, err error) {
	key, err := newKey()
	if err != nil {
		return public, err
	}
	if err := SaveMember(path, key, pass, false); err != nil {
		return public, err
	}
	copy(public[:], key[32:])
	return public, nil
}

// Adopt makes the age identities those of the keys, the newest last.
func (k *Keys) Adopt(ids []*seal.Identity) { k.MemberAge = slices.Clone(ids) }

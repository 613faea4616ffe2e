// Package keyring keeps a node's keys in files of its home folder.
//
// node.key holds what a running node needs; member.key and next-member.key hold
// the member key and the one to follow it, and can be moved offline. A file is
// text, one "name: value" a line under a comment that says it is secret. With a
// passphrase the whole file is an armored age file (scrypt), which stock age
// opens too. Files have mode 0600 and are replaced atomically. No error and no
// format verb shows a key.
package keyring

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"

	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/seal"
)

// Names of the key files in a home folder.
const (
	NodeFile       = "node.key"
	MemberFile     = "member.key"
	NextMemberFile = "next-member.key"
)

// StoreKeySize is the length of the store's encryption key, in bytes: AES-256.
const StoreKeySize = 32

// Errors that callers branch on. The texts tell a person what to do.
var (
	ErrNoMemberKey     = errors.New("the member key is not here")
	ErrNeedsPassphrase = errors.New("the key file is locked: a passphrase is needed")
	ErrWrongPassphrase = errors.New("wrong passphrase")
	ErrTooOpen         = errors.New("others can read the key file")
	ErrDamaged         = errors.New("damaged key file")
	ErrExists          = errors.New("key file is already there")
	errUnfitPassphrase = errors.New("an empty passphrase locks nothing")
	errIncompleteKeys  = errors.New("keys are missing")
)

// Keys are the keys of a running node.
type Keys struct {
	Node      ed25519.PrivateKey // signs entries; the network identity
	NodeAge   *seal.Identity     // opens the member's private audience, at this node alone
	MemberAge []*seal.Identity   // open what is sealed to the member; newest last, older ones still open old grants
	Store     []byte             // StoreKeySize bytes: encrypts the store
}

// Format keeps the keys out of every format verb.
func (k *Keys) Format(f fmt.State, _ rune) {
	if k == nil || len(k.Node) != ed25519.PrivateKeySize {
		_, _ = io.WriteString(f, "no keys")
		return
	}
	_, _ = io.WriteString(f, "keys of node "+protocol.KeyOf(k.Node).Short())
}

// LogValue keeps the keys out of structured logs.
func (k *Keys) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(k)) }

// Current is the member's newest age identity, the one its card names.
func (k *Keys) Current() *seal.Identity { return k.MemberAge[len(k.MemberAge)-1] }

// Create makes all keys of a new member and its first node, and writes them to
// dir, which it makes where it is absent. next is the member key to come, whose
// hash the first card commits to. A nil passphrase leaves the files unlocked.
// It overwrites nothing: ErrExists.
func Create(dir string, pass []byte) (k *Keys, member, next ed25519.PrivateKey, err error) {
	if err := makeDir(dir); err != nil {
		return nil, nil, nil, fmt.Errorf("create keys: %w", err)
	}
	for _, name := range []string{NodeFile, MemberFile, NextMemberFile} {
		if err := mustBeAbsent(filepath.Join(dir, name)); err != nil {
			return nil, nil, nil, fmt.Errorf("create keys: %w", err)
		}
	}
	if k, err = newKeys(); err != nil {
		return nil, nil, nil, fmt.Errorf("create keys: %w", err)
	}
	if member, err = newKey(); err != nil {
		return nil, nil, nil, fmt.Errorf("create keys: %w", err)
	}
	if next, err = newKey(); err != nil {
		return nil, nil, nil, fmt.Errorf("create keys: %w", err)
	}
	// The node's file comes last: where it is, all are.
	for _, f := range []struct {
		name string
		text []byte
	}{
		{NextMemberFile, formatMember(next)}, {MemberFile, formatMember(member)}, {NodeFile, formatKeys(k)},
	} {
		if err := writeFile(filepath.Join(dir, f.name), f.text, pass, false); err != nil {
			return nil, nil, nil, fmt.Errorf("create keys: %w", err)
		}
	}
	return k, member, next, nil
}

// NewNode makes the keys of a further node of a member that has age identities
// already, and writes node.key to dir. It overwrites nothing: ErrExists.
func NewNode(dir string, memberAge []*seal.Identity, pass []byte) (*Keys, error) {
	if err := makeDir(dir); err != nil {
		return nil, fmt.Errorf("create node keys: %w", err)
	}
	k, err := newKeys()
	if err != nil {
		return nil, fmt.Errorf("create node keys: %w", err)
	}
	if len(memberAge) > 0 {
		k.MemberAge = memberAge
	}
	if err := writeFile(filepath.Join(dir, NodeFile), formatKeys(k), pass, false); err != nil {
		return nil, fmt.Errorf("create node keys: %w", err)
	}
	return k, nil
}

// Save replaces node.key, as after the member's age identity changed.
func (k *Keys) Save(dir string, pass []byte) error {
	if err := k.complete(); err != nil {
		return fmt.Errorf("save keys: %w", err)
	}
	if err := writeFile(filepath.Join(dir, NodeFile), formatKeys(k), pass, true); err != nil {
		return fmt.Errorf("save keys: %w", err)
	}
	return nil
}

// Load reads node.key. Errors wrap ErrNeedsPassphrase, ErrWrongPassphrase,
// ErrTooOpen, ErrDamaged or fs.ErrNotExist.
func Load(dir string, pass []byte) (*Keys, error) {
	text, err := readFile(filepath.Join(dir, NodeFile), pass)
	if err != nil {
		return nil, fmt.Errorf("load keys: %w", err)
	}
	k, err := parseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("load keys: %s: %w", NodeFile, err)
	}
	return k, nil
}

// LoadMember reads a member key file, as member.key or next-member.key. Errors
// wrap ErrNoMemberKey where the file is absent, since the key may be kept
// offline, else those of Load.
func LoadMember(path string, pass []byte) (ed25519.PrivateKey, error) {
	text, err := readFile(path, pass)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("load member key: %w: %s is absent", ErrNoMemberKey, path)
	} else if err != nil {
		return nil, fmt.Errorf("load member key: %w", err)
	}
	key, err := parseMember(text)
	if err != nil {
		return nil, fmt.Errorf("load member key: %s: %w", filepath.Base(path), err)
	}
	return key, nil
}

// SaveMember writes a member key file. Unless replace is set it overwrites
// nothing: ErrExists.
func SaveMember(path string, key ed25519.PrivateKey, pass []byte, replace bool) error {
	if len(key) != ed25519.PrivateKeySize {
		return fmt.Errorf("save member key: %w", errIncompleteKeys)
	}
	if err := writeFile(path, formatMember(key), pass, replace); err != nil {
		return fmt.Errorf("save member key: %w", err)
	}
	return nil
}

func newKeys() (*Keys, error) {
	k := &Keys{Store: make([]byte, StoreKeySize)}
	var err error
	if k.Node, err = newKey(); err != nil {
		return nil, err
	}
	if k.NodeAge, err = seal.NewIdentity(); err != nil {
		return nil, err
	}
	age, err := seal.NewIdentity()
	if err != nil {
		return nil, err
	}
	k.MemberAge = []*seal.Identity{age}
	if _, err := rand.Read(k.Store); err != nil {
		return nil, fmt.Errorf("make store key: %w", err)
	}
	return k, nil
}

func newKey() (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	return key, nil
}

func (k *Keys) complete() error {
	if len(k.Node) != ed25519.PrivateKeySize || k.NodeAge == nil || len(k.MemberAge) == 0 || len(k.Store) != StoreKeySize {
		return errIncompleteKeys
	}
	return nil
}

// Package backup is the file that a home is kept in: one age file, under a
// passphrase or for an age recipient, so that stock age opens it. Inside is
//
//	magic || length (4 bytes, big-endian) || manifest in JSON || copy of the store
//
// age tells a cut or altered file; the copy of the store ends with a checksum of
// its own.
package backup

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/tipmesh/tipmesh/protocol"
)

const (
	magic       = "tipmesh-backup-1\n"
	maxManifest = 1 << 20
	version     = 1
)

// Reasons why a file is not read.
var (
	ErrNone    = errors.New("this is no backup of tipmesh")
	ErrLocked  = errors.New("the passphrase or identity does not open this backup")
	ErrDamaged = errors.New("the backup is damaged")
	errNewer   = errors.New("a newer tipmesh wrote this backup; use that")
)

// Manifest is what a backup holds beside the store. It is secret.
type Manifest struct {
	Version   int               `json:"version"`
	Mesh      protocol.MeshID   `json:"mesh"`
	MeshName  string            `json:"mesh_name"`
	Member    protocol.MemberID `json:"member"`
	Node      protocol.Key      `json:"node"` // which is never used again
	Time      time.Time         `json:"time"`
	Locked    bool              `json:"locked,omitempty"`     // the key files were under a passphrase
	MemberAge []string          `json:"member_age"`           // age identities of the member, newest last
	MemberKey []byte            `json:"member_key,omitempty"` // seeds, where asked for
	NextKey   []byte            `json:"next_key,omitempty"`
}

// Lock says what a backup is put under: a passphrase, or a recipient.
type Lock struct {
	Passphrase []byte
	Recipient  string // age1...
	check      string // a recipient made to read the file back
	work       int    // scrypt's; 0: age's own
}

// Checked gives the same lock and a key that opens what it locks once, to read
// it back after writing: the passphrase, or an identity made for it and kept by
// nobody, beside the recipient.
func (l Lock) Checked() (Lock, Key, error) {
	if l.Recipient == "" {
		return l, Key{Passphrase: l.Passphrase}, nil
	}
	// age mixes no recipients that withstand quantum computers with others.
	if strings.HasPrefix(strings.TrimSpace(l.Recipient), "age1pq1") {
		id, err := age.GenerateHybridIdentity()
		if err != nil {
			return l, Key{}, fmt.Errorf("lock backup: %w", err)
		}
		l.check = id.Recipient().String()
		return l, Key{Identities: []byte(id.String())}, nil
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return l, Key{}, fmt.Errorf("lock backup: %w", err)
	}
	l.check = id.Recipient().String()
	return l, Key{Identities: []byte(id.String())}, nil
}

func (l *Lock) recipients() ([]age.Recipient, error) {
	if l.Recipient != "" {
		return age.ParseRecipients(strings.NewReader(l.Recipient + "\n" + l.check))
	}
	to, err := age.NewScryptRecipient(string(l.Passphrase))
	if err != nil {
		return nil, err
	}
	if l.work != 0 {
		to.SetWorkFactor(l.work)
	}
	return []age.Recipient{to}, nil
}

// Check tells what is wrong with a lock before any work is done.
func (l *Lock) Check() error {
	if _, err := l.recipients(); err != nil {
		return fmt.Errorf("read whom the backup is for: %w", err)
	}
	return nil
}

// Write writes a backup; store is the copy of the store.
func Write(w io.Writer, l Lock, m *Manifest, store io.Reader) error {
	m.Version = version
	head, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("write backup: %w", err)
	}
	to, err := l.recipients()
	if err != nil {
		return fmt.Errorf("write backup: %w", err)
	}
	sealed, err := age.Encrypt(w, to...)
	if err != nil {
		return fmt.Errorf("write backup: %w", err)
	}
	head = append(binary.BigEndian.AppendUint32([]byte(magic), uint32(len(head))), head...)
	if _, err := sealed.Write(head); err != nil {
		return fmt.Errorf("write backup: %w", err)
	}
	if _, err := io.Copy(sealed, store); err != nil {
		return fmt.Errorf("write backup: %w", err)
	}
	if err := sealed.Close(); err != nil {
		return fmt.Errorf("write backup: %w", err)
	}
	return nil
}

// Key opens a backup.
type Key struct {
	Passphrase []byte
	Identities []byte // the text of a file of age identities
}

func (k *Key) identities() ([]age.Identity, error) {
	if k.Identities != nil {
		return age.ParseIdentities(bytes.NewReader(k.Identities))
	}
	id, err := age.NewScryptIdentity(string(k.Passphrase))
	if err != nil {
		return nil, err
	}
	return []age.Identity{id}, nil
}

// Locked tells how a file that begins with these bytes is locked: by a
// passphrase, or for a recipient. ErrNone where it is no age file.
func Locked(start []byte) (passphrase bool, err error) {
	rest, ok := bytes.CutPrefix(start, []byte("age-encryption.org/v1\n-> "))
	if !ok {
		return false, ErrNone
	}
	return bytes.HasPrefix(rest, []byte("scrypt ")), nil
}

// Open reads a backup's manifest and gives what follows: the copy of the store,
// which must be read to its end before any of it is believed.
func Open(r io.Reader, k Key) (*Manifest, io.Reader, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	start, err := b.Peek(64)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, fmt.Errorf("open backup: %w", err)
	}
	if _, err := Locked(start); err != nil {
		return nil, nil, fmt.Errorf("open backup: %w", err)
	}
	ids, err := k.identities()
	if err != nil {
		return nil, nil, fmt.Errorf("open backup: %w: %w", ErrLocked, err)
	}
	plain, err := age.Decrypt(b, ids...)
	var other *age.NoIdentityMatchError
	if errors.As(err, &other) {
		return nil, nil, fmt.Errorf("open backup: %w", ErrLocked)
	} else if err != nil {
		return nil, nil, fmt.Errorf("open backup: %w: %w", ErrDamaged, err)
	}
	m, err := readManifest(plain)
	if err != nil {
		return nil, nil, fmt.Errorf("open backup: %w", err)
	}
	return m, plain, nil
}

func readManifest(r io.Reader) (*Manifest, error) {
	head := make([]byte, len(magic)+4)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if !bytes.HasPrefix(head, []byte(magic)) {
		return nil, ErrNone
	}
	n := binary.BigEndian.Uint32(head[len(magic):])
	if n > maxManifest {
		return nil, fmt.Errorf("%w: a manifest of %d bytes", ErrDamaged, n)
	}
	raw := make([]byte, n)
	if _, err := io.ReadFull(r, raw); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	m := new(Manifest)
	if err := json.Unmarshal(raw, m); err != nil {
		return nil, fmt.Errorf("%w: manifest: %w", ErrDamaged, err)
	}
	switch {
	case m.Version != version:
		return nil, errNewer
	case m.Mesh.IsZero() || m.Member.IsZero() || m.Node.IsZero() || len(m.MemberAge) == 0:
		return nil, fmt.Errorf("%w: the manifest is not whole", ErrDamaged)
	}
	return m, nil
}

package home

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/tipmesh/tipmesh/internal/backup"
	"github.com/tipmesh/tipmesh/internal/keyring"
	"github.com/tipmesh/tipmesh/protocol"
)

// saved backs up a home that is not running; its store is opened for that.
func saved(t *testing.T, dir string, o BackupOptions) string {
	t.Helper()
	h, err := Open(dir, Options{Passphrase: o.Passphrase})
	if err != nil {
		t.Fatal(err)
	}
	var copied bytes.Buffer
	if err := errors.Join(h.Node.Copy(t.Context(), &copied), h.Close()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "b.tmb")
	made, err := Backup(t.Context(), dir, path, &copied, o)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 || info.Size() != made.Bytes || made.Records == 0 {
		t.Errorf("%v %+v %v", info, made, err)
	}
	return path
}

func restoreFrom(t *testing.T, path, dir string, o RestoreOptions) (*Restored, error) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	o.Unsigned = func(u protocol.Unsigned) []byte { return u }
	return Restore(t.Context(), dir, f, o)
}

// A backup sealed to a recipient restores with its identity: with a new node key,
// the member's keys, and a card that names both nodes.
func TestRestoreMakesANewNode(t *testing.T) {
	dir := create(t)
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	path := saved(t, dir, BackupOptions{Lock: backup.Lock{Recipient: id.Recipient().String()}, MemberKey: true})
	to := filepath.Join(t.TempDir(), "restored")
	r, err := restoreFrom(t, path, to, RestoreOptions{Key: backup.Key{Identities: []byte(id.String())}})
	if err != nil {
		t.Fatal(err)
	}
	old, err := keyring.Load(filepath.Join(dir, keysFolder), nil)
	if err != nil {
		t.Fatal(err)
	}
	h, err := Open(to, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	m, ok := h.Node.Roster().ByNode(h.Node.Key())
	switch {
	case !ok || m.ID != h.Member || len(m.Nodes) != 2 || m.Card.Version != 2:
		t.Errorf("the card does not name the new node: %+v", m)
	case h.Node.Key() == protocol.KeyOf(old.Node) || r.Node != h.Node.Key():
		t.Error("the old node key is used again")
	}
	if was, ok := h.Node.Restored(); !ok || was != protocol.KeyOf(old.Node) {
		t.Errorf("it does not know which node was before: %v", was)
	}
	raw, err := os.ReadFile(filepath.Join(to, CardFile))
	if s, bad := protocol.ParseStatement(raw); err != nil || bad != nil || s.ID() != r.Card.ID() {
		t.Errorf("the card's file: %v %v", err, bad)
	}
	for _, name := range []string{keyring.MemberFile, keyring.NextMemberFile, keyring.NodeFile} {
		if info, err := os.Stat(filepath.Join(to, keysFolder, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Keys that were under a passphrase are so again; without the member key the card
// is left to be signed.
func TestRestoreLocksKeys(t *testing.T) {
	pass := []byte("correct horse")
	dir := create(t)
	folder := filepath.Join(dir, keysFolder)
	member, err := keyring.LoadMember(filepath.Join(folder, keyring.MemberFile), nil)
	if err != nil {
		t.Fatal(err)
	}
	k, err := keyring.Load(folder, nil)
	if err == nil {
		err = errors.Join(k.Save(folder, pass), os.Remove(filepath.Join(folder, keyring.MemberFile)))
	}
	if err != nil {
		t.Fatal(err)
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	key := backup.Key{Identities: []byte(id.String())}
	path := saved(t, dir, BackupOptions{Passphrase: pass, Lock: backup.Lock{Recipient: id.Recipient().String()}})
	to := filepath.Join(t.TempDir(), "restored")
	if _, err := restoreFrom(t, path, to, RestoreOptions{Key: key}); !errors.Is(err, keyring.ErrNeedsPassphrase) {
		t.Errorf("keys that were locked would be open: %v", err)
	}
	r, err := restoreFrom(t, path, to, RestoreOptions{Key: key, Passphrase: pass})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keyring.Load(filepath.Join(to, keysFolder), nil); !errors.Is(err, keyring.ErrNeedsPassphrase) {
		t.Errorf("the new keys are open: %v", err)
	}
	if _, err := os.Stat(filepath.Join(to, keysFolder, keyring.MemberFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the member key was in the backup, unasked")
	}
	raw, err := os.ReadFile(filepath.Join(to, UnsignedFile))
	if err != nil || r.Card != nil || !r.Keyless {
		t.Fatalf("%+v %v", r, err)
	}
	if _, err := protocol.Unsigned(raw).Sign(member); err != nil {
		t.Errorf("the card cannot be signed: %v", err)
	}
	if _, err := restoreFrom(t, path, to, RestoreOptions{Key: key, Passphrase: pass}); !errors.Is(err, ErrExists) {
		t.Errorf("restored over a home: %v", err)
	}
}

// What opens and is not sound leaves nothing behind: a store that is cut, keys
// that are none, another mesh's store, another's member key.
func TestRestoreRefusesWhatIsNotSound(t *testing.T) {
	dir := create(t)
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	lock, key := backup.Lock{Recipient: id.Recipient().String()}, backup.Key{Identities: []byte(id.String())}
	h, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var copied bytes.Buffer
	if err := errors.Join(h.Node.Copy(context.Background(), &copied), h.Close()); err != nil {
		t.Fatal(err)
	}
	other := create(t)
	foreign, err := keyring.LoadMember(filepath.Join(other, keysFolder, keyring.MemberFile), nil)
	if err != nil {
		t.Fatal(err)
	}
	good, err := manifestOf(dir, BackupOptions{Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	others, err := manifestOf(other, BackupOptions{Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(m *backup.Manifest, store []byte) []byte{
		"cut store":     func(_ *backup.Manifest, store []byte) []byte { return store[:len(store)-1] },
		"no store":      func(_ *backup.Manifest, _ []byte) []byte { return nil },
		"other mesh":    func(m *backup.Manifest, store []byte) []byte { m.Mesh[0] ^= 1; return store },
		"other member":  func(m *backup.Manifest, store []byte) []byte { m.Member[0] ^= 1; return store },
		"no identities": func(m *backup.Manifest, store []byte) []byte { m.MemberAge = []string{"nothing"}; return store },
		"another's age": func(m *backup.Manifest, store []byte) []byte { m.MemberAge = others.MemberAge; return store },
		"foreign key":   func(m *backup.Manifest, store []byte) []byte { m.MemberKey = foreign.Seed(); return store },
		"short key":     func(m *backup.Manifest, store []byte) []byte { m.MemberKey = []byte{1}; return store },
	} {
		m := *good
		raw := change(&m, bytes.Clone(copied.Bytes()))
		var file bytes.Buffer
		if err := backup.Write(&file, lock, &m, bytes.NewReader(raw)); err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(t.TempDir(), "restored")
		_, err := Restore(t.Context(), to, &file, RestoreOptions{Key: key, Unsigned: func(u protocol.Unsigned) []byte { return u }})
		if err == nil {
			t.Errorf("%s: restored", name)
		}
		if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: something is left", name)
		}
	}
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "a"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := backup.Write(&file, lock, good, &copied); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), full, &file, RestoreOptions{Key: key}); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("restored into a folder with other things: %v", err)
	}
}

// A backup whose writing fails leaves no file, and an older one stays.
func TestBackupIsWholeOrNotThere(t *testing.T) {
	dir := create(t)
	folder := t.TempDir()
	path := filepath.Join(folder, "b.tmb")
	if err := os.WriteFile(path, []byte("older"), 0o600); err != nil {
		t.Fatal(err)
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	o := BackupOptions{Lock: backup.Lock{Recipient: id.Recipient().String()}}
	if _, err := Backup(t.Context(), dir, path, strings.NewReader("cut"), o); !errors.Is(err, ErrFileExists) {
		t.Error(err)
	}
	o.Replace = true
	if _, err := Backup(t.Context(), dir, path, strings.NewReader("cut"), o); !errors.Is(err, ErrUnchecked) {
		t.Error(err)
	}
	list, err := os.ReadDir(folder)
	if raw, _ := os.ReadFile(path); err != nil || len(list) != 1 || string(raw) != "older" {
		t.Errorf("%v %q %v", list, raw, err)
	}
}

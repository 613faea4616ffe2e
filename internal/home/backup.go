package home

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/tipmesh/tipmesh/internal/backup"
	"github.com/tipmesh/tipmesh/internal/keyring"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store/badger"
)

// Errors of backup and restore.
var (
	ErrFileExists = errors.New("there is a file of that name already")
	ErrUnchecked  = errors.New("the backup does not read back")
)

// BackupOptions say what goes into a backup and under what.
type BackupOptions struct {
	Passphrase []byte        // of the key files, where they are under one
	Lock       backup.Lock   // of the backup
	MemberKey  bool          // the member keys go into it too
	Replace    bool          // of a file that is there
	Now        time.Time     // zero: the clock's
	Progress   func(n int64) // bytes of the store so far; may be nil
}

// BackedUp is a backup that was made and read back.
type BackedUp struct {
	Path      string
	Bytes     int64
	Records   uint64 // of the store
	Time      time.Time
	MemberKey bool
}

// Backup writes a home and the copy of its running node's store to a file, which
// is there whole or not at all: it is synced and read back before it gets its
// name. The copy's moment must be fixed already, so that no key in it is older
// than what it opens.
func Backup(ctx context.Context, dir, path string, storeCopy io.Reader, o BackupOptions) (_ *BackedUp, err error) {
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	if _, err := os.Lstat(path); err == nil && !o.Replace {
		return nil, fmt.Errorf("back up: %w: %s", ErrFileExists, path)
	}
	m, err := manifestOf(dir, o)
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // of mode 0600
	if err != nil {
		return nil, fmt.Errorf("back up: %w", err)
	}
	defer func() {
		if err != nil {
			ignore(os.Remove(f.Name()))
		}
	}()
	lock, key, err := o.Lock.Checked()
	if err == nil {
		err = backup.Write(f, lock, m, counted(ctx, storeCopy, o.Progress))
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("back up: %w", err)
	}
	out := &BackedUp{Path: path, Time: m.Time, MemberKey: m.MemberKey != nil}
	if out.Records, out.Bytes, err = readBack(ctx, f.Name(), key, m); err != nil {
		return nil, fmt.Errorf("back up: %w: %w", ErrUnchecked, err)
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return nil, fmt.Errorf("back up: %w", err)
	}
	if err = syncFolder(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("back up: %w", err)
	}
	return out, nil
}

// MeshOf reads which mesh a home is of; ErrNone where there is no home.
func MeshOf(dir string) (protocol.MeshID, error) {
	f, err := readMesh(dir)
	if err != nil {
		return protocol.MeshID{}, err
	}
	return f.Mesh, nil
}

// manifestOf reads what a backup holds beside the store.
func manifestOf(dir string, o BackupOptions) (*backup.Manifest, error) {
	f, err := readMesh(dir)
	if err != nil {
		return nil, err
	}
	if f.Card != nil {
		return nil, fmt.Errorf("back up: %w", ErrPending)
	}
	folder := filepath.Join(dir, keysFolder)
	keys, err := keyring.Load(folder, o.Passphrase)
	if err != nil {
		return nil, keyError(folder, err)
	}
	m := &backup.Manifest{Mesh: f.Mesh, MeshName: f.Name, Member: f.Member, Node: protocol.KeyOf(keys.Node), Time: o.Now.UTC().Truncate(time.Millisecond)}
	for _, id := range keys.MemberAge {
		m.MemberAge = append(m.MemberAge, id.String())
	}
	raw, err := os.ReadFile(filepath.Join(folder, keyring.NodeFile)) // #nosec G304 -- in the home folder
	if err != nil {
		return nil, fmt.Errorf("back up: %w", err)
	}
	m.Locked = bytes.HasPrefix(bytes.TrimSpace(raw), []byte("-----BEGIN AGE"))
	if !o.MemberKey {
		return m, nil
	}
	member, err := keyring.LoadMember(filepath.Join(folder, keyring.MemberFile), o.Passphrase)
	if err != nil {
		return nil, fmt.Errorf("back up the member key: %w", err)
	}
	m.MemberKey = member.Seed()
	next, err := keyring.LoadMember(filepath.Join(folder, keyring.NextMemberFile), o.Passphrase)
	if err == nil {
		m.NextKey = next.Seed()
	} else if !errors.Is(err, keyring.ErrNoMemberKey) {
		return nil, fmt.Errorf("back up the next member key: %w", err)
	}
	return m, nil
}

// readBack reads a backup as a restore would.
func readBack(ctx context.Context, path string, key backup.Key, want *backup.Manifest) (records uint64, size int64, err error) {
	f, err := os.Open(path) // #nosec G304 -- just written
	if err != nil {
		return 0, 0, err
	}
	defer func() { ignore(f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return 0, 0, err
	}
	m, rest, err := backup.Open(f, key)
	if err != nil {
		return 0, 0, err
	}
	if m.Node != want.Node || m.Mesh != want.Mesh {
		return 0, 0, errors.New("its manifest is another")
	}
	records, err = badger.CheckCopy(counted(ctx, rest, nil))
	return records, info.Size(), err
}

// counted is a reader that ends with ctx and tells how much was read.
func counted(ctx context.Context, r io.Reader, progress func(int64)) io.Reader {
	return &counter{ctx: ctx, r: r, tell: progress}
}

type counter struct {
	ctx  context.Context
	r    io.Reader
	n    int64
	tell func(int64)
}

// Read reads on unless the context has ended.
func (c *counter) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(b)
	if c.n += int64(n); c.tell != nil {
		c.tell(c.n)
	}
	return n, err
}

// memberKeyOf makes a member key of a seed.
func memberKeyOf(seed []byte) (ed25519.PrivateKey, error) {
	if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("%w: a member key of %d bytes", backup.ErrDamaged, len(seed))
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

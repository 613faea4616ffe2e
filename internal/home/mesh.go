package home

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/tipmesh/tipmesh/internal/keyring"
	"github.com/tipmesh/tipmesh/protocol"
)

const (
	meshFile    = "mesh"
	listenFile  = "listen"
	lockFile    = "lock"
	meshVersion = 1
	maxFile     = 4 << 20 // of the small files
)

// Errors that callers branch on.
var (
	ErrNone    = errors.New("there is no home of tipmesh")
	ErrDamaged = errors.New("the home is damaged")
	ErrPending = errors.New("the join is not finished")
)

// mesh is the file that makes a folder a home.
type mesh struct {
	Version int               `json:"version"`
	Mesh    protocol.MeshID   `json:"mesh"`
	Member  protocol.MemberID `json:"member"`
	Name    string            `json:"name"`
	// Card and Ticket are there as long as a join is under way.
	Card   []byte `json:"card,omitempty"`
	Ticket string `json:"ticket,omitempty"`
}

// damaged says what is wrong with a file or folder and what helps.
func damaged(path, what string, err error) error {
	if err != nil {
		return fmt.Errorf("%w: %s: %s: %w", ErrDamaged, path, what, err)
	}
	return fmt.Errorf("%w: %s: %s", ErrDamaged, path, what)
}

func readMesh(dir string) (*mesh, error) {
	path := filepath.Join(dir, meshFile)
	raw, err := readSmall(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(filepath.Join(dir, ownFolder)); err == nil {
			return nil, fmt.Errorf("%w: this node waits for the pack of its member: tipmesh join --own PACK", ErrPending)
		}
		if _, err := os.Lstat(filepath.Join(dir, keysFolder)); err == nil {
			if _, err := os.Lstat(filepath.Join(dir, newFolder)); err == nil {
				return nil, fmt.Errorf("%w in %s: making it was interrupted; run tipmesh create or join again", ErrNone, dir)
			}
			return nil, damaged(path, "it is missing, though keys are there; restore it from a backup", nil)
		}
		return nil, fmt.Errorf("%w in %s: make one with tipmesh create or tipmesh join", ErrNone, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("open home: %w", err)
	}
	f := new(mesh)
	d := json.NewDecoder(bytes.NewReader(raw))
	if err := d.Decode(f); err != nil {
		return nil, damaged(path, "it is garbled; restore it from a backup", err)
	}
	if f.Version != meshVersion {
		return nil, fmt.Errorf("open home: %s has version %d, this tipmesh reads %d; use a newer tipmesh", path, f.Version, meshVersion)
	}
	if f.Mesh.IsZero() || f.Member.IsZero() {
		return nil, damaged(path, "it names no mesh or member; restore it from a backup", nil)
	}
	return f, nil
}

func writeMesh(dir string, f *mesh) error {
	raw, err := json.MarshalIndent(f, "", "  ")
	if err == nil {
		err = writeSmall(filepath.Join(dir, meshFile), append(raw, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write mesh file: %w", err)
	}
	return nil
}

// readListen gives the addresses that were kept, none where there are none.
func readListen(dir string) ([]string, error) {
	path := filepath.Join(dir, listenFile)
	raw, err := readSmall(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("open home: %w", err)
	}
	list := strings.Fields(string(raw))
	for _, a := range list {
		if _, _, err := net.SplitHostPort(a); err != nil {
			return nil, damaged(path, "it must have one host:port a line; remove it to choose new ports, or give --listen", err)
		}
	}
	return list, nil
}

func writeListen(dir string, list []string) error {
	if err := writeSmall(filepath.Join(dir, listenFile), []byte(strings.Join(list, "\n")+"\n")); err != nil {
		return fmt.Errorf("keep listen addresses: %w", err)
	}
	return nil
}

func readSmall(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile || !info.Mode().IsRegular() {
		return nil, damaged(path, "it is no small file", nil)
	}
	return os.ReadFile(path) // #nosec G304 -- in the home folder
}

// writeSmall replaces a file so that a crash leaves the old or the new one.
func writeSmall(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() { ignore(os.Remove(f.Name())) }() // gone already after the rename
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// keyError says what to do about key files that cannot be used.
func keyError(dir string, err error) error {
	switch {
	case errors.Is(err, keyring.ErrNeedsPassphrase):
		return fmt.Errorf("open home: %w: give it with --passphrase-file", err)
	case errors.Is(err, keyring.ErrWrongPassphrase), errors.Is(err, keyring.ErrTooOpen):
		return fmt.Errorf("open home: %w", err)
	case errors.Is(err, fs.ErrNotExist):
		return damaged(dir, "a key file is missing; restore it from a backup", err)
	case errors.Is(err, keyring.ErrDamaged):
		return damaged(dir, "a key file is damaged; restore it from a backup", err)
	}
	return fmt.Errorf("open home: %w", err)
}

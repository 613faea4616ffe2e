package keyring

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"filippo.io/age"
	"filippo.io/age/armor"
)

// workFactor is scrypt's, as a power of two: age's own default, about a second.
// Tests lower it.
var workFactor = 18

func makeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	return nil
}

func mustBeAbsent(path string) error {
	switch _, err := os.Lstat(path); {
	case err == nil:
		return fmt.Errorf("%w: %s; move it away if it is left from an interrupted start", ErrExists, path)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	default:
		return fmt.Errorf("look for key file: %w", err)
	}
}

// writeFile puts text, locked if there is a passphrase, at path so that a crash
// leaves the old file or the new and nothing in between.
func writeFile(path string, text, pass []byte, replace bool) error {
	if pass != nil {
		var err error
		if text, err = lock(text, pass); err != nil {
			return fmt.Errorf("lock key file: %w", err)
		}
	}
	dir := filepath.Dir(path)
	// CreateTemp gives mode 0600.
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("write key file: %w", err)
	}
	defer os.Remove(f.Name()) // gone already after a rename
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write key file: %w", err)
	}
	if err := place(f.Name(), path, replace); err != nil {
		return err
	}
	return syncDir(dir)
}

// place gives a finished file its name. A hard link, unlike a rename, never
// replaces; file systems without them get a check and a rename.
func place(temp, path string, replace bool) error {
	if !replace {
		err := os.Link(temp, path)
		if err == nil {
			return nil
		}
		if err := mustBeAbsent(path); err != nil {
			return err
		}
	}
	if err := os.Rename(temp, path); err != nil {
		return fmt.Errorf("name key file: %w", err)
	}
	return nil
}

// syncDir makes the names in a folder durable. Windows cannot and need not.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	return nil
}

// readFile gives the text of a key file that nobody else can read.
func readFile(path string, pass []byte) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open key file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("open key file: %w", err)
	}
	// Windows has no such bits; the folder's access list is what counts there.
	if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode&0o077 != 0 {
		return nil, fmt.Errorf("%w: %s has mode %04o; run: chmod 600 %s", ErrTooOpen, path, mode, path)
	}
	data, err := io.ReadAll(io.LimitReader(f, 2*maxFile))
	if err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	if !bytes.HasPrefix(bytes.TrimSpace(data), []byte(armor.Header)) {
		return data, nil
	}
	if len(pass) == 0 {
		return nil, fmt.Errorf("%s: %w", path, ErrNeedsPassphrase)
	}
	if data, err = unlock(data, pass); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return data, nil
}

func lock(text, pass []byte) ([]byte, error) {
	if len(pass) == 0 {
		return nil, errUnfitPassphrase
	}
	to, err := age.NewScryptRecipient(string(pass))
	if err != nil {
		return nil, err
	}
	to.SetWorkFactor(workFactor)
	var out bytes.Buffer
	a := armor.NewWriter(&out)
	w, err := age.Encrypt(a, to)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := errors.Join(w.Close(), a.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func unlock(data, pass []byte) ([]byte, error) {
	id, err := age.NewScryptIdentity(string(pass))
	if err != nil {
		return nil, ErrWrongPassphrase
	}
	r, err := age.Decrypt(armor.NewReader(bytes.NewReader(data)), id)
	var other *age.NoIdentityMatchError
	if errors.As(err, &other) {
		return nil, ErrWrongPassphrase
	} else if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrDamaged, err)
	}
	text, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrDamaged, err)
	}
	return text, nil
}

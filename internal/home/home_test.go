package home

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/internal/keyring"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
)

func founder() CreateOptions {
	return CreateOptions{Mesh: "Harbour Alliance", MemberOptions: MemberOptions{Member: "Alder Research", Contact: "cert@alder.example"}}
}

func create(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "alder")
	if _, err := Create(dir, founder()); err != nil {
		t.Fatal(err)
	}
	return dir
}

// run runs a home until stop is called.
func run(t *testing.T, dir string, listen ...string) (h *Home, stop func()) {
	t.Helper()
	h, err := Open(dir, Options{Listen: listen})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	up, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- h.Run(ctx, func() { close(up) }) }()
	select {
	case <-up:
	case err := <-ended:
		t.Fatal(errors.Join(err, h.Close()))
	}
	return h, func() {
		cancel()
		if err := errors.Join(<-ended, h.Close()); err != nil {
			t.Error(err)
		}
	}
}

func TestCreate(t *testing.T) {
	dir := create(t)
	h, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, ok := h.Node.Roster().Member(h.Member)
	if !ok || m.State != trust.StateActive || m.Handle != "alder" || !m.Governor || h.MeshName != "Harbour Alliance" || h.Pending() {
		t.Errorf("member %+v", m)
	}
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrRunning) {
		t.Errorf("opened twice: %v", err)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if _, err := Create(dir, founder()); !errors.Is(err, ErrExists) {
		t.Errorf("created twice: %v", err)
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if filepath.Ext(path) == ".sst" {
			return nil // badger's later files have the mode of the process; their folder is closed
		}
		if info, err := d.Info(); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v %v", path, info.Mode(), err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestCreateLeavesNothing(t *testing.T) {
	bad := founder()
	bad.Handle = "Not A Handle"
	dir := filepath.Join(t.TempDir(), "new")
	if _, err := Create(dir, bad); err == nil {
		t.Fatal("a bad handle was taken")
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something was left: %v", err)
	}
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "letter"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(full, founder()); err == nil || !strings.Contains(err.Error(), "letter") {
		t.Errorf("a folder with other things: %v", err)
	}
	// A build that was killed half way is begun anew.
	half := filepath.Join(t.TempDir(), "half")
	for _, name := range []string{newFolder, keysFolder} {
		if err := os.MkdirAll(filepath.Join(half, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(half, Options{}); !errors.Is(err, ErrNone) {
		t.Errorf("open half a home: %v", err)
	}
	if _, err := Create(half, founder()); err != nil {
		t.Errorf("create over half a home: %v", err)
	}
}

func TestPassphrase(t *testing.T) {
	if testing.Short() {
		t.Skip("scrypt is slow")
	}
	o := founder()
	o.Passphrase = []byte("correct horse")
	dir := filepath.Join(t.TempDir(), "locked")
	if _, err := Create(dir, o); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); !errors.Is(err, keyring.ErrNeedsPassphrase) || !strings.Contains(err.Error(), "--passphrase-file") {
		t.Errorf("without: %v", err)
	}
	h, err := Open(dir, Options{Passphrase: o.Passphrase})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}

func TestPortsAreKept(t *testing.T) {
	dir := create(t)
	h, stop := run(t, dir, "127.0.0.1:0")
	first := h.Addresses()
	stop()
	h, stop = run(t, dir)
	if again := h.Addresses(); len(again) != 1 || again[0] != first[0] || strings.HasSuffix(again[0], ":0") {
		t.Errorf("first %v, then %v", first, again)
	}
	stop()
	h, stop = run(t, dir, "127.0.0.1:0")
	if again := h.Addresses(); again[0] != first[0] {
		t.Errorf("asked again: first %v, then %v", first, again)
	}
	stop()

	l, err := net.Listen("tcp", first[0])
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	h, err = Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if err := h.Run(t.Context(), nil); err == nil || !strings.Contains(err.Error(), first[0]) || !strings.Contains(err.Error(), "--listen") {
		t.Errorf("a taken port: %v", err)
	}
}

func TestEveryAddress(t *testing.T) {
	dir := create(t)
	_, stop := run(t, dir)
	stop()
	kept, err := readListen(dir)
	if err != nil || len(kept) != 1 || !strings.HasPrefix(kept[0], ":") || kept[0] == ":0" {
		t.Errorf("kept %v %v", kept, err)
	}
	_, stop = run(t, dir)
	stop()
}

func TestDamage(t *testing.T) {
	write := func(name, text string) func(string) error {
		return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600) }
	}
	for _, c := range []struct {
		name string
		harm func(dir string) error
		is   error
		says []string
	}{
		{"no home", os.RemoveAll, ErrNone, []string{"tipmesh create"}},
		{"garbled mesh file", write(meshFile, "{"), ErrDamaged, []string{meshFile, "backup"}},
		{"empty mesh file", write(meshFile, "{\"version\":1}"), ErrDamaged, []string{meshFile}},
		{"later version", write(meshFile, "{\"version\":9}"), nil, []string{"newer tipmesh"}},
		{"mesh file gone", func(dir string) error { return os.Remove(filepath.Join(dir, meshFile)) }, ErrDamaged, []string{"missing"}},
		{"garbled addresses", write(listenFile, "nonsense"), ErrDamaged, []string{listenFile, "--listen"}},
		{"garbled key", write("keys/node.key", "x"), ErrDamaged, []string{"node.key", "backup"}},
		{"key gone", func(dir string) error { return os.Remove(filepath.Join(dir, "keys/node.key")) }, ErrDamaged, []string{"node.key"}},
		{"open key", func(dir string) error { return os.Chmod(filepath.Join(dir, "keys/node.key"), 0o644) }, keyring.ErrTooOpen, []string{"chmod 600"}},
		{"another store's key", func(dir string) error {
			other := filepath.Join(filepath.Dir(dir), "other")
			if _, err := Create(other, founder()); err != nil {
				return err
			}
			raw, err := os.ReadFile(filepath.Join(other, "keys/node.key"))
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, "keys/node.key"), raw, 0o600)
		}, ErrDamaged, []string{"entries", "key"}},
		{"store gone", func(dir string) error { return os.RemoveAll(filepath.Join(dir, storeFolder)) }, ErrDamaged, []string{"charter"}},
		{"store cut", func(dir string) error { return os.Truncate(filepath.Join(dir, "store/entries/MANIFEST"), 3) }, ErrDamaged, []string{"entries", "backup"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := create(t)
			if err := c.harm(dir); err != nil {
				t.Fatal(err)
			}
			h, err := Open(dir, Options{})
			if err == nil {
				t.Fatal("opened", h.Close())
			}
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v, want %v", err, c.is)
			}
			for _, s := range c.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%v: does not say %q", err, s)
				}
			}
		})
	}
}

func TestSocket(t *testing.T) {
	for _, dir := range []string{t.TempDir(), filepath.Join(t.TempDir(), strings.Repeat("long/", 60))} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := Dial(t.Context(), dir); !errors.Is(err, ErrNotRunning) {
			t.Errorf("nobody there: %v", err)
		}
		l, err := Listen(dir)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Lstat(filepath.Join(dir, SocketFile)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v %v", info, err)
		}
		conn, err := Dial(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		if _, err := Listen(dir); !errors.Is(err, ErrRunning) {
			t.Errorf("a second one: %v", err)
		}
		// A killed process leaves its socket.
		if err := l.(*socket).UnixListener.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := Dial(t.Context(), dir); !errors.Is(err, ErrNotRunning) {
			t.Errorf("left behind: %v", err)
		}
		if l, err = Listen(dir); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(filepath.Join(dir, SocketFile)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the socket stays: %v", err)
		}
	}
}

func TestJoinIsResumed(t *testing.T) {
	alder, stop := run(t, create(t), "127.0.0.1:0")
	defer stop()
	ticket := func() (*protocol.Ticket, *protocol.Statement) {
		made, err := alder.Node.Invite("birch", time.Now().Add(time.Hour), true)
		if err != nil {
			t.Fatal(err)
		}
		read, charter, err := protocol.ParseTicket(made.Text())
		if err != nil {
			t.Fatal(err)
		}
		return read, charter
	}
	first, charter := ticket()
	dir := filepath.Join(t.TempDir(), "birch")
	o := MemberOptions{Member: "Birch", Handle: "alder", Contact: "x@birch.example"}
	made, err := NewMember(dir, first, charter, o)
	if err != nil {
		t.Fatal(err)
	}
	again, err := NewMember(dir, first, charter, o)
	if err != nil || again.Card.ID() != made.Card.ID() || !again.Again {
		t.Errorf("again: %v", err)
	}
	birch, stopBirch := run(t, dir, "127.0.0.1:0")
	if err := birch.Join(t.Context(), nil); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "handle") {
		t.Errorf("a taken handle: %v", err)
	}
	stopBirch()
	second, charter := ticket()
	o.Handle = "birch"
	made, err = NewMember(dir, second, charter, o)
	if err != nil || made.Card.ID() == again.Card.ID() {
		t.Fatalf("another handle: %v", err)
	}
	birch, stopBirch = run(t, dir)
	if err := birch.Join(t.Context(), nil); err != nil || birch.Pending() {
		t.Errorf("join: %v", err)
	}
	stopBirch()
	if _, err := NewMember(dir, second, charter, o); !errors.Is(err, ErrMember) {
		t.Errorf("a member joins: %v", err)
	}
	late := *second
	late.Expires = 1
	if _, err := NewMember(filepath.Join(t.TempDir(), "late"), &late, charter, o); !errors.Is(err, ErrExpired) {
		t.Errorf("late: %v", err)
	}
}

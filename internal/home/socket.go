package home

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// SocketFile is the name of the API's socket in a home folder.
const SocketFile = "api.sock"

// maxSocketPath is how long a unix socket's path may be on every system.
const maxSocketPath = 100

// Errors of the socket.
var (
	ErrRunning    = errors.New("a node is already running in this home")
	ErrNotRunning = errors.New("no node is running in this home")
)

// Listen opens the API's socket of a home. It replaces what a killed node left;
// where one answers: ErrRunning. The caller holds the home's lock.
func Listen(dir string) (net.Listener, error) {
	path := filepath.Join(dir, SocketFile)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if conn, err := Dial(ctx, dir); err == nil {
		return nil, errors.Join(fmt.Errorf("open socket: %w", ErrRunning), conn.Close())
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open socket: remove the old one: %w", err)
	}
	var l *net.UnixListener
	err := atSocket(dir, func(short string) (err error) {
		l, err = net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open socket %s: %w", path, err)
	}
	// The listener knows the short path, which is gone by the time it closes.
	l.SetUnlinkOnClose(false)
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("open socket: %w", err), l.Close())
	}
	return &socket{UnixListener: l, path: path}, nil
}

// socket is a listener that takes its file with it.
type socket struct {
	*net.UnixListener
	path string
}

// Close stops listening and removes the file.
func (s *socket) Close() error {
	err := s.UnixListener.Close()
	if gone := os.Remove(s.path); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return err
}

// Dial connects to the node that runs in a home; ErrNotRunning where none does.
func Dial(ctx context.Context, dir string) (net.Conn, error) {
	var conn net.Conn
	err := atSocket(dir, func(short string) (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, "unix", short)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("%w: %s", ErrNotRunning, dir)
	} else if err != nil {
		return nil, fmt.Errorf("connect to node: %w", err)
	}
	return conn, nil
}

// atSocket calls f with a path of the home's socket that is short enough for the
// kernel: where the real one is too long, one through a symbolic link in a
// temporary folder, which is gone afterwards.
func atSocket(dir string, f func(path string) error) error {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if path := filepath.Join(abs, SocketFile); len(path) <= maxSocketPath {
		return f(path)
	}
	temp, err := os.MkdirTemp("", "tm")
	if err == nil && len(temp) > maxSocketPath-16 {
		os.Remove(temp)
		temp, err = os.MkdirTemp("/tmp", "tm")
	}
	if err != nil {
		return fmt.Errorf("shorten socket path: %w", err)
	}
	defer os.RemoveAll(temp)
	link := filepath.Join(temp, "h")
	if err := os.Symlink(abs, link); err != nil {
		return fmt.Errorf("shorten socket path: %w", err)
	}
	return f(filepath.Join(link, SocketFile))
}

package nodetest

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
	"github.com/tipmesh/tipmesh/store/memory"
)

// disk is what a running node keeps its data on. It can be set to fail at a
// commit.
type disk struct {
	store.Store
	watch   func(*protocol.Header) // sees every header that is new
	writing sync.RWMutex           // held for writing while an image is made

	mu   sync.Mutex
	left int // commits until it fails; 0: it does not
	late bool
	fail func()
}

// failAt calls f in the middle of the commit that comes after so many others:
// once the change is made, but not yet acknowledged, if late is set; else before
// it is made.
func (d *disk) failAt(commits int, late bool, f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left, d.late, d.fail = commits+1, late, f
}

// Commit implements store.Entries.
func (d *disk) Commit(ctx context.Context, c *store.Commit) (uint64, error) {
	early, late := d.fails()
	early()
	last, err := d.change(ctx, c)
	late()
	return last, err
}

func (d *disk) change(ctx context.Context, c *store.Commit) (uint64, error) {
	d.writing.RLock()
	defer d.writing.RUnlock()
	for _, e := range c.Entries {
		if f, _ := d.Store.Feed(e.Header.Feed); e.Header.Seq > f.Head {
			d.watch(e.Header)
		}
	}
	return d.Store.Commit(ctx, c)
}

// fails gives what is to happen before and after the change of this commit.
func (d *disk) fails() (early, late func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	nothing := func() {}
	if d.left == 0 {
		return nothing, nothing
	}
	if d.left--; d.left > 0 {
		return nothing, nothing
	}
	if d.late {
		return nothing, d.fail
	}
	return d.fail, nothing
}

// image is a disk as it was at an instant.
type image struct {
	store *memory.Store
	dir   string
}

// open opens a member's store for its node.
func (m *Mesh) open(p *Member) (err error) {
	own := protocol.KeyOf(p.nodeKey)
	d := &disk{watch: func(h *protocol.Header) {
		switch {
		case h.Node != own:
			m.checkTaken(p, h)
		case m.wrote != nil:
			m.wrote(p, h)
		}
	}}
	if m.opt.Open == nil {
		d.Store = p.Store
		p.disk = d
		return nil
	}
	if p.dir == "" {
		p.dir = m.T.TempDir()
	}
	if d.Store, err = m.opt.Open(p.dir); err == nil {
		p.disk = d
	}
	return err
}

// close closes the store of a node that has stopped, if it is on the real disk.
func (m *Mesh) close(p *Member) error {
	if m.opt.Open == nil {
		return nil
	}
	return p.disk.Store.Close()
}

// image gives what a restart would find if the member's node died now. Its node
// runs, or its store is in memory.
func (m *Mesh) image(p *Member) (image, error) {
	if m.opt.Open == nil {
		return image{store: p.Store.Clone()}, nil
	}
	if p.Node != nil {
		p.disk.writing.Lock()
		defer p.disk.writing.Unlock()
	}
	dir := m.T.TempDir()
	return image{dir: dir}, copyFolder(dir, p.dir)
}

// putBack gives a member whose node is stopped the disk of an image.
func (m *Mesh) putBack(p *Member, i image) { p.Store, p.dir = i.store, i.dir }

// copyFolder copies a folder whose files may be removed meanwhile.
func copyFolder(to, from string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		} else if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, name), 0o700)
		}
		raw, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		} else if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, name), raw, 0o600)
	})
}

// porch is a join host without a network: joiners are handed streams to it.
type porch struct {
	key   protocol.Key
	serve func(node.Stream)
}

func (p *porch) Key() protocol.Key   { return p.key }
func (p *porch) Addresses() []string { return []string{"192.0.2.1:7"} }
func (p *porch) Close() error        { return nil }

// invite is node.Config.Invite.
func (p *Member) invite(key ed25519.PrivateKey, _ string, serve func(node.Stream)) (node.JoinHost, error) {
	host := &porch{key: protocol.KeyOf(key), serve: serve}
	p.porch = host
	return host, nil
}

// call opens a stream to it.
func (p *porch) call() node.Stream {
	near, far := net.Pipe()
	go func() {
		p.serve(line{far})
		far.Close()
	}()
	return line{near}
}

type line struct{ net.Conn }

func (l line) Reset() error { return l.Close() }

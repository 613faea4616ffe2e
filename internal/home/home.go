package home

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tipmesh/tipmesh/internal/keyring"
	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/node/transport"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
	"github.com/tipmesh/tipmesh/store/badger"
)

// defaultListen is every address of the machine with a port chosen at the first
// run, so that nodes of several homes get along on one machine.
const defaultListen = ":0"

// Options say how a home's node runs.
type Options struct {
	// Listen are host:port pairs; port 0 chooses one, an empty host is every
	// address. They are kept in the home for the next run. None: those kept, or
	// every address at a port chosen now.
	Listen []string
	// Quota bounds the disk that what others wrote takes. What is not 0 is kept in
	// the home for the next run.
	Quota      node.Quota
	Passphrase []byte
	Log        *slog.Logger // nil: nothing is logged
	Now        func() time.Time
	Sync       replica.Config // zero: the defaults
	OnIndexed  func(checkpoint uint64)
}

// Home is an open home with its node, which Run runs.
type Home struct {
	Dir       string
	Mesh      protocol.MeshID
	Member    protocol.MemberID
	MeshName  string
	Node      *node.Node
	transport *transport.Transport
	store     *badger.Store
	file      *mesh
	lock      *lock
	listen    []string
	log       *slog.Logger
}

// Open opens a home: it locks it, reads its keys and opens its store. Errors say
// what is wrong and what to do; they wrap ErrNone, ErrRunning or ErrDamaged, or
// those of internal/keyring.
func Open(dir string, o Options) (_ *Home, err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	f, err := readMesh(dir)
	if err != nil {
		return nil, err
	}
	h := &Home{Dir: dir, Mesh: f.Mesh, Member: f.Member, MeshName: f.Name, file: f, log: o.Log}
	if h.lock, err = lockHome(dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			ignore(h.Close())
		}
	}()
	if err = restrictHome(dir); err != nil {
		return nil, err
	}
	if h.listen, err = chooseListen(dir, o.Listen); err != nil {
		return nil, err
	}
	if o.Quota, err = chooseQuota(dir, o.Quota); err != nil {
		return nil, err
	}
	keys, member, err := loadKeys(dir, o.Passphrase)
	if err != nil {
		return nil, err
	}
	if h.store, err = badger.Open(badger.Config{Dir: filepath.Join(dir, storeFolder), Key: keys.Store}); err != nil {
		return nil, storeError(err)
	}
	keys, next, err := h.renewed(keys, o.Passphrase)
	if err != nil {
		return nil, err
	}
	if err = h.build(keys, member, o); err != nil {
		return nil, err
	}
	if next != nil {
		h.Node.Expect(protocol.KeyOf(next.Node))
	}
	return h, nil
}

// build makes transport and node.
func (h *Home) build(keys *keyring.Keys, member ed25519.PrivateKey, o Options) (err error) {
	h.transport, err = transport.New(transport.Config{Key: keys.Node, Mesh: h.Mesh, Listen: h.listen, Log: o.Log})
	if err != nil {
		return fmt.Errorf("open home: %w", err)
	}
	h.Node, err = node.New(node.Config{Mesh: h.Mesh, Member: h.Member, NodeKey: keys.Node, MemberKey: member, MemberAge: keys.MemberAge,
		NodeAge: keys.NodeAge, LoadMemberKey: h.loadMember(o.Passphrase), NextNode: h.nextNode(keys, o.Passphrase),
		Store: h.store, Transport: h.transport, Log: o.Log, Now: o.Now, Sync: o.Sync, Invite: h.invite, OnIndexed: o.OnIndexed,
		Quota: o.Quota})
	if err != nil {
		return fmt.Errorf("open home: %w", err)
	}
	if h.Node.Roster().Charter == nil {
		return damaged(filepath.Join(h.Dir, storeFolder), "it holds no charter of this home's mesh; restore the folder from a backup", nil)
	}
	return nil
}

// invite opens the host for joiners on the addresses of the node. A port that
// has been taken meanwhile is given up for a free one.
func (h *Home) invite(key ed25519.PrivateKey, port string, serve func(node.Stream)) (node.JoinHost, error) {
	var listen []string
	for _, a := range h.listen {
		host, _, err := net.SplitHostPort(a)
		if err != nil {
			return nil, fmt.Errorf("invite: %w", err)
		}
		listen = append(listen, net.JoinHostPort(host, port))
	}
	host, err := transport.ListenJoin(transport.JoinConfig{Key: key, Listen: listen, Serve: serve, Log: h.log})
	if err != nil && port != "0" {
		h.log.Warn("the port that tickets name is taken: they no longer work", "port", port, "err", err)
		return h.invite(key, "0", serve)
	}
	if err != nil {
		return nil, err
	}
	return host, nil
}

// Run runs the node until ctx ends. started is called once it listens. A home is
// run once.
func (h *Home) Run(ctx context.Context, started func()) error {
	var kept error
	err := h.Node.Run(ctx, func() {
		if kept = h.keepListen(); kept == nil && started != nil {
			started()
		}
		if kept != nil {
			h.log.Error("keep listen addresses", "err", kept)
		}
	})
	if err != nil && strings.Contains(err.Error(), "address already in use") {
		return fmt.Errorf("%w: another program has the port; end it, or give other addresses with --listen", err)
	}
	return errors.Join(err, kept)
}

// Addresses are where others can reach the running node.
func (h *Home) Addresses() []string { return h.Node.Addresses() }

// Pending tells whether the home's join is not finished.
func (h *Home) Pending() bool { return h.file.Card != nil }

// Close closes the store and frees the home.
func (h *Home) Close() error {
	var err error
	if h.store != nil {
		err = h.store.Close()
	}
	if h.lock != nil {
		h.lock.release()
	}
	return err
}

// keepListen writes down which ports were chosen.
func (h *Home) keepListen() error {
	bound := h.transport.Bound()
	var out []string
	for _, a := range h.listen {
		host, _, err := net.SplitHostPort(a)
		if err != nil || len(bound) == 0 {
			return fmt.Errorf("keep listen addresses: %q was not bound", a)
		}
		_, port, err := net.SplitHostPort(bound[0])
		if err != nil {
			return fmt.Errorf("keep listen addresses: %w", err)
		}
		bound = bound[1:]
		// An empty host was bound for IPv4, and for IPv6 where there is any.
		if host == "" && len(bound) > 0 && bound[0] == net.JoinHostPort("::", port) {
			bound = bound[1:]
		}
		out = append(out, net.JoinHostPort(host, port))
	}
	old, err := readListen(h.Dir)
	if err == nil && slices.Equal(old, out) {
		return nil
	}
	h.listen = out
	return writeListen(h.Dir, out)
}

// chooseListen decides where to listen: as asked, else as kept. An address asked
// for without a port takes the port kept for the same host.
func chooseListen(dir string, asked []string) ([]string, error) {
	for _, a := range asked {
		if _, _, err := net.SplitHostPort(a); err != nil {
			return nil, fmt.Errorf("read listen address: %w", err)
		}
	}
	kept, err := readListen(dir)
	switch {
	case err != nil && len(asked) == 0:
		return nil, err
	case len(asked) == 0 && len(kept) > 0:
		return kept, nil
	case len(asked) == 0:
		return []string{defaultListen}, nil
	}
	out := slices.Clone(asked)
	for i, a := range out {
		host, port, _ := net.SplitHostPort(a)
		if port != "0" {
			continue
		}
		for j, k := range kept {
			if had, _, _ := net.SplitHostPort(k); had == host {
				out[i] = k
				kept = slices.Delete(slices.Clone(kept), j, j+1)
				break
			}
		}
	}
	return out, nil
}

func loadKeys(dir string, pass []byte) (*keyring.Keys, ed25519.PrivateKey, error) {
	folder := filepath.Join(dir, keysFolder)
	keys, err := keyring.Load(folder, pass)
	if err != nil {
		return nil, nil, keyError(folder, err)
	}
	member, err := keyring.LoadMember(filepath.Join(folder, keyring.MemberFile), pass)
	if errors.Is(err, keyring.ErrNoMemberKey) {
		return keys, nil, nil // kept offline
	} else if err != nil {
		return nil, nil, keyError(folder, err)
	}
	return keys, member, nil
}

func storeError(err error) error {
	switch {
	case errors.Is(err, badger.ErrKey):
		return fmt.Errorf("%w: %w: keys and store are not of one home; restore both from one backup", ErrDamaged, err)
	case errors.Is(err, badger.ErrInUse):
		return fmt.Errorf("open home: %w: %w", ErrRunning, err)
	case errors.Is(err, badger.ErrDamaged):
		return fmt.Errorf("%w: %w: restore the store from a backup", ErrDamaged, err)
	}
	return fmt.Errorf("open home: %w", err)
}

// restrictHome takes the rights of others from the folder itself; key files that
// others can read are refused, since they may have been read.
func restrictHome(dir string) error {
	if err := os.Chmod(dir, 0o700); err != nil { // #nosec G302 -- a folder
		return fmt.Errorf("open home: %w", err)
	}
	return nil
}

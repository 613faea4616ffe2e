package home

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tipmesh/tipmesh/internal/keyring"
	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/seal"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store/badger"
)

// ownFolder is what a further node of a member is made in, until its pack is here.
const ownFolder = ".own"

// Errors of a further node.
var (
	ErrNoRequest = errors.New("this home has asked for no pack")
	ErrOtherPack = errors.New("the pack is for another node")
)

// RequestNode begins a home for a further node of a member: it makes the node's
// keys, and gives what the member is asked with. Asked again, it gives the same.
// ErrExists where there is a home.
func RequestNode(dir string, pass []byte) (request string, again bool, err error) {
	if err := prepareFolder(dir); err != nil {
		return "", false, err
	}
	held, err := lockHome(dir)
	if err != nil {
		return "", false, err
	}
	defer held.release()
	keys := filepath.Join(dir, ownFolder, keysFolder)
	k, err := keyring.Load(keys, pass)
	switch {
	case err == nil:
		again = true
	case !errors.Is(err, fs.ErrNotExist):
		return "", false, keyError(keys, err)
	default:
		if err := vacant(dir); err != nil {
			return "", false, err
		}
		if k, err = keyring.NewNode(keys, nil, pass); err != nil {
			return "", false, fmt.Errorf("make home: %w", err)
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, meshFile)); err == nil {
		return "", false, fmt.Errorf("make home: %w: %s", ErrExists, dir)
	}
	request, err = protocol.NewNodeRequest(k.Node, k.NodeAge.Recipient())
	return request, again, err
}

// OwnNode is a home that was made for a further node of a member.
type OwnNode struct {
	Mesh     protocol.MeshID
	MeshName string
	Member   protocol.MemberID
	Handle   string
	Node     protocol.Key
}

// UnpackNode makes the home of a further node of the pack that its member gave it
// for its request. It can be repeated where it was interrupted. ErrNoRequest where
// none was made here, ErrOtherPack where it is for another.
func UnpackNode(dir string, sealed, pass []byte) (*OwnNode, error) {
	if _, err := os.Lstat(filepath.Join(dir, ownFolder)); err != nil {
		if _, err := os.Lstat(filepath.Join(dir, meshFile)); err == nil {
			return nil, fmt.Errorf("make home: %w: %s", ErrExists, dir)
		}
		return nil, fmt.Errorf("make home: %w", ErrNoRequest)
	}
	held, err := lockHome(dir)
	if err != nil {
		return nil, err
	}
	defer held.release()
	temp := filepath.Join(dir, ownFolder)
	keys := filepath.Join(temp, keysFolder)
	if _, err := os.Lstat(keys); errors.Is(err, fs.ErrNotExist) {
		keys = filepath.Join(dir, keysFolder) // an interrupted call has put them in place
	}
	k, err := keyring.Load(keys, pass)
	if err != nil {
		return nil, keyError(keys, err)
	}
	pack, err := node.OpenPack(sealed, protocol.KeyOf(k.Node), k.NodeAge)
	if errors.Is(err, seal.ErrNotForUs) {
		return nil, fmt.Errorf("make home: %w", ErrOtherPack)
	} else if err != nil {
		return nil, fmt.Errorf("make home: %w", err)
	}
	ids, err := pack.Identities()
	if err != nil {
		return nil, fmt.Errorf("make home: %w", err)
	}
	k.Adopt(ids)
	if err := k.Save(keys, pass); err != nil {
		return nil, fmt.Errorf("make home: %w", err)
	}
	for _, left := range []string{filepath.Join(temp, storeFolder), filepath.Join(dir, storeFolder)} {
		if err := os.RemoveAll(left); err != nil {
			return nil, fmt.Errorf("make home: %w", err)
		}
	}
	if err := unpackStore(filepath.Join(temp, storeFolder), k, pack); err != nil {
		return nil, fmt.Errorf("make home: %w", err)
	}
	return settle(dir, pack, protocol.KeyOf(k.Node))
}

func unpackStore(dir string, k *keyring.Keys, pack *node.Pack) error {
	s, err := badger.Open(badger.Config{Dir: dir, Key: k.Store})
	if err != nil {
		return err
	}
	return errors.Join(pack.Unpack(context.Background(), s), s.Close())
}

// settle puts what was made in its place, the mesh file last.
func settle(dir string, pack *node.Pack, key protocol.Key) (*OwnNode, error) {
	for _, name := range []string{storeFolder, keysFolder} {
		err := os.Rename(filepath.Join(dir, ownFolder, name), filepath.Join(dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("make home: %w", err)
		}
	}
	charter := pack.Charter()
	name := charter.Doc().(*protocol.Charter).Name
	f := &mesh{Version: meshVersion, Mesh: protocol.MeshID(charter.ID()), Member: pack.Member, Name: name}
	if err := writeMesh(dir, f); err != nil {
		return nil, err
	}
	ignore(os.RemoveAll(filepath.Join(dir, ownFolder)))
	return &OwnNode{Mesh: f.Mesh, MeshName: name, Member: pack.Member, Handle: pack.Handle(), Node: key}, nil
}

// renewed gives the keys that the home goes on with: those of the node that has
// taken the place of the one of node.key, once the member's card says so.
func (h *Home) renewed(keys *keyring.Keys, pass []byte) (_ *keyring.Keys, next *keyring.Keys, err error) {
	folder := filepath.Join(h.Dir, keysFolder)
	if next, err = keyring.LoadNext(folder, pass); err != nil || next == nil {
		return keys, nil, err
	}
	var list []*protocol.Statement
	err = h.store.Statements(func(s *protocol.Statement) error {
		list = append(list, s)
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("open home: %w", err)
	}
	if !node.Renewed(trust.Fold(h.Mesh, list), h.Member, protocol.KeyOf(keys.Node), protocol.KeyOf(next.Node)) {
		return keys, next, nil
	}
	if err := node.Take(context.Background(), h.store); err != nil {
		return nil, nil, fmt.Errorf("open home: %w", err)
	}
	if err := keyring.TakeNext(folder); err != nil {
		return nil, nil, fmt.Errorf("open home: %w", err)
	}
	return next, nil, nil
}

// nextNode makes the keys of the node that takes the place of this home's.
func (h *Home) nextNode(keys *keyring.Keys, pass []byte) func() (protocol.CardNode, error) {
	return func() (protocol.CardNode, error) {
		next, err := keys.Next(filepath.Join(h.Dir, keysFolder), pass)
		if err != nil {
			return protocol.CardNode{}, err
		}
		return protocol.CardNode{Key: protocol.KeyOf(next.Node), Recipient: next.NodeAge.Recipient()}, nil
	}
}

// loadMember looks for the member key again; nil where it is not here.
func (h *Home) loadMember(pass []byte) func() ed25519.PrivateKey {
	return func() ed25519.PrivateKey {
		key, err := keyring.LoadMember(filepath.Join(h.Dir, keysFolder, keyring.MemberFile), pass)
		if err != nil {
			return nil
		}
		return key
	}
}

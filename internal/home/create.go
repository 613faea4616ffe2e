package home

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/tipmesh/tipmesh/internal/keyring"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
	"github.com/tipmesh/tipmesh/store/badger"
)

// Errors that callers branch on. Their texts tell a person what to do.
var (
	ErrExists  = errors.New("there is a home of tipmesh already")
	ErrOther   = errors.New("this home belongs to another mesh")
	ErrMember  = errors.New("this home is a member already")
	ErrExpired = errors.New("the ticket has run out; ask for a new one")
)

const (
	keysFolder  = "keys"
	storeFolder = "store"
	newFolder   = ".new" // what a home is made in, until it is whole
)

// MemberOptions describe a new member.
type MemberOptions struct {
	Member     string // the organisation's name
	Handle     string // empty: made from the name
	Contact    string
	Duty       string
	Sectors    []string
	Regions    []string
	Consent    *protocol.Consent // standing, to early shares
	Passphrase []byte            // locks the key files; nil: they are open
	Now        time.Time         // zero: the clock's
}

// CreateOptions describe a new mesh and its founder.
type CreateOptions struct {
	MemberOptions
	Mesh  string // its name
	Rules protocol.Rules
	// Recovery are public keys, kept offline, that can replace lost governors.
	Recovery []protocol.Key
}

// Made is a home that was made or found.
type Made struct {
	Dir     string
	Mesh    protocol.MeshID
	Member  protocol.MemberID
	Charter *protocol.Statement
	Card    *protocol.Statement // the first
	Again   bool                // a join that was begun before goes on
}

// Create founds a mesh: it makes a home with new keys, whose member is the only
// governor. It leaves nothing behind when it fails; ErrExists where there is a
// home.
func Create(dir string, o CreateOptions) (*Made, error) {
	return build(dir, o.MemberOptions, func(k *made) error {
		var nonce [16]byte
		rand.Read(nonce[:])
		charter, err := protocol.NewStatement(protocol.MeshID{}, &protocol.Charter{Name: o.Mesh,
			Governors: []protocol.Key{protocol.KeyOf(k.member)}, Threshold: 1, Rules: o.Rules, Recovery: o.Recovery, Nonce: nonce}, k.at, k.member)
		if err != nil {
			return err
		}
		k.charter, k.statements = charter, []*protocol.Statement{charter}
		if err := k.makeCard(o.MemberOptions); err != nil {
			return err
		}
		k.statements = append(k.statements, k.card)
		return nil
	})
}

// NewMember makes a home for a member that a ticket invites, or takes up the one
// in which such a join was begun: with the same keys and, unless another handle
// is asked for, the same card. ErrOther and ErrMember where the home is of
// another mesh, or of a member that is in.
func NewMember(dir string, t *protocol.Ticket, charter *protocol.Statement, o MemberOptions) (*Made, error) {
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	if t.Expires <= o.Now.UnixMilli() {
		return nil, fmt.Errorf("join: %w", ErrExpired)
	}
	if _, err := os.Lstat(filepath.Join(dir, meshFile)); err == nil {
		return resume(dir, t, charter, o)
	}
	line := make([]*protocol.Statement, 0, len(t.Line))
	for _, raw := range t.Line {
		s, err := protocol.ParseStatement(raw)
		if err != nil {
			return nil, fmt.Errorf("join: read ticket: %w", err)
		}
		line = append(line, s)
	}
	return build(dir, o, func(k *made) error {
		k.charter, k.statements = charter, append([]*protocol.Statement{charter}, line...)
		k.ticket = t
		return k.makeCard(o)
	})
}

// resume goes on with a join that was begun before.
func resume(dir string, t *protocol.Ticket, charter *protocol.Statement, o MemberOptions) (*Made, error) {
	held, err := lockHome(dir)
	if err != nil {
		return nil, err
	}
	defer held.release()
	f, err := readMesh(dir)
	if err != nil {
		return nil, err
	}
	if f.Mesh != protocol.MeshID(charter.ID()) {
		return nil, fmt.Errorf("join: %w: use another --home", ErrOther)
	}
	if f.Card == nil {
		return nil, fmt.Errorf("join: %w: start it with tipmesh run", ErrMember)
	}
	k := &made{charter: charter, ticket: t, at: o.Now.UnixMilli(), identity: "identity--" + uuid.NewString()}
	if k.card, err = protocol.ParseStatement(f.Card); err != nil || k.card.Kind != protocol.KindCard {
		return nil, damaged(filepath.Join(dir, meshFile), "it holds no card", err)
	}
	card := k.card.Doc().(*protocol.Card)
	if o.Handle != "" && o.Handle != card.Handle {
		keys := filepath.Join(dir, keysFolder)
		if k.keys, err = keyring.Load(keys, o.Passphrase); err != nil {
			return nil, keyError(keys, err)
		}
		if k.member, err = keyring.LoadMember(filepath.Join(keys, keyring.MemberFile), o.Passphrase); err != nil {
			return nil, keyError(keys, err)
		}
		k.nextHash, k.identity = card.NextKey, card.Identity
		if err := k.makeCard(o); err != nil {
			return nil, fmt.Errorf("join: %w", err)
		}
	}
	if err := writeMesh(dir, k.meshFile()); err != nil {
		return nil, err
	}
	m := k.result(dir)
	m.Again = true
	return m, nil
}

// made is a home that is being made.
type made struct {
	keys       *keyring.Keys
	member     ed25519.PrivateKey
	nextHash   protocol.Hash
	identity   string
	at         int64
	charter    *protocol.Statement
	card       *protocol.Statement
	ticket     *protocol.Ticket
	statements []*protocol.Statement // for the store
}

func (k *made) makeCard(o MemberOptions) (err error) {
	if o.Handle == "" {
		o.Handle = HandleFrom(o.Member)
	}
	k.card, err = protocol.NewStatement(protocol.MeshID(k.charter.ID()), &protocol.Card{Version: 1,
		Handle: o.Handle, Name: o.Member, Contact: o.Contact, Duty: o.Duty, Sectors: o.Sectors, Regions: o.Regions,
		Identity: k.identity, Recipient: k.keys.Current().Recipient(), NextKey: k.nextHash, Consent: o.Consent,
		Nodes: []protocol.CardNode{{Key: protocol.KeyOf(k.keys.Node), Recipient: k.keys.NodeAge.Recipient()}},
	}, k.at, k.member)
	return err
}

func (k *made) meshFile() *mesh {
	f := &mesh{Version: meshVersion, Mesh: protocol.MeshID(k.charter.ID()), Member: protocol.MemberID(k.card.ID()),
		Name: k.charter.Doc().(*protocol.Charter).Name}
	if k.ticket != nil {
		f.Card, f.Ticket = k.card.Raw(), k.ticket.Text()
	}
	return f
}

func (k *made) result(dir string) *Made {
	return &Made{Dir: dir, Mesh: protocol.MeshID(k.charter.ID()), Member: protocol.MemberID(k.card.ID()), Charter: k.charter, Card: k.card}
}

// occupy locks a folder that is to become a home and is none yet, and makes it
// where it is missing. leave frees it, and sweeps away what was begun if given an
// error.
func occupy(dir string) (abs string, leave func(error), err error) {
	if abs, err = filepath.Abs(dir); err != nil {
		return "", nil, fmt.Errorf("make home: %w", err)
	}
	_, missing := os.Lstat(abs)
	if err := prepareFolder(abs); err != nil {
		return "", nil, err
	}
	held, err := lockHome(abs)
	if err != nil {
		return "", nil, err
	}
	leave = func(err error) {
		if err != nil {
			sweep(abs, errors.Is(missing, fs.ErrNotExist))
		}
		held.release()
	}
	if err := vacant(abs); err != nil {
		leave(err)
		return "", nil, err
	}
	return abs, leave, nil
}

// build makes a home: all of it in a folder inside, and then, with the mesh file
// last, in its place. What an interrupted build left is removed.
func build(dir string, o MemberOptions, fill func(*made) error) (_ *Made, err error) {
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	abs, leave, err := occupy(dir)
	if err != nil {
		return nil, err
	}
	defer func() { leave(err) }()
	temp := filepath.Join(abs, newFolder)
	k := &made{at: o.Now.UnixMilli(), identity: "identity--" + uuid.NewString()}
	var next ed25519.PrivateKey
	if k.keys, k.member, next, err = keyring.Create(filepath.Join(temp, keysFolder), o.Passphrase); err != nil {
		return nil, fmt.Errorf("make home: %w", err)
	}
	nextKey := protocol.KeyOf(next)
	k.nextHash = protocol.HashOf(nextKey[:])
	if err = fill(k); err != nil {
		return nil, fmt.Errorf("make home: %w", err)
	}
	if err = fillStore(filepath.Join(temp, storeFolder), k); err != nil {
		return nil, fmt.Errorf("make home: %w", err)
	}
	for _, name := range []string{storeFolder, keysFolder} {
		if err = os.Rename(filepath.Join(temp, name), filepath.Join(abs, name)); err != nil {
			return nil, fmt.Errorf("make home: %w", err)
		}
	}
	if err = writeMesh(abs, k.meshFile()); err != nil {
		return nil, err
	}
	ignore(os.Remove(temp))
	return k.result(dir), nil
}

func fillStore(dir string, k *made) error {
	s, err := badger.Open(badger.Config{Dir: dir, Key: k.keys.Store})
	if err != nil {
		return err
	}
	_, err = s.Commit(context.Background(), &store.Commit{Statements: k.statements})
	return errors.Join(err, s.Close())
}

func prepareFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make home: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil { // #nosec G302 -- a folder
		return fmt.Errorf("make home: %w", err)
	}
	return nil
}

// Vacant says why no home can be made in a folder; nil where one can. It changes
// nothing.
func Vacant(dir string) error {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("make home: %w", err)
	}
	if _, err := os.Lstat(filepath.Join(abs, meshFile)); err == nil {
		return fmt.Errorf("make home: %w: %s", ErrExists, abs)
	}
	return nil
}

// vacant says why a folder cannot become a home, and clears away what an
// interrupted build left in it.
func vacant(dir string) error {
	if _, err := os.Lstat(filepath.Join(dir, meshFile)); err == nil {
		return fmt.Errorf("make home: %w: %s", ErrExists, dir)
	}
	if _, err := os.Lstat(filepath.Join(dir, newFolder)); err == nil {
		sweep(dir, false)
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("make home: %w", err)
	}
	for _, e := range list {
		switch e.Name() {
		case lockFile:
		case ownFolder:
			return fmt.Errorf("make home: %w in %s: it waits for the pack of a further node; give another --home", ErrPending, dir)
		case keysFolder, storeFolder:
			return damaged(dir, "it has keys or a store, and its file "+meshFile+" is missing; restore that file, or move the folder away", nil)
		default:
			return fmt.Errorf("make home: %s is not empty (%s); give an empty or new folder", dir, e.Name())
		}
	}
	return nil
}

// sweep removes what a build has made that did not finish. It does nothing in a
// folder that is a home, or that no build was at work in.
func sweep(dir string, all bool) {
	if _, err := os.Lstat(filepath.Join(dir, meshFile)); err == nil {
		return
	}
	if _, err := os.Lstat(filepath.Join(dir, newFolder)); err == nil {
		for _, name := range []string{keysFolder, storeFolder, newFolder} {
			ignore(os.RemoveAll(filepath.Join(dir, name)))
		}
	}
	if all {
		ignore(os.Remove(filepath.Join(dir, lockFile)))
		ignore(os.Remove(dir)) // only if nothing else is in it
	}
}

// HandleFrom makes a handle from an organisation's name: its first word.
func HandleFrom(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9' && b.Len() > 0:
			b.WriteRune(r)
		case b.Len() > 0:
			return b.String()
		}
		if b.Len() == protocol.MaxHandle {
			break
		}
	}
	return b.String()
}

// ignore marks errors of which there is nothing to do.
func ignore(error) {}

package home

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/tipmesh/tipmesh/internal/backup"
	"github.com/tipmesh/tipmesh/internal/keyring"
	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/seal"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store/badger"
)

// ErrBadBackup tells that a backup opens and what is in it is not sound.
var ErrBadBackup = errors.New("the backup is not sound")

// Files that a restore leaves in the home, for the member's card.
const (
	CardFile     = "new-node.card"     // signed, to be carried in at any member's node
	UnsignedFile = "new-node.unsigned" // to be signed where the member key is
)

// RestoreOptions say how a backup is opened and what becomes of it.
type RestoreOptions struct {
	Key        backup.Key
	Passphrase []byte             // of the new key files, where the old ones had one or the backup is sealed to a recipient
	MemberKey  ed25519.PrivateKey // to sign the card with; nil: that in the backup, if there is one
	Statements []*protocol.Statement
	Now        time.Time
	Progress   func(n int64)                  // bytes of the store so far; may be nil
	Opened     func(*backup.Manifest) error   // before anything is made; an error ends it
	Unsigned   func(protocol.Unsigned) []byte // the file of a card that is to be signed
}

// Restored is a home that was made from a backup.
type Restored struct {
	Dir      string
	Manifest *backup.Manifest
	Handle   string       // the member's
	Node     protocol.Key // the new node
	Keyless  bool         // the member key is not in the home: retiring the old node is left to who has it
	Entries  uint64
	Version  uint64              // of the card that names it
	Card     *protocol.Statement // nil where it is still to be signed
	File     string              // of the card, signed or not
	Checked  *node.Verified
}

// Restore makes a home from a backup, with a new node key: the old node's is
// never used again, so nothing that it wrote after the backup can be
// contradicted. The home shares nothing until the member's card names the new
// node; that card is written to a file, signed if the key is at hand. Everything
// in the store is checked. It leaves nothing behind when it fails; it refuses a
// folder that is not empty.
func Restore(ctx context.Context, dir string, file io.Reader, o RestoreOptions) (_ *Restored, err error) {
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	abs, leave, err := occupy(dir)
	if err != nil {
		return nil, err
	}
	defer func() { leave(err) }()
	m, rest, err := backup.Open(file, o.Key)
	if err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	if o.Opened != nil {
		if err = o.Opened(m); err != nil {
			return nil, err
		}
	}
	switch {
	case !m.Locked && o.Key.Passphrase != nil:
		o.Passphrase = nil
	case m.Locked && o.Passphrase == nil:
		err = fmt.Errorf("restore: %w: the keys of the old node were under a passphrase", keyring.ErrNeedsPassphrase)
		return nil, err
	}
	r := &restore{temp: filepath.Join(abs, newFolder), m: m, o: o}
	if err = r.fill(ctx, counted(ctx, rest, o.Progress)); err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	for _, name := range []string{storeFolder, keysFolder} {
		if err = os.Rename(filepath.Join(r.temp, name), filepath.Join(abs, name)); err != nil {
			return nil, fmt.Errorf("restore: %w", err)
		}
	}
	out := r.out
	out.Dir, out.Manifest = abs, m
	out.File = filepath.Join(abs, UnsignedFile)
	if out.Card != nil {
		out.File = filepath.Join(abs, CardFile)
	}
	if err = writeSmall(out.File, r.card); err != nil {
		return nil, fmt.Errorf("restore: write the card: %w", err)
	}
	if err = writeMesh(abs, &mesh{Version: meshVersion, Mesh: m.Mesh, Member: m.Member, Name: m.MeshName}); err != nil {
		return nil, err
	}
	ignore(os.Remove(r.temp))
	return &out, nil
}

// restore is one under way.
type restore struct {
	temp string
	m    *backup.Manifest
	o    RestoreOptions
	keys *keyring.Keys
	card []byte // as it goes into its file
	out  Restored
}

// fill makes keys and store in the temporary folder.
func (r *restore) fill(ctx context.Context, copied io.Reader) (err error) {
	var ages []*seal.Identity
	for _, text := range r.m.MemberAge {
		id, err := seal.ParseIdentity(text)
		if err != nil {
			return fmt.Errorf("%w: a member age identity: %w", ErrBadBackup, err)
		}
		ages = append(ages, id)
	}
	folder := filepath.Join(r.temp, keysFolder)
	if r.keys, err = keyring.NewNode(folder, ages, r.o.Passphrase); err != nil {
		return err
	}
	r.out.Node = protocol.KeyOf(r.keys.Node)
	for _, k := range []struct {
		name string
		seed []byte
	}{{keyring.MemberFile, r.m.MemberKey}, {keyring.NextMemberFile, r.m.NextKey}} {
		if k.seed == nil {
			continue
		}
		key, err := memberKeyOf(k.seed)
		if err == nil {
			err = keyring.SaveMember(filepath.Join(folder, k.name), key, r.o.Passphrase, false)
		}
		if err != nil {
			return err
		}
		if k.name == keyring.MemberFile && r.o.MemberKey == nil {
			r.o.MemberKey = key
		}
	}
	cfg := badger.Config{Dir: filepath.Join(r.temp, storeFolder), Key: r.keys.Store}
	if err := badger.Restore(cfg, copied); err != nil {
		return err
	}
	s, err := badger.Open(cfg)
	if err != nil {
		return err
	}
	err = r.fit(ctx, s)
	return errors.Join(err, s.Close())
}

// fit checks the store and makes it fit for the new node.
func (r *restore) fit(ctx context.Context, s *badger.Store) error {
	if err := node.Adopt(ctx, s, r.m.Node); err != nil {
		return err
	}
	n, err := node.New(node.Config{Mesh: r.m.Mesh, Member: r.m.Member, NodeKey: r.keys.Node, MemberAge: r.keys.MemberAge,
		Store: s, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	v, err := n.Verify(ctx, nil)
	if err != nil {
		return err
	}
	if v.Faults > 0 {
		return fmt.Errorf("%w: %d faults, the first: %s %d of feed %s: %s", ErrBadBackup, v.Faults, v.Damaged[0].What,
			v.Damaged[0].Seq, v.Damaged[0].Feed.Short(), v.Damaged[0].Text)
	}
	if ok, err := r.ours(n.Identities(), s); err != nil {
		return err
	} else if !ok {
		return fmt.Errorf("%w: no card of its member names one of its age identities, so it is not the member's", ErrBadBackup)
	}
	r.out.Checked, r.out.Entries = v, v.Entries
	if err := n.Learn(r.o.Statements...); err != nil {
		return err
	}
	return r.name(n)
}

// ours reports whether some card of the member names one of the age identities:
// anybody can seal a file to the recipient of a backup, and has none of them.
func (r *restore) ours(ids []*seal.Identity, s *badger.Store) (ours bool, err error) {
	err = s.Statements(func(x *protocol.Statement) error {
		card, ok := x.Doc().(*protocol.Card)
		if ok && (card.Member == r.m.Member || protocol.MemberID(x.ID()) == r.m.Member) {
			ours = ours || slices.ContainsFunc(ids, func(id *seal.Identity) bool { return id.Recipient() == card.Recipient })
		}
		return nil
	})
	return ours, err
}

// name makes the card that names the new node beside the old one, which is
// retired later: until it has told the others nothing that they lack, its feeds
// cannot be cut.
func (r *restore) name(n *node.Node) error {
	member, ok := n.Roster().Member(r.m.Member)
	if !ok {
		return fmt.Errorf("%w: the roster does not know its member", ErrBadBackup)
	}
	card := *member.Card
	if len(card.Nodes) >= protocol.MaxNodes {
		return fmt.Errorf("the card names %d nodes, and a new one does not fit in; retire one from another node first", len(card.Nodes))
	}
	card.Version++
	card.Member, card.Prev = member.ID, member.CardID
	card.Nodes = append(slices.Clone(card.Nodes), protocol.CardNode{Key: r.out.Node, Recipient: r.keys.NodeAge.Recipient()})
	slices.SortFunc(card.Nodes, func(a, b protocol.CardNode) int { return a.Key.Compare(b.Key) })
	r.out.Version, r.out.Handle, r.out.Keyless = card.Version, member.Handle, r.m.MemberKey == nil
	if r.o.MemberKey == nil {
		unsigned, err := protocol.PrepareStatement(r.m.Mesh, &card, r.o.Now.UnixMilli(), member.Key)
		if err == nil {
			r.card = r.o.Unsigned(unsigned)
		}
		return err
	}
	if got := protocol.KeyOf(r.o.MemberKey); got != member.Key {
		return fmt.Errorf("the member key %s is not the present one, %s", got.Short(), member.Key.Short())
	}
	s, err := protocol.NewStatement(r.m.Mesh, &card, r.o.Now.UnixMilli(), r.o.MemberKey)
	if err != nil {
		return err
	}
	if err := n.Learn(s); err != nil {
		return err
	}
	if m, ok := n.Roster().ByNode(r.out.Node); member.State == trust.StateActive && (!ok || m.ID != member.ID) {
		return errors.New("the new card does not make the new node the member's own")
	}
	r.out.Card, r.card = s, s.Raw()
	return nil
}

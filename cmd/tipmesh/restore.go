package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/tipmesh/tipmesh/internal/api"
	"github.com/tipmesh/tipmesh/internal/backup"
	"github.com/tipmesh/tipmesh/internal/carry"
	"github.com/tipmesh/tipmesh/internal/home"
	"github.com/tipmesh/tipmesh/internal/keyring"
	"github.com/tipmesh/tipmesh/node/transport"
	"github.com/tipmesh/tipmesh/protocol"
)

// RestoreOptions are the flags of restore.
type RestoreOptions struct {
	Identity, KeyFile, Update string
}

func newRestoreCommand(gopts *GlobalOptions) *cobra.Command {
	opts := &RestoreOptions{}
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make a home from a backup, with a new node key",
		Long: `Make a home from a backup, in an empty or new folder (--home), with a new node
key. The old node's key is never used again, so nothing forks. The home shares
nothing until your card names the new node. That card is written to a file:
signed, if the member key is in the backup or given with --key-file; otherwise
to be signed where that key is. Any member carries the signed card in, and then
the new node gets what the old one wrote since the backup, and retires it.

If your card was changed after the backup, get the present one first: another
member runs "tipmesh carry out FILE", and --update takes that file.`,
		Example: example("tipmesh --home /var/lib/tipmesh restore birch-20180521.tmb", "tipmesh restore birch.tmb --key-file member.key --update alder.carry"),
		Args:    countArgs(1, 1),
		RunE:    func(cmd *cobra.Command, args []string) error { return runRestore(cmd.Context(), opts, gopts, args[0]) },
	}
	f := cmd.Flags()
	f.StringVar(&opts.Identity, "identity", "", "`file` of age identities, for a sealed backup")
	f.StringVar(&opts.KeyFile, "key-file", "", "`file` with the member key, to sign the card")
	f.StringVar(&opts.Update, "update", "", "carry `file` with the roster as it is now")
	return cmd
}

// restoreJSON is the answer of restore.
type restoreJSON struct {
	Kind     string    `json:"kind"`
	Home     string    `json:"home"`
	Mesh     api.Name  `json:"mesh"`
	Member   api.Name  `json:"member"`
	Time     time.Time `json:"time"` // of the backup
	Node     string    `json:"node"`
	OldNode  string    `json:"old_node"`
	Entries  uint64    `json:"entries"`
	Card     uint64    `json:"card"` // its version
	CardFile string    `json:"card_file"`
	Signed   bool      `json:"signed"`
	Commands []string  `json:"commands"` // what to do next
}

func runRestore(ctx context.Context, opts *RestoreOptions, gopts *GlobalOptions, path string) error {
	dir, err := gopts.home()
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return fail(api.CodeInvalid, "", "%v", err)
	}
	defer f.Close()
	o, err := restoreOptions(opts, gopts, f)
	if err != nil {
		return err
	}
	declined := errors.New("declined")
	var read atomic.Int64
	stop := func() {}
	o.Opened = func(m *backup.Manifest) error {
		gopts.previewf("Restore %s (mesh:%s) as of %s UTC to %s, with a new node key.", clean(m.MeshName), protocol.RefCode(m.Mesh.String(), 5), minute(m.Time), dir)
		gopts.previewf("The node of before must not run again.")
		if opts.Update == "" {
			gopts.previewf("If your card was changed since then, stop here and give the present one with\n--update: two cards after one would both be void.")
		}
		ok, err := gopts.confirm("Restore?")
		if err == nil && !ok {
			err = declined
		}
		if err == nil {
			stop = gopts.progress(ctx, func() string { return "restoring  " + bytesText(uint64(read.Load())) })
		}
		return err
	}
	o.Progress = func(n int64) { read.Store(n) }
	o.Unsigned = func(u protocol.Unsigned) []byte { return unsignedFile([]protocol.Unsigned{u}, [][]byte{}) }
	made, err := home.Restore(ctx, dir, f, *o)
	stop()
	if errors.Is(err, declined) {
		return nil
	}
	if err != nil {
		return err
	}
	return sayRestored(gopts, made)
}

// restoreOptions finds out how the backup opens, and what else was given.
func restoreOptions(opts *RestoreOptions, gopts *GlobalOptions, f io.ReadSeeker) (*home.RestoreOptions, error) {
	o := &home.RestoreOptions{}
	start := make([]byte, 64)
	n, err := io.ReadFull(f, start)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, err
	}
	byPassphrase, err := backup.Locked(start[:n])
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	if o.Passphrase, err = gopts.passphrase(); err != nil {
		return nil, err
	}
	switch {
	case byPassphrase && o.Passphrase == nil:
		if o.Passphrase, err = gopts.askPassphrase("Passphrase of the backup: ", false, "--passphrase-file FILE"); err != nil {
			return nil, err
		}
		o.Key.Passphrase = o.Passphrase
	case byPassphrase:
		o.Key.Passphrase = o.Passphrase
	case opts.Identity == "":
		return nil, fail(api.CodeInvalid, "--identity FILE", "the backup is sealed to an age recipient")
	default:
		if o.Key.Identities, err = secretFile(opts.Identity); err != nil {
			return nil, err
		}
	}
	if opts.KeyFile != "" {
		if o.MemberKey, err = memberKeyFrom(opts.KeyFile, o.Passphrase); err != nil {
			return nil, err
		}
	}
	if opts.Update != "" {
		if o.Statements, err = statementsOf(opts.Update); err != nil {
			return nil, err
		}
	}
	return o, nil
}

func memberKeyFrom(path string, pass []byte) (ed25519.PrivateKey, error) {
	key, err := keyring.LoadMember(path, pass)
	if err != nil {
		return nil, fail(api.CodeInvalid, "--key-file member.key", "%v", err)
	}
	return key, nil
}

// statementsOf reads the statements of a carry file, or a single one.
func statementsOf(path string) (list []*protocol.Statement, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fail(api.CodeInvalid, "", "%v", err)
	}
	defer f.Close()
	b := bufio.NewReader(f)
	if start, _ := b.Peek(32); !carry.IsFile(start) {
		raw, err := io.ReadAll(io.LimitReader(b, carry.MaxText))
		if err != nil {
			return nil, err
		}
		s, err := carry.Statement(raw)
		return []*protocol.Statement{s}, err
	}
	r, err := carry.NewReader(b)
	if err != nil {
		return nil, err
	}
	for {
		item, err := r.Next()
		if errors.Is(err, io.EOF) {
			return list, nil
		} else if err != nil {
			return nil, fail(api.CodeInvalid, "ask for it again", "%s: %v", path, err)
		}
		if item.Statement == nil {
			continue
		}
		if s, err := protocol.ParseStatement(item.Statement); err == nil {
			list = append(list, s)
		}
	}
}

func sayRestored(gopts *GlobalOptions, r *home.Restored) error {
	signed := r.Card != nil
	card := filepath.Base(r.File)
	var commands []string
	if !signed {
		commands = append(commands, "tipmesh card sign "+r.File+" --key-file MEMBER.KEY --out "+home.CardFile)
		card = home.CardFile
	}
	commands = append(commands, "tipmesh --home "+r.Dir+" run", "tipmesh carry in "+card)
	m := r.Manifest
	if gopts.JSON {
		return gopts.print(restoreJSON{Kind: "restore", Home: r.Dir, Mesh: api.Name{ID: m.Mesh.String(), Name: m.MeshName},
			Member: api.Name{ID: m.Member.String(), Name: r.Handle}, Time: m.Time, Node: transport.PeerID(r.Node), OldNode: transport.PeerID(m.Node),
			Entries: r.Entries, Card: r.Version, CardFile: r.File, Signed: signed, Commands: commands})
	}
	gopts.sayf("Restored %s in %s to %s UTC, with a new node key.", clean(r.Handle), clean(m.MeshName), minute(m.Time))
	gopts.sayf("  home     %s, %s, all checked", r.Dir, plural(r.Entries, "entry", "entries"))
	if signed {
		gopts.sayf("  card     version %d names the new node: %s", r.Version, r.File)
	} else {
		gopts.sayf("  card     version %d, to be signed: %s", r.Version, r.File)
	}
	gopts.sayf("Next")
	if !signed {
		gopts.sayf("  where the member key is:   %s", commands[0])
	}
	gopts.sayf("  here:                      tipmesh run")
	gopts.sayf("  at any member's node:      tipmesh carry in %s", card)
	gopts.sayf("Then it asks the others for what the old node wrote since, and retires it.")
	if !signed || r.Keyless {
		gopts.sayf("For that, when tipmesh status says so: tipmesh card node retire %s", m.Node.Short())
	}
	return nil
}

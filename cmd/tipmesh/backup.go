package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/tipmesh/tipmesh/internal/api"
	"github.com/tipmesh/tipmesh/internal/backup"
	"github.com/tipmesh/tipmesh/internal/carry"
	"github.com/tipmesh/tipmesh/internal/home"
	"github.com/tipmesh/tipmesh/internal/keyring"
	"github.com/tipmesh/tipmesh/store/badger"
)

// BackupOptions are the flags of backup.
type BackupOptions struct {
	Recipient string
	MemberKey bool
	Force     bool
}

func newBackupCommand(gopts *GlobalOptions) *cobra.Command {
	opts := &BackupOptions{}
	cmd := &cobra.Command{
		Use:   "backup FILE|FOLDER",
		Short: "Write this home to one encrypted file, while the node runs",
		Long: `Write this home to one encrypted file, while the node runs: all it holds, and
the keys that read it. The file is read back and checked before it gets its
name. Whoever has it and its passphrase reads all that this member reads. The
node's own key is left out: a restore makes a new one.`,
		Example: example("tipmesh backup /mnt/backup", "tipmesh backup home.tmb --recipient age1pq1..."),
		Args:    countArgs(1, 1),
		RunE:    func(cmd *cobra.Command, args []string) error { return runBackup(cmd.Context(), opts, gopts, args[0]) },
	}
	f := cmd.Flags()
	f.StringVar(&opts.Recipient, "recipient", "", "seal it to an age `recipient`, not a passphrase")
	f.BoolVar(&opts.MemberKey, "with-member-key", false, "put the member keys into it too")
	f.BoolVar(&opts.Force, "force", false, "replace a file of that name")
	return cmd
}

// backupJSON is the answer of backup.
type backupJSON struct {
	Kind      string    `json:"kind"`
	Path      string    `json:"path"`
	Bytes     int64     `json:"bytes"`
	Records   uint64    `json:"records"`
	Time      time.Time `json:"time"`
	MemberKey bool      `json:"member_key"`
	Checked   bool      `json:"checked"`
	TookS     float64   `json:"took_s"`
}

func runBackup(ctx context.Context, opts *BackupOptions, gopts *GlobalOptions, path string) error {
	began := time.Now()
	dir, err := gopts.home()
	if err != nil {
		return err
	}
	return gopts.withClient(func(c *api.Client) error {
		status, err := c.Status(ctx, "", 0)
		if err != nil {
			return err
		}
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			path = filepath.Join(path, clean(status.Member.Name)+"-"+began.UTC().Format("20060102")+".tmb")
		}
		if _, err := os.Lstat(path); err == nil && !opts.Force {
			return codedBackup(fmt.Errorf("%w: %s", home.ErrFileExists, path))
		}
		gopts.previewf("Back up %s in %s to %s: %s of entries, and the keys to read them.", nameOf(&status.Member), clean(status.Mesh.Name),
			path, bytesText(status.Store.Bytes))
		if opts.MemberKey {
			gopts.previewf("The member keys go into it too: whoever opens it can act as this member.")
		} else {
			gopts.previewf("The member key stays behind (--with-member-key takes it along): keep a copy elsewhere.")
		}
		if gopts.DryRun {
			return nil
		}
		if opts.MemberKey {
			if ok, err := gopts.confirm("Put the member keys into the backup?"); !ok || err != nil {
				return err
			}
		}
		o, err := backupOptions(opts, gopts)
		if err != nil {
			return err
		}
		// The answer begins when the copy's moment is fixed; keys are read after.
		stream, err := c.Backup(ctx)
		if err != nil {
			return err
		}
		defer stream.Close()
		var read atomic.Int64
		o.Progress = func(n int64) { read.Store(n) }
		stop := gopts.progress(ctx, func() string { return "backing up  " + bytesText(uint64(read.Load())) })
		made, err := home.Backup(ctx, dir, path, stream, *o)
		stop()
		if err != nil {
			return err
		}
		took := time.Since(began)
		if gopts.JSON {
			return gopts.print(backupJSON{Kind: "backup", Path: made.Path, Bytes: made.Bytes, Records: made.Records, Time: made.Time,
				MemberKey: made.MemberKey, Checked: true, TookS: took.Seconds()})
		}
		under := "under your passphrase"
		if opts.Recipient != "" {
			under = "sealed to the recipient"
		}
		gopts.sayf("Wrote %s, %s, %s, %s, checked.", made.Path, bytesText(uint64(made.Bytes)), lasting(took), under)
		return nil
	})
}

// backupOptions finds out what the backup is put under. The keys and a backup
// under a passphrase have the same one.
func backupOptions(opts *BackupOptions, gopts *GlobalOptions) (*home.BackupOptions, error) {
	pass, err := gopts.passphrase()
	if err != nil {
		return nil, err
	}
	o := &home.BackupOptions{Passphrase: pass, MemberKey: opts.MemberKey, Replace: opts.Force}
	if opts.Recipient != "" {
		o.Lock = backup.Lock{Recipient: opts.Recipient}
	} else {
		if pass == nil {
			if pass, err = gopts.askPassphrase("Passphrase of the backup: ", true, "--passphrase-file FILE, or --recipient AGE"); err != nil {
				return nil, err
			}
			o.Passphrase = pass
		}
		o.Lock = backup.Lock{Passphrase: pass}
	}
	if err := o.Lock.Check(); err != nil {
		return nil, fail(api.CodeInvalid, "--recipient age1pq1..., as age-keygen -pq prints it", "%v", err)
	}
	return o, nil
}

// askPassphrase asks for a passphrase without showing it, twice where it is new.
func (g *GlobalOptions) askPassphrase(question string, fresh bool, hint string) ([]byte, error) {
	if !g.terminal(g.stdin) {
		return nil, fail(api.CodeInvalid, hint, "there is no terminal to ask for the passphrase")
	}
	ask := func(question string) ([]byte, error) {
		fmt.Fprint(g.stderr, question)
		raw, err := term.ReadPassword(int(os.Stdin.Fd()))
		fmt.Fprintln(g.stderr)
		if err == nil && len(raw) == 0 {
			err = errors.New("it is empty")
		}
		if err != nil {
			return nil, fail(api.CodeInvalid, "", "read passphrase: %v", err)
		}
		return raw, nil
	}
	pass, err := ask(question)
	if err != nil || !fresh {
		return pass, err
	}
	again, err := ask("Again: ")
	if err == nil && string(again) != string(pass) {
		err = fail(api.CodeInvalid, "", "the two are not the same")
	}
	return pass, err
}

// codedBackup gives the errors of backups and carry files their codes.
func codedBackup(err error) *api.Error {
	wrap := func(code, hint string) *api.Error { return api.Errorf(code, "%v", err).WithHint("%s", hint) }
	switch {
	case errors.Is(err, home.ErrFileExists):
		return wrap(api.CodeConflict, "another name, or --force to replace it")
	case errors.Is(err, backup.ErrLocked):
		return wrap(api.CodeInvalid, "--passphrase-file FILE, or --identity FILE for a backup sealed to a recipient")
	case errors.Is(err, backup.ErrDamaged), errors.Is(err, badger.ErrCopy), errors.Is(err, home.ErrBadBackup):
		return wrap(api.CodeInvalid, "take another copy of it, or an older backup")
	case errors.Is(err, backup.ErrNone):
		return wrap(api.CodeInvalid, "tipmesh backup writes one")
	case errors.Is(err, keyring.ErrNoMemberKey):
		return wrap(api.CodeDenied, "the member key is kept elsewhere: leave --with-member-key out")
	case errors.Is(err, carry.ErrNone):
		return wrap(api.CodeInvalid, "tipmesh carry out writes one, tipmesh show REF --entry --out FILE another")
	}
	return nil
}

// saveStream writes what comes to a file that is there whole or not at all. pass
// sees every byte on its way and says at the end whether it was whole.
func saveStream(path string, force bool, from io.Reader, pass func(io.Reader) error) (size int64, err error) {
	if _, err := os.Lstat(path); err == nil && !force {
		return 0, fmt.Errorf("%w: %s", home.ErrFileExists, path)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // of mode 0600
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name()) // gone already after the rename
	err = pass(io.TeeReader(from, f))
	if err == nil {
		err = f.Sync()
	}
	info, statErr := f.Stat()
	if err := errors.Join(err, statErr, f.Close()); err != nil {
		return 0, err
	}
	return info.Size(), os.Rename(f.Name(), path)
}

// dropStream does what saveStream does but for the file.
func dropStream(path string, force bool, from io.Reader, pass func(io.Reader) error) (size int64, err error) {
	if _, err := os.Lstat(path); err == nil && !force {
		return 0, fmt.Errorf("%w: %s", home.ErrFileExists, path)
	}
	var read atomic.Int64
	err = pass(&counting{from, &read})
	return read.Load(), err
}

// secretFile reads a file of secrets, such as age identities.
func secretFile(path string) ([]byte, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fail(api.CodeInvalid, "", "%v", err)
	}
	if strings.TrimSpace(string(raw)) == "" {
		return nil, fail(api.CodeInvalid, "", "%s is empty", path)
	}
	return raw, nil
}

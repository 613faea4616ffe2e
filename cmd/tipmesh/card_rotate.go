package main

import (
	"context"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/tipmesh/tipmesh/internal/api"
	"github.com/tipmesh/tipmesh/internal/keyring"
	"github.com/tipmesh/tipmesh/protocol"
)

// CardRotateOptions are the flags of card rotate.
type CardRotateOptions struct {
	SigningOptions
	Age     bool
	NextOut string
	After   uint64
}

func newCardRotateCommand(gopts *GlobalOptions) *cobra.Command {
	opts := &CardRotateOptions{}
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Change the member key to the next one, or the age identity",
		Long: `Without --age: the next member key, which your cards have named by its hash
since the first, takes over; a new next key is made and named. From then on the
old key can do nothing. Keep the next key where the present one is not: whoever
steals the present one cannot keep it, nor take your name away from you.
--key-file names the next key's file and --next-out where the new next key
goes; without them both are files of the home's keys folder.
With --age: a new age identity. What is sealed from then on, the old one does
not open. --key-file is the present member key then.`,
		Example: example("tipmesh card rotate --key-file next-member.key --next-out next2-member.key",
			"tipmesh card rotate --key-file next-member.key --next-out k2 --after 4", "tipmesh card rotate --age"),
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runCardRotate(cmd.Context(), opts, gopts) },
	}
	f := cmd.Flags()
	opts.addFlags(f)
	f.BoolVar(&opts.Age, "age", false, "change the age identity, not the member key")
	f.StringVar(&opts.NextOut, "next-out", "", "`file` for the new next member key")
	f.Uint64Var(&opts.After, "after", 0, "`number` of the last good card: later ones become void")
	return cmd
}

func runCardRotate(ctx context.Context, opts *CardRotateOptions, gopts *GlobalOptions) error {
	if err := opts.check(); err != nil {
		return err
	}
	if opts.Age {
		if opts.NextOut != "" || opts.After != 0 {
			return fail(api.CodeInvalid, "", "--next-out and --after are for the member key, not for --age")
		}
		gopts.previewf("Your age identity changes. Your nodes keep the old one, for what was sealed to it.")
		if ok, err := gopts.confirm("Change it?"); !ok || err != nil {
			return err
		}
		return gopts.withClient(func(c *api.Client) error {
			card, err := opts.act(ctx, gopts, c, api.PathAge, struct{}{})
			if err != nil || card == nil {
				return err
			}
			return sayCard(gopts, card)
		})
	}
	if opts.Unsigned != "" {
		return fail(api.CodeInvalid, "run it with the next key's file at hand", "the next key has to sign this: --unsigned cannot")
	}
	if (opts.KeyFile == "") != (opts.NextOut == "") {
		return fail(api.CodeInvalid, "tipmesh card rotate --help", "--key-file and --next-out go together")
	}
	return rotateMember(ctx, opts, gopts)
}

// rotateMember has the next member key take over.
func rotateMember(ctx context.Context, opts *CardRotateOptions, gopts *GlobalOptions) error {
	dir, err := gopts.home()
	if err != nil {
		return err
	}
	keys := filepath.Join(dir, "keys")
	from, to := opts.KeyFile, opts.NextOut
	if from == "" {
		from, to = filepath.Join(keys, keyring.NextMemberFile), filepath.Join(keys, keyring.NextMemberFile+".new")
	}
	key, err := gopts.memberKey(from)
	if err != nil {
		return err
	}
	public := protocol.KeyOf(key)
	gopts.previewf("The member key becomes %s. The present one can do nothing from then on.", short(public))
	if opts.After > 0 {
		gopts.previewf("All your cards after card %d become void.", opts.After)
	}
	gopts.previewf("The key to follow it goes to %s: keep it apart.", to)
	if ok, err := gopts.confirm("Rotate?"); !ok || err != nil {
		return err
	}
	next, err := newNextKey(gopts, to)
	if err != nil {
		return err
	}
	return gopts.withClient(func(c *api.Client) error {
		p, err := c.Prepare(ctx, "POST", api.PathTakeover, api.Takeover{Key: public.String(), Next: hex.EncodeToString(next[:]), After: opts.After})
		if err == nil {
			err = bring(ctx, c, p, key)
		}
		if err != nil {
			return errors.Join(err, removeUnused(to))
		}
		if opts.KeyFile == "" {
			if err := shiftKeys(keys); err != nil {
				return err
			}
		}
		card, err := c.Card(ctx)
		if err != nil {
			return err
		}
		return sayCard(gopts, card)
	})
}

func newNextKey(gopts *GlobalOptions, path string) ([32]byte, error) {
	pass, err := gopts.passphrase()
	if err != nil {
		return [32]byte{}, err
	}
	next, err := keyring.NewMemberKey(path, pass)
	if errors.Is(err, keyring.ErrExists) {
		return next, fail(api.CodeConflict, "give another name, or move it away", "%v", err)
	}
	return next, err
}

// removeUnused removes a next key that no card names.
func removeUnused(path string) error { return os.Remove(path) }

// shiftKeys makes the next key of a home its member key, and the new one its next.
func shiftKeys(keys string) error {
	next := filepath.Join(keys, keyring.NextMemberFile)
	if err := os.Rename(next, filepath.Join(keys, keyring.MemberFile)); err != nil {
		return fail(api.CodeInternal, "rename "+next+" to "+keyring.MemberFile+" by hand", "%v", err)
	}
	if err := os.Rename(next+".new", next); err != nil {
		return fail(api.CodeInternal, "rename "+next+".new to "+keyring.NextMemberFile+" by hand", "%v", err)
	}
	return nil
}

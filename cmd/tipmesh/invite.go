package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/tipmesh/tipmesh/internal/api"
)

// InviteOptions are the flags of invite.
type InviteOptions struct {
	Name, Out string
	For       durationFlag
	Admit     bool
}

func newInviteCommand(gopts *GlobalOptions) *cobra.Command {
	opts := &InviteOptions{For: durationFlag(48 * time.Hour)}
	cmd := &cobra.Command{
		Use:   "invite",
		Short: "Make a ticket for one organisation to join",
		Long: `Make a ticket for one organisation to join. It is good once, for the first card
that uses it. Send it privately; compare the six words by phone when they join.
While a ticket is out, the node answers joiners on another port, UDP and TCP,
which the ticket names (addresses, with --json). A firewall must let it in.`,
		Example: example(`tipmesh invite --name "Fir Mobile" --for 48h --out fir.ticket`, "tipmesh invite --out fir.ticket --admit"),
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runInvite(cmd.Context(), opts, gopts) },
	}
	f := cmd.Flags()
	f.StringVar(&opts.Name, "name", "", "whom it is for, as a reminder: `name`")
	f.Var(&opts.For, "for", "how long it is good")
	f.StringVarP(&opts.Out, "out", "o", "", "write the ticket to this `file`, not standard output")
	f.BoolVar(&opts.Admit, "admit", false, "sign as soon as the card arrives, words unheard")
	return cmd
}

func runInvite(ctx context.Context, opts *InviteOptions, gopts *GlobalOptions) error {
	if opts.For <= 0 {
		return fail(api.CodeInvalid, "--for 48h", "an invitation must be good for some time")
	}
	for_ := time.Duration(opts.For)
	if opts.Admit {
		gopts.previewf("Whoever uses this ticket first is signed for by this governor, words unheard.")
		if ok, err := gopts.confirm("Make it?"); !ok || err != nil {
			return err
		}
	} else if gopts.DryRun {
		gopts.previewf("A ticket, good once, for %s.", lasting(for_))
		return nil
	}
	return gopts.withClient(func(c *api.Client) error {
		var out *os.File
		var err error
		if opts.Out != "" {
			// Opened first, so that no ticket is made that cannot be kept.
			if out, err = openNew(opts.Out); err != nil {
				return err
			}
		}
		t, err := c.Invite(ctx, api.Invite{Name: opts.Name, ForS: for_.Seconds(), Admit: opts.Admit})
		if out != nil {
			err = saveTicket(out, t, err)
		}
		if err != nil {
			return err
		}
		if gopts.JSON {
			return gopts.print(t)
		}
		if out == nil {
			gopts.sayf("%s", clean(t.Text))
		} else {
			gopts.sayf("Wrote %s: one use, until %s UTC. Send it privately.", opts.Out, minute(t.Expires))
		}
		gopts.notef("When they join, both sides see six words. Compare them by phone.")
		if !t.Admit || t.Needs.Threshold > 1 {
			gopts.notef("%d of %d governors must then sign: %s.", t.Needs.Threshold, len(t.Needs.Governors), names(t.Needs.Governors))
		}
		return nil
	})
}

// saveTicket writes a ticket to the file that was opened for it. Where there is
// none, the file goes.
func saveTicket(out *os.File, t *api.Ticket, err error) error {
	if err == nil {
		_, err = fmt.Fprintln(out, t.Text)
		if err = errors.Join(err, out.Sync()); err != nil {
			err = fail(api.CodeInvalid, "", "write ticket: %v", err)
		}
	}
	if closed := out.Close(); err == nil && closed != nil {
		err = fail(api.CodeInvalid, "", "write ticket: %v", closed)
	}
	if err != nil {
		return errors.Join(err, os.Remove(out.Name()))
	}
	return nil
}

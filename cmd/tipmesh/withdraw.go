package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/tipmesh/tipmesh/internal/api"
)

// WithdrawOptions are the flags of withdraw.
type WithdrawOptions struct {
	Why  string
	Wait durationFlag
}

func newWithdrawCommand(gopts *GlobalOptions) *cobra.Command {
	opts := &WithdrawOptions{Wait: durationFlag(5 * time.Second)}
	cmd := &cobra.Command{
		Use:   "withdraw REF|VALUE",
		Short: "Take back what you shared",
		Long: `Take back a share, an object or what you said of a value, for good. Whoever
got it is told; their nodes stop showing it at once and erase it after a day.
What they copied elsewhere they keep. Said anew, it gets a new name.`,
		Example: example(
			"tipmesh withdraw share:9d2mq --why error",
			"tipmesh withdraw 62.210.180[.]229 --why false-positive"),
		Args: countArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return runWithdraw(cmd.Context(), opts, gopts, args[0]) },
	}
	f := cmd.Flags()
	f.StringVar(&opts.Why, "why", "", "false-positive, error, leak, terms or author")
	f.Var(&opts.Wait, "wait", "how long to wait for receipts")
	return cmd
}

func runWithdraw(ctx context.Context, opts *WithdrawOptions, gopts *GlobalOptions, ref string) error {
	if opts.Why == "" {
		return fail(api.CodeInvalid, "tipmesh withdraw "+clean(ref)+" --why error", "say why: add --why false-positive, error, leak, terms or author")
	}
	q := api.Withdraw{Ref: ref, Why: opts.Why, WaitS: time.Duration(opts.Wait).Seconds(), NoWait: opts.Wait == 0}
	return gopts.withClient(func(c *api.Client) error {
		q.DryRun = true
		preview, err := c.Withdraw(ctx, q)
		if err != nil {
			return err
		}
		if gopts.DryRun && gopts.JSON {
			return gopts.print(preview)
		}
		previewWithdrawal(gopts, preview)
		if ok, err := gopts.confirm("Withdraw?"); !ok || err != nil {
			return err
		}
		q.DryRun = false
		stop := gopts.progress(ctx, func() string { return "withdrawing" })
		defer stop()
		done, err := c.Withdraw(ctx, q)
		if err != nil {
			return err
		}
		stop()
		if gopts.JSON {
			return gopts.print(done)
		}
		gopts.sayf("Withdrew  %s", withdrawnText(done))
		if len(done.Receipts) > 0 {
			gopts.sayf("Applied by  %s", receiptsText(done.Receipts, 12))
		}
		if slices.ContainsFunc(done.Receipts, func(r api.Receipt) bool { return r.State == api.ReceiptWaiting }) {
			gopts.notef("A member writes receipts every ten minutes at most. To see more of them:\n  %s", gopts.here("tipmesh show "+clean(done.Ref)))
		}
		return nil
	})
}

// withdrawnText says what is withdrawn.
func withdrawnText(w *api.Withdrawal) string {
	if len(w.IDs) == 1 {
		return clean(w.Ref)
	}
	return fmt.Sprintf("%s: %s", clean(w.Ref), plural(len(w.IDs), "object", "objects"))
}

func previewWithdrawal(gopts *GlobalOptions, w *api.Withdrawal) {
	gopts.previewf("Withdraws %s from %s, for good (a new one gets a new name).", withdrawnText(w),
		plural(len(w.Audience.Members), "member", "members"))
	gopts.previewf("They keep what they copied; their nodes stop showing it, and erase it later.")
	var lines, untold []string
	for _, r := range w.ReadBy {
		held := ""
		if r.Held {
			held = ", has it"
		}
		lines = append(lines, fmt.Sprintf("%s since %s%s", nameOf(&r.Member), minute(r.Since), held))
		if !r.Told {
			untold = append(untold, nameOf(&r.Member))
		}
	}
	if len(lines) > 0 {
		gopts.previewf("Could read it  %s", wrap(lines, ";", 80, 15))
	}
	if len(untold) > 0 {
		gopts.previewf("Not told, since nothing is sent to them now  %s", wrap(untold, ",", 80, 15))
	}
}

// receiptsText says who has applied a withdrawal, how fast, and who has not.
func receiptsText(list []api.Receipt, indent int) string {
	var parts []string
	for i := range list {
		r := &list[i]
		name := nameOf(&r.Member)
		switch r.State {
		case api.ReceiptApplied:
			parts = append(parts, name+" "+took(r.TookS))
		case api.ReceiptOffline:
			parts = append(parts, name+": offline, will on return")
		default:
			parts = append(parts, name+": not yet")
		}
	}
	return wrap(parts, " ", 80, indent)
}

// took writes how long something took.
func took(s float64) string {
	if s < 10 {
		return fmt.Sprintf("%.1f s", s)
	}
	return lasting(time.Duration(s * float64(time.Second)))
}

// sayWithdrawn tells of a withdrawal that is shown with what it took back.
func sayWithdrawn(gopts *GlobalOptions, w *api.Withdrawn) {
	if w == nil {
		return
	}
	gopts.sayf("Withdrawn %s UTC   %s", minute(w.At), orDash(clean(w.Why)))
	if len(w.Receipts) > 0 {
		gopts.sayf("Applied by  %s", receiptsText(w.Receipts, 12))
	}
}

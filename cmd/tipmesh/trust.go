package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tipmesh/tipmesh/internal/api"
)

// TrustSetOptions are the flags of trust set.
type TrustSetOptions struct {
	Use, Send, Reliability, Alias, Note, Until, Why string
}

func newTrustCommand(gopts *GlobalOptions) *cobra.Command {
	list := &cobra.Command{
		Use: "list", Short: "List what you decided about the others", Example: example("tipmesh trust list"), Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runTrustList(cmd.Context(), gopts) },
	}
	return newNounCommand("trust", "What you take from others and send them", list, newTrustSetCommand(gopts), newTrustPlanCommand(gopts),
		newTrustApplyCommand(gopts), newTrustExportCommand(gopts), newTrustHistoryCommand(gopts))
}

func newTrustSetCommand(gopts *GlobalOptions) *cobra.Command {
	opts := &TrustSetOptions{}
	set := &cobra.Command{
		Use:   "set MEMBER|others",
		Short: "Decide about a member, or about all others",
		Long: `Decide about a member, or, with "others", change the default line.
  use    what its intelligence may do here: none < hold < read < detect < block
         none: carried for others, not in look-ups; hold: held apart, shown by
         lookup --held; read: people see it; detect and block: it acts
  send   the highest TLP it is sent: none, clear, green, amber, amber+strict, red
  until  after that time, by this node's clock, the default line applies again
Both take effect at once: look-ups with the next one, sending with the next
write. What a member has received before cannot be taken back, and what was
written while it was sent less stays unreadable to it.`,
		Example: example(`tipmesh trust set elm --use block --why "good quarter"`, "tipmesh trust set elm --send green --until 90d"),
		Args:    countArgs(1, 1), ValidArgsFunction: gopts.completeMember,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runTrustSet(cmd.Context(), opts, gopts, cmd.Flags().Changed, args[0])
		},
	}
	f := set.Flags()
	f.StringVar(&opts.Use, "use", "", "none, hold, read, detect or block")
	f.StringVar(&opts.Send, "send", "", "none, clear, green, amber, amber+strict or red")
	f.StringVar(&opts.Reliability, "reliability", "", "Admiralty code, A to F")
	f.StringVar(&opts.Alias, "alias", "", "your own `name` for it: letters, digits, hyphens")
	f.StringVar(&opts.Note, "note", "", "a `remark` for yourself")
	f.StringVar(&opts.Until, "until", "", "until when: `time`, a duration as 90d, or empty")
	f.StringVar(&opts.Why, "why", "", "the `reason`, kept with the change")
	return set
}

func runTrustList(ctx context.Context, gopts *GlobalOptions) error {
	return gopts.withClient(func(c *api.Client) error {
		list, err := c.Trust(ctx)
		if err != nil {
			return err
		}
		var rows [][]string
		for _, t := range list {
			if gopts.JSON {
				if err := gopts.print(t); err != nil {
					return err
				}
			}
			note, until := clean(t.Note), day(t.Until)
			switch {
			case t.Lapsed:
				note = "lapsed: default line"
			case t.Default:
				note = "default line"
			}
			rows = append(rows, []string{nameOf(&t.Member), reliability(t.Reliability), clean(t.Use), clean(t.Send), until, cut(note, 30)})
		}
		if gopts.JSON {
			return gopts.print(api.Summary{Kind: "summary", Total: len(list)})
		}
		gopts.table(gopts.stdout, []string{"MEMBER", "RELIABILITY", "USE", "SEND TO", "UNTIL", "NOTE"}, rows)
		gopts.notef("use: none < hold < read < detect < block      send to: highest TLP they get")
		return nil
	})
}

func runTrustSet(ctx context.Context, opts *TrustSetOptions, gopts *GlobalOptions, changed func(string) bool, who string) error {
	change := api.TrustChange{Why: opts.Why, By: userName()}
	take := func(name, value string, to **string) {
		if changed(name) {
			*to = &value
		}
	}
	take("use", strings.ToLower(opts.Use), &change.Use)
	take("send", strings.TrimPrefix(strings.ToLower(opts.Send), "tlp:"), &change.Send)
	take("reliability", strings.ToUpper(opts.Reliability), &change.Reliability)
	take("alias", strings.ToLower(opts.Alias), &change.Alias)
	take("note", opts.Note, &change.Note)
	if changed("until") {
		until := time.Time{}
		if opts.Until != "" {
			var err error
			if until, err = moment(opts.Until, time.Now(), false); err != nil {
				return err
			}
			if !until.After(time.Now()) {
				return fail(api.CodeInvalid, "", "--until %s is over already", until.Format(time.RFC3339))
			}
		}
		change.Until = &until
	}
	if change.Use == nil && change.Send == nil && change.Reliability == nil && change.Alias == nil && change.Note == nil && change.Until == nil {
		return fail(api.CodeInvalid, "tipmesh trust set --help", "nothing to change: add --use, --send, --reliability, --alias, --note or --until")
	}
	return gopts.withClient(func(c *api.Client) error {
		plan, err := c.PlanTrust(ctx, api.TrustPlanRequest{Who: who, Change: &change})
		if err != nil {
			return err
		}
		if gopts.DryRun && gopts.JSON {
			return gopts.print(plan)
		}
		change.Planned = &plan.Version
		switch {
		case plan.Lines == 0 && !gopts.DryRun:
			return fail(api.CodeConflict, "", "nothing changes: the line of %s is so already", clean(who))
		case plan.Lines == 0:
			gopts.previewf("%s   nothing changes", clean(who))
		default:
			for _, line := range planLines(plan) {
				gopts.previewf("%s", strings.TrimPrefix(line, "  ~ "))
			}
			previewEffects(gopts, &plan.Effects)
			if ok, err := gopts.confirm("Apply?"); !ok || err != nil {
				return err
			}
		}
		if gopts.DryRun {
			return nil
		}
		done, err := c.SetTrust(ctx, who, change)
		if err != nil {
			return err
		}
		if gopts.JSON {
			return gopts.print(done)
		}
		gopts.sayf("%s   %s, use %s, send %s   trust version %d", nameOf(&done.Member), reliability(done.Reliability), clean(done.Use),
			clean(done.Send), done.Version)
		return nil
	})
}

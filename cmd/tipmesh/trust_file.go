package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tipmesh/tipmesh/internal/api"
)

// maxTrustFile bounds a trust file.
const maxTrustFile = 1 << 19

// userName is who types: changes are kept under that name.
func userName() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	return u.Username
}

const trustFileHelp = `FILE is the trust list in TOML, as tipmesh trust export writes it:
  [others]
  use = "read"
  send = "amber"
  [member.elm]
  use = "block"
  until = 2027-08-01
Fields: use, send, reliability, alias, note, until, id. What a member's line
leaves out is as in the default line, [others]; what [others] leaves out stays
as it is. A member without a line gets the default line.`

func newTrustPlanCommand(gopts *GlobalOptions) *cobra.Command {
	return &cobra.Command{
		Use: "plan FILE|-", Short: "Show what a trust file would change",
		Long:    "Show what a trust file would change, and change nothing. Exit code 1 if there are\nchanges, else 0.\n\n" + trustFileHelp,
		Example: example("tipmesh trust plan trust.toml"), Args: countArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return runTrustPlan(cmd.Context(), gopts, args[0]) },
	}
}

func newTrustApplyCommand(gopts *GlobalOptions) *cobra.Command {
	why := ""
	cmd := &cobra.Command{
		Use: "apply FILE|-", Short: "Have the trust list become what a file says",
		Long:    "Show what a trust file would change, ask, and change it: all or nothing.\n\n" + trustFileHelp,
		Example: example(`tipmesh trust apply trust.toml --why "CR-1182"`), Args: countArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runTrustApply(cmd.Context(), gopts, args[0], why)
		},
	}
	cmd.Flags().StringVar(&why, "why", "", "the `reason`, kept with the changes")
	return cmd
}

func newTrustExportCommand(gopts *GlobalOptions) *cobra.Command {
	return &cobra.Command{
		Use: "export [FILE]", Short: "Write the trust list to a file",
		Long:    "Write the trust list as TOML to a new file, or to standard output.\n\n" + trustFileHelp,
		Example: example("tipmesh trust export trust.toml", "tipmesh trust export > trust.toml"), Args: countArgs(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return runTrustExport(cmd.Context(), gopts, args) },
	}
}

func newTrustHistoryCommand(gopts *GlobalOptions) *cobra.Command {
	return &cobra.Command{
		Use: "history [MEMBER|others]", Short: "List the changes of the trust list, newest first",
		Example: example("tipmesh trust history elm"), Args: countArgs(0, 1), ValidArgsFunction: gopts.completeMember,
		RunE: func(cmd *cobra.Command, args []string) error { return runTrustHistory(cmd.Context(), gopts, args) },
	}
}

// trustText reads a trust file.
func trustText(gopts *GlobalOptions, name string) (shown, text string, err error) {
	in := gopts.stdin
	if shown = "standard input"; name != "-" {
		f, err := os.Open(name) // #nosec G304 -- the operator named it
		if err != nil {
			return "", "", fail(api.CodeInvalid, "", "%v", err)
		}
		defer f.Close()
		in, shown = f, name
	}
	raw, err := io.ReadAll(io.LimitReader(in, maxTrustFile+1))
	switch {
	case err != nil:
		return "", "", fail(api.CodeInvalid, "", "read %s: %v", shown, err)
	case len(raw) > maxTrustFile:
		return "", "", fail(api.CodeInvalid, "", "%s is larger than %d KiB", shown, maxTrustFile>>10)
	}
	return shown, string(raw), nil
}

func runTrustPlan(ctx context.Context, gopts *GlobalOptions, name string) error {
	name, text, err := trustText(gopts, name)
	if err != nil {
		return err
	}
	return gopts.withClient(func(c *api.Client) error {
		plan, err := c.PlanTrust(ctx, api.TrustPlanRequest{File: name, Text: text})
		if err != nil {
			return err
		}
		if gopts.JSON {
			if err := gopts.print(plan); err != nil {
				return err
			}
			return exit(plan.Exit())
		}
		for _, line := range planLines(plan) {
			gopts.sayf("%s", line)
		}
		if plan.Lines == 0 {
			gopts.sayf("Nothing would change.")
		} else {
			for _, line := range effectLines(&plan.Effects) {
				gopts.sayf("%s", line)
			}
		}
		return exit(plan.Exit())
	})
}

func runTrustApply(ctx context.Context, gopts *GlobalOptions, name, why string) error {
	name, text, err := trustText(gopts, name)
	if err != nil {
		return err
	}
	return gopts.withClient(func(c *api.Client) error {
		plan, err := c.PlanTrust(ctx, api.TrustPlanRequest{File: name, Text: text})
		if err != nil {
			return err
		}
		if gopts.DryRun && gopts.JSON {
			return gopts.print(plan)
		}
		for _, line := range planLines(plan) {
			gopts.previewf("%s", line)
		}
		if plan.Lines > 0 {
			previewEffects(gopts, &plan.Effects)
			if ok, err := gopts.confirm("Apply?"); !ok || err != nil {
				return err
			}
		}
		if gopts.DryRun {
			return nil
		}
		q := api.TrustApplyRequest{File: name, Text: text, Why: why, By: userName(), Planned: &plan.Version}
		if plan, err = c.ApplyTrust(ctx, q); err != nil {
			return err
		}
		if gopts.JSON {
			return gopts.print(plan)
		}
		gopts.sayf("Applied %s as %s.   trust version %d", plural(plan.Lines, "change", "changes"), orDash(clean(q.By)), plan.Version)
		return nil
	})
}

// planLines tells what changes, a line a member.
func planLines(p *api.TrustPlan) (out []string) {
	marks := map[string]string{api.TrustAdd: "+", api.TrustChanged: "~", api.TrustDrop: "-"}
	for list := p.Changes; len(list) > 0; {
		same := slices.IndexFunc(list, func(f api.TrustField) bool { return f.Member != list[0].Member })
		if same < 0 {
			same = len(list)
		}
		out = append(out, fmt.Sprintf("  %s %s   %s", marks[list[0].Op], nameOf(&list[0].Member), fieldsText(list[:same])))
		list = list[same:]
	}
	if p.Unchanged > 0 {
		out = append(out, fmt.Sprintf("  = %d unchanged", p.Unchanged))
	}
	return out
}

// fieldsText tells the changes of one line.
func fieldsText(list []api.TrustField) string {
	var parts []string
	for _, f := range list {
		from, to := cut(clean(f.From), 40), cut(clean(f.To), 40)
		switch f.Op {
		case api.TrustDrop:
			parts = append(parts, "the default line again")
		case api.TrustAdd:
			parts = append(parts, clean(f.Field)+" "+to)
		default:
			parts = append(parts, fmt.Sprintf("%s %s -> %s", clean(f.Field), orDash(from), orDash(to)))
		}
	}
	return strings.Join(parts, ", ")
}

func previewEffects(gopts *GlobalOptions, e *api.TrustEffects) {
	for _, line := range effectLines(e) {
		gopts.previewf("%s", line)
	}
}

// effectLines tells what comes of a change.
func effectLines(e *api.TrustEffects) []string {
	var out []string
	say := func(format string, args ...any) {
		out = append(out, wrap(strings.Fields(fmt.Sprintf(format, args...)), "", 80, 2))
	}
	labels := func(list []string) string { return "TLP:" + strings.ToUpper(clean(strings.Join(list, ", TLP:"))) }
	for _, s := range e.Sends {
		if len(s.Starts) > 0 {
			say("%s receives %s too, from your next write on.", nameOf(&s.Member), labels(s.Starts))
		}
		if len(s.Stops) > 0 {
			say("%s receives %s no more, from your next write on.", nameOf(&s.Member), labels(s.Stops))
		}
	}
	how := map[string]string{api.TrustShown: "shown", api.TrustHeld: "held apart", api.TrustHidden: "not shown"}
	for _, l := range e.Lookups {
		say("Look-ups: %s of %s, now %s, would be %s.", plural(l.Objects, "object", "objects"), nameOf(&l.Member), how[l.From], how[l.To])
	}
	if len(out) == 0 {
		say("Look-ups and what is sent stay the same.")
	}
	if e.Hidden+e.Held > 0 {
		say("In all, none hides %s and hold keeps %s apart.", plural(e.Hidden, "object", "objects"), grouped(e.Held))
	}
	out[0] = "If applied: " + out[0]
	return out
}

func runTrustExport(ctx context.Context, gopts *GlobalOptions, args []string) error {
	return gopts.withClient(func(c *api.Client) error {
		f, err := c.TrustFile(ctx)
		if err != nil {
			return err
		}
		if len(args) == 0 {
			if gopts.JSON {
				return gopts.print(f)
			}
			_, err := io.WriteString(gopts.stdout, f.Text)
			return err
		}
		if gopts.DryRun {
			gopts.sayf("Would write %s, trust version %d", args[0], f.Version)
			return nil
		}
		out, err := os.OpenFile(args[0], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // #nosec G304 -- the operator named it
		if errors.Is(err, fs.ErrExist) {
			return fail(api.CodeConflict, "to replace it: tipmesh trust export > "+args[0], "%s is there already", args[0])
		} else if err != nil {
			return fail(api.CodeInvalid, "", "%v", err)
		}
		_, err = io.WriteString(out, f.Text)
		if err = errors.Join(err, out.Close()); err != nil {
			return fail(api.CodeInvalid, "", "write %s: %v", args[0], err)
		}
		if gopts.JSON {
			return gopts.print(f)
		}
		gopts.sayf("Wrote %s, trust version %d", args[0], f.Version)
		return nil
	})
}

func runTrustHistory(ctx context.Context, gopts *GlobalOptions, args []string) error {
	who := ""
	if len(args) > 0 {
		who = args[0]
	}
	return gopts.withClient(func(c *api.Client) error {
		list, err := c.TrustHistory(ctx, who)
		if err != nil {
			return err
		}
		var rows [][]string
		for i, r := range list {
			if gopts.JSON {
				if err := gopts.print(list[i]); err != nil {
					return err
				}
			}
			row := []string{minute(r.Time), orDash(cut(clean(r.By), 12)), fieldsText(r.Changes), orDash(cut(clean(r.Why), 24)), fmt.Sprintf("v%d", r.Version)}
			if who == "" {
				row = slices.Insert(row, 1, nameOf(&r.Member))
			}
			rows = append(rows, row)
		}
		if gopts.JSON {
			return gopts.print(api.Summary{Kind: "summary", Total: len(list)})
		}
		if len(rows) == 0 {
			gopts.sayf("Nothing was changed: the default line applies.")
			return nil
		}
		head := []string{"TIME", "BY", "CHANGE", "WHY", "VERSION"}
		if who == "" {
			head = slices.Insert(head, 1, "MEMBER")
		}
		gopts.table(gopts.stdout, head, rows)
		return nil
	})
}

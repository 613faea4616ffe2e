package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tipmesh/tipmesh/internal/api"
)

const rootTitle = "tipmesh: share threat intelligence with members you trust. No server."

// groups are the commands as the help lists them.
var helpGroups = [...]struct{ name, commands string }{
	{"Get in", "create  invite  join  run  demo"},
	{"Know", "lookup  search  show  watch"},
	{"Say", "share  withdraw"},
	{"Trust", "member  group  trust  roster  card"},
	{"Keep", "status  backup  restore  verify  carry  version"},
}

const rootHelp = `
Global flags
  --home FOLDER           the node's home (else TIPMESH_HOME,
                          XDG_DATA_HOME/tipmesh or ~/.tipmesh)
  --json                  answer with one JSON object a line, each with a kind
  --yes, --dry-run        do not ask; only show what would be done
  --live                  print live values, not defanged ones
  --quiet                 say less on standard error
  --passphrase-file FILE  where the keys are under a passphrase

Exit codes
  0  done; yes                    5  changed meanwhile, or already so
  1  done: no, nothing, another   6  not reachable: node, peer, signatures
  2  wrong command or input       7  partly done; the refused is listed
  3  a rule forbids it            8  a fault of ours
  4  no such thing

Try it:   tipmesh demo
More:     tipmesh COMMAND --help
`

func newRootCommand(gopts *GlobalOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:           "tipmesh",
		Short:         rootTitle,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	gopts.addFlags(cmd.PersistentFlags())
	cmd.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fail(api.CodeInvalid, c.CommandPath()+" --help", "%v", err)
	})
	usual := cmd.HelpFunc()
	cmd.SetHelpFunc(func(c *cobra.Command, args []string) {
		if c == cmd {
			printRootHelp(c.OutOrStdout(), gopts)
			return
		}
		usual(c, args)
	})
	cmd.CompletionOptions.HiddenDefaultCmd = true
	cmd.AddCommand(
		newCreateCommand(gopts), newInviteCommand(gopts), newJoinCommand(gopts), newRunCommand(gopts), newDemoCommand(gopts),
		newLookupCommand(gopts), newSearchCommand(gopts), newShowCommand(gopts), newWatchCommand(gopts), newShareCommand(gopts), newWithdrawCommand(gopts),
		newMemberCommand(gopts), newGroupCommand(gopts), newTrustCommand(gopts), newRosterCommand(gopts), newCardCommand(gopts),
		newStatusCommand(gopts), newBackupCommand(gopts), newRestoreCommand(gopts), newVerifyCommand(gopts), newCarryCommand(gopts), newVersionCommand(gopts),
	)
	return cmd
}

func printRootHelp(w io.Writer, gopts *GlobalOptions) {
	fmt.Fprintf(w, "%s\n\n", gopts.bold(rootTitle))
	for _, g := range helpGroups {
		fmt.Fprintf(w, "%-12s %s\n", g.name, g.commands)
	}
	fmt.Fprint(w, rootHelp)
}

// example indents a command's examples as cobra's help wants them.
func example(lines ...string) string { return "  " + strings.Join(lines, "\n  ") }

// noArgs and args check the number of arguments with errors of ours.
func noArgs(cmd *cobra.Command, args []string) error { return countArgs(0, 0)(cmd, args) }

// countArgs wants at least least arguments, and at most most unless it is
// negative.
func countArgs(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case cmd.HasSubCommands() && len(args) > 0:
			return fail(api.CodeInvalid, cmd.CommandPath()+" --help", "unknown command %q for %s", args[0], cmd.CommandPath())
		case len(args) < least:
			return fail(api.CodeInvalid, cmd.CommandPath()+" --help", "something is missing: %s", cmd.UseLine())
		case most >= 0 && len(args) > most:
			return fail(api.CodeInvalid, cmd.CommandPath()+" --help", "%q is one too many for %s", args[most], cmd.CommandPath())
		}
		return nil
	}
}

// verbNames are the verbs of a noun, in the order of its help.
func verbNames(c *cobra.Command) string {
	var names []string
	for _, v := range c.Commands() {
		names = append(names, v.Name())
	}
	return strings.Join(names, ", ")
}

// newNounCommand is a command that only has verbs.
func newNounCommand(noun, short string, verbs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: noun, Short: short, Args: noArgs, RunE: func(c *cobra.Command, _ []string) error {
		return fail(api.CodeInvalid, c.CommandPath()+" --help", "%s needs a verb: %s", c.Name(), verbNames(c))
	}}
	for _, v := range verbs {
		if cmd.Example != "" {
			cmd.Example += "\n"
		}
		cmd.Example += v.Example
		cmd.AddCommand(v)
	}
	return cmd
}

package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tipmesh/tipmesh/internal/api"
)

// GroupCreateOptions are the flags of group create.
type GroupCreateOptions struct {
	History  string
	Deputies []string
}

func newGroupCommand(gopts *GlobalOptions) *cobra.Command {
	opts := &GroupCreateOptions{}
	create := &cobra.Command{
		Use:   "create NAME MEMBER...",
		Short: "Found a group of some members",
		Long: `Found a sharing group that you own. Members outside it do not learn its name,
its members or what is shared in it; they carry it as ciphertext. Only you and
the deputies change it; if all of you are gone it is read-only.`,
		Example: example("tipmesh group create resolvers alder cedar --history 30d",
			"tipmesh group create finance elm fir --deputy elm"),
		Args: countArgs(1, -1), ValidArgsFunction: gopts.completeMember,
		RunE: func(cmd *cobra.Command, args []string) error { return runGroupCreate(cmd.Context(), opts, gopts, args) },
	}
	f := create.Flags()
	f.StringVar(&opts.History, "history", "none", "how far back newcomers see: none, `time` as 30d, all")
	f.StringSliceVar(&opts.Deputies, "deputy", nil, "`member` that may change it too; in order")
	list := &cobra.Command{
		Use: "list", Short: "List your groups", Example: example("tipmesh group list"), Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runGroupList(cmd.Context(), gopts) },
	}
	show := &cobra.Command{
		Use: "show @GROUP", Short: "Show a group", Example: example("tipmesh group show @resolvers"), Args: countArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return runGroupShow(cmd.Context(), gopts, args[0]) },
	}
	change := func(verb, use, short, line string, least, most int) *cobra.Command {
		return &cobra.Command{
			Use: use, Short: short, Example: example(line), Args: countArgs(least, most),
			RunE: func(cmd *cobra.Command, args []string) error {
				return runGroupChange(cmd.Context(), gopts, verb, args[0], args[1:])
			},
		}
	}
	add := change(api.GroupAdd, "add @GROUP MEMBER...", "Take members into a group", "tipmesh group add @resolvers elm", 2, -1)
	remove := change(api.GroupRemove, "remove @GROUP MEMBER...", "Take members out of a group", "tipmesh group remove @resolvers cedar", 2, -1)
	leave := change(api.GroupLeave, "leave @GROUP", "Leave a group", "tipmesh group leave @resolvers", 1, 1)
	return newNounCommand("group", "Groups of members that you share with", create, list, show, add, remove, leave)
}

func runGroupCreate(ctx context.Context, opts *GroupCreateOptions, gopts *GlobalOptions, args []string) error {
	q := api.GroupCreate{Name: args[0], Members: args[1:], Deputies: opts.Deputies, History: strings.ToLower(opts.History)}
	return gopts.withClient(func(c *api.Client) error {
		q.DryRun = true
		g, err := c.CreateGroup(ctx, q)
		if err != nil {
			return err
		}
		if gopts.DryRun && gopts.JSON {
			return gopts.print(g)
		}
		gopts.previewf("Group @%s, owned by %s: %s", clean(g.Name), nameOf(&g.Owner), names(g.Members))
		gopts.previewf("Others do not learn its name or members. %s", newcomersSee(g.History))
		if ok, err := gopts.confirm("Create?"); !ok || err != nil {
			return err
		}
		q.DryRun = false
		if g, err = c.CreateGroup(ctx, q); err != nil {
			return err
		}
		if gopts.JSON {
			return gopts.print(g)
		}
		gopts.sayf("Created @%s   %s", clean(g.Name), clean(g.Ref))
		gopts.notef("Next: tipmesh share FILE --to @%s", clean(g.Name))
		return nil
	})
}

func newcomersSee(history string) string {
	switch history {
	case "none":
		return "Newcomers see nothing from before."
	case "all":
		return "Newcomers see everything from before."
	}
	return fmt.Sprintf("Newcomers see %s back.", clean(history))
}

func runGroupList(ctx context.Context, gopts *GlobalOptions) error {
	return gopts.withClient(func(c *api.Client) error {
		list, err := c.Groups(ctx)
		if err != nil {
			return err
		}
		var rows [][]string
		for _, g := range list {
			if gopts.JSON {
				if err := gopts.print(g); err != nil {
					return err
				}
			}
			state := clean(g.State)
			if g.You == "out" {
				state = "-"
			}
			rows = append(rows, []string{"@" + cut(clean(g.Name), 32), clean(g.Ref), nameOf(&g.Owner), clean(g.You),
				fmt.Sprint(len(g.Members)), clean(g.History), state})
		}
		if gopts.JSON {
			return gopts.print(api.Summary{Kind: "summary", Total: len(list)})
		}
		if len(rows) == 0 {
			gopts.sayf("No groups.")
			return nil
		}
		gopts.table(gopts.stdout, []string{"GROUP", "REF", "OWNER", "YOU", "MEMBERS", "HISTORY", "STATE"}, rows)
		return nil
	})
}

func runGroupShow(ctx context.Context, gopts *GlobalOptions, ref string) error {
	return gopts.withClient(func(c *api.Client) error {
		g, err := c.Group(ctx, ref)
		if err != nil {
			return err
		}
		if gopts.JSON {
			return gopts.print(g)
		}
		gopts.sayf("%s", gopts.bold(fmt.Sprintf("@%s   %s   version %d, %s", clean(g.Name), clean(g.Ref), g.Version, clean(g.State))))
		gopts.sayf("  owner     %s", nameOf(&g.Owner))
		if len(g.Deputies) > 0 {
			gopts.sayf("  deputies  %s", names(g.Deputies))
		}
		gopts.sayf("  members   %s", names(g.Members))
		you := clean(g.You)
		if !g.Since.IsZero() && g.You != "out" {
			you += ", since " + minute(g.Since) + " UTC"
		}
		gopts.sayf("  you       %s", you)
		gopts.sayf("  history   %s", newcomersSee(g.History))
		for _, a := range g.Alerts {
			gopts.sayf("  alarm     %s", wrap(strings.Fields(clean(a)), "", 80, 12))
		}
		return nil
	})
}

func runGroupChange(ctx context.Context, gopts *GlobalOptions, verb, ref string, members []string) error {
	q := api.GroupChange{Members: members, DryRun: true}
	return gopts.withClient(func(c *api.Client) error {
		g, err := c.ChangeGroup(ctx, ref, verb, q)
		if err != nil {
			return err
		}
		if gopts.DryRun && gopts.JSON {
			return gopts.print(g)
		}
		who := clean(strings.Join(members, ", "))
		switch verb {
		case api.GroupAdd:
			gopts.previewf("@%s: %s", clean(g.Name), names(g.Members))
			gopts.previewf("%s comes in. %s", who, newcomersSee(g.History))
		case api.GroupRemove:
			gopts.previewf("From your next write %s gets nothing new from @%s. What it has had it keeps.", who, clean(g.Name))
		case api.GroupLeave:
			gopts.previewf("You get nothing new from @%s, and what you write counts no more. What you have had you keep.", clean(g.Name))
			if g.You == "owner" && len(g.Deputies) == 0 {
				gopts.previewf("You own it and there is no deputy: it becomes read-only for all.")
			}
		}
		if ok, err := gopts.confirm("Do it?"); !ok || err != nil {
			return err
		}
		q.DryRun = false
		if g, err = c.ChangeGroup(ctx, ref, verb, q); err != nil {
			return err
		}
		if gopts.JSON {
			return gopts.print(g)
		}
		if verb == api.GroupLeave {
			gopts.sayf("Left @%s.", clean(g.Name))
			return nil
		}
		gopts.sayf("@%s is now %s", clean(g.Name), names(g.Members))
		return nil
	})
}

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tipmesh/tipmesh/internal/api"
)

func newMemberCommand(gopts *GlobalOptions) *cobra.Command {
	list := &cobra.Command{
		Use: "list", Short: "List the members", Example: example("tipmesh member list"), Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runMemberList(cmd.Context(), gopts) },
	}
	show := &cobra.Command{
		Use: "show MEMBER", Short: "Show a member", Example: example("tipmesh member show elm"), Args: countArgs(1, 1),
		ValidArgsFunction: gopts.completeMember,
		RunE:              func(cmd *cobra.Command, args []string) error { return runMemberShow(cmd.Context(), gopts, args[0]) },
	}
	return newNounCommand("member", "Who is in the mesh", list, show)
}

func runMemberList(ctx context.Context, gopts *GlobalOptions) error {
	return gopts.withClient(func(c *api.Client) error {
		list, err := c.Members(ctx)
		if err != nil {
			return err
		}
		var rows [][]string
		for _, m := range list {
			if gopts.JSON {
				if err := gopts.print(m); err != nil {
					return err
				}
			}
			link, behind, heard := linkOf(m)
			rating := "us"
			switch {
			case m.State != "active":
				rating = clean(m.State)
			case m.Trust != nil:
				rating = clean(m.Trust.Reliability + " " + m.Trust.Use)
			}
			rows = append(rows, []string{clean(m.Handle), cut(clean(m.Name), 24), orDash(cut(clean(strings.Join(m.Sectors, " ")), 12)),
				link, behind, heard, rating})
		}
		if gopts.JSON {
			return gopts.print(api.Summary{Kind: "summary", Total: len(list)})
		}
		gopts.table(gopts.stdout, []string{"MEMBER", "NAME", "SECTOR", "LINK", "BEHIND", "LAST HEARD", "RATING"}, rows)
		return nil
	})
}

// linkOf says how the link to a member is, how far it is behind, and when it was
// heard.
func linkOf(m api.Member) (link, behind, heard string) {
	if m.Us {
		return "-", "-", "-"
	}
	if m.State != "active" {
		return "none", "-", "-"
	}
	link, behind, heard = "down", "?", "-"
	var last time.Time
	for _, n := range m.Nodes {
		if n.Up {
			link, behind = "up", grouped(n.Behind)
		}
		if n.Heard.After(last) {
			last = n.Heard
		}
	}
	if !last.IsZero() {
		heard = lasting(time.Since(last).Truncate(time.Second))
	}
	return link, behind, heard
}

func runMemberShow(ctx context.Context, gopts *GlobalOptions, who string) error {
	return gopts.withClient(func(c *api.Client) error {
		m, err := c.Member(ctx, who)
		if err != nil {
			return err
		}
		if gopts.JSON {
			return gopts.print(m)
		}
		gopts.sayf("%s", gopts.bold(fmt.Sprintf("%s (%s)  %s since %s  card %d", clean(m.Name), clean(m.Handle), clean(m.State), day(m.Since), m.Card)))
		duty := ""
		if m.Duty != "" {
			duty = "duty desk " + clean(m.Duty) + "   "
		}
		gopts.sayf("  contact   %s%s", duty, clean(m.Contact))
		if len(m.Sectors)+len(m.Regions) > 0 {
			gopts.sayf("  sectors   %s   regions %s", orDash(clean(strings.Join(m.Sectors, ", "))), orDash(clean(strings.Join(m.Regions, ", "))))
		}
		if m.Governor {
			gopts.sayf("  governs   yes")
		}
		if m.Consent != nil {
			gopts.sayf("  rules     standing consent: %s, %d days", upper(m.Consent.TLP), m.Consent.ForS/86400)
		}
		if len(m.WorkingOn) > 0 {
			gopts.sayf("  works on  %s", clean(strings.Join(m.WorkingOn, ", ")))
		}
		if t := m.Trust; t != nil {
			line := fmt.Sprintf("%s, use %s, send %s", reliability(t.Reliability), clean(t.Use), clean(t.Send))
			if t.Default {
				line += " (default line)"
			} else if t.Note != "" {
				line += "  " + clean(t.Note)
			}
			gopts.sayf("  you say   %s", line)
		}
		up := 0
		for _, n := range m.Nodes {
			if n.Up || n.Self {
				up++
			}
		}
		gopts.sayf("  nodes     %d of %d up", up, len(m.Nodes))
		for _, n := range m.Nodes {
			gopts.sayf("            %s  %s  clock %+.2f s", clean(n.ID), orDash(clean(n.Version)), n.SkewS)
		}
		return nil
	})
}

// reliability writes an Admiralty code with its word.
func reliability(code string) string {
	word := map[string]string{"A": "reliable", "B": "usually", "C": "fairly", "D": "not usually", "E": "unreliable", "F": "not judged"}[code]
	return strings.TrimSpace(clean(code) + " " + word)
}

func upper(s string) string { return strings.ToUpper(clean(s)) }

// completeMember completes a member's handle, where a node runs.
func (g *GlobalOptions) completeMember(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out []string
	err := g.withClient(func(c *api.Client) error {
		ctx, cancel := context.WithTimeout(cmd.Context(), time.Second)
		defer cancel()
		list, err := c.Members(ctx)
		for _, m := range list {
			out = append(out, clean(m.Handle)+"\t"+clean(m.Name))
		}
		return err
	})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

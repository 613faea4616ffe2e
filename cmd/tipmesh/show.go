package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tipmesh/tipmesh/internal/api"
)

// ShowOptions are the flags of show.
type ShowOptions struct {
	STIX   bool
	Thread bool
	Diff   bool
	Entry  bool
	Out    string
}

func newShowCommand(gopts *GlobalOptions) *cobra.Command {
	opts := &ShowOptions{}
	cmd := &cobra.Command{
		Use:   "show REF [V1 V2]",
		Short: "Show one thing whole: an object or a share",
		Long: `Show a share or an object whole. REF is a short name as share, lookup and show
print it, such as share:9d2mq or 9d2mq, or a STIX identifier. Names that begin
with member:, proposal: or group: show those.

An object is shown with what members said about it, what it has to do with, who
may read it and who holds it. --diff compares two of its versions, counted from
1, the oldest that is held: exit code 1 where they differ, as of diff.`,
		Example: example("tipmesh show share:9d2mq", "tipmesh show indicator:5yqa1f2k --stix", "tipmesh show indicator:5yqa1f2k --thread",
			"tipmesh show indicator:5yqa1f2k --diff 1 2", "tipmesh show proposal:4k1ex", "tipmesh show share:9d2mq --entry --out talos.entry"),
		Args: func(cmd *cobra.Command, args []string) error {
			if opts.Diff {
				return countArgs(3, 3)(cmd, args)
			}
			return countArgs(1, 1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error { return runShow(cmd.Context(), opts, gopts, args) },
	}
	f := cmd.Flags()
	f.BoolVar(&opts.STIX, "stix", false, "print the STIX object as its author wrote it")
	f.BoolVar(&opts.Thread, "thread", false, "print only what members said about it, whole")
	f.BoolVar(&opts.Diff, "diff", false, "say how version V2 differs from V1")
	f.BoolVar(&opts.Entry, "entry", false, "write its signed entries, for tipmesh verify")
	f.StringVarP(&opts.Out, "out", "o", "", "write the STIX object, or with --entry that, to a `file`")
	return cmd
}

func runShow(ctx context.Context, opts *ShowOptions, gopts *GlobalOptions, args []string) error {
	if opts.Entry {
		return runShowEntry(ctx, opts, gopts, args[0])
	}
	if opts.Diff {
		return runShowDiff(ctx, gopts, args)
	}
	if !opts.STIX && !opts.Thread && opts.Out == "" {
		switch kind, _, _ := strings.Cut(args[0], ":"); kind {
		case "member":
			return runMemberShow(ctx, gopts, args[0])
		case "proposal":
			return showProposal(ctx, gopts, args[0])
		case "group":
			return runGroupShow(ctx, gopts, args[0])
		}
	}
	return gopts.withClient(func(c *api.Client) error {
		shown, err := c.Show(ctx, args[0])
		switch {
		case err != nil:
			return err
		case (opts.STIX || opts.Thread || opts.Out != "") && shown.Object == nil:
			return fail(api.CodeInvalid, "", "%s is a share, not a STIX object", args[0])
		case (opts.STIX || opts.Out != "") && shown.Object.Gone:
			return fail(api.CodeNotFound, "", "the payload of %s has gone: it was withdrawn or has expired", args[0])
		case opts.Out != "":
			return writeSTIX(gopts, opts.Out, shown.Object)
		case opts.STIX:
			return sayJSON(gopts, shown.Object.STIX)
		case gopts.JSON && shown.Share != nil:
			return gopts.print(shown.Share)
		case gopts.JSON:
			return gopts.print(shown.Object)
		case shown.Share != nil:
			sayShared(gopts, shown.Share)
		case opts.Thread:
			sayThread(gopts, shown.Object.Thread, true)
		default:
			sayObject(gopts, shown.Object)
		}
		return nil
	})
}

func showProposal(ctx context.Context, gopts *GlobalOptions, ref string) error {
	return gopts.withClient(func(c *api.Client) error {
		p, err := c.Proposal(ctx, ref)
		if err != nil {
			return err
		}
		return sayProposal(gopts, p)
	})
}

// sayJSON prints a JSON text, indented for people. What could harm a terminal
// is written as escapes.
func sayJSON(gopts *GlobalOptions, raw json.RawMessage) error {
	if gopts.JSON {
		_, err := fmt.Fprintf(gopts.stdout, "%s\n", raw)
		return err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		return err
	}
	for line := range bytes.Lines(b.Bytes()) {
		var out []rune
		for _, r := range string(bytes.TrimRight(line, "\n")) {
			if clean(string(r)) == string(r) {
				out = append(out, r)
			} else {
				out = append(out, []rune(fmt.Sprintf(`\u%04x`, r))...)
			}
		}
		gopts.sayf("%s", string(out))
	}
	return nil
}

func sayObject(gopts *GlobalOptions, o *api.Object) {
	value := ""
	if len(o.Values) > 0 {
		value = "   " + gopts.shown(o.Values[0].Text)
	}
	version := ""
	if n := len(o.Versions); n > 1 {
		version = fmt.Sprintf(", version %d of %d", n, n)
	}
	head := fmt.Sprintf("   by %s%s, TLP:%s", nameOf(&o.Member), version, upper(o.Handling.TLP))
	if columns(clean(o.Ref)+value+head) <= 80 {
		gopts.sayf("%s", gopts.bold(clean(o.Ref)+value+head))
	} else {
		gopts.sayf("%s", gopts.bold(clean(o.Ref)+head))
		gopts.sayf("  about     %s", strings.TrimSpace(value))
	}
	says := clean(o.Says)
	if o.Handling.Action != "" {
		if says != "" {
			says += "; "
		}
		says += "action " + clean(o.Handling.Action)
	}
	switch {
	case o.Live || o.Withdrawn != nil:
	case len(o.Versions) > 0 && o.Versions[0].Revoked:
		says += "   (no longer in force)"
	default:
		says += "   (expired)"
	}
	gopts.sayf("  says      %s", orDash(says))
	for _, v := range o.Values[min(1, len(o.Values)):] {
		gopts.sayf("  also      %s  %s", gopts.shown(v.Text), clean(v.Type))
	}
	sayForce(gopts, o)
	gopts.sayf("  id        %s", clean(o.ID))
	if o.Share != "" {
		gopts.sayf("  in        %s", clean(o.Share))
	}
	if o.Relayed != "" {
		gopts.sayf("  relayed   written by %s", clean(o.Relayed))
	}
	gopts.sayf("  received  %s UTC", minute(o.Received))
	if len(o.Versions) > 1 {
		gopts.sayf("Versions")
		for _, v := range o.Versions {
			action := clean(v.Action)
			if v.Revoked {
				action = "withdrawn"
			}
			gopts.sayf("  %-2d %s  %s %s", v.N, minute(v.Modified), action, clean(v.Says))
		}
	}
	if len(o.Thread) > 0 {
		gopts.sayf("Thread")
		sayThread(gopts, o.Thread, false)
	}
	sayRelations(gopts, o.Relations)
	sayWithdrawn(gopts, o.Withdrawn)
	held := fmt.Sprintf("held by %d of %d", o.Holders.Have, o.Holders.Of)
	if n := len(o.Holders.Missing); n > 0 && n <= listed {
		held += ", not yet by " + names(o.Holders.Missing)
	}
	gopts.sayf("Readers   %s", wrap(append(strings.Fields(names(o.Readers)), "("+clean(o.Audience)+")  ", held), "", 80, 10))
	for _, other := range o.Others {
		gopts.sayf("Also by   %s   %s  TLP:%s", nameOf(&other.Member), clean(other.Says), upper(other.Handling.TLP))
	}
}

// valuesText is the first value, and how many there are beside it.
func valuesText(gopts *GlobalOptions, list []api.Value) string {
	if len(list) == 0 {
		return "-"
	}
	text := gopts.shown(list[0].Text)
	if more := len(list) - 1; more > 0 {
		return cut(text, 24) + fmt.Sprintf(" +%d", more)
	}
	return text
}

func sayShared(gopts *GlobalOptions, s *api.SharedView) {
	title := ""
	if s.Title != "" {
		title = "   " + clean(s.Title)
	}
	gopts.sayf("%s", gopts.bold(fmt.Sprintf("%s%s   by %s, TLP:%s", clean(s.Ref), title, nameOf(&s.Member), upper(s.TLP))))
	var parts []string
	for _, t := range sortedByCount(s.Found) {
		parts = append(parts, fmt.Sprintf("%s %s", clean(t), grouped(s.Found[t])))
	}
	gopts.sayf("  holds     %s", wrap(parts, ",", 80, 12))
	gopts.sayf("  for       %s", clean(s.Audience))
	if s.Action != "" {
		gopts.sayf("  action    %s", clean(s.Action))
	}
	gopts.sayf("  received  %s UTC   held by %d of %d", minute(s.Received), s.Holders.Have, s.Holders.Of)
	if s.Gone {
		gopts.sayf("  gone      the record of a part of it was erased")
	}
	sayWithdrawn(gopts, s.Withdrawn)
	var rows [][]string
	for _, o := range s.Objects {
		says := clean(o.Says)
		if o.Withdrawn {
			says = "withdrawn"
		}
		rows = append(rows, []string{clean(o.Ref), cut(valuesText(gopts, o.Values), 30), cut(says, 24)})
	}
	if len(rows) > 0 {
		gopts.table(gopts.stdout, []string{"OBJECT", "VALUE", "SAYS"}, rows)
	}
	if more := s.Total - len(s.Objects); more > 0 {
		gopts.sayf("and %s more", grouped(more))
	}
}

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tipmesh/tipmesh/internal/api"
)

// LookupOptions are the flags of lookup.
type LookupOptions struct {
	File string
	All  bool
	Held bool
}

// maxText bounds the text that is asked about.
const maxText = 64 << 20

func newLookupCommand(gopts *GlobalOptions) *cobra.Command {
	opts := &LookupOptions{}
	cmd := &cobra.Command{
		Use:   "lookup VALUE...|-",
		Short: "Say what members know of values",
		Long: `Say what members know of values, defanged or not. "-" reads text from standard
input and looks up every value in it. Exit code 0 if anything malicious or
suspicious is known, else 1. Unknown is not safe.

One value is shown whole. Each line is what one member says: the member, its
reliability (A to F, see tipmesh trust list), what it says and advises, how sure
it is (1 to 100), and when it came. Look-ups are exact: a domain finds no
subdomain or URL of it, and an address no network.`,
		Example: example(
			"tipmesh lookup toknowall[.]com",
			"tipmesh lookup 91.121.109.209 217.12.202.40 --json",
			"tipmesh lookup - < mail.txt",
			"tipmesh lookup -f access.log"),
		RunE: func(cmd *cobra.Command, args []string) error { return runLookup(cmd.Context(), opts, gopts, args) },
	}
	cmd.Flags().StringVarP(&opts.File, "file", "f", "", "look up every value in this text `file`")
	cmd.Flags().BoolVar(&opts.Held, "held", false, "show also what is held apart: see tipmesh trust set --help")
	cmd.Flags().BoolVar(&opts.All, "all", false, "show every assertion, however many say the same")
	return cmd
}

func runLookup(ctx context.Context, opts *LookupOptions, gopts *GlobalOptions, args []string) error {
	req := api.LookupRequest{Values: args, Held: opts.Held}
	var err error
	switch {
	case opts.File != "" && len(args) > 0:
		return fail(api.CodeInvalid, "", "give values or a file, not both")
	case opts.File != "":
		req.Values = nil
		req.Text, err = readText(opts.File)
	case len(args) == 1 && args[0] == "-":
		req.Values = nil
		req.Text, err = limitedText("standard input", gopts.stdin)
	case len(args) == 0:
		return fail(api.CodeInvalid, "tipmesh lookup --help", "look up what? give a value, - or -f FILE")
	}
	if err != nil {
		return err
	}
	return gopts.withClient(func(c *api.Client) error {
		stop := gopts.progress(ctx, func() string { return "looking up" })
		defer stop()
		var found []*api.Finding
		summary, err := c.Lookup(ctx, req, func(f *api.Finding) error {
			if gopts.JSON {
				return gopts.print(f)
			}
			found = append(found, f)
			return nil
		})
		if err != nil {
			return err
		}
		stop()
		switch {
		case gopts.JSON:
			if err := gopts.print(summary); err != nil {
				return err
			}
		case len(found) == 1 && len(args) == 1:
			sayFinding(gopts, found[0], opts.All)
		default:
			sayFindings(gopts, found, summary)
		}
		return exit(summary.Exit())
	})
}

func readText(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", fail(api.CodeInvalid, "", "%v", err)
	}
	defer f.Close()
	return limitedText(name, f)
}

func limitedText(name string, r io.Reader) (string, error) {
	var b strings.Builder
	if _, err := io.Copy(&b, io.LimitReader(r, maxText+1)); err != nil {
		return "", fail(api.CodeInvalid, "", "read %s: %v", name, err)
	}
	if b.Len() > maxText {
		return "", fail(api.CodeInvalid, "split it", "%s: more than %d MiB", name, maxText>>20)
	}
	return b.String(), nil
}

// sayFinding shows one value whole.
func sayFinding(gopts *GlobalOptions, f *api.Finding, all bool) {
	verdict := strings.ToUpper(clean(f.Verdict))
	head := fmt.Sprintf("%s   %s", gopts.shown(f.Value), clean(f.Type))
	gopts.sayf("%s", gopts.bold(fmt.Sprintf("%-*s%s", max(80-len(verdict), len(head)+3), head, verdict)))
	shown := f.Assertions
	if !all && len(shown) > 5 {
		shown = shown[:4]
	}
	sayAssertions(gopts, shown)
	if more := len(f.Assertions) - len(shown); more > 0 {
		gopts.sayf("  %s more (--all)", grouped(more))
	}
	sayWhy(gopts, f)
	sayHeld(gopts, f)
	if f.Verdict == api.VerdictUnknown && len(f.Assertions) == 0 {
		who := "Nobody"
		if len(f.Skipped) > 0 {
			who = "Nobody whose word is used here"
		}
		if len(f.Skipped) == 1 && f.Skipped[0].Reason == "revoked" {
			who = "Nobody any more"
		}
		gopts.sayf("%s has said anything about it. Unknown is not safe.", who)
	}
	for _, s := range f.Skipped {
		if s.Reason == "held" {
			continue // said above
		}
		hint := ": tipmesh trust list"
		if s.Reason == "revoked" {
			hint = ""
		}
		gopts.sayf("Skipped %d %s%s", s.Count, clean(s.Text), hint)
	}
}

// sayHeld tells of what is held apart, on which no verdict rests.
func sayHeld(gopts *GlobalOptions, f *api.Finding) {
	switch {
	case f.Held == 0:
	case len(f.HeldApart) == 0:
		gopts.sayf("Held apart %d: --held shows it, tipmesh trust list says who is held", f.Held)
	default:
		gopts.sayf("Held apart %d", f.Held)
		sayAssertions(gopts, f.HeldApart)
	}
}

// sayAssertions shows what members say, a line each.
func sayAssertions(gopts *GlobalOptions, shown []api.Assertion) {
	width := 5
	for _, a := range shown {
		width = max(width, len(clean(a.Member.Name)))
	}
	for _, a := range shown {
		says := clean(a.Says)
		if says == "" {
			says = clean(a.Type)
		}
		if a.Action != "" {
			says += ", " + clean(a.Action)
		}
		switch {
		case !a.Live:
			says += " (expired)"
		case a.Partial:
			says += " (only together with other values)"
		}
		confidence := "--"
		if a.Confidence != nil {
			confidence = fmt.Sprint(*a.Confidence)
		}
		room := 80 - 2 - width - 3 - 4 - 2 - 3 - 2 - 11
		gopts.sayf("  %-*s  %-2s  %-*s  %3s  %s", width, clean(a.Member.Name), orDash(clean(a.Reliability)), room, cut(says, room), confidence,
			minute(a.Received))
	}
}

// sayWhy says what a verdict rests on, and what may be done with it.
func sayWhy(gopts *GlobalOptions, f *api.Finding) {
	say := map[string]bool{}
	var tlps, shares []string
	for _, a := range f.Assertions {
		if a.Live && !a.Partial && (a.Action == "block" || a.Action == "detect") {
			say[a.Member.ID] = true
		}
		if t := clean(a.TLP); t != "" && !slices.Contains(tlps, t) {
			tlps = append(tlps, t)
		}
		if s := clean(a.Share); s != "" && !slices.Contains(shares, s) {
			shares = append(shares, s)
		}
	}
	if len(say) > 0 {
		gopts.sayf("Why   %s to block or detect it", plural(len(say), "member says", "members say"))
	}
	if len(tlps) > 0 {
		gopts.sayf("May   TLP:%s", strings.ToUpper(strings.Join(tlps, ", TLP:")))
	}
	if len(shares) > 0 {
		gopts.sayf("In    %s", wrap(shares[:min(len(shares), listed)], "", 80, 6))
	}
}

// sayFindings shows many values, one a line, in the order given.
func sayFindings(gopts *GlobalOptions, list []*api.Finding, s *api.LookupSummary) {
	var rows [][]string
	for _, f := range list {
		rows = append(rows, []string{clean(f.Verdict), cut(gopts.shown(f.Value), 38), clean(f.Type), whoSays(f), lastSeen(f)})
	}
	if len(rows) > 0 {
		gopts.table(gopts.stdout, []string{"VERDICT", "VALUE", "TYPE", "WHO", "LAST SEEN"}, rows)
	}
	var parts []string
	for _, v := range []string{api.VerdictMalicious, api.VerdictSuspicious, api.VerdictUnknown} {
		if n := s.Verdicts[v]; n > 0 || v == api.VerdictUnknown {
			parts = append(parts, grouped(n)+" "+v)
		}
	}
	line := plural(s.Values, "value", "values") + ": " + strings.Join(parts, ", ") + " (unknown is not safe)."
	if n := len(s.UnreadLines); n > 0 {
		var at []string
		for _, l := range s.UnreadLines[:min(n, listed)] {
			at = append(at, fmt.Sprint(l))
		}
		if n > listed {
			at = append(at, "...")
		}
		line += fmt.Sprintf(" %s no value: %s.", plural(n, "line had", "lines had"), strings.Join(at, ", "))
	}
	held := 0
	for _, f := range list {
		held += f.Held
	}
	if held > 0 {
		line += fmt.Sprintf(" Held apart: %s.", grouped(held))
	}
	line += fmt.Sprintf(" Searched %s in %s.", grouped(s.Searched), lasting(time.Duration(s.TookS*float64(time.Second))))
	gopts.sayf("%s", wrap(strings.Fields(line), "", 80, 0))
}

func whoSays(f *api.Finding) string {
	var who []string
	for _, a := range f.Assertions {
		if n := clean(a.Member.Name); !slices.Contains(who, n) {
			who = append(who, n)
		}
	}
	switch len(who) {
	case 0:
		return "-"
	case 1:
		return who[0]
	}
	return fmt.Sprintf("%s +%d", who[0], len(who)-1)
}

func lastSeen(f *api.Finding) string {
	var last time.Time
	for _, a := range f.Assertions {
		for _, t := range []time.Time{a.LastSeen, a.FirstSeen, a.ValidFrom} {
			if !t.IsZero() {
				if t.After(last) {
					last = t
				}
				break
			}
		}
	}
	return day(last)
}

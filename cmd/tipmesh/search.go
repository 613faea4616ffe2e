package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tipmesh/tipmesh/internal/api"
)

// SearchOptions are the flags of search.
type SearchOptions struct {
	Limit  int
	All    bool
	Save   string
	Saved  bool
	Forget string
	After  string
}

func newSearchCommand(gopts *GlobalOptions) *cobra.Command {
	opts := &SearchOptions{}
	cmd := &cobra.Command{
		Use:   "search WORDS",
		Short: "Find reports, notes, malware, actors and the like by words",
		Long: `Find what members shared by words of its title and text, newest first. All words
must be there; case and accents do not count; a word that ends in * stands for all
that begin so. Values may be defanged. Exit code 1 if nothing is found.

Filters among the words:
  type:report         a STIX type, or share
  member:alder        who shared it
  tlp:amber           its TLP
  label:botnet        a label
  malware:VPNFilter   a family and what refers to it, indicators too;
                      actor: and technique: alike
  since:7d  until:2026-01-31   when it came here
  is:disputed         a member disagrees with it
  has:sighting        a member has met it
  is:new              came since this saved search was last run

Indicators and observables without a text of their own are not found by words:
look their values up, or search malware:NAME.`,
		Example: example(
			"tipmesh search vpnfilter since:14d",
			"tipmesh search type:report 'malware:Black Basta'",
			"tipmesh search --save routers 'router*' is:new",
			"tipmesh search --saved routers"),
		RunE: func(cmd *cobra.Command, args []string) error { return runSearch(cmd.Context(), opts, gopts, args) },
	}
	f := cmd.Flags()
	f.IntVar(&opts.Limit, "limit", api.DefaultHits, "show at most so many")
	f.BoolVar(&opts.All, "all", false, "show all there are")
	f.StringVar(&opts.After, "after", "", "go on after the `cursor` of an answer before: its next")
	f.StringVar(&opts.Save, "save", "", "keep this search under a `name`, and run it")
	f.BoolVar(&opts.Saved, "saved", false, "run the saved search that is named instead of words; without a name list them")
	f.StringVar(&opts.Forget, "forget", "", "drop the saved search of this `name`")
	return cmd
}

func runSearch(ctx context.Context, opts *SearchOptions, gopts *GlobalOptions, args []string) error {
	switch {
	case opts.Limit < 1:
		return fail(api.CodeInvalid, "", "--limit is at least 1")
	case opts.Saved && opts.Save != "", opts.Forget != "" && (opts.Saved || opts.Save != "" || len(args) > 0):
		return fail(api.CodeInvalid, "", "give one of --save, --saved and --forget")
	case opts.Saved && len(args) > 1:
		return fail(api.CodeInvalid, "", "--saved takes one name, no words")
	case opts.Forget != "":
		return forgetSearch(ctx, gopts, opts.Forget)
	case opts.Saved && len(args) == 0:
		return listSearches(ctx, gopts)
	case len(args) == 0:
		return fail(api.CodeInvalid, "tipmesh search --help", "search what? give words or filters")
	}
	req := api.SearchRequest{Query: queryOf(args), After: opts.After, Snippets: gopts.JSON}
	if opts.Saved {
		req.Query, req.Saved = "", args[0]
	}
	return gopts.withClient(func(c *api.Client) error {
		if opts.Save != "" {
			saved, err := c.SaveSearch(ctx, opts.Save, req.Query)
			if err != nil {
				return err
			}
			gopts.notef("Saved: tipmesh search --saved %s", clean(saved.Name))
			req.Query, req.Saved = "", saved.Name
		}
		stop := gopts.progress(ctx, func() string { return "searching" })
		defer stop()
		found, summary, err := searchAll(ctx, gopts, c, req, opts)
		if err != nil {
			return err
		}
		stop()
		if gopts.JSON {
			err = gopts.print(summary)
		} else {
			sayHits(gopts, found, summary)
		}
		if err != nil {
			return err
		}
		return exit(summary.Exit())
	})
}

// queryOf puts arguments into one query: a shell has taken quotes off.
func queryOf(args []string) string {
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = a
		if key, value, ok := strings.Cut(a, ":"); ok && strings.ContainsAny(value, " \t") && !strings.Contains(a, `"`) && !strings.ContainsAny(key, " \t") {
			out[i] = key + `:"` + value + `"`
		}
	}
	return strings.Join(out, " ")
}

// searchAll asks until there is enough, and gives what is not printed yet.
func searchAll(ctx context.Context, gopts *GlobalOptions, c *api.Client, req api.SearchRequest, opts *SearchOptions) (found []*api.Hit, sum *api.SearchSummary, err error) {
	shown, held, skipped := 0, 0, []api.Skipped(nil)
	for {
		req.Limit = min(opts.Limit-shown, api.MaxHits)
		if opts.All {
			req.Limit = api.MaxHits
		}
		sum, err = c.Search(ctx, req, func(h *api.Hit) error {
			if gopts.JSON {
				return gopts.print(h)
			}
			found = append(found, h)
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
		shown, held = shown+sum.Shown, held+sum.Held
		skipped = addSkipped(skipped, sum.Skipped)
		if sum.Next == "" || !opts.All && shown >= opts.Limit {
			break
		}
		req.After = sum.Next
	}
	sum.Shown, sum.Held, sum.Skipped = shown, held, skipped
	if sum.Next == "" && opts.After == "" {
		sum.Total = &shown
	}
	return found, sum, nil
}

func addSkipped(all, more []api.Skipped) []api.Skipped {
next:
	for _, s := range more {
		for i := range all {
			if all[i].Reason == s.Reason {
				all[i].Count += s.Count
				continue next
			}
		}
		all = append(all, s)
	}
	return all
}

// sayHits shows what was found, one a line.
func sayHits(gopts *GlobalOptions, list []*api.Hit, s *api.SearchSummary) {
	var rows [][]string
	for _, h := range list {
		ref, title := clean(h.Ref), clean(h.Title)
		if h.Count > 0 {
			ref = clean(h.Type)
		}
		if h.Type == "indicator" && len(h.Values) > 0 && h.Count == 0 {
			title = strings.TrimSuffix(cut(valuesText(gopts, h.Values), 30)+"  "+title, "  ")
		}
		rows = append(rows, []string{ref, title, cut(nameOf(&h.Member), 12), orDash(clean(h.TLP)), day(h.Time)})
	}
	if len(rows) > 0 {
		head := []string{"REF", "TITLE", "FROM", "TLP", "WHEN"}
		room := 80
		for i, name := range head {
			if i == 1 {
				continue
			}
			width := len(name)
			for _, r := range rows {
				width = max(width, columns(r[i]))
			}
			room -= width + 2
		}
		for _, r := range rows {
			for n := room; columns(r[1]) > max(room, 8); n-- {
				r[1] = cut(r[1], n)
			}
		}
		gopts.table(gopts.stdout, head, rows)
	}
	line := "Nothing found."
	switch {
	case s.Shown > 0 && s.Next != "":
		line = grouped(s.Shown) + " shown, there is more: --all, or --limit N."
	case s.Shown > 0:
		line = plural(s.Shown, "result.", "results.")
	case s.Next != "":
		line = "Nothing found among the newest: --all looks through the rest."
	}
	for _, k := range s.Skipped {
		line += " Left out " + grouped(k.Count) + " " + clean(k.Text) + "."
	}
	for _, n := range s.Notes {
		line += " Note: " + clean(n) + "."
	}
	gopts.sayf("%s", wrap(strings.Fields(line), "", 80, 0))
}

func listSearches(ctx context.Context, gopts *GlobalOptions) error {
	return gopts.withClient(func(c *api.Client) error {
		list, err := c.Searches(ctx)
		if err != nil {
			return err
		}
		var rows [][]string
		for _, s := range list {
			if gopts.JSON {
				if err := gopts.print(s); err != nil {
					return err
				}
			}
			rows = append(rows, []string{clean(s.Name), cut(clean(s.Query), 60)})
		}
		switch {
		case gopts.JSON:
			err = gopts.print(map[string]any{"kind": "summary", "total": len(list)})
		case len(rows) == 0:
			gopts.sayf("No search is saved.")
		default:
			gopts.table(gopts.stdout, []string{"NAME", "SEARCH"}, rows)
		}
		if err == nil && len(list) == 0 {
			return exit(api.ExitNothing)
		}
		return err
	})
}

func forgetSearch(ctx context.Context, gopts *GlobalOptions, name string) error {
	return gopts.withClient(func(c *api.Client) error {
		s, err := c.ForgetSearch(ctx, name)
		if err != nil {
			return err
		}
		if gopts.JSON {
			return gopts.print(s)
		}
		gopts.sayf("Dropped the search %s.", clean(s.Name))
		return nil
	})
}

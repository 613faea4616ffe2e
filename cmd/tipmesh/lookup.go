package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/tipmesh/tipmesh/internal/api"
)

// LookupOptions are the flags of lookup.
type LookupOptions struct {
	File string
	All  bool
	Held bool
	Near bool
	CSV  bool
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

The verdict is one of malicious, suspicious, disputed, harmless, unknown; Why
says what led to it. It depends on how you rate members (tipmesh trust list),
on how sure they are, on who disagrees, on age, and on the warninglists in the
home: see docs/verdict.md.

One value is shown whole. Each line is what one member says: the member, its
reliability (A to F), what it says and advises, how sure it is (1 to 100), and
when it came; then who has met it, and who disagrees. Look-ups are exact; Near
counts networks over an address, names below a domain, and the like.`,
		Example: example(
			"tipmesh lookup toknowall[.]com",
			"tipmesh lookup 91.121.109.209 217.12.202.40 --json",
			"tipmesh lookup --near 91.121.109.0/24",
			"tipmesh lookup - < mail.txt",
			"tipmesh lookup -f access.log --csv"),
		RunE: func(cmd *cobra.Command, args []string) error { return runLookup(cmd.Context(), opts, gopts, args) },
	}
	cmd.Flags().StringVarP(&opts.File, "file", "f", "", "look up every value in this text `file`")
	cmd.Flags().BoolVar(&opts.Held, "held", false, "show also what is held apart: see tipmesh trust set --help")
	cmd.Flags().BoolVar(&opts.All, "all", false, "show every assertion, however many say the same")
	cmd.Flags().BoolVar(&opts.Near, "near", false, "show also what contains a value or lies within it")
	cmd.Flags().BoolVar(&opts.CSV, "csv", false, "answer as CSV with live values, one value a line")
	return cmd
}

func runLookup(ctx context.Context, opts *LookupOptions, gopts *GlobalOptions, args []string) error {
	req := api.LookupRequest{Values: args, Held: opts.Held, Near: opts.Near}
	var err error
	switch {
	case opts.CSV && gopts.JSON:
		return fail(api.CodeInvalid, "", "give --json or --csv, not both")
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
		var answered atomic.Int64
		begun := time.Now()
		stop := gopts.progress(ctx, func() string {
			n := answered.Load()
			if n == 0 {
				return "looking up"
			}
			return fmt.Sprintf("looked up %s, %s a second", grouped(n), grouped(int64(float64(n)/time.Since(begun).Seconds())))
		})
		defer stop()
		var found []*api.Finding
		summary, err := c.Lookup(ctx, req, func(f *api.Finding) error {
			answered.Add(1)
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
		for _, s := range summary.Skipped {
			gopts.notef("not searched: %s %s", grouped(s.Count), clean(s.Text))
		}
		switch {
		case gopts.JSON:
			if err := gopts.print(summary); err != nil {
				return err
			}
		case opts.CSV:
			if err := csvFindings(gopts, found, summary); err != nil {
				return err
			}
		case len(found) == 1 && len(args) == 1:
			sayFinding(gopts, found[0], opts)
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

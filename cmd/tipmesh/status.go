package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tipmesh/tipmesh/internal/api"
)

// StatusOptions are the flags of status.
type StatusOptions struct {
	Until   string
	Timeout durationFlag
}

func newStatusCommand(gopts *GlobalOptions) *cobra.Command {
	opts := &StatusOptions{Timeout: durationFlag(time.Minute)}
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say whether the node is well, and whether anything is missing",
		Long: `Say whether the node is well, and whether anything is missing. The first word is
WELL, LOOK or BROKEN; the exit code 0, 1 or 6. With --until it waits for that
first: 0 once it is so, 6 when the time is up. Entries that were not sent to
this member are held for others and counted as not readable.`,
		Example: example("tipmesh status", "tipmesh status --until in-step --timeout 60s", "tipmesh status --until members=4 --json"),
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runStatus(cmd.Context(), opts, gopts) },
	}
	cmd.Flags().StringVar(&opts.Until, "until", "", "wait until: in-step, or members=`N`")
	cmd.Flags().Var(&opts.Timeout, "timeout", "how long to wait at most")
	return cmd
}

var untilForm = regexp.MustCompile(`^(in-step|members=[1-9][0-9]{0,5})$`)

func runStatus(ctx context.Context, opts *StatusOptions, gopts *GlobalOptions) error {
	if opts.Until != "" && !untilForm.MatchString(opts.Until) {
		return fail(api.CodeInvalid, "--until in-step or --until members=4", "--until %q is not known", opts.Until)
	}
	return gopts.withClient(func(c *api.Client) error {
		stop := gopts.progress(ctx, func() string {
			if opts.Until == "" {
				return "asking the node"
			}
			return "waiting until " + opts.Until
		})
		s, err := c.Status(ctx, opts.Until, time.Duration(opts.Timeout))
		stop()
		if err != nil {
			return err
		}
		if gopts.JSON {
			if err := gopts.print(s); err != nil {
				return err
			}
		} else {
			sayStatus(gopts, s)
		}
		if opts.Until != "" && !s.TimedOut {
			return nil
		}
		return exit(s.Exit())
	})
}

func sayStatus(gopts *GlobalOptions, s *api.Status) {
	gopts.sayf("%s", gopts.bold(fmt.Sprintf("%-8s  %s    %s    up %s    tipmesh %s", clean(s.State), nameOf(&s.Member), clean(s.Mesh.Name),
		lasting(time.Duration(s.UptimeS*float64(time.Second))), clean(s.Version))))
	if s.Membership != "active" {
		gopts.sayf("Member    %s: this node reads and sends nothing new", clean(s.Membership))
	}
	var down []string
	for _, p := range s.Peers {
		if !p.Up {
			text := nameOf(&p.Member) + " down"
			if !p.Heard.IsZero() {
				text += " " + lasting(time.Since(p.Heard).Truncate(time.Second))
			}
			down = append(down, text)
		}
	}
	line := fmt.Sprintf("Mesh      %d of %d up", s.Members.Up, s.Members.Of)
	if len(down) > 0 {
		line += "; " + strings.Join(down[:min(len(down), 3)], ", ")
		if len(down) > 3 {
			line += fmt.Sprintf(" and %d more", len(down)-3)
		}
	}
	behind := "none"
	if len(s.Behind) > 0 {
		var list []string
		for _, h := range sortedByCount(s.Behind) {
			list = append(list, fmt.Sprintf("%s %s", clean(h), grouped(s.Behind[h])))
		}
		behind = strings.Join(list, ", ")
	}
	if columns(line)+columns(behind)+13 <= 80 {
		gopts.sayf("%s     behind: %s", line, behind)
	} else {
		gopts.sayf("%s", line)
		gopts.sayf("Behind    %s", wrap(strings.Split(behind, ", "), ",", 80, 10))
	}
	indexed := "indexed to the last entry"
	if missing := s.Store.Arrivals - s.Store.Indexed; s.Store.Arrivals > s.Store.Indexed {
		indexed = plural(missing, "entry", "entries") + " not indexed yet"
	}
	gopts.sayf("Store     %s in %s, %s, %s", plural(s.Store.Objects, "object", "objects"),
		plural(s.Store.Entries, "entry", "entries"), bytesText(s.Store.Bytes), indexed)
	sync := "in step with all that are connected"
	switch {
	case s.Members.Of == 0:
		sync = "nobody else is in the mesh yet"
	case !s.InStep:
		sync = "not in step yet, or nobody is connected"
	}
	if s.Unreadable > 0 {
		sync += fmt.Sprintf("; %s not readable here", plural(s.Unreadable, "entry is", "entries are"))
	}
	gopts.sayf("Sync      %s", sync)
	sayQuotas(gopts, &s.Quotas)
	sayLists(gopts, &s.Lists)
	var refused []string
	for _, r := range sortedByCount(s.Refused) {
		if s.Refused[r] == 0 {
			continue
		}
		refused = append(refused, fmt.Sprintf("%s %s", clean(r), grouped(s.Refused[r])))
	}
	if len(refused) > 0 {
		gopts.sayf("Refused   %s", wrap(refused, ",", 80, 10))
	}
	for _, f := range s.Forks {
		gopts.sayf("Fork      a feed of %s parted at %d", nameOf(f.Member), f.Seq)
	}
	for _, a := range s.Alerts {
		gopts.sayf("Look      %s", wrap(strings.Fields(clean(a)), "", 80, 10))
	}
	if s.Halted != "" {
		gopts.sayf("Halted    %s", wrap(strings.Fields(clean(s.Halted)), "", 80, 10))
	}
}

// sayLists tells of the warninglists, where there are some.
func sayLists(gopts *GlobalOptions, l *api.Warninglists) {
	line := ""
	if l.Lists > 0 {
		line = fmt.Sprintf("%s, %s", plural(l.Lists, "warninglist", "warninglists"), plural(l.Values, "value", "values"))
	}
	if l.LeftOut > 0 {
		line += fmt.Sprintf("; %s left out: the log says what and why", plural(l.LeftOut, "part was", "parts were"))
	}
	if l.Fault != "" {
		line = strings.TrimPrefix(line+"; not loaded now: "+clean(l.Fault), "; ")
	}
	if line = strings.TrimPrefix(line, "; "); line != "" {
		gopts.sayf("Lists     %s", wrap(strings.Fields(line), "", 80, 10))
	}
}

package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tipmesh/tipmesh/internal/api"
	"github.com/tipmesh/tipmesh/internal/home"
)

// WatchOptions are the flags of watch.
type WatchOptions struct {
	Since string
	Save  string
	Out   string
	Each  bool
}

// watchAgain is how long a watch waits before it calls a node again that went away.
const watchAgain = time.Second

func newWatchCommand(gopts *GlobalOptions) *cobra.Command {
	opts := &WatchOptions{}
	cmd := &cobra.Command{
		Use:   "watch [FILTER...]",
		Short: "Say what happens, as it happens, and go on where it stopped",
		Long: `Say what happens, a line for each kind of thing that came with an entry, as it
happens, until it is stopped. A node that restarts is waited for. The words of a
filter begin with type: member: tlp: malware: label: value: action: audience: or
what:; words that do not are looked for in what is said. A value finds what lies
in it too: a network its addresses, a domain its hosts and URLs. Of words that
begin alike one must hold, and one of every kind. The filter does not leave this
node.

--save NAME keeps in the home how far it got, and its filter: the next time
tipmesh watch --save NAME goes on there. Killed between writing a line and
noting so, it writes that line again. --out FILE appends JSON lines to a file
and goes on after the last whole line in it: there every event is once.`,
		Example: example(
			"tipmesh watch",
			"tipmesh watch --since 15m malware:VPNFilter",
			"tipmesh watch --save brand value:alder.example value:192.0.2.0/24",
			"tipmesh watch --since all --json type:report",
			"tipmesh watch --out events.jsonl --since all --each"),
		RunE: func(cmd *cobra.Command, args []string) error { return runWatch(cmd.Context(), opts, gopts, args) },
	}
	f := cmd.Flags()
	f.StringVar(&opts.Since, "since", "", "from where on: a `cursor`, how long ago, or all")
	f.StringVar(&opts.Save, "save", "", "go on where the watch of this `name` stopped")
	f.StringVarP(&opts.Out, "out", "o", "", "append JSON lines to a `file`, each event once")
	f.BoolVar(&opts.Each, "each", false, "name every object, not only the first ones")
	return cmd
}

// following is a watch under way, and where its lines go.
type following struct {
	gopts *GlobalOptions
	q     api.WatchRequest
	saved *home.Watch
	out   *eventFile
	lines eventLines
	began bool // the node has answered once
}

func runWatch(ctx context.Context, opts *WatchOptions, gopts *GlobalOptions, args []string) error {
	f := &following{gopts: gopts, q: api.WatchRequest{Filter: args, Since: opts.Since, Each: opts.Each},
		lines: eventLines{gopts: gopts, each: opts.Each}}
	if d, err := duration(opts.Since); err == nil {
		f.q.Since = d.String()
	}
	if opts.Save != "" && opts.Out != "" {
		return fail(api.CodeInvalid, "", "--out keeps its place in the file: leave --save out")
	}
	switch {
	case opts.Save != "":
		if err := f.open(opts, args); err != nil {
			return err
		}
		defer f.saved.Close()
	case opts.Out != "":
		var err error
		if f.out, err = openEvents(opts.Out); err != nil {
			return err
		}
		defer f.out.Close()
		if f.out.cursor != "" {
			if opts.Since != "" && opts.Since != "all" {
				return fail(api.CodeInvalid, "leave --since out", "%s goes on after its last line", opts.Out)
			}
			f.q.Since = f.out.cursor
		}
	}
	return gopts.withClient(func(c *api.Client) error { return f.follow(ctx, c) })
}

// open opens the saved watch.
func (f *following) open(opts *WatchOptions, args []string) (err error) {
	dir, err := f.gopts.home()
	if err != nil {
		return err
	}
	switch f.saved, err = home.OpenWatch(dir, opts.Save); {
	case errors.Is(err, home.ErrWatchName):
		return fail(api.CodeInvalid, "", "%v", err)
	case errors.Is(err, home.ErrWatched):
		return fail(api.CodeConflict, "give this one another name", "%v", err)
	case err != nil:
		return err
	}
	switch known := f.saved.Cursor != ""; {
	case known && len(args) > 0 && !slices.Equal(args, f.saved.Filter):
		defer f.saved.Close()
		return fail(api.CodeConflict, "give another name for another filter", "the watch %s is about: %s", opts.Save,
			orDash(strings.Join(f.saved.Filter, " ")))
	case known:
		f.q.Filter = f.saved.Filter
		if f.q.Since == "" {
			f.q.Since = f.saved.Cursor
		}
	default:
		f.saved.Filter = args
	}
	return nil
}

// follow watches until ctx ends, across restarts of the node.
func (f *following) follow(ctx context.Context, c *api.Client) error {
	waiting := false
	for {
		err := c.Watch(ctx, f.q, func(cursor string, e *api.Event) error {
			if waiting {
				f.gopts.notef("The node is back.")
			}
			f.began, waiting = true, false
			return f.take(cursor, e)
		})
		var fault *api.Error
		switch {
		case ctx.Err() != nil:
			if err := f.flush(); err != nil {
				return err
			}
			if f.began && f.saved == nil && f.out == nil {
				f.gopts.notef("Go on from here with: %s", f.gopts.here("tipmesh watch --since "+clean(f.q.Since)))
			}
			return nil
		case !f.began || !errors.As(err, &fault) || fault.Code != api.CodeUnavailable:
			return err
		}
		if err := f.flush(); err != nil {
			return err
		}
		if !waiting {
			waiting = true
			f.gopts.notef("The node has gone: waiting for it. %s", clean(fault.Message))
		}
		select {
		case <-ctx.Done():
		case <-time.After(watchAgain):
		}
	}
}

// take writes an event out, and notes then that it was.
func (f *following) take(cursor string, e *api.Event) error {
	switch {
	case f.out != nil:
		if e != nil {
			if err := f.out.write(e); err != nil {
				return err
			}
		}
	case f.gopts.JSON:
		if e != nil {
			if err := f.gopts.print(e); err != nil {
				return err
			}
		}
	default:
		before := f.lines.held
		if f.lines.take(e) { // what is held back is not written out yet
			if before == nil || before == f.lines.held {
				return nil
			}
			cursor = before.Cursor
		}
	}
	return f.keep(cursor)
}

// flush writes what is held back.
func (f *following) flush() error {
	if f.lines.held == nil {
		return nil
	}
	cursor := f.lines.held.Cursor
	f.lines.flush()
	return f.keep(cursor)
}

func (f *following) keep(cursor string) error {
	f.q.Since = cursor
	if f.saved == nil {
		return nil
	}
	return f.saved.Keep(cursor)
}

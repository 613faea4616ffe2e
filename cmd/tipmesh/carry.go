package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/tipmesh/tipmesh/internal/api"
	"github.com/tipmesh/tipmesh/internal/carry"
	"github.com/tipmesh/tipmesh/internal/home"
	"github.com/tipmesh/tipmesh/protocol"
)

// CarryOutOptions are the flags of carry out.
type CarryOutOptions struct {
	Since string
	Force bool
}

func newCarryCommand(gopts *GlobalOptions) *cobra.Command {
	opts := &CarryOutOptions{}
	out := &cobra.Command{
		Use:   "out FILE",
		Short: "Write entries and statements to a file, to carry over a gap",
		Long: `Write statements and entries, sealed as they are, to a file that another
member's node takes in with "tipmesh carry in". It opens for nobody who could not
read it before, but shows who is in the mesh, which node wrote when and how much.

--since takes a duration, a time, or a carry file: then only what is not in that
file goes out. Give it the file that the other side carried out last, and all
that it lacks goes out, or the last one of your own.`,
		Example: example("tipmesh carry out monday.carry --since 7d", "tipmesh carry out reply.carry --since theirs.carry"),
		Args:    countArgs(1, 1),
		RunE:    func(cmd *cobra.Command, args []string) error { return runCarryOut(cmd.Context(), opts, gopts, args[0]) },
	}
	f := out.Flags()
	f.StringVar(&opts.Since, "since", "", "only later entries: a `time`, 7d, or a carry file")
	f.BoolVar(&opts.Force, "force", false, "replace a file of that name")
	in := &cobra.Command{
		Use:   "in FILE",
		Short: "Take in what a carry file or a signed statement brings",
		Long: `Take in what a carry file brings, as if a neighbour had sent it: signatures,
chains, writers and cuts are checked, and what does not pass is counted and left
out. A file with a single signed statement, such as a card, is taken in too.`,
		Example: example("tipmesh carry in monday.carry", "tipmesh carry in new-node.card"),
		Args:    countArgs(1, 1),
		RunE:    func(cmd *cobra.Command, args []string) error { return runCarryIn(cmd.Context(), gopts, args[0]) },
	}
	return newNounCommand("carry", "Move entries over a gap of air, in files", out, in)
}

// carriedOut is what carry out and show --entry answer.
type carriedOut struct {
	Kind       string `json:"kind"` // carry_out
	Path       string `json:"path"`
	Statements int    `json:"statements"`
	Entries    int    `json:"entries"`
	Bytes      int64  `json:"bytes"`
	DryRun     bool   `json:"dry_run,omitempty"`
}

func runCarryOut(ctx context.Context, opts *CarryOutOptions, gopts *GlobalOptions, path string) error {
	q, err := sinceOf(opts.Since)
	if err != nil {
		return err
	}
	return gopts.withClient(func(c *api.Client) error {
		stream, err := c.CarryOut(ctx, *q)
		if err != nil {
			return err
		}
		defer stream.Close()
		done, err := gopts.saveCarry(ctx, path, opts.Force, stream)
		if err != nil {
			return err
		}
		if gopts.JSON {
			return gopts.print(done)
		}
		wrote := "Wrote"
		if gopts.DryRun {
			wrote = "Would write"
		}
		gopts.sayf("%s %s: %s, %s, %s.", wrote, path, plural(done.Entries, "entry", "entries"), plural(done.Statements, "statement", "statements"),
			bytesText(uint64(done.Bytes)))
		if gopts.DryRun {
			return nil
		}
		gopts.notef("At the other side: tipmesh carry in %s", path)
		return nil
	})
}

// runShowEntry writes the entries that hold one thing.
func runShowEntry(ctx context.Context, opts *ShowOptions, gopts *GlobalOptions, ref string) error {
	if !opts.Entry || opts.Out == "" {
		return fail(api.CodeInvalid, "tipmesh show REF --entry --out FILE", "--entry and --out go together")
	}
	return gopts.withClient(func(c *api.Client) error {
		stream, err := c.ShowEntry(ctx, ref)
		if err != nil {
			return err
		}
		defer stream.Close()
		done, err := gopts.saveCarry(ctx, opts.Out, false, stream)
		if errors.Is(err, home.ErrFileExists) {
			return fail(api.CodeConflict, "give another name, or move it away", "%s is there already", opts.Out)
		} else if err != nil {
			return err
		}
		if gopts.JSON {
			return gopts.print(done)
		}
		if gopts.DryRun {
			gopts.sayf("Would write %s: %s, sealed, and who signed.", opts.Out, plural(done.Entries, "entry", "entries"))
			return nil
		}
		gopts.sayf("Wrote %s: %s, sealed, and who signed. To check it: tipmesh verify %s", opts.Out, plural(done.Entries, "entry", "entries"), opts.Out)
		return nil
	})
}

// saveCarry writes a carry file as it comes from the node.
func (g *GlobalOptions) saveCarry(ctx context.Context, path string, force bool, stream io.Reader) (*carriedOut, error) {
	out := &carriedOut{Kind: "carry_out", Path: path, DryRun: g.DryRun}
	var seen atomic.Int64
	stop := g.progress(ctx, func() string { return "carrying out  " + grouped(seen.Load()) + " entries" })
	defer stop()
	var err error
	save := saveStream
	if g.DryRun {
		save = dropStream
	}
	out.Bytes, err = save(path, force, stream, func(r io.Reader) error {
		file, err := carry.NewReader(r)
		if err != nil {
			return err
		}
		for {
			item, err := file.Next()
			switch {
			case errors.Is(err, io.EOF):
				return nil
			case err != nil:
				return fail(api.CodeUnavailable, "tipmesh status", "the node broke off: %v", err)
			case item.Statement != nil:
				out.Statements++
			case item.Header != nil:
				out.Entries++
				seen.Add(1)
			}
		}
	})
	return out, err
}

// sinceOf reads --since: a time, a duration, or a carry file.
func sinceOf(text string) (*api.CarryOut, error) {
	q := &api.CarryOut{}
	if text == "" {
		return q, nil
	}
	f, err := os.Open(text)
	if err != nil {
		if q.Since, err = moment(text, time.Now(), true); err != nil {
			return nil, fail(api.CodeInvalid, "--since 7d, 2018-05-23 or a carry file", "--since %q is no time, no duration and no file", text)
		}
		return q, nil
	}
	defer f.Close()
	r, err := carry.NewReader(f)
	if err != nil {
		return nil, fail(api.CodeInvalid, "--since 7d, 2018-05-23 or a carry file", "--since %s: %v", text, err)
	}
	q.Held = map[string]uint64{}
	for {
		item, err := r.Next()
		// Heads come first; a file that is cut off after them will do.
		if err != nil || item.Heads == nil {
			return q, nil
		}
		for _, h := range item.Heads {
			q.Held[h.Feed.String()] = h.Seq
		}
	}
}

func runCarryIn(ctx context.Context, gopts *GlobalOptions, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fail(api.CodeInvalid, "", "%v", err)
	}
	defer f.Close()
	file, err := carryable(f, path)
	if err != nil {
		return err
	}
	if gopts.DryRun {
		return previewCarryIn(gopts, file, path)
	}
	return gopts.withClient(func(c *api.Client) error {
		var read atomic.Int64
		stop := gopts.progress(ctx, func() string { return "carrying in  " + bytesText(uint64(read.Load())) })
		done, err := c.CarryIn(ctx, &counting{file, &read})
		stop()
		if err != nil {
			return err
		}
		if gopts.JSON {
			err = gopts.print(done)
		} else {
			sayCarried(gopts, done)
		}
		if err == nil {
			err = exit(done.Exit())
		}
		return err
	})
}

// previewCarryIn says what a file brings, without a node.
func previewCarryIn(gopts *GlobalOptions, file io.Reader, path string) error {
	r, err := carry.NewReader(file)
	if err != nil {
		return err
	}
	var statements, entries int
	for {
		item, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if item.Statement != nil {
			statements++
		} else if item.Header != nil {
			entries++
		}
	}
	gopts.previewf("%s brings %s and %s of mesh:%s. The node checks each and takes in what is new.", path,
		plural(entries, "entry", "entries"), plural(statements, "statement", "statements"), protocol.RefCode(r.Mesh.String(), 5))
	return nil
}

type counting struct {
	r io.Reader
	n *atomic.Int64
}

// Read counts what passes.
func (c *counting) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n.Add(int64(n))
	return n, err
}

// carryable gives a carry file: that one, or one around the single statement that
// the file is.
func carryable(f io.Reader, path string) (io.Reader, error) {
	b := bufio.NewReader(f)
	if start, _ := b.Peek(32); carry.IsFile(start) {
		return b, nil
	}
	raw, err := io.ReadAll(io.LimitReader(b, carry.MaxText))
	if err != nil {
		return nil, err
	}
	s, err := carry.Statement(raw)
	if err != nil {
		if list, _, err := readUnsigned(path); err == nil && len(list) > 0 {
			return nil, fail(api.CodeInvalid, "tipmesh card sign "+path+" --key-file FILE --out SIGNED", "%s holds what is not signed yet", path)
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	mesh := s.Mesh
	if mesh.IsZero() {
		mesh = protocol.MeshID(s.ID()) // a charter
	}
	var out bytes.Buffer
	w := carry.NewWriter(&out, mesh, time.Now().UnixMilli())
	if err := errors.Join(w.Statement(s.Raw()), w.Close()); err != nil {
		return nil, err
	}
	return &out, nil
}

func sayCarried(gopts *GlobalOptions, c *api.Carried) {
	gopts.sayf("Took %s and %s of %s. Here already: %s and %s.", plural(c.Entries.New, "entry", "entries"), plural(c.Statements.New, "statement", "statements"),
		orDash(clean(c.Mesh.Name)), grouped(c.Entries.Held), grouped(c.Statements.Held))
	for _, s := range c.Skipped {
		gopts.sayf("  left out  %s %s", grouped(s.Count), clean(s.Text))
	}
	for i, g := range c.Gaps {
		if i == listed {
			gopts.sayf("  and %s feeds more with a gap: --json lists them", grouped(len(c.Gaps)-listed))
			break
		}
		gopts.sayf("  missing   %d to %d of feed %s of %s", g.First, g.Last, cut(g.Feed, 10), nameOf(g.Member))
	}
	if !c.Whole {
		gopts.sayf("  NOT WHOLE: %s. What came before was taken as far as it is sound.", clean(c.Fault))
	}
	if len(c.Gaps) > 0 {
		gopts.notef("hint: ask for a file from earlier on, as tipmesh carry out FILE --since 30d, or without --since")
	}
}

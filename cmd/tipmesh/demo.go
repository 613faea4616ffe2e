package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/tipmesh/tipmesh/internal/api"
	"github.com/tipmesh/tipmesh/internal/demo"
)

// DemoOptions are the flags of demo.
type DemoOptions struct {
	Pace float64
	Step bool
	Keep string
	Log  LogOptions
}

func newDemoCommand(gopts *GlobalOptions) *cobra.Command {
	opts := &DemoOptions{}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See five members share, on this machine",
		Long: `Tell the story of VPNFilter with five member nodes in one process: real keys,
real stores, real connections over loopback. Everything it says is checked in
this run; the exit code is not 0 where something was not so. Nothing leaves the
machine.`,
		Example: example("tipmesh demo", "tipmesh demo --step", "tipmesh demo --pace 0 --json"),
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runDemo(cmd.Context(), opts, gopts) },
	}
	f := cmd.Flags()
	f.Float64Var(&opts.Pace, "pace", 1, "1 to read along, 0 without pauses")
	f.BoolVar(&opts.Step, "step", false, "wait for Enter at each act")
	f.StringVar(&opts.Keep, "keep", "", "make the five homes in this `folder` and keep them")
	opts.Log.addFlags(f, "error")
	return cmd
}

func runDemo(ctx context.Context, opts *DemoOptions, gopts *GlobalOptions) error {
	if opts.Pace < 0 || opts.Pace > 100 {
		return fail(api.CodeInvalid, "--pace 1", "--pace %v: want 0 to 100", opts.Pace)
	}
	log, err := opts.Log.logger(gopts)
	if err != nil {
		return err
	}
	if opts.Step && !gopts.terminal(gopts.stdin) {
		return fail(api.CodeInvalid, "leave --step out", "there is no terminal to wait for Enter at")
	}
	stay := gopts.terminal(gopts.stdout) && opts.Pace > 0 && !gopts.JSON
	_, err = demo.Run(ctx, demo.Options{Out: gopts.stdout, In: gopts.stdin, Pace: opts.Pace, Step: opts.Step, JSON: gopts.JSON, Dir: opts.Keep,
		Stay: stay, Bold: gopts.bold("x") != "x", Log: log})
	if errors.Is(err, demo.ErrNotSo) {
		return fail(api.CodeInternal, "run it again with --log-level info", "%v", err)
	}
	return err
}

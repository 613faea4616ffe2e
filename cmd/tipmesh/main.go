// Command tipmesh is a member's node and the tool to speak with it.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/tipmesh/tipmesh/internal/api"
)

func main() { os.Exit(realMain()) }

// realMain runs the command line of this process and gives its exit code.
func realMain() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
}

// execute runs one command line and gives its exit code. Answers go to stdout,
// everything else to stderr.
func execute(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	gopts := &GlobalOptions{stdin: stdin, stdout: stdout, stderr: stderr, getenv: os.Getenv}
	cmd := newRootCommand(gopts)
	cmd.SetArgs(args)
	cmd.SetIn(stdin)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		err = gopts.sayPreview()
	}
	if err == nil {
		return api.ExitDone
	}
	return report(gopts, args, err)
}

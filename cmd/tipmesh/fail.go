package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/tipmesh/tipmesh/internal/api"
)

// fail makes an error of a code, with what to do about it.
func fail(code, hint, format string, args ...any) error {
	e := api.Errorf(code, format, args...)
	e.Hint = hint
	return e
}

// exitOnly ends the command with a code after its answer has been printed; it
// says nothing more.
type exitOnly int

func (e exitOnly) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// exit ends a command whose answer has been printed.
func exit(code int) error {
	if code == api.ExitDone {
		return nil
	}
	return exitOnly(code)
}

// report prints an error to stderr and gives the exit code.
func report(gopts *GlobalOptions, args []string, err error) int {
	var only exitOnly
	if errors.As(err, &only) {
		return int(only)
	}
	e := coded(err)
	e.Hint = gopts.here(e.Hint)
	// A wrong command line may fail before --json is read.
	if gopts.JSON || slices.Contains(args, "--json") {
		// The hint is always there, and always a text.
		raw, fault := json.Marshal(struct {
			*api.Error
			Hint string `json:"hint"`
		}{e, e.Hint})
		if fault != nil {
			raw = []byte(`{"kind":"error","code":"internal","message":"","hint":""}`)
		}
		fmt.Fprintf(gopts.stderr, "%s\n", raw)
		return e.Exit()
	}
	fmt.Fprintf(gopts.stderr, "tipmesh: %s\n", clean(e.Message))
	for _, l := range e.LeftOut[:min(len(e.LeftOut), listed)] {
		fmt.Fprintf(gopts.stderr, "  %s\n", leftOutLine(l))
	}
	if more := len(e.LeftOut) - listed; more > 0 {
		fmt.Fprintf(gopts.stderr, "  and %s more: --json lists them\n", grouped(more))
	}
	for _, c := range e.Candidates {
		fmt.Fprintf(gopts.stderr, "  %s  %s\n", clean(c.Ref), clean(c.ID))
	}
	if e.Hint != "" {
		fmt.Fprintf(gopts.stderr, "hint: %s\n", clean(e.Hint))
	}
	return e.Exit()
}

// coded gives an error its code.
func coded(err error) *api.Error {
	var e *api.Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, context.DeadlineExceeded):
		return api.Errorf(api.CodeUnavailable, "time is up: %v", err).WithHint("allow more with --timeout")
	case errors.Is(err, context.Canceled):
		return api.Errorf(api.CodeUnavailable, "interrupted")
	}
	if e := codedBackup(err); e != nil {
		return e
	}
	if e := codedHome(err); e != nil {
		return e
	}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errors.Is(err, fs.ErrExist):
		return api.Errorf(api.CodeInvalid, "%v", err)
	case usageError(err):
		return api.Errorf(api.CodeInvalid, "%v", err).WithHint("tipmesh help")
	}
	return api.Errorf(api.CodeInternal, "%v", err)
}

// usageError tells cobra's own errors, which have no type.
func usageError(err error) bool {
	for _, start := range []string{"unknown command", "unknown flag", "unknown shorthand", "invalid argument", "accepts ",
		"requires ", "flag needs", "required flag", "bad flag", "if any flags in the group"} {
		if strings.HasPrefix(err.Error(), start) {
			return true
		}
	}
	return false
}

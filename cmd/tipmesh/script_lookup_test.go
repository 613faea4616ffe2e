package main

import (
	"os"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdFill: fill FILE puts variables of the script into a file, written as $NAME.
func cmdFill(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 || neg {
		ts.Fatalf("usage: fill FILE")
	}
	text := os.Expand(ts.ReadFile(args[0]), ts.Getenv)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

package main

import (
	"os"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdSpoil: spoil FILE OUT COUNT writes FILE to OUT with a bit changed in COUNT
// places spread over it; with a COUNT of 0 its last fifth is cut off.
func cmdSpoil(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: spoil FILE OUT COUNT")
	}
	raw := []byte(ts.ReadFile(args[0]))
	count, err := strconv.Atoi(args[2])
	ts.Check(err)
	if count == 0 {
		raw = raw[:len(raw)*4/5]
	}
	for i := range count {
		raw[(i+1)*len(raw)/(count+1)] ^= 0x10
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), raw, 0o600))
}

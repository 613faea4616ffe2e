package main

import (
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdAwaitGroup: awaitgroup HOME @GROUP HANDLE... waits until just these are in
// the group as HOME sees it; "out" stands for this member's being out.
func cmdAwaitGroup(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: awaitgroup HOME @GROUP HANDLE... | out")
	}
	until(ts, strings.Join(args, " "), func() bool {
		out, code := lines(ts, "--home", args[0], "group", "show", args[1])
		if code != 0 || len(out) == 0 {
			return false
		}
		if args[2] == "out" {
			return out[0]["you"] == "out"
		}
		var in []string
		for _, m := range out[0]["members"].([]any) {
			in = append(in, m.(map[string]any)["name"].(string))
		}
		slices.Sort(in)
		return slices.Equal(in, args[2:])
	})
}

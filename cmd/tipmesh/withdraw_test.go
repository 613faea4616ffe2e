package main

import (
	"fmt"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdApplied: applied HOME REF MEMBER waits until home's node has the member's
// receipt for what it withdrew.
func cmdApplied(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: applied HOME REF MEMBER")
	}
	until(ts, "receipt of "+args[2], func() bool {
		list, _ := lines(ts, "--home", args[0], "show", args[1])
		for _, v := range list {
			for i := range 10 {
				name, ok := at(v, fmt.Sprintf("withdrawn.receipts.%d.member.name", i))
				state, _ := at(v, fmt.Sprintf("withdrawn.receipts.%d.state", i))
				if ok && name == args[2] && state == "applied" {
					return true
				}
			}
		}
		return false
	})
}

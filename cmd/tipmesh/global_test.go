package main

import (
	"io"
	"strings"
	"testing"
)

// With --json no preview is shown, so that a terminal is not asked about one.
func TestJSONAsksNothing(t *testing.T) {
	g := &GlobalOptions{JSON: true}
	g.stdin, g.stdout, g.stderr = strings.NewReader("y\n"), io.Discard, io.Discard
	if ok, err := g.confirm("Sign?"); ok || err == nil || !strings.Contains(err.Error(), "--json") {
		t.Errorf("goes on: %v, error %v", ok, err)
	}
}

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Each command of docs/incident.md is run by the script of the incidents, in the
// same words.
func TestIncidentDocument(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "incident.md"))
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile(filepath.Join("testdata", "script", "incident.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	run := map[string]bool{}
	how := regexp.MustCompile(`^(exec|exits \d|eventually \d) `)
	for line := range strings.Lines(string(script)) {
		line = strings.TrimSuffix(strings.TrimSpace(line), " --json")
		run[how.ReplaceAllString(line, "")] = true
	}
	code, commands := false, 0
	for line := range strings.Lines(string(doc)) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "```"):
			code = !code
		case code:
			if commands++; !run[line] {
				t.Errorf("no test runs %q", line)
			}
		}
	}
	if code || commands < 15 {
		t.Errorf("%d commands were found, in a block: %v", commands, code)
	}
}

package archtest

import (
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
)

// docs/threats.md names a test in every row of its tables, and every test that it
// names exists. It is not a document of what somebody once meant to try.
func TestThreatsNameTestsThatExist(t *testing.T) {
	root := os.DirFS("../..")
	text, err := fs.ReadFile(root, "docs/threats.md")
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err = fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		data, err := fs.ReadFile(root, name)
		for _, m := range declared.FindAllSubmatch(data, -1) {
			have[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`\bTest[A-Z]\w*`)
	rows := 0
	for line := range strings.Lines(string(text)) {
		names := named.FindAllString(line, -1)
		if strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| attack ") {
			if rows++; len(names) == 0 {
				t.Errorf("names no test: %.80s", line)
			}
		}
		for _, name := range names {
			if !have[name] && name != "TestHostile" { // the words before the ellipsis in the introduction
				t.Errorf("%s does not exist", name)
			}
		}
	}
	if rows < 30 {
		t.Errorf("%d rows: the test is blind", rows)
	}
}

package api

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/protocol"
)

// TestIndexGoes removes the index of a running node, and writes over it. No
// look-up answers wrong in between, and the index is made again.
func TestIndexGoes(t *testing.T) {
	alder := found(t, protocol.Rules{})
	const n = 500
	var text strings.Builder
	values := make([]string, n)
	for i := range values {
		values[i] = fmt.Sprintf("h%d.kwaad.nl", i)
		fmt.Fprintln(&text, values[i])
	}
	alder.shareText(text.String(), func(q *ShareRequest) { q.Action, q.Timeout = "detect", time.Minute })
	dir := filepath.Join(alder.dir, "store", "index")
	for name, damage := range map[string]func() error{
		"removed": func() error { return os.RemoveAll(dir) },
		"emptied": func() error {
			files, err := os.ReadDir(dir)
			for _, f := range files {
				err = errors.Join(err, os.Remove(filepath.Join(dir, f.Name())))
			}
			return err
		},
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		indexed := func() bool {
			_, err := os.Stat(filepath.Join(dir, "MANIFEST"))
			return err == nil
		}
		for made, right := false, false; !made || !right; {
			made = indexed()
			found := 0
			_, err := alder.Lookup(t.Context(), LookupRequest{Values: values}, func(f *Finding) error {
				if len(f.Assertions) != 1 {
					return fmt.Errorf("wrong: %d assertions of %s", len(f.Assertions), f.Value)
				}
				found++
				return nil
			})
			if err != nil && strings.HasPrefix(err.Error(), "wrong") || err == nil && found != n {
				t.Fatalf("index %s: found %d, %v", name, found, err)
			}
			right = err == nil
		}
	}
}

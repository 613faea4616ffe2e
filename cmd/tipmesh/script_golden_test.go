package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
)

// cmdGolden: golden NAME compares the last stdout with testdata/golden/NAME.json,
// without what differs from run to run, lists in the order of their text. With
// TIPMESH_GOLDEN=1 it writes the file.
func cmdGolden(ts *testscript.TestScript, neg bool, args []string) {
	text := ts.ReadFile("stdout")
	for _, v := range variable {
		text = v.re.ReplaceAllString(text, v.mark)
	}
	var blocks []string
	for line := range strings.Lines(text) {
		var v any
		ts.Check(json.Unmarshal([]byte(line), &v))
		raw, err := json.MarshalIndent(sortLists(v), "", " ")
		ts.Check(err)
		blocks = append(blocks, string(raw)+"\n")
	}
	sort.Strings(blocks) // members come in the order of their IDs
	got := strings.Join(blocks, "")
	path := filepath.Join(ts.Value(goldenKey{}).(string), args[0]+".json")
	if os.Getenv("TIPMESH_GOLDEN") == "1" {
		ts.Check(os.WriteFile(path, []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile(path)
	ts.Check(err)
	if d := cmp.Diff(string(want), got); d != "" {
		ts.Fatalf("%s differs; TIPMESH_GOLDEN=1 writes it anew:\n%s", path, d)
	}
}

type goldenKey struct{}

// sortLists orders the lists in a JSON value by their text, since the IDs that
// order members are made anew in every run.
func sortLists(v any) any {
	switch x := v.(type) {
	case map[string]any:
		for k := range x {
			x[k] = sortLists(x[k])
		}
	case []any:
		for i := range x {
			x[i] = sortLists(x[i])
		}
		sort.SliceStable(x, func(i, j int) bool { return fmt.Sprint(x[i]) < fmt.Sprint(x[j]) })
	}
	return v
}

// cmdMake: make KIND FILE [SIZE] writes a broken input.
func cmdMake(ts *testscript.TestScript, neg bool, args []string) {
	var raw []byte
	switch args[0] {
	case "binary":
		raw = []byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\xff\xfe\xfd")
	case "noise":
		for i := range 4096 {
			raw = append(raw, byte(i*i*7+i>>3))
		}
	case "latin1":
		raw = []byte("evil-latin.com\nG\xfcltig\xe9.com\n\xff\xfe\n")
	case "utf16":
		raw = []byte{0xff, 0xfe}
		for _, c := range "evil-wide.com\n" {
			raw = append(raw, byte(c), 0)
		}
	case "huge":
		f, err := os.Create(ts.MkAbs(args[1]))
		ts.Check(err)
		ts.Check(f.Truncate(300 << 20))
		ts.Check(f.Close())
		return
	case "longline":
		raw = bytes.Repeat([]byte("a"), 5<<20)
	case "deep":
		raw = []byte(`{"type":"bundle","id":"bundle--4f1c9d0e-4b3a-4d58-9b1d-0d4f7d6f8a10","objects":` + strings.Repeat("[", 100000))
	case "empty":
	default:
		ts.Fatalf("make what? %s", args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), raw, 0o644))
}

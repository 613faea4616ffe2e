package archtest

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"
)

// TestModule checks this module.
func TestModule(t *testing.T) {
	faults, err := Check(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		t.Error(f)
	}
}

// TestTables checks that the page still draws the fences that must not go.
func TestTables(t *testing.T) {
	text, err := os.ReadFile("../../" + Document)
	if err != nil {
		t.Fatal(err)
	}
	got, err := readTables(string(text))
	if err != nil {
		t.Fatal(err)
	}
	for prefix, want := range map[string][]string{
		"github.com/libp2p":             {"node/transport"},
		"github.com/multiformats":       {"node/transport"},
		"github.com/quic-go":            {"node/transport"},
		"go.uber.org/fx":                {"node/transport"},
		"github.com/dgraph-io":          {"store/badger"},
		"filippo.io/age":                {"protocol/seal", "internal/keyring", "internal/backup"},
		"github.com/spf13":              {"cmd/..."},
		"github.com/marcopolo/simnet":   {"node/transport/transporttest"},
		"github.com/klauspost/compress": {"protocol/seal"},
		"github.com/fxamacker/cbor":     {"protocol"},
	} {
		i := slices.IndexFunc(got.libraries, func(l library) bool { return l.prefix == prefix })
		if i < 0 || !slices.Equal(got.libraries[i].dirs, want) {
			t.Errorf("%s is no longer fenced into %v", prefix, want)
		}
	}
	for dir, want := range map[string][]string{"protocol": nil, "protocol/seal": {"protocol"}, "protocol/trust": {"protocol"},
		"protocol/replica": {"protocol"}, "store": {"protocol"}, "internal/stix": nil, "internal/observable": nil} {
		if a := got.imports[dir]; a.any || !slices.Equal(a.dirs, want) {
			t.Errorf("%s may import %v, want %v", dir, a.dirs, want)
		}
	}
}

// TestBroken breaks each fence: every archive in testdata is the sound module
// with files added or replaced, and names the faults this must give.
func TestBroken(t *testing.T) {
	sound, err := txtar.ParseFile("testdata/sound.txtar")
	if err != nil {
		t.Fatal(err)
	}
	if faults, err := Check(tree(sound)); err != nil || len(faults) > 0 {
		t.Fatalf("the sound module: %q, %v", faults, err)
	}
	archives, err := filepath.Glob("testdata/broken-*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no archives: %v", err)
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			broken, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got, err := Check(tree(sound, broken))
			if err != nil {
				got = []string{err.Error()}
			}
			want := strings.Split(strings.TrimSpace(string(broken.Comment)), "\n")
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("faults:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// TestLong checks the limit of lines, which no archive should show at length.
func TestLong(t *testing.T) {
	sound, err := txtar.ParseFile("testdata/sound.txtar")
	if err != nil {
		t.Fatal(err)
	}
	fsys := tree(sound)
	for lines, want := range map[int][]string{MaxLines: nil, MaxLines + 1: {"store/long_test.go: more than 500 lines"}} {
		fsys["store/long_test.go"] = &fstest.MapFile{Data: []byte("package store\n" + strings.Repeat("\n", lines-1))}
		if got, err := Check(fsys); err != nil || !slices.Equal(got, want) {
			t.Errorf("%d lines: %q, %v", lines, got, err)
		}
	}
	longFiles["store/store.go"] = true
	defer delete(longFiles, "store/store.go")
	delete(fsys, "store/long_test.go")
	want := []string{"store/store.go: is excepted from the limit of 500 lines and keeps it"}
	if got, err := Check(fsys); err != nil || !slices.Equal(got, want) {
		t.Errorf("an exception that is not needed: %q, %v", got, err)
	}
}

// tree lays archives over each other. An empty file removes one.
func tree(archives ...*txtar.Archive) fstest.MapFS {
	fsys := fstest.MapFS{}
	for _, a := range archives {
		for _, f := range a.Files {
			delete(fsys, f.Name)
			if len(f.Data) > 0 {
				fsys[f.Name] = &fstest.MapFile{Data: f.Data, Mode: fs.FileMode(0o644)}
			}
		}
	}
	return fsys
}

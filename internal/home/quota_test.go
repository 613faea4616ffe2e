package home

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/tipmesh/tipmesh/node"
)

func TestQuotaIsKept(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ asked, want node.Quota }{
		{node.Quota{}, node.Quota{}},
		{node.Quota{Member: 5}, node.Quota{Member: 5}},
		{node.Quota{All: 7 << 30}, node.Quota{Member: 5, All: 7 << 30}},
		{node.Quota{}, node.Quota{Member: 5, All: 7 << 30}},
		{node.Quota{Member: 9}, node.Quota{Member: 9, All: 7 << 30}},
	} {
		if got, err := chooseQuota(dir, c.asked); err != nil || got != c.want {
			t.Errorf("asked for %+v: %+v, %v", c.asked, got, err)
		}
	}
	for text, want := range map[string]node.Quota{"": {}, "all 2TiB\n\nmember 3 MiB\n": {Member: 3 << 20, All: 2 << 40}} {
		if err := os.WriteFile(filepath.Join(dir, quotaFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := readQuota(dir); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"member", "member 0", "member -1", "member 1XiB", "all 9999999TiB", "other 3", "all MiB"} {
		if err := os.WriteFile(filepath.Join(dir, quotaFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if q, err := readQuota(dir); !errors.Is(err, ErrDamaged) {
			t.Errorf("%q: %+v, %v", text, q, err)
		}
	}
}

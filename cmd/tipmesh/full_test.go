//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/internal/api"
)

// TestDiskFull fills the small disk of one of two real nodes by sharing. The node
// says so and takes no more, loses nothing, and goes on once there is room.
func TestDiskFull(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=160m"); err != nil {
		t.Skipf("a small disk cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	balloon := filepath.Join(disk, "balloon")
	if err := os.WriteFile(balloon, make([]byte, 80<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &crash{t: t, dir: disk}
	c.mesh("alder")
	c.dir = t.TempDir()
	c.mesh("birch")
	alder, birch := api.NewClient(c.nodes[0].home), api.NewClient(c.nodes[1].home)
	share := func(at *api.Client, name string, count int) error {
		var b strings.Builder
		for i := range count {
			fmt.Fprintf(&b, "%s-%d.full-disk.com\n", name, i)
		}
		answer, err := at.Share(t.Context(), api.ShareRequest{Body: strings.NewReader(b.String()), Name: "values.txt", To: "everyone"})
		if err == nil && answer.Durable {
			c.acked = append(c.acked, fmt.Sprintf("%s-0.full-disk.com", name), fmt.Sprintf("%s-%d.full-disk.com", name, count-1))
		}
		return err
	}
	var err error
	for i := 0; err == nil && i < 100; i++ {
		err = share(alder, fmt.Sprint("fill", i), 3000)
	}
	var coded *api.Error
	if !errors.As(err, &coded) || coded.Code != api.CodeUnavailable && coded.Code != api.CodePartial || !strings.Contains(coded.Message, "disk full") {
		t.Fatalf("the share that found no room: %v", err)
	}
	t.Logf("full after %d shares: %s %v (%s)", len(c.acked)/2, coded.Code, coded, coded.Hint)
	st, err := alder.Status(t.Context(), "", 0)
	said := func(text string) bool { return strings.HasPrefix(text, "disk full") }
	if err != nil || st.State != "BROKEN" || !slices.ContainsFunc(st.Alerts, said) {
		t.Fatalf("status: %+v %v", st, err)
	}
	if err := share(birch, "meanwhile", 10); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(balloon); err != nil {
		t.Fatal(err)
	}
	c.awaitRoom(alder)
	if err := share(alder, "after", 10); err != nil {
		t.Fatal(err)
	}
	c.settle()
	if lost, forks := c.judge(); lost > 0 || forks > 0 {
		t.Errorf("lost %d, forks %d", lost, forks)
	}
	c.sameHistory()
}

// awaitRoom waits until a node says that it has room.
func (c *crash) awaitRoom(at *api.Client) {
	c.t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		st, err := at.Status(c.t.Context(), "", 0)
		if err != nil || time.Now().After(deadline) {
			c.t.Fatalf("no room: %+v %v", st, err)
		}
		if st.State == "WELL" {
			return
		}
	}
}

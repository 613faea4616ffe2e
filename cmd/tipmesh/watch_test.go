package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/internal/api"
)

var watchKills = flag.Int("watchkills", 12, "kill -9 so many watches in TestWatchKill")

// TestWatchKill follows a node that shares and withdraws all the time with two
// watches, each a process that is killed at random instants and started again, and
// now and then kills the node too. The file of the one has every arrival once and in
// order; the other, which notes how far it got beside its output, misses none and
// repeats at most the line that it was killed at.
func TestWatchKill(t *testing.T) {
	c := &crash{t: t, dir: t.TempDir(), rng: rand.New(rand.NewPCG(*crashSeed, 11))}
	c.mesh("alder", "birch")
	stop := c.share()
	birch := c.nodes[1]
	file := filepath.Join(c.dir, "events.jsonl")
	printed := filepath.Join(c.dir, "printed.jsonl")
	commands := [][]string{
		{"--home", birch.home, "watch", "--out", file, "--since", "all"},
		{"--home", birch.home, "watch", "--save", "all", "--since", "all", "--json"},
	}
	began := false
	start := func() (list []*exec.Cmd) {
		for i, args := range commands {
			if began && i == 1 {
				args = []string{"--home", birch.home, "watch", "--save", "all", "--json"}
			}
			out, err := os.OpenFile(printed, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("tipmesh", args...)
			cmd.Stdout = out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			out.Close()
			t.Cleanup(func() { cmd.Process.Kill() })
			list = append(list, cmd)
		}
		return list
	}
	for kill := range *watchKills {
		running := start()
		<-time.After(c.upTo(600 * time.Millisecond)) // the random instant, not a wait for anything
		if kill%5 == 4 {
			birch.mu.Lock()
			birch.up = make(chan struct{})
			birch.mu.Unlock()
			c.kill(birch)
			c.start(birch)
			c.awaitReady(birch)
			<-time.After(c.upTo(300 * time.Millisecond))
		}
		for _, cmd := range running {
			cmd.Process.Kill()
			cmd.Wait()
		}
		// Its first cursor is kept once it has caught up with something.
		_, err := os.Stat(filepath.Join(birch.home, "watch", "all", "watch.json"))
		began = err == nil
		c.withdraw(kill)
	}
	stop()
	c.settle()
	client := api.NewClient(birch.home)
	defer client.Close()
	st, err := client.Status(t.Context(), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	running := start()
	once := c.told(file, st.Store.Arrivals)
	again := c.told(printed, st.Store.Arrivals)
	for _, cmd := range running {
		cmd.Process.Kill()
		cmd.Wait()
	}
	repeats := 0
	for n := uint64(1); n <= st.Store.Arrivals; n++ {
		if once[n] != 1 {
			t.Errorf("the file has arrival %d %d times", n, once[n])
		}
		if again[n] < 1 {
			t.Errorf("the saved watch missed arrival %d", n)
		}
		repeats += max(0, again[n]-1)
	}
	if repeats > *watchKills {
		t.Errorf("the saved watch repeated %d lines in %d kills", repeats, *watchKills)
	}
	t.Logf("seed %d: %d kills of each watch, %d arrivals, %d repeated by the saved watch", *crashSeed, *watchKills, st.Store.Arrivals, repeats)
}

// withdraw takes one of the acknowledged values back.
func (c *crash) withdraw(n int) {
	c.mu.Lock()
	value := ""
	if len(c.acked) > n {
		value = c.acked[n]
	}
	c.mu.Unlock()
	for _, v := range c.nodes {
		if value != "" && value[:5] == v.name[:5] {
			client := api.NewClient(v.home)
			// The node may be down: then nothing is withdrawn.
			_, err := client.Withdraw(c.t.Context(), api.Withdraw{Ref: value, Why: "error", NoWait: true})
			c.t.Logf("withdraw %s: %v", value, err)
			client.Close()
		}
	}
}

// told waits until a file of events tells of the last arrival, and counts how often
// it tells of each; they must be in order but for repeats of the line before.
func (c *crash) told(path string, last uint64) map[uint64]int {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	for {
		raw, err := os.ReadFile(path)
		if err != nil {
			c.t.Fatal(err)
		}
		told, seen := map[uint64]int{}, map[string]bool{}
		var before api.Event
		for _, line := range bytes.Split(bytes.TrimSuffix(raw, []byte("\n")), []byte("\n")) {
			var e api.Event
			if err := json.Unmarshal(line, &e); err != nil && told[last] == 0 {
				break // still being written
			} else if err != nil {
				c.t.Fatalf("%s: %q", path, line)
			}
			if e.Arrivals == 0 {
				continue
			}
			if e.Arrival < before.Arrival {
				c.t.Fatalf("%s: arrival %d after %d", path, e.Arrival, before.Arrival)
			}
			// An entry may be told in several events, each with a cursor of its own.
			if part := fmt.Sprint(e.Arrival, e.What); seen[part] || before.Arrival != e.Arrival {
				for n := range uint64(e.Arrivals) {
					told[e.Arrival-n]++
				}
			} else {
				seen[part] = true
			}
			seen[fmt.Sprint(e.Arrival, e.What)] = true
			before = e
		}
		if told[last] > 0 {
			return told
		}
		if ctx.Err() != nil {
			c.t.Fatalf("%s does not tell of arrival %d in %v: %d bytes", path, last, patience, len(raw))
		}
		<-time.After(50 * time.Millisecond) // between two looks at the file
	}
}

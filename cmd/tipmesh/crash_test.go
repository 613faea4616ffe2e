package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/internal/api"
	"github.com/tipmesh/tipmesh/internal/home"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

var (
	kills     = flag.Int("kills", 6, "kill -9 so many node processes in TestCrash")
	crashSeed = flag.Uint64("seed", 1, "of the instants and the victims of TestCrash")
)

// TestCrash runs a mesh of real processes that share all the time, and kills one
// or two at random instants, also while they start. What was acknowledged must be
// found everywhere in the end, and no node may have parted from itself.
func TestCrash(t *testing.T) {
	c := &crash{t: t, dir: t.TempDir(), rng: rand.New(rand.NewPCG(*crashSeed, 9))}
	c.mesh("alder", "birch", "cedar")
	stop := c.share()
	for c.kills < *kills {
		c.strike(min(*kills-c.kills, 1+c.rng.IntN(5)/4))
	}
	stop()
	t.Logf("seed %d: %d kills done, %d of them while starting; %d shares acknowledged, %d cut off", *crashSeed, c.kills, c.early,
		len(c.acked), c.unsure.Load())
	c.settle()
	lost, forks := c.judge()
	c.sameHistory()
	t.Logf("seed %d: %d kills, %d acknowledged, %d lost, %d forks", *crashSeed, c.kills, len(c.acked), lost, forks)
	if len(c.acked) == 0 || lost > 0 || forks > 0 {
		t.Errorf("acknowledged %d, lost %d, forks %d", len(c.acked), lost, forks)
	}
}

// crash is a mesh that is struck.
type crash struct {
	t     *testing.T
	dir   string
	rng   *rand.Rand
	nodes []*victim
	kills int
	early int

	unsure atomic.Int64 // shares without an answer: they may be there or not
	mu     sync.Mutex
	acked  []string
}

// victim is a node of the mesh, and its process while it runs.
type victim struct {
	name, home string
	cmd        *exec.Cmd
	done       chan struct{}
	ready      chan struct{}

	mu sync.Mutex
	up chan struct{} // closed while it answers
}

// tipmesh runs a command to its end.
func (c *crash) tipmesh(args ...string) {
	c.t.Helper()
	if out, err := exec.Command("tipmesh", args...).CombinedOutput(); err != nil {
		c.t.Fatalf("tipmesh %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// mesh makes a mesh, or adds members to it, and starts their nodes.
func (c *crash) mesh(names ...string) {
	for _, name := range names {
		v := &victim{name: name, home: filepath.Join(c.dir, name), up: make(chan struct{})}
		who := []string{"--member", name + " Ltd", "--handle", name, "--contact", "cert@" + name + ".example", "--yes"}
		if len(c.nodes) == 0 {
			c.tipmesh(append([]string{"--home", v.home, "create", "Harbour Alliance", "--epoch-wait", "200ms"}, who...)...)
		} else {
			ticket := filepath.Join(c.dir, name+".ticket")
			c.tipmesh("--home", c.nodes[0].home, "invite", "--out", ticket, "--admit", "--yes")
			c.tipmesh(append([]string{"--home", v.home, "join", ticket, "--timeout", "60s", "--listen", "127.0.0.1:0"}, who...)...)
		}
		c.nodes = append(c.nodes, v)
		c.start(v)
		c.awaitReady(v)
	}
	for _, v := range c.nodes {
		c.tipmesh("--home", v.home, "status", "--until", fmt.Sprintf("members=%d", len(c.nodes)), "--timeout", "60s")
		c.tipmesh("--home", v.home, "status", "--until", "in-step", "--timeout", "60s")
	}
}

// start starts a node's process and does not wait for it to be ready.
func (c *crash) start(v *victim) {
	c.t.Helper()
	log, err := os.OpenFile(v.home+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		c.t.Fatal(err)
	}
	cmd := exec.Command("tipmesh", "--home", v.home, "run", "--json", "--listen", "127.0.0.1:0")
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		c.t.Fatal(err)
	}
	done, ready := make(chan struct{}), make(chan struct{})
	v.cmd, v.done, v.ready = cmd, done, ready
	c.t.Cleanup(func() {
		cmd.Process.Kill()
		<-done
	})
	go func() {
		defer close(done)
		in := bufio.NewReader(out)
		if _, err := in.ReadString('\n'); err == nil {
			close(ready)
		}
		io.Copy(io.Discard, in)
		cmd.Wait()
		log.Close()
	}()
}

func (c *crash) awaitReady(v *victim) {
	c.t.Helper()
	select {
	case <-v.ready:
	case <-v.done:
		c.t.Fatalf("%s ended by itself: %v\n%s", v.name, v.cmd.ProcessState, c.log(v))
	case <-time.After(patience):
		c.t.Fatalf("%s is not ready after %v\n%s", v.name, patience, c.log(v))
	}
	v.mu.Lock()
	close(v.up)
	v.mu.Unlock()
}

// log is the end of what a node logged.
func (c *crash) log(v *victim) string {
	raw, err := os.ReadFile(v.home + ".log")
	if err != nil {
		return err.Error()
	}
	return string(raw[max(0, len(raw)-4000):])
}

func (c *crash) kill(v *victim) {
	select {
	case <-v.done:
		c.t.Fatalf("%s ended by itself: %v\n%s", v.name, v.cmd.ProcessState, c.log(v))
	default:
	}
	if err := v.cmd.Process.Kill(); err != nil {
		c.t.Fatalf("kill %s: %v", v.name, err)
	}
	<-v.done
	c.kills++
}

// strike lets the mesh run for a random while, kills some nodes, and starts them
// again; now and then it kills one once more before it is ready.
func (c *crash) strike(count int) {
	<-time.After(c.upTo(1500 * time.Millisecond)) // the random instant, not a wait for anything
	var hit []*victim
	for _, i := range c.rng.Perm(len(c.nodes))[:count] {
		v := c.nodes[i]
		v.mu.Lock()
		v.up = make(chan struct{})
		v.mu.Unlock()
		c.kill(v)
		hit = append(hit, v)
	}
	for _, v := range hit {
		c.start(v)
		for c.kills < *kills && c.rng.IntN(6) == 0 {
			<-time.After(c.upTo(300 * time.Millisecond))
			c.kill(v)
			c.early++
			c.start(v)
		}
	}
	for _, v := range hit {
		c.awaitReady(v)
	}
}

func (c *crash) upTo(most time.Duration) time.Duration {
	return time.Duration(c.rng.Int64N(int64(most)))
}

// share lets every node share until stop is called.
func (c *crash) share() (stop func()) {
	ctx, cancel := context.WithCancel(c.t.Context())
	var all sync.WaitGroup
	for _, v := range c.nodes {
		all.Go(func() { c.shareAt(ctx, v) })
	}
	return func() {
		cancel()
		all.Wait()
	}
}

// shareAt shares one value after the other at a node, a bounded number a second,
// and notes those that the node says are on its disk.
func (c *crash) shareAt(ctx context.Context, v *victim) {
	client := api.NewClient(v.home)
	defer client.Close()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		v.mu.Lock()
		up := v.up
		v.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-up:
		}
		<-tick.C
		value := fmt.Sprintf("%s%06d.kill-nine.com", v.name, i)
		answer, err := client.Share(ctx, api.ShareRequest{Body: strings.NewReader(value), Name: "values.txt", To: "everyone"})
		if err != nil || !answer.Durable {
			c.unsure.Add(1)
			continue
		}
		c.mu.Lock()
		c.acked = append(c.acked, value)
		c.mu.Unlock()
	}
}

// settle waits until all are in step and hold as many entries.
func (c *crash) settle() {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 2*patience)
	defer cancel()
	for {
		var said []string
		equal, first := true, uint64(0)
		for i, v := range c.nodes {
			client := api.NewClient(v.home)
			st, err := client.Status(ctx, "in-step", 10*time.Second)
			client.Close()
			if err != nil {
				c.t.Fatalf("status of %s: %v; before: %v", v.name, err, said)
			}
			if i == 0 {
				first = st.Store.Entries
			}
			equal = equal && st.InStep && st.Store.Entries == first
			said = append(said, fmt.Sprintf("%s: %d entries, in step %v, behind %v, refused %v, alerts %q", v.name, st.Store.Entries, st.InStep,
				st.Behind, st.Refused, st.Alerts))
		}
		if equal {
			c.t.Logf("settled: %s", strings.Join(said, "; "))
			return
		}
		if ctx.Err() != nil {
			c.t.Fatalf("not in step: %s", strings.Join(said, "; "))
		}
	}
}

// judge looks every acknowledged value up at every node, and asks each how it
// stands.
func (c *crash) judge() (lost, forks int) {
	c.t.Helper()
	missing := map[string]bool{}
	for _, v := range c.nodes {
		client := api.NewClient(v.home)
		st, err := client.Status(c.t.Context(), "", 0)
		if err != nil {
			c.t.Fatal(err)
		}
		if forks += len(st.Forks); st.Halted != "" || st.Unreadable > 0 {
			c.t.Errorf("%s: halted %q, %d unreadable", v.name, st.Halted, st.Unreadable)
		}
		_, err = client.Lookup(c.t.Context(), api.LookupRequest{Values: c.acked}, func(f *api.Finding) error {
			if len(f.Assertions) == 0 {
				missing[f.Value] = true
				c.t.Errorf("%s does not know %s", v.name, f.Value)
			}
			return nil
		})
		client.Close()
		if err != nil {
			c.t.Fatal(err)
		}
	}
	return len(missing), forks
}

// sameHistory ends the nodes as a service manager does, opens their homes and
// compares every feed, header by header.
func (c *crash) sameHistory() {
	c.t.Helper()
	var first map[store.Place]protocol.EntryID
	for _, v := range c.nodes {
		if err := v.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			c.t.Fatal(err)
		}
	}
	for _, v := range c.nodes {
		select {
		case <-v.done:
		case <-time.After(patience):
			c.t.Fatalf("%s does not stop\n%s", v.name, c.log(v))
		}
		h, err := home.Open(v.home, home.Options{})
		if err != nil {
			c.t.Fatal(err)
		}
		run := c.headers(v, h.Node.Store())
		if err := h.Close(); err != nil {
			c.t.Error(err)
		}
		if first == nil {
			first = run
		}
		for p, id := range run {
			if first[p] != id || len(run) != len(first) {
				c.t.Fatalf("%s holds %d entries, %s %d; entry %d of feed %s differs: %v", c.nodes[0].name, len(first), v.name, len(run),
					p.Seq, p.Feed.Short(), first[p] != id)
			}
		}
	}
	c.t.Logf("the same %d entries everywhere", len(first))
}

// headers reads all of a store, and wants it gapless and whole.
func (c *crash) headers(v *victim, s store.Store) map[store.Place]protocol.EntryID {
	c.t.Helper()
	out := map[store.Place]protocol.EntryID{}
	for _, f := range s.Feeds() {
		next, prev := uint64(1), protocol.EntryID{}
		err := s.Range(f.ID, 1, func(e store.Entry) bool {
			if e.Header.Seq != next || e.Header.Prev != prev || !e.Header.Fits(e.Payload) {
				c.t.Errorf("%s: feed %s is not whole at %d", v.name, f.ID.Short(), next)
			}
			out[store.Place{Feed: f.ID, Seq: next}] = e.Header.ID()
			next, prev = next+1, e.Header.ID()
			return true
		})
		if err != nil || next != f.Head+1 {
			c.t.Errorf("%s: feed %s has %d entries, head %d: %v", v.name, f.ID.Short(), next-1, f.Head, err)
		}
	}
	return out
}

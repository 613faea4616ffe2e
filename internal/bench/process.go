package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/tipmesh/tipmesh/internal/api"
	"github.com/tipmesh/tipmesh/internal/home"
)

// process is a node that runs as people run it.
type process struct {
	dir    string
	began  time.Time
	cmd    *exec.Cmd
	client *api.Client
	said   strings.Builder
}

// startProcess runs the node of a home.
func startProcess(p *plan, dir string, env ...string) (*process, error) {
	if err := os.Remove(filepath.Join(dir, home.SocketFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove socket: %w", err)
	}
	x := &process{dir: dir, began: time.Now(), client: api.NewClient(dir)}
	x.cmd = exec.Command(p.binary, "--home", dir, "run", "--log-level", "error")
	x.cmd.Stdout, x.cmd.Stderr, x.cmd.Env = nil, &x.said, append(os.Environ(), env...)
	if err := x.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start node: %w", err)
	}
	return x, nil
}

// mostStart is how long a node may take to answer, an index made anew included.
const mostStart = 2 * time.Hour

// answers waits until the node answers a look-up, and gives how long that took
// from its start on.
func (x *process) answers(ctx context.Context, value string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, mostStart)
	defer cancel()
	for {
		_, err := x.client.Lookup(ctx, api.LookupRequest{Values: []string{value}}, func(*api.Finding) error { return nil })
		if err == nil {
			return time.Since(x.began), nil
		}
		if ctx.Err() != nil {
			return 0, fmt.Errorf("node in %s does not answer: %w %s", x.dir, err, x.said.String())
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// stop ends the node as an operator does.
func (x *process) stop() error {
	if x.cmd == nil {
		return nil
	}
	x.client.Close()
	err := x.cmd.Process.Signal(syscall.SIGTERM)
	err = errors.Join(err, x.cmd.Wait())
	x.cmd = nil
	if err != nil {
		return fmt.Errorf("stop node: %w %s", err, x.said.String())
	}
	return nil
}

// again kills the node and starts it anew.
func (x *process) again(p *plan) (*process, error) {
	x.client.Close()
	if err := x.cmd.Process.Kill(); err != nil {
		return x, fmt.Errorf("kill node: %w", err)
	}
	_ = x.cmd.Wait() // it was killed
	return startProcess(p, x.dir)
}

// anonymous is the memory of the process that no file backs, in bytes.
func (x *process) anonymous() (int, error) {
	kb, err := field(fmt.Sprintf("/proc/%d/status", x.cmd.Process.Pid), "RssAnon:")
	return kb << 10, err
}

// pair is two nodes, linked.
type pair struct{ author, reader *process }

// newPair makes a mesh of two members and runs their nodes.
func newPair(ctx context.Context, p *plan, name string, env ...string) (*pair, error) {
	all, err := newMembers(ctx, filepath.Join(p.dir, name), 2)
	if err != nil {
		return nil, err
	}
	if err := haltAll(all); err != nil {
		return nil, err
	}
	return pairOf(ctx, p, all, env...)
}

// pairOf runs the nodes of two members.
func pairOf(ctx context.Context, p *plan, all []*member, env ...string) (*pair, error) {
	a, err := startProcess(p, all[0].dir, env...)
	if err != nil {
		return nil, err
	}
	b, err := startProcess(p, all[1].dir, env...)
	if err != nil {
		return nil, errors.Join(err, a.stop())
	}
	w := &pair{a, b}
	for _, x := range []*process{a, b} {
		if _, err = x.answers(ctx, value(0).Text); err != nil {
			break
		}
		if err = linked(ctx, x.client, x.dir, 1); err != nil {
			break
		}
		if err = wait(ctx, x.client, x.dir, "in-step"); err != nil {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(err, w.stop())
	}
	return w, nil
}

func (w *pair) stop() error { return errors.Join(w.author.stop(), w.reader.stop()) }

// mostShared is how many values go into one file.
const mostShared = 1_000_000

// share shares values at the author and waits until the reader answers look-ups
// with all of them. durable is when the last file was acknowledged.
func (w *pair) share(ctx context.Context, from, end int) (durable, queryable time.Duration, err error) {
	a0, err := w.author.client.Status(ctx, "", 0)
	if err != nil {
		return 0, 0, err
	}
	b0, err := w.reader.client.Status(ctx, "", 0)
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	for at := from; at < end; at += mostShared {
		part := min(at+mostShared, end)
		if err := w.author.share(ctx, newList(at, part), part-at); err != nil {
			return 0, 0, err
		}
	}
	durable = time.Since(began)
	a1, err := w.author.client.Status(ctx, "", 0)
	if err != nil {
		return 0, 0, err
	}
	want := b0.Store.Arrivals + a1.Store.Arrivals - a0.Store.Arrivals
	if err := w.reader.indexed(ctx, want); err != nil {
		return 0, 0, err
	}
	return durable, time.Since(began), w.reader.knows(ctx, from, end)
}

// share shares a file of so many values.
func (x *process) share(ctx context.Context, body io.Reader, n int) error {
	s, err := x.client.Share(ctx, api.ShareRequest{Body: body, Name: "list.txt", To: "everyone", TLP: "green"})
	if err != nil {
		return fmt.Errorf("share: %w", err)
	}
	if !s.Durable || len(s.LeftOut) > 0 || len(s.IDs) != n {
		return fmt.Errorf("share: %d of %d taken, left out %.1v", len(s.IDs), n, s.LeftOut)
	}
	return nil
}

// indexed waits until look-ups include so many arrivals.
func (x *process) indexed(ctx context.Context, arrivals uint64) error {
	for {
		s, err := x.client.Status(ctx, "", 0)
		if err != nil {
			return err
		}
		if s.Store.Indexed >= arrivals {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// knows checks that the node knows the first, the last and some other values.
func (x *process) knows(ctx context.Context, from, end int) error {
	numbers := append(sample(end-from, 998), 0, end-from-1)
	for i := range numbers {
		numbers[i] += from
	}
	s, err := x.client.Lookup(ctx, api.LookupRequest{Values: values(numbers)}, func(*api.Finding) error { return nil })
	if err != nil {
		return err
	}
	if known := len(numbers) - s.Verdicts[api.VerdictUnknown]; known != len(numbers) {
		return fmt.Errorf("%d of %d values are known", known, len(numbers))
	}
	return nil
}

// diskOf is the bytes that a folder takes on disk.
func diskOf(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			total += st.Blocks * 512
		}
		return nil
	})
	return total, err
}

// Command bench measures tipmesh beside what could do a part of its work, in one
// run, and prints a table; -write puts it into docs/performance.md.
//
//	go -C internal/bench run . -n 1000000 -write docs/performance.md
//
// It is a module of its own, so that tipmesh does not carry what it is compared
// with. It needs Linux: it reads the counters of the kernel, and runs in a network of
// its own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

// binaryEnv tells a run in a network of its own where the product is.
const binaryEnv = "TIPMESH_BENCH_BINARY"

// plan is what to measure.
type plan struct {
	n      int // indicators
	rounds int // of single shares
	rows   map[string]bool
	root   string // of the project
	dir    string // for homes and stores
	lists  string // folder of published lists, which need not be there
	binary string // tipmesh
	say    func(format string, args ...any)
}

// wants reports whether one of the parts is asked for.
func (p *plan) wants(parts ...string) bool {
	if len(p.rows) == 0 {
		return true
	}
	for _, name := range parts {
		if p.rows[name] {
			return true
		}
	}
	return false
}

func main() {
	n := flag.Int("n", 100_000, "indicators")
	rounds := flag.Int("shares", 200, "single shares among ten nodes")
	rows := flag.String("rows", "", "parts to measure, of "+strings.Join(parts, ",")+"; empty: all")
	write := flag.String("write", "", "file to write the page to, from the project's root: docs/performance.md")
	dir := flag.String("dir", "", "folder for homes and stores, removed at the end; empty: the system's")
	lists := flag.String("lists", "", "folder of published lists; empty: ../shared/data/lists from the project's root")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, &plan{n: *n, rounds: *rounds, lists: *lists}, *rows, *write, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, p *plan, rows, write, dir string) (err error) {
	if p.n < 300 || p.rounds < 1 {
		return errors.New("want at least 300 indicators and one share")
	}
	p.binary = os.Getenv(binaryEnv)
	if p.rows, err = readParts(rows); err != nil {
		return err
	}
	if p.root, err = projectRoot(); err != nil {
		return err
	}
	if p.lists == "" {
		p.lists = filepath.Join(p.root, "..", "shared", "data", "lists")
	}
	if write != "" && len(p.rows) > 0 {
		return errors.New("a page has all rows: give -write or -rows, not both")
	}
	if p.binary == "" {
		return isolated(ctx, p, dir)
	}
	began := time.Now()
	p.say = func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, "%5.0f s  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}
	p.dir = filepath.Dir(p.binary)
	if err := setLoopback(wideMTU, true); err != nil {
		return err
	}
	r := newReport(p, began)
	for _, part := range []struct {
		names []string
		run   func(context.Context, *plan, *report) error
	}{
		{[]string{"alone"}, runAlone},
		{[]string{"share"}, runShare},
		{[]string{"link"}, runLink},
		{[]string{"bulk", "lookup", "serve"}, runBulk},
		{[]string{"newcomer"}, runNewcomer},
		{[]string{"search"}, runSearch},
		{[]string{"lists"}, runLists},
	} {
		if !p.wants(part.names...) {
			continue
		}
		if err := part.run(ctx, p, r); err != nil {
			return fmt.Errorf("measure %s: %w", part.names[0], err)
		}
	}
	r.took = time.Since(began)
	page := r.page()
	fmt.Print(page)
	if write == "" {
		return nil
	}
	if !filepath.IsAbs(write) {
		write = filepath.Join(p.root, write)
	}
	if err := os.WriteFile(write, []byte(page), 0o644); err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	return nil
}

// parts are the names that -rows takes.
var parts = []string{"alone", "share", "link", "bulk", "lookup", "serve", "newcomer", "search", "lists"}

func readParts(text string) (map[string]bool, error) {
	out := map[string]bool{}
	for name := range strings.SplitSeq(text, ",") {
		if name == "" {
			continue
		}
		known := false
		for _, part := range parts {
			known = known || part == name
		}
		if !known {
			return nil, fmt.Errorf("row %q: want some of %s", name, strings.Join(parts, ","))
		}
		out[name] = true
	}
	return out, nil
}

// projectRoot is the folder of the product's module.
func projectRoot() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tipmesh/tipmesh").Output()
	if err != nil {
		return "", fmt.Errorf("find the project: %w", err)
	}
	return filepath.Abs(strings.TrimSpace(string(out)))
}

// isolated builds the product and runs this command again in a network of its own, so that the loopback device carries nothing else.
func isolated(ctx context.Context, p *plan, dir string) (err error) {
	work, err := os.MkdirTemp(dir, "tipmesh-bench-")
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	binary := filepath.Join(work, "tipmesh")
	build := exec.CommandContext(ctx, "go", "-C", p.root, "build", "-o", binary, "./cmd/tipmesh")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build tipmesh: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this command: %w", err)
	}
	again := exec.Command(self, os.Args[1:]...)
	again.Stdout, again.Stderr = os.Stdout, os.Stderr
	again.Env = append(os.Environ(), binaryEnv+"="+binary)
	alone(again)
	if err := again.Run(); err != nil {
		return fmt.Errorf("the run in a network of its own: %w", err)
	}
	return nil
}

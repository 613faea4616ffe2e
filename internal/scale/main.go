// Command scale simulates meshes of up to 1,000 members and writes what it sees to
// docs/scale.md and docs/scale.svg. The sync machines, their messages, statements
// and signatures are real; network, disk and gossipsub are models. See that page.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

func main() {
	seed := flag.Uint64("seed", 1, "of all chance")
	out := flag.String("out", "docs", "folder that scale.md and scale.svg go to; empty: print the table")
	small := flag.Bool("quick", false, "meshes of up to 100 nodes, and fewer entries")
	sizes := flag.String("sizes", "", "numbers of nodes in place of 10,30,100,300,1000")
	flag.Parse()
	debug.SetGCPercent(300)
	p := whole
	if *small {
		p = quick
	}
	if err := run(p, *sizes, *seed, *out); err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

func run(p plan, sizes string, seed uint64, out string) error {
	if sizes != "" {
		p.sizes = nil
		for _, s := range strings.Split(sizes, ",") {
			n, err := strconv.Atoi(s)
			if err != nil || n < 2*governors {
				return fmt.Errorf("size %q: want a number of nodes, at least %d", s, 2*governors)
			}
			p.sizes = append(p.sizes, n)
		}
	}
	began := time.Now()
	results := p.simulate(seed, func(nodes int) {
		fmt.Fprintf(os.Stderr, "%d nodes: a part done after %s\n", nodes, time.Since(began).Round(time.Second))
	})
	page := report(p, seed, results, began)
	if out == "" {
		_, err := fmt.Print(page)
		return err
	}
	for name, text := range map[string]string{"scale.md": page, "scale.svg": plot(results)} {
		if err := os.WriteFile(filepath.Join(out, name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
	}
	return nil
}

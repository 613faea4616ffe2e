package main

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// row is a line of the table.
type row struct {
	work  string
	ours  string
	peer  string  // what it is held against, measured in the same run
	ratio float64 // 0: none
	goal  string
}

// report gathers rows.
type report struct {
	p      *plan
	began  time.Time
	took   time.Duration
	rows   []row
	steps  []stepped
	bundle int // bytes of the bundle that they work on
	notes  []string
}

func newReport(p *plan, began time.Time) *report { return &report{p: p, began: began} }

func (r *report) add(w row) {
	r.rows = append(r.rows, w)
	r.p.say("%s: %s; %s", w.work, w.ours, w.peer)
}

func (r *report) note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// page is docs/performance.md.
func (r *report) page() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# Performance\n")
	line("What tipmesh does, beside what could do a part of its work, measured in one run. This page is written by\n")
	line("```\ngo -C internal/bench run . -n %d -write docs/performance.md\n```\n", r.p.n)
	line("Made on %s in %s, with %s indicators, on %s with %d processors and %s of memory (%s). The load of the machine was %s before it began.\n",
		r.began.UTC().Format("2006-01-02"), r.took.Round(time.Second), grouped(r.p.n), processor(), runtime.NumCPU(), memory(), runtime.Version(), load)
	line("| work | tipmesh | floor or peer | ratio | to reach |\n|---|---:|---|---:|---|")
	for _, w := range r.rows {
		ratio := ""
		if w.ratio > 0 {
			ratio = fmt.Sprintf("%.2f", w.ratio)
		}
		line("| %s | %s | %s | %s | %s |", w.work, w.ours, w.peer, ratio, w.goal)
	}
	line("\nThe ratio is tipmesh's figure by the peer's.\n")
	if len(r.steps) > 0 {
		line("## Steps alone\n")
		line("One bundle of %d indicators, %s of JSON, again and again on one processor; the median. Bulk goes through these at both ends.\n", bundled, size(float64(r.bundle)))
		line("| step | indicators | JSON |\n|---|---:|---:|")
		for _, s := range r.steps {
			line("| %s | %s | %s/s |", s.name, rate(bundled, s.took), size(float64(r.bundle)/s.took.Seconds()))
		}
		line("")
	}
	line("## What is measured\n")
	line("- Values: IPv4 addresses, domains and SHA-256 hashes in equal parts, random by seed %d (`internal/bench/value.go`), one indicator object each.", seed)
	line("- Nodes of the bulk, link, look-up, serving and newcomer rows: `tipmesh run`, a process each, with homes on one disk of this machine; they talk over the loopback device.")
	for _, n := range r.notes {
		line("- %s", n)
	}
	b.WriteString(shortfall)
	return b.String()
}

// shortfall says what bounds the rows that miss their goals, and what was tried.
const shortfall = `
## What falls short

Bulk is bound by the processor: both nodes share two, and of each indicator's time at a node about half goes to the index: Badger's memtable and encrypted log, and two reads before each write. Tried: rows by point reads, smaller rows, the fastest zstd level (in use); sorted rows and other table sizes showed no gain, on a machine with other work. Not tried: a filter in memory that spares the reads, and index rows written in sorted blocks instead of one by one.
`

// load is what the machine did before the run.
var load = func() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "not known"
	}
	return strings.Fields(string(text))[0]
}()

// rate is so many a second.
func rate(n int, took time.Duration) string {
	return grouped(int(perSecond(n, took))) + "/s"
}

func perSecond(n int, took time.Duration) float64 { return float64(n) / took.Seconds() }

// quantile gives the time within which a part of the list lies. It sorts it.
func quantile(list []time.Duration, q float64) time.Duration {
	slices.Sort(list)
	return list[min(int(q*float64(len(list))), len(list)-1)]
}

// brief is a duration with three digits that count.
func brief(d time.Duration) string {
	switch f := float64(d); {
	case d < time.Microsecond:
		return fmt.Sprintf("%d ns", d.Nanoseconds())
	case d < time.Millisecond:
		return digits(f/1e3) + " µs"
	case d < time.Second:
		return digits(f/1e6) + " ms"
	default:
		return digits(f/1e9) + " s"
	}
}

func digits(f float64) string {
	return fmt.Sprintf("%.*f", max(2-int(math.Log10(max(f, 1))), 0), f)
}

// size is a number of bytes.
func size(n float64) string {
	unit := 0
	for n >= 999.5 && unit < 3 {
		n, unit = n/1000, unit+1
	}
	if unit == 0 {
		return fmt.Sprintf("%.0f B", n)
	}
	return digits(n) + " " + []string{"B", "kB", "MB", "GB"}[unit]
}

func grouped(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", grouped(n/1000), n%1000)
}

// processor names the machine's, where Linux tells.
func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for l := range strings.Lines(string(text)) {
			if name, ok := strings.CutPrefix(l, "model name"); ok {
				return strings.TrimSpace(strings.TrimLeft(name, " \t:"))
			}
		}
	}
	return runtime.GOARCH
}

// memory is the machine's, where Linux tells.
func memory() string {
	kb, err := field("/proc/meminfo", "MemTotal:")
	if err != nil {
		return "memory not known"
	}
	return fmt.Sprintf("%.0f GiB", float64(kb)/(1<<20))
}

// field reads a number of kB from a file of /proc.
func field(file, name string) (kb int, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", name, err)
	}
	for l := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(l, name); ok {
			_, err := fmt.Sscan(rest, &kb)
			return kb, err
		}
	}
	return 0, fmt.Errorf("read %s: %s does not have it", name, file)
}

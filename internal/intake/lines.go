package intake

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/tipmesh/tipmesh/internal/observable"
)

// sample is how many lines are looked at to tell a list from a text.
const sample = 2000

func readText(name, text string, limit int) (*Batch, error) {
	// Room for as many values as there are lines, within reason: growing the map is a quarter of the time.
	lines := min(strings.Count(text, "\n"), 1<<17)
	c := &collector{name: name, max: limit, seen: make(map[observable.Value]int, lines)}
	c.b.Found = make(map[string]int)
	switch strings.ToLower(filepath.Ext(name)) {
	case ".md", ".markdown", ".adoc", ".asciidoc", ".mdown":
		c.b.Format = FormatMarkdown
		c.text(text)
	default:
		if isList(text) {
			c.b.Format = FormatList
			c.list(text)
		} else {
			c.b.Format = FormatText
			c.text(text)
		}
	}
	if c.err != nil {
		return nil, c.err
	}
	return &c.b, nil
}

// isList tells whether most lines that are not empty and no comment hold one token that is a value.
func isList(text string) bool {
	lines, values := 0, 0
	for len(text) > 0 && lines < sample {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		if line = content(line); line == "" {
			continue
		}
		lines++
		if strings.ContainsAny(line, " \t") {
			continue
		}
		if _, err := observable.Parse(line); err == nil {
			values++
		}
	}
	return values*2 > lines
}

// content takes blanks and comments off a line of a list: #, ; and // at its begin, and after a blank.
func content(line string) string {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' || line[0] == ';' || strings.HasPrefix(line, "//") {
		return ""
	}
	for _, mark := range []string{" #", "\t#", " ;", "\t;", " //", "\t//"} {
		if i := strings.Index(line, mark); i >= 0 {
			line = strings.TrimSpace(line[:i])
		}
	}
	return line
}

// collector gathers values, each once.
type collector struct {
	name string
	b    Batch
	max  int
	seen map[observable.Value]int // line of the first
	err  error
}

func (c *collector) full(line int) bool {
	if len(c.b.Values)+len(c.b.LeftOut) < c.max {
		return false
	}
	c.err = c.tooMany(line)
	return true
}

func (c *collector) tooMany(line int) error {
	return &InputError{File: c.name, Line: line, Reason: "too_large",
		Text: fmt.Sprintf("more than %d values", c.max), Hint: "split it"}
}

func (c *collector) take(v observable.Value, line int) {
	c.seen[v] = line
	c.b.Values = append(c.b.Values, Item{v, line})
	c.b.Found[string(v.Type)]++
}

func (c *collector) leave(l LeftOut) { c.b.LeftOut = append(c.b.LeftOut, l) }

// list reads one value a line.
func (c *collector) list(text string) {
	for n := 1; len(text) > 0; n++ {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		if line = content(line); line == "" {
			continue
		}
		if c.full(n) {
			return
		}
		v, err := observable.Parse(line)
		switch {
		case err == nil:
			c.listed(v, n)
		case strings.ContainsAny(line, " \t"):
			c.words(line, n)
		default:
			c.leave(LeftOut{Value: clip(line), Line: n, Reason: "malformed", Text: err.Error(), Refused: true})
		}
	}
}

// listed takes a value that stands in a list, unless it must not be shared or is there already.
func (c *collector) listed(v observable.Value, line int) {
	if first, ok := c.seen[v]; ok {
		c.leave(LeftOut{Value: v.Defanged(), Line: line, Reason: "duplicate", Text: "same as line " + itoa(first)})
		return
	}
	if why := v.Special(); why != "" {
		if r, ok := v.Reversed(); ok {
			why += "; reversed it is " + r.Defanged() + ". Meant?"
		}
		c.leave(LeftOut{Value: v.Defanged(), Line: line, Reason: "not_actionable", Text: why, Refused: true})
		return
	}
	c.take(v, line)
}

// words reads a line of a list that is more than a value: "1.2.3.4 some words", a hosts file's "0.0.0.0 name",
// or a heading.
func (c *collector) words(line string, n int) {
	any := false
	for _, f := range observable.Extract(line) {
		if f.LeftOut == "" {
			any = true
			c.listed(f.Value, n)
		}
	}
	if !any {
		c.leave(LeftOut{Value: clip(line), Line: n, Reason: "malformed", Text: "words, and no value among them"})
	}
}

// text takes the values of free text; what is left out is told once, and not at all if it is taken elsewhere.
func (c *collector) text(text string) {
	found, all := observable.ExtractAtMost(text, c.max)
	if !all {
		c.err = c.tooMany(found[len(found)-1].Line)
		return
	}
	for _, f := range found {
		if _, ok := c.seen[f.Value]; f.LeftOut == "" && !ok {
			c.take(f.Value, f.Line)
		}
	}
	told := map[string]bool{}
	for _, f := range found {
		if f.LeftOut == "" {
			continue
		}
		shown := clip(f.Raw)
		if f.Value.Type != "" {
			shown = f.Value.Defanged()
			if _, ok := c.seen[f.Value]; ok {
				continue
			}
		}
		if told[shown] {
			continue
		}
		told[shown] = true
		c.leave(LeftOut{Value: shown, Line: f.Line, Reason: f.LeftOut, Text: f.Why})
	}
}

// clip shortens what a message quotes.
func clip(s string) string {
	if len(s) <= 120 {
		return s
	}
	return strings.ToValidUTF8(s[:117], "") + "..."
}

func itoa(n int) string { return strconv.Itoa(n) }

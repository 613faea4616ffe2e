package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tipmesh/tipmesh/internal/api"
)

// listed is how many lines of a long list a person is shown.
const listed = 10

// client gives a client for the node of the home.
func (g *GlobalOptions) client() (*api.Client, error) {
	dir, err := g.home()
	if err != nil {
		return nil, err
	}
	return api.NewClient(dir), nil
}

// withClient runs f with a client for the node of the home.
func (g *GlobalOptions) withClient(f func(*api.Client) error) error {
	c, err := g.client()
	if err != nil {
		return err
	}
	defer c.Close()
	return f(c)
}

// names lists members by handle.
func names(list []api.Name) string {
	if len(list) == 0 {
		return "nobody"
	}
	out := make([]string, len(list))
	for i, n := range list {
		out[i] = clean(n.Name)
	}
	return strings.Join(out, ", ")
}

// nameOf gives a member's handle, or ID where it has none.
func nameOf(n *api.Name) string {
	switch {
	case n == nil:
		return "-"
	case n.Name != "":
		return clean(n.Name)
	}
	return cut(n.ID, 10)
}

func leftOutLine(l api.LeftOut) string {
	at := ""
	if l.Line > 0 {
		at = fmt.Sprintf("line %d  ", l.Line)
	}
	line := fmt.Sprintf("%s%-28s  ", at, cut(clean(l.Value), 40))
	text := strings.Fields(clean(l.Text))
	if indent := utf8.RuneCountInString(line) + 2; indent+len(strings.Join(text, " ")) <= 80 {
		return line + strings.Join(text, " ")
	}
	return strings.TrimRight(line, " ") + "\n      " + wrap(text, "", 80, 6)
}

// moment reads a point in time as a flag has it: RFC 3339, a date, or a duration
// from now.
func moment(text string, now time.Time, past bool) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	d, err := duration(text)
	if err != nil {
		return time.Time{}, fail(api.CodeInvalid, "", "%q is no time: want 2018-05-23, 2018-05-23T13:00:00Z or a duration as 14d", text)
	}
	if past {
		d = -d
	}
	return now.Add(d).UTC(), nil
}

// duration reads 90s, 15m, 48h, 14d.
func duration(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseFloat(days, 64)
		if err == nil && n >= 0 && n < 36500 {
			return time.Duration(n * 24 * float64(time.Hour)), nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fail(api.CodeInvalid, "", "%q is no duration: want 90s, 15m, 48h or 14d", text)
	}
	return d, nil
}

// durationFlag is a flag that also takes days.
type durationFlag time.Duration

func (d *durationFlag) String() string {
	if *d == 0 {
		return ""
	}
	return time.Duration(*d).String()
}

func (d *durationFlag) Set(s string) error {
	v, err := duration(s)
	*d = durationFlag(v)
	return err
}

func (d *durationFlag) Type() string { return "duration" }

// progress tells a person what is going on once it takes longer than a second.
// The function it gives ends it.
func (g *GlobalOptions) progress(ctx context.Context, what func() string) (stop func()) {
	if g.Quiet || g.JSON {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		terminal := g.terminal(g.stderr)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for n := 1; ; n++ {
			select {
			case <-ctx.Done():
				if terminal && n > 1 {
					fmt.Fprint(g.stderr, "\r\x1b[K")
				}
				return
			case <-tick.C:
			}
			switch {
			case terminal:
				fmt.Fprintf(g.stderr, "\r\x1b[K%s  %d s", what(), n)
			case n == 1 || n%10 == 0:
				fmt.Fprintf(g.stderr, "%s  %d s\n", what(), n)
			}
		}
	}()
	return func() { cancel(); <-done }
}

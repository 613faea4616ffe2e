package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// line is a line of the story as scripts see it.
type line struct {
	Kind   string   `json:"kind"` // demo
	Act    int      `json:"act"`
	T      float64  `json:"t_s"`
	Member string   `json:"member"`
	What   string   `json:"what"`
	Text   string   `json:"text"`
	Took   *float64 `json:"took_s,omitempty"`
	OK     bool     `json:"ok"`
	Facts  any      `json:"facts,omitempty"`
}

// Summary ends the story.
type Summary struct {
	Kind       string   `json:"kind"` // summary
	Members    int      `json:"members"`
	Indicators int      `json:"indicators"`
	Entries    int      `json:"entries"`
	Shares     int      `json:"shares"`
	Objects    int      `json:"objects"` // acknowledged,
	Lost       int      `json:"lost"`    // and of these not held by one of their readers
	Forks      int      `json:"forks"`
	Refused    int      `json:"refused"`
	Failed     []string `json:"failed"`
	TookS      float64  `json:"took_s"`
	Home       string   `json:"home,omitempty"`
}

// teller prints the story and keeps what was not as told.
type teller struct {
	o      Options
	begun  time.Time
	act    int
	failed []string
	in     *bufio.Reader
}

// plain prints a line for people only.
func (t *teller) plain(format string, args ...any) {
	if !t.o.JSON {
		fmt.Fprintf(t.o.Out, format+"\n", args...)
	}
}

// begin starts an act.
func (t *teller) begin(ctx context.Context, act int, title string) error {
	if t.o.Step && act > 1 && t.o.In != nil {
		t.plain("\n[Enter]")
		if t.in == nil {
			t.in = bufio.NewReader(t.o.In)
		}
		if _, err := t.in.ReadString('\n'); err != nil {
			return fmt.Errorf("wait for Enter: %w", err)
		}
	}
	t.act = act
	t.plain("\n%s", t.o.bold(fmt.Sprintf("%d  %s", act, title)))
	return ctx.Err()
}

// fact is something the story says, and whether it was so.
type fact struct {
	member string
	what   string // a word for scripts
	text   string
	right  string // what stands at the end of the line
	took   time.Duration
	ok     bool
	facts  any
	quiet  bool // no time in front
}

// tell prints a fact. One that is not so fails the demo and says so.
func (t *teller) tell(ctx context.Context, f fact) error {
	now := time.Since(t.begun)
	if !f.ok {
		t.failed = append(t.failed, fmt.Sprintf("act %d: %s %s: %s", t.act, f.member, f.what, f.text))
	}
	if t.o.JSON {
		l := line{Kind: "demo", Act: t.act, T: now.Seconds(), Member: f.member, What: f.what, Text: f.text, OK: f.ok, Facts: f.facts}
		if f.took > 0 {
			s := f.took.Seconds()
			l.Took = &s
		}
		if err := t.json(l); err != nil {
			return err
		}
		return ctx.Err()
	}
	at := fmt.Sprintf("%02d:%02d", int(now.Minutes()), int(now.Seconds())%60)
	if f.quiet {
		at = "     "
	}
	right := f.right
	if f.took > 0 {
		right = strings.TrimSpace(right + "   " + fmt.Sprintf("%.1f s", f.took.Seconds()))
	}
	if !f.ok {
		right = "NOT SO"
	}
	left := fmt.Sprintf("%s  %-6s %s", at, f.member, f.text)
	if len(f.member) > 6 {
		left = fmt.Sprintf("%s  %s  %s", at, f.member, f.text)
	}
	if room := 78 - len(left) - len(right); right != "" && room < 1 {
		t.plain("%s\n%78s", left, right)
	} else {
		t.plain("%s", strings.TrimRight(left+strings.Repeat(" ", max(1, room))+right, " "))
	}
	return t.pause(ctx, 1200*time.Millisecond)
}

func (t *teller) json(v any) error {
	e := json.NewEncoder(t.o.Out)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// pause gives people time to read.
func (t *teller) pause(ctx context.Context, d time.Duration) error {
	if t.o.JSON {
		d = 0
	}
	d = time.Duration(float64(d) * t.o.Pace)
	if d <= 0 {
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

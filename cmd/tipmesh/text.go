package main

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tipmesh/tipmesh/internal/observable"
)

// clean takes out of a text what could move a terminal's cursor, hide text or
// reorder it. Everything that comes from others passes through it.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case r == utf8.RuneError, unicode.IsControl(r), unicode.Is(unicode.Cf, r), r == '\u2028', r == '\u2029':
			return -1
		}
		return r
	}, s)
}

// shown gives a value as a person should see it: defanged unless asked
// otherwise.
func (g *GlobalOptions) shown(value string) string {
	if g.Live {
		return clean(value)
	}
	return clean(observable.Defang(value))
}

// cut shortens a text to n runes, with two dots for what is missing.
func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	r := []rune(s)
	return string(r[:max(0, n-2)]) + ".."
}

// columns is how wide a terminal shows a text: East Asian letters take two.
func columns(s string) int {
	n := 0
	for _, r := range s {
		n++
		if unicode.In(r, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana) || r >= 0xFF01 && r <= 0xFF60 {
			n++
		}
	}
	return n
}

// table prints rows under a heading, columns two blanks apart. The last column
// is not padded.
func (g *GlobalOptions) table(w io.Writer, head []string, rows [][]string) {
	width := make([]int, len(head))
	for _, row := range append([][]string{head}, rows...) {
		for i, c := range row {
			width[i] = max(width[i], columns(c))
		}
	}
	line := func(row []string) string {
		var b strings.Builder
		for i, c := range row {
			b.WriteString(c)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", width[i]-columns(c)+2))
			}
		}
		return strings.TrimRight(b.String(), " ")
	}
	fmt.Fprintln(w, g.bold(line(head)))
	for _, row := range rows {
		fmt.Fprintln(w, line(row))
	}
}

// bold marks a heading where a terminal shows it.
func (g *GlobalOptions) bold(s string) string {
	if !g.terminal(g.stdout) || g.getenv("NO_COLOR") != "" || g.getenv("TERM") == "dumb" {
		return s
	}
	return "\x1b[1m" + s + "\x1b[0m"
}

// fold breaks a sentence that is wider than a terminal. What has columns of its
// own stays as it is.
func fold(line string) string {
	text := strings.TrimLeft(line, " ")
	if columns(line) <= 80 || strings.Contains(text, "  ") || strings.Contains(text, "\n") {
		return line
	}
	indent := len(line) - len(text)
	return strings.Repeat(" ", indent) + wrap(strings.Fields(text), "", 80, indent)
}

// wrap breaks words into lines of at most width, each after the first with the
// indent before it.
func wrap(words []string, sep string, width, indent int) string {
	var b strings.Builder
	at := indent
	for i, w := range words {
		if i < len(words)-1 {
			w += sep
		}
		switch {
		case i == 0:
		case at+1+len(w) > width:
			line := strings.TrimRight(b.String(), " ")
			b.Reset()
			b.WriteString(line + "\n" + strings.Repeat(" ", indent))
			at = indent
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(w)
		at += len(w)
	}
	return b.String()
}

// grouped writes a number with commas between thousands.
func grouped[N ~int | ~int64 | ~uint64](n N) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// plural writes a number and its noun.
func plural[N ~int | ~int64 | ~uint64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(n) + " " + many
}

// bytesText writes a size.
func bytesText(n uint64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%d KB", n>>10)
	case n < 10<<30:
		return fmt.Sprintf("%d MB", n>>20)
	}
	return fmt.Sprintf("%d GB", n>>30)
}

// lasting writes a duration as people say it.
func lasting(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d m", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d m", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d d %d h", int(d.Hours())/24, int(d.Hours())%24)
}

// day and minute write times, always UTC.
func day(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02")
}

func minute(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("01-02 15:04")
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

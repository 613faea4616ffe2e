package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/tipmesh/tipmesh/internal/api"
)

// GlobalOptions are the flags of every command, and where it reads and writes.
type GlobalOptions struct {
	Home           string
	JSON           bool
	Quiet          bool
	Yes            bool
	DryRun         bool
	Live           bool
	PassphraseFile string

	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	getenv func(string) string
	lines  *bufio.Reader // of stdin, for answers

	previewed []string // lines that --dry-run --json answers with
	printed   bool     // a JSON line was
}

func (g *GlobalOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&g.Home, "home", "", "the node's home `folder`; see tipmesh --help")
	f.BoolVar(&g.JSON, "json", false, "answer with one JSON object a line")
	f.BoolVarP(&g.Quiet, "quiet", "q", false, "say less on standard error")
	f.BoolVarP(&g.Yes, "yes", "y", false, "do not ask; preview, rules, words are agreed")
	f.BoolVar(&g.DryRun, "dry-run", false, "show what would be done, and do nothing")
	f.BoolVar(&g.Live, "live", false, "print values as they are, not defanged")
	f.StringVar(&g.PassphraseFile, "passphrase-file", "", "`file` with the passphrase of the keys")
}

// home gives the home folder.
func (g *GlobalOptions) home() (string, error) {
	if g.Home != "" {
		return g.Home, nil
	}
	if h := g.getenv("TIPMESH_HOME"); h != "" {
		return h, nil
	}
	if h := g.getenv("XDG_DATA_HOME"); h != "" {
		return filepath.Join(h, "tipmesh"), nil
	}
	h, err := os.UserHomeDir()
	if err != nil {
		return "", fail(api.CodeInvalid, "name it with --home", "no home folder: %v", err)
	}
	return filepath.Join(h, ".tipmesh"), nil
}

// hereStarts are how a hint begins that names a command to run for this home.
var hereStarts = []string{"tipmesh ", "see tipmesh ", "start one: tipmesh ", "start it with tipmesh "}

// here puts the home into a command of a hint, where --home named it: without
// that the command would be for another home.
func (g *GlobalOptions) here(text string) string {
	if g.Home == "" || strings.Contains(text, " --help") || strings.HasPrefix(text, "tipmesh card sign ") || strings.Contains(text, "or tipmesh ") {
		return text
	}
	for _, start := range hereStarts {
		if rest, ok := strings.CutPrefix(text, start); ok && rest != "help" {
			return start + "--home " + shellWord(g.Home) + " " + rest
		}
	}
	return text
}

// shellWord quotes a word for a shell, where it must be.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+@%,:=", r)
	}
	if strings.TrimLeftFunc(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// passphrase reads the keys' passphrase, nil where there is none.
func (g *GlobalOptions) passphrase() ([]byte, error) {
	if g.PassphraseFile == "" {
		return nil, nil
	}
	raw, err := os.ReadFile(g.PassphraseFile)
	if err != nil {
		return nil, fail(api.CodeInvalid, "", "read passphrase: %v", err)
	}
	raw = []byte(strings.TrimRight(string(raw), "\r\n"))
	if len(raw) == 0 {
		return nil, fail(api.CodeInvalid, "", "the passphrase file %s is empty", g.PassphraseFile)
	}
	return raw, nil
}

// terminal reports whether a stream is a person's terminal.
func (g *GlobalOptions) terminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// print writes one JSON line of an answer.
func (g *GlobalOptions) print(v any) error {
	g.printed = true
	e := json.NewEncoder(g.stdout)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// sayf writes a line of an answer for a person.
func (g *GlobalOptions) sayf(format string, args ...any) {
	fmt.Fprintf(g.stdout, format+"\n", args...)
}

// notef writes a line that is no part of the answer.
func (g *GlobalOptions) notef(format string, args ...any) {
	if !g.Quiet {
		fmt.Fprintf(g.stderr, format+"\n", args...)
	}
}

// ask asks a yes-or-no question. Without a terminal and without --yes it is an
// error, never a hang.
func (g *GlobalOptions) ask(question string) (bool, error) {
	answer, err := g.askText(question + " [y/N] ")
	if err != nil {
		return false, err
	}
	answer = strings.ToLower(answer)
	return answer == "y" || answer == "yes", nil
}

// askText asks for a line.
func (g *GlobalOptions) askText(question string) (string, error) {
	if !g.terminal(g.stdin) {
		return "", fail(api.CodeInvalid, "add --yes, or --dry-run to see only the preview",
			"there is no terminal to ask: %q", strings.TrimSpace(question))
	}
	fmt.Fprint(g.stderr, question)
	if g.lines == nil {
		g.lines = bufio.NewReader(g.stdin)
	}
	line, err := g.lines.ReadString('\n')
	if err != nil {
		return "", fail(api.CodeInvalid, "", "no answer: %v", err)
	}
	return strings.TrimSpace(line), nil
}

// confirm ends a preview: it tells whether to go on. With --dry-run it never
// does, and says nothing.
func (g *GlobalOptions) confirm(question string) (bool, error) {
	switch {
	case g.DryRun:
		return false, nil
	case g.Yes:
		return true, nil
	case g.JSON: // what is asked about was not shown
		return false, fail(api.CodeInvalid, "look with --dry-run --json, then add --yes", "with --json nothing is asked")
	}
	ok, err := g.ask(question)
	if err == nil && !ok {
		g.notef("Nothing was done.")
		return false, exitOnly(api.ExitNothing)
	}
	return ok, err
}

// previewJSON answers --dry-run --json where a command has nothing more exact.
type previewJSON struct {
	Kind   string   `json:"kind"` // preview
	Lines  []string `json:"lines"`
	DryRun bool     `json:"dry_run"`
}

// sayPreview answers --dry-run --json, if nothing has yet.
func (g *GlobalOptions) sayPreview() error {
	if !g.DryRun || !g.JSON || g.printed || len(g.previewed) == 0 {
		return nil
	}
	return g.print(previewJSON{Kind: "preview", Lines: g.previewed, DryRun: true})
}

// preview writes a line of a preview: to standard error, since it is not the
// answer, unless --dry-run makes it the answer.
func (g *GlobalOptions) previewf(format string, args ...any) {
	switch {
	case g.DryRun && g.JSON:
		g.previewed = append(g.previewed, fmt.Sprintf(format, args...))
	case g.DryRun:
		g.sayf("%s", fold(fmt.Sprintf(format, args...)))
	case !g.Yes || !g.Quiet:
		if !g.JSON {
			fmt.Fprintf(g.stderr, "%s\n", fold(fmt.Sprintf(format, args...)))
		}
	}
}

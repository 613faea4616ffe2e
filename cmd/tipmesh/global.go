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
	}
	ok, err := g.ask(question)
	if err == nil && !ok {
		g.notef("Nothing was done.")
		return false, exitOnly(api.ExitNothing)
	}
	return ok, err
}

// preview writes a line of a preview: to standard error, since it is not the
// answer, unless --dry-run makes it the answer.
func (g *GlobalOptions) previewf(format string, args ...any) {
	switch {
	case g.DryRun && !g.JSON:
		g.sayf(format, args...)
	case !g.Yes || !g.Quiet:
		if !g.JSON {
			fmt.Fprintf(g.stderr, format+"\n", args...)
		}
	}
}

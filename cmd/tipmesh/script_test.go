package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"tipmesh": func() { os.Exit(realMain()) }})
}

// patience bounds whatever a script waits for.
const patience = 60 * time.Second

func TestScript(t *testing.T) {
	data := dataFolder()
	golden, err := filepath.Abs(filepath.Join("testdata", "golden"))
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("TIPMESH_DATA", data)
			env.Setenv("NO_COLOR", "1")
			long := strings.Repeat(strings.Repeat("long", 12)+"/", 4) + "home"
			env.Setenv("LONG", long)
			env.Values[daemonsKey{}] = newDaemons(env)
			env.Values[goldenKey{}] = golden
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond != "data" {
				return false, fmt.Errorf("unknown condition %s", cond)
			}
			if data == "" && os.Getenv("TIPMESH_REQUIRE") == "1" {
				return false, fmt.Errorf("the data folder is absent: name it with TIPMESH_DATA")
			}
			return data != "", nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"start": cmdStart, "halt": cmdHalt, "kill9": cmdKill9, "mesh": cmdMesh,
			"json": cmdJSON, "shareloop": cmdShareLoop, "foundall": cmdFoundAll, "golden": cmdGolden, "make": cmdMake,
			"exits": cmdExits, "try": cmdTry, "glob": cmdGlob, "eventually": cmdEventually, "await": cmdAwait, "awaitgroup": cmdAwaitGroup, "cutoff": cmdCutOff, "joinstart": cmdJoinStart, "joinwait": cmdJoinWait,
			"samewords": cmdSameWords, "fill": cmdFill, "stranger": cmdStranger, "spoil": cmdSpoil, "applied": cmdApplied,
		},
	})
}

// dataFolder finds the folder of published intelligence: TIPMESH_DATA, else
// shared/data beside the repository. Empty where it is absent.
func dataFolder() string {
	if d := os.Getenv("TIPMESH_DATA"); d != "" {
		return d
	}
	dir, err := os.Getwd()
	if err != nil {
		return ""
	}
	for {
		d := filepath.Join(dir, "shared", "data")
		if _, err := os.Stat(filepath.Join(d, "EXPECTED.json")); err == nil {
			return d
		}
		up := filepath.Dir(dir)
		if up == dir {
			return ""
		}
		dir = up
	}
}

type daemonsKey struct{}

// daemons are the nodes that a script has started, by name.
type daemons struct {
	mu   sync.Mutex
	by   map[string]*daemon
	loop sync.WaitGroup
}

type daemon struct {
	cmd  *exec.Cmd
	log  *os.File
	done chan struct{}
	err  error
}

func newDaemons(env *testscript.Env) *daemons {
	d := &daemons{by: map[string]*daemon{}}
	env.Defer(func() {
		d.mu.Lock()
		for _, x := range d.by {
			x.cmd.Process.Kill()
			<-x.done
		}
		d.mu.Unlock()
		d.loop.Wait()
	})
	return d
}

func daemonsOf(ts *testscript.TestScript) *daemons { return ts.Value(daemonsKey{}).(*daemons) }

// program gives a command that runs tipmesh as the script would.
func program(ts *testscript.TestScript, args ...string) *exec.Cmd {
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		path := filepath.Join(dir, "tipmesh")
		if _, err := os.Stat(path); err == nil {
			cmd := exec.Command(path, args...)
			cmd.Dir = ts.MkAbs(".")
			cmd.Env = append(os.Environ(), "HOME="+ts.Getenv("HOME"), "NO_COLOR=1")
			return cmd
		}
	}
	ts.Fatalf("tipmesh is not in PATH")
	return nil
}

// cmdStart: start NAME [ARG...] runs the node of home NAME and waits until it
// says that it is ready. Its log is NAME.log.
func cmdStart(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: start NAME [ARG...]")
	}
	name := args[0]
	cmd := program(ts, append([]string{"--home", name, "run", "--json", "--listen", "127.0.0.1:0"}, args[1:]...)...)
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	logFile, err := os.OpenFile(ts.MkAbs(name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	ts.Check(err)
	cmd.Stderr = logFile
	ts.Check(cmd.Start())
	d := &daemon{cmd: cmd, log: logFile, done: make(chan struct{})}
	ready := make(chan string, 1)
	go func() {
		sc := bufio.NewScanner(out)
		for sc.Scan() {
			if strings.Contains(sc.Text(), `"kind":"ready"`) {
				ready <- sc.Text()
			}
		}
		d.err = cmd.Wait()
		logFile.Close()
		close(d.done)
	}()
	ds := daemonsOf(ts)
	ds.mu.Lock()
	ds.by[name] = d
	ds.mu.Unlock()
	select {
	case line := <-ready:
		ts.Check(os.WriteFile(ts.MkAbs(name+".ready"), []byte(line+"\n"), 0o644))
		var r struct {
			Addresses []string `json:"addresses"`
		}
		ts.Check(json.Unmarshal([]byte(line), &r))
		if len(r.Addresses) > 0 {
			ts.Setenv(name+"_addr", r.Addresses[0])
		}
	case <-d.done:
		ts.Fatalf("%s ended before it was ready: %v\n%s", name, d.err, ts.ReadFile(name+".log"))
	case <-time.After(patience):
		ts.Fatalf("%s is not ready after %v\n%s", name, patience, ts.ReadFile(name+".log"))
	}
}

func (d *daemons) take(ts *testscript.TestScript, name string) *daemon {
	d.mu.Lock()
	defer d.mu.Unlock()
	x := d.by[name]
	if x == nil {
		ts.Fatalf("%s does not run", name)
	}
	delete(d.by, name)
	return x
}

// cmdHalt: halt NAME... ends nodes as a service manager does; they must end
// with exit code 0.
func cmdHalt(ts *testscript.TestScript, neg bool, args []string) {
	var list []*daemon
	for _, name := range args {
		x := daemonsOf(ts).take(ts, name)
		ts.Check(x.cmd.Process.Signal(syscall.SIGTERM))
		list = append(list, x)
	}
	for i, x := range list {
		select {
		case <-x.done:
			if x.err != nil {
				ts.Fatalf("%s did not stop cleanly: %v\n%s", args[i], x.err, ts.ReadFile(args[i]+".log"))
			}
		case <-time.After(patience):
			x.cmd.Process.Kill()
			ts.Fatalf("%s does not stop", args[i])
		}
	}
}

// cmdKill9: kill9 NAME kills a node at once.
func cmdKill9(ts *testscript.TestScript, neg bool, args []string) {
	for _, name := range args {
		x := daemonsOf(ts).take(ts, name)
		ts.Check(x.cmd.Process.Kill())
		<-x.done
	}
}

// tipmesh runs a command to its end and gives what it answered.
func tipmesh(ts *testscript.TestScript, args ...string) (stdout string, code int) {
	cmd := program(ts, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if _, ok := err.(*exec.ExitError); err != nil && !ok {
		ts.Check(err)
	}
	if cmd.ProcessState.ExitCode() != 0 {
		ts.Logf("tipmesh %s: exit %d: %s", strings.Join(args, " "), cmd.ProcessState.ExitCode(), errs.String())
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// cmdMesh: mesh FOUNDER MEMBER... makes a mesh of real processes in homes of
// these names, all running and in step.
func cmdMesh(ts *testscript.TestScript, neg bool, args []string) {
	must := func(args ...string) {
		if _, code := tipmesh(ts, args...); code != 0 {
			ts.Fatalf("tipmesh %s: exit code %d", strings.Join(args, " "), code)
		}
	}
	who := func(name string) []string {
		return []string{"--member", strings.ToUpper(name[:1]) + name[1:] + " Ltd", "--handle", name, "--contact", "cert@" + name + ".example", "--yes"}
	}
	founder := args[0]
	must(append([]string{"--home", founder, "create", "Harbour Alliance", "--epoch-wait", "200ms"}, who(founder)...)...)
	cmdStart(ts, false, []string{founder})
	for _, name := range args[1:] {
		must("--home", founder, "invite", "--out", name+".ticket", "--admit", "--yes")
		must(append([]string{"--home", name, "join", name + ".ticket", "--timeout", "60s", "--listen", "127.0.0.1:0"}, who(name)...)...)
		cmdStart(ts, false, []string{name})
	}
	for _, name := range args {
		must("--home", name, "status", "--until", fmt.Sprintf("members=%d", len(args)), "--timeout", "60s")
		must("--home", name, "status", "--until", "in-step", "--timeout", "60s")
	}
}

// cmdJSON: json KIND PATH [VALUE] looks at the JSON lines of the last stdout:
// at least one (with !, none) of the kind has at PATH (a.b.0, or a.# for a
// length) the value, a regular expression that must match the whole of it.
// Without a value the path must be there. json KIND PATH > NAME sets a variable.
func cmdJSON(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: json KIND PATH [VALUE | > NAME]")
	}
	text := ts.ReadFile("stdout")
	if args[0] == "error" {
		text = ts.ReadFile("stderr")
	}
	var seen []string
	for line := range strings.Lines(text) {
		var v map[string]any
		d := json.NewDecoder(strings.NewReader(line))
		d.UseNumber()
		if err := d.Decode(&v); err != nil && args[0] != "error" {
			ts.Fatalf("not JSON: %s", line)
		}
		if v["kind"] != args[0] {
			continue
		}
		got, ok := at(v, args[1])
		if !ok {
			continue
		}
		seen = append(seen, got)
	}
	if len(args) == 4 && args[2] == ">" {
		if len(seen) == 0 {
			ts.Fatalf("no %s of kind %s in:\n%s", args[1], args[0], text)
		}
		ts.Setenv(args[3], seen[0])
		return
	}
	found := len(seen) > 0
	if len(args) > 2 {
		re, err := regexp.Compile("^(?:" + args[2] + ")$")
		ts.Check(err)
		found = false
		for _, s := range seen {
			found = found || s == args[2] || re.MatchString(s)
		}
	}
	if found == neg {
		ts.Fatalf("json %s: %q in\n%s", strings.Join(args, " "), seen, text)
	}
}

// at follows a path into a JSON value and writes what is there.
func at(v any, path string) (string, bool) {
	if path != "" {
		head, rest, _ := strings.Cut(path, ".")
		switch x := v.(type) {
		case map[string]any:
			if head == "#" {
				return fmt.Sprint(len(x)), true
			}
			inner, ok := x[head]
			if !ok {
				return "", false
			}
			return at(inner, rest)
		case []any:
			if head == "#" {
				return fmt.Sprint(len(x)), true
			}
			var i int
			if _, err := fmt.Sscan(head, &i); err != nil || i >= len(x) {
				return "", false
			}
			return at(x[i], rest)
		}
		return "", false
	}
	if s, ok := v.(string); ok {
		return s, true
	}
	raw, err := json.Marshal(v)
	return string(raw), err == nil
}

// cmdShareLoop: shareloop HOME FILE COUNT shares one value after the other at
// home's node and writes every acknowledged one to FILE, until the node is
// gone. It returns once COUNT are acknowledged, and goes on meanwhile.
func cmdShareLoop(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: shareloop HOME FILE COUNT")
	}
	var count int
	_, err := fmt.Sscan(args[2], &count)
	ts.Check(err)
	out, err := os.Create(ts.MkAbs(args[1]))
	ts.Check(err)
	enough := make(chan struct{})
	failed := make(chan string, 1)
	d := daemonsOf(ts)
	d.loop.Add(1)
	go func() {
		defer d.loop.Done()
		defer out.Close()
		for i := range 5000 {
			value := fmt.Sprintf("loop%04d.kill-nine.com", i)
			cmd := program(ts, "--home", args[0], "share", value, "--to", "everyone", "--yes", "--json")
			raw, err := cmd.Output()
			if err == nil && bytes.Contains(raw, []byte(`"durable":true`)) {
				fmt.Fprintln(out, value)
			} else if i < count {
				failed <- fmt.Sprintf("share %s: %v %s", value, err, raw)
				return
			} else {
				return
			}
			if i == count-1 {
				close(enough)
			}
		}
	}()
	select {
	case <-enough:
	case why := <-failed:
		ts.Fatalf("shareloop: %s", why)
	case <-time.After(patience):
		ts.Fatalf("shareloop: not %d shares in %v", count, patience)
	}
}

// cmdFoundAll: foundall HOME FILE looks all values of FILE up at home's node and
// wants every one known. It first waits for shareloop to end.
func cmdFoundAll(ts *testscript.TestScript, neg bool, args []string) {
	daemonsOf(ts).loop.Wait()
	want := strings.Fields(ts.ReadFile(args[1]))
	out, _ := tipmesh(ts, "--home", args[0], "lookup", "-f", args[1], "--json")
	known := map[string]bool{}
	for line := range strings.Lines(out) {
		var f struct {
			Kind, Value, Verdict string
		}
		ts.Check(json.Unmarshal([]byte(line), &f))
		if f.Kind == "finding" && (f.Verdict == "malicious" || f.Verdict == "suspicious") {
			known[f.Value] = true
		}
	}
	var missing []string
	for _, v := range want {
		if !known[v] {
			missing = append(missing, v)
		}
	}
	if len(want) == 0 || len(missing) > 0 {
		ts.Fatalf("of %d acknowledged, %d are missing: %v", len(want), len(missing), missing)
	}
	ts.Logf("all %d acknowledged found", len(want))
}

// What differs from run to run in an answer, and what stands for it.
var variable = []struct {
	re   *regexp.Regexp
	mark string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z`), "TIME"},
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "UUID"},
	{regexp.MustCompile(`\b12D3[A-Za-z0-9]+|[0-9a-f]{64,}`), "ID"},
	{regexp.MustCompile(`"([a-z-]+):[0-9a-z]{5,8}"`), `"$1:REF"`},
	{regexp.MustCompile(`"(took_s|disk_s|uptime_s|skew_s|bytes|used_bytes|marks|searched)":[-0-9.e+]+`), `"$1":0`},
	{regexp.MustCompile(`"by":"[^"]+"`), `"by":"USER"`},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "ADDRESS"},
}

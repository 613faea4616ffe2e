package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/node/transport"
	"github.com/tipmesh/tipmesh/protocol"
)

// cmdExits: exits CODE tipmesh ARG... runs tipmesh and wants this exit code.
// stdout and stderr are those of the command.
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	code := 0
	if exit, ok := err.(*exec.ExitError); ok {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d\n%s%s", code, want, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
}

// cmdTry: try PROGRAM ARG... runs it, whatever its exit code.
func cmdTry(ts *testscript.TestScript, neg bool, args []string) {
	if err := ts.Exec(args[0], args[1:]...); err != nil {
		ts.Logf("%v", err)
	}
}

// cmdEventually: eventually CODE PROGRAM ARG... runs it until it ends with this
// exit code.
func cmdEventually(ts *testscript.TestScript, neg bool, args []string) {
	until(ts, strings.Join(args, " "), func() bool {
		code := "0"
		if exit, ok := ts.Exec(args[1], args[2:]...).(*exec.ExitError); ok {
			code = strconv.Itoa(exit.ExitCode())
		}
		return code == args[0]
	})
}

// cmdGlob: glob COUNT PATTERN wants so many files.
func cmdGlob(ts *testscript.TestScript, neg bool, args []string) {
	list, err := filepath.Glob(ts.MkAbs(args[1]))
	ts.Check(err)
	if strconv.Itoa(len(list)) != args[0] {
		ts.Fatalf("%d files: %v", len(list), list)
	}
}

// until looks again and again, in a bounded time.
func until(ts *testscript.TestScript, what string, done func() bool) {
	end := time.Now().Add(patience)
	for !done() {
		if time.Now().After(end) {
			ts.Fatalf("not in %v: %s", patience, what)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// lines gives the JSON lines of a command's answer.
func lines(ts *testscript.TestScript, args ...string) (out []map[string]any, code int) {
	text, code := tipmesh(ts, append(args, "--json")...)
	for line := range strings.Lines(text) {
		var v map[string]any
		ts.Check(json.Unmarshal([]byte(line), &v))
		out = append(out, v)
	}
	return out, code
}

// cmdAwait: await HOME WHAT... runs a query at home's node until it answers
// with exit code 0: "await birch roster show" and the like. A single short name
// of a proposal waits until the node knows it; "open" waits for any open
// proposal and sets REF to it.
func cmdAwait(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: await HOME REF | open | ARG...")
	}
	home, what := args[0], args[1:]
	until(ts, strings.Join(args, " "), func() bool {
		switch {
		case strings.HasPrefix(what[0], "proposal:"), what[0] == "open":
			out, code := lines(ts, "--home", home, "roster", "show")
			if code != 0 || len(out) == 0 {
				return false
			}
			raw, _ := json.Marshal(out[0]["open"])
			var open []struct{ Ref string }
			ts.Check(json.Unmarshal(raw, &open))
			for _, p := range open {
				if what[0] == "open" || p.Ref == what[0] {
					ts.Setenv("REF", p.Ref)
					return true
				}
			}
			return false
		default:
			_, code := tipmesh(ts, append([]string{"--home", home}, what...)...)
			return (code == 0) != neg
		}
	})
}

// cutOff: cutoff HOME waits until home's node knows that it is out, or has no
// link left.
func cmdCutOff(ts *testscript.TestScript, neg bool, args []string) {
	until(ts, args[0]+" is cut off", func() bool {
		out, _ := lines(ts, "--home", args[0], "status")
		if len(out) == 0 {
			return false
		}
		up, _ := at(out[0], "members.up")
		return out[0]["membership"] == "removed" || up == "0"
	})
}

// cmdJoinStart: joinstart NAME joins with NAME.ticket in the background.
func cmdJoinStart(ts *testscript.TestScript, neg bool, args []string) {
	name := args[0]
	cmd := program(ts, "--home", name, "join", name+".ticket", "--member", "Guest", "--handle", name, "--contact", "cert@"+name+".example",
		"--listen", "127.0.0.1:0", "--timeout", patience.String(), "--yes", "--json")
	out, err := os.Create(ts.MkAbs(name + ".join"))
	ts.Check(err)
	cmd.Stdout, cmd.Stderr = out, out
	ts.Check(cmd.Start())
	d := &daemon{cmd: cmd, log: out, done: make(chan struct{})}
	go func() {
		d.err = cmd.Wait()
		out.Close()
		close(d.done)
	}()
	ds := daemonsOf(ts)
	ds.mu.Lock()
	ds.by[name+".join"] = d
	ds.mu.Unlock()
}

// cmdJoinWait: joinwait NAME waits until that join has ended well.
func cmdJoinWait(ts *testscript.TestScript, neg bool, args []string) {
	d := daemonsOf(ts).take(ts, args[0]+".join")
	<-d.done
	if d.err != nil {
		ts.Fatalf("%s: %v\n%s", args[0], d.err, ts.ReadFile(args[0]+".join"))
	}
}

// cmdSameWords: samewords HOME NAME: the open proposal at home's node has the
// six words that NAME was told.
func cmdSameWords(ts *testscript.TestScript, neg bool, args []string) {
	out, _ := lines(ts, "--home", args[0], "roster", "show")
	theirs, ok := at(out[0], "open.0.words")
	if !ok {
		ts.Fatalf("the proposal has no words: %v", out)
	}
	for line := range strings.Lines(ts.ReadFile(args[1] + ".join")) {
		var v map[string]any
		ts.Check(json.Unmarshal([]byte(line), &v))
		if words, ok := at(v, "words"); ok {
			if words != theirs {
				ts.Fatalf("words differ: %s and %s", words, theirs)
			}
			return
		}
	}
	ts.Fatalf("no words in\n%s", ts.ReadFile(args[1]+".join"))
}

// quiet is a stranger's side of a connection: it notes whatever it is given.
type quiet struct{ got chan string }

func (q *quiet) Up(k protocol.Key)                   { q.got <- "up: " + k.Short() }
func (q *quiet) Down(protocol.Key)                   {}
func (q *quiet) Serve(_ protocol.Key, s node.Stream) { q.got <- "a stream"; s.Reset() }
func (q *quiet) Gossip(_ protocol.Key, m []byte) node.Verdict {
	q.got <- "gossip: " + string(m)
	return node.Ignore
}

// cmdStranger: stranger ADDRESS KEY [MESH] tries to connect to the node of that
// key with a fresh key of its own, as a node of the mesh or of none. It must get
// no connection, no stream and no gossip, and read no name.
func cmdStranger(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: stranger ADDRESS KEY [MESH]")
	}
	var target protocol.Key
	ts.Check(target.UnmarshalText([]byte(args[1])))
	var mesh protocol.MeshID
	if len(args) > 2 {
		ts.Check(mesh.UnmarshalText([]byte(args[2])))
	}
	_, key, err := ed25519.GenerateKey(nil)
	ts.Check(err)
	t, err := transport.New(transport.Config{Key: key, Mesh: mesh, Listen: []string{"127.0.0.1:0"}})
	ts.Check(err)
	defer t.Close()
	q := &quiet{got: make(chan string, 64)}
	ts.Check(t.Start(q))
	t.Allow([]protocol.Key{target})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for range 3 {
		if err := t.Connect(ctx, target, []string{args[0]}); err != nil {
			ts.Logf("connect: %v", err)
		}
		if s, err := t.Open(ctx, target); err == nil {
			// The other side may refuse only once something is said.
			if _, err := s.Write([]byte{0, 0, 0, 1, 0}); err == nil {
				ts.Check(s.SetReadDeadline(time.Now().Add(5 * time.Second)))
				if raw, _ := io.ReadAll(io.LimitReader(s, 1<<16)); len(raw) > 0 {
					ts.Fatalf("a stranger was told %q", raw)
				}
			}
			s.Reset()
		}
	}
	select {
	case what := <-q.got:
		ts.Fatalf("a stranger was given %s", what)
	case <-time.After(2 * time.Second):
	}
	// What the bare port tells.
	conn, err := net.DialTimeout("tcp", args[0], 5*time.Second)
	ts.Check(err)
	defer conn.Close()
	conn.Write([]byte("\x13/multistream/1.0.0\n"))
	ts.Check(conn.SetReadDeadline(time.Now().Add(time.Second)))
	raw, _ := io.ReadAll(conn)
	for _, name := range []string{"Harbour", "alder", "Alder", "birch", "tipmesh"} {
		if bytes.Contains(raw, []byte(name)) {
			ts.Fatalf("the port tells a stranger %q", raw)
		}
	}
}

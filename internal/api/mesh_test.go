package api

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tipmesh/tipmesh/internal/home"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/replica"
)

// fast makes the sync machine quick, so that tests are.
var fast = replica.Config{Hello: 500 * time.Millisecond, Patience: 50 * time.Millisecond, Tell: 20 * time.Millisecond}

// running is a home whose node runs and whose API is served.
type running struct {
	*Client
	t    testing.TB
	dir  string
	home *home.Home
	stop func()
}

// run opens a home and serves its API until the test ends.
func run(t testing.TB, dir string) *running {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("TIPMESH_TEST_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("home", filepath.Base(dir))
	}
	h, err := home.Open(dir, home.Options{Listen: []string{"127.0.0.1:0"}, Sync: fast, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	l, err := home.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	up, ended := make(chan struct{}), make(chan error, 2)
	go func() { ended <- h.Run(ctx, func() { close(up) }) }()
	select {
	case <-up:
	case err := <-ended:
		t.Fatal(err)
	}
	go func() {
		ended <- New(h.Node, Options{Log: log, Warninglists: filepath.Join(dir, WarninglistFolder)}).Serve(ctx, l)
	}()
	r := &running{Client: NewClient(dir), t: t, dir: dir, home: h}
	stopped := false
	r.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := errors.Join(<-ended, <-ended, h.Close()); err != nil {
			t.Errorf("stop %s: %v", dir, err)
		}
		r.Close()
	}
	t.Cleanup(r.stop)
	return r
}

// found makes a mesh of one.
func found(t testing.TB, rules protocol.Rules) *running {
	t.Helper()
	if rules.EpochWaitMillis == 0 {
		rules.EpochWaitMillis = 500
	}
	dir := filepath.Join(t.TempDir(), "alder")
	_, err := home.Create(dir, home.CreateOptions{Mesh: "Harbour Alliance", Rules: rules,
		MemberOptions: home.MemberOptions{Member: "Alder Research", Handle: "alder", Contact: "cert@alder.example"}})
	if err != nil {
		t.Fatal(err)
	}
	return run(t, dir)
}

// invited brings a new member in.
func (r *running) invited(handle string) *running {
	t := r.t
	t.Helper()
	ticket, err := r.Invite(t.Context(), Invite{Admit: true})
	if err != nil {
		t.Fatal(err)
	}
	parsed, charter, err := protocol.ParseTicket(ticket.Text)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), handle)
	if _, err := home.NewMember(dir, parsed, charter, home.MemberOptions{Member: strings.ToUpper(handle), Handle: handle, Contact: handle + "@example.org"}); err != nil {
		t.Fatal(err)
	}
	n := run(t, dir)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := n.home.Join(ctx, nil); err != nil {
		t.Fatal(err)
	}
	n.inStep()
	return n
}

func (r *running) inStep() {
	r.t.Helper()
	s, err := r.Status(r.t.Context(), "in-step", 20*time.Second)
	if err != nil || s.TimedOut {
		r.t.Fatalf("%s is not in step: %v %+v", r.dir, err, s)
	}
}

// shareText shares a list.
func (r *running) shareText(text string, change func(*ShareRequest)) *Share {
	r.t.Helper()
	q := ShareRequest{Body: strings.NewReader(text), Name: "list.txt", To: "everyone", Wait: "all", Timeout: 20 * time.Second}
	if change != nil {
		change(&q)
	}
	out, err := r.Share(r.t.Context(), q)
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

// find looks one value up.
func (r *running) find(value string) Finding {
	r.t.Helper()
	var out Finding
	if _, err := r.Lookup(r.t.Context(), LookupRequest{Values: []string{value}}, func(f *Finding) error {
		out = *f
		return nil
	}); err != nil {
		r.t.Fatal(err)
	}
	return out
}

// code is the code of an error.
func code(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

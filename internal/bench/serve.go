package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/tipmesh/tipmesh/internal/api"
	"github.com/tipmesh/tipmesh/internal/home"
	"github.com/tipmesh/tipmesh/store"
)

const (
	mostAsked  = 100_000 // values looked up in one call
	singleAsks = 5_000   // look-ups one by one
)

// serving is what was measured of a node that has everything.
type serving struct {
	disk           int64
	empty, memory  int // anonymous, bytes
	start, rebuild time.Duration
	socket, bare   []time.Duration
	inProcess      []time.Duration
	near           []time.Duration // of values that others contain or lie within
	nearExact      []time.Duration // of the same values, exact
	asked          int
	list           time.Duration
	raw            rawStore
}

// measureServing measures the node of a home, which does not run now; something
// contains each of the related values or lies within it.
func measureServing(ctx context.Context, p *plan, dir string, related []store.Value) (s *serving, err error) {
	s = &serving{}
	if s.disk, err = diskOf(filepath.Join(dir, "store")); err != nil {
		return nil, err
	}
	if s.empty, err = emptyMemory(ctx, p); err != nil {
		return nil, err
	}
	if err := s.serve(ctx, p, dir); err != nil {
		return nil, err
	}
	if err := s.inside(p, dir, related); err != nil {
		return nil, err
	}
	if s.raw, err = measureRaw(dir, filepath.Join(p.dir, "raw")); err != nil {
		return nil, err
	}
	if s.bare, err = bareCalls(ctx, filepath.Join(p.dir, "bare.sock")); err != nil {
		return nil, err
	}
	if !p.wants("serve") {
		return s, nil
	}
	if err := os.RemoveAll(filepath.Join(dir, "store", "index")); err != nil {
		return nil, err
	}
	x, err := startProcess(p, dir)
	if err != nil {
		return nil, err
	}
	// The answer waits for the index.
	if s.rebuild, err = x.answers(ctx, value(0).Text); err == nil {
		err = x.knows(ctx, 0, p.n)
	}
	return s, errors.Join(err, x.stop())
}

// emptyMemory is what a node takes that has nothing.
func emptyMemory(ctx context.Context, p *plan) (bytes int, err error) {
	dir := filepath.Join(p.dir, "empty")
	if _, err := home.Create(dir, home.CreateOptions{MemberOptions: (&member{handle: "empty"}).options(), Mesh: "empty"}); err != nil {
		return 0, err
	}
	x, err := startProcess(p, dir)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, x.stop()) }()
	for i := range singleAsks {
		if _, err = x.answers(ctx, value(i).Text); err != nil {
			return 0, err
		}
	}
	return x.anonymous()
}

// serve starts the node and looks values up over its socket.
func (s *serving) serve(ctx context.Context, p *plan, dir string) (err error) {
	x, err := startProcess(p, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, x.stop()) }()
	if s.start, err = x.answers(ctx, value(0).Text); err != nil {
		return err
	}
	for i, n := range sample(p.n, singleAsks) {
		began := time.Now()
		sum, err := x.client.Lookup(ctx, api.LookupRequest{Values: []string{value(n).Text}}, func(*api.Finding) error { return nil })
		if err != nil {
			return err
		}
		s.socket = append(s.socket, time.Since(began))
		if sum.Verdicts[api.VerdictUnknown] != 0 {
			return fmt.Errorf("%s is not known", value(n).Text)
		}
		if i%500 == 0 {
			if err := s.weigh(x); err != nil {
				return err
			}
		}
	}
	s.asked = min(p.n, mostAsked)
	asked, found := values(sample(p.n, s.asked)), 0
	began := time.Now()
	_, err = x.client.Lookup(ctx, api.LookupRequest{Values: asked}, func(f *api.Finding) error {
		if found++; found%10_000 == 0 {
			return s.weigh(x)
		}
		return nil
	})
	s.list = time.Since(began)
	if err == nil && found != s.asked {
		err = fmt.Errorf("%d of %d values answered", found, s.asked)
	}
	return errors.Join(err, s.weigh(x))
}

// weigh keeps the most memory seen.
func (s *serving) weigh(x *process) error {
	now, err := x.anonymous()
	s.memory = max(s.memory, now)
	return err
}

// inside looks values up in this process, one by one.
func (s *serving) inside(p *plan, dir string, related []store.Value) (err error) {
	h, err := home.Open(dir, home.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	for _, n := range sample(p.n, mostGets) {
		v := value(n)
		began := time.Now()
		found, err := h.Node.Lookup([]store.Value{v})
		if err != nil {
			return err
		}
		s.inProcess = append(s.inProcess, time.Since(began))
		if len(found[0]) != 1 {
			return fmt.Errorf("%s has %d answers", v.Text, len(found[0]))
		}
	}
	for _, v := range related {
		began := time.Now()
		found, err := h.Node.Store().Index().Near(v, 10)
		if err != nil {
			return err
		}
		s.near = append(s.near, time.Since(began))
		if len(found) == 0 {
			return fmt.Errorf("nothing is near %s", v.Text)
		}
		began = time.Now()
		if _, err := h.Node.Store().Index().ByValue(v); err != nil {
			return err
		}
		s.nearExact = append(s.nearExact, time.Since(began))
	}
	return nil
}

// bareCalls are calls over a socket to a server that has its answer ready.
func bareCalls(ctx context.Context, socket string) (list []time.Duration, err error) {
	l, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	answer := bytes.Repeat([]byte("x"), 700)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			_, _ = w.Write(answer) // a client that is gone is seen below
		}
	})}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	defer func() {
		client.CloseIdleConnections()
		err = errors.Join(err, srv.Close())
		if end := <-served; !errors.Is(end, http.ErrServerClosed) {
			err = errors.Join(err, end)
		}
	}()
	for range singleAsks {
		began := time.Now()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://bare/", bytes.NewReader(answer[:80]))
		if err != nil {
			return nil, err
		}
		resp, err := client.Do(req)
		if err != nil {
			return nil, err
		}
		if _, err = io.Copy(io.Discard, resp.Body); err == nil {
			err = resp.Body.Close()
		}
		if err != nil {
			return nil, err
		}
		list = append(list, time.Since(began))
	}
	return list, nil
}

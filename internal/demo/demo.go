package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// Options say how the story is told.
type Options struct {
	Out  io.Writer
	In   io.Reader // for Step
	Pace float64   // 1 as people read, 0 without pauses
	Step bool      // wait for Enter at each act
	JSON bool
	// Dir keeps the nodes' homes in this folder; empty: in a temporary one that
	// is removed.
	Dir string
	// Stay keeps the nodes running after the story, until ctx ends.
	Stay bool
	Bold bool
	Log  *slog.Logger // nil: nothing is logged
}

func (o Options) bold(s string) string {
	if !o.Bold {
		return s
	}
	return "\x1b[1m" + s + "\x1b[0m"
}

// ErrNotSo tells that something the story says was not so in this run.
var ErrNotSo = errors.New("the demo found something that is not so")

// Run tells the story. The summary is given even where facts failed, with
// ErrNotSo.
func Run(ctx context.Context, o Options) (_ *Summary, err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	dir, remove, err := folder(o.Dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	w := newWorld(dir, o.Log)
	defer func() { err = errors.Join(err, w.close()) }()
	s := &story{world: w, teller: &teller{o: o, begun: time.Now()}}
	if s.facts, err = vpnfilter(); err != nil {
		return nil, err
	}
	s.opening()
	for _, act := range []func(context.Context) error{s.mesh, s.speed, s.right} {
		if err := act(ctx); err != nil {
			return nil, err
		}
	}
	sum, err := s.end(ctx)
	if err != nil {
		return sum, err
	}
	if o.Stay && ctx.Err() == nil {
		s.yourTurn()
		<-ctx.Done()
	}
	if len(sum.Failed) > 0 {
		return sum, fmt.Errorf("%w: %s", ErrNotSo, sum.Failed[0])
	}
	return sum, nil
}

// folder gives the folder of the homes, and what removes it.
func folder(keep string) (dir string, remove func() error, err error) {
	if keep != "" {
		if dir, err = filepath.Abs(keep); err != nil {
			return "", nil, fmt.Errorf("make demo folder: %w", err)
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return "", nil, fmt.Errorf("make demo folder: %w", err)
		}
		return dir, func() error { return nil }, nil
	}
	if dir, err = os.MkdirTemp("", "tipmesh-demo-"); err != nil {
		return "", nil, fmt.Errorf("make demo folder: %w", err)
	}
	return dir, func() error { return os.RemoveAll(dir) }, nil
}

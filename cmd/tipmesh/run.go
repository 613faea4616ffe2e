package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tipmesh/tipmesh/internal/api"
	"github.com/tipmesh/tipmesh/internal/home"
	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/node/transport"
)

// LogOptions are the flags of commands that run a node.
type LogOptions struct {
	Level, Format string
}

func (o *LogOptions) addFlags(f *pflag.FlagSet, level string) {
	f.StringVar(&o.Level, "log-level", level, "debug, info, warn or error")
	f.StringVar(&o.Format, "log-format", "text", "text or json")
}

// logger logs to standard error.
func (o *LogOptions) logger(gopts *GlobalOptions) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.Level)); err != nil {
		return nil, fail(api.CodeInvalid, "debug, info, warn or error", "--log-level %q is not known", o.Level)
	}
	h := &slog.HandlerOptions{Level: level}
	switch o.Format {
	case "text":
		return slog.New(slog.NewTextHandler(gopts.stderr, h)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(gopts.stderr, h)), nil
	}
	return nil, fail(api.CodeInvalid, "text or json", "--log-format %q is not known", o.Format)
}

// RunOptions are the flags of run.
type RunOptions struct {
	Listen             []string
	MemberQuota, Quota bytesFlag
	Log                LogOptions
}

// bytesFlag is a number of bytes, as 16GiB.
type bytesFlag uint64

func (b *bytesFlag) String() string {
	if *b == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(*b), 10)
}

func (b *bytesFlag) Set(s string) error {
	n, err := home.ParseBytes(s)
	*b = bytesFlag(n)
	return err
}

func (b *bytesFlag) Type() string { return "bytes" }

func newRunCommand(gopts *GlobalOptions) *cobra.Command {
	opts := &RunOptions{}
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run this member's node, in the foreground",
		Long: `Run this member's node, in the foreground. It says "ready" on standard output
once it listens, peers or none, and logs to standard error. SIGTERM and SIGINT
stop it. Addresses, ports and quotas are kept in the home for the next run.

What one other member wrote takes at most --member-quota of the disk here, and
what all others wrote --quota. Of a member that has reached it no more payloads
are fetched until it lets some go, they expire, or the quota is raised; status
says how many are missing.`,
		Example: example("tipmesh run", "tipmesh run --listen 0.0.0.0:7460", "tipmesh run --listen 127.0.0.1:0 --json"),
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runRun(cmd.Context(), opts, gopts) },
	}
	cmd.Flags().StringArrayVar(&opts.Listen, "listen", nil, "UDP and TCP `address:port`, kept; 0 is any; repeat")
	cmd.Flags().Var(&opts.MemberQuota, "member-quota", "disk that one other member may take, kept; 16GiB unless said")
	cmd.Flags().Var(&opts.Quota, "quota", "disk that all others may take, kept; 64GiB unless said")
	opts.Log.addFlags(cmd.Flags(), "info")
	return cmd
}

// readyJSON is what run answers.
type readyJSON struct {
	Kind      string   `json:"kind"`
	Node      string   `json:"node"`
	Addresses []string `json:"addresses"`
	Socket    string   `json:"socket"`
}

func runRun(ctx context.Context, opts *RunOptions, gopts *GlobalOptions) error {
	begun := time.Now()
	dir, err := gopts.home()
	if err != nil {
		return err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return fail(api.CodeInvalid, "", "%v", err)
	}
	pass, err := gopts.passphrase()
	if err != nil {
		return err
	}
	if err := checkListen(opts.Listen); err != nil {
		return err
	}
	log, err := opts.Log.logger(gopts)
	if err != nil {
		return err
	}
	for {
		err := runHome(ctx, dir, home.Options{Listen: opts.Listen, Passphrase: pass, Log: log,
			Quota: node.Quota{Member: uint64(opts.MemberQuota), All: uint64(opts.Quota)}}, func(h *home.Home) error { return sayReady(gopts, h, dir, begun) })
		if !errors.Is(err, node.ErrRenewed) {
			return err
		}
		log.Info("the node goes on with its new key")
	}
}

// runHome runs a home's node until ctx ends.
func runHome(ctx context.Context, dir string, o home.Options, ready func(*home.Home) error) error {
	h, err := home.Open(dir, o)
	if err != nil {
		return err
	}
	if h.Pending() {
		return errors.Join(fail(api.CodeUnavailable, "tipmesh join goes on with it, with the same ticket", "the join of this home is not finished"), h.Close())
	}
	socket, err := home.Listen(dir)
	if err != nil {
		return errors.Join(err, h.Close())
	}
	err = serve(ctx, h, socket, o.Log, func() error { return ready(h) })
	o.Log.Info("stopped")
	return errors.Join(err, h.Close())
}

// checkListen finds addresses that cannot be listened on, before keys are opened.
func checkListen(list []string) error {
	for _, a := range list {
		_, port, err := net.SplitHostPort(a)
		if err == nil {
			_, err = strconv.ParseUint(port, 10, 16)
		}
		if err != nil {
			return fail(api.CodeInvalid, "--listen 0.0.0.0:7460", "--listen %q is no address and port", a)
		}
	}
	return nil
}

// serve runs the node and its API until ctx ends or one of them fails.
func serve(ctx context.Context, h *home.Home, socket net.Listener, log *slog.Logger, ready func() error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	served := make(chan error, 1)
	serving := false
	var fault error
	err := h.Run(ctx, func() {
		serving = true
		go func() {
			err := api.New(h.Node, api.Options{Log: log, Warninglists: filepath.Join(h.Dir, api.WarninglistFolder)}).Serve(ctx, socket)
			if ctx.Err() == nil {
				stop()
			}
			served <- err
		}()
		if fault = ready(); fault != nil {
			stop()
		}
	})
	stop()
	if serving {
		err = errors.Join(err, <-served)
	} else {
		err = errors.Join(err, socket.Close())
	}
	return errors.Join(fault, err)
}

// sayReady says that the node runs, and tells a service manager.
func sayReady(gopts *GlobalOptions, h *home.Home, dir string, begun time.Time) error {
	key := h.Node.Key()
	id := transport.PeerID(key)
	socket := filepath.Join(dir, home.SocketFile)
	addresses := h.Addresses()
	if err := notifyReady(gopts.getenv("NOTIFY_SOCKET")); err != nil {
		gopts.notef("tell the service manager: %v", err)
	}
	if gopts.JSON {
		if addresses == nil {
			addresses = []string{}
		}
		return gopts.print(readyJSON{Kind: "ready", Node: id, Addresses: addresses, Socket: socket})
	}
	r := h.Node.Roster()
	name := "not a member yet"
	if m, ok := r.Member(h.Member); ok {
		name = m.Handle
	}
	gopts.sayf("%s in %s, node %s...%s, %s", clean(name), clean(h.MeshName), id[:min(12, len(id))], id[max(0, len(id)-3):],
		plural(len(r.Active()), "member", "members"))
	gopts.sayf("mesh  udp+tcp %s", clean(strings.Join(addresses, " ")))
	gopts.sayf("local unix %s", socket)
	gopts.sayf("ready in %s", lasting(time.Since(begun)))
	return nil
}

// notifyReady tells systemd that the service is up, where it asked to be told.
func notifyReady(socket string) error {
	if socket == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return err
	}
	_, err = conn.Write([]byte("READY=1\nMAINPID=" + pid()))
	return errors.Join(err, conn.Close())
}

func pid() string { return strconv.Itoa(os.Getpid()) }

package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
)

// Limits of one call.
const (
	maxShareBody  = 256 << 20
	maxLookupBody = 64 << 20

	maxStatementsBody = 8 << 20
	maxBody           = 1 << 20
	shareRead         = 10 * time.Minute // for a file that comes through a pipe
	bodyRead          = 30 * time.Second
	maxHeavy          = 2 // shares and look-ups of texts read at a time: each takes several times its size
)

// Options of a Server.
type Options struct {
	Log *slog.Logger     // nil: nothing is logged
	Now func() time.Time // nil: time.Now
	// Warninglists is a folder of lists in MISP's format; empty or absent: there
	// are none.
	Warninglists string
}

// Server answers the API for one node.
type Server struct {
	n       *node.Node
	streams watchers
	log     *slog.Logger
	now     func() time.Time
	mux     *http.ServeMux
	heavy   chan struct{}
	sharing sync.Mutex // one share is composed and written at a time, so that none says what another just said

	lists    *warninglists
	said     saidCache
	referred atomic.Bool // opinions, sightings or reports are held
}

// New makes the API's handler for a running node.
func New(n *node.Node, o Options) *Server {
	s := &Server{n: n, log: o.Log, now: o.Now, mux: http.NewServeMux(), heavy: make(chan struct{}, maxHeavy)}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.lists = &warninglists{dir: o.Warninglists, log: s.log}
	for pattern, h := range map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /v1/groups":                       s.groups,
		"POST /v1/groups":                      s.createGroup,
		"GET /v1/groups/{ref}":                 s.group,
		"POST /v1/groups/{ref}/{verb}":         s.changeGroup,
		"POST /v1/share":                       s.share,
		"POST /v1/lookup":                      s.lookup,
		"POST /v1/search":                      s.search,
		"GET /v1/searches":                     s.searches,
		"PUT /v1/searches/{name}":              s.saveSearch,
		"DELETE /v1/searches/{name}":           s.forgetSearch,
		"POST /v1/withdraw":                    s.withdraw,
		"GET /v1/watch":                        s.watch,
		"GET /v1/object/{ref}":                 s.show,
		"GET /v1/object/{ref}/diff":            s.diff,
		"GET /v1/members":                      s.members,
		"GET /v1/members/{who}":                s.member,
		"GET /v1/trust":                        s.trustList,
		"PUT /v1/trust/{who}":                  s.setTrust,
		"POST /v1/trust/plan":                  s.planTrust,
		"POST /v1/trust/apply":                 s.applyTrust,
		"GET /v1/trust/history":                s.trustHistory,
		"GET /v1/trust/file":                   s.trustFile,
		"GET /v1/roster":                       s.roster,
		"GET /v1/roster/log":                   s.rosterLog,
		"POST /v1/roster/proposals":            s.propose,
		"GET /v1/roster/proposals/{ref}":       s.proposal,
		"POST /v1/roster/proposals/{ref}/sign": s.sign,
		"POST /v1/roster/proposals/{ref}/pin":  s.pin,
		"POST /v1/roster/suspensions":          s.suspend,
		"GET /v1/card":                         s.card,
		"PATCH /v1/card":                       s.setCard,
		"POST /v1/card/nodes":                  s.addNode,
		"POST /v1/card/pack":                   s.pack,
		"POST /v1/card/retire":                 s.retireNode,
		"POST /v1/card/renew":                  s.renewNode,
		"POST /v1/card/age":                    s.rotateAge,
		"POST /v1/card/takeover":               s.takeOver,
		"POST /v1/statements":                  s.statements,
		"POST /v1/invite":                      s.invite,
		"GET /v1/status":                       s.status,
		"GET /v1/backup":                       s.backup,
		"GET /v1/verify":                       s.verify,
		"GET /v1/object/{ref}/entry":           s.showEntry,
		"POST /v1/carry/out":                   s.carryOut,
		"POST /v1/carry/in":                    s.carryIn,
	} {
		s.mux.HandleFunc(pattern, s.handle(h))
	}
	s.mux.HandleFunc("/", s.handle(func(_ http.ResponseWriter, r *http.Request) error {
		return Errorf(CodeNotFound, "there is no call %s %s", r.Method, r.URL.Path)
	}))
	return s
}

// ServeHTTP answers one call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Serve answers calls on a listener until ctx ends, and then lets those under
// way finish for a moment.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	calls, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	srv := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		BaseContext: func(net.Listener) context.Context { return calls },
		ErrorLog:    slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)}
	go s.lists.current(time.Now()) // so that the first look-up need not wait for all of it
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		// What waits for others is told at once that the node stops.
		cancel()
		grace, done := context.WithTimeout(context.Background(), 2*time.Second)
		defer done()
		err := srv.Shutdown(grace)
		if err != nil {
			err = srv.Close()
		}
		stopped <- err
	}()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve API: %w", err)
	}
	return <-stopped
}

// handle turns errors into answers and bounds what is read.
func (s *Server) handle(h func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		limit, patience := int64(maxBody), bodyRead
		switch r.URL.Path {
		case "/v1/share":
			limit, patience = maxShareBody+1, shareRead
		case PathStatements:
			limit = maxStatementsBody
		case "/v1/lookup":
			limit = maxLookupBody
		case "/v1/carry/out":
			limit = carryQuestion
		case "/v1/carry/in":
			limit = math.MaxInt64 // a frame at a time is held
		}
		r.Body = http.MaxBytesReader(w, r.Body, limit)
		if err := limitRead(r, w, patience); err != nil {
			s.log.Debug("set read deadline", "err", err)
		}
		if err := h(w, r); err != nil {
			e := s.coded(err)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(statusOf(e.Code))
			s.write(w, e)
		}
	}
}

// coded gives the coded form of any error. Faults of ours are logged.
func (s *Server) coded(err error) *Error {
	var e *Error
	var large *http.MaxBytesError
	if errors.As(err, &e) {
		return e
	}
	if e := codedCard(err); e != nil {
		return e
	}
	switch {
	case errors.As(err, &large):
		return Errorf(CodeInvalid, "the input is larger than %d MiB", large.Limit>>20)
	case errors.Is(err, node.ErrNotMember):
		return Errorf(CodeDenied, "%v, or its card does not name this node", err).WithHint("see tipmesh status")
	case errors.Is(err, node.ErrNobody):
		return Errorf(CodeDenied, "%v", err).WithHint("see tipmesh trust list; tipmesh trust set MEMBER --send TLP lets more through")
	case errors.Is(err, node.ErrTrustMoved):
		return Errorf(CodeConflict, "%v", err).WithHint("look at what would change again")
	case errors.Is(err, node.ErrNoGroup):
		return Errorf(CodeDenied, "%v", err).WithHint("see tipmesh group list")
	case errors.Is(err, node.ErrReadOnly), errors.Is(err, node.ErrNotActive), errors.Is(err, node.ErrNotYours), errors.Is(err, node.ErrGroupFull):
		return Errorf(CodeDenied, "%v", err).WithHint("see tipmesh group show; anyone can create another group")
	case errors.Is(err, node.ErrStopped):
		return Errorf(CodeDenied, "%v", err).WithHint("see tipmesh status")
	case errors.Is(err, store.ErrRebuild):
		return Errorf(CodeUnavailable, "%v", err).WithHint("the index was damaged; ask again once it is complete, see tipmesh status")
	case errors.Is(err, store.ErrDiskFull):
		return Errorf(CodeUnavailable, "%v", err).WithHint("make room on the disk of this home, then do it again")
	case errors.Is(err, protocol.ErrMalformed):
		return Errorf(CodeInvalid, "%v", err)
	case errors.Is(err, trust.ErrTooMany):
		return Errorf(CodeDenied, "%v", err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return Errorf(CodeUnavailable, "the node is stopping, or the caller has gone")
	}
	s.log.Error("API", "err", err)
	return Errorf(CodeInternal, "%v", err)
}

// answer writes one object.
func (s *Server) answer(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	s.write(w, v)
	return nil
}

// write writes one line. The caller may have gone; nothing helps then.
func (s *Server) write(w io.Writer, v any) {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		s.log.Debug("write answer", "err", err)
	}
}

// lines writes a line each, and a summary.
func lines[T any](s *Server, w http.ResponseWriter, all []T) error {
	w.Header().Set("Content-Type", "application/x-ndjson")
	for i := range all {
		s.write(w, &all[i])
	}
	s.write(w, Summary{Kind: "summary", Total: len(all)})
	return nil
}

// read reads a JSON body.
func read(r *http.Request, v any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return large
		}
		return Errorf(CodeInvalid, "read the question: %v", err)
	}
	return nil
}

// enter takes a place among the calls that need much memory.
func (s *Server) enter(ctx context.Context) error {
	select {
	case s.heavy <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Server) leave() { <-s.heavy }

// at makes a time of milliseconds since 1970; 0 is none.
func at(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// duration reads a duration of the query, def where it is absent.
func duration(r *http.Request, name string, def time.Duration) (time.Duration, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return def, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 || d > 24*time.Hour {
		return 0, Errorf(CodeInvalid, "%s %.40q: want a duration of at most 24h, as 30s", name, text)
	}
	return d, nil
}

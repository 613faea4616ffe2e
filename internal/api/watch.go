package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
)

const (
	maxWatchers    = 64               // streams at a time
	watchHeartbeat = 15 * time.Second // a stream says at least so often that it lives
	watchPatience  = time.Minute      // for a client that does not read; it can come again
	watchRun       = 64               // arrivals read at a time
)

// watchers counts the streams that are open.
type watchers struct{ atomic.Int64 }

// watching is one client's stream. It holds no queue: what comes next is read from
// the store once the client has taken what came before.
type watching struct {
	s       *Server
	w       http.ResponseWriter
	f       *filter
	each    bool
	at      position
	from    cursor // where the client was
	roster  *trust.Roster
	forks   map[forkID]*trust.Fork
	refused map[string]uint64
	gap     *Event // arrivals passed of which nothing can be told
	sent    string // the last cursor that the client was given
}

// watch answers GET /v1/watch with server-sent events.
func (s *Server) watch(w http.ResponseWriter, r *http.Request) error {
	if s.streams.Add(1) > maxWatchers {
		s.streams.Add(-1)
		return Errorf(CodeUnavailable, "%d streams are open, more are not served", maxWatchers).WithHint("end one of them")
	}
	defer s.streams.Add(-1)
	q := r.URL.Query()
	f, err := s.parseFilter(q["filter"])
	if err != nil {
		return err
	}
	since := q.Get("since")
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		if _, ok := parseCursor(last); !ok {
			return Errorf(CodeInvalid, "Last-Event-ID %.80q is no cursor", last)
		}
		since = last
	}
	if err := s.n.CatchUp(r.Context()); err != nil {
		return err
	}
	from, err := s.since(since)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	x := &watching{s: s, w: w, f: f, each: q.Get("each") == "true", at: from.at, from: from}
	if err := x.run(r.Context()); err != nil && r.Context().Err() == nil {
		s.log.Debug("watch ends", "err", err)
		x.send("", s.coded(err))
	}
	return nil
}

func (x *watching) run(ctx context.Context) error {
	if err := x.begin(); err != nil {
		return err
	}
	tick := time.NewTicker(watchHeartbeat)
	defer tick.Stop()
	for {
		changed := x.s.n.Changed()
		if err := x.catchUp(ctx); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-tick.C:
			if err := x.heartbeat(); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// begin tells the client where it stands, and where that is not where it was.
func (x *watching) begin() error {
	x.roster, x.forks = x.s.n.Roster(), x.s.forksNow()
	x.refused = x.s.n.Refused()
	last := x.s.n.Store().LastArrival()
	if x.from.roster != shortHash(x.roster.Digest()) && x.f.takesRoster() {
		e := &Event{What: WhatRoster, Ref: refOf("mesh", x.s.n.Mesh().String()),
			Summary: fmt.Sprintf("the roster has changed meanwhile: version %d", rosterVersion(x.roster))}
		if err := x.tellAt(e, cursor{store: x.from.store, at: x.from.at, roster: shortHash(x.roster.Digest())}); err != nil {
			return err
		}
	}
	switch {
	case x.from.store != x.cursor().store:
		x.at = position{}
		if err := x.tell(&Event{What: WhatGap, Reason: GapIncarnation,
			Summary: "this store is another than the cursor's, made anew or restored: all it holds is told from the beginning"}); err != nil {
			return err
		}
	case x.at.arrival > last || x.at.arrival == last && x.at.told > 0:
		x.at = position{arrival: last}
		if err := x.tell(&Event{What: WhatGap, Reason: GapPutBack,
			Summary: "this store holds less than the cursor had seen, as after a home was put back: what it holds by now is passed over"}); err != nil {
			return err
		}
	}
	return x.here()
}

// catchUp tells what has come since.
func (x *watching) catchUp(ctx context.Context) error {
	if err := x.tellRoster(); err != nil {
		return err
	}
	index := x.s.n.Store().Index()
	before := x.at
	for upTo := index.Checkpoint(); x.at.arrival < upTo; upTo = index.Checkpoint() {
		if err := ctx.Err(); err != nil {
			return err
		}
		var run []store.Arrival
		err := x.s.n.Store().Arrivals(x.at.arrival, func(a store.Arrival) bool {
			run = append(run, a)
			return len(run) < watchRun && a.Number < upTo
		})
		if err != nil {
			return err
		}
		for _, a := range run {
			if err := x.tellArrival(a); err != nil {
				return err
			}
		}
		if len(run) == 0 {
			break
		}
		// A client that comes again need not wait for what its filter leaves out.
		if x.gap == nil && x.cursor().String() != x.sent {
			if err := x.here(); err != nil {
				return err
			}
		}
	}
	if err := x.tellGap(); err != nil {
		return err
	}
	if x.at != before {
		return x.here()
	}
	return nil
}

// tellArrival tells of one arrival, from the event on that comes next.
func (x *watching) tellArrival(arrival store.Arrival) error {
	a, err := x.s.n.Arrived(arrival)
	if err != nil {
		return err
	}
	if a.Gap != "" {
		return x.pass(a)
	}
	if err := x.tellGap(); err != nil {
		return err
	}
	t := &telling{s: x.s, f: x.f, each: x.each, a: a, seen: opened{}}
	kinds := t.kinds()
	for i, kind := range kinds {
		if i < x.at.told {
			continue
		}
		if i == len(kinds)-1 {
			x.at = position{arrival: a.Number}
		} else {
			x.at.told = i + 1
		}
		if e := t.event(kind); e != nil {
			if err := x.tell(e); err != nil {
				return err
			}
		}
	}
	x.at = position{arrival: a.Number}
	return nil
}

// cursor is where the client stands.
func (x *watching) cursor() cursor {
	c := x.s.here(x.at)
	c.roster = shortHash(x.roster.Digest()) // the one that was told, if that is to be
	return c
}

// tell sends an event with the cursor after it.
func (x *watching) tell(e *Event) error { return x.tellAt(e, x.cursor()) }

func (x *watching) tellAt(e *Event, c cursor) error {
	e.Kind, e.Cursor = "event", c.String()
	if e.Time.IsZero() {
		e.Time = x.s.now().UTC().Truncate(time.Millisecond)
	}
	return x.send(e.Cursor, e)
}

// here tells where the client stands, without an event.
func (x *watching) here() error { return x.send(x.cursor().String(), nil) }

// heartbeat keeps the connection, and tells what was refused meanwhile.
func (x *watching) heartbeat() error {
	if err := x.tellRefused(); err != nil {
		return err
	}
	return x.write([]byte(": heartbeat\n\n"))
}

// send sends one block. A cursor without data sets the client's last event ID and is
// no event.
func (x *watching) send(id string, v any) error {
	var b bytes.Buffer
	if v == nil {
		b.WriteString(": caught up\n")
	}
	if id != "" {
		b.WriteString("id: " + id + "\n")
		x.sent = id
	}
	if v != nil {
		b.WriteString("data: ")
		e := json.NewEncoder(&b) // one line, which ends in a newline
		e.SetEscapeHTML(false)
		if err := e.Encode(v); err != nil {
			return fmt.Errorf("write event: %w", err)
		}
	}
	b.WriteByte('\n')
	return x.write(b.Bytes())
}

// write waits for a client that is slow, and gives up one that does not read.
func (x *watching) write(b []byte) error {
	rc := http.NewResponseController(x.w)
	if err := rc.SetWriteDeadline(time.Now().Add(watchPatience)); err != nil {
		return err
	}
	if _, err := x.w.Write(b); err != nil {
		return err
	}
	return rc.Flush()
}

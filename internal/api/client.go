package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	jsonx "github.com/go-json-experiment/json"

	"github.com/tipmesh/tipmesh/internal/home"
)

// Client calls a node's API. Errors are *Error; CodeUnavailable where no node
// answers.
type Client struct {
	http *http.Client
	what string // where the node is, for messages
	dir  string // its home; empty where it is reached in another way
}

// NewClient makes a client for the node that runs in a home folder.
func NewClient(dir string) *Client {
	c := NewClientDialing("the home "+dir, func(ctx context.Context) (net.Conn, error) { return home.Dial(ctx, dir) })
	c.dir = dir
	return c
}

// NewClientDialing makes a client over connections from dial; what names the
// other side in messages.
func NewClientDialing(what string, dial func(context.Context) (net.Conn, error)) *Client {
	return &Client{what: what, http: &http.Client{Transport: &http.Transport{
		DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		DisableCompression: true,
	}}}
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// ShareRequest says what to share, with whom and how.
type ShareRequest struct {
	Body       io.Reader // the file
	Name       string    // the file's name, for messages and as a hint of its kind
	To         string    // everyone
	TLP        string    // empty: the house rules'
	PAP        string
	Action     string // block, detect, none; empty: detect
	Malware    string
	Title      string
	First      time.Time
	Last       time.Time
	Expires    time.Time
	KeepWeeks  uint64        // after which all nodes let it go, 1 to 255; 0: never
	Confidence int           // 1 to 100; 0 says nothing
	Wait       string        // none, all, or how many other members must hold it; empty: none
	Timeout    time.Duration // of the wait; 0: 30 s
	DryRun     bool
}

func (r *ShareRequest) query() url.Values {
	q := url.Values{}
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	at := func(name string, t time.Time) {
		if !t.IsZero() {
			q.Set(name, t.UTC().Format(time.RFC3339Nano))
		}
	}
	set("name", r.Name)
	set("to", r.To)
	set("tlp", r.TLP)
	set("pap", r.PAP)
	set("action", r.Action)
	set("malware", r.Malware)
	set("title", r.Title)
	set("wait", r.Wait)
	at("first", r.First)
	at("last", r.Last)
	at("expires", r.Expires)
	if r.KeepWeeks != 0 {
		q.Set("keep", strconv.FormatUint(r.KeepWeeks, 10))
	}
	if r.Confidence != 0 {
		q.Set("confidence", strconv.Itoa(r.Confidence))
	}
	if r.Timeout > 0 {
		q.Set("timeout", r.Timeout.String())
	}
	if r.DryRun {
		q.Set("dry_run", "true")
	}
	return q
}

// Share shares what a file holds.
func (c *Client) Share(ctx context.Context, r ShareRequest) (*Share, error) {
	out := new(Share)
	return out, c.call(ctx, http.MethodPost, "/v1/share?"+r.query().Encode(), r.Body, out)
}

// LookupRequest says what to look up: values, each of which must be one, or a
// text that holds some.
type LookupRequest struct {
	Values []string `json:"values,omitempty"`
	Text   string   `json:"text,omitempty"`
	Held   bool     `json:"held,omitempty"` // tell what is held apart too
	Near   bool     `json:"near,omitempty"` // tell what contains each value or lies within it; of a single value some is told anyway
}

// Lookup calls fn for every value, in order, and gives the summary.
func (c *Client) Lookup(ctx context.Context, r LookupRequest, fn func(*Finding) error) (*LookupSummary, error) {
	var summary *LookupSummary
	err := c.lines(ctx, http.MethodPost, "/v1/lookup", r, func(kind string, line []byte) error {
		switch kind {
		case "finding":
			f := new(Finding)
			if err := jsonx.Unmarshal(line, f); err != nil {
				return c.broken(ctx, err)
			}
			return fn(f)
		case "summary":
			summary = new(LookupSummary)
			return json.Unmarshal(line, summary)
		}
		return nil
	})
	if err == nil && summary == nil {
		err = Errorf(CodeUnavailable, "the node stopped in the middle of its answer")
	}
	return summary, err
}

// Show gives what a short name or a STIX ID means.
func (c *Client) Show(ctx context.Context, ref string) (*Shown, error) {
	var raw json.RawMessage
	if err := c.call(ctx, http.MethodGet, "/v1/object/"+url.PathEscape(ref), nil, &raw); err != nil {
		return nil, err
	}
	var kind struct {
		Kind string `json:"kind"`
	}
	out := new(Shown)
	err := json.Unmarshal(raw, &kind)
	if err == nil && kind.Kind == "share" {
		err = json.Unmarshal(raw, &out.Share)
	} else if err == nil {
		err = json.Unmarshal(raw, &out.Object)
	}
	if err != nil {
		return nil, Errorf(CodeInternal, "read the node's answer: %v", err)
	}
	return out, nil
}

// Members lists everybody who is or was in the mesh.
func (c *Client) Members(ctx context.Context) ([]Member, error) {
	return list[Member](ctx, c, "/v1/members", "member")
}

// Member gives one member, by handle, alias, short name or ID.
func (c *Client) Member(ctx context.Context, who string) (*Member, error) {
	out := new(Member)
	return out, c.call(ctx, http.MethodGet, "/v1/members/"+url.PathEscape(who), nil, out)
}

// Roster gives who is in, who governs and what is proposed.
func (c *Client) Roster(ctx context.Context) (*Roster, error) {
	out := new(Roster)
	return out, c.call(ctx, http.MethodGet, "/v1/roster", nil, out)
}

// Propose proposes a change of the roster, approved by this member if it governs.
func (c *Client) Propose(ctx context.Context, p Propose) (*Proposal, error) {
	out := new(Proposal)
	return out, c.send(ctx, http.MethodPost, "/v1/roster/proposals", p, out)
}

// Proposal gives one proposal, open or not.
func (c *Client) Proposal(ctx context.Context, ref string) (*Proposal, error) {
	out := new(Proposal)
	return out, c.call(ctx, http.MethodGet, "/v1/roster/proposals/"+url.PathEscape(ref), nil, out)
}

// Sign approves a proposal.
func (c *Client) Sign(ctx context.Context, ref string) (*Proposal, error) {
	out := new(Proposal)
	return out, c.call(ctx, http.MethodPost, "/v1/roster/proposals/"+url.PathEscape(ref)+"/sign", nil, out)
}

// RosterLog lists the statements behind the roster, oldest first.
func (c *Client) RosterLog(ctx context.Context) ([]LogRecord, error) {
	return list[LogRecord](ctx, c, "/v1/roster/log", "record")
}

// Card gives this member's card.
func (c *Client) Card(ctx context.Context) (*Card, error) {
	out := new(Card)
	return out, c.call(ctx, http.MethodGet, "/v1/card", nil, out)
}

// SetCard changes this member's card.
func (c *Client) SetCard(ctx context.Context, change CardChange) (*Card, error) {
	out := new(Card)
	return out, c.send(ctx, http.MethodPatch, "/v1/card", change, out)
}

// Invite makes a ticket.
func (c *Client) Invite(ctx context.Context, i Invite) (*Ticket, error) {
	out := new(Ticket)
	return out, c.send(ctx, http.MethodPost, "/v1/invite", i, out)
}

// Status says how the node stands. until is empty, "in-step" or "members=N": it
// waits for that, at most for timeout (0: 60 s); TimedOut tells of a vain wait.
func (c *Client) Status(ctx context.Context, until string, timeout time.Duration) (*Status, error) {
	q := url.Values{}
	if until != "" {
		q.Set("until", until)
	}
	if timeout > 0 {
		q.Set("timeout", timeout.String())
	}
	out := new(Status)
	return out, c.call(ctx, http.MethodGet, "/v1/status?"+q.Encode(), nil, out)
}

// send calls with a JSON body.
func (c *Client) send(ctx context.Context, method, path string, body, out any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return Errorf(CodeInternal, "write the question: %v", err)
	}
	return c.call(ctx, method, path, bytes.NewReader(raw), out)
}

// stream makes one call whose answer is a file.
func (c *Client) stream(ctx context.Context, method, path string, body any) (io.ReadCloser, error) {
	var in io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return nil, Errorf(CodeInternal, "write the question: %v", err)
		}
		in = bytes.NewReader(raw)
	}
	resp, err := c.do(ctx, method, path, in)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// call makes one call and reads its one answer.
func (c *Client) call(ctx context.Context, method, path string, body io.Reader, out any) error {
	resp, err := c.do(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return c.broken(ctx, err)
	}
	return nil
}

// lines makes one call and reads an answer of many lines.
func (c *Client) lines(ctx context.Context, method, path string, body any, fn func(kind string, line []byte) error) error {
	var in io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return Errorf(CodeInternal, "write the question: %v", err)
		}
		in = bytes.NewReader(raw)
	}
	resp, err := c.do(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	r := bufio.NewReader(resp.Body)
	for {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return nil
		} else if err != nil {
			return c.broken(ctx, err)
		}
		kind := lineKind(line)
		if kind == "" || kind == "error" {
			e := new(Error) // holds the kind, whatever the line is
			if err := json.Unmarshal(line, e); err != nil {
				return c.broken(ctx, err)
			}
			if kind = e.Kind; kind == "error" {
				return e
			}
		}
		if err := fn(kind, line); err != nil {
			return err
		}
	}
}

// lineKind reads the kind where it stands first, as in all our answers; else "".
func lineKind(line []byte) string {
	rest, ok := bytes.CutPrefix(line, []byte(`{"kind":"`))
	kind, _, closed := bytes.Cut(rest, []byte(`"`))
	if !ok || !closed || bytes.IndexByte(kind, '\\') >= 0 {
		return ""
	}
	return string(kind)
}

// list reads an answer of many lines of one kind.
func list[T any](ctx context.Context, c *Client, path, kind string) ([]T, error) {
	out := []T{}
	err := c.lines(ctx, http.MethodGet, path, nil, func(k string, line []byte) error {
		if k != kind {
			return nil
		}
		var one T
		if err := json.Unmarshal(line, &one); err != nil {
			return c.broken(ctx, err)
		}
		out = append(out, one)
		return nil
	})
	return out, err
}

// do makes a call and turns an error answer into an *Error.
func (c *Client) do(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://tipmesh"+path, body)
	if err != nil {
		return nil, Errorf(CodeInvalid, "make the call: %v", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	e := new(Error)
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return nil, c.broken(ctx, err)
	}
	if err := json.Unmarshal(raw, e); err != nil || e.Code == "" {
		return nil, Errorf(CodeInternal, "the node answered %s", resp.Status)
	}
	return nil, e
}

func (c *Client) unreachable(ctx context.Context, err error) *Error {
	if cause := ctx.Err(); cause != nil {
		return Errorf(CodeUnavailable, "gave up waiting for the node: %v", cause)
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" || errors.Is(err, home.ErrNotRunning) {
		if c.dir != "" && home.Vacant(c.dir) == nil {
			return Errorf(CodeUnavailable, "no node runs in %s, and there is no home", c.what).
				WithHint("another --home FOLDER; or make one with tipmesh create or tipmesh join, then tipmesh run")
		}
		return Errorf(CodeUnavailable, "no node runs in %s", c.what).WithHint("start one: tipmesh run")
	}
	return Errorf(CodeUnavailable, "the node does not answer: %v", err)
}

func (c *Client) broken(ctx context.Context, err error) *Error {
	if ctx.Err() != nil {
		return Errorf(CodeUnavailable, "gave up waiting for the node: %v", ctx.Err())
	}
	return Errorf(CodeUnavailable, "the node broke off its answer: %v", fmt.Sprint(err))
}

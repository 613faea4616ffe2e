package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// maxEvent bounds one line of a stream.
const maxEvent = 64 << 20

// Watch calls fn for every event, until ctx ends, fn fails or the node goes: then
// the error says so, and a new call with the last cursor goes on. A nil event only
// says how far the node has told.
func (c *Client) Watch(ctx context.Context, q WatchRequest, fn func(cursor string, e *Event) error) error {
	v := url.Values{"filter": q.Filter}
	if q.Since != "" {
		v.Set("since", q.Since)
	}
	if q.Each {
		v.Set("each", "true")
	}
	resp, err := c.do(ctx, http.MethodGet, "/v1/watch?"+v.Encode(), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	in := bufio.NewScanner(resp.Body)
	in.Buffer(nil, maxEvent)
	var cursor, data string
	for in.Scan() {
		name, value, _ := strings.Cut(in.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case in.Text() == "":
			if err := dispatch(cursor, data, fn); err != nil {
				return err
			}
			data = ""
		case name == "id":
			cursor = value
		case name == "data":
			data = value
		}
	}
	err = in.Err()
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return c.broken(ctx, err)
}

// dispatch passes on one block of a stream.
func dispatch(cursor, data string, fn func(cursor string, e *Event) error) error {
	if data == "" {
		if cursor == "" {
			return nil
		}
		return fn(cursor, nil)
	}
	var fault Error // holds the kind, whatever it is
	e := new(Event)
	if err := errors.Join(json.Unmarshal([]byte(data), &fault), json.Unmarshal([]byte(data), e)); err != nil {
		return Errorf(CodeInternal, "read the node's event: %v", err)
	}
	if fault.Kind == "error" {
		return &fault
	}
	return fn(cursor, e)
}

// Diff compares two versions of an object, counted from 1, the oldest held.
func (c *Client) Diff(ctx context.Context, ref, from, to string) (*Diff, error) {
	out := new(Diff)
	q := url.Values{"from": {from}, "to": {to}}
	return out, c.call(ctx, http.MethodGet, "/v1/object/"+url.PathEscape(ref)+"/diff?"+q.Encode(), nil, out)
}

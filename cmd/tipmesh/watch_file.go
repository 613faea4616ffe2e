package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"

	"github.com/tipmesh/tipmesh/internal/api"
)

// eventFile is a file of events, a JSON line each. A line is written at once; what
// a killed process left of one is cut off, and told again.
type eventFile struct {
	f      *os.File
	cursor string // of its last line, empty where there is none
}

// openEvents opens a file to append to. One that does not end in events is left as
// it is.
func openEvents(name string) (*eventFile, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fail(api.CodeInvalid, "", "%v", err)
	}
	e := &eventFile{f: f}
	size, err := e.resume()
	if err == nil {
		_, err = f.Seek(size, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(fail(api.CodeInvalid, "give a file of its own", "%s: %v", name, err), f.Close())
	}
	return e, nil
}

var errNoEvents = errors.New("it holds something else than events of tipmesh watch")

// resume reads the last whole line and cuts off what comes after it. It gives the
// size of what is left.
func (e *eventFile) resume() (size int64, err error) {
	info, err := e.f.Stat()
	if err != nil || info.Size() == 0 {
		return 0, err
	}
	end := info.Size()
	whole, err := e.lineEnd(end)
	if err != nil {
		return 0, err
	}
	begin := int64(0)
	if whole > 0 {
		if begin, err = e.lineEnd(whole - 1); err != nil {
			return 0, err
		}
		line := make([]byte, whole-begin)
		if _, err := e.f.ReadAt(line, begin); err != nil {
			return 0, err
		}
		var last api.Event
		if json.Unmarshal(line, &last) != nil || last.Kind != "event" || last.Cursor == "" {
			return 0, errNoEvents
		}
		e.cursor = last.Cursor
	}
	if whole == end {
		return whole, nil
	}
	const start = `{"kind":"event",`
	torn := make([]byte, min(int64(len(start)), end-whole))
	if _, err := e.f.ReadAt(torn, whole); err != nil {
		return 0, err
	}
	if !bytes.HasPrefix([]byte(start), torn) {
		return 0, errNoEvents
	}
	return whole, e.f.Truncate(whole)
}

// lineEnd is where the last line ends before a place in the file, newline included.
func (e *eventFile) lineEnd(before int64) (int64, error) {
	buf := make([]byte, 64<<10)
	for before > 0 {
		n := min(before, int64(len(buf)))
		if _, err := e.f.ReadAt(buf[:n], before-n); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(buf[:n], '\n'); i >= 0 {
			return before - n + int64(i) + 1, nil
		}
		before -= n
	}
	return 0, nil
}

func (e *eventFile) write(event *api.Event) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(event); err != nil {
		return err
	}
	_, err := e.f.Write(b.Bytes())
	return err
}

// Close closes the file.
func (e *eventFile) Close() error { return e.f.Close() }

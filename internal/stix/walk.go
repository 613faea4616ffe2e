package stix

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// span is one element of the document: its place among the objects, and
// where its bytes stand.
type span struct {
	ordinal    int
	start, end int
	kind       jsontext.Kind
	list       string // what it is an element of: "objects", "" an array, "." nothing
}

// walker finds the objects of a document in one pass, while jsontext checks
// the whole of it: grammar, UTF-8, and no name twice in an object.
type walker struct {
	data []byte
	dec  *jsontext.Decoder
	each func(span) error
	n    int
}

// walk calls each for every STIX object of a bundle, a TAXII envelope (both:
// an object with an array named objects), an array, or for the one object
// that the document is.
func walk(data []byte, each func(span) error) error {
	w := walker{data: data, dec: jsontext.NewDecoder(bytes.NewBuffer(data)), each: each}
	switch w.dec.PeekKind() {
	case '{':
		if err := w.object(); err != nil {
			return err
		}
	case '[':
		if err := w.array(""); err != nil {
			return err
		}
	default:
		if _, err := w.dec.ReadToken(); err != nil {
			return w.fail(err)
		}
		return w.fail(errors.New("neither a bundle, an object nor an array of objects"))
	}
	if _, err := w.dec.ReadToken(); err != io.EOF {
		if err == nil {
			err = errors.New("more JSON after the end of the document")
		}
		return w.fail(err)
	}
	return nil
}

// object reads the document's outer object. Whether it is a bundle shows
// when its members have been seen, in whatever order they come.
func (w *walker) object() error {
	w.dec.PeekKind()
	if _, err := w.dec.ReadToken(); err != nil {
		return w.fail(err)
	}
	start := int(w.dec.InputOffset()) - 1
	kind, container := "", false
	for w.dec.PeekKind() != '}' {
		name, err := w.dec.ReadToken()
		if err != nil {
			return w.fail(err)
		}
		key := name.String()
		// STIX has no other object with an array of that name.
		if key == "objects" && w.dec.PeekKind() == '[' && (kind == "" || kind == "bundle") {
			container = true
			if err := w.array("objects"); err != nil {
				return err
			}
			continue
		}
		value, err := w.dec.ReadValue()
		if err != nil {
			return w.fail(err)
		}
		if err := w.depth(value, 2); err != nil {
			return err
		}
		if key == "type" {
			c := cursor{s: string(value)}
			kind = c.text()
		}
	}
	if _, err := w.dec.ReadToken(); err != nil {
		return w.fail(err)
	}
	if container || kind == "bundle" {
		return nil
	}
	return w.each(span{0, start, int(w.dec.InputOffset()), '{', "."})
}

// array reads a list of objects.
func (w *walker) array(list string) error {
	if _, err := w.dec.ReadToken(); err != nil {
		return w.fail(err)
	}
	for {
		kind := w.dec.PeekKind()
		if kind == ']' {
			break
		}
		value, err := w.dec.ReadValue()
		if err != nil {
			return w.fail(err)
		}
		if w.n >= MaxObjects {
			return w.fail(fmt.Errorf("more than %d objects", MaxObjects))
		}
		end := int(w.dec.InputOffset())
		if err := w.each(span{w.n, end - len(value), end, kind, list}); err != nil {
			return err
		}
		w.n++
	}
	_, err := w.dec.ReadToken()
	if err != nil {
		return w.fail(err)
	}
	return nil
}

func (w *walker) depth(value []byte, at int) error {
	if at+depthOf(string(value)) > MaxDepth+1 {
		return w.fail(errDepth)
	}
	return nil
}

var errDepth = fmt.Errorf("nested deeper than %d", MaxDepth)

// fail names where in the document err arose: the byte, and the line from 1.
func (w *walker) fail(err error) error {
	at := w.dec.InputOffset()
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		at = syntax.ByteOffset
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return placed(w.data, int(at), err)
}

func placed(data []byte, at int, err error) error {
	at = max(0, min(at, len(data)))
	line := 1 + bytes.Count(data[:at], []byte{'\n'})
	return fmt.Errorf("read stix: line %d, byte %d: %w", line, at, err)
}

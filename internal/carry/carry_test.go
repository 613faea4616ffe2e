package carry

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"reflect"
	"slices"
	"testing"

	"github.com/tipmesh/tipmesh/protocol"
)

// read gives all items, and how the file ended.
func read(file []byte) (items []*Item, end error) {
	r, err := NewReader(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	for {
		item, err := r.Next()
		if err != nil {
			return items, err
		}
		items = append(items, item)
	}
}

func sample(t testing.TB) []byte {
	var out bytes.Buffer
	w := NewWriter(&out, protocol.MeshID{1}, 1234)
	w.Heads([]Head{{protocol.FeedID{2}, 3}, {protocol.FeedID{4}, 5}})
	for _, err := range []error{w.Statement([]byte("statement")), w.Entry([]byte("header"), []byte("payload")), w.Entry([]byte("close"), []byte{}),
		w.Entry([]byte("alone"), nil), w.Close()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

func TestRoundTrip(t *testing.T) {
	items, err := read(sample(t))
	if err != io.EOF {
		t.Fatal(err)
	}
	want := []*Item{{Heads: []Head{{protocol.FeedID{2}, 3}, {protocol.FeedID{4}, 5}}}, {Statement: []byte("statement")},
		{Header: []byte("header"), Payload: []byte("payload")}, {Header: []byte("close"), Payload: []byte{}}, {Header: []byte("alone")}}
	if !reflect.DeepEqual(items, want) {
		t.Errorf("%+v", items)
	}
	r, err := NewReader(bytes.NewReader(sample(t)))
	if err != nil || r.Mesh != (protocol.MeshID{1}) || r.Time != 1234 {
		t.Errorf("%+v %v", r, err)
	}
	many := make([]Head, 3*maxHeads+1)
	var out bytes.Buffer
	w := NewWriter(&out, protocol.MeshID{1}, 0)
	w.Heads(many)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	n := 0
	items, err = read(out.Bytes())
	for _, i := range items {
		n += len(i.Heads)
	}
	if err != io.EOF || n != len(many) {
		t.Errorf("%d heads, %v", n, err)
	}
}

// A file that is cut gives what is whole and says that it is cut; one with a
// byte changed never passes for whole.
func TestDamage(t *testing.T) {
	file := sample(t)
	whole, _ := read(file)
	for i := range file {
		items, err := read(file[:i])
		if err == nil || errors.Is(err, io.EOF) || i >= len(magic) && !errors.Is(err, ErrCut) {
			t.Fatalf("cut at %d: %v", i, err)
		}
		if len(items) > len(whole) || !reflect.DeepEqual(items, whole[:len(items):len(items)]) && len(items) > 0 {
			t.Fatalf("cut at %d: other items", i)
		}
		bad := slices.Clone(file)
		bad[i] ^= 1
		if _, err := read(bad); err == nil || errors.Is(err, io.EOF) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
	}
	if items, _ := read(file[:len(file)-1]); len(items) != len(whole) {
		t.Errorf("%d items of a file without its last byte", len(items))
	}
	if _, err := read(append(slices.Clone(file), 0)); !errors.Is(err, ErrDamaged) {
		t.Errorf("with a byte more: %v", err)
	}
}

func TestTooLarge(t *testing.T) {
	var out bytes.Buffer
	w := NewWriter(&out, protocol.MeshID{1}, 0)
	if err := w.Entry(make([]byte, protocol.MaxHeader+1), nil); err == nil {
		t.Error("wrote a header that nobody reads")
	}
	for _, kind := range []byte{0, frameStart, frameHeads, frameStatement, frameEntry, frameHeader, frameEnd, 7, 255} {
		file := append([]byte(magic), frameStart, 0, 0, 0, startSize)
		file = append(file, make([]byte, startSize)...)
		file = append(file, kind, 0xff, 0xff, 0xff, 0xff)
		if _, err := read(file); !errors.Is(err, ErrDamaged) {
			t.Errorf("frame of type %d and 4 GiB: %v", kind, err)
		}
	}
}

func TestStatementFiles(t *testing.T) {
	s, err := protocol.NewStatement(protocol.MeshID{1}, &protocol.Approval{Subject: protocol.StatementID{1}}, 5, ed25519.NewKeyFromSeed(make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	text := base64.StdEncoding.EncodeToString(s.Raw())
	for _, file := range []string{string(s.Raw()), hex.EncodeToString(s.Raw()) + "\n", text[:40] + "\r\n" + text[40:], base64.RawURLEncoding.EncodeToString(s.Raw())} {
		if got, err := Statement([]byte(file)); err != nil || got.ID() != s.ID() {
			t.Errorf("%.20q: %v", file, err)
		}
	}
	bad := s.Raw()
	bad = slices.Clone(bad)
	bad[len(bad)-1] ^= 1
	for _, file := range []string{"", "hello", string(bad), text[:len(text)-4]} {
		if _, err := Statement([]byte(file)); !errors.Is(err, ErrNone) {
			t.Errorf("%.20q: %v", file, err)
		}
	}
}

// FuzzReader reads anything without harm, and what it takes for whole is what a
// writer writes for the same items.
func FuzzReader(f *testing.F) {
	f.Add(sample(f))
	f.Add(sample(f)[:60])
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, file []byte) {
		items, end := read(file)
		if end != io.EOF {
			return
		}
		r, err := NewReader(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		w := NewWriter(&out, r.Mesh, r.Time)
		for _, i := range items {
			switch {
			case i.Statement != nil:
				err = w.Statement(i.Statement)
			case i.Header != nil:
				err = w.Entry(i.Header, i.Payload)
			case len(i.Heads) == 0:
				w.frame(frameHeads)
			default:
				w.Heads(i.Heads)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil || !bytes.Equal(out.Bytes(), file) {
			t.Errorf("written again it is another file: %v", err)
		}
	})
}

package replica

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tipmesh/tipmesh/protocol"
)

// vectors is testdata/vectors.json, for any implementation. Bytes are hexadecimal.
// A field's name is its integer key and a word for people.
type vectors struct {
	About      string             `json:"about"`
	Messages   []vectorMessage    `json:"messages"`   // decode what follows the length, encode it again
	Invalid    []vectorFrame      `json:"invalid"`    // refuse
	Gossip     []vectorFrame      `json:"gossip"`     // decode, encode again; the same without a length
	BadGossip  []vectorFrame      `json:"bad_gossip"` // refuse
	Statements []vectorStatements `json:"statement_digests"`
	States     []vectorStates     `json:"vector_digests"`
	Marks      []vectorMark       `json:"marks"`
}

type vectorMessage struct {
	Name   string `json:"name"`
	Type   Type   `json:"type"`
	Fields any    `json:"fields"`
	Frame  string `json:"frame_hex"`
}

type vectorFrame struct {
	Name  string `json:"name"`
	Frame string `json:"hex"`
}

type vectorStatements struct {
	IDs    []protocol.StatementID `json:"ids"`
	Digest string                 `json:"digest_hex"`
}

type vectorMark struct {
	Salt protocol.Hash `json:"salt"`
	ID   protocol.Hash `json:"id"`
	Mark string        `json:"mark_hex"`
}

type vectorStates struct {
	States []string      `json:"states_hex"`
	Digest protocol.Hash `json:"digest"`
}

// fields shows a message as its map of integer keys.
func fields(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Pointer:
		return fields(v.Elem())
	case reflect.Struct:
		out := map[string]any{}
		for i := range v.NumField() {
			tag, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("cbor"), ",")
			omit := strings.Contains(v.Type().Field(i).Tag.Get("cbor"), "omit")
			if f := v.Field(i); tag != "-" && (!omit || !f.IsZero()) {
				out[tag+" "+strings.ToLower(v.Type().Field(i).Name)] = fields(f)
			}
		}
		return out
	case reflect.Slice:
		if b, ok := v.Interface().([]byte); ok {
			return hex.EncodeToString(b)
		}
		out := []any{}
		for i := range v.Len() {
			out = append(out, fields(v.Index(i)))
		}
		return out
	}
	return v.Interface()
}

func makeVectors() *vectors {
	v := &vectors{About: "Test vectors of the tipmesh sync protocol, version 1. Made by go test ./protocol/replica -run TestVectors -update. Headers and payloads in them are placeholders."}
	messages := samples()
	for _, name := range slices.Sorted(maps.Keys(messages)) {
		m := messages[name]
		v.Messages = append(v.Messages, vectorMessage{name, m.Type(), fields(reflect.ValueOf(m)), hex.EncodeToString(Encode(m))})
	}
	bad := invalid()
	for _, name := range slices.Sorted(maps.Keys(bad)) {
		if frame := Encode(bad[name]); len(frame) < 1024 {
			v.Invalid = append(v.Invalid, vectorFrame{name, hex.EncodeToString(frame)})
		}
	}
	for name, frame := range map[string]string{
		"a request of no type": "0000000211a0", "no field": "0000000205a10901", "null": "0000000201f6", "field of zero": "0000000405a10240",
	} {
		v.Invalid = append(v.Invalid, vectorFrame{name, frame})
	}
	slices.SortFunc(v.Invalid, func(a, b vectorFrame) int { return strings.Compare(a.Name, b.Name) })
	for _, g := range []struct {
		name string
		g    *Gossip
	}{
		{"entry", &Gossip{Entry: &Entry{Header: []byte("a signed header"), Payload: []byte("its payload")}}},
		{"entry without payload", &Gossip{Entry: &Entry{Header: []byte("a signed header")}}},
		{"statements", &Gossip{Statements: [][]byte{[]byte("one"), []byte("two")}}},
	} {
		v.Gossip = append(v.Gossip, vectorFrame{g.name, hex.EncodeToString(EncodeGossip(g.g))})
	}
	v.BadGossip = []vectorFrame{{"neither", "a0"}, {"no statements", "a10280"}, {"both", "a201a1014168028141aa"}, {"null", "a101f6"}}
	ids := []protocol.StatementID{{7, 1}, {7, 2}, {7, 3}}
	for n := range len(ids) + 1 {
		sum := DigestStatements(ids[:n])
		v.Statements = append(v.Statements, vectorStatements{append([]protocol.StatementID{}, ids[:n]...), hex.EncodeToString(sum[:])})
	}
	for n := range 3 {
		list := samples()["have"].(*Have).Feeds[:n]
		x := vectorStates{States: []string{}}
		for i := range list {
			x.States = append(x.States, hex.EncodeToString(protocol.Marshal(&list[i])))
		}
		x.Digest = DigestStates(func(yield func(*FeedState) bool) {
			for i := range list {
				yield(&list[i])
			}
		})
		v.States = append(v.States, x)
	}
	for _, x := range []vectorMark{{Salt: protocol.Hash{1}, ID: protocol.Hash{7}}, {Salt: protocol.Hash{2}, ID: protocol.Hash{7}}, {Salt: protocol.Hash{1}, ID: protocol.Hash{8}}} {
		m := MarkOf(x.Salt, x.ID)
		x.Mark = hex.EncodeToString(m[:])
		v.Marks = append(v.Marks, x)
	}
	return v
}

func TestVectors(t *testing.T) {
	const file = "testdata/vectors.json"
	want, err := json.MarshalIndent(makeVectors(), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(data, want) {
		t.Fatalf("%s is not what is made now: see -update", file)
	}
	var v vectors
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	for _, x := range v.Messages {
		m, err := readVector(x.Frame)
		if err != nil || m.Type() != x.Type || hex.EncodeToString(Encode(m)) != x.Frame {
			t.Errorf("%s: %v", x.Name, err)
		}
	}
	for _, x := range v.Invalid {
		if _, err := readVector(x.Frame); !errors.Is(err, protocol.ErrMalformed) {
			t.Errorf("invalid, %s: %v", x.Name, err)
		}
	}
	for i, x := range append(v.Gossip, v.BadGossip...) {
		raw, err := hex.DecodeString(x.Frame)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeGossip(raw); (err == nil) != (i < len(v.Gossip)) {
			t.Errorf("gossip, %s: %v", x.Name, err)
		}
	}
}

func readVector(text string) (Message, error) {
	raw, err := hex.DecodeString(text)
	if err != nil {
		return nil, err
	}
	frame, err := ReadFrame(bytes.NewReader(raw), MaxFrame)
	if err != nil {
		return nil, fmt.Errorf("frame: %w", err)
	}
	return Decode(frame)
}

package seal

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tipmesh/tipmesh/protocol"
)

var update = flag.Bool("update", false, "write testdata anew")

type sealedVectors struct {
	About   string      `json:"about"`
	Padme   [][2]int    `json:"padme"`  // length, Padmé size
	Padded  [][2]int    `json:"padded"` // length of a zstd frame, of frame and padding
	Sealed  []sealedDoc `json:"sealed"`
	Invalid []badInner  `json:"invalid"`
}

type sealedDoc struct {
	Name     string `json:"name"`
	Kind     string `json:"kind"` // bundle or direct
	Identity string `json:"identity"`
	Plain    string `json:"plain"`
	Payload  string `json:"payload_hex"`
}

type badInner struct {
	Name string `json:"name"`
	Hex  string `json:"inner_hex"`
}

func makeSealed(t *testing.T) *sealedVectors {
	v := &sealedVectors{About: "Payloads sealed once, to be opened. Made by go test ./protocol/seal -run TestVectors -update."}
	for _, n := range []int{0, 1, 7, 8, 9, 15, 17, 99, 100, 255, 256, 257, 1000, 1025, 65537, 1 << 20, 1<<20 + 1, protocol.MaxPayload} {
		v.Padme = append(v.Padme, [2]int{n, Padme(n)})
		v.Padded = append(v.Padded, [2]int{n, padded(n)})
	}
	id, other := newIdentity(t), newIdentity(t)
	plain := sample(600)
	payload := must(Bundle(plain, id))
	v.Sealed = append(v.Sealed, sealedDoc{"bundle", "bundle", id.String(), string(plain), hex.EncodeToString(payload)})
	payload = must(Direct([]byte("a direct payload"), []string{id.Recipient(), other.Recipient(), newIdentity(t).Recipient()}))
	for name, who := range map[string]*Identity{"direct, one of three": id, "direct, another of three": other} {
		v.Sealed = append(v.Sealed, sealedDoc{name, "direct", who.String(), "a direct payload", hex.EncodeToString(payload)})
	}
	bad := hostile(t)
	for _, name := range slices.Sorted(maps.Keys(bad)) {
		if len(bad[name]) < 4000 {
			v.Invalid = append(v.Invalid, badInner{name, hex.EncodeToString(bad[name])})
		}
	}
	return v
}

func TestVectors(t *testing.T) {
	path := filepath.Join("..", "testdata", "sealed.json")
	if *update {
		data, err := json.MarshalIndent(makeSealed(t), "", " ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(data, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var v sealedVectors
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	for _, p := range v.Padme {
		if Padme(p[0]) != p[1] {
			t.Errorf("Padme(%d) = %d, want %d", p[0], Padme(p[0]), p[1])
		}
	}
	for _, p := range v.Padded {
		if padded(p[0]) != p[1] {
			t.Errorf("padded(%d) = %d, want %d", p[0], padded(p[0]), p[1])
		}
	}
	for _, s := range v.Sealed {
		checkSealed(t, s)
	}
	for _, b := range v.Invalid {
		inner, err := hex.DecodeString(b.Hex)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := unframe(inner); !errors.Is(err, protocol.ErrMalformed) {
			t.Errorf("%s: %v", b.Name, err)
		}
	}
	if len(v.Sealed) != 3 || len(v.Invalid) < 10 {
		t.Error("vectors are missing")
	}
}

func checkSealed(t *testing.T, s sealedDoc) {
	t.Helper()
	id, err := ParseIdentity(s.Identity)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := hex.DecodeString(s.Payload)
	if err != nil {
		t.Fatal(err)
	}
	var plain []byte
	if s.Kind == "bundle" {
		plain, err = OpenBundle(payload, id)
	} else {
		plain, err = OpenDirect(payload, id)
	}
	if err != nil || string(plain) != s.Plain {
		t.Errorf("%s: %.40q, %v", s.Name, plain, err)
	}
}

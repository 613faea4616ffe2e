package seal

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/tipmesh/tipmesh/protocol"
)

func newIdentity(t testing.TB) *Identity {
	t.Helper()
	id, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// sample is a STIX-like bundle of at least n bytes.
func sample(n int) []byte {
	var b bytes.Buffer
	r := rand.New(rand.NewPCG(1, 2))
	b.WriteString(`{"type":"bundle","id":"bundle--00000000-0000-4000-8000-000000000000","objects":[`)
	for i := 0; b.Len() < n || i == 0; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"type":"indicator","spec_version":"2.1","id":"indicator--%08x-0000-4000-8000-%012x",`+
			`"created":"2026-11-22T10:00:00.000Z","modified":"2026-11-22T10:00:00.000Z","pattern_type":"stix",`+
			`"pattern":"[file:hashes.'SHA-256' = '%016x%016x%016x%016x']","valid_from":"2026-11-22T10:00:00Z"}`,
			r.Uint32(), r.Uint64()&(1<<48-1), r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64())
	}
	b.WriteString("]}")
	return b.Bytes()
}

func noise(n int) []byte {
	out := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(out)
	return out
}

func TestBundleRoundTrip(t *testing.T) {
	id := newIdentity(t)
	for _, n := range []int{1, 10, 255, 256, 257, 1024, 1025, 65535, 65536 + 256, 100_000, 1 << 20} {
		for name, plain := range map[string][]byte{"text": sample(n)[:min(n, len(sample(n)))], "noise": noise(n), "zeros": make([]byte, n)} {
			payload, err := Bundle(plain, id)
			if err != nil {
				t.Fatalf("%s of %d: %v", name, n, err)
			}
			got, err := OpenBundle(payload, id)
			if err != nil {
				t.Fatalf("%s of %d: %v", name, n, err)
			}
			if !bytes.Equal(got, plain) {
				t.Fatalf("%s of %d: opened to something else", name, n)
			}
		}
	}
}

func TestBundleLimits(t *testing.T) {
	id := newIdentity(t)
	if _, err := Bundle(make([]byte, protocol.MaxOpened+1), id); !errors.Is(err, ErrTooLarge) {
		t.Errorf("bundle over MaxOpened: %v", err)
	}
	if _, err := Bundle(noise(protocol.MaxPayload), id); !errors.Is(err, ErrTooLarge) {
		t.Errorf("payload over MaxPayload: %v", err)
	}
	if _, err := Bundle(nil, id); !errors.Is(err, protocol.ErrMalformed) {
		t.Errorf("empty bundle: %v", err)
	}
	payload, err := Bundle(make([]byte, protocol.MaxOpened), id)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := OpenBundle(payload, id); err != nil || len(got) != protocol.MaxOpened {
		t.Errorf("bundle of MaxOpened: %d bytes, %v", len(got), err)
	}
	if _, err := OpenBundle(make([]byte, protocol.MaxPayload+1), id); !errors.Is(err, protocol.ErrMalformed) {
		t.Errorf("open over MaxPayload: %v", err)
	}
}

func TestOpenBundleRefuses(t *testing.T) {
	id, other := newIdentity(t), newIdentity(t)
	payload, err := Bundle(sample(5000), id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenBundle(payload, other); !errors.Is(err, ErrNotForUs) {
		t.Errorf("another's identity: %v", err)
	}
	if _, err := OpenBundle(payload[:len(payload)-1], id); !errors.Is(err, protocol.ErrMalformed) {
		t.Errorf("cut short: %v", err)
	}
	if _, err := OpenBundle(append(slices.Clone(payload), 0), id); !errors.Is(err, protocol.ErrMalformed) {
		t.Errorf("trailing byte: %v", err)
	}
	for i := 0; i < len(payload); i += 37 {
		bad := slices.Clone(payload)
		bad[i] ^= 1
		if _, err := OpenBundle(bad, id); err == nil {
			t.Fatalf("byte %d changed: opened", i)
		}
	}
	two, err := encrypt(must(frame(sample(10))), id.recipient, other.recipient)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenBundle(two, id); !errors.Is(err, protocol.ErrMalformed) {
		t.Errorf("two stanzas: %v", err)
	}
	classic, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	old, err := encrypt(must(frame(sample(10))), classic.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenBundle(old, id); !errors.Is(err, protocol.ErrMalformed) {
		t.Errorf("X25519 stanza: %v", err)
	}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

func TestDirect(t *testing.T) {
	plain := sample(3000)
	for n, stanzas := range map[int]int{1: 1, 2: 2, 3: 4, 5: 8, 9: 16} {
		var ids []*Identity
		var to []string
		for range n {
			id := newIdentity(t)
			ids, to = append(ids, id), append(to, id.Recipient(), id.Recipient())
		}
		payload, err := Direct(plain, to)
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.Count(payload, []byte("-> "+stanzaType+" ")); got != stanzas {
			t.Errorf("%d recipients: %d stanzas, want %d", n, got, stanzas)
		}
		for i, id := range ids {
			got, err := OpenDirect(payload, newIdentity(t), id)
			if err != nil || !bytes.Equal(got, plain) {
				t.Errorf("recipient %d of %d: %v", i, n, err)
			}
		}
		if _, err := OpenDirect(payload, newIdentity(t)); !errors.Is(err, ErrNotForUs) {
			t.Errorf("a stranger among %d: %v", n, err)
		}
	}
}

// TestDirectOrder sees the one real stanza of three plus a dummy in every place.
func TestDirectOrder(t *testing.T) {
	id := newIdentity(t)
	to := []string{id.Recipient(), newIdentity(t).Recipient(), newIdentity(t).Recipient()}
	seen := map[int]bool{}
	for i := 0; len(seen) < 4 && i < 500; i++ {
		all, err := crowd(to)
		if err != nil {
			t.Fatal(err)
		}
		seen[slices.IndexFunc(all, func(r age.Recipient) bool { _, is := r.(dummy); return is })] = true
	}
	if len(seen) != 4 {
		t.Errorf("the dummy stood only in places %v", seen)
	}
}

// TestDummyStanzas checks that a dummy looks like a real stanza and wraps
// nothing.
func TestDummyStanzas(t *testing.T) {
	id := newIdentity(t)
	key := noise(16)
	made, labels, err := dummy{id.recipient}.WrapWithLabels(key)
	if err != nil {
		t.Fatal(err)
	}
	real, realLabels, err := id.recipient.WrapWithLabels(key)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(labels, realLabels) || made[0].Type != real[0].Type || len(made[0].Args[0]) != len(real[0].Args[0]) || len(made[0].Body) != len(real[0].Body) {
		t.Error("a dummy's shape differs")
	}
	got, err := id.key.Unwrap(made)
	if err != nil || bytes.Equal(got, key) || !bytes.Equal(got, make([]byte, 16)) {
		t.Errorf("a dummy wraps %x, %v", got, err)
	}
	if plain, err := (dummy{id.recipient}).Wrap(key); err != nil || len(plain) != 1 {
		t.Errorf("wrap: %v", err)
	}
}

func TestDirectRefuses(t *testing.T) {
	if _, err := Direct([]byte("x"), nil); !errors.Is(err, protocol.ErrMalformed) {
		t.Errorf("no recipients: %v", err)
	}
	if _, err := Direct([]byte("x"), []string{"age1pq1nonsense"}); !errors.Is(err, protocol.ErrMalformed) {
		t.Errorf("bad recipient: %v", err)
	}
	many := make([]string, protocol.MaxReaders+1)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	if _, err := Direct([]byte("x"), many); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too many recipients: %v", err)
	}
	id := newIdentity(t)
	three, err := encrypt(must(frame([]byte("x"))), id.recipient, id.recipient, id.recipient)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenDirect(three, id); !errors.Is(err, protocol.ErrMalformed) {
		t.Errorf("three stanzas: %v", err)
	}
	if _, err := OpenDirect(nil, id); !errors.Is(err, protocol.ErrMalformed) {
		t.Errorf("nothing: %v", err)
	}
}

func TestIdentity(t *testing.T) {
	id := newIdentity(t)
	again, err := ParseIdentity(id.String())
	if err != nil || again.Recipient() != id.Recipient() || again.String() != id.String() {
		t.Fatalf("parse of own text: %v", err)
	}
	classic, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "x", strings.ToLower(id.String()), id.String() + "\n", " " + id.String(), classic.String(), id.Recipient(), strings.Repeat("A", 600)} {
		_, err := ParseIdentity(bad)
		if !errors.Is(err, protocol.ErrMalformed) {
			t.Errorf("%.30q: %v", bad, err)
		}
		if err != nil && len(bad) > 10 && strings.Contains(err.Error(), bad[:10]) {
			t.Errorf("the error shows the key: %v", err)
		}
	}
	if err := ValidRecipient(id.Recipient()); err != nil {
		t.Error(err)
	}
	if err := ValidRecipient(classic.Recipient().String()); err == nil {
		t.Error("an X25519 recipient passes as hybrid")
	}
}

func TestIdentityIsNotPrinted(t *testing.T) {
	id := newIdentity(t)
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "id", id, "in", struct{ ID *Identity }{id})
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "id", id)
	out := fmt.Sprintf("%v %+v %#v %s %q %x %v", id, id, id, id, id, id, []any{id, &struct{ Identity *Identity }{id}}) + log.String()
	if strings.Contains(out, "SECRET-KEY") || strings.Contains(out, id.String()[20:40]) {
		t.Errorf("the secret is printed: %s", out)
	}
	_ = fmt.Sprint((*Identity)(nil))
}

package seal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"runtime"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/tipmesh/tipmesh/protocol"
)

func TestPadme(t *testing.T) {
	for n, want := range map[int]int{0: 0, 1: 1, 2: 2, 3: 3, 7: 7, 8: 8, 9: 10, 15: 16, 16: 16, 17: 18, 99: 104, 100: 104, 1000: 1024, 1025: 1088, 65537: 67584, 1 << 20: 1 << 20, 1<<20 + 1: 1081344} {
		if got := Padme(n); got != want {
			t.Errorf("Padme(%d) = %d, want %d", n, got, want)
		}
	}
	for n := 2; n < 300_000; n++ {
		p := Padme(n)
		if p < n || float64(p) > 1.12*float64(n)+1 || Padme(p) != p {
			t.Fatalf("Padme(%d) = %d", n, p)
		}
		if q := padded(n); q < p || Padme(q) != q || q != n && q-n < skippableHead {
			t.Fatalf("padded(%d) = %d", n, q)
		}
	}
}

func pad(body []byte) []byte {
	gap := padded(len(body)) - len(body)
	if gap == 0 {
		return body
	}
	body = binary.LittleEndian.AppendUint32(slices.Clone(body), skippableMagic)
	body = binary.LittleEndian.AppendUint32(body, uint32(gap-8))
	return append(body, make([]byte, gap-8)...)
}

// hostile are plaintexts that unframe must refuse, by name.
func hostile(t testing.TB) map[string][]byte {
	t.Helper()
	plain := sample(3000)
	good := must(frame(plain))
	end, _, err := frameEnd(good)
	if err != nil {
		t.Fatal(err)
	}
	one := good[:end]
	enc := func(o ...zstd.EOption) *zstd.Encoder {
		e, err := zstd.NewWriter(nil, o...)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	var stream bytes.Buffer
	w := enc()
	w.Reset(&stream)
	_, _ = w.Write(plain)
	_ = w.Flush() // so that the writer cannot know the size
	_, _ = w.Write(plain)
	_ = w.Close()

	otherMagic := slices.Clone(good)
	otherMagic[end] = 0x51
	dirty := slices.Clone(good)
	dirty[len(dirty)-1] = 1
	flipped := slices.Clone(good)
	flipped[end-1] ^= 1 // checksum
	zero := []byte{0x28, 0xB5, 0x2F, 0xFD, 0x20, 0, 1, 0, 0}
	return map[string][]byte{
		"nothing":               nil,
		"no frame":              []byte("{\"type\":\"bundle\"}"),
		"unpadded":              one,
		"cut short":             good[:end-3],
		"two frames":            pad(slices.Concat(one, one)),
		"frame after padding":   slices.Concat(good, one),
		"padding twice":         slices.Concat(good, []byte{0x50, 0x2A, 0x4D, 0x18, 0, 0, 0, 0}),
		"padding first":         slices.Concat([]byte{0x50, 0x2A, 0x4D, 0x18, 0, 0, 0, 0}, good),
		"padding only":          {0x50, 0x2A, 0x4D, 0x18, 0, 0, 0, 0},
		"other skippable magic": otherMagic,
		"padding not zero":      dirty,
		"too much padding":      append(slices.Clone(good), 0),
		"bare zeros":            append(slices.Clone(one), make([]byte, padded(len(one))-len(one))...),
		"bad checksum":          flipped,
		"no content size":       pad(stream.Bytes()),
		"empty frame":           pad(zero),
		"over MaxOpened":        pad(enc(zstd.WithSingleSegment(true)).EncodeAll(make([]byte, protocol.MaxOpened+1), nil)),
		"wide window":           pad(craft(false, 64, rle(64, true))),
		"says more than it has": pad(craft(true, 1000, rle(999, true))),
		"has more than it says": pad(craft(true, 1000, rle(1001, true))),
		"has much more":         pad(craft(true, 1000, bytes.Repeat(rle(128<<10, false), 60), rle(1, true))),
		"many empty blocks":     pad(craft(true, 10, bytes.Repeat([]byte{0, 0, 0}, 50_000), rle(10, true))),
		"reserved block":        pad(craft(true, 10, []byte{7, 0, 0})),
		"no last block":         pad(craft(true, 10, rle(10, false))),
		"dictionary":            pad(append([]byte{0x28, 0xB5, 0x2F, 0xFD, 0x21, 5, 10}, rle(10, true)...)),
		"huge size":             pad(append([]byte{0x28, 0xB5, 0x2F, 0xFD, 0xE0, 0, 0, 0, 0, 1, 0, 0, 0}, rle(10, true)...)),
	}
}

// craft makes a frame that says it holds size bytes; unless single it asks for a
// window of 1 TiB.
func craft(single bool, size uint16, blocks ...[]byte) []byte {
	head := []byte{0x28, 0xB5, 0x2F, 0xFD, 0x60}
	if !single {
		head = []byte{0x28, 0xB5, 0x2F, 0xFD, 0x40, 30 << 3}
	}
	head = binary.LittleEndian.AppendUint16(head, size-256)
	return append(head, slices.Concat(blocks...)...)
}

// rle is a block of n times the letter a.
func rle(n int, last bool) []byte {
	head := n<<3 | 1<<1
	if last {
		head |= 1
	}
	return []byte{byte(head), byte(head >> 8), byte(head >> 16), 'a'}
}

func TestUnframeRefuses(t *testing.T) {
	for name, data := range hostile(t) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		plain, err := unframe(data)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, protocol.ErrMalformed) {
			t.Errorf("%s: %d bytes, %v", name, len(plain), err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 4*protocol.MaxOpened {
			t.Errorf("%s: allocated %d bytes", name, used)
		}
	}
	if plain, err := unframe(pad(craft(true, 1000, rle(1000, true)))); err != nil || len(plain) != 1000 {
		t.Errorf("the crafted frame that is right: %d bytes, %v", len(plain), err)
	}
	id := newIdentity(t)
	for name, data := range hostile(t) {
		payload, err := encrypt(data, id.recipient)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := OpenBundle(payload, id); !errors.Is(err, protocol.ErrMalformed) {
			t.Errorf("%s, sealed: %v", name, err)
		}
	}
}

// FuzzUnframe checks that what is taken is one frame of the size it says, with
// padding that follows from its length alone.
func FuzzUnframe(f *testing.F) {
	for _, data := range hostile(f) {
		f.Add(data)
	}
	for _, n := range []int{1, 100, 5000} {
		f.Add(must(frame(sample(n))))
	}
	f.Add(pad(craft(true, 1000, rle(1000, true))))
	f.Fuzz(func(t *testing.T, data []byte) {
		plain, err := unframe(data)
		if err != nil {
			if !errors.Is(err, protocol.ErrMalformed) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		end, size, err := frameEnd(data)
		if err != nil || len(plain) != size || len(plain) == 0 || len(plain) > protocol.MaxOpened {
			t.Fatalf("%d bytes where the frame says %d: %v", len(plain), size, err)
		}
		if !bytes.Equal(pad(data[:end]), data) {
			t.Fatal("padded in another way")
		}
		if again, err := unframe(must(frame(plain))); err != nil || !bytes.Equal(again, plain) {
			t.Fatalf("does not come back: %v", err)
		}
	})
}

var fuzzIdentity = func() *Identity {
	id, err := NewIdentity()
	if err != nil {
		panic(err)
	}
	return id
}()

// FuzzOpenDirect gives the opener age files that are damaged anywhere, and
// hostile plaintexts well sealed.
func FuzzOpenDirect(f *testing.F) {
	payload, err := Direct(sample(500), []string{fuzzIdentity.Recipient()})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(payload, false)
	f.Add([]byte("age-encryption.org/v1\n-> X25519 AAAA\n\n--- AAAA\n"), false)
	for _, data := range hostile(f) {
		f.Add(data, true)
	}
	f.Fuzz(func(t *testing.T, data []byte, inner bool) {
		if inner {
			sealed, err := encrypt(data, fuzzIdentity.recipient)
			if err != nil {
				return
			}
			data = sealed
		}
		plain, err := OpenDirect(data, fuzzIdentity)
		if err != nil && !errors.Is(err, protocol.ErrMalformed) && !errors.Is(err, ErrNotForUs) {
			t.Fatalf("an error of another kind: %v", err)
		}
		if err == nil && (len(plain) == 0 || len(plain) > protocol.MaxOpened) {
			t.Fatalf("opened to %d bytes", len(plain))
		}
	})
}

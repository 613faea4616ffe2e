package seal

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"filippo.io/age"
)

// BenchmarkBundle compares sealing and opening 100 KB with zstd alone and age
// alone, the floors: compare within one run.
func BenchmarkBundle(b *testing.B) {
	id := newIdentity(b)
	plain := sample(100_000)
	inner := must(frame(plain))
	payload := must(Bundle(plain, id))
	loop := func(name string, f func() error) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(plain)))
			b.ReportAllocs()
			for b.Loop() {
				if err := f(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	loop("seal", func() error { _, err := Bundle(plain, id); return err })
	loop("seal/zstd-alone", func() error { encoder().EncodeAll(plain, nil); return nil })
	loop("seal/age-alone", func() error {
		w, err := age.Encrypt(io.Discard, id.recipient)
		if err == nil {
			_, err = w.Write(inner)
		}
		if err == nil {
			err = w.Close()
		}
		return err
	})
	loop("open", func() error { _, err := OpenBundle(payload, id); return err })
	loop("open/zstd-alone", func() error { _, err := decoder().DecodeAll(inner, make([]byte, 0, len(plain))); return err })
	loop("open/age-alone", func() error {
		r, err := age.Decrypt(bytes.NewReader(payload), id.key)
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		return err
	})
	b.Logf("%d bytes: %d compressed and padded, %d sealed", len(plain), len(inner), len(payload))
}

// BenchmarkDirect seals to members and finds out that it is for others.
func BenchmarkDirect(b *testing.B) {
	for _, n := range []int{1, 32, 100, 1000} {
		var to []string
		for range n {
			to = append(to, newIdentity(b).Recipient())
		}
		stranger := newIdentity(b)
		var payload []byte
		b.Run(fmt.Sprintf("seal/%d", n), func(b *testing.B) {
			for b.Loop() {
				payload = must(Direct([]byte("x"), to))
			}
		})
		b.Run(fmt.Sprintf("not-for-us/%d", n), func(b *testing.B) {
			b.ReportMetric(float64(len(payload)), "payload-B")
			for b.Loop() {
				_, _ = OpenDirect(payload, stranger)
			}
		})
	}
}

func BenchmarkParseIdentity(b *testing.B) {
	s := newIdentity(b).String()
	for b.Loop() {
		_, _ = ParseIdentity(s)
	}
}

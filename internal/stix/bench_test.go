package stix

import (
	"fmt"
	"testing"
	"time"
)

// benchAuthor and benchBundle are what a share of 2,000 indicators looks like.
var benchAuthor = Author{ID: "identity--f431f809-377b-45e0-aa1c-6a4751cae5ff", Name: "Example", Created: benchNow}

var benchNow = time.Date(2026, 11, 22, 10, 11, 12, 345e6, time.UTC)

func benchObjects(n int) []Object {
	h := Handling{TLP: TLPAmber, Action: ActionDetect, Malware: "VPNFilter", Confidence: 70, Labels: []string{"botnet"}}
	objs := make([]Object, n)
	for i := range objs {
		if i%2 == 0 {
			objs[i] = NewIndicator(benchAuthor, "sha256", fmt.Sprintf("%064x", i*7919), h, benchNow)
		} else {
			objs[i] = NewIndicator(benchAuthor, "ipv4", fmt.Sprintf("198.51.%d.%d", i>>8&255, i&255), h, benchNow)
		}
	}
	return objs
}

func benchBundle(n int) []byte {
	return AppendBundle(nil, "bundle--63ab8e67-acac-4817-845a-d09f0e86954c", benchObjects(n))
}

func perSecond(b *testing.B, n int) {
	b.ReportMetric(float64(b.N)*float64(n)/b.Elapsed().Seconds(), "objects/s")
}

func BenchmarkScan(b *testing.B) {
	data := benchBundle(2000)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		err := Scan(data, func(_ int, _ []byte, f *Facts) error { n += len(f.Values); return nil })
		if err != nil {
			b.Fatal(err)
		}
	}
	perSecond(b, 2000)
}

// BenchmarkScanPlain is Scan over indicators that carry a TLP and no more.
func BenchmarkScanPlain(b *testing.B) {
	objs := make([]Object, 2000)
	for i := range objs {
		objs[i] = NewIndicator(benchAuthor, "sha256", fmt.Sprintf("%064x", i), Handling{TLP: TLPGreen}, benchNow)
	}
	data := AppendBundle(nil, "bundle--63ab8e67-acac-4817-845a-d09f0e86954c", objs)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if err := Scan(data, func(int, []byte, *Facts) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
	perSecond(b, len(objs))
}

func BenchmarkParseBundle(b *testing.B) {
	data := benchBundle(2000)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, problems, err := ParseBundle(data); err != nil || len(problems) > 0 {
			b.Fatal(err, problems)
		}
	}
	perSecond(b, 2000)
}

func BenchmarkNewIndicator(b *testing.B) {
	h := Handling{TLP: TLPAmber, Action: ActionDetect, Malware: "VPNFilter"}
	b.ReportAllocs()
	for b.Loop() {
		NewIndicator(benchAuthor, "domain", "toknowall.com", h, benchNow)
	}
	perSecond(b, 1)
}

func BenchmarkContentHash(b *testing.B) {
	o := benchObjects(1)[0]
	b.ReportAllocs()
	for b.Loop() {
		ContentHash(o)
	}
	perSecond(b, 1)
}

func BenchmarkParsePattern(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParsePattern("[domain-name:value = 'a.example' OR ipv4-addr:value IN ('198.51.100.1', '198.51.100.2')]"); err != nil {
			b.Fatal(err)
		}
	}
	perSecond(b, 1)
}

// BenchmarkWalk is the floor under Scan: what checking the JSON alone costs.
func BenchmarkWalk(b *testing.B) {
	data := benchBundle(2000)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if err := walk(data, func(span) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
	perSecond(b, 2000)
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"

	"github.com/tipmesh/tipmesh/internal/stix"
	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
)

// bundled is how many indicators go into a bundle here: some 200 KiB, as intake
// packs them.
const bundled = 400

// step is one kind of work on a bundle alone, on one processor.
type step struct {
	name string
	run  func() error
}

// newBundle is a STIX bundle of indicators.
func newBundle() []byte {
	objs := append([]stix.Object{author.Identity(), stix.TLPGreen.Marking()}, objects(0, bundled)...)
	return stix.AppendBundle(nil, "", objs)
}

// steps are what a bundle goes through, by themselves.
func steps(bundle []byte) (list []step, err error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	frame := enc.EncodeAll(bundle, nil)
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		return nil, err
	}
	var sealed bytes.Buffer
	encrypt := func(w io.Writer) error {
		a, err := age.Encrypt(w, id.Recipient())
		if err != nil {
			return err
		}
		if _, err := a.Write(frame); err != nil {
			return err
		}
		return a.Close()
	}
	if err := encrypt(&sealed); err != nil {
		return nil, err
	}
	out := make([]byte, 0, 2*len(bundle))
	return []step{
		{"zstd, compress", func() error { out = enc.EncodeAll(bundle, out[:0]); return nil }},
		{"zstd, decompress", func() (err error) { out, err = dec.DecodeAll(frame, out[:0]); return err }},
		{"age, encrypt", func() error { return encrypt(io.Discard) }},
		{"age, decrypt", func() error {
			a, err := age.Decrypt(bytes.NewReader(sealed.Bytes()), id)
			if err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, a)
			return err
		}},
		{"JSON, parsed by encoding/json", func() error { var v any; return json.Unmarshal(bundle, &v) }},
		{"JSON, checked by encoding/json", func() error {
			if !json.Valid(bundle) {
				return fmt.Errorf("the bundle is no JSON")
			}
			return nil
		}},
		{"tipmesh: read for the index, JSON and values", func() error {
			_, err := node.Objects(bundle, protocol.MemberID{1}, author.ID, false, 1, 1)
			return err
		}},
	}, nil
}

// stepped is what a step took.
type stepped struct {
	name string
	took time.Duration
}

// runAlone measures the steps.
func runAlone(ctx context.Context, p *plan, r *report) error {
	bundle := newBundle()
	list, err := steps(bundle)
	if err != nil {
		return err
	}
	took := map[string]time.Duration{}
	for _, s := range list {
		var times []time.Duration
		for began := time.Now(); len(times) < 5 || time.Since(began) < 500*time.Millisecond; {
			at := time.Now()
			if err := s.run(); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			times = append(times, time.Since(at))
		}
		took[s.name] = quantile(times, 0.5)
	}
	for _, s := range list {
		r.steps = append(r.steps, stepped{s.name, took[s.name]})
		p.say("%s: %s", s.name, rate(bundled, took[s.name]))
	}
	r.bundle = len(bundle)
	return ctx.Err()
}

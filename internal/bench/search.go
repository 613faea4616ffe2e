package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/tipmesh/tipmesh/internal/api"
)

// What is searched.
const (
	reports     = 20_000
	reportWords = 200 // in each
	vocabulary  = 30_000
	inOneShare  = 1_000
	searches    = 2_000
)

// runSearch asks for words among reports, over the socket of a node that received
// them.
func runSearch(ctx context.Context, p *plan, r *report) (err error) {
	w, err := newPair(ctx, p, "search")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	chance := rand.New(rand.NewPCG(seed, 5))
	common := rand.NewZipf(chance, 1.1, 4, vocabulary)
	word := func() string { return fmt.Sprintf("w%x", common.Uint64()) }
	for at := 0; at < reports; at += inOneShare {
		body, err := reportBundle(at, inOneShare, word)
		if err != nil {
			return err
		}
		if err := w.shareBundle(ctx, body); err != nil {
			return err
		}
	}
	var took, exact []time.Duration
	hits := 0
	for i := range searches {
		query := word()
		if i%2 == 1 {
			query += " " + word()
		}
		began := time.Now()
		if _, err := w.reader.client.Search(ctx, api.SearchRequest{Query: query}, func(*api.Hit) error { hits++; return nil }); err != nil {
			return fmt.Errorf("search for %s: %w", query, err)
		}
		took = append(took, time.Since(began))
		began = time.Now()
		if _, err := w.reader.client.Lookup(ctx, api.LookupRequest{Values: []string{value(i).Text}}, func(*api.Finding) error { return nil }); err != nil {
			return err
		}
		exact = append(exact, time.Since(began))
	}
	if hits < searches {
		return fmt.Errorf("%d hits of %d searches", hits, searches)
	}
	for _, q := range []struct {
		name, goal string
		at         float64
	}{{"p50", "", 0.5}, {"p99", "at most 20 ms", 0.99}} {
		a, b := quantile(took, q.at), quantile(exact, q.at)
		r.add(row{work: fmt.Sprintf("search for one or two words among %s reports, over the socket, %s", grouped(reports), q.name), ours: brief(a),
			peer: "exact look-up of a value that is not known, over the socket: " + brief(b), ratio: float64(a) / float64(b), goal: q.goal})
	}
	r.note("Search: %s reports of %d words, as unevenly common as in a language (Zipf, of %s); half of the questions are of one word, half of two, drawn in the same way; the first %d hits of each.",
		grouped(reports), reportWords, grouped(vocabulary), api.DefaultHits)
	return nil
}

// reportBundle makes STIX reports.
func reportBundle(from, count int, word func() string) (string, error) {
	const at = "2026-01-01T00:00:00.000Z"
	objects := make([]map[string]any, count)
	for i := range objects {
		text := make([]string, reportWords)
		for k := range text {
			text[k] = word()
		}
		objects[i] = map[string]any{"type": "report", "spec_version": "2.1", "id": fmt.Sprintf("report--%08x-377b-45e0-aa1c-6a4751cae5ff", from+i),
			"created": at, "modified": at, "published": at, "name": "Report on " + word() + " " + word(), "description": strings.Join(text, " "),
			"object_refs": []string{"malware--22222222-377b-45e0-aa1c-6a4751cae5ff"}}
	}
	body, err := json.Marshal(map[string]any{"type": "bundle", "id": fmt.Sprintf("bundle--%08x-377b-45e0-aa1c-6a4751cae5ff", from), "objects": objects})
	if err != nil {
		return "", fmt.Errorf("make reports: %w", err)
	}
	return string(body), nil
}

// shareBundle shares STIX and waits until the reader's index has it.
func (w *pair) shareBundle(ctx context.Context, body string) error {
	a0, err := w.author.client.Status(ctx, "", 0)
	if err != nil {
		return err
	}
	b0, err := w.reader.client.Status(ctx, "", 0)
	if err != nil {
		return err
	}
	s, err := w.author.client.Share(ctx, api.ShareRequest{Body: strings.NewReader(body), Name: "bundle.json", To: "everyone", TLP: "green"})
	if err != nil {
		return fmt.Errorf("share: %w", err)
	}
	if !s.Durable {
		return errors.New("share: not acknowledged")
	}
	a1, err := w.author.client.Status(ctx, "", 0)
	if err != nil {
		return err
	}
	return w.reader.indexed(ctx, b0.Store.Arrivals+a1.Store.Arrivals-a0.Store.Arrivals)
}

package api

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"path"
	"runtime"
	"strings"
	"time"

	jsonx "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/sync/errgroup"

	"github.com/tipmesh/tipmesh/internal/observable"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
)

const (
	lookupRun   = 1024
	lookupPart  = 64 // values that are judged by one goroutine
	lookupAhead = 2  // runs that are judged before they are written
	maxLookups  = 1_000_000
)

// asked is one value to look up.
type asked struct {
	value observable.Value
	line  int
}

// lookup answers POST /v1/lookup, a line for each value and a summary.
func (s *Server) lookup(w http.ResponseWriter, r *http.Request) error {
	began := time.Now()
	if err := s.enter(r.Context()); err != nil {
		return err
	}
	var q LookupRequest
	err := read(r, &q)
	s.leave()
	if err != nil {
		return err
	}
	all, unread, err := s.parseLookup(&q)
	if err != nil {
		return err
	}
	if err := s.n.CatchUp(r.Context()); err != nil {
		return err
	}
	iq, err := s.inquire(&q)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	sum := LookupSummary{Kind: "summary", Values: len(all), Verdicts: map[string]int{}, UnreadLines: orEmpty(unread)}
	if err := iq.answer(r.Context(), w, all, &sum); err != nil {
		s.write(w, s.coded(err)) // the answer has begun: the error is its last line
		return nil
	}
	sum.Skipped = overQuota(s.n.Withheld())
	sum.Searched, sum.TookS = s.n.Store().Index().Count(), time.Since(began).Seconds()
	s.write(w, sum)
	return nil
}

func (s *Server) parseLookup(q *LookupRequest) (all []asked, unread []int, err error) {
	switch {
	case q.Text != "" && len(q.Values) > 0:
		return nil, nil, Errorf(CodeInvalid, "give values or a text, not both")
	case q.Text != "":
		return readLookup(q.Text)
	case len(q.Values) == 0:
		return nil, nil, Errorf(CodeInvalid, "nothing to look up: give a value, or - for text")
	}
	for _, text := range q.Values {
		v, err := parseValue(text)
		if err != nil {
			return nil, nil, Errorf(CodeInvalid, "%.128q is nothing to look up: %v", text, err).
				WithHint("an address, network, domain, URL, mail address, hash or file name; for a text use -")
		}
		all = append(all, asked{value: v})
	}
	return all, nil, nil
}

// parseValue reads one value; what is none but has a file's extension is a file
// name.
func parseValue(text string) (observable.Value, error) {
	v, err := observable.Parse(text)
	if err == nil {
		return v, nil
	}
	name := strings.TrimSpace(text)
	if ext := path.Ext(name); len(ext) > 1 && len(ext) <= 6 && len(ext) < len(name) && !strings.ContainsAny(name, "/\\:@[]() \t") && letter(ext[1:]) {
		if v, err := observable.ParseAs(observable.Filename, name); err == nil {
			return v, nil
		}
	}
	return v, err
}

// letter tells whether an extension is letters and digits, one letter at least.
func letter(ext string) bool {
	letters := 0
	for i := range len(ext) {
		c := ext[i] | 0x20
		switch {
		case c >= 'a' && c <= 'z':
			letters++
		case ext[i] < '0' || ext[i] > '9':
			return false
		}
	}
	return letters > 0
}

// readLookup finds the values of a text, each once, and the lines that have none.
func readLookup(text string) (all []asked, unread []int, err error) {
	found, whole := observable.ExtractAtMost(text, maxLookups)
	if !whole {
		return nil, nil, Errorf(CodeInvalid, "the text has more than %d values", maxLookups).WithHint("split it")
	}
	seen, lines := map[observable.Value]bool{}, map[int]bool{}
	for _, f := range found {
		if f.Value.Type == "" || f.Value.Text == "" {
			continue
		}
		lines[f.Line] = true
		if !seen[f.Value] {
			seen[f.Value] = true
			all = append(all, asked{f.Value, f.Line})
		}
	}
	n := 0
	for line := range strings.Lines(text) {
		n++
		if !lines[n] && strings.TrimSpace(line) != "" {
			unread = append(unread, n)
		}
	}
	return all, unread, nil
}

// answer writes a line for each value, in their order. While some are written the
// next ones are judged.
func (q *inquiry) answer(ctx context.Context, w io.Writer, all []asked, sum *LookupSummary) error {
	g, ctx := errgroup.WithContext(ctx)
	judged := make(chan []part, lookupAhead)
	g.Go(func() error {
		defer close(judged)
		for len(all) > 0 {
			run := all[:min(len(all), lookupRun)]
			all = all[len(run):]
			parts, err := q.run(ctx, run)
			if err != nil {
				return err
			}
			select {
			case judged <- parts:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	g.Go(func() error {
		for parts := range judged {
			for i := range parts {
				for word, n := range parts[i].verdicts {
					sum.Verdicts[word] += n
				}
				if _, err := w.Write(parts[i].lines.Bytes()); err != nil {
					q.s.log.Debug("write answer", "err", err) // the caller has gone: the context ends too
				}
			}
		}
		return nil
	})
	return g.Wait()
}

// run judges some values.
func (q *inquiry) run(ctx context.Context, run []asked) ([]part, error) {
	var values []store.Value
	var of []int // the value's place in run
	for i, a := range run {
		for _, v := range twins(a.value) {
			values = append(values, store.Value{Type: string(v.Type), Text: v.Text})
			of = append(of, i)
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	found, err := q.s.n.Lookup(values)
	if err != nil {
		return nil, err
	}
	merged := make([][]store.Object, len(run))
	for i := range found {
		if of := of[i]; merged[of] == nil {
			merged[of] = found[i]
		} else {
			merged[of] = join(merged[of], found[i])
		}
	}
	parts := make([]part, (len(run)+lookupPart-1)/lookupPart)
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for n := range parts {
		from := n * lookupPart
		to := min(from+lookupPart, len(run))
		g.Go(func() error { return q.part(&parts[n], run[from:to], merged[from:to]) })
	}
	return parts, g.Wait()
}

// part is a part of an answer.
type part struct {
	lines    bytes.Buffer
	verdicts map[string]int
}

// part judges some values and writes a line each.
func (q *inquiry) part(p *part, run []asked, objects [][]store.Object) error {
	p.verdicts = map[string]int{}
	for i, a := range run {
		f, err := q.finding(a, objects[i])
		if err == nil && q.nearMost > 0 {
			f.Near, err = q.near(a.value, q.nearMost)
		}
		if err != nil {
			return err
		}
		p.verdicts[f.Verdict]++
		// What others wrote need not be UTF-8. This package is several times as fast
		// as encoding/json.
		if err := jsonx.MarshalWrite(&p.lines, f, jsontext.AllowInvalidUTF8(true)); err != nil {
			return fmt.Errorf("write a finding: %w", err)
		}
		p.lines.WriteByte('\n')
	}
	return nil
}

// join adds what is about a value's twin to what is about the value, once where
// an object is about both.
func join(list, more []store.Object) []store.Object {
	type key struct {
		member protocol.MemberID
		id     string
	}
	seen := make(map[key]bool, len(list))
	for i := range list {
		seen[key{list[i].Member, list[i].ID}] = true
	}
	for _, o := range more {
		if !seen[key{o.Member, o.ID}] {
			list = append(list, o)
		}
	}
	return list
}

// twins gives a value and, for a URL, what it is with the other scheme.
func twins(v observable.Value) []observable.Value {
	out := []observable.Value{v}
	if v.Type != observable.URL || !strings.HasPrefix(v.Text, "http") {
		return out
	}
	rest := v.Schemeless()
	for _, scheme := range []string{"http://", "https://"} {
		if t, err := observable.ParseAs(observable.URL, scheme+rest); err == nil && t.Text != v.Text {
			out = append(out, t)
		}
	}
	return out
}

// decision is what we decided about whoever shared an object. We use our own.
func (s *Server) decision(o *store.Object) trust.Decision {
	if o.Member == s.n.Member() {
		return trust.Decision{Use: trust.UseBlock}
	}
	return s.n.Trust(o.Member)
}

func (s *Server) assertion(o *store.Object, d trust.Decision) Assertion {
	x := Assertion{Member: s.name(o.Member), Ref: objectRef(o.ID), ID: o.ID, Type: o.Type, Says: o.Summary.Says, Action: o.Summary.Action,
		Reliability: d.Reliability, Use: d.Use.String(), TLP: o.Summary.TLP, FirstSeen: at(o.Summary.FirstSeen), LastSeen: at(o.Summary.LastSeen),
		ValidFrom: at(o.Summary.ValidFrom), ValidUntil: at(o.Summary.ValidUntil), Received: at(o.Summary.Received), Modified: at(o.Modified),
		Share: shareRef(o.Summary.Share), RelayedFrom: o.Summary.CreatedBy, Partial: o.Summary.Partial, Revoked: o.Revoked, Live: s.live(o),
		Claim: claimWord(claimOf(o))}
	if o.Summary.Confidence >= 0 {
		c := o.Summary.Confidence
		x.Confidence = &c
	}
	return x
}

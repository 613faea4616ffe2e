package api

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
)

// Bounds of one answer.
const (
	mostScanned = 20_000 // objects that are judged
	mostRelated = 2000   // objects taken that refer to what a filter names, and opinions or sightings read
	mostNamed   = 256    // things of the name in one filter
)

// search answers POST /v1/search: a line for each hit and a summary.
func (s *Server) search(w http.ResponseWriter, r *http.Request) error {
	began := time.Now()
	var req SearchRequest
	if err := read(r, &req); err != nil {
		return err
	}
	if req.Limit < 0 || req.Limit > MaxHits {
		return Errorf(CodeInvalid, "limit is 1 to %d: for more ask on with after", MaxHits)
	}
	if req.Limit == 0 {
		req.Limit = DefaultHits
	}
	if err := s.n.CatchUp(r.Context()); err != nil {
		return err
	}
	x, err := s.searching(&req)
	if err != nil {
		return err
	}
	if err := x.run(); err != nil {
		if errors.Is(err, store.ErrBroad) {
			return Errorf(CodeInvalid, "too broad: %v", err).WithHint("give more of the word, or a word more")
		}
		return err
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	for i := range x.hits {
		s.write(w, &x.hits[i])
	}
	x.sum.Shown, x.sum.Searched = len(x.hits), s.n.Store().Index().Count()
	if x.next != 0 {
		x.sum.Next = searchCursor{x.next, x.seen}.String()
	} else if req.After == "" {
		x.sum.Total = &x.sum.Shown
	}
	x.sum.TookS = time.Since(began).Seconds()
	s.write(w, &x.sum)
	if x.q.fresh && req.After == "" && r.Context().Err() == nil {
		return s.sawSearch(r.Context(), x.saved, x.upTo)
	}
	return nil
}

// searchCursor is where an answer ended, and what counts as new in what follows.
type searchCursor struct{ before, seen uint64 }

func (c searchCursor) String() string {
	return strconv.FormatUint(c.before, 36) + "." + strconv.FormatUint(c.seen, 36)
}

func parseSearchCursor(text string) (c searchCursor, err error) {
	before, seen, ok := strings.Cut(text, ".")
	if c.before, err = strconv.ParseUint(before, 36, 64); err == nil && ok {
		c.seen, err = strconv.ParseUint(seen, 36, 64)
	}
	if err != nil || !ok || c.before == 0 {
		return c, Errorf(CodeInvalid, "after %.40q is no cursor of a search", text)
	}
	return c, nil
}

// searching is one search under way.
type searching struct {
	s      *Server
	q      *searchQuery
	limit  int
	before uint64 // position that the answer before ended at; 0: none
	seen   uint64 // arrival up to which nothing is new
	upTo   uint64 // arrivals that were searched
	saved  string // the name of the search

	snippets bool

	hits    []Hit
	next    uint64
	sum     SearchSummary
	unused  int
	refs    *references
	content contents
}

func (s *Server) searching(req *SearchRequest) (*searching, error) {
	x := &searching{s: s, limit: req.Limit, saved: req.Saved, snippets: req.Snippets, upTo: s.n.Store().Index().Checkpoint(), content: contents{s: s}}
	text := req.Query
	if req.Saved != "" {
		if text != "" {
			return nil, Errorf(CodeInvalid, "give a query or the name of a saved one, not both")
		}
		k, err := s.savedSearch(req.Saved)
		if err != nil {
			return nil, err
		}
		text, x.seen = k.Query, k.seenIn(s)
	}
	var err error
	if x.q, err = s.parseSearch(text); err != nil {
		return nil, err
	}
	if x.q.fresh && req.Saved == "" {
		return nil, Errorf(CodeInvalid, "is:new is for saved searches: new is what came since one was last run").
			WithHint("tipmesh search --save NAME WORDS is:new, then tipmesh search --saved NAME")
	}
	if !x.q.fresh {
		x.seen = 0
	}
	if req.After != "" {
		c, err := parseSearchCursor(req.After)
		if err != nil {
			return nil, err
		}
		x.before, x.seen = c.before, c.seen
	}
	if x.refs, err = s.references(); err != nil {
		return nil, err
	}
	x.sum = SearchSummary{Kind: "summary", Query: text, WorkingOn: []Name{}}
	return x, nil
}

// run finds the hits. What drives it is the narrowest there is: a name, words, or
// what is said of things.
func (x *searching) run() (err error) {
	q := x.q
	switch {
	case len(q.families) > 0:
		err = x.byFamilies()
	case len(q.byText().Tokens) > 0 || q.prefix != "":
		if q.kind == "indicator" || q.kind != "" && strings.HasSuffix(q.kind, "-addr") {
			x.note("indicators are found here by a text of their own or by malware:NAME; by their values with tipmesh lookup")
		}
		err = x.byWords(nil)
	case q.disputed:
		err = x.bySaid("opinion")
	case q.sighted:
		err = x.bySaid("sighting")
	default:
		return Errorf(CodeInvalid, "a time alone finds nothing: add a word or a filter").WithHint("as type:report since:7d")
	}
	if x.unused > 0 {
		x.sum.Skipped = append(x.sum.Skipped, Skipped{Reason: "trust_use", Count: x.unused, Text: "said by members of whom nothing is used here"})
	}
	if x.sum.Held > 0 {
		x.sum.Skipped = append(x.sum.Skipped, Skipped{Reason: node.ReasonHeld, Count: x.sum.Held, Text: "said by members whose intelligence is held here"})
	}
	return err
}

func (x *searching) note(text string) {
	if !slices.Contains(x.sum.Notes, text) {
		x.sum.Notes = append(x.sum.Notes, text)
	}
}

// byWords reads the store's answer until there are enough hits. in, where not nil,
// are the objects that count.
func (x *searching) byWords(in map[string]bool) error {
	query := x.q.byText()
	query.Before = x.before
	for scanned := 0; ; {
		query.Limit = min(max(x.limit-len(x.hits), 16), 1024)
		list, next, err := x.s.n.Store().Index().Search(query)
		if err != nil {
			return fmt.Errorf("search: %w", err)
		}
		for _, o := range x.s.n.Visible(list) {
			if len(x.hits) == x.limit {
				return nil
			}
			if o.Arrival <= x.seen {
				return x.end()
			}
			if in == nil || in[o.ID] {
				if err := x.take(&o); err != nil {
					return err
				}
			}
			// More may follow: where to go on, unless the end comes first.
			x.next = store.PositionOf(&o)
		}
		if next == 0 {
			return x.end()
		}
		x.next, query.Before = next, next
		if scanned += len(list) + 1; len(x.hits) >= x.limit || scanned >= mostScanned {
			return nil
		}
	}
}

func (x *searching) end() error {
	x.next = 0
	return nil
}

// take makes a hit of an object, if it is used here and stands.
func (x *searching) take(o *store.Object) error {
	if ok, err := x.stands(o); !ok || err != nil {
		return err
	}
	x.hits = append(x.hits, x.hit(o))
	return nil
}

// stands tells whether an object is to be shown.
func (x *searching) stands(o *store.Object) (bool, error) {
	s := x.s
	if !x.q.takes(o) || !s.live(o) || o.Arrival <= x.seen {
		return false, nil
	}
	if ok, err := x.said(o); !ok || err != nil {
		return false, err
	}
	switch s.decision(o).Use {
	case trust.UseNone:
		x.unused++
		return false, nil
	case trust.UseHold:
		x.sum.Held++
		return false, nil
	}
	if o.Type != "indicator" {
		return true, nil
	}
	// Its lifetime depends on what it is about.
	c := x.content.of(o)
	if c == nil {
		x.note("some indicators were left out: their entries are gone, or too many to open")
		return false, nil
	}
	return s.inForce(o, c.values)
}

func (x *searching) hit(o *store.Object) Hit {
	h := Hit{Kind: "hit", Ref: objectRef(o.ID), ID: o.ID, Type: o.Type, Title: titleOf(o), Member: x.s.name(o.Member), TLP: o.Summary.TLP,
		Time: at(o.Summary.Received)}
	if isShare(o) {
		h.Type, h.Ref = node.TypeShare, shareRef(o.ID)
	}
	if x.snippets && (x.content.has(o) || len(x.content.have) < mostOpened) || o.Type == "indicator" {
		if c := x.content.of(o); c != nil {
			h.Values = c.values[:min(len(c.values), mostHitValues)]
			if x.snippets {
				h.Snippet = c.snippet(x.q.shown)
			}
		}
	}
	return h
}

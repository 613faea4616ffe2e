package api

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tipmesh/tipmesh/internal/observable"
	"github.com/tipmesh/tipmesh/internal/stix"
	"github.com/tipmesh/tipmesh/internal/words"
	"github.com/tipmesh/tipmesh/node"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// Bounds of a query.
const (
	maxQuery      = 4096 // bytes
	maxQueryTerms = 64
)

// searchKeys are the filters of a search.
const searchKeys = "type member tlp label malware actor technique since until is has"

// family is a filter by name: of the things of that name and of what refers to
// them.
type family struct {
	text string // as it was asked
	q    store.Query
}

// searchQuery is a query that was read.
type searchQuery struct {
	tokens       []string // of words and labels: only what has text of its own has them
	prefix       string   // the word with * at its end
	shown        []string // the words, for snippets
	kind, tlp    string
	member       *protocol.MemberID
	families     []family
	since, until int64

	fresh, disputed, sighted bool
}

// parseSearch reads a query.
func (s *Server) parseSearch(text string) (*searchQuery, error) {
	if len(text) > maxQuery {
		return nil, Errorf(CodeInvalid, "a search has at most %d bytes", maxQuery)
	}
	terms, err := splitTerms(text)
	switch {
	case err != nil:
		return nil, err
	case len(terms) == 0:
		return nil, Errorf(CodeInvalid, "search what? give words or filters").WithHint("as vpnfilter since:14d; filters are %s", listedKeys())
	case len(terms) > maxQueryTerms:
		return nil, Errorf(CodeInvalid, "a search has at most %d words and filters", maxQueryTerms)
	}
	q := &searchQuery{}
	for _, t := range terms {
		if err := s.addTerm(q, t); err != nil {
			return nil, err
		}
	}
	return q, nil
}

// splitTerms splits at blanks outside of quotes, and takes the quotes off.
func splitTerms(text string) (terms []string, err error) {
	var b strings.Builder
	quoted, begun := false, false
	for _, r := range text + " " {
		switch {
		case r == '"':
			quoted, begun = !quoted, true
		case !quoted && (r == ' ' || r == '\t' || r == '\n' || r == '\r'):
			if begun && b.Len() > 0 {
				terms = append(terms, b.String())
			}
			b.Reset()
			begun = false
		default:
			begun = true
			b.WriteRune(r)
		}
	}
	if quoted {
		return nil, Errorf(CodeInvalid, "a quote in %.80q has no end", text)
	}
	return terms, nil
}

func listedKeys() string { return strings.Join(strings.Fields(searchKeys), ": ") + ":" }

func (s *Server) addTerm(q *searchQuery, term string) error {
	key, value, ok := strings.Cut(term, ":")
	key = strings.ToLower(key)
	switch {
	case !ok || !slices.Contains(strings.Fields(searchKeys), key):
		if ok && looksLikeKey(key, value) {
			return Errorf(CodeInvalid, "%.80q is no filter of a search", term).WithHint("filters are %s", listedKeys())
		}
		return q.addWords(term)
	case strings.TrimSpace(value) == "":
		return Errorf(CodeInvalid, "%s: of what?", key).WithHint("as %s", map[string]string{"since": "since:7d", "is": "is:disputed", "has": "has:sighting"}[key])
	}
	return s.addFilter(q, key, strings.TrimSpace(value))
}

// looksLikeKey tells a mistyped filter from a word with a colon: a URL, an address,
// a hash with its kind.
func looksLikeKey(key, value string) bool {
	if value == "" || strings.HasPrefix(value, "//") || strings.ContainsFunc(key, func(r rune) bool { return r < 'a' || r > 'z' }) {
		return false
	}
	_, err := observable.Parse(observable.Refang(key + ":" + value))
	return err != nil
}

func (q *searchQuery) addWords(term string) error {
	whole, cut := strings.CutSuffix(term, "*")
	tokens := words.Query(whole)
	if len(tokens) == 0 {
		return Errorf(CodeInvalid, "%.80q has nothing to search for", term)
	}
	if cut {
		if q.prefix != "" {
			return Errorf(CodeInvalid, "%.80q: one word of a search may end in *", term)
		}
		last := len(tokens) - 1
		q.prefix, tokens = tokens[last], tokens[:last]
		q.shown = append(q.shown, q.prefix)
	}
	q.tokens = append(q.tokens, tokens...)
	q.shown = append(q.shown, tokens...)
	return nil
}

func (s *Server) addFilter(q *searchQuery, key, value string) (err error) {
	twice := false
	switch key {
	case "type":
		twice = q.kind != ""
		q.kind = strings.ToLower(value)
	case "member":
		m, err := s.find(value)
		if err != nil {
			return err
		}
		twice = q.member != nil && *q.member != m.ID
		q.member = &m.ID
	case "tlp":
		t, err := stix.ParseTLP(value)
		if err != nil {
			return Errorf(CodeInvalid, "%v", err)
		}
		twice = q.tlp != ""
		q.tlp = string(t)
	case "label":
		q.tokens = append(q.tokens, words.Facet(node.FacetLabel, value))
	case "malware", "actor", "technique":
		f := family{text: key + ":" + value}
		if whole, cut := strings.CutSuffix(value, "*"); cut {
			f.q.Prefix = words.Facet(key, whole)
		} else {
			f.q.Tokens = []string{words.Facet(key, value)}
		}
		q.families = append(q.families, f)
	case "since":
		q.since, err = s.searchTime(value)
	case "until":
		q.until, err = s.searchTime(value)
	case "is", "has":
		return q.addState(key + ":" + strings.ToLower(value))
	}
	if twice {
		return Errorf(CodeInvalid, "%s: is there twice: nothing has both", key)
	}
	return err
}

func (q *searchQuery) addState(term string) error {
	switch term {
	case "is:new":
		q.fresh = true
	case "is:disputed":
		q.disputed = true
	case "has:sighting":
		q.sighted = true
	case "is:early":
		return Errorf(CodeInvalid, "is:early: early shares do not exist yet, so none can be found")
	default:
		return Errorf(CodeInvalid, "%.80q is no filter of a search", term).WithHint("is:new, is:disputed, has:sighting")
	}
	return nil
}

// searchTime reads a date, a time, or a duration that ends now.
func (s *Server) searchTime(text string) (int64, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UnixMilli(), nil
		}
	}
	d, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n float64
		n, err = strconv.ParseFloat(days, 64)
		d = time.Duration(n * 24 * float64(time.Hour))
		if n > 36500 {
			d = -1
		}
	}
	if err != nil || d < 0 {
		return 0, Errorf(CodeInvalid, "%.40q is no time: want 2018-05-23, 2018-05-23T13:00:00Z or a duration as 14d", text)
	}
	return s.now().Add(-d).UnixMilli(), nil
}

// byText is the query of the store, for what has text of its own.
func (q *searchQuery) byText() store.Query {
	out := store.Query{Tokens: slices.Clone(q.tokens), Prefix: q.prefix, Since: q.since, Until: q.until}
	if q.kind != "" {
		out.Tokens = append(out.Tokens, words.Facet(node.FacetType, q.kind))
	}
	if q.tlp != "" {
		out.Tokens = append(out.Tokens, words.Facet(node.FacetTLP, q.tlp))
	}
	if q.member != nil {
		out.Tokens = append(out.Tokens, node.MemberFacet(*q.member))
	}
	return out
}

// takes tells whether an object is of the type, label, member and time asked for.
func (q *searchQuery) takes(o *store.Object) bool {
	kind := o.Type
	if isShare(o) {
		kind = node.TypeShare
	}
	return (q.kind == "" && o.Type != "relationship" || q.kind == kind) && (q.tlp == "" || q.tlp == o.Summary.TLP) &&
		(q.member == nil || *q.member == o.Member) && o.Summary.Received >= q.since && (q.until == 0 || o.Summary.Received < q.until)
}

// isShare tells whether an object is the record of a share.
func isShare(o *store.Object) bool { return o.Type == "grouping" && o.Summary.Share == o.ID }

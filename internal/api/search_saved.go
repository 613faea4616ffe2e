package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/tipmesh/tipmesh/store"
)

// Bounds of saved searches.
const (
	mostSaved    = 200
	maxSavedName = 64
	savedPrefix  = "search/" // of the settings that hold them
)

// keptSearch is a saved search as the store holds it.
type keptSearch struct {
	Query string `json:"query"`
	// Seen is the arrival up to which it has answered, in the store's Incarnation.
	Seen        uint64 `json:"seen,omitempty"`
	Incarnation string `json:"incarnation,omitempty"`
}

// seenIn is 0 where arrivals were numbered anew since.
func (k *keptSearch) seenIn(s *Server) uint64 {
	if k.Incarnation != s.n.Store().Incarnation().String() {
		return 0
	}
	return k.Seen
}

func checkSavedName(name string) error {
	ok := name != "" && len(name) <= maxSavedName && strings.IndexFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	}) < 0
	if !ok {
		return Errorf(CodeInvalid, "%.80q is no name of a search: want a-z, 0-9, - and _, at most %d", name, maxSavedName)
	}
	return nil
}

func (s *Server) savedSearch(name string) (k keptSearch, err error) {
	if err := checkSavedName(name); err != nil {
		return k, err
	}
	raw, err := s.n.Store().Setting(savedPrefix + name)
	if errors.Is(err, store.ErrNotFound) {
		return k, Errorf(CodeNotFound, "no search is saved as %s", name).WithHint("tipmesh search --saved lists them")
	}
	if err != nil {
		return k, fmt.Errorf("read search %s: %w", name, err)
	}
	if err := json.Unmarshal(raw, &k); err != nil {
		return k, fmt.Errorf("read search %s: %w", name, err)
	}
	return k, nil
}

func (s *Server) keepSearch(ctx context.Context, name string, k *keptSearch) error {
	var raw []byte // nil deletes
	if k != nil {
		k.Incarnation = s.n.Store().Incarnation().String()
		var err error
		if raw, err = json.Marshal(k); err != nil {
			return err
		}
	}
	if _, err := s.n.Store().Commit(ctx, &store.Commit{Settings: map[string][]byte{savedPrefix + name: raw}}); err != nil {
		return fmt.Errorf("keep search %s: %w", name, err)
	}
	return nil
}

// sawSearch notes up to where a saved search has answered.
func (s *Server) sawSearch(ctx context.Context, name string, upTo uint64) error {
	k, err := s.savedSearch(name)
	if err != nil || k.seenIn(s) >= upTo {
		return err
	}
	k.Seen = upTo
	return s.keepSearch(ctx, name, &k)
}

// searches answers GET /v1/searches.
func (s *Server) searches(w http.ResponseWriter, _ *http.Request) error {
	list, err := s.savedSearches()
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	for i := range list {
		s.write(w, &list[i])
	}
	s.write(w, struct {
		Kind  string `json:"kind"` // summary
		Total int    `json:"total"`
	}{"summary", len(list)})
	return nil
}

func (s *Server) savedSearches() (list []SavedSearch, err error) {
	err = s.n.Store().Settings(savedPrefix, func(name string, raw []byte) error {
		var k keptSearch
		if err := json.Unmarshal(raw, &k); err != nil {
			return fmt.Errorf("read search %s: %w", name, err)
		}
		list = append(list, SavedSearch{Kind: "search", Name: strings.TrimPrefix(name, savedPrefix), Query: k.Query})
		return nil
	})
	return list, err
}

// saveSearch answers PUT /v1/searches/{name}. What arrived before is not new to it.
func (s *Server) saveSearch(w http.ResponseWriter, r *http.Request) error {
	var req SearchRequest
	if err := read(r, &req); err != nil {
		return err
	}
	name := r.PathValue("name")
	if err := checkSavedName(name); err != nil {
		return err
	}
	if _, err := s.parseSearch(req.Query); err != nil {
		return err
	}
	list, err := s.savedSearches()
	if err != nil {
		return err
	}
	if len(list) >= mostSaved && !slices.ContainsFunc(list, func(k SavedSearch) bool { return k.Name == name }) {
		return Errorf(CodeConflict, "%d searches are saved, no more are", len(list)).WithHint("tipmesh search --forget NAME")
	}
	if err := s.keepSearch(r.Context(), name, &keptSearch{Query: req.Query}); err != nil {
		return err
	}
	return s.answer(w, &SavedSearch{Kind: "search", Name: name, Query: req.Query})
}

// forgetSearch answers DELETE /v1/searches/{name}.
func (s *Server) forgetSearch(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	k, err := s.savedSearch(name)
	if err != nil {
		return err
	}
	if err := s.keepSearch(r.Context(), name, nil); err != nil {
		return err
	}
	return s.answer(w, &SavedSearch{Kind: "search", Name: name, Query: k.Query})
}

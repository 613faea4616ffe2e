package api

import (
	"github.com/tipmesh/tipmesh/internal/stix"
	"github.com/tipmesh/tipmesh/store"
)

// live tells whether an object still holds by what its author says. One whose time
// has not begun does too: clocks differ. Lifetimes are not looked at: see inForce.
func (s *Server) live(o *store.Object) bool {
	end := o.Summary.ValidUntil
	return !o.Revoked && (end == 0 || end > s.now().UnixMilli() || end > s.n.Present().UnixMilli())
}

// inForce tells whether an object that is about values still holds, by its author's
// end and by the lifetimes of the house rules.
func (s *Server) inForce(o *store.Object, values []Value) (bool, error) {
	if !s.live(o) {
		return false, nil
	}
	about := make([]store.Value, len(values))
	for i, v := range values {
		about[i] = store.Value{Type: v.Type, Text: v.Text}
	}
	ended, err := s.n.Ended(o, about)
	return !ended, err
}

// inForceStill is inForce for an object whose values are not at hand. Only of what
// may have a lifetime is the entry opened.
func (s *Server) inForceStill(o *store.Object) (bool, error) {
	if !s.live(o) || o.Type != "indicator" {
		return s.live(o), nil
	}
	raw, _, err := s.raw(o)
	if err != nil {
		return false, err
	}
	facts := stix.FactsOf(stix.Object{Raw: raw})
	return s.inForce(o, valuesOf(&facts))
}

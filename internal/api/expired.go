package api

import "github.com/tipmesh/tipmesh/store"

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

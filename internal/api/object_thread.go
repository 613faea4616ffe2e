package api

import (
	"cmp"
	"slices"

	"github.com/tipmesh/tipmesh/internal/stix"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
)

const (
	mostThread    = 1000 // objects that refer to one, of more the newest
	mostRelations = 200
	maxThreadText = 8 << 10 // bytes of a note or an explanation
)

// thread finds what members said about an object, oldest first by their clocks, and
// what it has to do with.
func (s *Server) thread(out *Object) error {
	list, err := s.n.Store().Index().Referring(out.ID, mostThread)
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(s.n.Visible(list), func(o store.Object) bool { return o.Revoked || s.decision(&o).Use < trust.UseRead })
	slices.SortStableFunc(list, func(a, b store.Object) int { return cmp.Compare(a.Arrival, b.Arrival) })
	for i := range list {
		o := &list[i]
		switch o.Type {
		case "note", "opinion", "sighting", "relationship", "report", "grouping":
		default:
			continue
		}
		raw, _, err := s.raw(o)
		if err != nil {
			continue // its payload has gone
		}
		x := readWording(raw)
		switch o.Type {
		case "relationship":
			s.relate(out, o, x)
		case "report", "grouping":
			s.related(out, Relation{Type: "in", Out: true, Other: ObjectLine{Ref: objectRef(o.ID), ID: o.ID, Type: o.Type, Says: o.Summary.Says},
				Member: s.name(o.Member), Ref: objectRef(o.ID)})
		default:
			out.Thread = append(out.Thread, s.saidOf(o, x))
		}
	}
	slices.SortStableFunc(out.Thread, func(a, b Said) int { return a.Time.Compare(b.Time) })
	return nil
}

func (s *Server) saidOf(o *store.Object, x *wording) Said {
	t := Said{Time: at(o.Modified), Member: s.name(o.Member), What: o.Type, Ref: objectRef(o.ID), ID: o.ID, TLP: o.Summary.TLP, RelayedFrom: o.Summary.CreatedBy}
	switch o.Type {
	case "note":
		t.Text = x.Content
		if x.Abstract != "" {
			t.Text = x.Abstract + "\n" + x.Content
		}
	case "opinion":
		t.Says, t.Text = x.Opinion, x.Explanation
	case "sighting":
		t.What, t.Count = WhatSeen, min(max(1, x.Count), maxSightingCount)
		t.First, t.Last, t.Text = at(o.Summary.FirstSeen), at(o.Summary.LastSeen), x.Description
	}
	t.Text = shortened(t.Text, maxThreadText)
	return t
}

// relate adds a relationship, seen from the object shown.
func (s *Server) relate(out *Object, o *store.Object, x *wording) {
	r := Relation{Type: x.Kind, Out: x.Source == out.ID, Member: s.name(o.Member), Ref: objectRef(o.ID)}
	other := x.Source
	if r.Out {
		other = x.Target
	}
	r.Other = ObjectLine{Ref: objectRef(other), ID: other, Type: stix.IDType(other)}
	if list, err := s.n.Store().Index().ByID(other); err == nil {
		for _, y := range s.n.Visible(list) {
			if s.decision(&y).Use >= trust.UseRead {
				r.Other.Says, r.Other.Withdrawn = y.Summary.Says, y.Revoked
				break
			}
		}
	}
	s.related(out, r)
}

func (s *Server) related(out *Object, r Relation) {
	if len(out.Relations) < mostRelations {
		out.Relations = append(out.Relations, r)
	}
}

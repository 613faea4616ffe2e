package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/tipmesh/tipmesh/internal/observable"
	"github.com/tipmesh/tipmesh/internal/stix"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/protocol/trust"
	"github.com/tipmesh/tipmesh/store"
)

const (
	mostCandidates = 64
	mostListed     = 1000 // objects of a share
	mostParts      = 100_000
	mostOpened     = 16 // entries of a share that are opened for the values in them
)

// show answers GET /v1/object/{ref}.
func (s *Server) show(w http.ResponseWriter, r *http.Request) error {
	if err := s.n.CatchUp(r.Context()); err != nil {
		return err
	}
	list, asShare, err := s.resolve(r.PathValue("ref"))
	if err != nil {
		return err
	}
	if first := &list[0]; asShare || first.Type == "grouping" && first.Summary.Share == first.ID {
		view, err := s.shareView(first)
		if err != nil {
			return err
		}
		return s.answer(w, view)
	}
	var shown []Object
	for i := range list {
		o, err := s.object(&list[i])
		if err != nil {
			return err
		}
		shown = append(shown, *o)
	}
	shown[0].Others = shown[1:]
	if err := s.thread(&shown[0]); err != nil {
		return err
	}
	return s.answer(w, shown[0])
}

// resolve finds what a short name or STIX ID means: the newest versions of one
// object, that in its author's own name first.
func (s *Server) resolve(ref string) (list []store.Object, asShare bool, err error) {
	index := s.n.Store().Index()
	kind, code, prefixed := strings.Cut(ref, ":")
	if !prefixed {
		kind, code = "", ref
	}
	asShare = kind == "share"
	if stix.ValidID(ref) {
		list, err = index.ByID(ref)
	} else {
		prefix, bits, bad := protocol.RefPrefix(code)
		if bad != nil {
			return nil, false, Errorf(CodeNotFound, "%.80q is no short name and no STIX ID", ref).
				WithHint("as indicator:5yqa1x7c, share:9d2mq or indicator--UUID; for a value: tipmesh lookup")
		}
		list, err = index.ByRef(prefix, bits, mostCandidates)
	}
	if err != nil {
		return nil, false, err
	}
	list = slices.DeleteFunc(s.n.Visible(list), func(o store.Object) bool {
		wrong := kind != "" && !asShare && o.Type != kind || asShare && (o.Type != "grouping" || o.Summary.Share != o.ID)
		return wrong || s.decision(&o).Use < trust.UseRead
	})
	if len(list) == 0 {
		return nil, false, Errorf(CodeNotFound, "no share and no object is known as %.80q", ref).
			WithHint("members: tipmesh member show; proposals: tipmesh roster show; values: tipmesh lookup")
	}
	if e := ambiguous(ref, list); e != nil {
		return nil, false, e
	}
	slices.SortStableFunc(list, func(a, b store.Object) int { return strings.Compare(a.Summary.CreatedBy, b.Summary.CreatedBy) })
	return list, asShare, nil
}

// ambiguous lists what a short name may mean, where that is more than one thing.
func ambiguous(ref string, list []store.Object) error {
	e := Errorf(CodeConflict, "%.80q means several things", ref).WithHint("give more of the name, or the full ID")
	seen := map[string]bool{}
	for _, o := range list {
		if !seen[o.ID] {
			seen[o.ID] = true
			e.Candidates = append(e.Candidates, Candidate{Ref: objectRef(o.ID), ID: o.ID, Type: o.Type})
		}
	}
	if len(e.Candidates) < 2 {
		return nil
	}
	return e
}

// object shows one object in one member's name.
func (s *Server) object(o *store.Object) (*Object, error) {
	raw, place, err := s.raw(o)
	gone := err != nil && s.gone(place)
	if err != nil && !gone {
		return nil, err
	}
	versions, err := s.versions(o)
	if err != nil {
		return nil, err
	}
	out := &Object{Kind: "object", Audience: s.audienceName(s.audienceOf(o)), Ref: objectRef(o.ID), ID: o.ID, Type: o.Type, Member: s.name(o.Member), Says: o.Summary.Says,
		Values: []Value{}, STIX: raw, Versions: []Version{}, Handling: Handling{TLP: o.Summary.TLP, Action: o.Summary.Action},
		Share: shareRef(o.Summary.Share), Received: at(o.Summary.Received), Relayed: o.Summary.CreatedBy,
		Thread: []Said{}, Relations: []Relation{}, Exports: []Export{}, Gone: gone,
		ValidFrom: at(o.Summary.ValidFrom), ValidUntil: at(o.Summary.ValidUntil)}
	for i := range versions {
		out.Versions = append(out.Versions, versionOf(&versions[i], len(versions)-i))
	}
	if gone {
		out.STIX = json.RawMessage("null")
	} else {
		facts := stix.FactsOf(stix.Object{Raw: raw})
		out.Values = append(out.Values, valuesOf(&facts)...)
		out.KillChain = phases(raw)
	}
	if out.Live, err = s.inForce(o, out.Values); err != nil {
		return nil, err
	}
	out.Readers, out.Holders = s.reach(place)
	out.Withdrawn = s.withdrawn(o, raw, place)
	return out, nil
}

// phases are the kill chain phases that an object names.
func phases(raw []byte) (names []string) {
	var x struct {
		Phases []struct {
			Name string `json:"phase_name"`
		} `json:"kill_chain_phases"`
	}
	if json.Unmarshal(raw, &x) != nil {
		return nil
	}
	for _, p := range x.Phases {
		names = append(names, p.Name)
	}
	return names
}

func valuesOf(f *stix.Facts) (list []Value) {
	for _, t := range f.Values {
		if v, err := observable.ParseTerm(observable.Type(t.Kind), t.Text); err == nil {
			list = append(list, Value{Type: string(v.Type), Text: v.Text})
		}
	}
	return list
}

// opened are entries whose values were read: by arrival, and by place in it.
type opened map[uint64]map[int][]Value

// values gives the values of an object, as far as entries are opened for them.
func (s *Server) values(seen opened, o *store.Object) []Value {
	in, ok := seen[o.Arrival]
	if !ok && len(seen) < mostOpened {
		in = map[int][]Value{}
		seen[o.Arrival] = in
		// What cannot be opened, since it was erased, has no values to show.
		if bundle, _, err := s.bundleOf(o.Arrival); err == nil {
			_ = stix.Scan(bundle, func(ordinal int, _ []byte, f *stix.Facts) error {
				in[ordinal] = valuesOf(f)
				return nil
			})
		}
	}
	return in[int(o.Ordinal)]
}

// raw gives an object as it was shared, and the entry that holds it.
func (s *Server) raw(o *store.Object) (json.RawMessage, store.Place, error) {
	bundle, place, err := s.bundleOf(o.Arrival)
	if err != nil {
		return nil, place, err
	}
	raw, err := objectAt(bundle, o.Ordinal)
	if err == nil && raw == nil {
		err = Errorf(CodeInternal, "the entry of %s does not hold it", o.ID)
	}
	return slices.Clone(raw), place, err
}

// bundleOf opens the entry that an arrival is of.
func (s *Server) bundleOf(arrival uint64) ([]byte, store.Place, error) {
	place, err := s.n.PlaceOf(arrival)
	if err != nil {
		return nil, place, err
	}
	bundle, err := s.n.Open(place)
	return bundle, place, err
}

// objectAt gives the bytes of the object at a place in a bundle, a part of the
// bundle's; nil where there is none.
func objectAt(bundle []byte, ordinal uint32) (raw []byte, err error) {
	err = stix.Scan(bundle, func(at int, object []byte, _ *stix.Facts) error {
		if at == int(ordinal) {
			raw = object
		}
		return nil
	})
	return raw, err
}

// reach says who can read entries, and who of them said to hold them.
func (s *Server) reach(places ...store.Place) ([]Name, Holders) {
	ids := slices.Clone(s.n.ReadersOf(places[0]))
	have := append(s.n.HeldBy(places), s.n.Member())
	h := Holders{Missing: []Name{}}
	readers := []Name{}
	for _, id := range ids {
		m, ok := s.n.Roster().Member(id)
		if !ok {
			continue
		}
		readers = append(readers, s.name(id))
		if m.State != trust.StateActive {
			continue
		}
		h.Of++
		if slices.Contains(have, id) {
			h.Have++
		} else {
			h.Missing = append(h.Missing, s.name(id))
		}
	}
	return readers, h
}

// shareView shows a share from the groupings that record it.
func (s *Server) shareView(first *store.Object) (*SharedView, error) {
	view := &SharedView{Kind: "share", Audience: s.audienceName(s.audienceOf(first)), Ref: shareRef(first.Summary.Share), ID: first.Summary.Share, Title: first.Summary.Says,
		Member: s.name(first.Member), TLP: first.Summary.TLP, Action: first.Summary.Action, Received: at(first.Summary.Received),
		Found: map[string]int{}, Objects: []ObjectLine{}}
	var places []store.Place
	seen := opened{}
	for part := range mostParts {
		o, err := s.part(first, part)
		if err != nil {
			return nil, err
		}
		if o == nil {
			break
		}
		raw, place, err := s.raw(o)
		if err != nil && s.gone(place) {
			view.Gone = true
			places = append(places, place)
			continue
		} else if err != nil {
			return nil, err
		}
		var grouping struct {
			Name string   `json:"name"`
			Refs []string `json:"object_refs"`
		}
		if err := json.Unmarshal(raw, &grouping); err != nil {
			return nil, Errorf(CodeInternal, "read the record of the share: %v", err)
		}
		if part == 0 {
			view.Withdrawn = s.withdrawn(o, raw, place)
		}
		view.Title = grouping.Name
		places = append(places, place)
		if err := s.listed(view, seen, first.Member, grouping.Refs); err != nil {
			return nil, err
		}
	}
	if len(places) > 0 {
		_, view.Holders = s.reach(places...)
	}
	return view, nil
}

// part finds the grouping that records a part of a share; nil where there are no
// more.
func (s *Server) part(first *store.Object, part int) (*store.Object, error) {
	if part == 0 {
		return first, nil
	}
	m, ok := s.n.Roster().Member(first.Member)
	if !ok {
		return nil, nil
	}
	list, err := s.n.Store().Index().ByID(stix.GroupingID(m.Card.Identity, first.Summary.Share, part))
	if err != nil {
		return nil, err
	}
	for _, o := range s.n.Visible(list) {
		if o.Member == first.Member {
			return &o, nil
		}
	}
	return nil, nil
}

// listed adds objects to a view of a share; the first ones with what they say.
func (s *Server) listed(view *SharedView, seen opened, member protocol.MemberID, ids []string) error {
	for _, id := range ids {
		view.Found[stix.IDType(id)]++
		view.Total++
		if len(view.Objects) == mostListed {
			continue
		}
		line := ObjectLine{Ref: objectRef(id), ID: id, Type: stix.IDType(id)}
		list, err := s.n.Store().Index().ByID(id)
		if err != nil {
			return err
		}
		for _, o := range s.n.Visible(list) {
			if o.Member == member {
				line.Says, line.Withdrawn, line.Values = o.Summary.Says, o.Revoked, s.values(seen, &o)
			}
		}
		view.Objects = append(view.Objects, line)
	}
	return nil
}

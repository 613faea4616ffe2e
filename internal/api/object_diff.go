package api

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"

	"github.com/tipmesh/tipmesh/store"
)

// maxChanges bounds the differences that are listed; two versions of one object
// rarely have more fields.
const maxChanges = 10_000

// diff answers GET /v1/object/{ref}/diff?from=1&to=2. Versions are counted from the
// oldest one that is held.
func (s *Server) diff(w http.ResponseWriter, r *http.Request) error {
	if err := s.n.CatchUp(r.Context()); err != nil {
		return err
	}
	list, _, err := s.resolve(r.PathValue("ref"))
	if err != nil {
		return err
	}
	o := &list[0]
	versions, err := s.versions(o)
	if err != nil {
		return err
	}
	out := &Diff{Kind: "diff", Ref: objectRef(o.ID), ID: o.ID, Member: s.name(o.Member), Changes: []Change{}}
	var sides [2]any
	for i, name := range []string{"from", "to"} {
		text := r.URL.Query().Get(name)
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > len(versions) {
			return Errorf(CodeNotFound, "%s has %s, none is %.20q", out.Ref, plural(len(versions), "version", "versions"), text).
				WithHint("see tipmesh show %s", out.Ref)
		}
		v := &versions[len(versions)-n]
		raw, place, err := s.raw(v)
		if err != nil && s.gone(place) {
			return Errorf(CodeNotFound, "the payload of version %d has gone: it was withdrawn or has expired", n)
		} else if err != nil {
			return err
		}
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		if err := d.Decode(&sides[i]); err != nil {
			return Errorf(CodeInternal, "read version %d: %v", n, err)
		}
		*[]*Version{&out.From, &out.To}[i] = versionOf(v, n)
	}
	compare("", sides[0], sides[1], &out.Changes)
	return s.answer(w, out)
}

// versions gives the versions of an object in its member's name that count, newest
// first.
func (s *Server) versions(o *store.Object) ([]store.Object, error) {
	list, err := s.n.Store().Index().Versions(o.Member, o.ID)
	if err != nil {
		return nil, err
	}
	return s.n.Visible(list), nil
}

func versionOf(v *store.Object, n int) Version {
	return Version{N: n, Modified: at(v.Modified), Revoked: v.Revoked, Action: v.Summary.Action, Received: at(v.Summary.Received), Says: v.Summary.Says}
}

// gone tells whether an entry's payload is held no more.
func (s *Server) gone(p store.Place) bool {
	e, err := s.n.Store().Entry(p)
	return err == nil && e.Payload == nil
}

// compare lists what differs between two JSON values.
func compare(path string, was, is any, out *[]Change) {
	if len(*out) >= maxChanges || reflect.DeepEqual(was, is) {
		return
	}
	switch a := was.(type) {
	case map[string]any:
		if b, ok := is.(map[string]any); ok {
			compareObjects(path, a, b, out)
			return
		}
	case []any:
		if b, ok := is.([]any); ok {
			for i := range max(len(a), len(b)) {
				at := path + "[" + strconv.Itoa(i) + "]"
				switch {
				case i >= len(a):
					*out = append(*out, Change{Field: at, Is: encoded(b[i])})
				case i >= len(b):
					*out = append(*out, Change{Field: at, Was: encoded(a[i])})
				default:
					compare(at, a[i], b[i], out)
				}
			}
			return
		}
	}
	*out = append(*out, Change{Field: path, Was: encoded(was), Is: encoded(is)})
}

func compareObjects(path string, a, b map[string]any, out *[]Change) {
	names := slices.Collect(maps.Keys(a))
	for k := range b {
		if _, ok := a[k]; !ok {
			names = append(names, k)
		}
	}
	slices.Sort(names)
	if path != "" {
		path += "."
	}
	for _, k := range names {
		x, had := a[k]
		y, has := b[k]
		switch {
		case !had:
			*out = append(*out, Change{Field: path + k, Is: encoded(y)})
		case !has:
			*out = append(*out, Change{Field: path + k, Was: encoded(x)})
		default:
			compare(path+k, x, y, out)
		}
	}
}

// encoded writes a value that was read from JSON: that cannot fail.
func encoded(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		return json.RawMessage("null")
	}
	return bytes.TrimSpace(b.Bytes())
}

package api

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"

	"github.com/tipmesh/tipmesh/internal/observable"
	"github.com/tipmesh/tipmesh/internal/stix"
	"github.com/tipmesh/tipmesh/protocol"
	"github.com/tipmesh/tipmesh/store"
)

// maxFilter bounds the words of a filter, and maxFilterWord each of them.
const (
	maxFilter     = 64
	maxFilterWord = 1024
)

// The words of a filter that begin so; others are looked for in what is said.
const filterKeys = "what type member tlp malware label value action audience"

// filter is what a watch tells of. Of words with one key one must hold, and one of
// every key.
type filter struct {
	by      map[string][]string
	members []protocol.MemberID
	values  []observable.Value
	parts   []string // of values, where they are none by themselves
	words   []string
}

func (s *Server) parseFilter(words []string) (*filter, error) {
	f := &filter{by: map[string][]string{}}
	if len(words) > maxFilter {
		return nil, Errorf(CodeInvalid, "a filter has at most %d words", maxFilter)
	}
	for _, w := range words {
		if len(w) > maxFilterWord {
			return nil, Errorf(CodeInvalid, "%.40q...: a word of a filter has at most %d bytes", w, maxFilterWord)
		}
		if err := s.addWord(f, strings.TrimSpace(w)); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (s *Server) addWord(f *filter, word string) error {
	key, text, ok := strings.Cut(word, ":")
	if word == "" {
		return nil
	}
	if !ok {
		f.words = append(f.words, strings.ToLower(word))
		return nil
	}
	key = strings.ToLower(key)
	if text == "" || !slices.Contains(strings.Fields(filterKeys), key) {
		return Errorf(CodeInvalid, "%.80q is no word of a filter", word).WithHint("words begin with: %s; as type:report value:example.com",
			strings.Join(strings.Fields(filterKeys), ": ")+":")
	}
	switch key {
	case "member":
		m, err := s.find(text)
		if err != nil {
			return err
		}
		f.members = append(f.members, m.ID)
	case "value":
		if v, err := parseValue(text); err == nil {
			f.values = append(f.values, v)
		} else {
			f.parts = append(f.parts, strings.ToLower(observable.Refang(text)))
		}
	case "tlp":
		t, err := stix.ParseTLP(text)
		if err != nil {
			return Errorf(CodeInvalid, "%v", err)
		}
		f.by[key] = append(f.by[key], string(t))
	default:
		f.by[key] = append(f.by[key], strings.ToLower(text))
	}
	return nil
}

// byContent tells whether the filter asks for what only an opened payload shows.
func (f *filter) byContent() bool {
	for key := range f.by {
		if key != "what" {
			return true
		}
	}
	return len(f.values)+len(f.parts)+len(f.words) > 0
}

func (f *filter) takes(what string) bool {
	list, asked := f.by["what"]
	return !asked || slices.Contains(list, what)
}

// takesRoster tells whether changes of the roster pass that name no member.
func (f *filter) takesRoster() bool {
	return f.takes(WhatRoster) && !f.byContent() && len(f.members) == 0
}

func (f *filter) takesMember(id protocol.MemberID) bool {
	return len(f.members) == 0 || slices.Contains(f.members, id)
}

// wording is what a filter or an event needs of an object beyond the index.
type wording struct {
	Name        string   `json:"name"`
	Aliases     []string `json:"aliases"`
	Labels      []string `json:"labels"`
	Opinion     string   `json:"opinion"`
	Explanation string   `json:"explanation"`
	Abstract    string   `json:"abstract"`
	Content     string   `json:"content"`
	Description string   `json:"description"`
	ObjectRefs  []string `json:"object_refs"`
	SightingOf  string   `json:"sighting_of_ref"`
	Count       int      `json:"count"`
	Kind        string   `json:"relationship_type"`
	Source      string   `json:"source_ref"`
	Target      string   `json:"target_ref"`
}

// readWording reads what an object says. What is of another type than STIX has it is
// left out.
func readWording(raw []byte) *wording {
	x := new(wording)
	_ = json.Unmarshal(raw, x) // goes on after a member of the wrong type
	return x
}

// readWordings reads that of all objects of a bundle, by their place in it.
func readWordings(bundle []byte) map[uint32]*wording {
	out := map[uint32]*wording{}
	// A bundle that ends badly has given what it holds before.
	_ = stix.Scan(bundle, func(ordinal int, raw []byte, _ *stix.Facts) error {
		out[uint32(ordinal)] = readWording(raw)
		return nil
	})
	return out
}

// passes tells whether an object passes, but for what and member.
func (f *filter) passes(o *store.Object, x *wording, audience string) bool {
	is := func(key string, texts ...string) bool {
		list, asked := f.by[key]
		return !asked || slices.ContainsFunc(texts, func(t string) bool { return slices.Contains(list, strings.ToLower(t)) })
	}
	if !is("type", o.Type) || !is("tlp", o.Summary.TLP) || !is("action", o.Summary.Action) || !is("audience", audience) {
		return false
	}
	if f.by["label"] != nil && !is("label", x.Labels...) {
		return false
	}
	if f.by["malware"] != nil && !is("malware", append([]string{x.Name}, x.Aliases...)...) {
		return false
	}
	return f.passesValue(o.Values) && f.passesWords(o, x)
}

func (f *filter) passesValue(values []store.Value) bool {
	if len(f.values)+len(f.parts) == 0 {
		return true
	}
	for _, v := range values {
		for _, want := range f.values {
			if within(observable.Value{Type: observable.Type(v.Type), Text: v.Text}, want) {
				return true
			}
		}
		for _, p := range f.parts {
			if strings.Contains(strings.ToLower(v.Text), p) {
				return true
			}
		}
	}
	return false
}

func (f *filter) passesWords(o *store.Object, x *wording) bool {
	if len(f.words) == 0 {
		return true
	}
	all := strings.ToLower(strings.Join(append([]string{o.Summary.Says, x.Name, x.Abstract, x.Content, x.Explanation}, x.Labels...), "\n"))
	for _, w := range f.words {
		if !strings.Contains(all, w) {
			return false
		}
	}
	return true
}

// within tells whether a value is another, or lies in it: an address or network in
// a network, a name, mail address or URL under a domain, a URL under a URL.
func within(v, in observable.Value) bool {
	if v == in {
		return true
	}
	switch in.Type {
	case observable.IPv4Net, observable.IPv6Net:
		outer, err := netip.ParsePrefix(in.Text)
		if err != nil {
			return false
		}
		if inner, err := netip.ParsePrefix(v.Text); err == nil {
			return inner.Bits() >= outer.Bits() && outer.Contains(inner.Addr())
		}
		addr, ok := v.Addr()
		return ok && outer.Contains(addr)
	case observable.IPv4, observable.IPv6:
		return v.Type == observable.URL && v.Host() == in.Text
	case observable.Domain:
		host := v.Host()
		if _, addr := v.Addr(); addr {
			return false
		}
		return host == in.Text || strings.HasSuffix(host, "."+in.Text)
	case observable.URL:
		rest, ok := strings.CutPrefix(v.Schemeless(), in.Schemeless())
		return v.Type == observable.URL && ok && (rest == "" || strings.HasSuffix(in.Text, "/") || strings.ContainsAny(rest[:1], "/?"))
	}
	return false
}

package warninglist

import (
	"net/netip"
	"regexp"
	"strings"

	"github.com/gaissmai/bart"

	"github.com/tipmesh/tipmesh/internal/observable"
)

// Meaning is what a list says of what it holds.
type Meaning int

// The meanings. MISP knows the first two as categories.
const (
	// FalsePositive: most who share this value err.
	FalsePositive Meaning = iota
	// Known: something to recognise, good or bad.
	Known
	// Sinkhole: whoever talks to it is likely infected; who runs it is not bad.
	Sinkhole
)

// List is one list without its entries.
type List struct {
	File    string // below the folder
	Name    string
	Version int
	Type    string
	Meaning Meaning
	Entries int // that are used

	applies map[observable.Type]bool // nil for all
}

// Hit is a list that holds a value.
type Hit struct {
	List *List
	// Entry is what in the list matched, normalised.
	Entry string
	// HostOnly is whether the entry is about no more than the host of a URL or
	// a mail address.
	HostOnly bool
}

// group names some lists that have an entry in common; it is a place in
// Set.groups. So an entry costs one number, however many lists have it.
type group uint32

// Set is all lists that were loaded.
type Set struct {
	lists      []*List
	groups     [][]uint32 // places in lists
	exact      map[string]group
	hosts      map[string]group
	networks   bart.Table[group]
	substrings substrings
	regexes    []expression
}

type expression struct {
	re   *regexp.Regexp
	text string
	list uint32
}

// Lists gives the lists in order of their files.
func (s *Set) Lists() []*List { return s.lists }

// Len is how many lists there are; a nil Set has none.
func (s *Set) Len() int {
	if s == nil {
		return 0
	}
	return len(s.lists)
}

// Lookup gives the lists that hold a value, each once, with its closest entry.
// A nil Set has none.
func (s *Set) Lookup(v observable.Value) []Hit {
	if s == nil || len(s.lists) == 0 {
		return nil
	}
	q := query{set: s, value: v}
	text := strings.ToLower(v.Text)
	if g, ok := s.exact[text]; ok {
		q.take(g, text, false)
	}
	s.networked(&q)
	if host, alone := hostOf(v); host != "" {
		for name := host; name != ""; {
			if g, ok := s.hosts[name]; ok {
				q.take(g, name, !alone)
			}
			_, name, _ = strings.Cut(name, ".")
		}
	}
	s.substrings.find(text, func(entry string, g group) { q.take(g, entry, false) })
	for i := range s.regexes {
		if e := &s.regexes[i]; s.lists[e.list].asked(v.Type) && e.re.MatchString(text) {
			q.hit(e.list, e.text, false)
		}
	}
	return q.hits
}

// networked asks the lists of networks, the narrowest first.
func (s *Set) networked(q *query) {
	var p netip.Prefix
	switch q.value.Type {
	case observable.IPv4, observable.IPv6:
		a, err := netip.ParseAddr(q.value.Text)
		if err != nil {
			return
		}
		p = netip.PrefixFrom(a, a.BitLen())
	case observable.IPv4Net, observable.IPv6Net:
		var err error
		if p, err = netip.ParsePrefix(q.value.Text); err != nil {
			return
		}
	default:
		return
	}
	for net, g := range s.networks.Supernets(p.Masked()) {
		q.take(g, net.String(), false)
	}
}

// hostOf gives the host name in a value, and whether the value is no more than
// that.
func hostOf(v observable.Value) (host string, alone bool) {
	switch v.Type {
	case observable.Domain:
		return v.Text, true
	case observable.Email:
		return v.Text[strings.LastIndexByte(v.Text, '@')+1:], false
	case observable.URL:
		_, rest, _ := strings.Cut(v.Text, "://")
		end := strings.IndexAny(rest, "/?#")
		if end < 0 {
			end = len(rest)
		}
		authority, path := rest[:end], rest[end:]
		host = authority[strings.LastIndexByte(authority, '@')+1:]
		if strings.HasPrefix(host, "[") {
			return "", false
		}
		name, port, _ := strings.Cut(host, ":")
		return strings.ToLower(name), len(path) <= 1 && port == "" && len(name) == len(authority)
	}
	return "", false
}

// query is one look-up under way.
type query struct {
	set   *Set
	value observable.Value
	hits  []Hit
}

// take notes an entry of some lists.
func (q *query) take(g group, entry string, hostOnly bool) {
	for _, list := range q.set.groups[g] {
		if q.set.lists[list].asked(q.value.Type) {
			q.hit(list, entry, hostOnly)
		}
	}
}

// hit notes a list once. Entries come closest first.
func (q *query) hit(list uint32, entry string, hostOnly bool) {
	l := q.set.lists[list]
	for i := range q.hits {
		if q.hits[i].List == l {
			return
		}
	}
	q.hits = append(q.hits, Hit{l, entry, hostOnly})
}

// asked tells whether a list is about a type of value.
func (l *List) asked(t observable.Type) bool { return l.applies == nil || l.applies[t] }

// attributes are MISP's attribute types for our types of value. Those of two
// parts, as domain|ip, hold either.
var attributes = map[string][]observable.Type{
	"ip-src": addresses, "ip-dst": addresses, "ip-src|port": addresses, "ip-dst|port": addresses,
	"domain|ip": append([]observable.Type{observable.Domain}, addresses...),
	"domain":    {observable.Domain}, "hostname": {observable.Domain}, "hostname|port": {observable.Domain},
	"url": {observable.URL}, "uri": {observable.URL}, "link": {observable.URL},
	"email": {observable.Email}, "email-src": {observable.Email}, "email-dst": {observable.Email}, "target-email": {observable.Email},
	"email-reply-to": {observable.Email}, "whois-registrant-email": {observable.Email}, "dns-soa-email": {observable.Email},
	"md5": {observable.MD5}, "sha1": {observable.SHA1}, "sha256": {observable.SHA256}, "sha512": {observable.SHA512},
	"filename": {observable.Filename}, "filename|md5": {observable.Filename, observable.MD5},
	"filename|sha1": {observable.Filename, observable.SHA1}, "filename|sha256": {observable.Filename, observable.SHA256},
	"filename|sha512": {observable.Filename, observable.SHA512}, "malware-sample": {observable.Filename, observable.MD5},
	"attachment": {observable.Filename},
}

var addresses = []observable.Type{observable.IPv4, observable.IPv6, observable.IPv4Net, observable.IPv6Net}

package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tipmesh/tipmesh/store"
)

func value(kind, text string) store.Value { return store.Value{Type: kind, Text: text} }

// near tells what is near a value: what contains it in order, the rest sorted.
func near(t testing.TB, x store.Index, v store.Value, limit int) string {
	t.Helper()
	list, err := x.Near(v, limit)
	check(t, err)
	var above, below []string
	for _, n := range list {
		if n.Relation == store.RelationContains {
			above = append(above, n.Value.Text)
		} else {
			below = append(below, n.Value.Text)
		}
	}
	slices.Sort(below)
	return strings.Join(above, " ") + " > " + strings.Join(below, " ")
}

// testIndexNear looks for what contains values and what lies within them.
func testIndexNear(t *testing.T, f Factory) {
	x := f(t).Open().Index()
	long := "http://evil.example/" + strings.Repeat("long/", 60)
	var objects []store.Object
	for i, v := range []store.Value{
		value("ipv4", "10.1.2.3"), value("ipv4", "10.1.2.4"), value("ipv4", "10.255.255.255"), value("ipv4", "11.0.0.0"), value("ipv4-net", "10.0.0.0/8"),
		value("ipv4-net", "10.1.2.0/24"), value("ipv4-net", "10.0.0.0/16"), value("ipv4-net", "0.0.0.0/0"),
		value("ipv6", "2001:db8::1"), value("ipv6-net", "2001:db8::/32"), value("url", "http://[2001:db8::1]:8080/x"), value("url", "http://10.1.2.3/a"),
		value("domain", "evil.example"), value("domain", "www.evil.example"), value("domain", "evil.example.org"), value("domain", "evil-site.example"),
		value("url", "http://evil.example/a"), value("url", "https://evil.example/a/b?q=1&r=2"), value("url", "http://evil.example/ab"),
		value("url", "http://www.evil.example/"), value("url", "http://user@evil.example/a/b"), value("url", long), value("url", long+"more?x=1"),
		value("domain", ""), value("url", "no url"), value("sha256", "00"), value("domain", "strange\x00.evil.example"),
	} {
		objects = append(objects, object("a", i+1, 1, v))
	}
	gone := object("b", 1, 1, value("ipv4", "10.1.2.9"), value("domain", "old.evil.example"))
	objects = append(objects, gone, object("b", 1, 2, value("domain", "old.evil.example.net")))
	feed(t, x, objects, straight(len(objects)))
	for _, c := range []struct{ kind, text, want string }{
		{"ipv4", "10.1.2.3", "10.1.2.0/24 10.0.0.0/8 0.0.0.0/0 > http://10.1.2.3/a"},
		{"ipv4", "10.1.2.5", "10.1.2.0/24 10.0.0.0/8 0.0.0.0/0 > "},
		{"ipv4-net", "10.1.0.0/16", "10.0.0.0/8 0.0.0.0/0 > 10.1.2.0/24 10.1.2.3 10.1.2.4 http://10.1.2.3/a"},
		{"ipv4-net", "10.0.0.0/8", "0.0.0.0/0 > 10.0.0.0/16 10.1.2.0/24 10.1.2.3 10.1.2.4 10.255.255.255 http://10.1.2.3/a"},
		{"ipv6", "2001:db8::1", "2001:db8::/32 > http://[2001:db8::1]:8080/x"},
		{"ipv6-net", "2001:db8::/48", "2001:db8::/32 > 2001:db8::1 http://[2001:db8::1]:8080/x"},
		{"url", "http://10.1.2.3/a/b", "http://10.1.2.3/a 10.1.2.3 10.1.2.0/24 10.0.0.0/8 0.0.0.0/0 > "},
		{"domain", "www.evil.example", "evil.example > http://www.evil.example/"},
		{"domain", "a.b.www.evil.example", "www.evil.example evil.example > "},
		{"domain", "vil.example", " > "},
		{"domain", "example", " > evil-site.example evil.example http://evil.example/a http://evil.example/ab " + long + " " + long + "more?x=1 http://user@evil.example/a/b http://www.evil.example/ https://evil.example/a/b?q=1&r=2 www.evil.example"},
		{"url", "http://evil.example/a", "evil.example > https://evil.example/a/b?q=1&r=2"},
		{"url", "http://evil.example/a/b?q=1&r=2", "https://evil.example/a/b?q=1&r=2 http://evil.example/a evil.example > "},
		{"url", "http://evil.example/a/b?q=1&r=2&s=3", "https://evil.example/a/b?q=1&r=2 http://evil.example/a evil.example > "},
		{"url", "http://user@evil.example/a/b", "evil.example > "},
		{"url", long, "evil.example > " + long + "more?x=1"},
		{"url", long + "more?x=1", long + " evil.example > "},
		{"url", "no url", " > "}, {"sha256", "00", " > "}, {"domain", "", " > "},
	} {
		expect(t, c.kind+" "+c.text, near(t, x, value(c.kind, c.text), 100), c.want)
	}
	expect(t, "two of each", near(t, x, value("ipv4", "10.1.2.3"), 2), "10.1.2.0/24 10.0.0.0/8 > http://10.1.2.3/a")
	if list, err := x.Near(value("domain", "example"), 3); err != nil || len(list) != 3 {
		t.Errorf("limit of 3: %v %v", list, err)
	}
	check(t, x.Remove([]store.Object{numbered(objects[12], 13)}))
	expect(t, "removed", near(t, x, value("domain", "www.evil.example"), 100), " > http://www.evil.example/")
}

// numbered is an object as feed puts it.
func numbered(o store.Object, arrival uint64) store.Object {
	o.Arrival = arrival
	return o
}

// testIndexReferring finds what refers to an object.
func testIndexReferring(t *testing.T, f Factory) {
	x := f(t).Open().Index()
	with := func(o store.Object, refs ...string) store.Object {
		o.Refs = refs
		return o
	}
	objects := []store.Object{
		with(object("a", 1, 10), "malware--1", "malware--2"), with(object("b", 2, 10), "malware--1"), with(object("a", 3, 10), "malware--1"),
		with(object("a", 1, 20), "malware--2"), with(object("a", 3, 5), "malware--3"),
	}
	for _, order := range [][]int{{0, 1, 2, 3, 4}, {4, 3, 2, 1, 0, 1, 2}} {
		check(t, x.Reset())
		feed(t, x, objects, order)
		for target, want := range map[string]string{"malware--1": "3@10 2@10", "malware--2": "1@20", "malware--3": "", "malware--": ""} {
			found, err := x.Referring(target, 10)
			expect(t, target, inOrder(t, found, err), want)
		}
		found, err := x.Referring("malware--1", 1)
		expect(t, "one", inOrder(t, found, err), "3@10")
	}
	check(t, x.Remove([]store.Object{numbered(objects[2], 3)}))
	found, err := x.Referring("malware--1", 10)
	expect(t, "removed", inOrder(t, found, err), "2@10")
	found, err = x.Referring("malware--3", 10)
	expect(t, "the older is the newest now", inOrder(t, found, err), "3@5")
}

// inOrder tells found objects in their order.
func inOrder(t testing.TB, found []store.Object, err error) string {
	t.Helper()
	var out []string
	for _, o := range found {
		out = append(out, names(t, []store.Object{o}, err)[1:])
	}
	check(t, err)
	return strings.Join(out, " ")
}

// testIndexSearch searches for tokens, by pages and by time.
func testIndexSearch(t *testing.T, f Factory) {
	h := f(t)
	x := h.Open().Index()
	with := func(n int, modified, received int64, words ...string) store.Object {
		o := object("a", n, modified)
		o.Words, o.Summary.Received = words, received
		return o
	}
	objects := []store.Object{
		with(1, 10, 100, "red", "fox", "type=report"), with(2, 10, 110, "red", "foxes", "type=report"), with(3, 10, 120, "red", "fox", "type=note"),
		with(4, 10, 130, "redder", "fox"), with(1, 20, 140, "blue", "fox", "type=report"), with(5, 10, 150, strings.Repeat("long", 100), "a\x00b", "red"),
	}
	feed(t, x, objects, straight(len(objects)))
	for _, c := range []struct {
		q    store.Query
		want string
	}{
		{store.Query{Tokens: []string{"fox"}}, "1@20 4@10 3@10"},
		{store.Query{Tokens: []string{"red"}}, "5@10 3@10 2@10"},
		{store.Query{Tokens: []string{"fox", "red"}}, "3@10"},
		{store.Query{Tokens: []string{"type=report"}}, "1@20 2@10"},
		{store.Query{Tokens: []string{"type=report"}, Prefix: "fox"}, "1@20 2@10"},
		{store.Query{Prefix: "red"}, "5@10 4@10 3@10 2@10"},
		{store.Query{Prefix: "typ"}, ""},
		{store.Query{Prefix: "type=n"}, "3@10"},
		{store.Query{Prefix: "red", Since: 120, Until: 150}, "4@10 3@10"},
		{store.Query{Tokens: []string{strings.Repeat("long", 100)}}, "5@10"},
		{store.Query{Tokens: []string{"a\x00b"}}, "5@10"},
		{store.Query{Tokens: []string{"a"}}, ""},
		{store.Query{Tokens: []string{"none", "red"}}, ""},
	} {
		c.q.Limit = 10
		found, next, err := x.Search(c.q)
		expect(t, fmt.Sprint(c.q), inOrder(t, found, err), c.want)
		if next != 0 {
			t.Errorf("%v: more follows after the last", c.q)
		}
		var pages []store.Object
		for q := c.q; ; q.Before = next {
			q.Limit = 1
			if found, next, err = x.Search(q); err != nil || len(found) > 1 {
				t.Fatalf("page of %v: %d objects, %v", q, len(found), err)
			}
			if pages = append(pages, found...); next == 0 {
				break
			}
		}
		expect(t, fmt.Sprint(c.q, " by pages"), inOrder(t, pages, nil), c.want)
	}
	if _, _, err := x.Search(store.Query{Limit: 1}); !errors.Is(err, store.ErrBroad) {
		t.Errorf("nothing to search for: %v", err)
	}
	check(t, x.Remove([]store.Object{numbered(objects[4], 5)}))
	found, _, err := x.Search(store.Query{Tokens: []string{"fox"}, Limit: 10})
	expect(t, "removed", inOrder(t, found, err), "4@10 3@10 1@10")
}

// testIndexWide puts an object with very many values and words, and a value that
// very many objects have.
func testIndexWide(t *testing.T, f Factory) {
	h := f(t)
	x := h.Open().Index()
	const n = 30_000
	wide := object("a", 1, 1)
	for i := range n {
		wide.Values, wide.Words = append(wide.Values, domain(fmt.Sprint(i, ".example"))), append(wide.Words, fmt.Sprint("word", i))
	}
	check(t, x.Put(&store.IndexBatch{Objects: []store.Object{wide}}))
	for _, i := range []int{0, n / 2, n - 1} {
		expect(t, "one of many values", byValue(t, x, wide.Values[i]), "a1@1")
		found, _, err := x.Search(store.Query{Tokens: wide.Words[i : i+1], Limit: 1})
		expect(t, "one of many words", names(t, found, err), "a1@1")
	}
	var many []store.Object
	for i := range 3000 {
		many = append(many, object("b", i+1, 1, domain("hot.example")))
	}
	for range 2 {
		for at := 0; at < len(many); at += 100 {
			check(t, x.Put(&store.IndexBatch{Objects: many[at : at+100]}))
		}
		if found, err := x.ByValue(domain("hot.example")); err != nil || len(found) != len(many) {
			t.Errorf("%d objects have the value, %v", len(found), err)
		}
	}
	check(t, x.Remove(many[:2000]))
	check(t, x.Remove([]store.Object{wide}))
	if found, err := x.ByValue(domain("hot.example")); err != nil || len(found) != 1000 {
		t.Errorf("%d objects have the value after a removal, %v", len(found), err)
	}
	expect(t, "removed", byValue(t, x, wide.Values[7]), "")
	if x.Count() != 1000 {
		t.Errorf("count %d", x.Count())
	}
}

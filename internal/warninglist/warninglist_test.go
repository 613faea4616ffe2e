package warninglist

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/tipmesh/tipmesh/internal/observable"
)

// folder makes a folder of lists, NAME/list.json from name to text.
func folder(lists map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, text := range lists {
		fsys[name+"/"+FileName] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

func load(t *testing.T, lists map[string]string) *Set {
	t.Helper()
	s, faults, err := Load(folder(lists))
	if err != nil || len(faults) > 0 {
		t.Fatal(err, faults)
	}
	return s
}

// hits are the hits of a value as "list entry", with "(host)" where only the
// host is meant.
func hits(t *testing.T, s *Set, text string) []string {
	t.Helper()
	v, err := observable.Parse(text)
	if err != nil {
		if v, err = observable.ParseAs(observable.Filename, text); err != nil {
			t.Fatal(err)
		}
	}
	var out []string
	for _, h := range s.Lookup(v) {
		line := h.List.Name + " " + h.Entry
		if h.HostOnly {
			line += " (host)"
		}
		out = append(out, line)
	}
	return out
}

func TestLookup(t *testing.T) {
	s := load(t, map[string]string{
		"lists/resolvers": `{"name":"resolvers","version":3,"type":"string","description":"","matching_attributes":["ip-src","ip-dst"],
			"list":["8.8.8.8","2001:4860:4860::8888","2001:DB8:0::1"]}`,
		"lists/cloud": `{"name":"cloud","type":"cidr","list":["104.16.0.0/12","104.16.1.0/24","2400:CB00::/32","9.9.9.9","::ffff:7.7.0.0/112","10.1.2.3/8"],
			"matching_attributes":["ip-src","domain|ip"]}`,
		"lists/top":     `{"name":"top","type":"hostname","list":["photobucket.com",".Example.ORG.","münchen.de"],"matching_attributes":["domain","url","email-src"]}`,
		"lists/top2":    `{"name":"top2","type":["hostname"],"list":{"photobucket.com":"shared pictures"}}`,
		"lists/domains": `{"name":"domains","type":"hostname","list":["only-domains.com"],"matching_attributes":["domain"]}`,
		"lists/sandbox": `{"name":"sandbox","type":"substring","list":["Virustotal.com","/xq"],"matching_attributes":["url","domain"]}`,
		"lists/contact": `{"name":"contact","type":"regex","list":["/^(security|abuse)\\@.*\\..*$/i","^plain@","^evil"],"matching_attributes":["email-dst"]}`,
		"lists/empty":   `{"name":"empty","type":"string","list":["D41D8CD98F00B204E9800998ECF8427E","update.exe"]}`,
	})
	for _, c := range []struct {
		value string
		want  []string
	}{
		{"8.8.8.8", []string{"resolvers 8.8.8.8"}},
		{"8.8.4.4", nil},
		{"2001:db8::1", []string{"resolvers 2001:db8::1"}},
		{"2001:4860:4860:0:0:0:0:8888", []string{"resolvers 2001:4860:4860::8888"}},
		{"104.16.1.7", []string{"cloud 104.16.1.0/24"}},
		{"104.31.255.255", []string{"cloud 104.16.0.0/12"}},
		{"104.32.0.0", nil},
		{"104.17.0.0/16", []string{"cloud 104.16.0.0/12"}},
		{"104.0.0.0/8", nil}, // wider than the list
		{"2400:cb00::5", []string{"cloud 2400:cb00::/32"}},
		{"9.9.9.9", []string{"cloud 9.9.9.9/32"}},
		{"7.7.3.3", []string{"cloud 7.7.0.0/16"}},
		{"10.200.0.1", []string{"cloud 10.0.0.0/8"}},
		{"photobucket.com", []string{"top photobucket.com", "top2 photobucket.com"}},
		{"i1.photobucket.com", []string{"top photobucket.com", "top2 photobucket.com"}},
		{"notphotobucket.com", nil},
		{"photobucket.com.evil.net", nil},
		{"http://photobucket.com/user/x/library", []string{"top photobucket.com (host)", "top2 photobucket.com (host)"}},
		{"http://photobucket.com/", []string{"top photobucket.com", "top2 photobucket.com"}},
		{"http://photobucket.com:8080/", []string{"top photobucket.com (host)", "top2 photobucket.com (host)"}},
		{"http://photobucket.com@evil.net/", nil},
		{"http://user@photobucket.com/", []string{"top photobucket.com (host)", "top2 photobucket.com (host)"}},
		{"http://evil.net/photobucket.com", nil},
		{"evil.net", nil}, // the expressions are about mail addresses
		{"a.example.org", []string{"top example.org"}},
		{"xn--mnchen-3ya.de", []string{"top xn--mnchen-3ya.de"}},
		{"bob@photobucket.com", []string{"top photobucket.com (host)", "top2 photobucket.com (host)"}},
		{"only-domains.com", []string{"domains only-domains.com"}},
		{"http://only-domains.com/", nil}, // the list is not about URLs
		{"www.virustotal.com", []string{"sandbox virustotal.com"}},
		{"http://evil.net/xq", []string{"sandbox /xq"}},
		{"abuse@isp.net", []string{"contact /^(security|abuse)\\@.*\\..*$/i"}},
		{"PLAIN@isp.net", []string{"contact ^plain@"}},
		{"noabuse@isp.net", nil},
		{"d41d8cd98f00b204e9800998ecf8427e", []string{"empty d41d8cd98f00b204e9800998ecf8427e"}},
		{"Update.exe", []string{"empty update.exe"}},
	} {
		if diff := cmp.Diff(c.want, hits(t, s, c.value)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.value, diff)
		}
	}
	if got := s.Lists()[7]; got.Name != "top2" || got.Entries != 1 || got.Type != "hostname" || got.File != "lists/top2/list.json" {
		t.Errorf("%+v", got)
	}
}

func TestMeanings(t *testing.T) {
	s := load(t, map[string]string{
		"sinkholes": `{"name":"List of some","type":"string","list":["a.com"]}`,
		"other":     `{"name":"Known Sinkholes of Alder","type":"string","list":["a.com"],"category":"known"}`,
		"vpn":       `{"name":"VPN","type":"string","list":["a.com"],"category":"known"}`,
		"plain":     `{"name":"plain","list":["a.com"],"category":"false_positive"}`,
	})
	want := map[string]Meaning{"List of some": Sinkhole, "Known Sinkholes of Alder": Sinkhole, "VPN": Known, "plain": FalsePositive}
	got := map[string]Meaning{}
	for _, h := range s.Lookup(observable.Value{Type: observable.Domain, Text: "a.com"}) {
		got[h.List.Name] = h.List.Meaning
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNoLists(t *testing.T) {
	var none *Set
	if got := none.Lookup(observable.Value{Type: observable.Domain, Text: "a.com"}); got != nil {
		t.Error(got)
	}
	if s := load(t, nil); s.Len() != 0 || s.Lookup(observable.Value{Type: observable.Domain, Text: "a.com"}) != nil {
		t.Error("an empty folder holds something")
	}
}

// What cannot be used is told by file and field, and takes nothing else down.
func TestFaults(t *testing.T) {
	good := `{"name":"good","type":"string","list":["a.com"]}`
	for _, c := range []struct{ name, text, want string }{
		{"not JSON", `{"name":`, "x/list.json: jsontext"},
		{"a name twice", `{"name":"x","name":"y","list":[]}`, "x/list.json: jsontext: duplicate"},
		{"no name", `{"list":["a.com"]}`, "x/list.json: name: missing"},
		{"a name that moves the cursor", `{"name":"a\u001b[2J","list":["a.com"]}`, "x/list.json: name: holds a control character"},
		{"a name that is a number", `{"name":7,"list":["a.com"]}`, "x/list.json: name: a number where"},
		{"a version that is a string", `{"name":"x","version":"7","list":["a.com"]}`, "x/list.json: version: a string where"},
		{"attributes that are none", `{"name":"x","matching_attributes":"md5","list":["a.com"]}`, "x/list.json: matching_attributes: a string where"},
		{"an unknown type", `{"name":"x","type":"fuzzy","list":["a.com"]}`, `x/list.json: type: "fuzzy", want`},
		{"a type of types", `{"name":"x","type":[],"list":["a.com"]}`, "x/list.json: type: neither"},
		{"an unknown category", `{"name":"x","category":"good","list":["a.com"]}`, `x/list.json: category: "good", want`},
		{"no list", `{"name":"x"}`, "x/list.json: list: missing"},
		{"a list of numbers", `{"name":"x","list":[1]}`, "x/list.json: list: holds something that is no string"},
		{"no network", `{"name":"x","type":"cidr","list":["10.0.0.0/8","10.0.0.0/33","x","::ffff:1.2.3.4/90"]}`, "x/list.json: list[1]: neither an address nor a network (and 2 more)"},
		{"no host", `{"name":"x","type":"hostname","list":["a.com","http://b.com/"]}`, "x/list.json: list[1]: no host name"},
		{"an empty entry", `{"name":"x","list":["a.com"," "]}`, "x/list.json: list[1]: empty"},
		{"a long entry", `{"name":"x","list":["` + strings.Repeat("a", MaxEntryBytes+1) + `"]}`, "x/list.json: list[0]: longer than 4096 bytes"},
		{"a lookahead", `{"name":"x","type":"regex","list":["/(?=a)/"]}`, "x/list.json: list[0]: not an expression of RE2"},
		{"an unknown flag", `{"name":"x","type":"regex","list":["/a/x"]}`, `x/list.json: list[0]: flag 'x'`},
		{"a long expression", `{"name":"x","type":"regex","list":["` + strings.Repeat("a", MaxExpression+1) + `"]}`, "x/list.json: list[0]: longer than 1000 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, faults, err := Load(folder(map[string]string{"x": c.text, "y": good}))
			if err != nil {
				t.Fatal(err)
			}
			if len(faults) != 1 || !strings.HasPrefix(faults[0].String(), c.want) {
				t.Errorf("%v, want %s", faults, c.want)
			}
			if got := hits(t, s, "a.com"); !strings.Contains(strings.Join(got, "\n"), "good a.com") {
				t.Errorf("the good list is gone: %v", got)
			}
		})
	}
}

func TestFaultsAreBounded(t *testing.T) {
	lists := map[string]string{}
	for i := range MaxFaults + 7 {
		lists[fmt.Sprintf("l%03d", i)] = "{"
	}
	_, faults, err := Load(folder(lists))
	if err != nil || len(faults) != MaxFaults+1 || faults[MaxFaults].Text != "7 more faults" {
		t.Errorf("%v, %d faults", err, len(faults))
	}
}

func TestLimitsOfTheWhole(t *testing.T) {
	many := func(n int, entry func(i int) string) string {
		list := make([]string, n)
		for i := range list {
			list[i] = entry(i)
		}
		data, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	lists := map[string]string{}
	for i := range MaxLists + 1 {
		lists[fmt.Sprintf("l%04d", i)] = `{"name":"x","list":[]}`
	}
	number := func(i int) string { return fmt.Sprint("x", i) }
	for _, c := range []struct {
		want  string
		lists map[string]string
	}{
		{"more than 1000 lists", lists},
		{"a/list.json: list[1000]: more than 1000 expressions", map[string]string{"a": `{"name":"x","type":"regex","list":` + many(MaxExpressions+1, number) + `}`}},
		{"a/list.json: list[100000]: more than 100000 substrings", map[string]string{"a": `{"name":"x","type":"substring","list":` + many(MaxSubstrings+1, number) + `}`}},
	} {
		if s, _, err := Load(folder(c.lists)); err == nil || s != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
	c := newCompiler()
	c.entries = MaxEntries
	if err := c.add("a/list.json", &file{Name: "x", List: []byte(`["a"]`)}); err == nil || !strings.Contains(err.Error(), "more than 5000000 entries") {
		t.Error(err)
	}
}

// A folder has more in it than lists.
func TestFind(t *testing.T) {
	fsys := folder(map[string]string{"lists/a": `{"name":"a","list":[]}`, ".git/x": "{", "a/b/c/d/e": "{"})
	fsys["README.md"] = &fstest.MapFile{Data: []byte("#")}
	fsys["lists/b/list.json/readme"] = &fstest.MapFile{} // a folder of that name
	names, err := find(fsys)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"lists/a/list.json"}, names); diff != "" {
		t.Error(diff)
	}
}

// Every substring is found, wherever it stands, as a plain search finds it.
func TestSubstrings(t *testing.T) {
	words := []string{"a", "ab", "abc", "abcd", "acd", "bcd", "cda", "zzz", "abcdabcd"}
	var s substrings
	for i, w := range words {
		s.add(w, group(i))
	}
	for _, in := range []string{"", "a", "xab", "abcdabcd", "xxabcd", "xacd", "cdab", "zzzz", "bc"} {
		got := map[string]bool{}
		s.find(in, func(text string, g group) { got[text] = words[g] == text })
		want := map[string]bool{}
		for _, w := range words {
			if strings.Contains(in, w) {
				want[w] = true
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", in, diff)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(`{"name":"x","type":"cidr","list":["10.0.0.0/8","::/0","::ffff:1.2.3.4/100"]}`), "10.1.1.1")
	f.Add([]byte(`{"name":"x","type":"hostname","list":[".a.com","münchen.de"],"matching_attributes":["url"]}`), "http://u@a.com:80/x")
	f.Add([]byte(`{"name":"x","type":["regex"],"list":{"/a+/i":"why"},"category":"known"}`), "aa@b.com")
	f.Add([]byte(`{"name":"x","type":"substring","list":["a","abc"]}`), "abc.com")
	f.Add([]byte(`{"name":"x","list":["3::"]}`), "3::")
	f.Fuzz(func(t *testing.T, data []byte, text string) {
		s, faults, err := Load(fstest.MapFS{"a/list.json": &fstest.MapFile{Data: data}})
		if err != nil {
			return
		}
		if s.Len() == 0 && len(faults) == 0 {
			t.Fatal("a list is gone without a fault")
		}
		if len(faults) > MaxFaults+1 {
			t.Fatalf("%d faults", len(faults))
		}
		v, err := observable.Parse(text)
		if err != nil {
			return
		}
		seen := map[*List]bool{}
		for _, h := range s.Lookup(v) {
			if seen[h.List] || h.Entry == "" {
				t.Fatalf("%+v", h)
			}
			seen[h.List] = true
		}
	})
}

package stix

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func terms(kindPathText ...string) []Term {
	var all []Term
	for i := 0; i < len(kindPathText); i += 3 {
		all = append(all, Term{kindPathText[i], kindPathText[i+1], kindPathText[i+2], true})
	}
	return all
}

func together(all []Term) []Term {
	for i := range all {
		all[i].Alone = false
	}
	return all
}

const ip, net, name = "ipv4-addr:value", "198.51.100.0/24", "domain-name:value"

var goodPatterns = map[string][]Term{
	"[ipv4-addr:value = '1.2.3.4']":                 terms("ipv4", ip, "1.2.3.4"),
	"[ipv4-addr:value='1.2.3.4']":                   terms("ipv4", ip, "1.2.3.4"),
	" [ ipv4-addr:value == '1.2.3.4' ] ":            terms("ipv4", ip, "1.2.3.4"),
	"[ipv4-addr:value ISSUBSET '198.51.100.0/24']":  terms("ipv4", ip, net),
	"[ipv4-addr:value NOT ISSUBSET '10.0.0.0/8']":   nil,
	"[ipv4-addr:value ISSUPERSET '198.51.100.3']":   nil,
	"[ipv4-addr:value != '1.2.3.4']":                nil,
	"[ipv4-addr:value NOT = '1.2.3.4']":             nil,
	"[domain-name:value = '1.2.3.4']":               terms("ipv4", name, "1.2.3.4"),
	"[domain-name:value LIKE '%.example']":          nil,
	"[domain-name:value MATCHES '^a']":              nil,
	"[EXISTS file:name]":                            nil,
	"[domain-name:value IN ('a.example','b.test')]": terms("domain", name, "a.example", "domain", name, "b.test"),
	"[domain-name:value NOT IN ('a.example')]":      nil,
	"[domain-name:value IN ()]":                     nil,
	"[file:name = 'it\\'s \\\\ it']":                terms("filename", "file:name", `it's \ it`),
	"[file:hashes.'SHA-256' = 'ab']":                terms("sha256", "file:hashes.SHA-256", "ab"),
	"[file:hashes.md5 = 'ab']":                      terms("md5", "file:hashes.md5", "ab"),
	"[file:hashes.'SSDEEP' = 'ab']":                 terms("", "file:hashes.SSDEEP", "ab"),
	"[process:name = 'roleaboutd']":                 terms("", "process:name", "roleaboutd"),
	"[a-b:'odd key'.x[*].y[2] = 3]":                 terms("", "a-b:'odd key'.x[*].y[2]", "3"),
	"[network-traffic:dst_ref.value = '2001:db8::1' OR network-traffic:dst_ref.value = 'a.example']": terms(
		"ipv6", "network-traffic:dst_ref.value", "2001:db8::1", "domain", "network-traffic:dst_ref.value", "a.example"),
	"[email-message:from_ref.value = 'a@b.example']": terms("email", "email-message:from_ref.value", "a@b.example"),
	"[file:name = 'a' AND url:value = 'b']":          together(terms("filename", "file:name", "a", "url", "url:value", "b")),
	"[file:name = 'a'] AND [url:value = 'b']":        together(terms("filename", "file:name", "a", "url", "url:value", "b")),
	"[file:name = 'a'] FOLLOWEDBY [url:value = 'b']": together(terms("filename", "file:name", "a", "url", "url:value", "b")),
	"[file:name = 'a'] OR [url:value = 'b']":         terms("filename", "file:name", "a", "url", "url:value", "b"),
	"[file:name = 'a' OR (file:size > 3 AND url:value = 'b')]": append(
		terms("filename", "file:name", "a"), together(terms("url", "url:value", "b"))...),
	"([file:name = 'a'] OR [url:value = 'b']) REPEATS 3 TIMES WITHIN 1.5 SECONDS":  terms("filename", "file:name", "a", "url", "url:value", "b"),
	"[file:name = 'a'] START t'2020-01-01T00:00:00Z' STOP t'2021-01-01T00:00:00Z'": terms("filename", "file:name", "a"),
	"[file:name = 'a' /* why */ ] // so":                                           terms("filename", "file:name", "a"),
	"[artifact:payload_bin = b'YWI=' OR x:y = h'00fF' OR x:z = true OR x:t = t'2020-01-01T00:00:00Z']": terms(
		"", "artifact:payload_bin", "YWI=", "", "x:y", "00fF", "", "x:z", "true", "", "x:t", "2020-01-01T00:00:00Z"),
}

func TestTerms(t *testing.T) {
	for pattern, want := range goodPatterns {
		p, err := ParsePattern(pattern)
		if err != nil {
			t.Errorf("%s: %v", pattern, err)
			continue
		}
		if got := p.Terms(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", pattern, got, want)
		}
		if got := appendPatternTerms(nil, pattern); !reflect.DeepEqual(got, want) {
			t.Errorf("quickly %s:\n got %+v\nwant %+v", pattern, got, want)
		}
	}
}

func TestComparisons(t *testing.T) {
	p, err := ParsePattern("[a:b NOT IN (1, 2.5) AND NOT EXISTS c:d OR e:f <> 'x']")
	if err != nil {
		t.Fatal(err)
	}
	want := []Comparison{
		{Path: "a:b", Op: "IN", Values: []string{"1", "2.5"}, Negated: true},
		{Path: "c:d", Op: "EXISTS", Negated: true},
		{Path: "e:f", Op: "!=", Values: []string{"x"}, Alone: true, text: true},
	}
	if got := p.Comparisons(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

var badPatterns = map[string]string{
	"":                                             "byte 0: ends where",
	"[file:name = 'a'":                             "byte 16: ends where ']'",
	"file:name = 'a'":                              "byte 0:",
	"[file:name 'a']":                              "byte 11: \"a\" where an operator",
	"[file:name = ]":                               "byte 13:",
	"[file:name = 'a]":                             "byte 13: string without an end",
	`[file:name = 'a\d']`:                          "byte 15: backslash",
	"[file:name LIKE 3]":                           "byte 16:",
	"[file:name > true]":                           "byte 13:",
	"[file:na-me = 'a']":                           "byte 6:",
	"[file:name = 'a'] REPEATS -1 TIMES":           "byte 26:",
	"[file:name = 'a'] REPEATS 1.5 TIMES":          "byte 26:",
	"[file:name = 'a'] WITHIN 'x' SECONDS":         "byte 25:",
	"[file:name = 'a'] [file:name = 'b']":          "byte 18:",
	"[file:name = t'yesterday']":                   "byte 13: timestamp",
	"[file:name = h'abc']":                         "byte 13: hex",
	"[file:name = b'a']":                           "byte 13: binary",
	"[file:name = 012]":                            "byte 13: number",
	"[x:y = 'a' /* ]":                              "byte 11: comment",
	"[x:y[-1] = 'a']":                              "byte 5:",
	"[x:y = b'']":                                  "byte 7: binary",
	"[x:y = 1e5]":                                  "byte 8:",
	"[x:y[-] = 'a']":                               "byte 5:",
	"[x:y ~ 'a']":                                  "byte 5: unexpected '~'",
	strings.Repeat("(", 65) + "[x:y = 1]":          "byte 64: nested deeper than 64",
	"[" + strings.Repeat("(", 65) + "x:y = 1]":     "nested deeper than 64",
	"[x:y = '" + strings.Repeat("a", 1<<16) + "']": "longer than 65536 bytes",
}

func TestPatternErrors(t *testing.T) {
	for pattern, want := range badPatterns {
		_, err := ParsePattern(pattern)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: got %v, want %s", pattern, err, want)
		}
	}
}

// TestOASISPatterns has the reference parser judge the same patterns. Not
// compared: what only our limits refuse, and what it takes or refuses for
// reasons outside of the grammar (hashes' lengths, crashes).
func TestOASISPatterns(t *testing.T) {
	program := os.Getenv("TIPMESH_STIX2_PATTERNS")
	if program == "" {
		var err error
		if program, err = exec.LookPath("validate-patterns"); err != nil {
			missing(t, "validate-patterns is not installed (pip install stix2-patterns, or TIPMESH_STIX2_PATTERNS)")
		}
	}
	want := make(map[string]bool)
	for p := range goodPatterns {
		want[p] = true
	}
	for p := range badPatterns {
		want[p] = false
	}
	var lines strings.Builder
	for p := range want {
		if len(p) > 200 || p == "" || strings.Contains(p, "hashes") || strings.Contains(p, "[-1]") || strings.Contains(p, "((") {
			delete(want, p)
			continue
		}
		lines.WriteString(p + "\n")
	}
	file := filepath.Join(t.TempDir(), "patterns")
	if err := os.WriteFile(file, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(program, "-f", file).CombinedOutput() // #nosec G204
	if err != nil {
		t.Fatalf("run validate-patterns: %v\n%s", err, out)
	}
	for p, valid := range want {
		if passed := strings.Contains(string(out), "PASS: "+p+"\n"); passed != valid {
			t.Errorf("%s: we say %t, OASIS's parser %t", p, valid, passed)
		}
	}
}

func FuzzParsePattern(f *testing.F) {
	for _, s := range []string{
		"[ipv4-addr:value = '1.2.3.4']", "[a:b IN ('x', 2, h'00')] WITHIN 5 SECONDS",
		"([a:b.'c d'[*] NOT LIKE 'x\\''] FOLLOWEDBY [EXISTS e:f]) REPEATS 2 TIMES", "[file:hashes.'SHA-256' = 'x' ]//",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		quick := appendPatternTerms(nil, s)
		p, err := ParsePattern(s)
		if err != nil {
			if len(quick) > 0 {
				t.Fatalf("the short cut reads what the parser refuses: %v", err)
			}
			return
		}
		if full := p.Terms(); fmt.Sprint(full) != fmt.Sprint(quick) {
			t.Fatalf("the short cut reads %+v, the parser %+v", quick, full)
		}
	})
}

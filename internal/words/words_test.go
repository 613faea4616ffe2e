package words

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestTokens(t *testing.T) {
	for text, want := range map[string]string{
		"VPNFilter: SOHO routers, 3 stages":         "vpnfilter soho routers 3 stages",
		"Uses CVE-2018-0296, T1059.001 and APT28.":  "uses cve-2018-0296 cve t1059.001 and apt28",
		"a spear-phishing mail":                     "a spear phishing mail",
		"Café CAFE ｆｕｌｌ Straße ΣΊΣΥΦΟΣ":             "cafe full strasse σισυφοσ",
		"resolves toknowall[.]com (91.121.109[.]2)": "resolves toknowall.com 91.121.109.2",
		"hxxps://Evil[.]example.com/a?b=c.":         "https://evil.example.com/a?b_c evil.example.com",
		"mail a=b@c.example.com":                    "mail a_b@c.example.com",
		"label=x":                                   "label x",
		"Alder's report; it isn’t e.g. and/or":      "alder report it isn't e.g and or",
		"sha256 " + strings.Repeat("AB", 32):        "sha256 " + strings.Repeat("ab", 32),
		"勒索软件":                                      "勒 索 软 件",
		"mal\u00adware \u202egnp.exe\u0000x":        "malware gnp.exe x",
		"\xff\xfebad\xffutf":                        "bad utf",
		"- -- !? 😀":                                 "",
	} {
		if got := strings.Join(Tokens(MaxTokens, text), " "); got != want {
			t.Errorf("%q:\n got %q\nwant %q", text, got, want)
		}
	}
}

// TestQuery: what is asked for as it was written is found, and an identifier is
// not asked for by its parts.
func TestQuery(t *testing.T) {
	if got := Query("CVE-2018-0296 hxxp://evil.example[.]com/x"); cmp.Diff([]string{"cve-2018-0296", "http://evil.example.com/x"}, got) != "" {
		t.Error(got)
	}
}

func TestFacet(t *testing.T) {
	if a, b := Facet("malware", " Black  BASTA "), "malware=black basta"; a != b {
		t.Errorf("%q, not %q", a, b)
	}
}

func TestBounds(t *testing.T) {
	if got := Tokens(3, "one two", "three four"); !slices.Equal(got, []string{"one", "two", "three"}) {
		t.Error(got)
	}
	long := strings.Repeat("a", MaxBytes)
	if got := Tokens(9, long+"x "+long+"y"); !slices.Equal(got, []string{long}) || !slices.Equal(got, Query(long+"z")) {
		t.Error(got)
	}
	long = strings.Repeat("и", 60)
	if got := Query(long + "a"); len(got) != 1 || len(got[0]) > MaxBytes || !utf8.ValidString(got[0]) {
		t.Error(got)
	}
}

func TestAround(t *testing.T) {
	text := strings.Repeat("é before ", 20) + "the\n\tVPNFilter  at evil[.]example[.]com " + strings.Repeat("after й ", 20)
	for _, token := range []string{"vpnfilter", "vpnf", "evil.example.com"} {
		got := Around(text, []string{token}, 80)
		if !strings.Contains(got, "VPNFilter") || !strings.Contains(got, "evil") || len(got) > 80 || !utf8.ValidString(got) {
			t.Errorf("%s: %q", token, got)
		}
	}
	if got := Around(text, []string{"nothing"}, 80); got != "" {
		t.Error(got)
	}
}

func FuzzTokens(f *testing.F) {
	for _, s := range []string{"CVE-2018-0296 é [.] hxxp://a[.]b.com/=?", "a=b@c.de", "type=report", "\u2028 x\u0000-1- '’s -"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tokens := Tokens(MaxTokens, s)
		if q := Around(s, tokens[:min(len(tokens), 1)], 40); len(q) > 40 {
			t.Fatalf("%d bytes: %q", len(q), q)
		}
		if len(tokens) > MaxTokens {
			t.Fatal(len(tokens))
		}
		have := map[string]bool{}
		for _, w := range tokens {
			if w == "" || len(w) > MaxBytes || have[w] || !utf8.ValidString(w) || strings.ContainsRune(w, '=') ||
				strings.ContainsFunc(w, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
				t.Fatalf("token %q of %q", w, s)
			}
			have[w] = true
		}
		if len(tokens) < MaxTokens {
			for _, w := range Query(s) {
				if !have[w] {
					t.Fatalf("%q asked for and not kept, of %q: %q", w, s, tokens)
				}
			}
		}
	})
}

func BenchmarkTokens(b *testing.B) {
	text := strings.Repeat("VPNFilter infects SOHO routers at 91.121.109[.]209 in three stages, see CVE-2018-0296. ", 100)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		Tokens(MaxTokens, text)
	}
}

package observable

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	md5 := strings.Repeat("0a", 16)
	for in, want := range map[string]Value{
		"ToKnowAll[.]com":                      {Domain, "toknowall.com"},
		"evil.com.":                            {Domain, "evil.com"},
		" \"evil.com\", ":                      {Domain, "evil.com"},
		"evil dot com":                         {Domain, "evil.com"},
		"_dmarc.evil.com":                      {Domain, "_dmarc.evil.com"},
		"münchen.de":                           {Domain, "xn--mnchen-3ya.de"},
		"MÜNCHEN.DE":                           {Domain, "xn--mnchen-3ya.de"},
		"evil。com":                             {Domain, "evil.com"},
		"ev\u200bil.com":                       {Domain, "evil.com"},
		"evil.com:8080":                        {Domain, "evil.com"},
		"zuh3vcyskd4gipkm.onion":               {Domain, "zuh3vcyskd4gipkm.onion"},
		"co.uk":                                {Domain, "co.uk"},
		"91.121.109[.]209":                     {IPv4, "91.121.109.209"},
		"91[.]121[.]109[.]209:443":             {IPv4, "91.121.109.209"},
		"[91.121.109.209]":                     {IPv4, "91.121.109.209"},
		"10.1.2.3/8":                           {IPv4Net, "10.0.0.0/8"},
		"10.1.2.3/32":                          {IPv4, "10.1.2.3"},
		"2001:0DB8::0001":                      {IPv6, "2001:db8::1"},
		"2a01:4f8:0:0:0:0:0[:]1":               {IPv6, "2a01:4f8::1"},
		"::ffff:1.2.3.4":                       {IPv4, "1.2.3.4"},
		"::ffff:1.2.3.4/128":                   {IPv4, "1.2.3.4"},
		"[2a01:4f8::1]:443":                    {IPv6, "2a01:4f8::1"},
		"2a01:4f8::1/32":                       {IPv6Net, "2a01:4f8::/32"},
		"hXXps://Evil[.]COM":                   {URL, "https://evil.com/"},
		"hxxp[:]//evil[.]com:80/A?b=C#frag":    {URL, "http://evil.com/A?b=C"},
		"hxxps[://]evil(.)com:443/":            {URL, "https://evil.com/"},
		"h**p://evil[dot]com?x":                {URL, "http://evil.com/?x"},
		"http://evil.com:8080/%7Ea/../b":       {URL, "http://evil.com:8080/%7Ea/../b"},
		"http://bank.com@evil.com/":            {URL, "http://bank.com@evil.com/"},
		"http://[2A01:4F8::1]:80/x":            {URL, "http://[2a01:4f8::1]/x"},
		"evil[.]com/gate.php":                  {URL, "http://evil.com/gate.php"},
		"1.2.3.4/gate.php":                     {URL, "http://1.2.3.4/gate.php"},
		"1.2.3.4:81/gate.php":                  {URL, "http://1.2.3.4:81/gate.php"},
		"hxxp://evil[.]com/a[.]php":            {URL, "http://evil.com/a.php"},
		"http://evil.com/a(.)b":                {URL, "http://evil.com/a(.)b"},
		"A.User[@]Evil[.]com":                  {Email, "a.user@evil.com"},
		"user(at)evil(dot)com":                 {Email, "user@evil.com"},
		"mailto:user@evil.com":                 {Email, "user@evil.com"},
		strings.ToUpper(md5):                   {MD5, md5},
		"md5:" + md5:                           {MD5, md5},
		"SHA-256: " + strings.Repeat("AB", 32): {}, // a blank inside
		md5 + strings.Repeat("1", 8):           {SHA1, md5 + "11111111"},
		strings.Repeat("AB", 32):               {SHA256, strings.Repeat("ab", 32)},
		strings.Repeat("AB", 64):               {SHA512, strings.Repeat("ab", 64)},
		"":                                     {}, " ": {}, "word": {}, "report.pdf": {}, "1.2.3": {}, "1.2.3.4.5": {},
		"01.2.3.4": {}, "1.2.3.4.": {}, "http://1.2.3.4./": {}, "256.1.1.1": {}, "1.2.3.4/33": {}, "1.2.3.4:99999": {}, "*.evil.com": {}, "a..com": {},
		"/etc/passwd": {}, "@evil.com": {}, "http://": {}, "http://word/": {}, "evil.com\x00": {}, "a b.com": {},
		"http://evil.com/a b": {}, "[": {}, "[]": {}, "[x]:1": {}, "://": {}, "evil.com:": {},
		strings.Repeat("a", 64) + ".com":               {},
		"http://evil.com/" + strings.Repeat("a", 4090): {},
	} {
		got, err := Parse(in)
		if got != want || (err == nil) != (want != Value{}) {
			t.Errorf("Parse(%q) = %v, %v; want %v", in, got, err, want)
		}
	}
}

func TestParseAs(t *testing.T) {
	for _, c := range []struct {
		typ  Type
		in   string
		want Value
	}{
		{URL, "evil.com/x", Value{URL, "http://evil.com/x"}},
		{URL, "evil.com", Value{URL, "http://evil.com/"}},
		{Domain, "176.223.111.131", Value{IPv4, "176.223.111.131"}},
		{Domain, "http://evil.com/", Value{}},
		{IPv4, "1.2.3.4/32", Value{IPv4, "1.2.3.4"}},
		{IPv4, "1.2.3.0/24", Value{}},
		{IPv4, "evil.com", Value{}},
		{IPv6, "1.2.3.4", Value{}},
		{IPv4Net, "1.2.3.4/24", Value{IPv4Net, "1.2.3.0/24"}},
		{MD5, strings.Repeat("a", 64), Value{}},
		{Filename, " Setup v2.EXE ", Value{Filename, "Setup v2.EXE"}},
		{Filename, "a\nb", Value{}},
		{Email, "evil.com", Value{}},
		{"mutex", "x", Value{}},
	} {
		got, err := ParseAs(c.typ, c.in)
		if got != c.want || (err == nil) != (c.want != Value{}) {
			t.Errorf("ParseAs(%s, %q) = %v, %v; want %v", c.typ, c.in, got, err, c.want)
		}
	}
}

func TestRefang(t *testing.T) {
	for in, want := range map[string]string{
		"hxxp://a[.]b":            "http://a.b",
		"meow://a{.}b":            "http://a.b",
		"fxp://a.b":               "ftp://a.b",
		"hxxp[s]://a.b":           "https://a.b",
		"a[.b[.]c":                "a.b.c",
		"a[.com]":                 "a.com]",
		`a\.b`:                    "a.b",
		`a\[.\]b`:                 "a.b",
		"a [.] b":                 "a.b",
		"a [dot] b":               "a.b",
		"a [at] b":                "a@b",
		"a．b":                     "a.b",
		"magnet[:]?xt=urn[:]btih": "magnet:?xt=urn:btih",
		"x(.)":                    "x(.)",
		"[1] [a](b)":              "[1] [a](b)",
		"the http protocol":       "the http protocol",
		"http://a.b/c(dot)d":      "http://a.b/c(dot)d",
	} {
		if got := Refang(in); got != want {
			t.Errorf("Refang(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestDefang(t *testing.T) {
	for in, want := range map[string]string{
		"toknowall.com":            "toknowall[.]com",
		"91.121.109.209":           "91.121.109[.]209",
		"91.121.109.0/24":          "91.121.109[.]0/24",
		"2a01:4f8::1":              "2a01:4f8:[:]1",
		"a@b.com":                  "a[@]b[.]com",
		"https://u@b.com:81/a.php": "hxxps://u@b[.]com:81/a.php",
		"http://[2a01::1]/x":       "hxxp://[2a01:[:]1]/x",
		"ftp://b.com":              "fxp://b[.]com/",
		"setup.exe":                "setup.exe",
		"readme.md":                "readme.md",
		strings.Repeat("a", 40):    strings.Repeat("a", 40),
	} {
		got := Defang(in)
		if got != want {
			t.Errorf("Defang(%q) = %q, want %q", in, got, want)
		}
		if v, err := Parse(in); err == nil {
			if back, err := Parse(v.Defanged()); err != nil || back != v {
				t.Errorf("Parse(%q) = %v, %v; want %v", v.Defanged(), back, err, v)
			}
		}
	}
}

func TestSpecial(t *testing.T) {
	for in, want := range map[string]string{
		"192.168.1.1": "private address", "127.0.0.1": "loopback", "100.64.1.1": "shared address of carriers",
		"203.0.113.9": "documentation", "250.2.186.138": "reserved", "0.0.0.0": "reserved", "224.0.0.1": "multicast",
		"8.8.8.8": "", "fe80::1": "link-local", "::1": "loopback", "2001:db8::1": "documentation", "2a01:4f8::1": "",
		"4000::1": "reserved", "10.0.0.0/8": "private address", "8.8.8.0/24": "", "9.0.0.0/7": "too wide a network",
		"0.0.0.0/0": "holds 0.0.0.0/8, reserved", "example.com": "documentation", "a.example": "documentation",
		"printer.local": "local network name", "localhost": "loopback", "x.test": "reserved name",
		"4.3.2.1.in-addr.arpa": "reverse lookup name", "co.uk": "public suffix", "github.io": "public suffix of a hoster",
		"evil.github.io": "", "http://192.168.0.1/x": "private address", "http://localhost/": "loopback",
		"http://[::1]/": "loopback", "a@example.org": "documentation", "notexample.com": "", "zuh3vcyskd4gipkm.onion": "",
	} {
		v, err := Parse(in)
		if err != nil {
			t.Errorf("Parse(%q): %v", in, err)
		} else if got := v.Special(); got != want {
			t.Errorf("%s: special %q, want %q", in, got, want)
		}
	}
	v, _ := Parse("250.2.186.138")
	if r, ok := v.Reversed(); !ok || r.Text != "138.186.2.250" {
		t.Errorf("reversed %v %v", r, ok)
	}
	v, _ = Parse("192.168.1.1")
	if _, ok := v.Reversed(); ok {
		t.Error("a private address is no slip of octets")
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"hxxp://evil[.]com:80/a", "1.2.3.4/24", "[::1]:80", "a@b.com", "münchen.de", "[[.]]",
		"a dot com", "::ffff:1.2.3.4/100", "http://[::ffff:1.2.3.4]", "x\u200b,", "xn--a.com", "\"'a.com'\"",
		"meow://x.com", "ß.com", "h[.]xxp://a.b", "ａ。com", "http://a.com/\u00ad,", "i̇.com"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := Parse(s)
		if err != nil {
			return
		}
		if again, err := Parse(v.Text); err != nil || again != v {
			t.Fatalf("Parse(%q) = %v; parsed again %v, %v", s, v, again, err)
		}
		if back, err := Parse(v.Defanged()); err != nil || back != v {
			t.Fatalf("%v defanged is %q, parsed back %v, %v", v, v.Defanged(), back, err)
		}
		if as, err := ParseAs(v.Type, v.Text); err != nil || as != v {
			t.Fatalf("ParseAs(%v) = %v, %v", v, as, err)
		}
		v.Special()
		v.Reversed()
		v.Host()
	})
}

func BenchmarkParse(b *testing.B) {
	in := []string{"host12.evil-domain9.com", "91.121.109[.]209:443", "hxxps://evil[.]com/a/b.php", strings.Repeat("ab", 32)}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := Parse(in[i&3]); err != nil {
			b.Fatal(err)
		}
	}
}

func TestParseTerm(t *testing.T) {
	for _, c := range []struct {
		t    Type
		in   string
		want Value
	}{
		{IPv4, "91.121.96.7/20", Value{IPv4Net, "91.121.96.0/20"}}, {IPv4, "91.121.96.7", Value{IPv4, "91.121.96.7"}},
		{IPv4, "91.121.96.7/32", Value{IPv4, "91.121.96.7"}}, {IPv6, "2001:db8::/32", Value{IPv6Net, "2001:db8::/32"}},
		{Domain, "KWAAD.nl", Value{Domain, "kwaad.nl"}},
	} {
		if v, err := ParseTerm(c.t, c.in); err != nil || v != c.want {
			t.Errorf("%s %s: %v, %v", c.t, c.in, v, err)
		}
	}
	if v, err := ParseTerm(IPv4, "2001:db8::/32"); err == nil {
		t.Errorf("an IPv6 network as IPv4: %v", v)
	}
}

